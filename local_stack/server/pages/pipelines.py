"""A pipeline run: its steps as a graph, what they found, and what it was told to do."""

import json
from typing import Any

from ..store import Document, Store
from .charts import plot_names
from .console import tail
from .graph import Node, drawing
from .tasks import parameters_of
from .views import (
    found_task,
    heading,
    is_live,
    is_pipeline,
    model_row,
    seconds_run,
    task_path,
)

SECTION = "Pipeline"  # the controller's configuration object that holds the steps
# What the controller draws itself: the graph and the table of steps above show the same.
OWN_PLOTS = ("Pipeline", "Pipeline Details")
LAST_LINES = 12


def page(store: Store, request: dict) -> dict:
    task = found_task(store, request)
    if not is_pipeline(task):
        return {"elsewhere": task_path(task)}
    steps = steps_of(store, task)
    nodes = [Node(step["name"], step["parents"], step) for step in steps]
    plots = [name for name in plot_names(store, task["id"]) if name["metric"] not in OWN_PLOTS]
    return {
        **heading(store, task),
        "drawing": drawing(nodes) if nodes else None,
        "plots": plots,
        "charts": bool(plots) or is_live(task),
        "parameters": [
            section
            for section in parameters_of(store, task)
            if section["name"] not in ("properties", "pipeline")
        ],
        "models": _models(store, steps),
        "console": tail(store, task["id"], LAST_LINES),
    }


def steps_of(store: Store, controller: Document) -> list[dict]:
    """The steps in the order of the pipeline, with what the tasks that run them say of themselves."""
    steps = []
    for name, step in stored_json(controller, SECTION).items():
        if not isinstance(step, dict):
            continue
        task_id = step.get("job_id") or step.get("executed")
        task = store.get("task", task_id) if isinstance(task_id, str) else None
        parents = step.get("parents")
        steps.append(
            {
                "name": name,
                "parents": [parent for parent in parents if isinstance(parent, str)]
                if isinstance(parents, list)
                else [],
                "path": task and task_path(task),
                "task": task,
                "status": _status(step, task),
                "seconds": task and seconds_run(task),
            }
        )
    return steps


def stored_json(task: Document, name: str) -> dict[str, Any]:
    """A configuration object that the SDK stored as JSON; empty where it is not there or something else."""
    try:
        found = json.loads((task["configuration"].get(name) or {}).get("value") or "{}")
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _status(step: dict, task: Document | None) -> str:
    """The task knows how it fares before the controller, which looks at it from time to time."""
    if step.get("skip_job"):
        return "skipped"
    if task:
        return task["status"]
    status = step.get("status")
    return status if status in ("skipped", "cached", "failed", "aborted", "queued") else "pending"


def _models(store: Store, steps: list[dict]) -> list[dict]:
    """The models that the steps made."""
    made = [
        (step, store.get("model", item["model"]))
        for step in steps
        if step["task"]
        for item in step["task"]["models"]["output"]
    ]
    return [{**model_row(store, model), "step": step["name"]} for step, model in made if model]
