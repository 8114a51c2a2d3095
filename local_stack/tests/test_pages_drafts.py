"""Cloning, editing and enqueuing on the pages: what a form shows, saves, refuses, and never loses."""

import html
import json
import re
import uuid
from urllib.parse import quote_plus

import httpx
import pytest

from local_stack.server.auth import ONLY_SHOWS
from local_stack.server.pages.drafts import MOST_CHARACTERS, MOST_ROWS
from local_stack.server.pages.routes import LARGEST_FORM, MOST_FIELDS
from local_stack.tests.api import Api

DEPTH = {
    "section": "Args",
    "name": "max_depth",
    "value": "3",
    "type": "int",
    "description": "levels (%(default)s)",
}
ETA = {"section": "Args", "name": "eta", "value": "0.2"}
PARAMETERS = {"Args": {"max_depth": DEPTH, "eta": ETA}}
TEXT = re.compile(
    r'<textarea[^>]* name="text"[^>]*>\n(.*?)</textarea>|<input [^>]*name="text" value="([^"]*)"', re.S
)


@pytest.fixture
def visitor(api: Api) -> httpx.Client:
    return api.visit()


@pytest.fixture
def draft(api: Api) -> str:
    return api.new("task", name="a draft", comment="why", tags=["one", "two"], hyperparams=PARAMETERS)


@pytest.fixture
def queue(api: Api) -> str:
    return api.new("queue", name=f"queue {uuid.uuid4().hex}")


class Form:
    """The form of an edit page, and what a visitor types in it."""

    def __init__(self, visitor: httpx.Client, page: str) -> None:
        self.visitor, self.page = visitor, html.unescape(page)
        self.act = re.search(r'action="/pages/act/(edit|start-run)"', page)[1]
        form = page.partition('class="edit"')[2]
        hidden = dict(re.findall('type="hidden" name="([^"]*)" value="([^"]*)"', form))
        self.hidden = {name: html.unescape(value) for name, value in hidden.items()}
        self.queue = (re.findall(r'value="(\w+)" selected', page) or [""])[0]
        places = [f"{section}/{name}" for section, name, _ in json.loads(self.hidden["before"])]
        self.texts = dict(zip(places, (html.unescape(a or b) for a, b in TEXT.findall(page)), strict=True))

    def send(self, *pressed: str, **typed: str) -> httpx.Response:
        """Send the form as a browser does: line by line."""
        texts = [text.replace("\n", "\r\n") for text in {**self.texts, **typed}.values()]
        return self.visitor.post(
            f"/pages/act/{self.act}",
            data={
                **self.hidden,
                "text": texts,
                "queue": self.queue,
                **dict.fromkeys(pressed, "yes"),
            },
        )


def edit(visitor: httpx.Client, task: str) -> Form:
    answer = visitor.get(f"/projects/*/tasks/{task}/edit")
    assert answer.status_code == 200, answer.text
    return Form(visitor, answer.text)


def again(form: Form, answer: httpx.Response) -> Form:
    """The form that comes back with what is wrong."""
    assert (answer.status_code, answer.url.path) == (200, f"/pages/act/{form.act}")
    return Form(form.visitor, answer.text)


def saved(answer: httpx.Response) -> str:
    """The page of the task that a form leads to."""
    assert answer.status_code == 200, answer.text
    assert not answer.url.path.startswith("/pages/act"), re.findall('role="alert">([^<]*)', answer.text)
    return answer.text


def act(visitor: httpx.Client, name: str, task: str, **fields: str) -> httpx.Response:
    key = re.search('name="key" value="([0-9a-f]{64})"', visitor.get("/settings").text)[1]
    return visitor.post(f"/pages/act/{name}", data={"key": key, "id": task, "task": task, **fields})


def values(api: Api, task: str) -> dict[str, str]:
    sections = api.get("task", task)["hyperparams"].values()
    return {
        f"{item['section']}/{item['name']}": item["value"] for items in sections for item in items.values()
    }


