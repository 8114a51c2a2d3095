"""A task, in sections that load one at a time."""

from collections.abc import Callable

from ..events.ingest import MONITOR_PREFIX
from ..events.plots import debug_images
from ..store import Document, Store
from .charts import plot_names
from .rendering import picture, safe_link
from .views import (
    best_path,
    found_task,
    heading,
    is_dataset,
    is_pipeline,
    last_values,
    model_row,
    reference,
    seconds_run,
    task_path,
)

MOST_CHILDREN = 200
MOST_TEXT = 200_000  # characters of one configuration object or difference that are shown
IMAGE_ITERATIONS = 5  # on one page of samples
MOST_IMAGES = 60

# The words in addresses, ours and those of ClearML's own pages, that lead to each section.
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
# What stands in the addresses that this server links to.
ADDRESSES = {"overview": "", "console": "/output/log", "source": "/execution"}


def section_of(tail: str) -> str:
    """The section that the rest of an address means: the first of its words, from behind, that is one's."""
    for word in reversed(tail.strip("/").split("/")):
        for section, (_, words) in SECTIONS.items():
            if word == section or word in words:
                return section
    return "overview"


def page(store: Store, request: dict) -> dict:
    task = found_task(store, request)
    section = section_of(request.get("tail", ""))
    return {
        **heading(store, task),
        "special": best_path(task) if is_dataset(task) or is_pipeline(task) else None,
        "special_kind": "dataset" if is_dataset(task) else "pipeline",
        "section": section,
        "charts": section in ("scalars", "plots"),
        "tabs": [
            {
                "name": name,
                "path": task_path(task) + ADDRESSES.get(key, f"/{key}"),
                "current": key == section,
            }
            for key, (name, _) in SECTIONS.items()
        ],
        **CONTENTS.get(section, lambda *_: {})(store, task, request),
    }


def _overview(store: Store, task: Document, request: dict) -> dict:
    children = [other for other in store.all("task") if other.get("parent") == task["id"]]
    queue = store.get("queue", task["execution"].get("queue"))
    return {
        "parent": reference(store, task.get("parent")),
        "children": [
            {**reference(store, child["id"]), "seconds": seconds_run(child)}
            for child in children[:MOST_CHILDREN]
        ],
        "more_children": len(children) - MOST_CHILDREN,
        "queue": queue and queue["name"],
        "values": last_values(task),
        "runtime": sorted((key, str(value)) for key, value in task["runtime"].items()),
    }


def _scalars(store: Store, task: Document, request: dict) -> dict:
    values = last_values(task)
    machine = {
        last["metric"]
        for variants in task["last_metrics"].values()
        for last in variants.values()
        if last["metric"].startswith(MONITOR_PREFIX)
    }
    return {
        "singles": [value for value in values if value["single"]],
        "metrics": sorted({value["metric"] for value in values if not value["single"]}),
        "machine_metrics": sorted(machine),
    }


def _plots(store: Store, task: Document, request: dict) -> dict:
    return {"plots": plot_names(store, task["id"])}


def _samples(store: Store, task: Document, request: dict) -> dict:
    """Debug samples by iteration, the newest first."""
    place = request.get("from", "")
    place = place if place.isdecimal() and len(place) < 10 else ""
    asked = {"metrics": [{"task": task["id"]}], "iters": IMAGE_ITERATIONS, "scroll_id": place}
    (found,) = debug_images(store, asked)["metrics"]
    first = int(place or 0)
    return {
        "iterations": [
            {
                "number": group["iter"],
                "images": [_image(event, request["files"]) for event in group["events"][:MOST_IMAGES]],
                "left_out": len(group["events"]) - MOST_IMAGES,
            }
            for group in found["iterations"]
        ],
        "newer": str(max(0, first - IMAGE_ITERATIONS)) if first else None,
        "older": str(first + IMAGE_ITERATIONS) if len(found["iterations"]) == IMAGE_ITERATIONS else None,
    }


def _image(event: dict, files: str) -> dict:
    return {
        "name": " / ".join(filter(None, (event.get("metric"), event.get("variant")))),
        "url": safe_link(event.get("url"), files),
        "picture": picture(event.get("url"), files),
    }


def _artifacts(store: Store, task: Document, request: dict) -> dict:
    found = {}
    for kind in ("input", "output"):
        held = [(item["name"], store.get("model", item["model"])) for item in task["models"][kind]]
        found[kind] = [{**model_row(store, model), "as": name} for name, model in held if model]
    return {"artifacts": artifacts_of(task), "models": found}


def artifacts_of(task: Document) -> list[dict]:
    return [
        {
            "key": artifact["key"],
            "type": artifact["type"],
            "mode": artifact.get("mode") or "output",
            "uri": artifact.get("uri"),
            "size": artifact.get("content_size"),
            "hash": artifact.get("hash") or "",
            "timestamp": artifact.get("timestamp"),
            "preview": shortened((artifact.get("type_data") or {}).get("preview") or ""),
        }
        for artifact in task["execution"]["artifacts"]
    ]


def _configuration(store: Store, task: Document, request: dict) -> dict:
    return {
        "parameters": parameters_of(store, task),
        "configuration": [
            {
                "name": name,
                "description": item.get("description") or "",
                "text": shortened(item.get("value") or ""),
            }
            for name, item in sorted(task["configuration"].items())
        ],
    }


def parameters_of(store: Store, task: Document) -> list[dict]:
    """The sections of the hyperparameters, each with what is in it; what names a task leads to it."""
    sections = []
    for section, items in sorted(task["hyperparams"].items()):
        named = [
            {**item, "path": (reference(store, item.get("value")) or {}).get("path")}
            for item in sorted(items.values(), key=lambda item: item["name"])
        ]
        sections.append({"name": section, "items": named})
    return sections


def _source(store: Store, task: Document, request: dict) -> dict:
    script = task["script"]
    requirements = script.get("requirements") or {}
    return {
        "script": script,
        "diff": shortened(script.get("diff") or "").split("\n") if script.get("diff") else [],
        "requirements": [
            {"name": name, "text": shortened(text if isinstance(text, str) else "\n".join(map(str, text)))}
            for name, text in requirements.items()
            if text and isinstance(text, str | list)
        ],
        "container": sorted((key, str(value)) for key, value in task["container"].items() if value),
    }


def shortened(text: str) -> str:
    return text if len(text) <= MOST_TEXT else f"{text[:MOST_TEXT]}\n… (the first {MOST_TEXT} characters)"


CONTENTS: dict[str, Callable[[Store, Document, dict], dict]] = {
    "overview": _overview,
    "scalars": _scalars,
    "plots": _plots,
    "samples": _samples,
    "artifacts": _artifacts,
    "configuration": _configuration,
    "source": _source,
}
