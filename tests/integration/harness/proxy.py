"""A TCP proxy that can hurt: between the program under test and a server, one connection for one."""

import select
import socket
import struct
import threading

from .ports import free_port

CHUNK = 65536
PAUSE_S = 0.02


class Proxy:
    """Listens on a loopback port of its own and forwards to 127.0.0.1:target_port.

    pass_on()      forwards everything, which is how it starts; ends what the others began
    black_hole()   connections stay open and new ones are accepted; no byte passes either way
    reset()        every connection ends by RST; new ones work
    refuse()       every connection ends by RST, and new ones are refused
    delay(s)       every piece of data is that much late
    cut_after(n)   each connection ends by RST after n bytes from the server

    What a black hole has swallowed comes out when it ends, as TCP would repeat it, unless whoever sent it has
    closed the connection meanwhile.
    """

    def __init__(self, target_port):
        self.target_port = target_port
        self.port = free_port()
        self.accepted = 0
        self._lock = threading.Lock()
        self._links = set()
        self._listener = None
        self._silent, self._delay_s, self._limit = False, 0.0, None
        self._never = threading.Event()

    # life

    def start(self):
        self._listener = socket.create_server(("127.0.0.1", self.port), backlog=256)
        threading.Thread(target=self._accept, args=[self._listener], daemon=True).start()
        return self

    def destroy(self):
        self._silent = False
        self.refuse()

    def uri_of(self, uri):
        """A server's URI with the proxy's port in place of the server's."""
        assert f":{self.target_port}" in uri, uri
        return uri.replace(f":{self.target_port}", f":{self.port}", 1)

    # faults

    def pass_on(self):
        self._silent, self._delay_s, self._limit = False, 0.0, None
        if not self._listener:
            self.start()

    def black_hole(self):
        self._silent = True

    def reset(self):
        with self._lock:
            for link in self._links:
                link.over = True

    def refuse(self):
        if self._listener:
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes accept()
            self._listener.close()
            self._listener = None
        self.reset()

    def delay(self, seconds):
        self._delay_s = seconds

    def cut_after(self, count):
        self._limit = count

    # the works

    def _accept(self, listener):
        while True:
            try:
                near, _ = listener.accept()
            except OSError:
                return
            self.accepted += 1
            try:
                far = socket.create_connection(("127.0.0.1", self.target_port))
            except OSError:
                _reset(near)
                continue
            link = _Link(near, far)
            with self._lock:
                self._links.add(link)
            for source, target in ((near, far), (far, near)):
                threading.Thread(target=self._pump, args=[link, source, target], daemon=True).start()

    def _pump(self, link, source, target):
        try:
            while not link.over:
                if self._silent:
                    self._never.wait(PAUSE_S)
                    link.over = link.over or _has_closed(source)
                elif select.select([source], [], [], PAUSE_S)[0]:
                    self._forward(link, source, target, source.recv(CHUNK))
        except OSError:
            pass
        link.over = True
        if link.leave():
            with self._lock:
                self._links.discard(link)

    def _forward(self, link, source, target, data):
        if not data:
            link.over = True
            return
        if self._delay_s:
            self._never.wait(self._delay_s)
        while self._silent and not link.over:
            self._never.wait(PAUSE_S)
            link.over = link.over or _has_closed(source)
        if link.over:
            return
        if source is link.far and self._limit is not None:
            data = data[:max(self._limit - link.answered, 0)]
            link.answered += len(data)
            link.over = link.answered >= self._limit
        target.sendall(data)


class _Link:
    """The two sockets of one proxied connection; both are closed when both directions have ended."""

    def __init__(self, near, far):
        self.near, self.far = near, far
        self.over = False
        self.answered = 0
        self._lock = threading.Lock()
        self._directions = 2
        for sock in (near, far):
            sock.settimeout(5)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def leave(self):
        with self._lock:
            self._directions -= 1
            last = self._directions == 0
        if last:
            _reset(self.near)
            _reset(self.far)
        return last


def _has_closed(sock):
    """Whether the other side has ended the connection, whatever is still to be read."""
    poll = select.poll()
    poll.register(sock, select.POLLRDHUP)
    return bool(poll.poll(0))


def _reset(sock):
    """Closes so that the other side sees RST."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()
