"""Files that nobody needs once their task is deleted or reset: the server removes them if a client asks.

ClearML's web UI leaves that to the server. The SDK removes them itself.
"""

import asyncio
import logging
from collections.abc import Iterable
from urllib.parse import unquote, urlsplit

from ..addresses import OWN_NAMES
from ..documents import Document
from ..errors import ApiError
from ..store import Store
from .state import FileStore

log = logging.getLogger("local_stack.server")

KIND = "unneeded_file"
PREFIX = "/files/"
MOST_AT_ONCE = 500  # between two requests: a fraction of a second


def note_unneeded(store: Store, request: Document, urls: Iterable[str | None]) -> None:
    """Note which of this server's files may go, if the request says so: they go when it is committed.

    The real server takes a request that does not say for a yes. No file goes here unless a person asked.
    """
    if request.get("delete_external_artifacts"):
        for path in filter(None, map(own_path, urls)):
            store.put(KIND, {"id": path})


def own_path(url: str | None) -> str | None:
    """Return the path of a file of this server, whose port may have been another; None for others."""
    try:
        parts = urlsplit(url or "")
        host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
        path = unquote(parts.path)
        path.encode()  # what is no Unicode names no file
    except ValueError:
        return None
    own = parts.scheme in ("http", "https") and host in OWN_NAMES and path.startswith(PREFIX)
    return path[len(PREFIX) :] if own else None


def remove_unneeded(store: Store, files: FileStore) -> int:
    """Remove noted files, and return how many. What is gone already, or never was there, is forgotten."""
    removed = 0
    with store.transaction():
        for path in [noted["id"] for noted in store.all(KIND)[:MOST_AT_ONCE]]:
            try:
                files.remove(path)
                removed += 1
            except ApiError:
                pass
            except OSError as error:
                log.warning("the file %r of a deleted task cannot be removed: %s", path, error)
            store.delete(KIND, path)
    return removed


async def keep_removing(store: Store, files: FileStore, seconds: float = 5) -> None:
    """Remove what is noted, for as long as the server runs."""
    while True:
        await asyncio.sleep(seconds)
        if store.all(KIND):
            try:
                log.info("removed %s files of deleted tasks", remove_unneeded(store, files))
            except Exception:  # a full disk, say: it is tried again
                log.exception("files of deleted tasks were not removed")
