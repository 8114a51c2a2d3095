"""The endpoints of plots and debug images."""

from ..documents import Document
from ..query import offset
from ..registry import Service
from ..schemas import METRICS_OF_TASKS
from ..store import Store
from . import state
from .samples import first_sample, next_sample
from .scrolls import begin_scroll, find_scroll

MOST_PLOTS, MOST_CHARACTERS = 1000, 32 * 2**20  # on a page of plots

service = Service()


@service.endpoint("events.get_task_plots", "task")
def get_task_plots(store: Store, request: Document) -> Document:
    """Return the last plots of every variant. All come in one answer: there is nothing to scroll to."""
    owner_id, metrics = state.owner_of(store, request)["id"], request.get("metrics", [])
    plots = state.last_plots(store, owner_id, metrics, request.get("iters") or 1)
    return {"plots": plots, "returned": len(plots), "total": len(plots), "scroll_id": None}


@service.endpoint("events.get_multi_task_plots", "tasks")
def get_multi_task_plots(store: Store, request: Document) -> Document:
    """Return a page of {metric: {variant: {task: {iteration: {"name", "plots"}}}}}, the newest first."""
    owners = {owner["id"]: owner for owner in state.owners_of(store, request)}
    metrics, iterations = request.get("metrics", []), request.get("iters") or 1
    per_metric = request.get("last_iters_per_task_metric", True)
    found = []
    for owner_id in owners:
        found += state.plots_of_last_iterations(store, owner_id, metrics, iterations, per_metric)
    found.sort(reverse=True)
    first = offset(request["scroll_id"]) if request.get("scroll_id") else 0
    page: list[int] = []
    room = MOST_CHARACTERS
    for _, seq, size in found[first : first + MOST_PLOTS]:
        if page and size > room:
            break
        page.append(seq)
        room -= size
    plots: dict[str, Document] = {}
    for event in state.events_of_seqs(store, page):
        variants = plots.setdefault(event.get("metric") or "", {})
        tasks = variants.setdefault(event.get("variant") or "", {})
        by_iteration = tasks.setdefault(event["task"], {})
        group = {"name": owners[event["task"]]["name"], "plots": []}
        by_iteration.setdefault(str(event.get("iter") or 0), group)["plots"].append(event)
    # ClearML's server counts metrics here. Clients look whether there are any.
    scroll_id = str(first + len(page))
    return {"plots": plots, "returned": len(plots), "total": len(found), "scroll_id": scroll_id}


def _by_iteration(store: Store, request: Document, kind: str) -> Document:
    """Return the last iterations of the tasks, or those before or after the last answer; newest first."""
    metrics_by_task: dict[str, list[Document]] = {}
    whole = set()
    for item in request["metrics"]:
        metrics = metrics_by_task.setdefault(item["task"], [])
        if item.get("metric") is None:
            whole.add(item["task"])
        else:
            metrics.append(item)
    owners = {task_id: state.owner_of(store, request, task_id) for task_id in metrics_by_task}
    scroll = find_scroll(store, request.get("scroll_id"))
    if scroll is None or scroll.get("kind") != kind:
        scroll = begin_scroll(store, {"kind": kind, "seen": {}})
    if request.get("refresh"):
        scroll["seen"] = {}
    answer = []
    for task_id, owner in owners.items():
        seen = scroll["seen"].get(task_id)
        beyond = None
        if seen:
            beyond = ("<", seen[-1]) if request.get("navigate_earlier", True) else (">", seen[0])
        metrics = [] if task_id in whole else metrics_by_task[task_id]
        count = request.get("iters") or 1
        iterations = state.events_by_iteration(store, owner["id"], kind, metrics, count, beyond=beyond)
        if iterations:
            scroll["seen"][task_id] = (iterations[0]["iter"], iterations[-1]["iter"])
        answer.append({"task": task_id, "iterations": iterations})
    return {"metrics": answer, "scroll_id": scroll["id"]}


@service.endpoint("events.debug_images", "metrics", metrics=METRICS_OF_TASKS, refresh=bool)
def get_debug_images(store: Store, request: Document) -> Document:
    return _by_iteration(store, request, state.IMAGE)


@service.endpoint("events.plots", "metrics", metrics=METRICS_OF_TASKS, refresh=bool)
def get_plots(store: Store, request: Document) -> Document:
    return _by_iteration(store, request, state.PLOT)


@service.endpoint("events.get_debug_image_sample", "task", "metric", "variant", navigate_current_metric=bool)
def get_debug_image_sample(store: Store, request: Document) -> Document:
    return first_sample(store, state.IMAGE, state.owner_of(store, request)["id"], request)


@service.endpoint("events.next_debug_image_sample", "task", "scroll_id", next_iteration=bool)
def get_next_debug_image_sample(store: Store, request: Document) -> Document:
    return next_sample(store, state.IMAGE, state.owner_of(store, request)["id"], request)


@service.endpoint("events.get_plot_sample", "task", "metric", navigate_current_metric=bool)
def get_plot_sample(store: Store, request: Document) -> Document:
    return first_sample(store, state.PLOT, state.owner_of(store, request)["id"], request)


@service.endpoint("events.next_plot_sample", "task", "scroll_id", next_iteration=bool)
def get_next_plot_sample(store: Store, request: Document) -> Document:
    return next_sample(store, state.PLOT, state.owner_of(store, request)["id"], request)
