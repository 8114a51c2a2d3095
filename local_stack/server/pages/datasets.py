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
    lines = _lines_of(task)
    found = [line for line in lines if search in line.rsplit(", ", 2)[0].casefold()] if search else lines
    page = views.paged(found, request, FILES_PER_PAGE)
    files = map(_file_of, page["items"])  # there may be very many others
    shown = [{**file, "path": preview_path(task, file["name"])} for file in files]
    return {
        **views.heading(store, task),
        "runtime": task["runtime"],
        "changes": [
            (word, task["runtime"][f"ds_change_{key}"])
            for key, word in CHANGES
            if task["runtime"].get(f"ds_change_{key}")
        ],
        "parent": views.reference(store, task.get("parent")),
        "versions": [
            {**views.task_row(store, other), "id": other["id"], "current": other is task}
            for other in versions_of(store, task)[:MOST_VERSIONS]
        ],
        "drawing": lineage(store, task),
        "contents": {**page, "items": shown},
        "changes_path": f"{views.page_path(task)}/changes",
        "plots": plots,
        "charts": bool(plots) or views.is_live(task),
        "artifacts": views.artifacts_of(task),
    }


def versions_of(store: Store, task: Document) -> list[Document]:
    """Return all versions of this dataset, newest first."""
    found = [
        other
        for other in store.all("task")
        if views.is_dataset(other) and other.get("project") == task.get("project")
    ]
    return sorted(found, key=lambda other: other["created"], reverse=True)


def is_table(name: str) -> bool:
    return name.lower().endswith(TABLES)


def preview_path(task: Document, name: str) -> str | None:
    """Return the address of the preview of a dataset's file; None if it is no table."""
    query = urlencode({"file": name}, errors="replace")
    return f"{views.page_path(task)}/preview?{query}" if is_table(name) else None


def contents_of(task: Document) -> list[Document]:
    """Return the name, size and hash of each file."""
    return list(map(_file_of, _lines_of(task)))


def _lines_of(task: Document) -> list[str]:
    """Read the SDK's list of the files: a header, then lines of name, size and hash."""
    text = (task["configuration"].get(CONTENT) or {}).get("value") or ""
    return [line for line in text.split("\n")[1:] if line.count(", ") > 1]


def _file_of(line: str) -> Document:
    name, size, digest = line.rsplit(", ", 2)  # names may hold commas
    return {"name": name, "size": int(size[:20]) if size.isdecimal() else None, "hash": digest}
