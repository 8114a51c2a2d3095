"""Serve one home folder on a socket that the caller has bound.

    python -m local_stack.server HOME FD SECONDS [WEB_URL]

FD is the socket's file descriptor. Running tasks that report nothing for SECONDS are stopped. WEB_URL is the
address of ClearML's own web UI, if it runs on this server.
"""

import asyncio
import logging
import signal
import socket
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import ClassVar

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from .app import create_app
from .auth import Credentials
from .files.state import FileStore
from .files.unneeded import keep_removing
from .monitoring_file import MONITORING
from .store import Store
from .watchdog import watch

# One request a connection, as the ClearML server does it. The SDK forks, and processes that share a
# connection would read each other's answers.
HEADERS = [("Connection", "close")]


HEADER_SECONDS = 10
MOST_CONNECTIONS = 500  # a process may often have no more than 1,024 files open


class PatientProtocol(H11Protocol):
    """HTTP for clients that ask within HEADER_SECONDS. Of too many that have not yet, the first ones go."""

    open: ClassVar[dict["PatientProtocol", None]] = {}  # in the order in which they came

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._timer = self.loop.call_later(HEADER_SECONDS, self._close_if_silent)
        self.open[self] = None
        if len(self.open) > MOST_CONNECTIONS:
            for other in list(self.open):
                if other._close_if_silent():
                    break

    def connection_lost(self, exc: Exception | None) -> None:
        self._timer.cancel()
        self.open.pop(self, None)
        super().connection_lost(exc)

    def _close_if_silent(self) -> bool:
        silent = getattr(self, "cycle", None) is None  # that is a request and its answer
        if silent:
            self.open.pop(self, None)
            self.transport.abort()
        return silent


def main() -> None:
    home, descriptor, task_timeout = Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    web_url = sys.argv[4] if len(sys.argv) > 4 else ""
    for name in (signal.SIGINT, signal.SIGTERM):
        # uvicorn raises the signal again when it is done: unhandled, it would leave the store open.
        signal.signal(name, lambda *_: sys.exit())
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    store = Store(home / "clearml.sqlite")
    credentials = Credentials.load_or_make(home / "credentials.json")
    files = FileStore(home / "files")
    app = create_app(store, credentials, files, web_url, home.parent / MONITORING)
    config = uvicorn.Config(
        app,
        http=PatientProtocol,  # h11 everywhere, whatever else is installed; the others are no faster here
        ws="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        headers=HEADERS,
        timeout_graceful_shutdown=3,
    )
    beside = (watch(store, task_timeout), keep_removing(store, files))
    try:
        asyncio.run(serve(uvicorn.Server(config), socket.socket(fileno=descriptor), *beside))
    finally:
        store.close()


async def serve(
    server: uvicorn.Server, listener: socket.socket, *beside: Coroutine[None, None, None]
) -> None:
    tasks = [asyncio.create_task(running) for running in beside]
    await server.serve(sockets=[listener])
    for task in tasks:
        task.cancel()


if __name__ == "__main__":
    main()
