"""What the buttons of the pages do to tasks and models. What loses something asks once."""

import json
import re
from functools import partial

from starlette.datastructures import ImmutableMultiDict

from ..documents import Document
from ..errors import ApiError
from ..login.callers import Caller
from ..registry import for_each_id
from ..services import answer_call
from ..store import Store
from ..tasks.state import ENDED
from . import views
from .losses import counted, is_open, lines_of_loss, with_steps

MOST_SHOWN = 20  # tasks or models by name
MOST_LETTERS = 80  # of a name in what is said
# Browsers take //host and /\host for another server.
LOCAL_PATH = re.compile(r"/(?![/\\])[!-\[\]-~]{,2000}")
# The buttons, and what is said of them afterwards.
WORDS = {
    "abort": "aborted", "reset": "reset", "publish": "published", "archive": "archived",
    "restore": "restored", "delete": "deleted",
}  # fmt: skip
CALLS = {"abort": "stop", "restore": "unarchive"}  # where the API has other names
WHOLE = {"include_pipeline_steps": True, "delete_external_artifacts": True}

Form = ImmutableMultiDict[str, str]


def act(word: str, kind: str, store: Store, form: Form, caller: Caller) -> Document:
    """Do what a button says, once it is sure: who was asked about something else is asked again."""
    page, found = _chosen(kind, store, form)
    lost = lines_of_loss(store, kind, word, list(found.values()))
    states = [each.get("status") for each in found.values()]
    sure = caller.credentials.signature(json.dumps([kind, word, page["ids"], states, lost]))
    if gone := [found[key] for key in found if word == "delete" and key in page["back"]]:
        project = views.project_of(store, gone[0]) or {"path": "/projects/*"}
        page["after"] = project["path"] + ("/models" if kind == "model" else "")
    page |= {"word": word, "done": WORDS[word], "lost": lost, "sure": sure, "again": "sure" in form}
    if lost and form.get("sure") != sure:
        return page
    answer = _call(word, kind, store, page["ids"], caller)
    done, failed = answer["succeeded"], answer["failed"]
    goes_on = any(item.get("fields", {}).get("status") == "in_progress" for item in done)
    words = "being aborted: what an agent runs ends in a moment" if goes_on else WORDS[word]
    said = _said(kind, [found.get(item["id"]) for item in done], words) if done else ""
    if not failed:
        return {"redirect": page["after"], "said": said}
    reasons = {item["id"]: item["error"]["msg"] for item in failed}
    return {**page, **_named(kind, store, list(reasons)), "reasons": reasons, "succeeded": said}


def _call(word: str, kind: str, store: Store, ids: list[str], caller: Caller) -> Document:
    """Return what the API's call for many answers."""

    def delete(key: str) -> Document:
        task = store.get("task", key)
        if task is None:  # it went along with its pipeline, or somebody was faster
            return {}
        # The server wants what has ended archived first. A person who was asked once need not do that.
        if task["status"] in ENDED - {"published"}:
            answer_call(store, "tasks.archive", {"tasks": [key]}, caller)
        return answer_call(store, "tasks.delete", {"task": key, **WHOLE}, caller)

    if (kind, word) == ("task", "delete"):
        return for_each_id(store, {"ids": ids}, delete)
    options: Document = {"ids": ids, **WHOLE}
    if word == "abort":
        # With include_pipeline_steps, the server would call steps aborted that were completed long ago.
        tasks = [task for key in ids if (task := store.get("task", key))]
        steps = [step["id"] for step in with_steps(store, tasks).values() if is_open(step)]
        options = {"ids": list(dict.fromkeys([*ids, *steps]))}
    return answer_call(store, f"{kind}s.{CALLS.get(word, word)}_many", options, caller)


def edit_tags(change: str, kind: str, store: Store, form: Form, caller: Caller) -> Document:
    """Add or remove a tag. `change` is the API's field for it, or "" to show the page that asks for one."""
    page, found = _chosen(kind, store, form)
    held = {tag for each in found.values() for tag in each["tags"]}
    if not change:
        return {**page, "tags": sorted(held)}
    tag = _as_read(form.get("tag", ""))
    # What is no Unicode, or has line ends, comes back from a page as another text.
    same = [other for other in held if _as_read(other) == tag]
    tags = same if change == "remove_tags" else [tag] * bool(tag)
    if not tags:
        return {"redirect": page["back"], "said": "There is no such tag."}
    answer_call(store, f"{kind}s.update_tags", {"ids": page["ids"], change: tags}, caller)
    words = f"{'tagged' if change == 'add_tags' else 'no longer tagged'} “{tag[:MOST_LETTERS]}”"
    return {"redirect": page["back"], "said": _said(kind, list(found.values()), words)}


CHANGES = {"tags": "", "tag": "add_tags", "untag": "remove_tags"}
ACTS = {
    f"{kind}-{name}": function
    for kind in ("task", "model")
    for name, function in [
        *((word, partial(act, word, kind)) for word in WORDS),
        *((name, partial(edit_tags, change, kind)) for name, change in CHANGES.items()),
    ]
}


def _as_read(tag: str) -> str:
    return " ".join(tag.encode(errors="replace").decode().split())


def _chosen(kind: str, store: Store, form: Form) -> tuple[Document, dict[str, Document]]:
    """Return what a template says of the tasks or models that a form names, and those that there are."""
    ids, back = list(dict.fromkeys(form.getlist("id"))), form.get("back", "")
    if not ids:
        raise ApiError(400, 0, f"No {kind} is chosen. Go back, and tick the box of one.")
    back = back if LOCAL_PATH.fullmatch(back) else "/"
    found = {key: document for key in ids if (document := store.get(kind, key))}
    page = {"template": "acting.html", "kind": kind, "ids": ids, "back": back, "after": back}
    return {**page, **_named(kind, store, ids)}, found


def _named(kind: str, store: Store, ids: list[str]) -> Document:
    path = views.page_path if kind == "task" else views.model_path
    shown = [store.get(kind, key) or {"id": key, "name": key} for key in ids[:MOST_SHOWN]]
    rows = [{**each, "path": path(each) if "created" in each else None} for each in shown]
    return {"count": counted(len(ids), kind), "chosen": rows, "more": len(ids) - MOST_SHOWN}


def _said(kind: str, documents: list[Document | None], words: str) -> str:
    if len(documents) == 1 and documents[0]:
        return f"“{documents[0]['name'][:MOST_LETTERS]}” is {words}."
    return f"{counted(len(documents), kind)} {'is' if len(documents) == 1 else 'are'} {words}."
