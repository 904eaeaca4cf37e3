"""A private Redis server."""

import pathlib
import signal

import redis

from .ports import free_port
from .process import Process
from .wait import wait_until


class Redis:
    """One server with its data in `directory`; append-only file on, as an operator would run it."""

    def __init__(self, directory, **settings):
        self.directory = pathlib.Path(directory)
        self.port = free_port()
        self.socket_path = self.directory / "redis.sock"
        self.settings = {"appendonly": "yes", "appendfsync": "everysec", "save": "", **settings}
        self._process = None

    def start(self):
        """Starts it (again), on the data that are there."""
        self.directory.mkdir(parents=True, exist_ok=True)
        argv = ["redis-server", "--port", self.port, "--bind", "127.0.0.1", "--dir", self.directory,
                "--unixsocket", self.socket_path, "--daemonize", "no"]
        for key, value in self.settings.items():
            argv += [f"--{key}", value]
        self._process = Process(argv, self.directory / "redis.log")
        wait_until(self._answers, "Redis to answer")
        return self

    def _answers(self):
        assert self._process.returncode is None, self._process.log_text()
        try:
            return self.client().ping()
        except redis.exceptions.ConnectionError:
            return False

    def stop(self):
        self._process.end()

    def kill(self):
        """kill -9."""
        self._process.kill()

    destroy = kill

    def restart(self):
        self.stop()
        return self.start()

    def pause(self):
        """SIGSTOP: connections stay open and nothing answers."""
        self._process.signal(signal.SIGSTOP)

    def resume(self):
        self._process.signal(signal.SIGCONT)

    @property
    def uri(self):
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def unix_uri(self):
        return f"redis+unix://{self.socket_path}?db=0"

    def client(self):
        """A redis.Redis that answers texts."""
        return redis.Redis(port=self.port, decode_responses=True, socket_timeout=10)

    def flush(self):
        """Forgets every key."""
        self.client().flushall()

    def script_flush(self):
        """Forgets every script, keys stay."""
        self.client().script_flush()

    def set(self, key, value):
        """CONFIG SET, e.g. set("maxmemory", "1mb")."""
        self.client().config_set(key, value)

    def keys(self, prefix):
        """Every key that begins with prefix."""
        return sorted(self.client().scan_iter(match=prefix + "*", count=1000))

    def delete_prefix(self, prefix):
        keys = self.keys(prefix)
        if keys:
            self.client().delete(*keys)
