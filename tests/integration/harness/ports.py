"""Free loopback ports. Below 32768, where the kernel never puts outgoing sockets."""

import random
import socket

FIRST, LAST = 20000, 32700
_given = set()


def _is_free(port):
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_port(count=1):
    """The first of `count` free ports in a row; none is given out twice by one test run."""
    for _ in range(1000):
        first = random.randrange(FIRST, LAST - count)
        wanted = range(first, first + count)
        if _given.isdisjoint(wanted) and all(_is_free(port) for port in wanted):
            _given.update(wanted)
            return first
    raise RuntimeError("no free port was found")


def is_listening(port):
    """Whether somebody accepts connections there."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0
