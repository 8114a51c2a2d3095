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


# The real server's answer where no settings were made.
NO_STORAGE = {
    "aws": {
        **dict.fromkeys(("key", "secret", "token", "region"), ""),
        "use_credentials_chain": False,
        "buckets": [],
    },
    "google": {"project": None, "credentials_json": None, "buckets": []},
    "azure": {"containers": []},
    "last_update": None,
}


@service.endpoint("storage.get_settings")
def get_storage_settings(store: Store, request: Document) -> Document:
    """Say that this server has keys to nobody's cloud storage: it removes its own files alone."""
    return {"settings": NO_STORAGE}


@service.endpoint("server.config")
@service.endpoint("server.endpoints")
@service.endpoint("server.get_stats")
def system_only(store: Store, request: Document) -> Document:
    raise ApiError(403, 20, "Forbidden (not allowed for role): only the system itself may ask for this")
