"""The page of settings: whose session this is, and links with which others may look and change nothing."""

from urllib.parse import urlencode

from starlette.datastructures import ImmutableMultiDict

from ..auth import LONGEST_TOKEN_SECONDS, ONLY_SHOWS, PAGES, USER
from ..documents import Document
from ..login.callers import Caller
from ..store import Store


def settings_page(store: Store, request: Document) -> Document:
    return _session(store, request["visitor"].caller)


def make_link(store: Store, form: ImmutableMultiDict[str, str], caller: Caller) -> Document:
    """Show a link that shows only. It ends when the session of who made it does."""
    claims = {"access_key": caller.access_key, ONLY_SHOWS: True}
    token = caller.credentials.token(LONGEST_TOKEN_SECONDS, PAGES, until=caller.expires, **claims)
    return {"template": "settings.html", **_session(store, caller), "link": urlencode({"token": token})}


def _session(store: Store, caller: Caller) -> Document:
    pair = store.get("key_pair", caller.access_key)
    return {"user": USER["name"], "pair": pair and (pair.get("label") or pair["id"]), "ends": caller.expires}
