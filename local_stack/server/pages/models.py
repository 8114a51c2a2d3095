"""The page of a model."""

from ..documents import Document
from ..errors import ApiError
from ..models.state import tasks_that_use
from ..store import Store
from .views import project_of, reference, shortened

MOST_USERS = 50


def model_page(store: Store, request: Document) -> Document:
    model = store.get("model", request["model"])
    if model is None:
        raise ApiError(404, 0, f"There is no model {request['model']}.")
    design = model["design"]
    return {
        "model": model,
        "project": project_of(store, model),
        "task": reference(store, model.get("task")),
        "metadata": sorted(model["metadata"].values(), key=lambda item: item["key"]),
        "labels": sorted(model["labels"].items(), key=lambda item: item[1]),
        # The SDK stores a text as {"design": text}.
        "design": shortened(str(design.get("design", design))) if design else "",
        "users": [reference(store, task_id) for task_id in tasks_that_use(store, model["id"])[:MOST_USERS]],
    }
