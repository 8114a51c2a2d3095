"""Models: made, published, removed, and the tasks that use them."""

from typing import Any

from ..documents import Document
from ..events.state import delete_events
from ..store import Store, new_document, now

DELETED = "__DELETED__"  # stands before the id of what is gone, where something still refers to it


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


def tasks_that_use(store: Store, model_id: str) -> list[str]:
    """Return the ids of the tasks that have the model as an input."""
    return [task["id"] for task in store.referring("task", "input", model_id)]


def remove_model(store: Store, model_id: str) -> None:
    """Delete the model and its events.

    Tasks that have it as an input, and published ones that made it, go on to say so; it leaves the others.
    """
    for task in store.referring("task", "models", model_id):
        held = task["models"]
        outputs = _marked(held["output"], model_id)
        changed: Document = {}
        if task["status"] != "published":
            outputs = [item for item in held["output"] if item["model"] != model_id]
        elif outputs != held["output"]:
            changed["output"] = {**task["output"], "error": f"model deleted on {now()}"}
        models = {**held, "input": _marked(held["input"], model_id), "output": outputs}
        store.put("task", {**task, **changed, "models": models, "last_change": now()})
    delete_events(store, model_id)
    store.delete("model", model_id)


def _marked(items: list[Document], model_id: str) -> list[Document]:
    return [{**item, "model": DELETED + model_id} if item["model"] == model_id else item for item in items]
