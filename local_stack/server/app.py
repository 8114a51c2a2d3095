"""The whole server as an ASGI application: pages, files and the API on one port."""

from starlette.applications import Starlette

from .access import PageAccess
from .api import api_routes
from .auth import Credentials
from .error_answers import ERROR_ANSWERS
from .files.endpoints import file_routes
from .files.state import FileStore
from .pages.routes import page_routes
from .queues.state import find_or_create_queue
from .store import Store
from .workers.state import forget_workers


def create_app(store: Store, credentials: Credentials, files: FileStore) -> Starlette:
    """Return the server. It answers one request at a time, on the event loop, each in one transaction."""
    with store.transaction():
        find_or_create_queue(store, "default", system_tags=["default"])
        forget_workers(store)
    access = PageAccess(credentials)
    routes = [
        *page_routes(store, access),
        *file_routes(files, credentials, access),
        *api_routes(store, credentials),
    ]
    return Starlette(routes=routes, exception_handlers=ERROR_ANSWERS)
