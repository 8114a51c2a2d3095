"""What services of clearml-serving serve: their endpoints, and the models behind each."""

from collections.abc import Iterator

from ..documents import Document
from ..references import CONTROL_PLANE
from ..store import Store
from .grafana_variables import value_at
from .lineage import blocks_of, endpoints_of
from .views import link_to, model_path

MOST_ENDPOINTS = 100


def is_service(task: Document) -> bool:
    return CONTROL_PLANE in task["system_tags"] and "archived" not in task["system_tags"]


def service_of(store: Store, task: Document) -> Document:
    """Return the endpoints of a service, each with the models that answer there and their shares."""
    rows = sorted(_rows(store, task), key=lambda row: str(row["name"]))
    return {"task": link_to(task), "rows": rows[:MOST_ENDPOINTS], "left_out": len(rows) - MOST_ENDPOINTS}


def _rows(store: Store, task: Document) -> Iterator[Document]:
    found = endpoints_of(task)
    for name, each in found.items():
        shares = each["sends_to"] or {name: None}
        routes = [_route(store, other, found[other]["model"], share) for other, share in shares.items()]
        yield {"name": name, "about": "canary" if each["sends_to"] else "", "routes": routes}
    for name, asked in blocks_of(task, "model_monitoring").items():
        wanted = [value_at(asked, f"monitor_{what}", "") for what in ("name", "project")]
        wanted += map(str, value_at(asked, "monitor_tags", []))
        yield {"name": name, "about": "follows " + ", ".join(filter(None, wanted)), "routes": []}


def _route(store: Store, endpoint: str, model_id: object, share: float | None) -> Document:
    """Return the model that answers at an endpoint, and which share of a canary's requests."""
    model = store.get("model", model_id if isinstance(model_id, str) else None)
    kept = model and {key: model[key] for key in ("id", "name", "tags")} | {"path": model_path(model)}
    return {"endpoint": endpoint, "share": share, "model": kept}
