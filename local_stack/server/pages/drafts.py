"""New runs: a task is cloned, a draft edited and put in a queue, a pipeline run again.

The form of a draft holds its texts twice: as they were, and for the visitor to change. So what nobody changed
stays as it is stored, and who saves learns what somebody else changed meanwhile.
"""

import json
from typing import NamedTuple

from starlette.datastructures import ImmutableMultiDict

from ..documents import Document
from ..errors import ApiError, invalid_task_status, validation_error
from ..login.callers import Caller
from ..pipelines.endpoints import ARGUMENTS
from ..services import answer_call
from ..store import Store
from . import views
from .queue_choice import queue_choices

Form = ImmutableMultiDict[str, str]
Texts = dict[tuple[str, str], str | None]  # by section and name; the section "" has fields of the task itself

# In one form, as JSON: whatever the characters are, it is smaller than the largest that routes.py takes.
MOST_ROWS, MOST_CHARACTERS = 1000, 300_000
NEW_ROWS = 3


class Edits(NamedTuple):
    before: Texts  # as the form was made; None where nothing was stored
    typed: Texts  # those that the visitor changed
    removed: list[tuple[str, str]]
    new: list[tuple[str, str, str]]  # section, name and value


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


def _edits(form: Form) -> Edits:
    def all_of(name: str) -> list[str]:
        return [text.replace("\r\n", "\n") for text in form.getlist(name)]

    try:
        held = json.loads(form.get("before", ""))
        before: Texts = {(str(section), str(name)): text for section, name, text in held}
        typed: Texts = dict(zip(before, all_of("text"), strict=True))
        changed = {place: text for place, text in typed.items() if _shown(text or "") != before[place]}
        removed = [list(before)[int(number)] for number in form.getlist("remove")]
        rows = zip(all_of("section"), all_of("parameter"), all_of("value"), strict=True)
        new = [(section.strip(), name.strip(), value) for section, name, value in rows]
    except (ValueError, TypeError, LookupError, RecursionError) as error:
        raise validation_error(f"this is no form of a task: {error}") from error
    return Edits(before, changed, removed, [row for row in new if row[1] or row[2]])


def _filled(
    store: Store, task: Document, new_run: bool, form: Form | None = None, problem: str = ""
) -> Document:
    """Return what the template shows: the texts as they are stored, or as the visitor has typed them."""
    now, left_out = _texts(task, new_run)
    edits = _edits(form) if form else Edits(now, {}, [], [])
    places = sorted(now | edits.typed, key=lambda place: place[0])  # as the template groups them
    rows = [
        {
            "number": number,
            "section": place[0],
            "name": place[1],
            "now": now.get(place),
            "text": edits.typed.get(place, now.get(place)),
            "removed": place in edits.removed,
            "is_news": edits.before.get(place) != now.get(place),
            "description": task["hyperparams"].get(place[0], {}).get(place[1], {}).get("description"),
        }
        for number, place in enumerate(places)
    ]
    return {
        **views.heading(store, task),
        "live": False,  # what is typed should stay
        "page_path": views.page_path(task),
        "new_run": new_run,
        "rows": rows,
        "before": json.dumps([(row["section"], row["name"], row["now"]) for row in rows]),
        "new": [*edits.new, *[(min(task["hyperparams"], default="Args"), "", "")] * NEW_ROWS],
        "gone": [place for place in edits.before if place not in places],
        "left_out": left_out,
        "problem": problem,
        "queues": queue_choices(store, task, form.get("queue") if form else None),
    }


def edit_page(store: Store, request: Document) -> Document:
    return _filled(store, views.found_task(store, request), new_run=False)


def new_run_page(store: Store, request: Document) -> Document:
    task = views.found_task(store, request)
    if not views.is_pipeline(task):
        return {"redirect": views.task_path(task)}
    return _filled(store, task, new_run=True)


