"""The program under test: configuration, start, stop, log, metrics, sub-commands."""

import http.client
import json
import os
import pathlib
import re
import signal
import subprocess

from . import lms as lms_module
from .ports import free_port
from .process import Process
from .wait import wait_until

DEFAULT_BIN = "fulfilld"


def fulfilld_bin():
    return os.environ.get("FULFILLD_BIN", DEFAULT_BIN)


def ini_text(sections):
    """An INI file from {"amqp": {"prefix": "x"}}; a value of None leaves the key out."""
    lines = []
    for section, keys in sections.items():
        lines.append(f"[{section}]")
        lines += [f"{key} = {value}" for key, value in keys.items() if value is not None]
        lines.append("")
    return "\n".join(lines)


class Daemon:
    """One `fulfilld run`. Retries are quick (1 to 2 s) unless the test says otherwise."""

    def __init__(self, directory, broker, redis, lms=None, prefix="fulfillment", config=None):
        self.directory = pathlib.Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.config_path = self.directory / "fulfilld.ini"
        self.http_port = free_port()
        self.sections = self._defaults(broker, redis, lms, prefix)
        self.configure(config or {})
        self._process = None

    def _defaults(self, broker, redis, lms, prefix):
        sections = {
            "amqp": {"uris": broker.uri, "management_uri": broker.management_uri, "prefix": prefix},
            "redis": {"uri": redis.uri, "prefix": prefix + ":"},
            "worker": {"processes": 1},
            "retry": {"first_delay": "1s", "max_delay": "2s"},
            "http": {"listen": f"127.0.0.1:{self.http_port}"},
            "lms": {},
        }
        if lms:
            sections["lms"] = {"base_url": lms.base_url, "timeout": "2s",
                               "api_key_file": self.secret("api_key", lms_module.API_KEY)}
        return sections

    def secret(self, name, value):
        """Writes a secret into a file only we can read; answers its path."""
        path = self.directory / name
        path.write_text(value + "\n")
        path.chmod(0o600)
        return path

    def use_token(self, lms, keep_api_key=False):
        """Lets it ask the LMS for access tokens (instead of the API key, unless that is kept)."""
        self.configure({"lms": {
            "oauth_token_url": lms.token_url, "oauth_client_id": lms_module.CLIENT_ID,
            "oauth_client_secret_file": self.secret("client_secret", lms_module.CLIENT_SECRET),
            **({} if keep_api_key else {"api_key_file": None})}})
        return self

    def configure(self, config):
        """Merges sections into the configuration and writes the file. None removes a key."""
        for section, keys in config.items():
            self.sections.setdefault(section, {}).update(keys)
        self.config_path.write_text(ini_text(self.sections))
        return self

    # life

    def start(self, wait_ready=True, env=None):
        self._process = Process([fulfilld_bin(), "run", "--config", self.config_path],
                                self.directory / "fulfilld.log", env=env)
        if wait_ready:
            self.wait_ready()
        return self

    def wait_ready(self, deadline_s=60):
        def ready():
            if self.returncode is not None:
                raise RuntimeError(f"fulfilld ended with {self.returncode}:\n{self.log_text()[-4000:]}")
            return self.readyz()[0] == 200
        wait_until(ready, "fulfilld to be ready", deadline_s)

    @property
    def pid(self):
        return self._process.pid

    @property
    def returncode(self):
        return self._process.returncode

    def worker_pids(self):
        """The process ids of its worker processes, the one for suspects left out, from /proc."""
        children = pathlib.Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        return [int(pid) for pid in children
                if b"--solo" not in pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()]

    def signal(self, number):
        self._process.signal(number)

    def terminate(self):
        self.signal(signal.SIGTERM)

    def reload(self):
        self.signal(signal.SIGHUP)

    def wait(self, deadline_s=40):
        """Waits until it has ended; answers the exit status."""
        return self._process.wait(deadline_s)

    def stop(self, deadline_s=40):
        """SIGTERM and the exit status."""
        self.terminate()
        return self.wait(deadline_s)

    def kill(self):
        """kill -9 of the master and its workers, all at once."""
        self._process.kill()

    def destroy(self):
        if self._process and self.returncode is None:
            self.kill()

    # what it says

    def get(self, path):
        """GET from http.listen; answers (status, text)."""
        connection = http.client.HTTPConnection("127.0.0.1", self.http_port, timeout=5)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def readyz(self):
        return self.get("/readyz")

    def healthz(self):
        return self.get("/healthz")

    def metrics(self):
        """/metrics as {"name{label=\\"value\\"}": number}."""
        status, text = self.get("/metrics")
        assert status == 200, text
        found = {}
        for line in text.splitlines():
            if line and not line.startswith("#"):
                name, value = line.rsplit(" ", 1)
                found[name] = float(value)
        return found

    def metric(self, name):
        """The sum of one metric over its labels."""
        return sum(value for key, value in self.metrics().items() if re.split("[{ ]", key)[0] == name)

    def log_text(self):
        return self._process.log_text()

    def log(self):
        """The log lines that are JSON, as dicts."""
        lines = []
        for line in self.log_text().splitlines():
            try:
                lines.append(json.loads(line))
            except ValueError:
                continue
        return lines

    def wait_log(self, text, deadline_s=30):
        """Waits until the log holds text; answers the line."""
        def found():
            return next((line for line in self.log_text().splitlines() if text in line), None)
        return wait_until(found, f"{text!r} in the log", deadline_s)

    # the other sub-commands

    def command(self, *args, deadline_s=60, env=None):
        """Runs `fulfilld ARGS… --config FILE`; answers a CompletedProcess with texts."""
        return subprocess.run([fulfilld_bin(), *map(str, args), "--config", str(self.config_path)],
                              capture_output=True, text=True, timeout=deadline_s,
                              env={**os.environ, **(env or {})})
