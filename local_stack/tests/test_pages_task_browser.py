"""The pages of tasks and pipelines in a real browser: charts' tools, found lines, and steps, by keyboard."""

import json

import pytest
from playwright.sync_api import Page, expect

from local_stack.tests.api import Api, scalar
from local_stack.tests.browser import Window

pytestmark = pytest.mark.browser

VALUES = (1.0, 100.0, 10.0)


@pytest.fixture
def running_task(stack_api: Api) -> str:
    task = stack_api.new("task", name="a task at work")
    stack_api("tasks.started", task=task)
    return task


def drawn(page: Page, name: str) -> dict:
    """What the chart of a metric shows: its lines, its axes, and the title of the vertical one."""
    chart = page.locator(".chart", has=page.get_by_text(name, exact=True))
    chart.scroll_into_view_if_needed()
    expect(chart.locator(".plot-container")).to_be_visible()
    return chart.locator(".drawing").evaluate(
        "({ calcdata, _fullLayout: { xaxis, yaxis } }) => ({"
        " lines: calcdata.map((points) => points.map((point) => point.y ?? null)),"
        " axes: [xaxis.type, yaxis.type], title: yaxis.title.text })"
    )


def averages(values: tuple[float, ...], weight: float) -> list[float]:
    """Return the mean of the values up to each, where each step back counts `weight` times as much."""
    found = []
    for end in range(1, len(values) + 1):
        weights = [weight ** (end - 1 - i) for i in range(end)]
        found.append(sum(w * v for w, v in zip(weights, values, strict=False)) / sum(weights))
    return found


def test_scalars_are_smoothed_and_drawn_over_other_axes_by_keyboard(window, stack_api, running_task):
    for i, value in enumerate(VALUES):
        stack_api.events(scalar(running_task, "loss", "", i, value), scalar(running_task, "gain", "", i, -i))
    page = window.open(f"/projects/*/tasks/{running_task}/scalars")
    assert drawn(page, "loss")["lines"] == [list(VALUES)]
    chart = page.locator(".chart", has=page.get_by_text("loss", exact=True))

    def change(control, key: str) -> None:
        look = chart.get_attribute("data-look")
        control.press(key)
        expect(chart).not_to_have_attribute("data-look", look)

    change(page.get_by_role("slider", name="Smoothing"), "End")
    change(page.get_by_role("checkbox", name="Logarithmic"), "Space")
    change(page.get_by_role("combobox", name="Over"), "ArrowDown")
    stack_api("tasks.completed", task=running_task)
    expect(page.locator("main")).not_to_have_attribute("data-live", "")  # was refreshed, and kept it all
    found = drawn(page, "loss")
    assert found["lines"] == [list(VALUES), pytest.approx(averages(VALUES, 0.99))]
    assert (found["axes"], found["title"]) == (["linear", "log"], "logarithmic, of values above 0")
    below = drawn(page, "gain")
    assert (below["axes"][1], below["title"]) == ("linear", "not logarithmic: no value is above 0")
    assert window.flaws() == []


def test_a_line_far_back_in_ten_megabytes_of_console_is_found_and_shown(window, stack_api, running_task):
    lines = [f"{i} {'x' * 93}" for i in range(100_000)]
    lines[10_000] = "Here is the Needle"
    event = {"type": "log", "task": running_task}
    for start in range(0, 100_000, 20_000):
        texts = ("\n".join(lines[i : i + 50]) for i in range(start, start + 20_000, 50))
        stack_api.events(*({**event, "timestamp": start + i, "msg": text} for i, text in enumerate(texts)))
    page = window.open(f"/projects/*/tasks/{running_task}/output/log")
    log = page.locator("#log")
    expect(log).to_contain_text(lines[-1])
    search = page.get_by_role("searchbox", name="Search the whole console")
    search.fill("the needle")
    search.press("Enter")
    expect(page.get_by_text("Lines with this text: 1.")).to_be_visible()
    found = page.get_by_role("button", name="Here is the Needle")
    found.press("Enter")
    expect(log.locator("mark")).to_have_text("Here is the Needle\n")
    expect(log.locator("mark")).to_be_in_viewport()
    assert log.inner_text().strip().split("\n") == lines[9_701:10_201]
    stack_api.events({**event, "timestamp": 10**6, "msg": "a new line"})
    page.get_by_role("checkbox", name="Follow the end").press("Space")
    expect(log).to_contain_text("a new line")
    assert log.inner_text().strip().split("\n") == [*lines[-499:], "a new line"]
    assert window.flaws() == []


@pytest.fixture
def pipeline(stack_api: Api, running_task: str) -> str:
    """A running pipeline whose first step is the running task."""
    made = stack_api.new("task", name="a pipeline", type="controller", system_tags=["pipeline"])
    stack_api("tasks.started", task=made)
    stack_api("tasks.edit", task=running_task, force=True, parent=made)
    store_steps(stack_api, made, first={"job_id": running_task, "job_started": 1.5})
    return made


def store_steps(api: Api, pipeline: str, **steps: dict) -> None:
    """Do what the controller does whenever a step has changed."""
    item = {"name": "Pipeline", "value": json.dumps(steps)}
    api("tasks.edit_configuration", task=pipeline, configuration=[item], force=True)


def test_a_step_opens_beside_the_live_graph_by_keyboard_and_the_back_button_closes_it(
    window, stack_api, pipeline, running_task
):
    page = window.open(f"/pipelines/*/experiments/{pipeline}")
    box = page.locator("#graph").get_by_role("link", name="first")
    box.press("Enter")
    panel = page.get_by_role("complementary", name="first")
    expect(panel).to_contain_text("running")
    expect(page.locator("#step")).to_be_focused()
    store_steps(
        stack_api,
        pipeline,
        first={"job_id": running_task, "job_started": 1.5},
        second={"parents": ["first"]},
    )
    box.focus()
    stack_api.events({"type": "log", "task": running_task, "msg": "a line of the step"})
    expect(panel).to_contain_text("a line of the step")
    expect(page.locator("#graph .node")).to_have_count(2)
    expect(box).to_be_focused()  # though all the boxes are new
    page.locator("#graph").get_by_role("link", name="second").press("Enter")
    expect(page.get_by_role("complementary", name="second")).to_contain_text("pending")
    page.go_back()
    expect(panel).to_be_visible()
    panel.get_by_role("link", name="Close the step").press("Enter")
    expect(panel).to_have_count(0)
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")  # from the place of the graph to its box that scrolls, and into it
    expect(box).to_be_focused()
    page.go_back()
    expect(panel).to_be_visible()
    assert window.flaws() == []


def test_without_javascript_a_step_opens_by_a_plain_link(browser, stack, pipeline):
    window = Window(browser, stack, java_script_enabled=False)
    page = window.open(f"/pipelines/*/experiments/{pipeline}")
    page.locator("#graph").get_by_role("link", name="first").click()
    expect(page.get_by_role("complementary", name="first")).to_be_visible()
    assert page.url.endswith("?step=first#step")
    assert window.problems == []
    window.context.close()
