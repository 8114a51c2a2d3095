"""Acting on the pages in a real Chromium: by keyboard, and as plain forms without JavaScript."""

import pytest
from playwright.sync_api import expect

from local_stack.server.pages.acting import RESULTS
from local_stack.stack import Stack
from local_stack.tests.api import Api
from local_stack.tests.browser import Window
from local_stack.waiting import wait_until

pytestmark = pytest.mark.browser

HOSTILE = '"><img src=x onerror=alert(1)><script>alert(2)</script>'


@pytest.fixture
def ended(stack: Stack, stack_api: Api) -> str:
    """A task that has ended, with names that would be scripts, and a file."""
    stack_api.client.post("/files", files={"acted/on.txt": b"made"}, headers=stack_api.headers)
    artifacts = [{"key": "made", "type": "custom", "uri": f"{stack.url}/files/acted/on.txt"}]
    execution = {"artifacts": artifacts}
    task = stack_api.new("task", name=f"ended {HOSTILE}", tags=[HOSTILE], execution=execution)
    for call in ("tasks.started", "tasks.completed"):
        stack_api(call, task=task)
    return task


def test_a_task_is_tagged_and_deleted_by_keyboard_alone(window, stack, stack_api, ended):
    file = stack.home / "server" / "files" / "acted" / "on.txt"
    assert file.exists()
    page = window.open(f"/projects/*/tasks/{ended}")
    window.tab_to(f"Remove the tag {HOSTILE}")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_have_text("1 task no longer tagged so.")
    window.tab_to("New tag", role="textbox")
    page.keyboard.type("by hand")
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Remove the tag by hand")).to_be_visible()
    assert stack_api.get("task", ended)["tags"] == ["by hand"]
    window.tab_to("Delete")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Delete this task?")
    window.tab_to("No, go back", role="link")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text(f"ended {HOSTILE}")
    window.tab_to("Delete")
    page.keyboard.press("Enter")
    window.tab_to("Yes, delete this task")
    page.keyboard.press("Space")
    expect(page.get_by_role("status")).to_have_text("1 task deleted.")
    assert page.url == f"{window.url}/projects/*"
    wait_until(lambda: not file.exists(), "the file to be removed")


def test_a_reader_finds_nothing_amiss_on_what_acts_and_asks(window, stack_api, ended):
    model = stack_api.new("model", name=HOSTILE, tags=[HOSTILE], task=ended)
    page = window.open(f"/projects/*/models/{model}")
    assert window.flaws() == []
    page = window.open(f"/projects/*/tasks/{ended}")
    assert window.flaws() == []
    page.get_by_role("button", name="Delete").click()
    assert RESULTS in page.locator("main").inner_text()
    assert window.flaws() == []
    page = window.open("/settings")
    page.get_by_role("button", name="Make a link").click()
    assert window.flaws() == []


def test_a_run_is_aborted_archived_and_restored_without_scripts(plain, stack_api):
    task = stack_api.new("task", name="without scripts")
    stack_api("tasks.started", task=task)
    page = plain.open(f"/projects/*/tasks/{task}/scalars")
    page.get_by_role("button", name="Abort").click()
    page.get_by_role("button", name="Yes, abort this task").click()
    assert page.url.endswith(f"/projects/*/tasks/{task}/scalars")
    assert page.get_by_role("button", name="Abort").count() == 0
    for press, then in (("Archive", "Restore"), ("Restore", "Archive")):
        page.get_by_role("button", name=press).click()
        expect(page.get_by_role("button", name=then)).to_be_visible()


def test_the_buttons_follow_what_becomes_of_a_task_and_keep_what_is_typed(window, stack_api):
    task = stack_api.new("task", name="followed")
    stack_api("tasks.started", task=task)
    page = window.open(f"/projects/*/tasks/{task}")
    page.get_by_label("New tag").fill("half typed")
    with page.expect_response(lambda answer: answer.url == page.url):
        pass  # the page has looked for news
    expect(page.get_by_label("New tag")).to_have_value("half typed")
    stack_api("tasks.completed", task=task)
    expect(page.get_by_role("button", name="Publish")).to_be_visible()
    expect(page.get_by_role("button", name="Abort")).to_have_count(0)


def test_two_people_publish_the_same_model_and_the_second_hears_why_not(window, plain, stack_api):
    model = stack_api.new("model", name="wanted by two")
    for each in (window, plain):
        each.open(f"/projects/*/models/{model}").get_by_role("button", name="Publish").click()
    window.page.get_by_role("button", name="Yes, publish this model").click()
    expect(window.page.get_by_role("status")).to_have_text("1 model published.")
    plain.page.get_by_role("button", name="Yes, publish this model").click()
    expect(plain.page.locator("main")).to_contain_text(f"Model is ready: id={model} is published already")


def test_a_guest_by_a_link_that_shows_only_sees_the_task_and_no_button(window, browser, stack, ended):
    page = window.open("/settings")
    page.get_by_role("button", name="Make a link").click()
    link = page.get_by_label("Whoever has this link").input_value()
    guest = Window(browser, stack)
    guest.page.goto(link)
    page = guest.open(f"/projects/*/tasks/{ended}")
    expect(page.get_by_role("heading", level=1)).to_have_text(f"ended {HOSTILE}")
    assert page.locator("form[method=post]").count() == 0
    assert guest.problems == []
    guest.context.close()
