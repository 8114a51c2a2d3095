"""Plots and debug images."""

from ..query import offset
from ..registry import endpoint
from ..schemas import METRICS_OF_TASKS
from ..store import Store
from .state import ALL_READ, COLUMNS, IMAGE, PLOT, event_of, metric_filter, reader, select


def _last_iterations(store: Store, owner: str, kind: str, metrics: list[dict], count: int) -> list[dict]:
    """The events of the last `count` iterations of every (metric, variant), oldest first."""
    filters, values = metric_filter(metrics)
    ranked = (
        f"SELECT {COLUMNS}, ROW_NUMBER() OVER (PARTITION BY metric, variant ORDER BY iter DESC) AS age "
        f"FROM events WHERE task = ? AND type = ?{filters}"
    )
    rows = store.db.execute(
        f"SELECT {COLUMNS} FROM ({ranked}) WHERE age <= ? ORDER BY metric, variant, iter",
        [owner, kind, *values, count],
    )
    return [event_of(row) for row in rows]


@endpoint("events.get_task_plots", "task")
def get_task_plots(store: Store, request: dict) -> dict:
    owner = reader(store, request)
    count = request.get("iters") or 1
    # All plots come in one answer, so a client that scrolls on finds nothing more.
    done = bool(request.get("scroll_id"))
    plots = [] if done else _last_iterations(store, owner, PLOT, request.get("metrics", []), count)
    return {"plots": plots, "returned": len(plots), "total": len(plots), "scroll_id": ALL_READ}


def newest_plot(store: Store, task_id: str, metric: str, variant: str) -> tuple[str, int] | None:
    """Of what was reported last of a plot: a mark, which no other report has, and its size in characters."""
    row = store.db.execute(
        "SELECT seq, timestamp, LENGTH(body) FROM events "
        "WHERE task = ? AND type = ? AND metric = ? AND variant = ? ORDER BY iter DESC LIMIT 1",
        (task_id, PLOT, metric, variant),
    ).fetchone()
    return row and ("_".join(map(str, row)), row[2])


@endpoint("events.get_multi_task_plots", "tasks")
def get_multi_task_plots(store: Store, request: dict) -> dict:
    """{metric: {variant: {task: {iteration: {"name", "plots"}}}}}"""
    plots: dict[str, dict] = {}
    count = 0
    for task_id in request["tasks"]:
        owner = reader(store, {**request, "task": task_id})
        name = (store.get("task", owner) or store.get("model", owner))["name"]
        for event in _last_iterations(store, owner, PLOT, [], request.get("iters") or 1):
            variants = plots.setdefault(event["metric"], {}).setdefault(event["variant"], {})
            place = variants.setdefault(task_id, {}).setdefault(
                str(event.get("iter") or 0), {"name": name, "plots": []}
            )
            place["plots"].append(event)
            count += 1
    return {"plots": plots, "returned": count, "total": count, "scroll_id": ALL_READ}


def _by_iteration(store: Store, request: dict, kind: str) -> dict:
    """The last iterations of the named tasks, newest first, each with its events."""
    count = request.get("iters") or 1
    first = 0
    if request.get("scroll_id"):
        first = offset(request["scroll_id"])
        if request.get("navigate_earlier") is False:
            first = max(0, first - 2 * count)
    wanted: dict[str, list] = {}
    for item in request["metrics"]:
        wanted.setdefault(item["task"], []).append(item)
    answer = []
    for task_id, items in wanted.items():
        owner = reader(store, {**request, "task": task_id})
        filters, values = metric_filter([item for item in items if item.get("metric")])
        iterations = store.db.execute(
            f"SELECT DISTINCT iter FROM events WHERE task = ? AND type = ?{filters} "
            "ORDER BY iter DESC LIMIT ? OFFSET ?",
            [owner, kind, *values, count, first],
        ).fetchall()
        groups = []
        for (iteration,) in iterations:
            condition = f"task = ? AND type = ?{filters} AND iter = ?"
            events = select(store, condition, [owner, kind, *values, iteration], "ORDER BY metric, variant")
            groups.append({"iter": iteration, "events": events})
        answer.append({"task": task_id, "iterations": groups})
    return {"metrics": answer, "scroll_id": str(first + count)}


@endpoint("events.debug_images", "metrics", metrics=METRICS_OF_TASKS)
def debug_images(store: Store, request: dict) -> dict:
    return _by_iteration(store, request, IMAGE)


@endpoint("events.plots", "metrics", metrics=METRICS_OF_TASKS)
def plots(store: Store, request: dict) -> dict:
    return _by_iteration(store, request, PLOT)


@endpoint("events.get_debug_image_sample", "task", "metric", "variant")
def get_debug_image_sample(store: Store, request: dict) -> dict:
    """One image: that of the iteration asked for, or the last one."""
    owner = reader(store, request)
    condition, values = "task = ? AND type = ? AND metric = ? AND variant = ?", [owner, IMAGE]
    values += [request["metric"], request["variant"]]
    (low, high) = store.db.execute(
        f"SELECT MIN(iter), MAX(iter) FROM events WHERE {condition}", values
    ).fetchone()
    events = select(store, f"{condition} AND iter = ?", [*values, request.get("iteration", high)])
    answer = {"min_iteration": low, "max_iteration": high, "scroll_id": ALL_READ}
    return {**answer, "event": events[0] if events else None}
