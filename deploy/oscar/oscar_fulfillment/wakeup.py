"""Wakes the relays when a message was committed; polling covers every wake-up that gets lost.

PostgreSQL has NOTIFY, which belongs to the transaction: it arrives at commit or never. Elsewhere
a datagram goes, after the commit, to the socket of each relay in ``WAKEUP_DIR``: relays and web
processes then share a machine and a user, as they do with a SQLite file anyway.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

from django.db import connection, connections, transaction

from oscar_fulfillment import conf

CHANNEL = "oscar_fulfillment"
MAX_ADDRESS = 100


class Listener(Protocol):
    """What a relay waits on."""

    def wait(self, seconds: float) -> None:
        """Returns when woken, or when the time is over."""

    def close(self) -> None:
        """Gives the connection or the socket back."""


def notify() -> None:
    """Announces a message that the current transaction has written."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(f"NOTIFY {CHANNEL}")
    else:
        transaction.on_commit(_send_datagrams, robust=True)


def listen() -> Listener:
    """The listener that suits the shop's database."""
    return PostgresListener() if connection.vendor == "postgresql" else SocketListener()


def _folder() -> Path:
    configured = conf.get("WAKEUP_DIR")
    if configured:
        return Path(configured)
    return Path(tempfile.gettempdir()) / f"oscar-fulfillment-{os.getuid()}"


def _send_datagrams() -> None:
    folder = _folder()
    if not folder.is_dir() or folder.stat().st_uid != os.getuid():
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.setblocking(False)
        for path in folder.glob("*.sock"):
            try:
                with _reachable(path) as short:
                    sender.sendto(b"1", short)
            except ConnectionRefusedError:
                # The relay that listened here is dead.
                with contextlib.suppress(OSError):
                    path.unlink()
            except OSError:
                # A full buffer: that relay has been woken already.
                continue


@contextlib.contextmanager
def _reachable(path: Path) -> Iterator[str]:
    """A name of a socket that fits into an address, which has room for some hundred bytes only."""
    if len(os.fsencode(path)) <= MAX_ADDRESS or not Path("/proc/self/fd").is_dir():
        yield str(path)
        return
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


class SocketListener:
    """One datagram socket per relay."""

    def __init__(self) -> None:
        folder = _folder()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if folder.stat().st_uid != os.getuid():
            raise PermissionError(f"{folder} belongs to somebody else; set WAKEUP_DIR")
        self._path = folder / f"{uuid.uuid4().hex}.sock"
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        with _reachable(self._path) as short:
            self._socket.bind(short)

    def wait(self, seconds: float) -> None:
        select.select([self._socket], [], [], seconds)
        with contextlib.suppress(BlockingIOError):
            while self._socket.recv(16):
                pass

    def close(self) -> None:
        self._socket.close()
        with contextlib.suppress(OSError):
            self._path.unlink()


class PostgresListener:
    """LISTEN on a connection of its own; made anew when it broke."""

    def __init__(self) -> None:
        self._wrapper: Any = None

    def _raw(self) -> Any:
        if self._wrapper is None:
            self._wrapper = connections.create_connection("default")
            with self._wrapper.cursor() as cursor:
                cursor.execute(f"LISTEN {CHANNEL}")
        return self._wrapper.connection

    def wait(self, seconds: float) -> None:
        raw = self._raw()
        with self._wrapper.wrap_database_errors:
            if callable(raw.notifies):
                for _ in raw.notifies(timeout=seconds, stop_after=1):
                    pass
            else:  # psycopg2
                select.select([raw], [], [], seconds)
                raw.poll()
                raw.notifies.clear()

    def close(self) -> None:
        if self._wrapper is not None:
            self._wrapper.close()
            self._wrapper = None
