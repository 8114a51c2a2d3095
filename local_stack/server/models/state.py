"""Models: made, published, removed, and the tasks that use them."""

from typing import Any

from ..events.state import delete_events
from ..store import Store, new_document, now


def new_model(store: Store, **fields: Any) -> str:
    """Store a new model, with every field that clients look into, and return its id."""
    empty = {"comment": "", "framework": "", "design": {}, "labels": {}, "metadata": {}}
    model = {**empty, **new_document(**fields)}
    model["last_change"] = model["last_update"]
    store.put("model", model)
    return str(model["id"])


def change_model(store: Store, model_id: str, **fields: Any) -> None:
    times = dict.fromkeys(["last_update", "last_change"], now())
    store.put("model", {**store.get_required("model", model_id), **fields, **times})


def publish_model(store: Store, model_id: str) -> None:
    change_model(store, model_id, ready=True)


def tasks_that_use(store: Store, model_id: str, besides: str | None = None) -> list[str]:
    """Return the ids of the tasks, `besides` one, that have the model as an input."""
    return [
        task["id"]
        for task in store.all("task")
        if task["id"] != besides and any(item["model"] == model_id for item in task["models"]["input"])
    ]


def remove_model(store: Store, model_id: str) -> None:
    """Delete the model, its events, and its place among the models of tasks."""
    for task in store.all("task"):
        kept = {
            kind: [item for item in task["models"][kind] if item["model"] != model_id]
            for kind in ("input", "output")
        }
        models = {**task["models"], **kept}
        if models != task["models"]:
            store.put("task", {**task, "models": models})
    delete_events(store, model_id)
    store.delete("model", model_id)
