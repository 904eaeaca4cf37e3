"""One RabbitMQ node for all tests of a ctest run: its start costs seconds of CPU, and there are many files.

    shared_broker.py start FILE    starts it and writes where it is to FILE
    shared_broker.py stop FILE     ends it

It ends by itself when ctest is gone. Tests find it by FULFILLD_SHARED_BROKER=FILE (conftest.py); without that
each file starts its own.
"""

import json
import os
import pathlib
import shutil
import signal
import sys
import tempfile
import threading

from harness.rabbitmq import RabbitMQ
from harness.wait import wait_until


def keep(file, ctest):
    """Runs the node until SIGTERM, or until ctest is gone."""
    over = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: over.set())
    directory = pathlib.Path(tempfile.mkdtemp(prefix="shared."))
    node = RabbitMQ(directory / "rabbitmq")
    try:
        node.start()
        written = file.with_suffix(".new")
        written.write_text(json.dumps({"keeper": os.getpid(), "directory": str(node.directory), "port": node.port}))
        written.rename(file)
        while os.path.exists(f"/proc/{ctest}") and not over.wait(1):
            pass
    finally:
        file.unlink(missing_ok=True)
        node.destroy()
        shutil.rmtree(directory, ignore_errors=True)


def start(file):
    stop(file)  # of a run that was killed
    ctest = os.getppid()
    log = file.with_suffix(".log")
    keeper = os.fork()
    if keeper == 0:
        os.setsid()
        with open(log, "wb") as out:
            os.dup2(out.fileno(), 1)
            os.dup2(out.fileno(), 2)
        os.closerange(3, 256)  # ctest waits until nobody has its pipes any more
        keep(file, ctest)
        os._exit(0)

    def ready():
        assert os.waitpid(keeper, os.WNOHANG) == (0, 0), log.read_text()
        return file.exists()
    wait_until(ready, "the shared RabbitMQ to be ready", 180)


def stop(file):
    try:
        keeper = json.loads(file.read_text())["keeper"]
        if b"shared_broker" not in pathlib.Path(f"/proc/{keeper}/cmdline").read_bytes():
            raise ProcessLookupError("that number is another process's by now")
        os.kill(keeper, signal.SIGTERM)
    except (FileNotFoundError, ProcessLookupError):
        file.unlink(missing_ok=True)
        return
    wait_until(lambda: not file.exists(), "the shared RabbitMQ to end")


if __name__ == "__main__":
    {"start": start, "stop": stop}[sys.argv[1]](pathlib.Path(sys.argv[2]))
