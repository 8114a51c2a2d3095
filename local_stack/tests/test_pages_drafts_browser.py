"""Clone, edit, enqueue in a real Chromium: by keyboard, without JavaScript, and in two windows at once."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from local_stack.tests.api import Api
from local_stack.tests.browser import Window

pytestmark = pytest.mark.browser

HOSTILE = '"><img src=x onerror=alert(1)></textarea><script>alert(2)</script>'
QUEUE = "queue of the drafts"


@pytest.fixture
def queue(stack_api: Api) -> Iterator[str]:
    queue = stack_api.new("queue", name=QUEUE)
    yield queue
    stack_api("queues.delete", queue=queue, force=True)


@pytest.fixture
def listener(stack_api: Api, queue: str) -> Iterator[None]:
    """A worker that listens to the queue."""
    stack_api("workers.register", worker="worker of the drafts", queues=[queue])
    yield
    stack_api("workers.unregister", worker="worker of the drafts")


@pytest.fixture
def ended(stack_api: Api, queue: str) -> str:
    """A task that ran on the queue, with odd names and values."""
    parameters = {
        "max_depth": {"value": "3", "type": "int", "description": "levels of a tree (%(default)s)"},
        "lines": {"value": "\n a\r\n\n b "},
        "long": {"value": "0123456789" * 1000},
        HOSTILE: {"value": HOSTILE},
        "half \ud800": {"value": "\ud800\0"},
    }
    sections = {"Args": parameters, f"General {HOSTILE}": {"x": {"value": " x "}}}
    return run_on(stack_api, queue, name=f"training {HOSTILE}", hyperparams=sections, tags=["a, b", HOSTILE])


def run_on(api: Api, queue: str, **fields) -> str:
    task = api.new("task", **fields)
    api("tasks.enqueue", task=task, queue=queue)
    api("tasks.dequeue", task=task, new_status="in_progress")
    api("tasks.started", task=task, force=True)
    api("tasks.completed", task=task)
    return task


def task_of(page: Page) -> str:
    return re.search(r"/(?:tasks|experiments)/(\w+)", page.url)[1]


def start(api: Api, task: str) -> None:
    """What an agent would do."""
    api("tasks.dequeue", task=task, new_status="in_progress")
    api("tasks.started", task=task, force=True)


def test_a_training_is_cloned_edited_and_enqueued_by_keyboard_alone_and_its_page_is_live(
    window: Window, stack_api, ended, queue, listener
):
    page = window.open(f"/projects/*/tasks/{ended}")
    window.tab_to("Clone")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text(f"Edit Clone of training {HOSTILE}")
    assert page.locator("img[src=x], [onerror]").count() == 0
    clone = task_of(page)
    window.tab_to("max_depth", role="textbox")
    page.keyboard.type("5")  # what Tab comes to is selected
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_have_text("Saved.")
    expected = stack_api.get("task", ended)["hyperparams"]
    expected["Args"]["max_depth"]["value"] = "5"
    assert stack_api.get("task", clone)["hyperparams"] == expected  # all odd values are what they were
    window.tab_to("Edit and enqueue", role="link")
    page.keyboard.press("Enter")
    window.tab_to("Queue", role="combobox")
    page.keyboard.type(QUEUE)
    window.tab_to("Save and enqueue")
    page.keyboard.press("Space")
    expect(page.locator("#heading .status")).to_have_text("queued")
    assert stack_api.get("queue", queue)["entries"][0]["task"] == clone
    assert window.flaws() == []
    start(stack_api, clone)
    expect(page.locator("#heading .status")).to_have_text("running")


def test_a_draft_is_edited_and_enqueued_without_scripts(plain: Window, stack_api, queue):
    draft = stack_api.new("task", name="a plain draft", hyperparams={"Args": {"depth": {"value": "1"}}})
    page = plain.open(f"/projects/*/tasks/{draft}")
    page.get_by_role("link", name="Edit and enqueue").click()
    page.get_by_label("Tags").fill("one\ntwo")
    page.get_by_label("depth").fill("2")
    page.get_by_label("Queue").select_option(f"{QUEUE}: nobody listening, 0 waiting")
    page.get_by_role("button", name="Save and enqueue").click()
    task = stack_api.get("task", draft)
    assert (task["tags"], task["hyperparams"]["Args"]["depth"]["value"]) == (["one", "two"], "2")
    expect(page.locator("#acts .trouble")).to_contain_text(f"Nobody listens to the queue {QUEUE}")


def test_two_windows_edit_one_draft_and_neither_loses_a_word(window: Window, plain: Window, stack_api):
    parameters = {"Args": {name: {"value": "1"} for name in ("depth", "eta")}}
    draft = stack_api.new("task", name="wanted by two", hyperparams=parameters)
    first, second = (each.open(f"/projects/*/tasks/{draft}/edit") for each in (plain, window))
    for page, texts in ((first, {"depth": "2", "eta": "2"}), (second, {"depth": "3", "Comment": "why\n3"})):
        for label, text in texts.items():
            page.get_by_label(label, exact=True).fill(text)
        page.get_by_role("button", name="Save", exact=True).click()
    expect(first.get_by_role("status")).to_have_text("Saved.")
    expect(second.get_by_role("alert")).to_contain_text("somebody changed this task meanwhile")
    expect(second.get_by_label("depth", exact=True)).to_have_value("3")
    expect(second.get_by_label("depth", exact=True)).to_have_accessible_description("Changed meanwhile to: 2")
    expect(second.get_by_label("eta", exact=True)).to_have_value("2")
    expect(second.get_by_label("Comment")).to_have_value("why\n3")
    assert window.flaws() == []
    second.get_by_role("button", name="Save", exact=True).click()
    expect(second.get_by_role("status")).to_have_text("Saved.")
    task = stack_api.get("task", draft)
    args = task["hyperparams"]["Args"]
    assert (args["depth"]["value"], args["eta"]["value"]) == ("3", "2")
    assert task["comment"] == "why\n3"


def test_a_pipeline_is_run_again_with_other_parameters_and_its_page_is_live(window: Window, stack_api, queue):
    project = stack_api.new("project", name="drafts/.pipelines/again", system_tags=["pipeline"])
    fields = {"type": "controller", "system_tags": ["pipeline"], "project": project}
    run = run_on(stack_api, queue, name="again", hyperparams={"Args": {"seeds": {"value": "1 2"}}}, **fields)
    page = window.open(f"/pipelines/{project}/experiments/{run}")
    page.get_by_role("link", name="New run").click()
    assert window.flaws() == []
    page.get_by_label("seeds").fill("7 8 9")
    page.get_by_label("seeds").press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("again #2")
    made = task_of(page)
    assert stack_api.get("task", made)["hyperparams"]["Args"]["seeds"]["value"] == "7 8 9"
    expect(page.locator("#acts")).to_contain_text(f"Nobody listens to the queue {QUEUE}")
    start(stack_api, made)
    expect(page.locator("#heading .status")).to_have_text("running")


def test_a_reader_finds_nothing_amiss_on_the_pages_of_a_draft(window: Window, stack_api, ended, queue):
    draft = stack_api("tasks.clone", task=ended, new_task_name=f"clone {HOSTILE}")["id"]
    for path in ("", "/edit"):
        page = window.open(f"/projects/*/tasks/{draft}{path}")
        assert window.flaws() == []
    page.get_by_role("button", name="Save and enqueue").click()
    assert window.flaws() == []
