"""The pages of a dataset's tables: the beginning of one, and how two versions differ."""

import json
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Semaphore
from urllib.parse import unquote

from ..documents import Document
from ..errors import ApiError
from ..files.state import FileStore
from ..references import structure_of
from ..store import Store
from . import views
from .datasets import contents_of, is_table

READER = Path(__file__).with_name("table_reader.py")
SECONDS = 60
MOST_ANCESTORS, MOST_ARCHIVES = 200, 200  # of a dataset, and of each of them: where its files are looked for
MOST_TABLES, MOST_CHOICES = 5, 200
READING = Semaphore(1)  # one at a time: the machine has other things to do


def preview_page(store: Store, request: Document) -> Document:
    task, name = _dataset(store, request), request.get("file", "")
    sides = [_side(store, request, task)]

    def read() -> Document:
        found = _read(sides, [name]) if is_table(name) else [{"problem": "It is not a CSV or Parquet file."}]
        return {"table": found[0]}

    return {**views.heading(store, task), "file": name, "dataset": views.link_to(task), "later": read}


def changes_page(store: Store, request: Document) -> Document:
    """Compare a version with another one, which the request may name."""
    task = _dataset(store, request)
    versions = _other_versions(store, task)
    named = request.get("against")
    other = _dataset(store, {"task": named}) if named else next(iter(versions), None)
    found = {
        **views.heading(store, task),
        "dataset": views.link_to(task),
        "versions": [(each["id"], _title(each), each is other) for each in versions],
        "other": other and {**views.link_to(other), "title": _title(other)},
        "charts": True,
    }
    if other is None:
        return found
    sides = [_side(store, request, each) for each in (other, task)]
    # In drawings that are small, the version is enough.
    titles = [_title(each).removeprefix(f"{task['name']} ") for each in (other, task)]

    def compare() -> Document:
        files = compared_files(contents_of(other), contents_of(task))
        changed = [file["name"] for file in files["changed"] if is_table(file["name"])]
        tables = _read(sides, changed[:MOST_TABLES]) if changed else []
        for table in tables:
            for column in table.get("numbers", ()):
                column["figure"] = json.dumps({"version": "1", "figure": _figure(column, titles)})
        return {"files_by_change": files, "tables": tables, "tables_left_out": len(changed) - len(tables)}

    return {**found, "later": compare}


def _dataset(store: Store, request: Document) -> Document:
    task = views.found_task(store, request)
    if not views.is_dataset(task):
        raise ApiError(404, 0, f"Task {task['id']} is not a dataset.")
    return task


def _title(task: Document) -> str:
    return f"{task['name']} {task['runtime'].get('version') or task['id'][:8]}"


def _other_versions(store: Store, task: Document) -> list[Document]:
    """Return what the version may be compared with, the usual first.

    That is its parent of the same dataset, or the version before, other versions, and its other parents.
    """
    keys = structure_of(task).get(task["id"], {}).get("parents", [])
    parents = [parent for key in keys if (parent := store.get("task", key)) and views.is_dataset(parent)]
    same = [
        other
        for other in store.all("task")
        if views.is_dataset(other) and other.get("project") == task.get("project") and other is not task
    ]
    same.sort(key=lambda other: other["created"], reverse=True)
    same.sort(key=lambda other: (other not in parents, other["created"] > task["created"]))
    return [*same, *(parent for parent in parents if parent not in same)][:MOST_CHOICES]


def compared_files(before: list[Document], after: list[Document]) -> dict[str, list[Document]]:
    """Return the files by what happened to them, each with its size before and after."""
    old, new = ({file["name"]: file for file in files} for files in (before, after))
    found: dict[str, list[Document]] = {"added": [], "removed": [], "changed": [], "same": []}
    for name in sorted(old | new):
        was, is_now = old.get(name), new.get(name)
        both = "same" if was == is_now else "changed"
        change = "added" if was is None else "removed" if is_now is None else both
        found[change].append({"name": name, "sizes": [file and file["size"] for file in (was, is_now)]})
    return found


def _side(store: Store, request: Document, task: Document) -> Document:
    """Return where the files of a dataset are: the list of them, and the archives of it and its ancestors."""
    keys = [task["id"], *structure_of(task)][:MOST_ANCESTORS]
    found = {key: _artifacts(holder, request) for key in keys if (holder := store.get("task", key))}
    return {"state": found[task["id"]].get("state"), "archives": found}


def _artifacts(task: Document, request: Document) -> dict[str, str]:
    """Return the paths of a task's artifacts that are in this server's file store."""
    files: FileStore = request["stored"]
    found = {}
    for artifact in task["execution"]["artifacts"][:MOST_ARCHIVES]:
        uri = artifact.get("uri") or ""
        with suppress(ApiError, ValueError):
            if uri.startswith(request["files"]):
                found[artifact["key"]] = str(files.find(unquote(uri.removeprefix(request["files"]))))
    return found


def _read(sides: list[Document], names: list[str]) -> list[Document]:
    """Return what the reader says of the files, each with its `problem` if it cannot be read."""
    problem = "Other tables are being read. Try again."
    if READING.acquire(timeout=SECONDS):
        try:
            with TemporaryDirectory() as folder:
                request = json.dumps({"folder": folder, "sides": sides, "files": names})
                command = [sys.executable, "-P", str(READER)]
                found = subprocess.run(command, input=request.encode(), capture_output=True, timeout=SECONDS)
            if not found.returncode:
                answers: list[Document] = json.loads(found.stdout)
                return answers
            reason = found.stderr.decode(errors="replace").rstrip().rpartition("\n")[2][:200]
            problem = f"Reading ended early. {reason or 'The table may need too much memory or time.'}"
        except subprocess.TimeoutExpired:
            problem = f"Reading takes longer than {SECONDS} seconds."
        finally:
            READING.release()
    return [{"name": name, "problem": problem} for name in names]


def _figure(column: Document, titles: list[str]) -> Document:
    """Return a drawing of how a column's values are distributed in two versions, one over the other."""
    common = {"type": "bar", "x": column["x"], "width": column["width"], "opacity": 0.6}
    shares = zip(titles, column.pop("shares"), strict=True)
    traces = [{**common, "name": title, "y": values} for title, values in shares]
    layout = {
        "barmode": "overlay",
        "xaxis": {"type": "date" if column["times"] else "linear"},
        "yaxis": {"ticksuffix": " %"},
        "showlegend": True,
    }
    return {"data": traces, "layout": layout}