def in_queue(api: Api, queue: str) -> list[str]:
    return [entry["task"] for entry in api.get("queue", queue)["entries"]]


# Clones


def test_a_clone_is_a_draft_whose_edit_page_opens_and_no_step_of_its_original_s_pipeline(api, visitor):
    pipeline = api.new("task", name="above", type="controller")
    source = api.new("task", name='X "<b>', hyperparams=PARAMETERS, tags=["kept"], parent=pipeline)
    for call in ("started", "completed"):
        api(f"tasks.{call}", task=source)
    answer = act(visitor, "task-clone", source)
    made = answer.url.path.split("/")[-2]
    assert answer.url.path == f"/projects/*/tasks/{made}/edit"
    task = api.get("task", made)
    assert (task["name"], task["status"], task["tags"]) == ('Clone of X "<b>', "created", ["kept"])
    assert task["parent"] == source
    assert task["hyperparams"] == api.get("task", source)["hyperparams"]


@pytest.mark.parametrize("queue", ["\ud800", "a&b=\n", None])
def test_a_task_that_ran_on_no_queue_that_there_is_can_be_cloned(api, visitor, queue):
    source = api.new("task", execution={"queue": queue})
    assert act(visitor, "task-clone", source).status_code == 200


# What a form shows and saves


def test_a_draft_is_edited_by_section_and_only_what_was_changed_is_stored(api, visitor, draft):
    form = edit(visitor, draft)
    expected = {"/name": "a draft", "/tags": "one\ntwo", "/comment": "why"}
    assert form.texts == {**expected, "Args/eta": "0.2", "Args/max_depth": "3"}
    assert "levels\n" in form.page
    before = api.get("task", draft)
    assert "Saved." in saved(form.send(**{"Args/max_depth": "5", "/tags": "two\nthree, four\n\n"}))
    after = api.get("task", draft)
    depth = {"Args": {"max_depth": {**DEPTH, "value": "5"}, "eta": ETA}}
    assert (after["hyperparams"], after["tags"]) == (depth, ["three, four", "two"])
    changed = {key for key in after if after[key] != before[key]}
    assert changed == {"hyperparams", "tags", "last_change", "last_update"}


ODD = {
    "lines": " a\n\n b\n", "dos": "a\r\nb", "mac": "a\rb", "first": "\n\nb", "empty": "", "space": "  x\t ",
    "long": "0123456789" * 1000, "half": "a\ud800b", "nul": "a\0b", "html": '</textarea>"><script>',
    "entity": "&amp;&#10;", "none": None, "\udc80 name\n\0": "v",
}  # fmt: skip


def test_what_nobody_touches_survives_to_the_last_character(api, visitor):
    parameters = {"Odd \ud800": {name: {"value": value, "type": "str"} for name, value in ODD.items()}}
    task = api.new(
        "task", name="odd\ud800 name", tags=["a,b", "c d"], comment="x\r\ny", hyperparams=parameters
    )
    before = api.get("task", task)
    saved(edit(visitor, task).send())
    assert api.get("task", task) == before
    saved(edit(visitor, task).send(**{"/tags": edit(visitor, task).texts["/tags"] + "\nnew"}))
    after = api.get("task", task)
    assert after["tags"] == ["a,b", "c d", "new"]
    assert (after["hyperparams"], after["comment"]) == (before["hyperparams"], before["comment"])


@pytest.mark.parametrize(
    "text", [" a\n\n b\n", "\n\nb", "", "  x ", "0123456789" * 1000, "é中🙂", "</textarea>&lt;"]
)
def test_what_is_typed_is_stored_and_shown_to_the_last_character(api, visitor, draft, text):
    saved(edit(visitor, draft).send(**{"Args/eta": text, "/comment": text}))
    assert (values(api, draft)["Args/eta"], api.get("task", draft)["comment"]) == (text, text)
    form = edit(visitor, draft)
    assert (form.texts["Args/eta"], form.texts["/comment"]) == (text, text)


