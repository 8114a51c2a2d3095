"""What the pages' buttons do, what they ask before, and who may press them."""

import html
import json
import re
from urllib.parse import quote, urlencode

import httpx
import pytest

from local_stack.server.auth import ONLY_SHOWS, PAGES, Credentials
from local_stack.server.pages import acting
from local_stack.server.pages.routes import ACTS, LARGEST_FORM, MOST_FIELDS
from local_stack.tests.api import Api

PIPELINE = {"type": "controller", "system_tags": ["pipeline"]}
DATASET = {"type": "data_processing", "system_tags": ["dataset"]}
ARTIFACTS = [{"key": key, "type": "t", "mode": mode} for key, mode in (("a", "output"), ("b", "input"))]
HOSTILE = '"><script>alert(1)</script>'


@pytest.fixture
def visitor(api: Api) -> httpx.Client:
    return api.visit()


def key_of(visitor: httpx.Client) -> str:
    """The key in the forms of the session's pages."""
    return re.search('name="key" value="([0-9a-f]{64})"', visitor.get("/settings").text)[1]


def press(visitor: httpx.Client, act: str, *ids: str, **fields) -> str:
    """The text of the page that comes after a button was pressed."""
    given = {"key": key_of(visitor), "id": ids, **fields}
    answer = visitor.post(f"/pages/act/{act}", data=given)
    assert answer.status_code == 200, answer.text
    return answer.text


def confirm(visitor: httpx.Client, asked: str) -> str:
    """The text of the page that comes after "Yes" on one that asks."""
    (action, form), *_ = re.findall('<form method="post" action="([^"]*)"[^>]*>(.*?)</form>', asked, re.S)
    fields: dict = {}
    for name, value in re.findall('name="([^"]*)" value="([^"]*)"', form):
        fields.setdefault(name, []).append(html.unescape(value))
    answer = visitor.post(action, data=fields)
    assert answer.status_code == 200, answer.text
    return answer.text


def said(page: str) -> str:
    return html.unescape(re.search('class="said"[^>]*>([^<]*)<', page)[1])


def lost(page: str) -> list[str]:
    """The lines of what cannot be undone."""
    part = page.partition("This cannot be undone")[2]
    return [html.unescape(line) for line in re.findall("<li>(.*?)</li>", part)]


def status(api: Api, task: str) -> str:
    return api.get("task", task)["status"]


def in_status(api: Api, *words: str, **fields) -> str:
    """A task that went through these calls."""
    task = api.new("task", **fields)
    for word in words:
        api(f"tasks.{word}", task=task)
    return task


def exists(api: Api, kind: str, key: str) -> bool:
    return api.send(f"{kind}s.get_by_id", **{kind: key}).status_code == 200


# What they do


def test_archived_tasks_are_restored_and_neither_is_asked_about(api, visitor):
    tasks = [in_status(api, "started", "completed"), api.new("task")]
    for word, tags in (("archive", ["archived"]), ("restore", [])):
        assert said(press(visitor, f"task-{word}", *tasks)) == f"2 tasks {word}d."
        assert [api.get("task", task)["system_tags"] for task in tasks] == [tags, tags]


def test_what_waits_is_aborted_at_once_and_what_runs_after_a_question(api, visitor):
    waits, runs = in_status(api, "enqueue", name="waits"), in_status(api, "started", name="runs")
    assert said(press(visitor, "task-abort", waits)) == "1 task aborted."
    asked = press(visitor, "task-abort", runs)
    assert lost(asked) == ["1 run cut off, steps of pipelines included"]
    assert status(api, runs) == "in_progress"
    assert said(confirm(visitor, asked)) == "1 task aborted."
    assert [status(api, task) for task in (waits, runs)] == ["stopped", "stopped"]


def test_what_an_agent_runs_is_told_to_end(api, visitor):
    task = in_status(api, "started", name="far")
    api("workers.register", worker="far away", queues=[])
    api("workers.status_report", worker="far away", task=task)
    page = confirm(visitor, press(visitor, "task-abort", task))
    assert said(page) == "1 task being aborted."
    assert (status(api, task), api.get("task", task)["status_message"]) == ("in_progress", "stopping")
    api("workers.unregister", worker="far away")


