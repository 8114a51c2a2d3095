"""The page of a dataset's version: its ancestors, its files, and a preview."""

from ..documents import Document
from ..store import Store
from . import views
from .charts import plot_names
from .graph import WIDE, Node, draw_graph

STRUCTURE, CONTENT = "Dataset Struct", "Dataset Content"  # the SDK's configuration objects
OWN_PLOTS = ("__Dataset Genealogy", "__Dataset Summary")  # the SDK's plots of what the page shows itself
FILES_PER_PAGE = 100
MOST_VERSIONS = 100
CHANGES = (("add", "added"), ("modify", "modified"), ("remove", "removed"))


def dataset_page(store: Store, request: Document) -> Document:
    task = views.found_task(store, request)
    if not views.is_dataset(task):
        return {"redirect": views.task_path(task)}
    plots = [name for name in plot_names(store, task["id"]) if name["metric"] not in OWN_PLOTS]
    files = contents_of(task)
    search = request.get("file", "").strip().casefold()
    return {
        **views.heading(store, task),
        "runtime": task["runtime"],
        "changes": [
            (word, task["runtime"][f"ds_change_{key}"])
            for key, word in CHANGES
            if task["runtime"].get(f"ds_change_{key}")
        ],
        "parent": views.reference(store, task.get("parent")),
        "versions": _versions(store, task),
        "drawing": _lineage(store, task),
        "contents": views.paged(
            [f for f in files if search in f["name"].casefold()], request, FILES_PER_PAGE
        ),
        "plots": plots,
        "charts": bool(plots) or views.is_live(task),
        "artifacts": views.artifacts_of(task),
    }


def _versions(store: Store, task: Document) -> list[Document]:
    """Return all versions of this dataset, newest first."""
    found = [
        other
        for other in store.all("task")
        if views.is_dataset(other) and other.get("project") == task.get("project")
    ]
    found.sort(key=lambda other: other["created"], reverse=True)
    return [
        {**views.task_row(store, other), "current": other["id"] == task["id"]}
        for other in found[:MOST_VERSIONS]
    ]


def _lineage(store: Store, task: Document) -> Document:
    """Draw the datasets that this one was made from, and those made from it."""
    nodes = {task["id"]: Node(task["id"], [], _facts(store, task["id"], {}))}
    _add(store, nodes, task)
    for other in store.all("task"):
        # Most datasets have nothing to do with this one, and a search of their texts is fast.
        if views.is_dataset(other) and task["id"] in (other["configuration"].get(STRUCTURE) or {}).get(
            "value", ""
        ):
            _add(store, nodes, other)
    nodes[task["id"]].facts["current"] = True
    return draw_graph(list(nodes.values()), WIDE)


def _add(store: Store, nodes: dict[str, Node], task: Document) -> None:
    """Add a dataset's ancestors, stored by the SDK as {number: {"job_id", "parents": numbers, …}}."""
    structure = {
        number: item
        for number, item in views.stored_json(task, STRUCTURE).items()
        if isinstance(item, dict) and isinstance(item.get("job_id"), str)
    }
    for item in structure.values():
        key = item["job_id"]
        parents = item.get("parents")
        numbers = [str(number) for number in parents] if isinstance(parents, list) else []
        node = nodes.setdefault(key, Node(key, [], _facts(store, key, item)))
        found = [structure[number]["job_id"] for number in numbers if number in structure]
        node.parents += [parent for parent in found if parent not in (*node.parents, key)]


def _facts(store: Store, task_id: str, stored: Document) -> Document:
    """Return what a dataset's box says; of a deleted one, what its children stored."""
    task = store.get("task", task_id)
    if not task:
        return {
            "name": str(stored.get("name") or task_id),
            "version": str(stored.get("version") or ""),
            "status": "deleted",
            "path": None,
            "size": stored.get("job_size"),
        }
    return {
        "name": task["name"],
        "version": str(task["runtime"].get("version") or ""),
        "status": task["status"],
        "path": views.page_path(task),
        "size": task["runtime"].get("ds_total_size"),
    }


def contents_of(task: Document) -> list[Document]:
    """Read the SDK's list of the files: a header, then lines of name, size and hash.

    Names may hold commas; sizes and hashes do not.
    """
    text = (task["configuration"].get(CONTENT) or {}).get("value") or ""
    split = [line.rsplit(", ", 2) for line in text.split("\n")[1:]]
    return [
        {"name": parts[0], "size": int(parts[1][:20]) if parts[1].isdecimal() else None, "hash": parts[2]}
        for parts in split
        if len(parts) == 3
    ]
