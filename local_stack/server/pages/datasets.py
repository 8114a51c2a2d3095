"""The page of a dataset's version: its lineage, its files, and a preview."""

from urllib.parse import urlencode

from ..documents import Document
from ..store import Store
from . import views
from .charts import plot_names
from .lineage import lineage

CONTENT = "Dataset Content"  # the SDK's configuration object
OWN_PLOTS = ("__Dataset Genealogy", "__Dataset Summary")  # the SDK's plots of what the page shows itself
FILES_PER_PAGE = 100
MOST_VERSIONS = 100
TABLES = (".csv", ".csv.gz", ".tsv", ".parquet")  # of which the pages read
CHANGES = (("add", "added"), ("modify", "modified"), ("remove", "removed"))


def dataset_page(store: Store, request: Document) -> Document:
    task = views.found_task(store, request)
    if not views.is_dataset(task):
        return {"redirect": views.task_path(task)}
    plots = [name for name in plot_names(store, task["id"]) if name["metric"] not in OWN_PLOTS]
    search = request.get("file", "").strip().casefold()
    files = [file for file in contents_of(task) if search in file["name"].casefold()]
    page = views.paged(files, request, FILES_PER_PAGE)
    shown = [{**file, "path": preview_path(task, file["name"])} for file in page["items"]]
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
        "drawing": lineage(store, task),
        "contents": {**page, "items": shown},
        "changes_path": f"{views.page_path(task)}/changes",
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
    rows = [views.task_row(store, other) for other in found[:MOST_VERSIONS]]
    return [{**row, "current": row["id"] == task["id"]} for row in rows]


def is_table(name: str) -> bool:
    return name.lower().endswith(TABLES)


def preview_path(task: Document, name: str) -> str | None:
    """Return the address of the preview of a dataset's file; None if it is no table."""
    query = urlencode({"file": name}, errors="replace")
    return f"{views.page_path(task)}/preview?{query}" if is_table(name) else None


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
