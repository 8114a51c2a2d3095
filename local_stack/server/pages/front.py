"""The front page: what runs, what failed, what is champion, what fires, what ran last, and all projects."""

import re
from datetime import UTC, datetime, timedelta
from functools import partial
from heapq import nlargest
from pathlib import Path

from ..documents import Document
from ..monitoring_file import Monitoring
from ..query import HIDDEN
from ..store import Store
from ..workers.state import alive_workers
from . import views
from .console import tail
from .grafana_answers import alerts
from .lineage import endpoints_of
from .panels import asking
from .pipelines import steps_of

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
        "glance": {
            **_now(store, [task for task in tasks if task["status"] == "in_progress"]),
            "waiting": _waiting(store),
            "failed": _failed(store, tasks),
            "days": DAYS,
            "champion": _champion(store),
        },
        "recent": [views.task_row(store, task) for task in nlargest(RECENT, others, key=_change)],
        "later": partial(_firing, request.get("monitoring")),
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


def _now(store: Store, running: list[Document]) -> Document:
    """Return the pipelines that run, and the tasks that do and are no steps of these, services last."""
    pipelines = [task for task in running if views.is_pipeline(task)]
    theirs = {task["id"] for task in pipelines}
    others = [task for task in running if task["id"] not in theirs and task.get("parent") not in theirs]
    others.sort(key=_change, reverse=True)
    others.sort(key=lambda task: task["type"] in SERVICES)
    return {
        "pipelines": [_progress(store, task) for task in nlargest(SHOWN, pipelines, key=_change)],
        "running": [
            {**views.link_to(task), "type": task["type"], "seconds": views.seconds_run(task)}
            for task in others[:SHOWN]
        ],
        "more": max(0, len(pipelines) - SHOWN) + max(0, len(others) - SHOWN),
    }


def _progress(store: Store, pipeline: Document) -> Document:
    steps = steps_of(store, pipeline)
    ended = ("completed", "published", "closed", "cached", "skipped")
    return {
        **views.link_to(pipeline),
        "steps": len(steps),
        "done": sum(step["status"] in ended for step in steps),
        "at": [step["name"] for step in steps if step["status"] == "in_progress"][:SHOWN],
    }


def _waiting(store: Store) -> list[Document]:
    """Return the queues in which tasks wait, the longest first, each with how many workers listen."""
    heard = [queue for worker in alive_workers(store) for queue in worker["queues"]]
    waiting = [queue for queue in store.all("queue") if queue["entries"]]
    return [
        {"name": queue["name"], "count": len(queue["entries"]), "listen": heard.count(queue["id"])}
        for queue in nlargest(SHOWN, waiting, key=lambda queue: len(queue["entries"]))
    ]


def _failed(store: Store, tasks: list[Document]) -> list[Document]:
    """Return the tasks that failed last, and why."""
    since = (datetime.now(UTC) - timedelta(days=DAYS)).isoformat()
    failed = (task for task in tasks if task["status"] == "failed" and task["last_update"] > since)
    return [
        {
            **views.link_to(task),
            "reason": _reason(store, task),
            "console": f"{views.task_path(task)}/output/log",
            "when": task["last_update"],
        }
        for task in nlargest(SHOWN, failed, key=_change)
    ]


def _reason(store: Store, task: Document) -> str:
    """Return the error that the console ends with, or what the task's status says."""
    lines = reversed(tail(store, task["id"], LAST_LINES))
    stored = task["status_reason"] or task["status_message"] or ""
    return next((line for line in lines if ERROR.match(line)), stored)


def _champion(store: Store) -> Document | None:
    """Return the newest champion, the values of the task that made it, and the endpoints that have it."""
    champions = [model for model in store.all("model") if model["ready"] and views.CHAMPION in model["tags"]]
    if not champions:
        return None
    model = max(champions, key=lambda model: model["created"])
    task = store.get("task", model.get("task"))
    return {
        **views.model_row(store, model),
        "values": views.last_values(task)[:METRICS] if task else [],
        "endpoints": _endpoints(store, model["id"])[:SHOWN],
    }


def _endpoints(store: Store, model_id: str) -> list[str]:
    """Return the endpoints of running services that have the model."""
    services = [
        task
        for task in store.referring("task", "models", model_id)
        if "serving-control-plane" in task["system_tags"] and task["status"] == "in_progress"
    ]
    return [url for task in services for url, each in endpoints_of(task).items() if each["model"] == model_id]


def _firing(file: Path | None) -> Document:
    """Return the alerts that fire, as Prometheus tells of them, the newest first; None if it does not."""
    try:
        firing = [
            alert
            for alert in alerts(asking(Monitoring.read(file), PROMETHEUS_SECONDS))
            if alert["state"] == "firing"
        ]
    except (OSError, ValueError, LookupError, TypeError):
        return {"alerts": None}
    return {"alerts": firing[-SHOWN:][::-1], "more_alerts": len(firing) - SHOWN}
