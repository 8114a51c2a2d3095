"""The page of a pipeline run: its steps as a graph, one of them beside it, results, and its parameters."""

from typing import Any
from urllib.parse import urlencode

from ..documents import Document, stored_json
from ..store import Store
from . import views
from .charts import plot_names
from .console import tail
from .graph import Node, draw_graph
from .rendering import text_number

SECTION = "Pipeline"  # the controller's configuration object that holds the steps
# The controller's own plots: the page shows the same itself.
OWN_PLOTS = ("Pipeline", "Pipeline Details")
LAST_LINES = 12


def pipeline_page(store: Store, request: Document) -> Document:
    task = views.found_task(store, request)
    if not views.is_pipeline(task):
        return {"redirect": views.task_path(task)}
    steps = steps_of(store, task, request.get("step"))
    nodes = [Node(step["name"], step["parents"], step) for step in steps]
    plots = [name for name in plot_names(store, task["id"]) if name["metric"] not in OWN_PLOTS]
    return {
        **views.heading(store, task),
        "drawing": draw_graph(nodes) if nodes else None,
        "steps": steps,
        "step": next((_opened(store, step) for step in steps if step["current"]), None),
        "plots": plots,
        "charts": bool(plots) or views.is_live(task),
        "parameters": [
            section
            for section in views.parameters_of(task)
            if section["name"] not in ("properties", "pipeline")
        ],
        "models": [
            {**model, "step": step["name"]}
            for step in steps
            if step["task"]
            for model in views.models_of(store, step["task"], "output")
        ],
        "console": tail(store, task["id"], LAST_LINES),
    }


def steps_of(store: Store, controller: Document, current: str | None = None) -> list[Document]:
    """Return the steps in the order of the pipeline, with the tasks that run them.

    A step that took the task of an earlier run is `reused` from that run, and has no times of its own.
    """
    steps = []
    waits = not controller.get("started") or _is_copied(store, controller)
    for name, step in stored_json(controller, SECTION).items():
        if not isinstance(step, dict):
            continue
        status, task, reused = ("pending", None, None) if waits else _executed(store, controller, step)
        steps.append(
            {
                "name": name,
                "current": name == current,
                "parents": [parent for parent in _as(list, step.get("parents")) if isinstance(parent, str)],
                "parameters": list(_as(dict, step.get("parameters")).items()),
                "path": f"?{urlencode({'step': name}, errors='replace')}#step",
                "task": task,
                "reused": reused,
                "status": status,
                "seconds": views.seconds_run(task) if task and not reused else None,
            }
        )
    return steps


def _is_copied(store: Store, controller: Document) -> bool:
    """Return whether a controller at work has still the steps of another run, of which it is a clone."""
    text = (controller["configuration"].get(SECTION) or {}).get("value")
    return views.is_live(controller) and any(
        other["id"] != controller["id"] and (other["configuration"].get(SECTION) or {}).get("value") == text
        for other in store.all("task")
        if other.get("project") == controller.get("project") and views.is_pipeline(other)
    )


def _as(kind: type, value: Any) -> Any:
    return value if isinstance(value, kind) else kind()


def _executed(
    store: Store, controller: Document, step: Document
) -> tuple[str, Document | None, Document | None]:
    """Return a step's status, its task and, if that was not run for this step, a link to the run that did.

    The SDK calls such a step "cached", but "completed" after a restart of the controller. It stores times of
    tasks that it has run itself; with those, a task of another run is what a clone has of its original.
    """
    task_id = step.get("job_id") or step.get("executed")
    task = store.get("task", task_id) if isinstance(task_id, str) else None
    run = store.get("task", task.get("parent")) if task else None
    is_foreign = run is not None and run["id"] != controller["id"] and views.is_pipeline(run)
    if task and (step.get("status") == "cached" or (is_foreign and not step.get("job_started"))):
        return "cached", task, views.link_to(run or task)
    if is_foreign:
        return "pending", None, None
    if step.get("skip_job"):
        return "skipped", task, None
    if task:  # the controller reads the task's status only from time to time
        return task["status"], task, None
    status = step.get("status")
    known = ("skipped", "cached", "failed", "aborted", "queued")
    return status if status in known else "pending", None, None


def _opened(store: Store, step: Document) -> Document:
    """Return a step with what the page shows beside the graph: of its parameters, those that were given."""
    task = step["task"]
    if not task:
        return step
    given = {name.rpartition("/")[2] for name, _ in step["parameters"]}
    items = [item for section in task["hyperparams"].values() for item in section.values()]
    return {
        **step,
        "page": views.task_path(task),
        "parameters": [
            (item["name"], item.get("value")) for item in items if not given or item["name"] in given
        ],
        "last_values": [(value["name"], text_number(value["value"])) for value in views.last_values(task)],
        "lines": tail(store, task["id"], LAST_LINES),
    }