def test_more_than_a_form_holds_is_left_out_named_by_number_and_stays(api, visitor):
    large = {"a": "x" * MOST_CHARACTERS, "b": "small"} | {f"n{i:04}": "1" for i in range(MOST_ROWS)}
    task = api.new("task", hyperparams={"Args": {name: {"value": value} for name, value in large.items()}})
    form = edit(visitor, task)
    assert len(form.texts) == MOST_ROWS
    assert "5 more do not fit into this form" in form.page
    saved(form.send(**{"Args/b": "changed"}))
    assert values(api, task) == {f"Args/{name}": value for name, value in {**large, "b": "changed"}.items()}


@pytest.mark.parametrize("character", ["中", "\\", "\u0080", "🙂", ";"])
def test_the_largest_form_is_one_that_the_server_takes(api, visitor, character):
    room = MOST_CHARACTERS // MOST_ROWS - len('["Args", "0000", ""]')
    each = room // (len(json.dumps(character)) - 2)
    parameters = {f"{i:04}": {"value": character * each} for i in range(MOST_ROWS)}
    form = edit(visitor, api.new("task", hyperparams={"Args": parameters}))
    assert len(form.texts) > 0.9 * MOST_ROWS
    size = sum(len("&text=") + len(quote_plus(text)) for text in form.texts.values())
    assert size + len(quote_plus(form.hidden["before"])) + 1000 < LARGEST_FORM
    assert 2 * MOST_ROWS < MOST_FIELDS


# All or nothing


def test_what_the_server_refuses_is_said_and_nothing_is_lost_or_half_saved(api, visitor, draft, queue):
    before = api.get("task", draft)
    good = {"Args/eta": "0.5", "/comment": "my comment"}
    wrong = {
        "/name": ("x", "a task's name needs at least 3 characters"),
        "/tags": ("__$not", "may not begin"),
    }
    for place, (text, reason) in wrong.items():
        form = edit(visitor, draft)
        back = again(form, form.send(**good, **{place: text}))
        assert reason in back.page
        assert back.texts == {**form.texts, **good, place: text}
    form = edit(visitor, draft)
    form.queue = "gone"
    back = again(form, form.send("enqueue", **good))
    assert "Invalid queue id" in back.page
    assert api.get("task", draft) == before
    back.queue = ""
    back = again(back, back.send("enqueue"))
    assert "choose a queue" in back.page
    assert api.get("task", draft) == before
    back.queue = queue
    assert "Enqueued." in saved(back.send("enqueue"))
    assert (values(api, draft)["Args/eta"], in_queue(api, queue)) == ("0.5", [draft])


@pytest.mark.parametrize(
    "fields",
    [
        {"before": "x"}, {"before": "[" * 100_000}, {"before": '[["a", "b", "c"]]'}, {"before": "5"},
        {"before": "[[[], 1]]"}, {"text": "one"}, {"task": "nobody"},
    ],
)  # fmt: skip
def test_a_form_that_no_page_has_is_refused(api, visitor, draft, fields):
    before = api.get("task", draft)
    answer = act(visitor, "edit", **{"task": draft, "before": "[]", **fields})
    assert answer.status_code in (400, 404)
    assert api.get("task", draft) == before


@pytest.mark.parametrize("place", [("", "status"), ("", "script"), ("Args", "not there"), ("New", "one")])
@pytest.mark.parametrize("as_it_was", [None, ""])
def test_a_form_writes_nothing_that_its_page_does_not_show(api, visitor, draft, run, place, as_it_was):
    for form in (edit(visitor, draft), new_run(visitor, run)):
        before = [api.get("task", task) for task in (draft, run)]
        form.hidden["before"] = json.dumps([*json.loads(form.hidden["before"]), [*place, as_it_was]])
        back = again(form, form.send(**{"/".join(place): "published"}))
        assert "somebody changed this task meanwhile" in back.page
        assert [api.get("task", task) for task in (draft, run)] == before
        assert "/".join(place) not in back.texts


# Two at once


