"""A child process: started, signalled, ended, its output kept in a file."""

import os
import signal
import subprocess

from .wait import wait_until


class Process:
    """One server process. `log` is the file with its standard error (and output, unless piped)."""

    def __init__(self, argv, log, env=None, stdout=None):
        self.argv = [str(arg) for arg in argv]
        self.log_path = log
        with open(log, "ab") as out:
            self._child = subprocess.Popen(
                self.argv, stdin=subprocess.DEVNULL, stdout=stdout or out, stderr=out,
                env={**os.environ, **(env or {})}, start_new_session=True)

    @property
    def pid(self):
        return self._child.pid

    @property
    def stdout(self):
        return self._child.stdout

    @property
    def returncode(self):
        """The exit status, negative for a signal; None while it runs."""
        return self._child.poll()

    def signal(self, number):
        self._child.send_signal(number)

    def wait(self, deadline_s=30):
        """Waits for the end and answers the exit status."""
        wait_until(lambda: self.returncode is not None, f"{self.argv[0]} to end", deadline_s)
        return self.returncode

    def end(self, deadline_s=30):
        """SIGTERM, then waits; SIGKILL for one that does not go."""
        if self.returncode is None:
            self.signal(signal.SIGCONT)
            self.signal(signal.SIGTERM)
            try:
                self.wait(deadline_s)
            except AssertionError:
                self.kill()
                raise
        return self.returncode

    def kill(self):
        """SIGKILL to it and to every child it left in its session."""
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self._child.wait()

    def log_text(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as log:
            return log.read()
