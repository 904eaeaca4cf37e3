"""Bytes on a socket: to see what really comes back, whole or not."""

import socket


def exchange(port, data, timeout_s=5):
    """Sends bytes and reads until the other side closes; answers (bytes, how it ended).

    How it ended: "closed", "reset" or "silence" (nothing more within timeout_s).
    """
    with socket.create_connection(("127.0.0.1", port), timeout=timeout_s) as link:
        link.sendall(data)
        got = b""
        while True:
            try:
                more = link.recv(65536)
            except ConnectionResetError:
                return got, "reset"
            except TimeoutError:
                return got, "silence"
            if not more:
                return got, "closed"
            got += more


def post(path, body, *headers):
    """The bytes of a POST of JSON on a connection that stays open."""
    lines = [f"POST {path} HTTP/1.1", "Host: lms", "Content-Type: application/json",
             f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def get(path, *headers):
    return "\r\n".join([f"GET {path} HTTP/1.1", "Host: lms", *headers]).encode() + b"\r\n\r\n"