def test_a_pipeline_is_aborted_with_its_steps_and_those_that_ended_stay_as_they_are(api, visitor):
    pipeline = in_status(api, "started", **PIPELINE)
    words = (("started", "completed"), ("started",), ("enqueue",))
    steps = [in_status(api, *each, parent=pipeline) for each in words]
    asked = press(visitor, "task-abort", pipeline)
    assert lost(asked) == ["2 runs cut off, steps of pipelines included"]
    assert said(confirm(visitor, asked)) == "3 tasks aborted."
    assert [status(api, task) for task in (pipeline, *steps)] == [
        "stopped",
        "completed",
        "stopped",
        "stopped",
    ]


def test_a_reset_asks_with_what_the_runs_made_and_makes_drafts(api, visitor):
    task = in_status(api, "started", execution={"artifacts": ARTIFACTS})
    for ready in (False, True):
        api.new("model", task=task, ready=ready)
    api("tasks.completed", task=task)
    draft = api.new("task")
    asked = press(visitor, "task-reset", task, draft)
    assert "Reset 2 tasks?" in asked
    assert lost(asked) == [acting.RESULTS]
    page = confirm(visitor, asked)
    assert "has published models" in page  # the server's own reason
    assert said(page) == "1 task reset."


def test_a_reset_says_that_it_cuts_off_what_runs(api, visitor):
    asked = press(visitor, "task-reset", in_status(api, "started"))
    assert lost(asked) == ["1 run cut off, steps of pipelines included", acting.RESULTS]


def test_what_is_published_is_published_for_good_with_the_last_model(api, visitor):
    task = in_status(api, "started", name="good")
    model = api.new("model", task=task)
    api("tasks.add_or_update_model", task=task, name="m", model=model, type="output")
    api("tasks.completed", task=task)
    asked = press(visitor, "task-publish", task)
    assert lost(asked) == ["Tasks stay published. The model that each made last is published along."]
    assert said(confirm(visitor, asked)) == "1 task published."
    assert (status(api, task), api.get("model", model)["ready"]) == ("published", True)
    again = press(visitor, "task-publish", task)
    assert "This cannot be undone" not in again
    assert f"task {task} is published already" in again


def test_tasks_that_have_ended_are_deleted_with_what_they_made_by_one_yes(api, visitor):
    pipeline = in_status(api, "started", "completed", **PIPELINE)
    step = in_status(api, "started", "failed", parent=pipeline, execution={"artifacts": ARTIFACTS})
    model = api.new("model", task=step)
    child = api.new("task", parent=step)
    asked = press(visitor, "task-delete", step, pipeline)
    assert "Yes, delete 2 tasks" in asked
    assert lost(asked) == ["2 tasks with parameters and code", acting.RESULTS]
    assert said(confirm(visitor, asked)) == "2 tasks deleted."
    assert [exists(api, "task", task) for task in (pipeline, step, child)] == [False, False, True]
    assert not exists(api, "model", model)


def test_of_a_pipeline_that_is_deleted_the_steps_are_counted(api, visitor):
    pipeline = in_status(api, "started", "completed", **PIPELINE)
    steps = [in_status(api, "started", "completed", parent=pipeline) for _ in range(3)]
    asked = press(visitor, "task-delete", pipeline)
    assert "1 task with parameters and code, 3 steps of pipelines along" in lost(asked)
    confirm(visitor, asked)
    assert not any(exists(api, "task", task) for task in (pipeline, *steps))


def test_who_deletes_a_dataset_is_told_what_later_versions_need(api, visitor):
    asked = press(visitor, "task-delete", api.new("task", **DATASET))
    assert lost(asked)[-1] == "files from which later versions of a dataset are made"


def test_what_the_server_refuses_is_said_for_each_beside_what_succeeded(api, visitor):
    ended, running = (
        in_status(api, "started", "completed", name="ended"),
        in_status(api, "started", name=HOSTILE),
    )
    page = confirm(visitor, press(visitor, "task-delete", ended, running))
    assert "1 task not deleted" in page
    assert f"{HOSTILE}</a>: Task cannot be deleted: {running} is in_progress" in html.unescape(page)
    assert HOSTILE not in page
    assert said(page) == "1 task deleted."
    assert [exists(api, "task", task) for task in (ended, running)] == [False, True]


