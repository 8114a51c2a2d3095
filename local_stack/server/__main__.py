"""Serve one home folder on a socket that the caller has bound: `python -m local_stack.server HOME FD`."""

import logging
import socket
import sys
from pathlib import Path

import uvicorn

from .app import create_app
from .auth import Credentials
from .files import FileStore
from .store import Store

KEEP_ALIVE_SECONDS = 75  # longer than clients leave a connection idle, so that they do not meet a closed one


def main() -> None:
    home, descriptor = Path(sys.argv[1]), int(sys.argv[2])
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    store = Store(home / "clearml.sqlite")
    app = create_app(store, Credentials.load_or_make(home / "credentials.json"), FileStore(home / "files"))
    config = uvicorn.Config(
        app,
        lifespan="off",
        access_log=False,
        log_config=None,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=3,
    )
    uvicorn.Server(config).run(sockets=[socket.socket(fileno=descriptor)])
    store.close()


if __name__ == "__main__":
    main()