def clone(store: Store, form: Form, caller: Caller) -> Document:
    task = views.found_task(store, form)
    request = {"task": task["id"], "new_task_name": f"Clone of {task['name']}"}
    made = answer_call(store, "tasks.clone", request, caller)["id"]
    return {"redirect": f"{views.task_path(store.get_required('task', made))}/edit"}


def enqueue(store: Store, form: Form, caller: Caller) -> Document:
    task = views.found_task(store, form)
    answer_call(store, "tasks.enqueue", {"task": task["id"], "queue": form.get("queue")}, caller)
    return {"redirect": views.page_path(task), "said": "Enqueued."}


def dequeue(store: Store, form: Form, caller: Caller) -> Document:
    task = views.found_task(store, form)
    if task["status"] != "queued":  # the API takes a running task to be one that lost its worker
        raise invalid_task_status(f"task {task['id']} is {task['status']}: it waits in no queue")
    answer_call(store, "tasks.dequeue", {"task": task["id"]}, caller)
    return {"redirect": views.page_path(task), "said": "Taken out of its queue."}


def start_run(store: Store, form: Form, caller: Caller) -> Document:
    task = views.found_task(store, form)
    arguments = [{"name": name, "value": text} for (_, name), text in _edits(form).typed.items()]
    request = {"task": task["id"], "queue": form.get("queue"), "args": arguments}
    try:
        made = answer_call(store, "pipelines.start_pipeline", request, caller)["pipeline"]
    except ApiError as error:
        return {"template": "edit.html", **_filled(store, task, True, form, str(error))}
    return {"redirect": views.page_path(store.get_required("task", made)), "said": "The new run is enqueued."}


def edit(store: Store, form: Form, caller: Caller) -> Document:
    """Save what the visitor changed, and enqueue the draft if asked: all of it or nothing."""
    task, edits = views.found_task(store, form), _edits(form)
    try:
        if task["status"] != "created":
            raise invalid_task_status(f"it is no draft any more, but {task['status']}")
        before = {place: text for place, text in edits.before.items() if text is not None}
        if before != _texts(task, new_run=False)[0]:
            raise ApiError(400, 0, "somebody changed this draft meanwhile; see below, and save again")
        with store.transaction():
            _save(store, task, edits, caller)
            if "enqueue" in form:
                return enqueue(store, form, caller)
    except ApiError as error:
        return {"template": "edit.html", **_filled(store, task, False, form, str(error))}
    return {"redirect": views.page_path(task), "said": "Saved."}


def _save(store: Store, task: Document, edits: Edits, caller: Caller) -> None:
    held = task["hyperparams"]
    fields: Document = {name: text for (section, name), text in edits.typed.items() if not section}
    if "tags" in fields:
        known = {_shown(tag): tag for tag in task["tags"]}
        fields["tags"] = [known.get(tag, tag) for tag in fields["tags"].split("\n") if tag.strip()]
    items = {
        place: {**held.get(place[0], {}).get(place[1], {}), "value": text}
        for place, text in edits.typed.items()
        if place[0]
    }
    for section, name, value in edits.new:
        if name in held.get(section, {}) or (section, name) in items:
            raise validation_error(f"{section} has a parameter {name} already")
        items[section, name] = {"value": value}
    given = [{**item, "section": section, "name": name} for (section, name), item in items.items()]
    # Without a name, the call would delete the whole section.
    removed = [{"section": section, "name": name} for section, name in edits.removed if section and name]
    for call, request in (
        ("tasks.edit", fields),
        ("tasks.edit_hyper_params", {"hyperparams": given} if given else {}),
        ("tasks.delete_hyper_params", {"hyperparams": removed} if removed else {}),
    ):
        if request:
            answer_call(store, call, {**request, "task": task["id"]}, caller)


ACTS = {"clone": clone, "dequeue": dequeue, "edit": edit, "enqueue": enqueue, "start-run": start_run}
