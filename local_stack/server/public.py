"""Documents that everybody may read and nobody may change, until they are made private again.

On a ClearML server they are the examples that all companies see: they belong to none.
"""

from functools import partial

from .auth import COMPANY
from .documents import Document
from .errors import invalid_id
from .registry import Service
from .store import PUBLIC, Store

service = Service()


def _give(kind: str, giver: str, taker: str, store: Store, request: Document) -> Document:
    """Let the documents pass from one company to another, or none where one of them is not the giver's."""
    ids = dict.fromkeys(request["ids"])
    for key in ids:
        document = store.get(kind, key)
        if not document or document["company"] != giver:
            raise invalid_id(kind, key)
        store.put(kind, {**document, "company": taker})
    return {"updated": len(ids)}


for _kind in ("task", "model", "project"):
    service.endpoint(f"{_kind}s.make_public", "ids")(partial(_give, _kind, COMPANY["id"], PUBLIC))
    service.endpoint(f"{_kind}s.make_private", "ids")(partial(_give, _kind, PUBLIC, COMPANY["id"]))
