"""The pages in a real browser, at the addresses that the unmodified SDK prints.

Every page is opened under the same watch: nothing may go wrong in the browser's console, no request may
fail, nothing may be wider than the window, and names that would be scripts stay text.
"""

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from local_stack.stack import Stack
from local_stack.tests.api import Api, scalar
from local_stack.tests.browser import MILLISECONDS, PHONE
from local_stack.waiting import Child

pytestmark = pytest.mark.browser

SCRIPTS = Path(__file__).with_name("sdk_scripts")
HOSTILE = '"><img src=x onerror=alert(1)><script>alert(2)</script>'
PROJECT = 'Pages "><img src=x onerror=alert(0)>'
QUEUE = "queue of the pages"


class Script(Child):
    """One of the scripts, running, and the addresses that the SDK prints for it."""

    def __init__(self, stack: Stack, name: str, *arguments: str) -> None:
        # -u, as the SDK prints what is waited for, and empties no buffers.
        command = [sys.executable, "-u", SCRIPTS / f"{name}.py", PROJECT, HOSTILE, *arguments]
        super().__init__(command, env=stack.environment(), stdin=subprocess.PIPE)

    def say(self, text: str) -> None:
        self.stdin.write(text + "\n")
        self.stdin.flush()


@pytest.fixture(scope="module")
def api(stack_api: Api) -> Api:
    return stack_api


@pytest.fixture(scope="module")
def scripts(stack, api) -> Iterator[dict[str, Script]]:
    """Both scripts at work: the task's has reported all it has to, the pipeline's waits for its steps."""
    api("queues.create", name=QUEUE)
    with Script(stack, "page_task") as task, Script(stack, "page_pipeline", QUEUE) as pipeline:
        task.model = task.wait_for(r"ready (\w+)")[1]
        pipeline.wait_for(r"Launching step \[")
        yield {"page_task": task, "page_pipeline": pipeline}


@pytest.fixture(scope="module")
def task_url(scripts) -> str:
    return scripts["page_task"].wait_for(r"ClearML results page: (\S+)/output/log")[1]


@pytest.fixture(scope="module")
def pipeline_url(scripts) -> str:
    return scripts["page_pipeline"].wait_for(r"ClearML pipeline page: (\S+)")[1]


@pytest.fixture(scope="module")
def dataset_url(scripts) -> str:
    """The address of the second version, which has a parent."""
    return scripts["page_pipeline"].wait_for(r"(?s)dataset page: .*dataset page: (\S+)")[1]


def draw_all(page: Page) -> None:
    """Scroll every visible chart into view, and wait until it is drawn."""
    charts = page.locator(".chart:visible")
    for number in range(charts.count()):
        charts.nth(number).scroll_into_view_if_needed()
        expect(charts.nth(number)).to_have_attribute("data-drawn", "")


def running_task(api: Api) -> str:
    task = api.new("task")
    api("tasks.started", task=task)
    return task


def chart(page: Page, name: str):
    return page.locator(".chart", has=page.get_by_text(name, exact=True))


# Every kind of page


@pytest.fixture(scope="module")
def addresses(task_url, dataset_url, pipeline_url) -> dict[str, str]:
    project, _, _ = task_url.partition("/tasks/")
    return {"project": project, "task": task_url, "dataset": dataset_url, "pipeline": pipeline_url}


WITHOUT_HOSTILE_NAMES = ("/", "/workers-and-queues", "{task}/execution", "{task}/debug-samples")
SECTIONS = ("output/log", "scalars", "plots", "artifacts/other/table", "hyper-params/hyper-param/General")
PAGES = (
    *WITHOUT_HOSTILE_NAMES,
    *["/projects/*", "/datasets", "/pipelines", "/models", "{project}", "{task}", "{dataset}", "{pipeline}"],
    *(f"{{task}}/{section}" for section in SECTIONS),
)


@pytest.mark.parametrize("address", PAGES)
def test_a_page_opens_cleanly_fits_the_window_and_shows_hostile_names_as_text(window, address, addresses):
    page = window.open(address.format(**addresses))
    expect(page.locator("h1")).to_be_visible()
    draw_all(page)
    assert window.flaws() == []
    assert page.locator("img[src=x], [onerror]").count() == 0
    if address not in WITHOUT_HOSTILE_NAMES:
        assert HOSTILE in page.locator("body").inner_text()


