"""The one user of this server, as a document."""

from ..auth import COMPANY, USER
from ..documents import Document
from ..store import Store, now

MOST_ROWS = 1000  # of a table in a CSV file: ClearML's default, which the web UI is told
FIELDS = {"id", "name", "company", "created", "given_name", "family_name", "avatar", "email", "role"}


def keep_user(store: Store) -> None:
    """Let the store have the user."""
    if store.get("user", USER["id"]) is None:
        store.put("user", {**USER, "company": COMPANY["id"], "created": now(), "preferences": {}})


def find_user(store: Store) -> Document:
    """Return the user."""
    keep_user(store)
    return store.get_required("user", USER["id"])


def public(user: Document) -> Document:
    """Return what lists of users show."""
    return {key: value for key, value in user.items() if key in FIELDS}
