"""The page of the monitoring without a browser: what it says of alerts, endpoints and a dashboard."""

import asyncio
import json
import re
import time
from collections.abc import Iterator
from contextlib import closing
from html import unescape
from pathlib import Path
from threading import Event
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from local_stack.prometheus import UNKNOWN
from local_stack.server.app import create_app
from local_stack.server.auth import Credentials
from local_stack.server.documents import Document
from local_stack.server.files.state import FileStore
from local_stack.server.monitoring_file import MONITORING, Monitoring
from local_stack.server.pages import monitoring, panels
from local_stack.server.pages.monitoring import MOST_ALERTS, MOST_PANELS
from local_stack.server.store import Store
from local_stack.tests.api import Api, InProcess
from local_stack.tests.dashboards import MACHINE, SERVICE, panel, variable

HOSTILE = '"><img src=x onerror=alert(1)>'
ALERT = {
    "state": "firing",
    "activeAt": "2027-01-15T08:00:00.123456789Z",
    "labels": {"alertname": HOSTILE, "where": "here"},
    "annotations": {"summary": HOSTILE, "description": "Long", "runbook_url": "https://runbook.example/#a"},
}


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def api(home: Path) -> Iterator[Api]:
    credentials = Credentials.load_or_make(home / "credentials.json")
    with closing(Store(":memory:")) as store:
        application = create_app(store, credentials, FileStore(home / "files"), "", home / MONITORING)
        with InProcess(application) as transport, Api("http://127.0.0.1:8008", credentials, transport) as api:
            yield api


@pytest.fixture
def browser(api: Api) -> httpx.Client:
    return api.visit()


@pytest.fixture
def show(home: Path, browser: httpx.Client, monkeypatch):
    """Return the page with a dashboard and the answers of Prometheus, by kind of question."""

    def page(
        dashboard: object = None, address: str = "", files: Document | None = None, **answers: object
    ) -> str:
        known = {"rules": {"groups": []}, "query": {"result": []}} | answers

        def ask(url: str, kind: str, query: str = "", **_: object) -> object:
            found = known.get(kind, [{"__name__": "up"}] if kind == "series" else ["b", "a"])
            if isinstance(found, Exception):
                raise found
            return found(query) if callable(found) else found

        monkeypatch.setattr(panels, "ask", ask)
        told = files
        if told is None:
            (home / "board.json").write_text(json.dumps(dashboard))
            told = {"prometheus": "http://127.0.0.1:9", "alertmanager": "http://127.0.0.1:8"}
            told["dashboard"] = str(home / "board.json") if dashboard is not None else ""
        Monitoring(**told).write(home)
        answer = browser.get(f"/monitoring{address}")
        assert answer.status_code == 200
        return answer.text

    yield page
    (home / MONITORING).unlink(missing_ok=True)


def sources(page: str) -> list[Document]:
    """The address of each panel in the page: its number and its query."""
    found = [urlsplit(unescape(each)) for each in re.findall(r'data-source="([^"]*)"', page)]
    return [{"number": each.path.rpartition("/")[2], **parse_qs(each.query)} for each in found]


def text_of(page: str) -> str:
    """The words of a page, as a reader sees them."""
    return " ".join(unescape(re.sub("<[^>]*>", " ", page)).split())


# What there is without Prometheus


def test_without_serving_the_page_says_what_starts_it(browser):
    page = text_of(browser.get("/monitoring").text)
    assert "Prometheus does not run here. python -m local_stack up --serving starts it" in page
    assert "up --serving --dashboard FILE shows the panels of a Grafana dashboard here." in page
    assert "No model is served." in page


# Alerts


def test_what_fires_is_told_with_its_labels_description_and_runbook(show):
    page = show(rules={"groups": [{"rules": [{"name": HOSTILE, "alerts": [ALERT]}]}]})
    assert HOSTILE not in page
    assert f"firing {HOSTILE} {HOSTILE} Long" in text_of(page)
    assert "where: here" in page and 'href="https://runbook.example/#a"' in page
    assert '<time datetime="2027-01-15T08:00:00+00:00">' in page
    assert 'href="http://127.0.0.1:9"' in page and 'href="http://127.0.0.1:8"' in page


def test_a_runbook_that_no_browser_may_open_is_told_and_no_link(show):
    for address in ("file:///runbook.md", "javascript:alert(1)"):
        alert = ALERT | {"annotations": {"runbook_url": address}}
        page = show(rules={"groups": [{"rules": [{"name": "A", "alerts": [alert]}]}]})
        assert address in text_of(page) and f'href="{address}' not in page


def test_many_alerts_are_cut_and_none_is_said(show):
    page = show(rules={"groups": [{"rules": [{"name": "A", "alerts": [ALERT] * (MOST_ALERTS + 3)}]}]})
    assert page.count('<span class="chip status failed">firing') == MOST_ALERTS
    assert "3 more alerts are not shown." in page
    assert "Nothing fires, and nothing is pending." in show()


# Endpoints


