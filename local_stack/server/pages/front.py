"""The front page: what runs, what failed, what is champion, what fires, what ran last, and all projects."""

import re
from datetime import UTC, datetime, timedelta
from functools import partial
from heapq import nlargest

from ..documents import Document
from ..monitoring_file import Monitoring
from ..query import HIDDEN
from ..store import Store
from . import views
from .console import tail
from .grafana_answers import alerts
from .grafana_variables import Ask
from .panels import TROUBLES, asking
from .pipelines import steps_of

CHAMPION = "champion"  # the tag of the published model that is to be served
RECENT = 8
SHOWN = 5  # in each list
DAYS = 7  # for which a failure is news
METRICS = 4  # of the champion
LAST_LINES = 30  # of a console, in which the error is looked for
ERROR = re.compile(r"[\w.]+(Error|Exception|Exit|Interrupt)\b")
SERVICES = ("service", "monitor", "inference")  # types of tasks that run for good
PROMETHEUS_SECONDS = 1


def front_page(store: Store, request: Document) -> Document:
    """Answer at a glance; with a name or a number of a page, list projects alone."""
    tasks, text = store.all("task"), request.get("name", "").strip().casefold()
    shown = [
        project
        for project in store.all("project")
        if HIDDEN not in project["system_tags"] and text in project["name"].casefold()
    ]
    shown.sort(key=lambda project: project["name"].casefold())
    found = {"projects": views.paged(shown, request), "counts": _counts(tasks), "live": True}
    if request.get("name") or request.get("page") or not (shown or tasks):
        return found
    others = (task for task in tasks if task["status"] != "in_progress" and task["type"] not in SERVICES)
    return {
        **found,
        "glance": {**_running(store, tasks), "failed": _failed(store, tasks), "champion": _champion(store)},
        "days": DAYS,
        "recent": [views.task_row(store, task) for task in nlargest(RECENT, others, key=_change)],
        "later": partial(_firing, asking(Monitoring.read(request.get("monitoring")), PROMETHEUS_SECONDS)),
    }


def _change(task: Document) -> str:
    return str(task["last_update"])


def _counts(tasks: list[Document]) -> dict[str | None, Document]:
    """Return by project how many tasks it has, how many of them run, and when one changed last."""
    counts: dict[str | None, Document] = {}
    for task in tasks:
        count = counts.setdefault(task.get("project"), {"tasks": 0, "running": 0, "last": ""})
        count["tasks"] += 1
        count["running"] += task["status"] == "in_progress"
        count["last"] = max(count["last"], task["last_update"])
    return counts


def _running(store: Store, tasks: list[Document]) -> Document:
    """Return the tasks that run, services last; a pipeline that runs stands for its steps."""
    running = [task for task in tasks if task["status"] == "in_progress"]
    pipelines = {task["id"] for task in running if views.is_pipeline(task)}
    found = [task for task in running if task.get("parent") not in pipelines]
    found.sort(key=_change, reverse=True)
    found.sort(key=lambda task: task["type"] in SERVICES)
    rows = [
        {**views.task_row(store, task), "progress": _progress(store, task) if task["id"] in pipelines else ""}
        for task in found[:SHOWN]
    ]
    return {"running": rows, "more": len(found) - SHOWN}


def _progress(store: Store, pipeline: Document) -> str:
    steps = steps_of(store, pipeline)
    done = sum(step["status"] in ("completed", "published", "closed", "cached", "skipped") for step in steps)
    now = ", ".join(step["name"] for step in steps if step["status"] == "in_progress")
    return f"{done} of {len(steps)} steps done" + (f"; now {now}" if now else "")


def _failed(store: Store, tasks: list[Document]) -> list[Document]:
    """Return the tasks that failed last, and why."""
    since = (datetime.now(UTC) - timedelta(days=DAYS)).isoformat()
    failed = (task for task in tasks if task["status"] == "failed" and task["last_update"] > since)
    return [
        {
            **views.task_row(store, task),
            "reason": _reason(store, task),
            "console": f"{views.task_path(task)}/output/log",
        }
        for task in nlargest(SHOWN, failed, key=_change)
    ]


def _reason(store: Store, task: Document) -> str:
    """Return the error that the console ends with, or what the task's status says."""
    lines = reversed(tail(store, task["id"], LAST_LINES))
    stored = task["status_reason"] or task["status_message"] or ""
    return next((line for line in lines if ERROR.match(line)), stored)


def _champion(store: Store) -> Document | None:
    """Return the newest champion, and the values of the task that made it."""
    champions = [model for model in store.all("model") if model["ready"] and CHAMPION in model["tags"]]
    if not champions:
        return None
    model = max(champions, key=lambda model: model["created"])
    task = store.get("task", model.get("task"))
    return {**views.model_row(store, model), "values": views.last_values(task)[:METRICS] if task else []}


def _firing(ask: Ask) -> Document:
    """Return the alerts that fire, as Prometheus tells of them, the oldest first; None if it does not."""
    try:
        found = alerts(ask)
    except TROUBLES:
        return {"alerts": None}
    firing = [alert for alert in found if alert["state"] == "firing"]
    return {"alerts": firing[:SHOWN], "more_alerts": len(firing) - SHOWN}
