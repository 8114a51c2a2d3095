"""The page that compares tasks, in a real browser."""

import pytest
from playwright.sync_api import expect

from local_stack.server.events.scalars import SINGLE_VALUE_ITERATION
from local_stack.tests.api import Api, scalar
from local_stack.tests.browser import PHONE

pytestmark = pytest.mark.browser

HOSTILE = '"><img src=x onerror=alert(1)><script>alert(2)</script>'
POINTS = "place => place.calcdata.map(points => points.map(point => [point.x, point.y]))"
DRAWN_WITH = (
    "line => [getComputedStyle(line).stroke, getComputedStyle(line).strokeDasharray.replace('none', '')]"
)


def trained(api: Api, number: int) -> str:
    """A task that runs, and differs from others in all that can be compared."""
    task = api.new(
        "task",
        name=f"run {number} {HOSTILE}",
        type="training",
        tags=[f"tag {number}"],
        hyperparams={"Args": {HOSTILE: {"value": f"{number} {HOSTILE}"}, "seed": {"value": "42"}}},
        configuration={HOSTILE: {"value": f"number = {number}"}},
        script={"repository": "https://example.com/r.git", "diff": f"-a\n+{HOSTILE} {number}"},
    )
    api("tasks.started", task=task)
    values = [scalar(task, HOSTILE, "v", i, number / (i + 1)) for i in range(5)]
    api.events(*values, scalar(task, "Summary", "accuracy", SINGLE_VALUE_ITERATION, number / 100))
    return task


@pytest.fixture(scope="module")
def runs(stack_api: Api) -> list[str]:
    return [trained(stack_api, number) for number in range(1, 11)]


def address(runs: list[str]) -> str:
    return "/compare?" + "&".join(f"id={task}" for task in runs)


def test_ten_tasks_are_readable_by_everybody_in_windows_of_any_size(window, runs):
    page = window.open(address(runs))
    expect(page.locator("h1")).to_have_text("Compare 10 tasks")
    page.locator(".chart").scroll_into_view_if_needed()
    expect(page.locator(".chart")).to_have_attribute("data-drawn", "")
    assert page.locator("img[src=x], [onerror], main script").count() == 0
    assert HOSTILE in page.locator("#parameters").inner_text()
    page.locator("details").evaluate_all("all => all.forEach((details) => { details.open = true; })")
    assert window.flaws() == []


def test_the_names_of_rows_stay_when_a_narrow_table_is_scrolled(window, runs):
    page = window.open(address(runs))
    page.set_viewport_size(PHONE)
    table = page.get_by_role("region", name="Values")
    table.evaluate("box => box.scrollLeft = 400")
    head = table.get_by_role("rowheader", name="accuracy")
    assert head.bounding_box()["x"] - table.bounding_box()["x"] < 3
    assert head.bounding_box()["width"] < PHONE["width"] / 2


def test_the_curves_of_all_are_drawn_over_each_other_as_the_heads_of_the_columns_say(window, runs):
    page = window.open(address(runs[:3]))
    page.locator(".chart").scroll_into_view_if_needed()
    expect(page.locator(".chart")).to_have_attribute("data-drawn", "")
    drawing = page.locator(".drawing")
    assert drawing.evaluate(POINTS) == [[[i, number / (i + 1)] for i in range(5)] for number in (1, 2, 3)]
    lines = drawing.locator(".scatterlayer path.js-line").evaluate_all(f"all => all.map({DRAWN_WITH})")
    heads = page.locator("#tasks .key line").evaluate_all(f"all => all.map({DRAWN_WITH})")
    assert len({tuple(line) for line in lines}) == 3
    assert lines == heads


def test_a_curve_grows_while_one_of_the_tasks_runs(window, stack_api):
    ended, running = (stack_api.new("task", name=name) for name in ("ended", "running"))
    for task in (ended, running):
        stack_api("tasks.started", task=task)
        stack_api.events(scalar(task, "loss", "", 0, 1))
    stack_api("tasks.completed", task=ended)
    page = window.open(address([ended, running]))
    points = page.locator(".chart path.point")
    expect(points).to_have_count(2)
    stack_api.events(scalar(running, "loss", "", 1, 1), scalar(running, "new", "", 0, 1))
    stack_api.events(scalar(ended, "new", "", 0, 1))
    expect(page.locator(".chart")).to_have_count(2)
    expect(points).to_have_count(5)
    stack_api("tasks.completed", task=running)
    expect(page.locator("main[data-live]")).to_have_count(0)
    assert page.locator("#tasks").get_by_text("completed").count() == 2


def test_tasks_are_removed_and_rows_unfolded_by_the_keyboard(window, runs):
    page = window.open(address(runs[:3]))
    page.get_by_role("link", name="Remove 2").focus()
    page.keyboard.press("Enter")
    heads = page.locator("#tasks thead th")
    expect(heads).to_have_count(2)
    assert [text.split()[2] for text in heads.all_inner_texts()] == ["1", "3"]
    folded = page.locator("#parameters details")
    folded.locator("summary").focus()
    page.keyboard.press("Enter")
    expect(folded.get_by_role("rowheader", name="Args / seed")).to_be_visible()
    page.get_by_role("region", name="Tasks").focus()
    page.keyboard.press("Tab")  # from the table into it, to the first task
    assert page.evaluate("document.activeElement.textContent") == f"run 1 {HOSTILE}"
