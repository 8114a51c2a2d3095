"""Lists of projects: which are listed for what is in them, and how much is in each.

The web UI draws its cards of projects, pipelines, datasets and reports from these numbers. Each is one pass
over the tasks, however many projects there are.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from ..documents import Document
from ..errors import validation_error
from ..lists import as_list, list_filter, list_test
from ..paths import parse_path, value_at
from ..query import HIDDEN
from ..store import Store
from ..tasks.state import TRANSITIONS
from .state import DATASET, DATASETS, PIPELINE, PIPELINES, REPORT, ancestors, projects_below

Test = Callable[[Document], bool]

# The fields of a request that this module reads.
SCHEMAS: Document = {
    "active_users": [str],
    "allow_public": bool,
    "check_own_contents": bool,
    "children_tags": [(str, type(None))],
    "children_tags_filter": dict,
    "children_type": {"pipeline", "report", "dataset"},
    "include_dataset_stats": bool,
    "include_stats": bool,
    "include_stats_filter": dict,
    "stats_for_state": (str, type(None)),  # null means each of them
    "stats_with_children": bool,
}
# Projects of these system tags are pipelines and datasets, but for the folders that hold them.
FOLDERS = {"pipeline": (PIPELINE, PIPELINES), "dataset": (DATASET, DATASETS)}
# What is counted for a type of children, where the request does not say it.
COUNTED: dict[str, Document] = {
    "pipeline": {"system_tags": [PIPELINE], "type": ["controller"]},
    "report": {"system_tags": [REPORT], "type": ["report"]},
    "dataset": {},
}
STATUSES = (*TRANSITIONS, "unknown")


# Which projects are listed


def candidates(store: Store, request: Document) -> list[Document] | None:
    """Return the projects that hold what the request asks for; None if it asks for nothing of the kind."""
    selected = _selected(store, request)
    if selected is None:
        return None
    return [project for project in store.all("project") if project["id"] in selected]


def _selected(store: Store, request: Document) -> set[str] | None:
    """Return the ids of the projects that hold what the request asks for, and of those above them.

    Return None for a request that asks for nothing of the kind.
    """
    users, kind = request.get("active_users"), request.get("children_type")
    if not users and not kind:
        return None
    tests = [field_test("user", users)] if users else []
    if tags := request.get("children_tags_filter") or request.get("children_tags"):
        tests += [field_test("tags", tags)] if kind else []
    below = projects_below(store, as_list(request.get("id", [])))

    def found(store_kind: str, place: str, *more: Test) -> Iterable[Document]:
        return (
            document
            for document in store.all(store_kind)
            if (below is None or document.get(place) in below)
            and all(test(document) for test in (*tests, *more))
        )

    if kind in FOLDERS:
        tag, folder = FOLDERS[kind]
        holders = {
            project["id"]
            for project in found("project", "parent", field_test("system_tags", [tag]))
            if project["basename"] != folder
        }
    elif kind:
        reports = found("task", "project", field_test("system_tags", [REPORT]))
        holders = {report.get("project") for report in reports}
    else:
        places = (("project", "id"), ("task", "project"), ("model", "project"))
        holders = {document.get(place) for name, place in places for document in found(name, place)}
    return {key for holder in holders if holder for key in (holder, *ancestors(store, holder))}


# What is told of them


def add_statistics(store: Store, projects: list[Document], request: Document) -> list[Document]:
    """Return the listed projects with the statistics that the request asks for."""
    if request.get("stats_for_state") not in (None, "active", "archived"):
        raise validation_error("stats_for_state should be active or archived")
    ids = [project["id"] for project in projects]
    added: dict[str, Document] = defaultdict(dict)
    if request.get("search_hidden"):
        for key in ids:
            if HIDDEN in store.get_required("project", key)["system_tags"]:
                added[key]["hidden"] = True
    if request.get("check_own_contents"):
        _add_own_contents(store, ids, request, added)
    if request.get("include_stats"):
        _add_stats(store, ids, request, added)
    if request.get("include_dataset_stats"):
        _add_dataset_stats(store, ids, request, added)
    return [{**project, **added[project["id"]]} for project in projects]


def _counted(request: Document) -> list[Test]:
    """Return the tests of what is counted: those of the request, or of its type of children."""
    kind, filters = request.get("children_type"), request.get("include_stats_filter")
    if not filters and kind:
        tags = request.get("children_tags_filter") or request.get("children_tags")
        filters = {**({"tags": tags} if tags else {}), **COUNTED[kind]}
    filters = dict(filters or {})
    if kind == "dataset":
        given = filters.get("system_tags")
        filters["system_tags"] = [*(given if isinstance(given, list) else []), DATASET]
    tests = [field_test(field, wanted) for field, wanted in filters.items()]
    return tests + ([field_test("user", request["active_users"])] if request.get("active_users") else [])


def _is_in_state(document: Document, request: Document) -> bool:
    state = request.get("stats_for_state", "active")
    return state is None or ("archived" in document["system_tags"]) == (state == "archived")


def _add_own_contents(store: Store, ids: list[str], request: Document, added: dict[str, Document]) -> None:
    """Count what is in the projects themselves, without those below them."""
    tests = _counted(request)
    if request.get("children_type") == "dataset":
        places = {"own_datasets": ("project", "parent")}
    else:
        places = {"own_tasks": ("task", "project"), "own_models": ("model", "project")}
    wanted = set(ids)
    for name, (kind, place) in places.items():
        counts = Counter(
            document[place]
            for document in store.all(kind)
            if document.get(place) in wanted
            and (kind == "project" or _is_in_state(document, request))
            and all(test(document) for test in tests)
        )
        for key in ids:
            added[key][name] = counts[key]


def _add_stats(store: Store, ids: list[str], request: Document, added: dict[str, Document]) -> None:
    kind = request.get("children_type")
    below = _below(store, ids, request)
    # Where something in a project counts: at the project itself and at those above it that are listed.
    counts_at = defaultdict(list, {key: [key] for key in ids})
    for key, children in below.items():
        for child in children:
            counts_at[child["id"]].append(key)
    stats = (_dataset_counts if kind == "dataset" else _task_counts)(store, ids, request, counts_at)
    for key in ids:
        names = sorted(({"id": p["id"], "name": p["name"]} for p in below[key]), key=lambda p: str(p["name"]))
        added[key] |= {"stats": stats[key], "sub_projects": names}


def _below(store: Store, ids: list[str], request: Document) -> dict[str, list[Document]]:
    """Return the projects at any depth below each one: hidden ones if they are asked for."""
    below: dict[str, list[Document]] = {key: [] for key in ids}
    if request.get("stats_with_children") is False:
        return below
    kind = request.get("children_type")
    hidden = request.get("search_hidden") or kind == "dataset"
    hidden = hidden or (kind and not request.get("include_stats_filter"))
    selected = _selected(store, request)
    for project in store.all("project"):
        if (hidden or HIDDEN not in project["system_tags"]) and (
            selected is None or project["id"] in selected
        ):
            for key in ancestors(store, project["id"]):
                if key in below:
                    below[key].append(project)
    return below


def _task_counts(
    store: Store, ids: list[str], request: Document, counts_at: dict[str, list[str]]
) -> dict[str, Document]:
    tests = _counted(request)
    state = request.get("stats_for_state", "active")
    states = [state] if state else ["archived", "active"]
    stats = {key: {name: _empty_counts() for name in states} for key in ids}
    recent = (datetime.now(UTC) - timedelta(hours=24)).isoformat()
    for task in store.all("task"):
        places = counts_at.get(task.get("project") or "")
        if not places or not _is_in_state(task, request) or not all(test(task) for test in tests):
            continue
        started, completed, status = task.get("started"), task.get("completed"), task["status"]
        # The texts of times sort as the times do: the server wrote them all in one way.
        seconds = _seconds(started, completed) if started and completed and completed > started else 0
        done = bool(completed and completed > recent and status not in ("queued", "in_progress", "failed"))
        name = "archived" if "archived" in task["system_tags"] else "active"
        for place in places:
            counts = stats[place][name]
            counts["status_count"][status] += 1
            counts["total_tasks"] += 1
            counts["total_runtime"] += seconds
            counts["completed_tasks_24h"] += done
            if started and started > (counts["last_task_run"] or ""):
                counts["last_task_run"] = started
    return stats


def _empty_counts() -> Document:
    return {
        "status_count": dict.fromkeys(STATUSES, 0),
        "total_tasks": 0,
        "total_runtime": 0,
        "completed_tasks_24h": 0,
        "last_task_run": None,
    }


def _seconds(started: str, completed: str) -> int:
    return int((datetime.fromisoformat(completed) - datetime.fromisoformat(started)).total_seconds())


def _dataset_counts(
    store: Store, ids: list[str], request: Document, counts_at: dict[str, list[str]]
) -> dict[str, Document]:
    """Count datasets, which are projects themselves."""
    tests = _counted(request)
    counts: Counter[str] = Counter()
    tags: dict[str, set[str]] = defaultdict(set)
    for project in store.all("project"):
        for place in counts_at.get(project["parent"] or "", ()):
            if all(test(project) for test in tests):
                counts[place] += 1
                tags[place] |= set(project["tags"])
    return {key: {"datasets": {"count": counts[key], "tags": sorted(tags[key])}} for key in ids}


def _add_dataset_stats(store: Store, ids: list[str], request: Document, added: dict[str, Document]) -> None:
    """Tell how many files the last version of each dataset has, and their size."""
    users = request.get("active_users")
    last: dict[str, Document] = {}
    wanted = set(ids)
    for task in store.all("task"):
        key = task.get("project")
        if key not in wanted or not task["runtime"] or "archived" in task["system_tags"]:
            continue
        newest = key not in last or task["last_update"] >= last[key]["last_update"]
        if newest and (not users or task["user"] in users):
            last[key] = task
    for key in ids:
        runtime = last[key]["runtime"] if key in last else None
        added[key]["dataset_stats"] = runtime and {
            "file_count": runtime.get("ds_file_count", 0),
            "total_size": runtime.get("ds_total_size", 0),
        }


# Filters


def field_test(field: str, wanted: Any) -> Test:
    """Return a test of documents by one field; raise the API's error for one that makes no sense."""
    if not wanted or not isinstance(wanted, list | dict):
        raise validation_error(f"{field} should be a list or an object that is not empty")
    if isinstance(wanted, list) and not all(isinstance(value, str) or value is None for value in wanted):
        raise validation_error(f"{field} should be a list of strings")
    test = (list_filter if isinstance(wanted, dict) else list_test)(field, wanted)
    path = parse_path(field)
    return lambda document: test(value_at(document, path))
