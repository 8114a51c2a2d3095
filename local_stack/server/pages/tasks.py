"""The page of a task, in sections that are loaded one at a time."""

from collections.abc import Callable

from ..documents import Document
from ..events.state import IMAGE, MONITOR_PREFIX, events_by_iteration
from ..store import Store
from . import views
from .charts import plot_names
from .lineage import lineage
from .rendering import picture, safe_link

MOST_CHILDREN = 200
IMAGE_ITERATIONS = 5  # on one page of samples
MOST_IMAGES = 60

# Each section's title, and the words in the addresses of ClearML's own pages that lead to it.
SECTIONS = {
    "overview": ("Overview", {"general", "info"}),
    "console": ("Console", {"log"}),
    "scalars": ("Scalars", {"scalar"}),
    "plots": ("Plots", set()),
    "samples": ("Samples", {"debug-samples", "debugImages", "debug-images"}),
    "artifacts": ("Artifacts", {"models", "input-model", "output-model", "model"}),
    "configuration": ("Configuration", {"hyper-params", "hyper-param"}),
    "source": ("Source", {"execution"}),
}
# The ends of the addresses that this server links to, where they are not the section's name.
ADDRESSES = {"overview": "", "console": "/output/log", "source": "/execution"}


def section_of(tail: str) -> str:
    """Return the section that the rest of an address means: the last of its words that names one."""
    for word in reversed(tail.strip("/").split("/")):
        for section, (_, words) in SECTIONS.items():
            if word == section or word in words:
                return section
    return "overview"


def task_page(store: Store, request: Document) -> Document:
    task = views.found_task(store, request)
    section = section_of(request.get("tail", ""))
    return {
        **views.heading(store, task),
        "special": path if (path := views.page_path(task)) != views.task_path(task) else None,
        "section": section,
        "charts": section in ("scalars", "plots"),
        "tabs": [
            {
                "name": name,
                "path": views.task_path(task) + ADDRESSES.get(key, f"/{key}"),
                "current": key == section,
            }
            for key, (name, _) in SECTIONS.items()
        ],
        **CONTENTS.get(section, lambda *_: {})(store, task, request),
    }


def _overview(store: Store, task: Document, request: Document) -> Document:
    children = store.referring("task", "parent", task["id"])
    queue = store.get("queue", task["execution"].get("queue"))
    return {
        "parent": views.reference(store, task.get("parent")),
        "children": [
            {**views.link_to(child), "seconds": views.seconds_run(child)}
            for child in children[:MOST_CHILDREN]
        ],
        "more_children": len(children) - MOST_CHILDREN,
        "queue": queue and {"name": queue["name"], "path": views.path_of(store, queue["id"])},
        "values": views.last_values(task),
        "drawing": lineage(store, task),
        "runtime": sorted((key, str(value)) for key, value in task["runtime"].items()),
    }


def _scalars(store: Store, task: Document, request: Document) -> Document:
    values = views.last_values(task)
    machine = {
        last["metric"] for last in views.last_reports(task) if last["metric"].startswith(MONITOR_PREFIX)
    }
    return {
        "singles": [value for value in values if value["single"]],
        "metrics": sorted({value["metric"] for value in values if not value["single"]}),
        "machine_metrics": sorted(machine),
    }


def _plots(store: Store, task: Document, request: Document) -> Document:
    return {"plots": plot_names(store, task["id"])}


def _samples(store: Store, task: Document, request: Document) -> Document:
    """Return debug samples by iteration, newest first."""
    page = views.chosen_page(request)
    found = events_by_iteration(store, task["id"], IMAGE, [], IMAGE_ITERATIONS, page * IMAGE_ITERATIONS)
    return {
        "iterations": [
            {
                "number": group["iter"],
                "images": [_image(event, request["files"]) for event in group["events"][:MOST_IMAGES]],
                "left_out": len(group["events"]) - MOST_IMAGES,
            }
            for group in found
        ],
        "newer": page,  # pages count from 1 in addresses
        "older": page + 2 if len(found) == IMAGE_ITERATIONS else None,
    }


def _image(event: Document, files: str) -> Document:
    return {
        "name": " / ".join(filter(None, (event.get("metric"), event.get("variant")))),
        "url": safe_link(event.get("url"), files),
        "picture": picture(event.get("url"), files),
    }


def _artifacts(store: Store, task: Document, request: Document) -> Document:
    models = {kind: views.models_of(store, task, kind) for kind in ("input", "output")}
    return {"artifacts": views.artifacts_of(task), "models": models}


def _configuration(store: Store, task: Document, request: Document) -> Document:
    return {
        "parameters": views.parameters_of(task),
        "configuration": [
            {
                "name": name,
                "description": item.get("description") or "",
                "text": views.shortened(item.get("value") or ""),
            }
            for name, item in sorted(task["configuration"].items())
        ],
    }


def _source(store: Store, task: Document, request: Document) -> Document:
    texts = {name: views.shortened(text) for name, text in views.texts_of(task).items()}
    return {"facts": views.source_of(task), "texts": texts}


CONTENTS: dict[str, Callable[[Store, Document, Document], Document]] = {
    "overview": _overview,
    "scalars": _scalars,
    "plots": _plots,
    "samples": _samples,
    "artifacts": _artifacts,
    "configuration": _configuration,
    "source": _source,
}
