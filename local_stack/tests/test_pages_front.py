"""The front page: what runs, what failed, what fires, what is champion, what ran last, and the projects."""

import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import httpx
import pytest
from playwright.sync_api import expect

from local_stack.server.monitoring_file import Monitoring
from local_stack.server.pages import front
from local_stack.server.pages.rendering import render
from local_stack.tests.api import Api

PIPELINE = {"type": "controller", "system_tags": ["pipeline"]}


@pytest.fixture
def visitor(api: Api) -> httpx.Client:
    """A client that came in by the link."""
    return api.visit()


def cards(visitor: httpx.Client, path: str = "/") -> dict[str, str]:
    """Return the text of each section of the page, and of "Latest tasks" and "Projects", by heading."""
    answer = visitor.get(path)
    assert answer.status_code == 200, answer.text
    found = re.findall(r"<h2>(.*?)</h2>(.*?)(?=<h2>|</main>)", answer.text, re.DOTALL)
    return {name: " ".join(re.sub("<[^>]*>", " ", text).split()) for name, text in found}


def run(api: Api, name: str, **fields: object) -> str:
    task = api.new("task", name=name, **fields)
    api("tasks.started", task=task)
    return task


def new_pipeline(api: Api, name: str) -> None:
    """Run a pipeline of three steps: the first has ended, the second runs, the third has no task yet."""
    controller = run(api, name, **PIPELINE)
    done, running = (run(api, f"{name}, step {n}", parent=controller) for n in (1, 2))
    api("tasks.completed", task=done)
    steps = {"load": {"job_id": done}, "train": {"job_id": running}, "choose": {}}
    text = json.dumps(steps)
    configuration = {"Pipeline": {"name": "Pipeline", "value": text}}
    api("tasks.edit", task=controller, configuration=configuration, force=True)


def test_a_pipeline_that_runs_shows_its_progress_in_place_of_its_steps(api, visitor):
    new_pipeline(api, "nightly")
    now = cards(visitor)["Runs now"]
    assert "nightly pipeline, 1 of 3 steps done; now train, 0 s" in now
    assert "nightly, step 2" not in now


def test_services_come_after_what_else_runs_and_are_not_among_the_latest_tasks(api, visitor):
    api("tasks.stopped", task=run(api, "an old monitor", type="monitor"))
    run(api, "plain task")
    run(api, "a scheduler", type="service")
    found = cards(visitor)
    assert re.search(r"plain task custom, 0 s .*a scheduler service, 0 s", found["Runs now"])
    assert "an old monitor" not in found["Latest tasks"]


@pytest.mark.parametrize(
    ("console", "told"),
    [
        ("Traceback (most recent call last):\nkeras.ShapeError: (3, 4)\nends", "keras.ShapeError: (3, 4)"),
        ("nothing of interest", "exit code 7"),
    ],
)
def test_what_failed_says_why_by_its_own_error_or_its_status(api, visitor, monkeypatch, console, told):
    task = run(api, "breaks")
    api.events({"type": "log", "task": task, "timestamp": 1, "msg": console})
    api("tasks.failed", task=task, status_reason="exit code 7")
    assert re.match(f"breaks [0-9: -]+ {re.escape(told)} console", cards(visitor)["Failed lately"])
    assert f'href="/projects/*/tasks/{task}/output/log"' in visitor.get("/").text
    monkeypatch.setattr(front, "DAYS", 0)
    assert cards(visitor)["Failed lately"] == "Nothing, in the last 0 days."


def test_the_champion_is_the_newest_published_model_with_the_tag(api, visitor):
    assert "No published model has the tag “champion”" in cards(visitor)["Champion"]
    task = api.new("task", name="training")
    value = {"type": "training_stats_scalar", "task": task, "iter": -(2**31), "value": 0.75}
    api.events({**value, "metric": "Summary", "variant": "recall"})
    for name, ready in (("older", True), ("newer", True), ("not published", False)):
        api.new("model", name=name, ready=ready, uri="file:///m", tags=["champion"], task=task)
    assert re.fullmatch(
        r"newer champion recall 0\.75 Made by training , [\d :-]+\.", cards(visitor)["Champion"]
    )


