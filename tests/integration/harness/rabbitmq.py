"""A private RabbitMQ node, by way of deploy/rabbitmq-node."""

import base64
import json
import os
import pathlib
import signal
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request

import pika

from .ports import free_port
from .wait import wait_until

NODE_SCRIPT = pathlib.Path(__file__).resolve().parents[3] / "deploy" / "rabbitmq-node"
USER = PASSWORD = "guest"
# RabbitMQ 3.10: after kill -9 a quorum queue stays, now and then, a follower without a
# leader for good. docs/operations.md has the same for people.
ELECT_LEADERS = """[ra:trigger_election(P) || Q <- rabbit_amqqueue:list(), P <- [amqqueue:get_pid(Q)],
    is_tuple(P), element(1, catch ra:members(P, 2000)) =/= ok]."""


class RabbitMQ:
    """One node with its own data in `directory`. Not started until start()."""

    def __init__(self, directory):
        self.directory = pathlib.Path(directory)
        self.port = free_port(4)
        self.management_port = self.port + 1
        self._pid = None

    @classmethod
    def at(cls, directory, port):
        """A node that somebody else has started."""
        node = cls.__new__(cls)
        node.directory, node.port, node.management_port = pathlib.Path(directory), port, port + 1
        node._pid = int(node._script("pid", node.directory))
        return node

    # life

    def start(self):
        """Starts it (again), on the data that are there; returns when it takes connections."""
        restarts = (self.directory / "data").exists()
        self._script("start", self.directory, self.port)
        self._pid = int(self._script("pid", self.directory))
        if restarts:
            self.rabbitmqctl("eval", ELECT_LEADERS)
        self.wait_ready()
        return self

    def stop(self):
        """Stops it in good order; the data stay."""
        self._script("stop", self.directory)

    def destroy(self):
        """Ends it at once; for teardown."""
        self._script("kill", self.directory)

    def kill(self):
        """kill -9 of the broker."""
        os.kill(self._pid, signal.SIGKILL)
        wait_until(lambda: not self.is_running(), "the killed broker to be gone")

    def restart(self):
        """stop() and start() on the same data."""
        self.stop()
        return self.start()

    def pause(self):
        """SIGSTOP: connections stay open and nothing answers."""
        os.kill(self._pid, signal.SIGSTOP)

    def resume(self):
        os.kill(self._pid, signal.SIGCONT)

    def is_running(self):
        return subprocess.run([NODE_SCRIPT, "pid", self.directory], capture_output=True).returncode == 0

    def wait_ready(self, deadline_s=90):
        """Until the management interface sees a running node without alarms, and AMQP answers."""
        def ready():
            return all(node["running"] and not node.get("mem_alarm", True)
                       and not node.get("disk_free_alarm", True)
                       for node in self.api("GET", "/nodes"))
        wait_until(ready, "RabbitMQ to be ready", deadline_s)
        wait_until(self._can_connect, "RabbitMQ to take a connection", deadline_s)

    def _can_connect(self):
        try:
            self.connect().close()
        except pika.exceptions.AMQPError:
            return False
        return True

    # ways in

    @property
    def uri(self):
        return f"amqp://{USER}:{PASSWORD}@127.0.0.1:{self.port}/%2F"

    @property
    def management_uri(self):
        return f"http://{USER}:{PASSWORD}@127.0.0.1:{self.management_port}"

    def connect(self):
        """A pika BlockingConnection without heartbeats, so that a test may think as long as it likes."""
        return pika.BlockingConnection(pika.URLParameters(self.uri + "?heartbeat=0"))

    def api(self, method, path, body=None):
        """Calls the management API; answers the decoded JSON (None for an empty answer)."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.management_port}/api{path}", method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json", "Authorization": "Basic " + base64.b64encode(
                f"{USER}:{PASSWORD}".encode()).decode()})
        with urllib.request.urlopen(request, timeout=10) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    def rabbitmqctl(self, *args):
        """Runs rabbitmqctl against the node; answers what it printed."""
        return self._script("ctl", self.directory, *args)

    def rabbitmqadmin(self, *args):
        """Runs the rabbitmqadmin that the node itself hands out; answers what it printed."""
        tool = self.directory / "rabbitmqadmin"
        if not tool.exists():
            address = f"http://127.0.0.1:{self.management_port}/cli/rabbitmqadmin"
            with urllib.request.urlopen(address, timeout=10) as answer:
                mine = tool.with_name(f"rabbitmqadmin.{os.getpid()}")
                mine.write_bytes(answer.read())
                mine.rename(tool)
        argv = [sys.executable, tool, "-H", "127.0.0.1", "-P", str(self.management_port),
                "-u", USER, "-p", PASSWORD, *args]
        return _run(argv)

    def _script(self, *args):
        return _run([NODE_SCRIPT, *[str(arg) for arg in args]])

    # trouble on demand

    def memory_alarm(self, on):
        """Raises or clears the memory alarm: publishers are blocked while it lasts."""
        self.rabbitmqctl("set_vm_memory_high_watermark", "0.0000001" if on else "0.4")
        wait_until(lambda: self.api("GET", "/nodes")[0].get("mem_alarm") == on,
                   f"the memory alarm to be {'on' if on else 'off'}")

    def disk_alarm(self, on):
        """Raises or clears the disk alarm."""
        self.rabbitmqctl("set_disk_free_limit", "900000GB" if on else "50MB")
        wait_until(lambda: self.api("GET", "/nodes")[0].get("disk_free_alarm") == on,
                   f"the disk alarm to be {'on' if on else 'off'}")

    def close_connections(self, reason="closed by the test"):
        """Closes every connection from the broker's side."""
        self.rabbitmqctl("close_all_connections", reason)

    # objects

    def queue(self, name):
        """The management view of one queue (counts are up to a second old), or None."""
        try:
            return self.api("GET", f"/queues/%2F/{urllib.parse.quote(name, safe='')}")
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return None
            raise

    def delete_prefix(self, prefix):
        """Deletes every queue and exchange whose name begins with prefix and a dot."""
        for kind in ("queues", "exchanges"):
            for found in self.api("GET", f"/{kind}/%2F"):
                if found["name"].startswith(prefix + "."):
                    self._delete(kind, found["name"])

    def _delete(self, kind, name):
        try:
            self.api("DELETE", f"/{kind}/%2F/{urllib.parse.quote(name, safe='')}")
        except urllib.error.HTTPError as error:
            if error.code != 404:
                raise


def _run(argv):
    done = subprocess.run([str(arg) for arg in argv], capture_output=True, text=True, timeout=120)
    if done.returncode:
        raise RuntimeError(f"{argv[0]} {' '.join(map(str, argv[1:3]))} failed with {done.returncode}:\n"
                           f"{done.stdout}{done.stderr}")
    return done.stdout.strip()
