"""What the buttons of the pages do to tasks and models. What loses something asks once."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from starlette.datastructures import ImmutableMultiDict

from ..documents import Document
from ..login.callers import Caller
from ..registry import for_each_id
from ..services import answer_call
from ..store import Store
from ..tasks.state import ENDED
from . import losses, views

MOST_SHOWN = 20  # tasks or models in a question or an answer
MOST_LETTERS = 80  # of a name in what is said
# Browsers take //host and /\host for another server.
LOCAL_PATH = re.compile(r"/(?![/\\])[!-\[\]-~]{,2000}")

Form = ImmutableMultiDict[str, str]
Documents = list[Document]
Call = Callable[[Store, list[str], Caller], Document]


@dataclass(frozen=True)
class Action:
    """What a button does, and the lines on what it loses: none, if it need not ask."""

    done: str  # as in "3 tasks are deleted"
    call: Call  # its answer is that of the API's calls for many
    loses: Callable[[Store, Documents], list[str]] = lambda store, found: []


def _many(name: str, **options: Any) -> Call:
    return lambda store, ids, caller: answer_call(store, name, {"ids": ids, **options}, caller)


def _abort(store: Store, ids: list[str], caller: Caller) -> Document:
    """Abort tasks, and those steps of pipelines that wait or run.

    With include_pipeline_steps, the server would call steps aborted that were completed long ago.
    """
    every = losses.with_steps(store, _found("task", store, ids))
    steps = [key for key, task in every.items() if key not in ids and losses.is_open(task)]
    return answer_call(store, "tasks.stop_many", {"ids": [*ids, *steps]}, caller)


def _delete(store: Store, ids: list[str], caller: Caller) -> Document:
    """Delete tasks. The server wants those that have ended archived first; to be asked once is enough."""

    def delete(key: str) -> Document:
        task = store.get("task", key)
        if task is None:  # it went along with its pipeline
            return {}
        if task["status"] in ENDED - {"published"}:
            answer_call(store, "tasks.archive", {"tasks": [key]}, caller)
        options = {"include_pipeline_steps": True, "delete_external_artifacts": True}
        return answer_call(store, "tasks.delete", {"task": key, **options}, caller)

    return for_each_id(store, {"ids": ids}, delete)


WITH_FILES = {"delete_external_artifacts": True}
WITH_STEPS = {"include_pipeline_steps": True}
ACTIONS: dict[str, dict[str, Action]] = {
    "task": {
        "abort": Action("aborted", _abort, losses.lost_by_abort),
        "reset": Action("reset", _many("tasks.reset_many", **WITH_FILES), losses.lost_by_reset),
        "publish": Action("published", _many("tasks.publish_many"), losses.fixed_by_publishing_tasks),
        "archive": Action("archived", _many("tasks.archive_many", **WITH_STEPS), losses.lost_by_abort),
        "restore": Action("restored", _many("tasks.unarchive_many", **WITH_STEPS)),
        "delete": Action("deleted", _delete, losses.lost_by_deleting_tasks),
    },
    "model": {
        "publish": Action("published", _many("models.publish_many"), losses.fixed_by_publishing_models),
        "archive": Action("archived", _many("models.archive_many")),
        "restore": Action("restored", _many("models.unarchive_many")),
        "delete": Action(
            "deleted", _many("models.delete_many", **WITH_FILES), losses.lost_by_deleting_models
        ),
    },
}


def act(kind: str, word: str, store: Store, form: Form, caller: Caller) -> Document:
    """Do what a button says, once it is sure: who was asked about something else is asked again."""
    action, ids, back = ACTIONS[kind][word], _ids(form), local_path(form)
    found = {document["id"]: document for document in _found(kind, store, ids)}
    if not ids:
        return _nothing_chosen(kind, back)
    if word == "delete" and not found:
        return {"redirect": back, "said": "Nothing of this is here any more."}
    lost = action.loses(store, list(found.values()))
    states = [document.get("status") for document in found.values()]
    sure = caller.credentials.signature(json.dumps([kind, word, ids, states, lost]))
    gone = next((found[key] for key in found if word == "delete" and key in back), None)
    after = _list_of(store, kind, gone) if gone else back
    if lost and form.get("sure") != sure:
        asked = {"word": word, "lost": lost, "sure": sure, "again": "sure" in form, "after": after}
        return {"template": "confirm.html", **_chosen(kind, store, ids), **asked, "back": back}
    answer = action.call(store, ids, caller)
    done = [found.get(item["id"], {}) for item in answer["succeeded"]]
    said = f"{_subject(kind, done)} {action.done}." if done else ""
    if any(item.get("fields", {}).get("status") == "in_progress" for item in answer["succeeded"]):
        said = f"{_subject(kind, done)} being aborted: what an agent runs ends in a moment."
    if not answer["failed"]:
        return {"redirect": after, "said": said}
    reasons = {item["id"]: item["error"]["msg"] for item in answer["failed"]}
    refused = {**_chosen(kind, store, list(reasons)), "reasons": reasons, "done": action.done}
    return {"template": "refused.html", **refused, "succeeded": said, "back": after}


def choose_tag(kind: str, store: Store, form: Form, caller: Caller) -> Document:
    """Show the page that adds a tag to all that was chosen, or removes one."""
    if not (ids := _ids(form)):
        return _nothing_chosen(kind, local_path(form))
    tags = sorted({tag for document in _found(kind, store, ids) for tag in document["tags"]})
    return {"template": "tags.html", **_chosen(kind, store, ids), "tags": tags, "back": local_path(form)}


def edit_tags(change: str, kind: str, store: Store, form: Form, caller: Caller) -> Document:
    """Add or remove a tag: `change` is the API's field for it."""
    ids, tag = _ids(form), _as_read(form.get("tag", ""))
    found = _found(kind, store, ids)
    # What is no Unicode, or has line ends, comes back from a page as another text.
    held = {other for document in found for other in document["tags"] if _as_read(other) == tag}
    tags = [tag] if change == "add_tags" and tag else sorted(held)
    if tags:
        answer_call(store, f"{kind}s.update_tags", {"ids": ids, change: tags}, caller)
    words = "tagged" if change == "add_tags" else "no longer tagged"
    said = f"{_subject(kind, found)} {words} “{tag[:MOST_LETTERS]}”." if tags else "There is no such tag."
    return {"redirect": local_path(form), "said": said}


