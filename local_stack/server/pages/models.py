"""The page of a model, and what models were judged by."""

from ..documents import Document
from ..errors import ApiError
from ..events.state import plots_that_name
from ..store import Store
from .lineage import lineage, users_of
from .pipelines import OWN_PLOTS
from .views import last_values, link_to, project_of, reference, shortened, task_path

MOST_USERS = 50
MOST_JUDGES = 10


def model_page(store: Store, request: Document) -> Document:
    model = store.get("model", request["model"])
    if model is None:
        raise ApiError(404, 0, f"There is no model {request['model']}.")
    design = model["design"]
    maker = store.get("task", model.get("task"))
    return {
        "model": model,
        "project": project_of(store, model),
        "task": reference(store, model.get("task")),
        "values": last_values(maker) if maker else [],
        "judges": _judges(store, model),
        "drawing": lineage(store, model),
        "metadata": sorted(model["metadata"].values(), key=lambda item: item["key"]),
        "labels": sorted(model["labels"].items(), key=lambda item: item[1]),
        # The SDK stores a text as {"design": text}.
        "design": shortened(str(design.get("design", design))) if design else "",
        "users": [link_to(task) for task in store.referring("task", "input", model["id"])[:MOST_USERS]],
    }


def _judges(store: Store, model: Document) -> list[Document]:
    """Return the tasks with plots that name the model or its training, if they took one of them in.

    A step of a pipeline may have drawn it on the pipeline's own page.
    """
    keys = [key for key in (model["id"], model.get("task")) if key]
    users = [user for key in keys for user in users_of(store, key)[:MOST_JUDGES]]
    drawers = dict.fromkeys(key for user in users for key in (user["id"], user.get("parent")))
    judges = []
    for drawer in (task for key in drawers if key not in keys and (task := store.get("task", key))):
        if drawer["type"] in ("inference", "service"):
            continue
        found = plots_that_name(store, drawer["id"], [key[:8] for key in keys])
        if plots := [metric for metric in found if metric not in OWN_PLOTS]:
            judges.append({**link_to(drawer), "plots": plots, "plots_path": f"{task_path(drawer)}/plots"})
    return judges