ENDPOINT = '{name} {{\n  engine_type = "xgboost"\n  model_id = "{model}"\n}}\n'
CANARY = """mixed {
  weights = [3, 1]
  load_endpoints = []
  load_endpoint_prefix = "auto/"
}
"""
FOLLOWED = 'auto {\n  monitor_project = "P"\n  monitor_name = "M"\n  monitor_tags = ["champion"]\n}\n'


@pytest.fixture
def service(api):
    """Make a service of clearml-serving with the given parts of its configuration."""
    made = []

    def make(**parts: str) -> str:
        configuration = {name: {"name": name, "value": value} for name, value in parts.items()}
        about = {"name": "my service", "type": "service", "system_tags": ["serving-control-plane"]}
        made.append(api("tasks.create", **about, configuration=configuration)["id"])
        return made[-1]

    yield make
    for task in made:
        api("tasks.delete", task=task, force=True)


def test_endpoints_are_told_with_their_models_tags_and_weights(api, service, show):
    models = [
        api("models.create", name=f"model {n}", uri="file:///m", tags=tags)["id"]
        for n, tags in enumerate([["champion"], ["former"]])
    ]
    versions = "".join(ENDPOINT.format(name=f"auto/{n}", model=models[n % 2]) for n in (9, 10))
    plain = ENDPOINT.format(name="plain/1", model=models[1]) + ENDPOINT.format(name="mixed", model="x")
    service(endpoints=plain, model_monitoring_eps=versions, canary=CANARY, model_monitoring=FOLLOWED)

    page = text_of(show())
    assert f"auto follows M, P, champion – auto/10 model 0 {models[0][:8]} champion" in page
    newest, older = f"model 0 {models[0][:8]} champion", f"model 1 {models[1][:8]} former"
    assert f"plain/1 model 1 {models[1][:8]} former" in page
    assert f"mixed canary 75 % auto/10: {newest} 25 % auto/9: {older}" in page


@pytest.mark.parametrize(
    "text", ["{", "}" * 50, "a {\n" * 3000, "a = [", HOSTILE + " {\n  model_id = {\n", "a {\n b = 1"]
)
def test_a_wrong_configuration_of_a_service_breaks_nothing(service, show, text):
    service(endpoints=text, canary=text, model_monitoring=text)
    page = show()
    assert "my service" in page and HOSTILE not in page


def test_services_that_are_too_many_are_counted(service, show, monkeypatch):
    monkeypatch.setattr(monitoring, "MOST_SERVICES", 0)
    service()
    assert "1 more services are not shown." in text_of(show())


# The dashboard


def test_a_dashboard_is_laid_out_with_its_title_links_variables_and_panels(show):
    links = [
        {"title": "Runbook", "url": "https://x.example/${rate:raw}", "tooltip": HOSTILE},
        {"title": "Script", "url": "javascript:alert(1)"},
    ]
    page = show(SERVICE | {"links": links, "description": HOSTILE})
    assert HOSTILE not in page
    assert "A service &lt;b&gt;" in page and 'href="https://x.example/5m"' in page
    assert "javascript:" not in page
    assert 'style="--x: 1; --y: 1; --w: 12; --h: 8"' in page
    for name in ("job", "rate", "limit", "kind"):
        assert f'name="var-{name}"' in page
    assert 'name="var-unit"' not in page and 'name="var-source"' not in page
    assert '<option value="now-15m" selected>15 minutes</option>' in page
    assert "not refreshed by itself" in page and "data-live" not in page
    assert "this is not Grafana" in page
    wanted = {"from": ["now-15m"], "to": ["now"], "var-job": ["$__all"], "var-rate": ["5m"]}
    assert wanted.items() <= sources(page)[1].items()
    assert [(each["number"], each["var-job"]) for each in sources(page)[-2:]] == [
        ("11", ["a"]),
        ("11", ["b"]),
    ]


def test_the_address_chooses_time_and_variables(show):
    page = show(SERVICE, "?from=now-1h&to=now-5m&var-job=b&var-rate=1m&var-limit=7&var-unit=x")
    wanted = {"from": ["now-1h"], "to": ["now-5m"], "var-job": ["b"], "var-limit": ["7"], "var-unit": ["s"]}
    assert wanted.items() <= sources(page)[0].items()
    assert "now-1h to now-5m" in page and '<input type="hidden" name="to" value="now-5m">' in page


def test_the_file_says_how_often_the_page_is_refreshed(show):
    page = show(MACHINE)
    assert 'data-live data-seconds="1"' in page and "new values every 1 s" in page


@pytest.mark.parametrize(
    ("dashboard", "query", "trouble"),
    [
        ({"title": "x"}, "", "board.json is no dashboard of Grafana: it has no list of panels."),
        (SERVICE, "?from=yesterday", "'yesterday' is no time: write such as now-30m, or 2030-01-31T12:00."),
        (SERVICE, "?from=now&to=now-1h", "From now to now-1h is no time that can be shown."),
        ({"panels": [panel("stat", "x" * 100_001)]}, "", "A text of the dashboard is too long "),
    ],
)
def test_a_dashboard_that_cannot_be_shown_is_one_line(show, dashboard, query, trouble):
    page = show(dashboard, query)
    assert trouble in text_of(page) and "data-source" not in page


