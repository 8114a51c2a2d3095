"""The whole server as an ASGI application: pages, files and the API on one port."""

from pathlib import Path

from starlette.applications import Starlette
from starlette.middleware import Middleware

from .access import PageAccess
from .api import api_routes
from .auth import Credentials
from .error_answers import ERROR_ANSWERS
from .files.endpoints import file_routes
from .files.state import FileStore
from .guard import Guard
from .login.callers import Callers
from .login.state import keep_own_key_pair
from .pages.routes import page_routes
from .queues.state import find_or_create_queue
from .store import Store
from .users.state import keep_user
from .workers.state import forget_workers


def create_app(
    store: Store,
    credentials: Credentials,
    files: FileStore,
    web_url: str = "",
    monitoring: Path | None = None,
) -> Starlette:
    """Return the server. It answers one request at a time, on the event loop, each in one transaction.

    `web_url` is where ClearML's own web UI stands before it, if it does. `monitoring` is the file that tells
    of the monitoring, which may come and go meanwhile.
    """
    with store.transaction():
        find_or_create_queue(store, "default", system_tags=["default"])
        find_or_create_queue(store, "services")  # where ClearML's own schedulers and triggers enqueue
        forget_workers(store)
        keep_own_key_pair(store, credentials)
        keep_user(store)
    callers = Callers(store, credentials)
    access = PageAccess(callers)
    routes = [
        *page_routes(store, access, {"stored": files, "monitoring": monitoring}),
        *file_routes(files, callers, access),
        *api_routes(store, callers),
    ]
    guard = Middleware(Guard, web_url=web_url)
    return Starlette(routes=routes, middleware=[guard], exception_handlers=ERROR_ANSWERS)