def test_what_somebody_else_changed_is_shown_beside_ones_own_and_both_are_kept(api, visitor, draft):
    form = edit(visitor, draft)
    theirs = [
        {**DEPTH, "value": "7"},
        {**ETA, "value": "0.7"},
        {"section": "Args", "name": "theirs", "value": "t"},
    ]
    api("tasks.edit_hyper_params", task=draft, hyperparams=theirs)
    between = api.get("task", draft)
    back = again(form, form.send("enqueue", **{"Args/eta": "0.5", "/name": "my name"}))
    assert "somebody changed this task meanwhile" in back.page
    assert api.get("task", draft) == between
    mine = {"/name": "my name", "Args/eta": "0.5"}
    assert back.texts == {**form.texts, **mine, "Args/max_depth": "7", "Args/theirs": "t"}
    news = re.findall('class="trouble">(Changed[^<]*)<', back.page)
    assert sorted(news) == [f"Changed meanwhile to: {value}" for value in ("0.7", "7", "t")]
    saved(back.send())
    assert values(api, draft) == {"Args/eta": "0.5", "Args/max_depth": "7", "Args/theirs": "t"}
    assert api.get("task", draft)["name"] == "my name"


def test_what_somebody_else_removed_stays_away_and_what_was_typed_for_it_is_told(api, visitor, draft):
    api("tasks.edit_hyper_params", task=draft, hyperparams=[{"section": "Later", "name": "x", "value": "1"}])
    form = edit(visitor, draft)
    removed = [{"section": "Args", "name": name} for name in ("eta", "max_depth")]
    api("tasks.delete_hyper_params", task=draft, hyperparams=removed)
    back = again(form, form.send(**{"Args/eta": "0.5"}))
    assert "Removed meanwhile: Args/eta, for which you typed: 0.5<" in back.page
    expected = {"/name": "a draft", "/tags": "one\ntwo", "/comment": "why", "Later/x": "1"}
    assert back.texts == expected
    saved(back.send())
    assert values(api, draft) == {"Later/x": "1"}


def test_a_draft_that_was_enqueued_meanwhile_is_not_edited_and_a_second_click_changes_nothing(
    api, visitor, draft, queue
):
    form = edit(visitor, draft)
    form.queue = queue
    saved(form.send("enqueue"))
    back = again(form, form.send("enqueue", **{"Args/eta": "mine"}))
    assert "it is no draft any more, but queued" in back.page
    assert back.texts["Args/eta"] == "mine"
    assert in_queue(api, queue) == [draft]
    assert values(api, draft)["Args/eta"] == "0.2"


def test_the_edit_page_of_a_task_that_is_no_draft_leads_to_its_own(api, visitor, draft):
    api("tasks.started", task=draft)
    answer = visitor.get(f"/projects/*/tasks/{draft}/edit")
    assert (answer.url.path, "/pages/act/task-clone" in answer.text) == (f"/projects/*/tasks/{draft}", True)


# Queues


def test_queues_say_who_listens_and_the_one_with_most_workers_is_chosen(api, visitor, draft):
    busy, idle, used = (api.new("queue", name=f"{name} queue") for name in ("<b>busy", "idle", "used"))
    for number, queues in enumerate(([busy], [busy, used])):
        api("workers.register", worker=f"listener {number}", queues=queues)
    for queue in (busy, busy, idle):
        api("tasks.enqueue", task=api.new("task"), queue=queue)
    form = edit(visitor, draft)
    assert form.queue == busy
    for label in (
        "<b>busy queue: 2 listening, 2",
        "idle queue: nobody listening, 1",
        "used queue: 1 listening, 0",
    ):
        assert f">{label} waiting<" in form.page


def test_for_a_clone_the_queue_of_its_original_is_chosen(api, visitor, draft, queue):
    api("workers.register", worker="elsewhere", queues=[api.new("queue", name="heard queue")])
    api("tasks.enqueue", task=draft, queue=queue)
    page = act(visitor, "task-clone", draft)
    assert Form(visitor, page.text).queue == queue