def test_a_model_opens_at_the_address_that_clearml_serving_prints(window, scripts):
    page = window.open(f"/projects/*/models/{scripts['page_task'].model}/")
    expect(page.locator("h1")).to_have_text(f"model {HOSTILE}")
    for text in ("published", "XGBoost", f"0.4 {HOSTILE}"):
        expect(page.locator("main")).to_contain_text(text)
    assert page.locator("td").get_by_role("link", name=f"training {HOSTILE}").count() == 1
    assert window.flaws() == []


# What they show


def test_scalars_are_drawn_with_their_very_points(window, task_url):
    page = window.open(f"{task_url}/scalars")
    draw_all(page)
    drawing = chart(page, "loss").locator(".drawing")
    expect(drawing.locator("path.point")).to_have_count(10)  # two variants of five points
    read = "place => place.calcdata.map(points => points.map(point => [point.x, point.y]))"
    assert drawing.evaluate(read) == [[[i, factor / (i + 1)] for i in range(5)] for factor in (2, 1)]
    assert page.locator(".values").inner_text().split() == ["accuracy", "0.875"]


def test_plots_are_drawn_as_tables_charts_and_images(window, task_url):
    page = window.open(f"{task_url}/plots")
    draw_all(page)
    table = page.locator(".chart", has=page.locator("table"))
    assert table.locator("td").all_inner_texts() == ["a", "1.5", HOSTILE, "2.5"]
    bars = chart(page, f"histogram · {HOSTILE}").locator(".drawing")
    assert bars.evaluate("place => place.calcdata[0].map(bar => bar.s)") == [1, 2, 3]
    matrix = chart(page, "confusion · matrix").locator(".drawing")
    assert matrix.evaluate("place => place.calcdata[0][0].z") == [[5, 1], [2, 7]]
    line = chart(page, "drawing · by matplotlib")
    assert line.locator(".drawing").evaluate("place => place.calcdata[0].map(point => point.y)") == [1, 2, 3]


def test_debug_samples_are_shown_as_images(window, task_url):
    page = window.open(f"{task_url}/debug-samples")
    images = page.locator(".samples img")
    expect(images).to_have_count(2)
    for number in range(2):
        images.nth(number).scroll_into_view_if_needed()
        page.wait_for_function("image => image.complete", arg=images.nth(number).element_handle())
    small, large = sorted(images.evaluate_all("all => all.map(image => image.naturalWidth)"))
    assert (small, large > 100) == (8, True)


def test_artifacts_are_downloaded_and_never_run(window, task_url):
    page = window.open(f"{task_url}/artifacts")
    card = page.locator(".artifact", has=page.get_by_role("heading", name="page"))
    with page.expect_download() as download:
        card.get_by_role("link", name="Download").click()
    assert "alert(1)" in Path(download.value.path()).read_text()


def test_the_console_grows_while_the_task_runs(window, scripts, task_url):
    page = window.open(f"{task_url}/output/log")
    console = page.locator("#log")
    expect(console).to_contain_text("ready ")
    text = f"still running {HOSTILE}"
    scripts["page_task"].say(text)
    expect(console).to_contain_text(text)
    assert page.locator("#log :not(span, a)").count() == 0


def test_the_console_has_the_lines_before_the_end_and_those_after_a_reset(window, api):
    def report(task: str, *lines: str) -> None:
        api.events(*({"type": "log", "task": task, "msg": line} for line in lines))

    task, other = api.new("task"), api.new("task")
    api("tasks.started", task=task)
    report(task, "first")
    console = window.open(f"/projects/*/tasks/{task}/output/log").locator("#log")
    expect(console).to_have_text("first\n")
    report(other, "a newer event")
    api("tasks.reset", task=task)
    expect(console).to_have_text("")
    api("tasks.started", task=task)
    report(task, *map(str, range(120)))
    api("tasks.completed", task=task)
    expect(console).to_have_text("".join(f"{number}\n" for number in range(120)))
    report(task, "the agent's last word")
    expect(console).to_contain_text("the agent's last word")


