"""The admin interface of the stand-in LMS (tests/lms/README.md), as far as the quickstart needs it."""

import json
import urllib.request


class Lms:
    """The stand-in at an address such as http://127.0.0.1:20005."""

    def __init__(self, base_url):
        self.base_url = base_url

    def _admin(self, method, call, body=None):
        request = urllib.request.Request(f"{self.base_url}/_lms/{call}", method=method,
                                         data=None if body is None else json.dumps(body).encode())
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)

    def configure(self, settings):
        self._admin("POST", "config", settings)

    def lose_answers(self, users):
        """Each of these learners is enrolled, and the connection closed instead of an answer; once."""
        self._admin("POST", "script", [
            {"match": {"kind": "enrollment.post", "user": user}, "steps": [{"close": True, "apply": True}]}
            for user in users])

    def outage(self):
        self._admin("POST", "outage", {"status": 503, "body": "<h1>Maintenance</h1>"})

    def recover(self):
        self._admin("POST", "outage", {"off": True})

    def state(self):
        return self._admin("GET", "state")

    def stats(self):
        return self._admin("GET", "stats")
