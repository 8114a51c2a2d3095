"""Key pairs. The first is the one in clearml.conf. Others are made in the web UI, or by any client."""

import hashlib
import hmac
from datetime import UTC, datetime, timedelta
from typing import Any

from ..auth import Credentials, new_key_pair
from ..documents import Document
from ..store import Store, now

# How often it is noted that a key pair is in use: once a minute says as much as each time, and costs less.
NOTE_AGAIN = timedelta(minutes=1)


def keep_own_key_pair(store: Store, credentials: Credentials) -> None:
    """Let the store know the key pair of clearml.conf, and forget the ones that it had before."""
    for pair in store.all("key_pair"):
        if "secret_sha256" not in pair and pair["id"] != credentials.access_key:
            store.delete("key_pair", pair["id"])
    if store.get("key_pair", credentials.access_key) is None:
        store.put("key_pair", {"id": credentials.access_key, "created": now()})


def create_key_pair(store: Store, label: str | None) -> tuple[Document, str]:
    """Store a new key pair; return it and its secret, which is kept nowhere."""
    access_key, secret = new_key_pair()
    pair: dict[str, Any] = {"id": access_key, "created": now(), "secret_sha256": _digest(secret)}
    if label is not None:
        pair["label"] = label
    store.put("key_pair", pair)
    return pair, secret


def is_right_secret(store: Store, credentials: Credentials, access_key: str, secret: str) -> bool:
    """Return whether a key pair of this server has the secret."""
    if access_key == credentials.access_key:
        return _same(secret, credentials.secret_key)
    pair = store.get("key_pair", access_key)
    return pair is not None and "secret_sha256" in pair and _same(_digest(secret), pair["secret_sha256"])


def note_use(store: Store, access_key: str, caller: str) -> None:
    """Note when a key pair was used last, and from where."""
    pair = store.get("key_pair", access_key)
    if pair is None:
        return
    earlier = datetime.fromisoformat(pair.get("last_used", "1970-01-01T00:00:00+00:00"))
    if pair.get("last_used_from") == caller and datetime.now(UTC) - earlier < NOTE_AGAIN:
        return
    with store.transaction():
        store.put("key_pair", {**pair, "last_used": now(), "last_used_from": caller})


def _digest(secret: str) -> str:
    # No salt, no rounds: nobody can guess what is random and this long.
    return hashlib.sha256(secret.encode(errors="surrogatepass")).hexdigest()


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(errors="surrogatepass"), other.encode(errors="surrogatepass"))