ACTS = {
    f"{kind}-{word}": function
    for kind, actions in ACTIONS.items()
    for word, function in {
        **{word: partial(act, kind, word) for word in actions},
        "tags": partial(choose_tag, kind),
        "tag": partial(edit_tags, "add_tags", kind),
        "untag": partial(edit_tags, "remove_tags", kind),
    }.items()
}


def local_path(form: Form) -> str:
    """Return the path of this server to go back to: never another server, whatever the form says."""
    back = form.get("back", "")
    return back if LOCAL_PATH.fullmatch(back) else "/"


def _ids(form: Form) -> list[str]:
    return list(dict.fromkeys(form.getlist("id")))


def _found(kind: str, store: Store, ids: list[str]) -> Documents:
    return [document for key in ids if (document := store.get(kind, key))]


def _as_read(tag: str) -> str:
    return " ".join(tag.encode(errors="replace").decode().split())


def _nothing_chosen(kind: str, back: str) -> Document:
    return {"redirect": back, "said": f"Nothing was done: choose a {kind} first."}


def _subject(kind: str, documents: Documents) -> str:
    if len(documents) == 1 and documents[0]:
        return f"“{documents[0]['name'][:MOST_LETTERS]}” is"
    return f"{losses.counted(len(documents), kind)} {'is' if len(documents) == 1 else 'are'}"


def _list_of(store: Store, kind: str, document: Document) -> str:
    """Return the address of the list that the document is in."""
    path = (views.project_of(store, document) or {"path": "/projects/*"})["path"]
    return f"{path}/models" if kind == "model" else path


def _chosen(kind: str, store: Store, ids: list[str]) -> Document:
    """Return what a template says of the tasks or models with the ids."""
    path = views.page_path if kind == "task" else views.model_path
    rows = [(key, store.get(kind, key)) for key in ids[:MOST_SHOWN]]
    return {
        "kind": kind,
        "ids": ids,
        "count": losses.counted(len(ids), kind),
        "chosen": [
            {"id": key, "name": found["name"] if found else key, "path": path(found) if found else None}
            for key, found in rows
        ],
        "more": len(ids) - MOST_SHOWN,
    }