def test_a_deletion_that_is_refused_leaves_the_task_as_it_was(api, visitor):
    task = in_status(api, "started", "completed")
    api.new("model", task=task, ready=True)
    before = api.get("task", task)
    assert "has published models" in confirm(visitor, press(visitor, "task-delete", task))
    assert api.get("task", task) == before


def test_who_was_asked_about_something_else_is_asked_again(api, visitor):
    """Somebody enqueues and runs the task meanwhile."""
    task = in_status(api, "started", "failed")
    asked = press(visitor, "task-reset", task)
    api("tasks.enqueue", task=task)
    api("tasks.started", task=task)
    again = confirm(visitor, asked)
    assert "Meanwhile something has changed" in again
    assert status(api, task) == "in_progress"
    assert said(confirm(visitor, again)) == "1 task reset."


def test_a_question_is_not_answered_by_a_form_that_was_never_asked(api, visitor):
    task = in_status(api, "started", "completed")
    for sure in ("1", "", "0" * 64):
        assert "Delete this task?" in press(visitor, "task-delete", task, sure=sure)
    assert exists(api, "task", task)


@pytest.mark.parametrize("word", ["abort", "reset", "delete", "archive"])
def test_a_form_that_is_sent_twice_does_no_more_than_once(api, visitor, word):
    asked = press(visitor, f"task-{word}", in_status(api, "started", **PIPELINE))
    if word == "delete":  # what runs is not deleted
        asked = press(visitor, "task-delete", in_status(api, "started", "completed"))
    assert said(confirm(visitor, asked)) == said(confirm(visitor, asked)) == f"1 task {acting.WORDS[word]}."


def test_models_are_published_archived_and_deleted(api, visitor):
    task = in_status(api, "started", "completed")
    model, spare = api.new("model", task=task, name="best"), api.new("model", name="spare")
    asked = press(visitor, "model-publish", model)
    assert lost(asked) == ["Models stay published. The tasks that made them are published along."]
    assert said(confirm(visitor, asked)) == "1 model published."
    assert (api.get("model", model)["ready"], status(api, task)) == (True, "published")
    for word, tags in (("archive", ["archived"]), ("restore", [])):
        assert said(press(visitor, f"model-{word}", model, spare)) == f"2 models {word}d."
        assert api.get("model", model)["system_tags"] == tags
    asked = press(visitor, "model-delete", model, spare)
    assert lost(asked) == ["Files of the models are deleted along."]
    page = confirm(visitor, asked)
    assert "Model creating task exists" in page
    assert said(page) == "1 model deleted."


# Tags


@pytest.mark.parametrize("kind", ["task", "model"])
def test_tags_are_added_to_all_that_is_chosen_and_removed(api, visitor, kind):
    ids = [api.new(kind, tags=["old"]), api.new(kind)]
    page = press(visitor, f"{kind}-tags", *ids, back="/models")
    assert 'aria-label="Remove the tag old"' in page
    assert said(press(visitor, f"{kind}-tag", *ids, tag=f" {HOSTILE} ")) == f"2 {kind}s tagged."
    assert [api.get(kind, key)["tags"] for key in ids] == [[HOSTILE, "old"], [HOSTILE]]
    for tag in (HOSTILE, "old"):
        press(visitor, f"{kind}-untag", *ids, tag=tag)
    assert [api.get(kind, key)["tags"] for key in ids] == [[], []]


def test_no_tag_and_a_tag_that_is_not_there_change_nothing(api, visitor):
    task = api.new("task", tags=["kept"])
    given = {"key": key_of(visitor), "id": task, "tag": " "}
    answer = visitor.post("/pages/act/task-tag", data=given)
    assert (answer.status_code, "should name a tag" in answer.text) == (400, True)
    press(visitor, "task-untag", task, tag="other")
    assert api.get("task", task)["tags"] == ["kept"]