def test_an_enqueued_task_says_when_nobody_listens(api, visitor, draft, queue):
    form = edit(visitor, draft)
    form.queue = queue
    page = saved(form.send("enqueue"))
    assert "data-live" in page
    assert f'Nobody listens to the queue <a href="/workers-and-queues#queue-{queue}">' in page
    api("workers.register", worker="late listener", queues=[queue])
    assert "Nobody listens" not in visitor.get(f"/projects/*/tasks/{draft}").text


def test_who_came_by_a_link_that_shows_only_sees_no_button_and_why_a_task_waits(api, draft, queue):
    looker = api.visit(**{ONLY_SHOWS: True})
    task, form = f"/projects/*/tasks/{draft}", f"/projects/*/tasks/{draft}/edit"
    assert "/edit" not in looker.get(task).text
    assert "it may change nothing" in looker.get(form).text
    for path in (task, form):
        assert "/pages/act/" not in looker.get(path).text
    api("tasks.enqueue", task=draft, queue=queue)
    assert "Nobody listens to the queue" in looker.get(task).text


# Pipelines


@pytest.fixture
def run(api: Api, queue: str) -> str:
    """A pipeline that ran on the queue."""
    arguments = {
        "Args": {"seeds": {**DEPTH, "name": "seeds"}, "eta": ETA},
        "Other": {"eta": {"value": "hidden"}},
    }
    project = api.new("project", name=f"team/.pipelines/{queue}", system_tags=["pipeline"])
    fields = {"type": "controller", "system_tags": ["pipeline"], "project": project}
    run = api.new("task", name=queue, hyperparams=arguments, **fields)
    api("tasks.enqueue", task=run, queue=queue)
    api("tasks.dequeue", task=run, new_status="in_progress")
    api("tasks.completed", task=run)
    return run


def new_run(visitor: httpx.Client, run: str) -> Form:
    page = visitor.get(f"/pipelines/*/experiments/{run}").text
    link = re.search('href="([^"]*/new-run)"', page)[1]
    return Form(visitor, visitor.get(link).text)


def test_a_new_run_of_a_pipeline_begins_with_the_arguments_and_the_queue_of_the_old_one(
    api, visitor, run, queue
):
    form = new_run(visitor, run)
    assert (form.texts, form.queue) == ({"Args/eta": "0.2", "Args/seeds": "3"}, queue)
    answer = form.send(**{"Args/seeds": "7 8"})
    assert "The new run is enqueued." in saved(answer)
    made = answer.url.path.split("/")[-1]
    task = api.get("task", made)
    assert answer.url.path == f"/pipelines/{task['project']}/experiments/{made}"
    assert (task["name"], task["status"], made in in_queue(api, queue)) == (f"{queue} #2", "queued", True)
    old = api.get("task", run)["hyperparams"]
    assert task["hyperparams"]["Args"]["seeds"] == {**old["Args"]["seeds"], "value": "7 8"}
    assert task["hyperparams"]["Args"]["eta"] == old["Args"]["eta"]
    assert task["hyperparams"]["Other"] == old["Other"]


def test_a_new_run_that_is_refused_makes_no_task_and_keeps_what_was_typed(api, visitor, run):
    form = new_run(visitor, run)
    project = [api.get("task", run)["project"]]
    before = len(api("tasks.get_all", project=project, search_hidden=True)["tasks"])
    for form.queue, problem in (("gone", "Invalid queue id"), ("", "choose a queue")):
        back = again(form, form.send(**{"Args/seeds": "7 8"}))
        assert problem in back.page
        assert back.texts == {"Args/eta": "0.2", "Args/seeds": "7 8"}
    assert len(api("tasks.get_all", project=project, search_hidden=True)["tasks"]) == before


def test_only_pipelines_have_new_runs(api, visitor, draft):
    answer = visitor.get(f"/pipelines/*/experiments/{draft}/new-run")
    assert answer.url.path == f"/projects/*/tasks/{draft}"
    assert "/new-run" not in answer.text
