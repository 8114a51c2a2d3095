"""What clients of an older API send and expect. The endpoints themselves know the newest alone."""

from typing import Any

from .documents import Document

Version = tuple[int, int]

ONE_FIELD_OF_TAGS: Version = (2, 3)  # before it, tags and system tags were one list
SECTIONS_OF_TASKS: Version = (2, 9)  # since it, hyperparameters are in sections
MODELS_OF_TASKS: Version = (2, 13)  # since it, tasks are as they are now
# By kind of document: which of the tags in that one list are system tags.
SYSTEM_TAGS = {
    "model": {"active", "archived"},
    "project": {"archived", "default", "public"},
    "queue": {"default"},
    "task": {"active", "archived", "development"},
}


def request_of(name: str, version: Version, request: Document) -> Document:
    """Return the request as clients of the newest API send it."""
    tags = request.get("tags")
    kind = _kind_of(name)
    if version >= ONE_FIELD_OF_TAGS or kind not in SYSTEM_TAGS or not isinstance(tags, list):
        return request
    if request.get("system_tags"):
        return request
    system_tags = [tag for tag in tags if _is_system_tag(kind, tag)]
    return {**request, "tags": [tag for tag in tags if tag not in system_tags], "system_tags": system_tags}


def _is_system_tag(kind: str, tag: Any) -> bool:
    name = str(tag).removeprefix("-")  # as filters write what a document should not have
    return name in SYSTEM_TAGS[kind] or (kind == "task" and name.lower().startswith("annotat"))


def answer_for(name: str, version: Version, answer: Document) -> Document:
    """Return the answer as clients of the version expect it."""
    kind = _kind_of(name)
    if version >= MODELS_OF_TASKS or kind not in SYSTEM_TAGS:
        return answer
    changed: Document = {}
    if isinstance(answer.get(kind), dict):
        changed[kind] = _document_for(kind, version, answer[kind])
    if isinstance(answer.get(f"{kind}s"), list):
        changed[f"{kind}s"] = [_document_for(kind, version, document) for document in answer[f"{kind}s"]]
    return {**answer, **changed}


def _document_for(kind: str, version: Version, document: Document) -> Document:
    if kind == "task":
        document = _task_for(version, document)
    if version < ONE_FIELD_OF_TAGS and document.get("system_tags"):
        document = {**document, "tags": sorted({*document.get("tags", ()), *document["system_tags"]})}
    return document


def _task_for(version: Version, task: Document) -> Document:
    """Return the task as clients of an older API expect it.

    Before 2.13 models were plain ids in `execution.model` and `output.model`, and the container's image and
    arguments were `execution.docker_cmd`; before 2.9 hyperparameters were flat, in `execution.parameters`.
    """
    execution = dict(task.get("execution") or {})
    output = dict(task.get("output") or {})
    models = task.get("models") or {}
    if models.get("input"):
        execution["model"] = models["input"][0]["model"]
    if models.get("output"):
        output["model"] = models["output"][-1]["model"]
    container = task.get("container") or {}
    if container.get("image"):
        execution["docker_cmd"] = f"{container['image']} {container.get('arguments') or ''}".strip()
    if version < SECTIONS_OF_TASKS:
        execution["parameters"] = {
            name if section == "Args" else f"{section}/{name}": item.get("value")
            for section, items in (task.get("hyperparams") or {}).items()
            for name, item in items.items()
        }
        configuration = task.get("configuration") or {}
        execution["model_desc"] = {name: item.get("value") for name, item in configuration.items()}
    return {
        **task,
        **({"execution": execution} if execution else {}),
        **({"output": output} if output else {}),
    }


def _kind_of(name: str) -> str:
    return name.partition(".")[0].removesuffix("s")