def test_a_dataset_shows_its_files_its_parent_and_a_preview(window, dataset_url):
    page = window.open(dataset_url)
    assert page.locator("h1").inner_text() == "rows 1.0.1"
    files = page.locator("#files td.name").all_inner_texts()
    assert sorted(files) == sorted(["more.csv", "rows.csv", f"{HOSTILE.replace('/', '|')}.txt"])
    assert all(re.fullmatch("[0-9a-f]{64}", text) for text in page.locator("#files .hash").all_inner_texts())
    assert page.locator("#lineage .node").count() == 2
    draw_all(page)
    assert page.locator(".data td").all_inner_texts()[-1] == HOSTILE
    page.locator("#lineage .node:not(.current)").click()
    expect(page.locator("h1")).to_have_text("rows 1.0.0")


def test_a_dataset_previews_a_file_of_its_parent_and_tells_what_it_changed(window, dataset_url):
    page = window.open(dataset_url)
    page.locator("#files").get_by_role("link", name="rows.csv").click()
    expect(page.locator(".data td")).to_have_text(["1", "2"])
    page = window.open(f"{dataset_url}/changes")
    assert page.locator("tbody tr").all_inner_texts() == ["more.csv\tadded\t\t8 Bytes"]
    assert page.locator(".fact").all_inner_texts() == ["1 added", "2 same"]


def test_a_pipeline_shows_its_steps_live_and_leads_to_their_tasks(window, api, pipeline_url):
    page = window.open(pipeline_url)
    steps = page.locator("#graph .node")
    expect(steps).to_have_count(3)
    assert page.locator("#graph .arrow").count() == 2
    draw_all(page)
    assert f"candidate {HOSTILE}" in page.locator("#charts").inner_text()
    queued = page.locator("#graph .node.queued")
    expect(queued).to_contain_text("first")
    queued.click()
    page.wait_for_url("**?step=*")
    task = page.locator("#step").get_by_role("link", name="task")
    step = task.get_attribute("href").split("/")[-1]
    page.set_viewport_size(PHONE)
    graph = page.locator("#graph .graph")
    graph.evaluate("box => box.scrollLeft = 60")
    # What an agent would do.
    api("tasks.dequeue", task=step, new_status="in_progress")
    api("tasks.started", task=step, force=True)
    expect(page.locator("#graph .node.in_progress")).to_contain_text("running")
    assert graph.evaluate("box => box.scrollLeft") == 60  # the page was refreshed and did not jump
    api("tasks.completed", task=step)
    expect(page.locator("#graph .node.completed")).to_contain_text("first")
    expect(page.locator("#graph .node.queued")).to_have_count(2)
    task.click()
    expect(page.locator("h1")).to_contain_text("first")


def test_queues_show_what_waits_and_workers_what_they_run(window, api, task_url):
    task = task_url.split("/")[-1]
    api("workers.register", worker="a worker", queues=[])
    api("workers.status_report", worker="a worker", task=task)
    page = window.open("/workers-and-queues")
    assert page.locator("tr", has_text="a worker").get_by_role("link").inner_text() == f"training {HOSTILE}"
    assert QUEUE in page.locator("#queues").inner_text()
    api("workers.unregister", worker="a worker")
    expect(page.locator("tr", has_text="a worker")).to_have_count(0)


def test_a_chart_appears_and_grows_while_its_task_runs(window, api):
    task = running_task(api)
    page = window.open(f"/projects/*/tasks/{task}/scalars")
    expect(page.get_by_text("No scalars yet.")).to_be_visible()
    for iteration in range(3):
        api.events(scalar(task, "loss", "train", iteration, 0.5))
        if iteration != 1:  # the second one comes when the chart is there
            expect(chart(page, "loss").locator("path.point")).to_have_count(iteration + 1)
    expect(page.get_by_text("No scalars yet.")).to_be_hidden()
    # What comes right before the end is drawn, too; and after a reset there is nothing again.
    api.events(scalar(task, "loss", "train", 3, 0.5))
    api("tasks.completed", task=task)
    expect(chart(page, "loss").locator("path.point")).to_have_count(4)


