"""A vendor of licences, for webhooks and plug-ins: makes one licence for one Idempotency-Key, and remembers all it was asked."""

import http.server
import json
import socket
import threading
import time

from .ports import free_port
from .wait import wait_until

PASSWORD = "open sesame"
SLOW_S = 0.2


class Vendor:
    """Serves the API of docs/examples/licence and, for webhooks, /hook (see docs/modules.md) on a loopback port.

    script(path, …) lays answers in wait for a path, one a request: a status, or {"status", "headers", "body"};
    "lost" does what was asked and closes; "silent" does it and never answers.
    """

    def __init__(self, host="127.0.0.1"):
        self.port = free_port()
        self.base_url = f"http://{'[' + host + ']' if ':' in host else host}:{self.port}"
        self.requests = []   # dicts: method, path, headers, body (JSON or None), at
        self.licences = {}   # id: {"reference", "product", "returned"}
        self.polls = 1       # how often a licence is asked for before its key is there
        self._by_key, self._scripts, self._released = {}, {}, threading.Event()
        server_class = type("Server", (http.server.ThreadingHTTPServer,),
                            {"address_family": socket.AF_INET6 if ":" in host else socket.AF_INET,
                             "daemon_threads": True, "request_queue_size": 512})
        self._server = server_class((host, self.port), _handler_of(self))
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def destroy(self):
        self._released.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def script(self, path, *answers):
        self._scripts.setdefault(path, []).extend(answers)

    def asked(self, order, method=None):
        """What it was asked for an order, by the reference or number in the body."""
        return [request for request in self.requests if method in (None, request["method"])
                and order["order_number"] in json.dumps(request["body"])]

    def wait_asked(self, order, count=1):
        return wait_until(lambda: len(self.asked(order)) >= count and self.asked(order), "the vendor to be asked")

    def of(self, order):
        """The licences made for an order."""
        return [licence for licence in self.licences.values() if licence["reference"].startswith(order["order_number"])]

    # what it does

    def next_of(self, path):
        answers = self._scripts.get(path)
        return answers.pop(0) if answers else None

    def never_answer(self):
        self._released.wait()

    def make(self, key, reference, product):
        if key not in self._by_key:
            self._by_key[key] = f"L-{len(self.licences) + 1}"
            self.licences[self._by_key[key]] = {"id": self._by_key[key], "reference": reference, "product": product,
                                                "polls": 0, "returned": False}
        return self._by_key[key]

    def do(self, request):
        """Status and body of a request."""
        method, path, body = request["method"], request["path"], request["body"]
        if path == "/hook":
            return self._hook(request["headers"].get("Idempotency-Key"), body)
        if path == "/slow":
            self._released.wait(SLOW_S)
        if path in ("/slow", "/silent", "/thing"):
            return 200, {}
        if path == "/session":
            return (200, {"token": "T-1"}) if body == {"password": PASSWORD} else (401, {"error": "password"})
        if not path.startswith("/jobs/") and request["headers"].get("X-Session") != "T-1":
            return 401, {"error": "no session"}
        if path == "/licences" and method == "POST":
            return 202, {"id": self.make(request["headers"]["Idempotency-Key"], body["reference"], body["product"])}
        if path.startswith("/licences?reference="):
            found = [licence for licence in self.licences.values() if licence["reference"] == path.split("=", 1)[1]]
            return (200, {"id": found[0]["id"]}) if found else (404, {})
        return self._licence(method, path)

    def _licence(self, method, path):
        licence = self.licences.get(path.rsplit("/", 1)[1])
        if not licence:
            return 404, {}
        if method == "DELETE":
            licence["returned"] = True
            return 204, None
        licence["polls"] += 1
        if path.startswith("/jobs/"):
            result = {"result": {"licence": licence["id"]}}
            return (200, result) if licence["polls"] >= self.polls else (202, {})
        return 200, {"key": "K-" + licence["id"]} if licence["polls"] >= self.polls else {"state": "working"}

    def _hook(self, key, body):
        reference = f"{body['order_number']}-{body['line']['id']}"
        if body["action"] == "refund":
            for licence in self.licences.values():
                licence["returned"] = licence["returned"] or licence["reference"] == reference
            return 200, {}
        return 200, {"result": {"licence": self.make(key, reference, body["line"]["sku"])}}


def _handler_of(vendor):
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_):
            pass

        def _serve(self):
            raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            request = {"method": self.command, "path": self.path, "headers": self.headers, "raw": raw,
                       "body": json.loads(raw) if raw else None, "at": time.monotonic()}
            vendor.requests.append(request)
            scripted = vendor.next_of(self.path)
            if scripted is None or scripted in ("lost", "silent"):
                status, body = vendor.do(request)
                headers = {}
            else:
                answer = scripted if isinstance(scripted, dict) else {"status": scripted}
                status, body, headers = answer["status"], answer.get("body"), answer.get("headers", {})
            if scripted == "silent":
                vendor.never_answer()
            if scripted in ("lost", "silent"):
                self.close_connection = True
                return
            payload = b"" if body is None else json.dumps(body).encode()
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(payload)))
            self.end_headers()
            self.wfile.write(payload)

        do_GET = do_POST = do_PUT = do_DELETE = _serve

    return Handler
