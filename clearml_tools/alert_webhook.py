"""Alertmanager's webhook: take what it posts, and hand on the alerts that are in it."""

import errno
import json
import socketserver
import sys
import threading
import time
from collections.abc import Callable
from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from clearml_tools.errors import UserError

from global_config import PROJECT_NAME

VERSION = "4"  # of Alertmanager's format
LARGEST_BODY = 1_000_000  # bytes
LONGEST_TEXT = 400  # characters: what a client wrote may be in a label
MOST_ALERTS = 50  # of one post that are handed on
SECONDS = 10  # for a body to arrive
POLL_SECONDS = 0.2
# By this a webhook of this project is known from any other program at its port.
ABOUT = f"this takes what Alertmanager posts to a webhook of '{PROJECT_NAME}'"

Receiver = Callable[[list[str]], None]


def parse_alerts(body: bytes) -> list[str]:
    """Return the alerts that are firing in a post of Alertmanager, a line each; ValueError if it is none."""
    posted = json.loads(body)
    if not isinstance(posted, dict) or posted.get("version") != VERSION:
        raise ValueError(f"no post of Alertmanager in format {VERSION}")
    firing = [describe(alert) for alert in posted["alerts"] if alert["status"] == "firing"]
    more = len(firing) - MOST_ALERTS
    return [*firing[:MOST_ALERTS], f"and {more} more"] if more > 0 else firing


def describe(alert: dict[str, Any]) -> str:
    """Return an alert in a line: its name, its summary, since when, and its other labels.

    The labels come last: if the line is too long, they are cut, and not the summary with its figure.
    """
    labels = dict(alert["labels"])
    name = labels.pop("alertname", "an alert without a name")
    summary = dict(alert.get("annotations") or {}).get("summary", "")
    since = f"since {alert['startsAt']}"
    told = ", ".join([since, *(f"{key} {value}" for key, value in sorted(labels.items()))])
    line = f"{name}: {summary} ({told})" if summary else f"{name} ({told})"
    # Nothing that would move a terminal's cursor, or that has no encoding.
    printable = "".join(c if c.isprintable() else " " for c in line)
    text = " ".join(printable.split())
    return text if len(text) <= LONGEST_TEXT else text[:LONGEST_TEXT] + " …"


class Webhook:
    """A port that nobody else has, which receives posts from `start` on; those that come earlier wait."""

    def __init__(self, host: str, port: int, receive: Receiver, patience: float = 0) -> None:
        """Take the port, within so many seconds if it is to become free; UserError if it cannot be used."""
        deadline = time.monotonic() + patience
        while True:
            try:
                self._server = Server((host, port), handler(receive))
                break
            except (OSError, UnicodeError) as error:
                is_taken = getattr(error, "errno", None) == errno.EADDRINUSE
                if not is_taken or time.monotonic() > deadline:
                    reason = getattr(error, "strerror", None) or error
                    text = f"--webhook: {host}:{port} cannot be used ({reason}): choose another"
                    raise UserError(text) from error
            time.sleep(POLL_SECONDS)
        self.url = f"http://{host}:{self._server.server_address[1]}/"

    def start(self) -> str:
        """Receive posts from now on, in a thread, and return the address for them."""
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self.url


def is_webhook(host: str, port: int) -> bool:
    """Return whether a webhook of this project answers there."""
    connection = HTTPConnection(host, port, timeout=SECONDS)
    try:
        connection.request("GET", "/")
        return connection.getresponse().read(LARGEST_BODY) == f"{ABOUT}\n".encode()
    except (OSError, HTTPException, UnicodeError):
        return False
    finally:
        connection.close()


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def server_bind(self) -> None:  # HTTPServer's own would ask DNS for the name of the host
        socketserver.TCPServer.server_bind(self)

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), ConnectionError):  # a client that has gone is no error
            super().handle_error(request, client_address)


def handler(receive: Receiver) -> type[BaseHTTPRequestHandler]:
    """Return what answers each request, and hands on the alerts that are posted."""

    class Handler(BaseHTTPRequestHandler):
        timeout = SECONDS

        def do_POST(self) -> None:
            try:
                length = int(self.headers.get("Content-Length", ""))
                if not 0 < length <= LARGEST_BODY:
                    raise ValueError(f"a body has 1 to {LARGEST_BODY:,} bytes")
                alerts = parse_alerts(self.rfile.read(length))
            except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
                self.answer(400, ABOUT)
                return
            try:
                if alerts:
                    receive(alerts)
            except Exception as error:  # Alertmanager posts again
                print(f"The alerts could not be noted: {error}", flush=True)
                self.answer(503, "the alerts could not be noted now")
                return
            self.answer(200, f"alerts noted: {len(alerts)}")

        def do_GET(self) -> None:
            self.answer(200, ABOUT)

        def answer(self, status: int, text: str) -> None:
            body = f"{text}\n".encode()
            self.send_response(status)
            self.send_header("Content-Type", "text/plain; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Connection", "close")  # what is left of a body that was refused goes with it
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing of each request."""

    return Handler
