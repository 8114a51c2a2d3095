"""The page of a pipeline run: its steps as a graph, their results, and its parameters."""

from ..documents import Document
from ..store import Store
from . import views
from .charts import plot_names
from .console import tail
from .graph import Node, draw_graph

SECTION = "Pipeline"  # the controller's configuration object that holds the steps
# The controller's own plots: the page shows the same itself.
OWN_PLOTS = ("Pipeline", "Pipeline Details")
LAST_LINES = 12


def pipeline_page(store: Store, request: Document) -> Document:
    task = views.found_task(store, request)
    if not views.is_pipeline(task):
        return {"redirect": views.task_path(task)}
    steps = steps_of(store, task)
    nodes = [Node(step["name"], step["parents"], step) for step in steps]
    plots = [name for name in plot_names(store, task["id"]) if name["metric"] not in OWN_PLOTS]
    return {
        **views.heading(store, task),
        "drawing": draw_graph(nodes) if nodes else None,
        "plots": plots,
        "charts": bool(plots) or views.is_live(task),
        "parameters": [
            section
            for section in views.parameters_of(task)
            if section["name"] not in ("properties", "pipeline")
        ],
        "models": _models(store, steps),
        "console": tail(store, task["id"], LAST_LINES),
    }


def steps_of(store: Store, controller: Document) -> list[Document]:
    """Return the steps in the order of the pipeline, with the tasks that run them."""
    steps = []
    for name, step in views.stored_json(controller, SECTION).items():
        if not isinstance(step, dict):
            continue
        task_id, parents = step.get("job_id") or step.get("executed"), step.get("parents")
        task = store.get("task", task_id) if isinstance(task_id, str) else None
        parents = parents if isinstance(parents, list) else []
        steps.append(
            {
                "name": name,
                "parents": [parent for parent in parents if isinstance(parent, str)],
                "path": task and views.task_path(task),
                "task": task,
                "status": _status(step, task),
                "seconds": task and views.seconds_run(task),
            }
        )
    return steps


def _status(step: Document, task: Document | None) -> str:
    """Return the step's status: the task's own, which the controller only reads from time to time."""
    if step.get("skip_job"):
        return "skipped"
    if task:
        return task["status"]
    status = step.get("status")
    return status if status in ("skipped", "cached", "failed", "aborted", "queued") else "pending"


def _models(store: Store, steps: list[Document]) -> list[Document]:
    """Return the models that the steps made."""
    made = [
        (step, store.get("model", item["model"]))
        for step in steps
        if step["task"]
        for item in step["task"]["models"]["output"]
    ]
    return [{**views.model_row(store, model), "step": step["name"]} for step, model in made if model]
