"""The page of the monitoring with a real Prometheus, which watches itself: every panel, in a real browser."""

import json
import re
import signal
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Page, expect

from local_stack.errors import StackError
from local_stack.processes import Processes
from local_stack.prometheus import find_tools, is_ready, prometheus_command, query
from local_stack.serving import take_port
from local_stack.stack import Stack
from local_stack.tests.browser import PHONE, Window
from local_stack.tests.dashboards import MACHINE, SERVICE
from local_stack.tests.programs import skip_outside_ci
from local_stack.waiting import wait_until

pytestmark = pytest.mark.browser

JOB = "clearml-inference-stats"
RULE = {
    "alert": "AlwaysOn",
    "expr": "vector(1)",
    "annotations": {"summary": "It is always on", "runbook_url": "https://runbook.example/on"},
}


class Watching:
    """A Prometheus that scrapes itself each second, and can be stopped and started again."""

    def __init__(self, home: Path, processes: Processes) -> None:
        port = take_port()
        self.url = f"http://127.0.0.1:{port}"
        self.rules = home / "rules.yml"
        self.rules.write_text(json.dumps({"groups": [{"name": "all", "rules": [RULE]}]}))
        targets = [f"127.0.0.1:{port}"]
        self._command = prometheus_command(find_tools(), home, port, targets, self.rules, interval_seconds=1)
        self._processes = processes

    def start(self) -> None:
        self._processes.start("prometheus", self._command, ready=partial(is_ready, self.url))

    def kill(self) -> None:
        process = self._processes.running.pop("prometheus")
        process.send_signal(signal.SIGKILL)
        process.wait()


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watching]:
    home = tmp_path_factory.mktemp("prometheus")
    with Processes(home / "logs") as processes:
        try:
            watching = Watching(home, processes)
        except StackError as error:
            skip_outside_ci(str(error))
        watching.start()
        counted = "sum(increase(prometheus_http_response_size_bytes_sum[15s] offset 6s)) and on () ALERTS"
        wait_until(lambda: query(watching.url, counted), "numbers of Prometheus", lambda: "none")
        yield watching


@pytest.fixture
def shown(stack: Stack, prometheus: Watching, tmp_path: Path):
    """Let the pages of the stack show a dashboard."""

    def show(dashboard: dict) -> None:
        file = tmp_path / "board.json"
        file.write_text(json.dumps(dashboard))
        stack.tell_pages(file, prometheus.url)

    yield show
    stack.tell_pages()


def drawn(page: Page) -> dict[str, str]:
    """Scroll through all panels, and return what is in each, by its title: its texts, or "" for a drawing."""
    found = {}
    for chart in page.locator(".panel:visible").all():
        chart.scroll_into_view_if_needed()
        expect(chart.and_(page.locator("[data-drawn]"))).to_be_attached()
        title = chart.locator("figcaption").inner_text().partition("\n")[0]
        is_drawing = chart.locator(".plot-container").count() > 0
        found[title] = "" if is_drawing else " ".join(chart.locator(".drawing").inner_text().split())
    return found


def test_every_panel_of_a_machine_is_drawn_or_says_why_not_also_on_a_phone(shown, window: Window):
    shown(MACHINE)
    page = window.open("/monitoring")
    found = drawn(page)
    refusal = found.pop("Refused")
    assert re.match(r"Prometheus refuses 'sum\(': .*parse error", refusal), refusal
    assert found == {"Memory": "", "Up": "", "Sizes": ""}
    memory = page.locator(".panel", has_text="Memory")
    assert memory.locator(".yaxislayer-above text", has_text="MiB").count() > 1
    expect(
        memory.locator("text", has_text="1 of 2 series are shown: the others have another unit")
    ).to_be_visible()
    expect(page.locator(".panel", has_text="Up").locator("text", has_text="well")).to_be_visible()
    assert page.locator("#alerts").inner_text().count("AlwaysOn") == 1
    assert window.flaws() == []
    page.set_viewport_size(PHONE)
    boxes = [chart.bounding_box() for chart in page.locator(".panel").all()]
    assert {round(box["x"]) for box in boxes} == {12} and {round(box["width"]) for box in boxes} == {366}
    colours = set()
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        label = page.locator(".panel", has_text="Memory").locator(".xtick text").first
        page.wait_for_function("c => getComputedStyle(document.documentElement).colorScheme", arg=scheme)
        time.sleep(0.5)
        colours.add(label.evaluate("text => getComputedStyle(text).fill"))
    assert len(colours) == 2


def test_a_services_dashboard_has_rows_and_is_asked_again_with_what_a_person_chooses(shown, window: Window):
    shown(SERVICE)
    page = window.open("/monitoring")
    found = drawn(page)
    assert re.match("State Alert Since Summary firing AlwaysOn .* It is always on$", found.pop("On"))
    assert re.match(rf"instance job Value 127.0.0.1:\d+ {JOB} 1$", found.pop("Targets"))
    assert found == {
        "About": "Read *this*: 0.5",
        f"Requests of {JOB} over 5m": "",
        "Up": "",
        "Share": "",
        "Where": "A panel of the type “geomap” cannot be drawn here.",
        f"Only {JOB}": "",
    }
    page.get_by_text("Closed").click()
    assert drawn(page)["By code"] == ""
    page.get_by_label("rate").select_option("1m")
    page.get_by_label("limit").fill("7")
    page.get_by_label("Last").select_option("5 minutes")
    page.get_by_label("Last").press("Tab")
    page.get_by_role("button", name="Show").press("Enter")
    expect(page.locator("figcaption", has_text=f"Requests of {JOB} over 1m")).to_be_visible()
    chosen = parse_qs(urlsplit(page.url).query)
    assert (chosen["from"], chosen["var-rate"], chosen["var-limit"]) == (["now-5m"], ["1m"], ["7"])
    assert drawn(page)[f"Requests of {JOB} over 1m"] == ""


def test_prometheus_goes_away_and_comes_back_and_the_page_follows(shown, prometheus, window: Window):
    shown(MACHINE)
    page = window.open("/monitoring")
    drawn(page)
    page.evaluate("scrollTo(0, document.querySelector('#dashboard').offsetTop)")
    moving = page.locator(".panel", has_text="Memory")
    before = moving.get_attribute("data-version")
    expect(moving).not_to_have_attribute("data-version", before)  # it is drawn again by itself
    prometheus.kill()
    expect(moving.locator(".drawing")).to_contain_text("Prometheus does not answer at the moment.")
    expect(page.locator("#alerts .trouble")).to_contain_text("Prometheus does not answer at the moment.")
    prometheus.start()
    expect(moving.locator(".plot-container")).to_be_visible()
    expect(page.locator("#alerts .trouble")).to_have_count(0)
    expect(page.locator("#alerts")).to_contain_text("AlwaysOn")


def test_without_scripts_the_page_tells_all_but_the_drawings(shown, browser, stack):
    shown(SERVICE)
    window = Window(browser, stack, java_script_enabled=False)
    page = window.open("/monitoring")
    page.get_by_label("rate").select_option("1m")
    page.get_by_role("button", name="Show").click()
    expect(page.locator("figcaption", has_text="over 1m")).to_be_visible()
    expect(page.locator("#alerts")).to_contain_text("AlwaysOn")
    window.context.close()
    assert window.problems == []