# Where they lead


@pytest.mark.parametrize(
    "back",
    ["//evil.example", "/\\evil.example", "https://evil.example", "/\t/evil.example", "x", "/" * 3, "/é"],
)
def test_a_form_leads_to_no_other_server(api, visitor, task, back):
    given = {"key": key_of(visitor), "id": task, "back": back}
    answer = visitor.post("/pages/act/task-archive", data=given, follow_redirects=False)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/")


def test_one_comes_back_to_where_one_was(api, visitor, task):
    back = "/projects/*?name=a+b%26c&page=2"
    for fields, query in (({"back": back}, {}), ({}, {"back": back})):  # a button of a table has an address
        given = {"key": key_of(visitor), "id": task, **fields}
        answer = visitor.post("/pages/act/task-archive", data=given, params=query, follow_redirects=False)
        assert answer.headers["Location"] == back


def test_after_the_shown_task_or_model_is_deleted_its_project_is_shown(api, visitor):
    project = api.new("project", name="stays")
    for kind, end in (("task", ""), ("model", "/models")):
        key = api.new(kind, project=project)
        path = f"/projects/{project}/{kind}s/{key}"
        asked = press(visitor, f"{kind}-delete", key, back=path)
        assert f'<a href="{path}">No, go back</a>' in asked
        assert f'name="back" value="/projects/{project}{end}"' in asked


def test_nothing_chosen_is_said(visitor):
    for act in ("task-abort", "model-delete", "task-tags"):
        answer = visitor.post(f"/pages/act/{act}", data={"key": key_of(visitor)})
        assert (answer.status_code, f"No {act[:-7].rstrip('-')}" in answer.text) == (400, True)


def test_many_rows_are_counted_and_only_the_first_are_named(api, visitor):
    tasks = [api.new("task", name=f"number {number}") for number in range(30)]
    page = press(visitor, "task-delete", *tasks)
    assert "Delete 30 tasks?" in page
    assert (page.count(">number "), "and 10 more" in page) == (acting.MOST_SHOWN, True)


# Who may act


def send(visitor: httpx.Client, task: str, key: str, **options) -> httpx.Response:
    return visitor.post("/pages/act/task-archive", data={"key": key, "id": task}, **options)


def test_a_form_needs_the_key_of_the_very_session(api, visitor, task):
    """A wrong key, none, one of another session, of another stack, and one that is no text."""
    other_stack = Credentials.make().signature(next(iter(visitor.cookies.values())))
    for key in ("", "x", "\udc80", "é", key_of(api.visit()), other_stack):
        body = urlencode({"key": key, "id": task}, errors="surrogateescape")
        answer = visitor.post("/pages/act/task-archive", content=body)
        assert (answer.status_code, "This form is not of this session" in answer.text) == (403, True)
    assert visitor.post("/pages/act/task-archive", data={"id": task}).status_code == 403
    # A key in the address would be no proof: addresses get around.
    answer = visitor.post("/pages/act/task-archive", data={"id": task}, params={"key": key_of(visitor)})
    assert answer.status_code == 403
    assert api.connect().post("/pages/act/task-archive", data={"id": task}).status_code == 401
    assert api.get("task", task)["system_tags"] == []
    assert send(visitor, task, key_of(visitor)).status_code == 200


def test_only_a_page_of_this_very_server_may_send_a_form(api, visitor, task):
    key = key_of(visitor)
    foreign = [{"Origin": origin} for origin in ("http://evil.example", "null", "http://127.0.0.1:9")]
    for headers in (*foreign, *({"Sec-Fetch-Site": site} for site in ("cross-site", "same-site", "none"))):
        assert send(visitor, task, key, headers=headers).status_code == 403
    assert api.get("task", task)["system_tags"] == []
    own = {"Origin": "http://127.0.0.1:8008", "Sec-Fetch-Site": "same-origin"}
    assert send(visitor, task, key, headers=own).status_code == 200