def test_with_a_name_only_projects_are_listed(api, visitor):
    api.new("project", name="wanted project")
    found = cards(visitor, "/?name=WANTED")
    assert list(found) == ["Projects"]
    assert "wanted project" in found["Projects"]


# Alarms


class Prometheus(BaseHTTPRequestHandler):
    """Answers as Prometheus does when it is asked for the alerts of its rules."""

    body = b""

    def do_GET(self) -> None:
        assert self.path == "/api/v1/rules?type=alert"
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def answering(body: bytes) -> Iterator[str]:
    handler = type("Handler", (Prometheus,), {"body": body})
    with HTTPServer(("127.0.0.1", 0), handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def alarms(store, home: Path, address: str) -> dict:
    Monitoring(prometheus=address).write(home)
    store.put("project", {"id": "p", "name": "p", "description": "", "system_tags": []})
    found: dict = front.front_page(store, {"monitoring": home / "monitoring.json"})["later"]()
    return found


def answer_with(*groups: object) -> bytes:
    return json.dumps({"status": "success", "data": {"groups": groups}}).encode()


def test_the_oldest_alerts_that_fire_are_shown_with_their_summaries(store, tmp_path):
    kinds = [("Waits", "pending", 0), *((f"Alert{day}", "firing", day) for day in range(7, 0, -1))]
    rules = [
        {
            "name": name,
            "alerts": [
                {
                    "labels": {"alertname": name},
                    "annotations": {"summary": f"about {name}"},
                    "state": state,
                    "activeAt": f"2026-01-0{day}T12:00:00.123Z",
                }
            ],
        }
        for name, state, day in kinds
    ]
    with answering(answer_with({"rules": rules})) as address:
        found = alarms(store, tmp_path, address)
    names = [each["name"] for each in found["alerts"]]
    assert (names, found["more_alerts"]) == (["Alert1", "Alert2", "Alert3", "Alert4", "Alert5"], 2)
    page = render("front.html", glance={"running": []}, projects={"items": []}, **found, query={}, path="/")
    assert re.search(r"<b>Alert1</b> about Alert1 .*and 2 more", page, re.DOTALL)


@pytest.mark.parametrize(
    "body", [b"", b"[]", b'{"data": []}', answer_with(1), answer_with({"rules": [{"alerts": [{}]}]})]
)
def test_an_answer_that_is_none_counts_as_no_monitoring(store, tmp_path, body):
    with answering(body) as address:
        assert alarms(store, tmp_path, address) == {"alerts": None}


def test_a_prometheus_that_does_not_answer_keeps_nobody_waiting(store, tmp_path, visitor, api):
    with HTTPServer(("127.0.0.1", 0), Prometheus) as silent:  # it takes connections, and that is all
        begun = time.monotonic()
        assert alarms(store, tmp_path, f"http://127.0.0.1:{silent.server_port}") == {"alerts": None}
        assert 0.9 < time.monotonic() - begun < 30
    api.new("task", name="anything")
    assert "Monitoring does not run." in cards(visitor)["Alarms"]


# In a browser


@pytest.mark.browser
def test_the_overview_follows_what_happens_and_can_be_read_by_everybody(window, stack_api):
    new_pipeline(stack_api, "followed")
    task = run(stack_api, "will break")
    page = window.open("/")
    failed = page.locator("section", has_text="Failed lately")
    expect(page.get_by_text("pipeline, 1 of 3 steps done; now train")).to_be_visible()
    assert window.flaws() == []
    stack_api("tasks.failed", task=task, status_reason="no memory")
    expect(failed).to_contain_text("no memory")
    page.get_by_role("link", name="Console of will break").click()
    expect(page.locator("h1")).to_have_text("will break")
