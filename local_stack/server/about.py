"""What the server says of itself."""

from .auth import API_VERSION, SERVER_VERSION
from .documents import Document
from .errors import ApiError
from .registry import Service
from .store import Store

service = Service()


@service.endpoint("debug.ping")
def ping(store: Store, request: Document) -> Document:
    return {"msg": "ClearML local stack"}


@service.endpoint("server.info")
def info(store: Store, request: Document) -> Document:
    build = "local-stack"
    return {
        "version": SERVER_VERSION, "build": build, "commit": build, "uid": build, "api_version": API_VERSION,
    }  # fmt: skip


@service.endpoint("server.report_stats_option", enabled=bool)
def report_stats_option(store: Store, request: Document) -> Document:
    """Say that this server tells nobody how it is used."""
    return {"supported": False}


@service.endpoint("server.config")
@service.endpoint("server.endpoints")
@service.endpoint("server.get_stats")
def system_only(store: Store, request: Document) -> Document:
    raise ApiError(403, 20, "Forbidden (not allowed for role): only the system itself may ask for this")
