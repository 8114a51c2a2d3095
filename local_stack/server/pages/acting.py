"""What the buttons of the pages do to tasks and models. What loses something asks once."""

import json
import re
from functools import partial

from ..documents import Document
from ..errors import ApiError
from ..login.callers import Caller
from ..registry import for_each_id
from ..services import answer_call
from ..store import Store
from ..tasks.state import ENDED, made_models, pipeline_steps
from . import views
from .views import Form

MOST_SHOWN = 20  # tasks or models by name
# Browsers take //host and /\host for another server.
LOCAL_PATH = re.compile(r"/(?![/\\])[!-\[\]-~]{,2000}")
# The buttons, and what is said of them afterwards.
WORDS = {
    "abort": "aborted", "reset": "reset", "publish": "published", "archive": "archived",
    "restore": "restored", "delete": "deleted",
}  # fmt: skip
CALLS = {"abort": "stop", "restore": "unarchive"}  # where the API has other names
WHOLE = {"include_pipeline_steps": True, "delete_external_artifacts": True}
RESULTS = "Console, scalars, plots, artifacts, and models that are not published, with all files"


def act(word: str, kind: str, store: Store, form: Form, caller: Caller) -> Document:
    """Do what a button says, once it is sure: who was asked about something else is asked again."""
    page, found = _chosen(kind, store, form)
    lost = _losses(kind, word, store, found)
    states = [each.get("status") for each in found]
    sure = caller.credentials.signature(json.dumps([kind, word, page["ids"], states, lost]))
    if gone := [each for each in found if word == "delete" and each["id"] in page["back"]]:
        project = views.project_of(store, gone[0]) or {"path": "/projects/*"}
        page["after"] = project["path"] + ("/models" if kind == "model" else "")
    page |= {"word": word, "done": WORDS[word], "lost": lost, "sure": sure, "again": "sure" in form}
    if lost and form.get("sure") != sure:
        return page
    answer = _call(word, kind, store, page["ids"], caller)
    done, failed = answer["succeeded"], answer["failed"]
    # A worker ends what it runs a moment later.
    goes_on = any(item.get("fields", {}).get("status") == "in_progress" for item in done)
    said = f"{_counted(len(done), kind)} {'being ' if goes_on else ''}{WORDS[word]}." if done else ""
    if not failed:
        return {"redirect": page["after"], "said": said}
    reasons = {item["id"]: item["error"]["msg"] for item in failed}
    return {**page, **_named(kind, store, list(reasons)), "reasons": reasons, "succeeded": said}


def _losses(kind: str, word: str, store: Store, found: list[Document]) -> list[str]:
    """Return lines on what cannot be undone of a button's work; none, if it loses nothing."""
    if not found:
        return []
    if kind == "model":
        lines = {"delete": "Files of the models are deleted along."}
        if not all(model["ready"] for model in found):
            lines["publish"] = "Models stay published. The tasks that made them are published along."
        return [lines[word]] if word in lines else []
    whole = _with_steps(store, found)
    running = [task for task in (found if word == "reset" else whole) if task["status"] == "in_progress"]
    cut = [f"{_counted(len(running), 'run')} cut off, steps of pipelines included"] if running else []
    not_published = [task for task in found if task["status"] != "published"]
    match word:
        case "publish" if not_published:
            return ["Tasks stay published. The model that each made last is published along."]
        case "abort" | "archive":
            return cut
        case "reset" if any(_has_results(store, task) for task in not_published):
            return [*cut, RESULTS]
        case "delete":
            steps = len(whole) - len(found)
            along = f", {_counted(steps, 'step')} of pipelines along" if steps else ""
            built_on = any(map(views.is_dataset, found))
            return [
                f"{_counted(len(found), 'task')} with parameters and code{along}",
                RESULTS,
                *["files from which later versions of a dataset are made"] * built_on,
            ]
    return []


def _has_results(store: Store, task: Document) -> bool:
    stored = task.get("started") or task["last_metrics"] or task["execution"]["artifacts"]
    return bool(stored or made_models(store, task))


def _with_steps(store: Store, tasks: list[Document]) -> list[Document]:
    """Return the tasks, and the steps of those that are pipelines."""
    found = {each["id"]: each for task in tasks for each in (task, *pipeline_steps(store, task))}
    return list(found.values())


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
        tasks = _with_steps(store, [task for key in ids if (task := store.get("task", key))])
        steps = [task["id"] for task in tasks if task["status"] in ("queued", "in_progress")]
        options = {"ids": list(dict.fromkeys([*ids, *steps]))}
    return answer_call(store, f"{kind}s.{CALLS.get(word, word)}_many", options, caller)


def edit_tags(change: str, kind: str, store: Store, form: Form, caller: Caller) -> Document:
    """Add or remove a tag. `change` is the API's field for it, or "" to show the page that asks for one."""
    page, found = _chosen(kind, store, form)
    if not change:
        return {**page, "tags": sorted({tag for each in found for tag in each["tags"]})}
    tags = list(filter(None, [form.get("tag", "").strip()]))
    answer_call(store, f"{kind}s.update_tags", {"ids": page["ids"], change: tags}, caller)
    done = "tagged" if change == "add_tags" else "no longer tagged so"
    return {"redirect": page["back"], "said": f"{page['count']} {done}."}


CHANGES = {"tags": "", "tag": "add_tags", "untag": "remove_tags"}
ACTS = {
    f"{kind}-{name}": function
    for kind in ("task", "model")
    for name, function in [
        *((word, partial(act, word, kind)) for word in WORDS),
        *((name, partial(edit_tags, change, kind)) for name, change in CHANGES.items()),
    ]
}


def _chosen(kind: str, store: Store, form: Form) -> tuple[Document, list[Document]]:
    """Return what a template says of the tasks or models that a form names, and those that there are."""
    ids, back = list(dict.fromkeys(form.getlist("id"))), form.get("back", "")
    if not ids:
        raise ApiError(400, 0, f"No {kind} is chosen. Go back, and tick the box of one.")
    back = back if LOCAL_PATH.fullmatch(back) else "/"
    found = [document for key in ids if (document := store.get(kind, key))]
    page = {"template": "acting.html", "kind": kind, "ids": ids, "back": back, "after": back}
    return {**page, **_named(kind, store, ids)}, found


def _named(kind: str, store: Store, ids: list[str]) -> Document:
    path = views.page_path if kind == "task" else views.model_path
    shown = [store.get(kind, key) or {"id": key, "name": key} for key in ids[:MOST_SHOWN]]
    rows = [{**each, "path": path(each) if "created" in each else None} for each in shown]
    return {"count": _counted(len(ids), kind), "chosen": rows, "more": len(ids) - MOST_SHOWN}


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' if number != 1 else ''}"
