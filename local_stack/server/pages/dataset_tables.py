"""The pages of a dataset's tables: the beginning of one, and how two versions differ."""

import json
import subprocess
import sys
from collections import Counter
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Semaphore

from ..documents import Document
from ..errors import ApiError
from ..files.state import FileStore
from ..files.unneeded import own_path
from ..references import structure_of
from ..store import Store
from . import views
from .datasets import contents_of, is_table, versions_of

READER = Path(__file__).with_name("table_reader.py")
SECONDS = 60
MOST_ANCESTORS, MOST_FILES, MOST_TABLES = 200, 200, 5
READING = Semaphore(1)  # one at a time: the machine has other things to do


def preview_page(store: Store, request: Document) -> Document:
    task, name = _dataset(store, request), request.get("file", "")
    if not is_table(name):
        raise ApiError(404, 0, f"{name} is not a CSV or Parquet file.")
    sides = [_side(store, request, task)]
    return {
        "task": task,
        "file": name,
        "dataset": views.link_to(task),
        "later": lambda: {"table": _read(sides, [name])[0]},
    }


def changes_page(store: Store, request: Document) -> Document:
    """Compare a version with another one: that of the request, or its parent, or the version before."""
    task = _dataset(store, request)
    parents = structure_of(task).get(task["id"], {}).get("parents", [])
    others = [other for other in versions_of(store, task) if other is not task]
    others.sort(key=lambda other: (other["id"] not in parents, other["created"] > task["created"]))
    if not (named := request.get("against")) and not others:
        raise ApiError(404, 0, f"Dataset {task['name']} has no other version to compare with.")
    other = _dataset(store, {"task": named}) if named else others[0]
    sides = [_side(store, request, each) for each in (other, task)]
    titles = [str(each["runtime"].get("version") or each["id"][:8]) for each in (other, task)]

    def compare() -> Document:
        files = compared_files(contents_of(other), contents_of(task))
        different = [file for file in files if file["change"] != "same"]
        changed = [file["name"] for file in files if file["change"] == "changed" and is_table(file["name"])]
        tables = _read(sides, changed[:MOST_TABLES]) if changed else []
        for table in tables:
            for column in table.get("numbers", ()):
                column["figure"] = json.dumps({"version": "1", "figure": _figure(column, titles)})
        return {
            "counts": sorted(Counter(file["change"] for file in files).items()),
            "changes": different[:MOST_FILES],
            "changes_left_out": len(different) - MOST_FILES,
            "tables": tables,
            "tables_left_out": len(changed) - len(tables),
        }

    return {
        "task": task,
        "dataset": views.link_to(task),
        "other": other,
        "other_path": views.page_path(other),
        "charts": True,
        "later": compare,
    }


def _dataset(store: Store, request: Document) -> Document:
    task = views.found_task(store, request)
    if not views.is_dataset(task):
        raise ApiError(404, 0, f"Task {task['id']} is not a dataset.")
    return task


def compared_files(before: list[Document], after: list[Document]) -> list[Document]:
    """Return what happened to each file, and its size before and after."""
    old, new = ({file["name"]: file for file in files} for files in (before, after))
    found = []
    for name in sorted(old | new):
        was, is_now = old.get(name), new.get(name)
        both = "same" if was == is_now else "changed"
        change = "added" if was is None else "removed" if is_now is None else both
        sizes = [file and file["size"] for file in (was, is_now)]
        found.append({"name": name, "change": change, "sizes": sizes})
    return found


def _side(store: Store, request: Document, task: Document) -> Document:
    """Return where the files of a dataset are: the list of them, and the archives of it and its ancestors."""
    keys = [task["id"], *structure_of(task)][:MOST_ANCESTORS]
    found = {key: _artifacts(holder, request["stored"]) for key in keys if (holder := store.get("task", key))}
    return {"state": found[task["id"]].get("state"), "archives": found}


def _artifacts(task: Document, files: FileStore) -> dict[str, str]:
    """Return the paths of a task's artifacts that are in this server's file store."""
    found = {}
    for artifact in task["execution"]["artifacts"]:
        with suppress(ApiError):  # of a path that leads out of the store
            if path := own_path(artifact.get("uri")):
                found[artifact["key"]] = str(files.locate(path))
    return found


def _read(sides: list[Document], names: list[str]) -> list[Document]:
    """Return what the reader says of the files, each with its `problem` if it cannot be read."""
    problem = "Another table is being read. Try again in a moment."
    if READING.acquire(blocking=False):  # a thread that waits would keep others from theirs
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
