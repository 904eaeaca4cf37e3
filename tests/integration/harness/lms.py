"""The stand-in LMS (tests/lms). Its admin interface is described in tests/lms/README.md."""

import http.client
import json
import os
import pathlib
import subprocess
import urllib.parse

from .process import Process
from .wait import wait_until

API_KEY = "test-api-key"
CLIENT_ID = "test-client"
CLIENT_SECRET = "test-client-secret"

DEMO = "course-v1:edX+DemoX+2026"


class Lms:
    """One stand-in with the default seed; `seed` is merged into it."""

    def __init__(self, directory, seed=None, port=0, arguments=()):
        self.directory = pathlib.Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self._arguments = list(arguments)
        if seed is not None:
            (self.directory / "seed.json").write_text(json.dumps(seed))
            self._arguments += ["--seed", self.directory / "seed.json"]
        self.port = port
        self._process = None

    def start(self):
        """Starts it; a second time it comes back on the same port, with nothing remembered."""
        binary = os.environ.get("FULFILLD_LMS_BIN", "fulfill-lms")
        self._process = Process(
            [binary, "--listen", f"127.0.0.1:{self.port}", "--api-key", API_KEY,
             "--client-id", CLIENT_ID, "--client-secret", CLIENT_SECRET, *self._arguments],
            self.directory / "lms.log", stdout=subprocess.PIPE)
        line = self._process.stdout.readline().decode()
        assert line.startswith("listening on "), f"the stand-in LMS did not start: {self._process.log_text()}"
        self.port = int(line.rsplit(":", 1)[1])
        return self

    def stop(self):
        status = self._process.end()
        self._process.stdout.close()
        return status

    def kill(self):
        """kill -9."""
        self._process.kill()
        self._process.stdout.close()

    def destroy(self):
        """Ends it, for teardown; fails when it had died by itself, so that its bugs are not ours."""
        if self._process and not self._process.stdout.closed:
            assert self.stop() == 0, f"the stand-in LMS failed: {self._process.log_text()[-4000:]}"

    def signal(self, number):
        self._process.signal(number)

    @property
    def base_url(self):
        return f"http://127.0.0.1:{self.port}"

    @property
    def token_url(self):
        return self.base_url + "/oauth2/access_token"

    # the API itself

    def request(self, method, path, body=None, headers=None, timeout_s=10):
        """One HTTP request on a connection of its own; answers (status, headers, body bytes)."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout_s)
        try:
            if body is not None and not isinstance(body, (bytes, str)):
                body = json.dumps(body)
                headers = {"Content-Type": "application/json", **(headers or {})}
            connection.request(method, path, body=body, headers=headers or {})
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()
        finally:
            connection.close()

    # the admin interface

    def admin(self, method, call, body=None):
        status, _, text = self.request(method, f"/_lms/{call}", body)
        assert status == 200, f"/_lms/{call} answered {status}: {text.decode(errors='replace')}"
        return json.loads(text)

    def script(self, *steps, name=None, **match):
        """Answers requests that match by these steps, one after the other; then really again.

        match: kind, method, path, user, course, order. A step is a dict, e.g. {"status": 503}.
        """
        rule = {"match": match, "steps": list(steps)}
        if name:
            rule["name"] = name
        self.admin("POST", "script", rule)

    def clear_script(self):
        """No rules, no outage, no latency."""
        self.admin("DELETE", "script")

    def outage(self, **step):
        """Answers every request by this step (default: 503) until recover()."""
        self.admin("POST", "outage", step or {"status": 503, "body": "<h1>Maintenance</h1>"})

    def recover(self):
        self.admin("POST", "outage", {"off": True})

    def latency(self, milliseconds):
        self.admin("POST", "latency", {"ms": milliseconds})

    def configure(self, **settings):
        """Merges courses, users, enrollments, throttle, tokens, open_courses, strict_users …"""
        self.admin("POST", "config", settings)

    def expire_tokens(self):
        self.admin("POST", "tokens/expire")

    def reset(self):
        self.admin("POST", "reset", {})

    def ledger(self, **filter_):
        """The requests so far, in order, as dicts. filter: since, order, user, course, kind, path."""
        query = urllib.parse.urlencode(filter_)
        return self.admin("GET", f"ledger?{query}")["entries"]

    def wait_requests(self, count, deadline_s=30, **filter_):
        """Waits until at least count requests match and are over; answers them."""
        def finished():
            found = [entry for entry in self.ledger(**filter_) if entry["finished_us"]]
            return found if len(found) >= count else None
        return wait_until(finished, f"{count} requests like {filter_} at the LMS", deadline_s)

    def state(self):
        return self.admin("GET", "state")

    def stats(self):
        return self.admin("GET", "stats")

    def enrollment(self, user, course=DEMO):
        """The enrollment of that learner as a dict, or None."""
        found = [e for e in self.state()["enrollments"] if e["user"] == user and e["course"] == course]
        return found[0] if found else None