def test_an_address_alone_does_nothing(api, visitor, task):
    query = {"key": key_of(visitor), "id": task}
    assert visitor.get("/pages/act/task-archive", params=query).status_code in (404, 405)
    assert api.get("task", task)["system_tags"] == []


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"x" * (LARGEST_FORM + 1), 413),
        (b"a=1&" * (MOST_FIELDS + 1), 400),
        (b"\xff\xfe", 400),
        (b"id=%FF%00&id=\x00", 403),
        (b'{"key": 1}', 403),
    ],
)
def test_an_odd_body_is_refused_with_a_page(visitor, content, status):
    answer = visitor.post("/pages/act/task-archive", content=content)
    assert (answer.status_code, answer.headers["Content-Type"]) == (status, "text/html; charset=utf-8")


@pytest.mark.parametrize("odd", [b"\x80", b"\0", b"\xed\xa0\xbd", "é\n".encode()])
@pytest.mark.parametrize("name", ACTS)
def test_no_act_breaks_at_odd_characters(api, visitor, task, name, odd):
    model = api.new("model", uri="file:///x")
    for ids in ([task, model], [odd]):
        given = {"id": ids, "task": ids, "key": key_of(visitor)}
        given |= dict.fromkeys(("tag", "sure", "back", "queue", "text", "enqueue"), odd)
        body, text = urlencode(given, doseq=True), odd.decode(errors="surrogateescape")
        for before in ([["", "name", text]], [[text, text, text]]):
            content = f"{body}&before={quote(json.dumps(before))}"
            assert visitor.post(f"/pages/act/{name}", content=content).status_code < 500


def test_an_act_that_nobody_knows_and_a_task_that_is_not_there_change_nothing(api, visitor):
    body = urlencode({"key": key_of(visitor), "id": b"\xff<b>"})
    answer = visitor.post("/pages/act/task-vanish", content=body)
    assert (answer.status_code, "No form does" in answer.text) == (404, True)
    assert "Invalid task id" in visitor.post("/pages/act/task-archive", content=body).text


# Links that show only


@pytest.fixture
def guest(api, visitor) -> httpx.Client:
    """A browser that came by the link that a page of the visitor's session made."""
    page = press(visitor, "link")
    link = html.unescape(re.search('value="(http://127.0.0.1:8008/[?]token=[^"]*)"', page)[1])
    guest = api.connect(headers=visitor.headers, follow_redirects=True)
    assert guest.get(link).status_code == 200
    return guest


def test_who_comes_by_a_link_that_shows_only_sees_all_and_finds_no_button(api, guest):
    key = api.new("task", name="seen", tags=["a tag"]), api.new("model", tags=["a tag"])
    pages = ("/", "/settings", "/projects/*", f"/projects/*/tasks/{key[0]}", f"/projects/*/models/{key[1]}")
    for path in pages:
        page = guest.get(path)
        assert page.status_code == 200
        assert not re.search('method="?post|name="key"', page.text)
    assert "a tag" in page.text


def test_the_server_refuses_whatever_a_link_that_shows_only_sends(api, visitor, guest, task):
    (session,) = guest.cookies.values()
    for key in ("", key_of(visitor), api.credentials.signature(session)):
        answer = send(guest, task, key)
        assert (answer.status_code, "a link that shows only" in answer.text) == (403, True)
    for method, path in (("GET", "/tasks.get_all"), ("POST", "/files"), ("POST", "/pages/act/link")):
        assert guest.request(method, path).status_code in (401, 403)


def test_a_link_that_shows_only_ends_with_the_session_that_made_it(api):
    pair = api("auth.create_credentials")["credentials"]
    maker = api.visit(access_key=pair["access_key"], until=None)
    link = re.search('token=([^"]*)', press(maker, "link"))[1]
    claims, (session,) = api.credentials.claims(link, PAGES), maker.cookies.values()
    assert (claims[ONLY_SHOWS], claims["access_key"]) == (True, pair["access_key"])
    assert claims["exp"] == api.credentials.claims(session, PAGES)["exp"]
    assert f"<code>{pair['access_key']}</code>" in maker.get("/settings").text
    api("auth.revoke_credentials", access_key=pair["access_key"])
    assert api.client.get("/", params={"token": link}).status_code == 401