def test_a_page_that_is_open_follows_a_reset_and_says_that_its_task_is_gone(window, api):
    task = running_task(api)
    api.events(scalar(task, "loss", "train", 0, 1))
    page = window.open(f"/projects/*/tasks/{task}/scalars")
    draw_all(page)
    api("tasks.reset", task=task)
    expect(page.get_by_text("No scalars yet.")).to_be_visible()
    assert page.locator(".chart").count() == 0
    api("tasks.delete", task=task)
    expect(page.get_by_text("This page does not exist any more.")).to_be_visible()
    window.requests.clear()
    page.wait_for_timeout(6000)  # longer than any pause between two questions
    assert window.requests == []
    assert all("404" in problem for problem in window.problems)
    window.problems.clear()


def test_a_chart_outlives_a_server_that_is_away(window, api):
    """Before the first drawing, and before the next."""
    task = running_task(api)
    api.events(scalar(task, "loss", "train", 0, 1))
    away = "**/pages/scalars/**"
    window.page.route(away, lambda route: route.abort())
    page = window.open(f"/projects/*/tasks/{task}/scalars")
    expect(page.locator(".drawing")).to_contain_text("Failed to fetch")
    page.unroute(away)
    points = chart(page, "loss").locator("path.point")
    expect(points).to_have_count(1)
    page.route(away, lambda route: route.abort())
    page.wait_for_event("requestfailed")
    expect(points).to_have_count(1)
    page.unroute(away)
    api.events(scalar(task, "loss", "train", 1, 1))
    expect(points).to_have_count(2)
    assert all("ERR_FAILED" in problem for problem in window.problems)
    window.problems.clear()


# Large ones


def test_a_hundred_thousand_console_lines_come_in_pages(window, api):
    task = api.new("task")
    lines = [f"line {i}" for i in range(100_000)]
    events = [
        {"type": "log", "task": task, "timestamp": 1000 + i, "msg": "\n".join(lines[i : i + 50])}
        for i in range(0, 100_000, 50)
    ]
    assert api.events(*events)["added"] == 2000
    page = window.open(f"/projects/*/tasks/{task}/output/log")
    console = page.locator("#log")
    expect(console).to_contain_text("line 99999")
    assert console.inner_text().split("\n")[0] == "line 99500"
    page.get_by_role("button", name="Earlier lines").click()
    expect(console).to_contain_text("line 99000")
    assert console.inner_text().strip().split("\n") == lines[99_000:]
    assert page.locator("*").count() < 200


def test_fifty_plots_are_drawn_only_when_they_come_into_view(window, api):
    task = api.new("task")
    figure = json.dumps({"data": [{"type": "scatter", "y": list(range(1000))}], "layout": {}})
    plot = {"type": "plot", "task": task, "variant": "v", "iter": 0, "plot_str": figure}
    assert api.events(*({**plot, "metric": f"plot {i:02}"} for i in range(50)))["added"] == 50
    page = window.open(f"/projects/*/tasks/{task}/plots")
    expect(page.locator(".chart").first).to_have_attribute("data-drawn", "")
    page.wait_for_timeout(500)
    assert page.locator(".chart").count() == 50
    for most in (10, 20):
        assert sum(path.startswith("/pages/plot") for path in window.requests) <= most
        page.locator(".chart").last.scroll_into_view_if_needed()
        expect(page.locator(".chart").last).to_have_attribute("data-drawn", "")


# Who may look


def test_the_link_leaves_a_cookie_that_no_script_reads_and_no_token_in_the_address(browser, stack):
    context = browser.new_context()
    context.set_default_timeout(MILLISECONDS)
    page = context.new_page()
    assert page.goto(stack.url).status == 401
    page.get_by_label("The link").fill(stack.pages_link())
    page.get_by_role("button", name="Open").click()
    expect(page.locator("h1")).to_have_text("Overview")
    assert page.url == stack.url + "/"
    assert page.evaluate("document.cookie") == ""
    (cookie,) = context.cookies()
    assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Lax")
    assert cookie["name"] == f"local_stack_{stack.port}"  # each stack has one of its own
    assert cookie["expires"] > time.time() + 29 * 24 * 3600
    context.close()
