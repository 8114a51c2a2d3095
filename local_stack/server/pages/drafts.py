"""New runs: a task is cloned, a draft edited and put in a queue, a pipeline run again.

The form of a draft holds its texts twice: as they were, and for the visitor to change. So what nobody changed
stays as it is stored, and who saves learns what somebody else changed meanwhile. Nothing is saved unless the
texts as they were are those that are stored: no form can write what its page does not show.
"""

import json
from collections import Counter

from starlette.datastructures import ImmutableMultiDict

from ..documents import Document
from ..errors import ApiError, invalid_task_status, validation_error
from ..login.callers import Caller
from ..pipelines.endpoints import ARGUMENTS
from ..services import answer_call
from ..store import Store
from ..workers.state import alive_workers
from . import views
from .views import Form

Texts = dict[tuple[str, str], str | None]  # by section and name; the section "" has fields of the task itself

# In one form, as JSON: whatever the characters are, it is smaller than the largest that routes.py takes.
MOST_ROWS, MOST_CHARACTERS = 1000, 300_000


def _shown(text: str) -> str:
    """Return the text as a browser sends it back: with one kind of line ends, without NUL and surrogates."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\0", "\ufffd")
    return text.encode(errors="replace").decode()


def _texts(task: Document, new_run: bool) -> tuple[Texts, int]:
    """Return the texts that a form is about, and how many are left out as they are too long for it.

    A new run has the arguments of the pipeline alone.
    """
    fields = {"name": task["name"], "tags": "\n".join(task["tags"]), "comment": task["comment"]}
    found = {} if new_run else {("", name): text for name, text in fields.items()}
    for section, items in sorted(task["hyperparams"].items()):
        if section == ARGUMENTS or (section and not new_run):
            found |= {(section, name): item.get("value") or "" for name, item in sorted(items.items())}
    kept: Texts = {}
    room = MOST_CHARACTERS
    for place, text in found.items():
        size = len(json.dumps((*place, text)))
        if size <= room and len(kept) < MOST_ROWS:
            room -= size
            kept[place] = _shown(text)
    return kept, len(found) - len(kept)


def _edits(form: Form) -> tuple[Texts, dict[tuple[str, str], str]]:
    """Return the texts as the form was made, and those that the visitor changed."""
    try:
        held = json.loads(form.get("before", ""))
        before: Texts = {(str(section), str(name)): text for section, name, text in held}
        typed = zip(before, map(_shown, form.getlist("text")), strict=True)
        return before, {place: text for place, text in typed if text != before[place]}
    except (ValueError, TypeError, RecursionError) as error:
        raise validation_error(f"this is no form of a task: {error}") from error


def _changes(task: Document, new_run: bool, form: Form) -> dict[tuple[str, str], str]:
    """Return the texts to save; ApiError if they are of another state of the task, or no queue is chosen."""
    before, typed = _edits(form)
    if before != _texts(task, new_run)[0]:
        raise ApiError(400, 0, "somebody changed this task meanwhile; see below, and send it again")
    if (new_run or "enqueue" in form) and not form.get("queue"):
        raise ApiError(400, 0, "choose a queue")
    return typed


def _filled(
    store: Store, task: Document, new_run: bool, request: Document | Form, problem: str = ""
) -> Document:
    """Return what the template shows: the texts as they are stored, or as the visitor has typed them."""
    now, left_out = _texts(task, new_run)
    before, typed = _edits(request) if isinstance(request, ImmutableMultiDict) else (now, {})
    rows = [
        {
            "number": number,
            "section": section,
            "name": name,
            "now": now[section, name],
            "text": typed.get((section, name), now[section, name]),
            "is_news": before.get((section, name)) != now[section, name],
            "description": task["hyperparams"].get(section, {}).get(name, {}).get("description"),
        }
        for number, (section, name) in enumerate(now)
    ]
    return {
        **views.heading(store, task),
        "live": False,  # what is typed should stay
        "page_path": views.page_path(task),
        "new_run": new_run,
        "rows": rows,
        "removed": [(*place, text) for place, text in typed.items() if place not in now],
        "before": json.dumps([(row["section"], row["name"], row["now"]) for row in rows]),
        "left_out": left_out,
        "problem": problem,
        "queues": _queues(store, request.get("queue") or task["execution"].get("queue")),
    }


def _queues(store: Store, wanted: str | None) -> list[Document]:
    """Return the queues by name; the wanted one is chosen, or the one that most workers listen to."""
    listening = Counter(key for worker in alive_workers(store) for key in set(worker["queues"]))
    queues = sorted(store.all("queue"), key=lambda queue: queue["name"].casefold())
    chosen = max(queues, key=lambda queue: (queue["id"] == wanted, listening[queue["id"]]), default=None)
    return [{**queue, "listening": listening[queue["id"]], "chosen": queue is chosen} for queue in queues]


def edit_page(store: Store, request: Document) -> Document:
    task = views.found_task(store, request)
    if task["status"] != "created":
        return {"redirect": views.page_path(task)}
    return _filled(store, task, False, request)


def new_run_page(store: Store, request: Document) -> Document:
    task = views.found_task(store, request)
    if not views.is_pipeline(task):
        return {"redirect": views.task_path(task)}
    return _filled(store, task, True, request)


def clone(store: Store, form: Form, caller: Caller) -> Document:
    """Open the edit page of a clone, with the queue that the task itself ran on."""
    task = views.found_task(store, {"task": form.get("id")})
    # Otherwise the clone of a pipeline's step would be that pipeline's, and be aborted and deleted with it.
    named = {"new_task_name": f"Clone of {task['name']}", "new_task_parent": task["id"]}
    request = {"task": task["id"], **named}
    made = store.get_required("task", answer_call(store, "tasks.clone", request, caller)["id"])
    queue = store.get("queue", task["execution"].get("queue")) or {"id": ""}
    return {"redirect": f"{views.task_path(made)}/edit?queue={queue['id']}"}


def start_run(store: Store, form: Form, caller: Caller) -> Document:
    task = views.found_task(store, form)
    try:
        arguments = [{"name": name, "value": text} for (_, name), text in _changes(task, True, form).items()]
        request = {"task": task["id"], "queue": form["queue"], "args": arguments}
        made = answer_call(store, "pipelines.start_pipeline", request, caller)["pipeline"]
    except ApiError as error:
        return {"template": "edit.html", **_filled(store, task, True, form, str(error))}
    return {"redirect": views.page_path(store.get_required("task", made)), "said": "The new run is enqueued."}


def edit(store: Store, form: Form, caller: Caller) -> Document:
    """Save what the visitor changed, and enqueue the draft if asked: all of it or nothing."""
    task = views.found_task(store, form)
    enqueue = {"queue": form.get("queue")} if "enqueue" in form else {}
    try:
        if task["status"] != "created":
            raise invalid_task_status(f"it is no draft any more, but {task['status']}")
        typed = _changes(task, False, form)
        fields: Document = {name: text for (section, name), text in typed.items() if not section}
        if "tags" in fields:
            fields["tags"] = [tag for tag in fields["tags"].split("\n") if tag.strip()]
        held = task["hyperparams"]
        given = [
            {**held[section][name], "section": section, "name": name, "value": text}
            for (section, name), text in typed.items()
            if section
        ]
        calls = {
            "tasks.edit": fields,
            "tasks.edit_hyper_params": {"hyperparams": given} if given else {},
            "tasks.enqueue": enqueue,
        }
        with store.transaction():
            for call, request in calls.items():
                if request:
                    answer_call(store, call, {**request, "task": task["id"]}, caller)
    except ApiError as error:
        return {"template": "edit.html", **_filled(store, task, False, form, str(error))}
    return {"redirect": views.page_path(task), "said": "Enqueued." if enqueue else "Saved."}


ACTS = {"task-clone": clone, "edit": edit, "start-run": start_run}