def test_prometheus_away_is_said_and_the_page_goes_on_asking(show):
    page = show(MACHINE, rules=ConnectionRefusedError())
    assert panels.AWAY in page and "data-live" in page


@pytest.mark.parametrize(
    "answer", [None, [], {}, {"groups": [7]}, {"groups": [{"rules": [{"alerts": [{}]}]}]}]
)
def test_an_answer_that_is_none_of_prometheus_is_said(show, answer):
    assert UNKNOWN in show(rules=answer)
    assert UNKNOWN in show(SERVICE, label=None, **{"label/job/values": [{}]})


def test_numbers_that_json_does_not_have_are_an_error_in_words(browser, monkeypatch):
    monkeypatch.setattr(panels, "draw_panel", lambda *_: {"number": float("inf")})
    answer = browser.get("/pages/panel/0")
    assert answer.status_code == 422
    assert "Its numbers are too large for a browser." in answer.text


def test_panels_that_wait_for_prometheus_delay_no_other_page(api, browser, show):
    answered = Event()
    show(SERVICE, query_range=lambda _: answered.wait(60) and {"result": []})

    async def look() -> None:
        about = {"base_url": api.url, "cookies": browser.cookies, "headers": browser.headers}
        transport = httpx.ASGITransport(api.transport.application)
        async with httpx.AsyncClient(transport=transport, **about) as client:
            address = "/pages/panel/1?from=now-1h&to=now"
            waiting = [asyncio.create_task(client.get(address)) for _ in range(50)]
            await asyncio.sleep(0.1)
            try:
                page = await asyncio.wait_for(client.get("/monitoring"), 30)
                assert page.status_code == 200
                assert not any(task.done() for task in waiting)
            finally:
                answered.set()
            assert {answer.json()["problem"] for answer in await asyncio.gather(*waiting)} == {"No data"}

    asyncio.run(look())


@pytest.mark.parametrize(("refresh", "seconds"), [("1ms", 1), ("30s", 30), ("999999999d", 86400)])
def test_a_page_is_refreshed_between_each_second_and_once_a_day(show, refresh, seconds):
    assert f' data-seconds="{seconds}"' in show({"panels": [], "refresh": refresh})


def test_panels_that_are_cut_are_not_made(show):
    values = ",".join(map(str, range(200)))
    listed = [{"type": "row", "title": "$v", "repeat": "v"}]
    listed += [panel("stat", "$v", repeat="v") for _ in range(50)]
    listing = {"list": [variable("v", "custom", values, multi=True, includeAll=True)]}
    begun = time.process_time()
    page = show({"panels": listed, "templating": listing}, "?var-v=$__all")
    assert time.process_time() - begun < 5
    assert page.count('class="chart panel"') == MOST_PANELS
    assert f"{200 * 50 * 200 - MOST_PANELS} more panels are not shown." in page


def test_thousands_of_panels_are_cut_and_the_page_says_how_many(show):
    page = show({"panels": [panel("stat", f"panel {n}") for n in range(5000)]})
    assert page.count('class="chart panel"') == MOST_PANELS
    assert "4800 more panels are not shown." in page


WRONG = (None, 7, "x", [], {}, [None, 7, "x", {}, []])
KEYS = ("title", "description", "time", "refresh", "links", "templating", "annotations", "panels", "timezone")


@pytest.mark.parametrize("key", KEYS)
def test_no_wrong_type_in_a_dashboard_breaks_the_page(show, key):
    for wrong in WRONG:
        for document in ({key: wrong}, {key: {"list": wrong, "from": wrong}}):
            assert "Monitoring" in show(SERVICE | document)


@pytest.mark.parametrize(
    "key", ["name", "type", "query", "current", "regex", "sort", "multi", "allValue", "hide"]
)
def test_no_wrong_type_in_a_variable_breaks_the_page(show, key):
    for wrong in WRONG:
        changed = [{**each, "includeAll": True, key: wrong} for each in SERVICE["templating"]["list"]]
        assert "A service" in show(SERVICE | {"templating": {"list": changed}})


def test_a_panel_needs_the_cookie_and_is_one_of_the_file(api, browser, show):
    show(SERVICE)
    assert api.client.get("/pages/panel/0?from=now-1h&to=now").status_code == 401
    for number in ("12", "x", "-1", "9" * 30):
        assert browser.get(f"/pages/panel/{number}?from=now-1h&to=now").status_code == 404
    found = browser.get("/pages/panel/7?from=now-1h&to=now&var-kind=0.5").json()
    assert found["text"] == "Read *this*: 0.5"


def test_the_file_about_the_monitoring_is_written_at_once_and_read_with_care(tmp_path):
    file = tmp_path / MONITORING
    assert Monitoring.read(file) == Monitoring.read(None) == Monitoring()
    Monitoring("http://p", dashboard="d").write(tmp_path)
    assert Monitoring.read(file) == Monitoring(prometheus="http://p", dashboard="d")
    for damaged in ("", "[]", '{"other": 1}', "\xff"):
        file.write_text(damaged)
        assert Monitoring.read(file) == Monitoring()
    assert [each.name for each in tmp_path.iterdir()] == [MONITORING]
