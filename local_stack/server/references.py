"""What tasks and models refer to: the store keeps for each id who refers to it."""

import re
from collections.abc import Callable

from .documents import Document, stored_json

ID = re.compile("(?<![0-9a-f])[0-9a-f]{32}(?![0-9a-f])")
CONTROL_PLANE = "serving-control-plane"  # the system tag of serving services
# The SDK's configuration objects: of a dataset, all its ancestors; of a serving service, models of endpoints.
STRUCTURE, ENDPOINTS = "Dataset Struct", ("endpoints", "model_monitoring_eps")


def _models_of(task: Document, *kinds: str) -> set[str]:
    held = task.get("models") or {}
    return {item["model"] for kind in kinds for item in held.get(kind, ())}


def structure_of(task: Document) -> dict[str, Document]:
    """Return a dataset and its ancestors, which the SDK stores as {number: {"job_id", "parents", …}}."""
    stored = {
        number: item
        for number, item in stored_json(task, STRUCTURE).items()
        if isinstance(item, dict) and isinstance(item.get("job_id"), str)
    }
    found = {}
    for item in stored.values():
        numbers = item["parents"] if isinstance(item.get("parents"), list) else []
        parents = [stored[str(number)]["job_id"] for number in numbers if str(number) in stored]
        found[item["job_id"]] = {**item, "parents": parents}
    return found


def named_ids(task: Document) -> set[str]:
    """Return the ids that a task's parameters and its endpoints name, and those of a dataset's parents."""
    configuration = task.get("configuration") or {}
    items = [configuration[name] for name in ENDPOINTS if name in configuration]
    for section in (task.get("hyperparams") or {}).values():
        items += section.values()
    texts = [text for item in items if isinstance(text := item.get("value"), str) and len(text) >= 32]
    named = {found for text in texts for found in ID.findall(text)}
    if STRUCTURE in configuration:
        named.update(structure_of(task).get(task["id"], {}).get("parents", []))
    return named - {task.get("id")}


# By kind and name: the ids that a document refers to. Who refers to one is found without a look at them all.
REFERENCES: dict[str, dict[str, Callable[[Document], set[str]]]] = {
    "task": {
        "parent": lambda task: {task["parent"]} if task.get("parent") else set(),
        "input": lambda task: _models_of(task, "input"),
        "models": lambda task: _models_of(task, "input", "output"),
        "named": named_ids,
    },
    "model": {"task": lambda model: {model["task"]} if model.get("task") else set()},
}
