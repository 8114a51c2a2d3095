"""The pages without a browser: who may see them, what is at which address, and what each answer holds."""

import json
import re
import time

import httpx
import jwt
import pytest

from local_stack.server.auth import PAGES
from local_stack.server.pages import console, front
from local_stack.server.pages.charts import LARGEST_PLOT
from local_stack.server.pages.datasets import contents_of
from local_stack.server.pages.graph import HEIGHT, MOST_ARROWS, MOST_NODES, WIDTH, Node, draw_graph
from local_stack.server.pages.rendering import asset, render, safe_link, text_moment
from local_stack.server.pages.tasks import SECTIONS, section_of
from local_stack.tests.api import Api, scalar

PIPELINE = {"type": "controller", "system_tags": ["pipeline"]}
DATASET = {"type": "data_processing", "system_tags": ["dataset"]}
HTML = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


@pytest.fixture
def browser(api: Api) -> httpx.Client:
    """A client that came in by the link, with the cookie that it got."""
    return api.visit()


@pytest.fixture
def task(api) -> str:
    return api.new("task", name="shown")


def text_of(answer: httpx.Response) -> str:
    assert answer.status_code == 200, answer.text
    return answer.text


# Who may look


@pytest.mark.parametrize(
    "path", ["/", "/projects/*", "/projects/*/tasks/{task}/output/log", "/pages/log/{task}", "/files/{task}"]
)
def test_without_the_cookie_there_is_no_data_but_the_way_to_get_it(api, task, path):
    for cookie in ({}, {"Cookie": "local_stack_8008=nonsense"}):
        answer = api.client.get(path.format(task=task), headers=HTML | cookie)
        assert answer.status_code == 401
        assert "python -m local_stack up" in answer.text
        assert "shown" not in answer.text


def test_a_wrong_token_is_refused_and_leaves_no_cookie(api):
    """Nonsense, a token that has run out, one of another stack."""
    secrets = {api.credentials.token_secret: -1, "another secret, as long as these have to be": 60}
    claims = {secret: {"exp": int(time.time()) + age, "aud": PAGES} for secret, age in secrets.items()}
    signed = [jwt.encode(claims[secret], secret, "HS256") for secret in secrets]
    for token in ("", "nonsense", "a.b.c", "http://[", *signed):
        answer = api.client.get("/", params={"token": token})
        assert (answer.status_code, "Set-Cookie" in answer.headers) == (401, False)
        assert "belongs to another stack" in answer.text


def test_the_link_works_for_any_page_and_file_and_keeps_the_rest_of_the_address(api):
    answer = api.client.get(f"/projects/*?name=a+b%26c&page=2&token={api.token}")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/projects/*?name=a+b%26c&page=2")
    assert re.search("HttpOnly; Max-Age=2[0-9]{6}; Path=/; SameSite=lax", answer.headers["Set-Cookie"])
    api.client.post("/files", files={"linked.txt": b"inside"}, headers=api.headers)
    client = api.connect(headers=HTML, follow_redirects=True)
    assert client.get("/files/linked.txt", params={"token": api.token}).text == "inside"


def test_the_cookie_opens_no_api_and_changes_no_file_and_a_token_of_the_api_is_no_cookie(api, browser):
    calls = (("GET", "/tasks.get_all"), ("POST", "/tasks.delete"), ("POST", "/files"), ("DELETE", "/files/a"))
    for method, path in calls:
        assert browser.request(method, path).status_code == 401
    (cookie,) = browser.cookies.values()
    for scheme in ("Bearer", "Basic"):
        header = {"Authorization": f"{scheme} {cookie}"}
        assert api.client.get("/tasks.get_all", headers=header).status_code == 401
    # Browsers send cookies to every port of the machine: what is in them must open the pages alone.
    cookie = {"Cookie": f"local_stack_8008={api.token}"}
    assert api.client.get("/", headers=cookie).status_code == 401


def test_a_browser_that_comes_by_a_foreign_host_name_sees_nothing(api, browser):
    api.client.post("/files", files={"seen.txt": b"inside"}, headers=api.headers)
    ((name, value),) = browser.cookies.items()
    for host, status in (("evil.example:8008", 403), ("localhost:8008", 200), ("127.0.0.1:8008", 200)):
        headers = {**HTML, "Host": host, "Cookie": f"{name}={value}"}
        for path in ("/", "/files/seen.txt"):
            assert api.client.get(path, headers=headers).status_code == status


POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
CHART_POLICY = POLICY + "; style-src-attr 'unsafe-inline'"  # for plotly.js


def test_every_answer_forbids_foreign_content_and_inline_scripts(api, browser, task):
    policies = {
        "/": POLICY,
        f"/projects/*/tasks/{task}": POLICY,
        f"/projects/*/tasks/{task}/plots": CHART_POLICY,
        f"/pages/log/{task}": POLICY,
        "/projects/x/tasks/y": POLICY,
    }
    for path, policy in policies.items():
        headers = browser.get(path).headers
        assert headers["Content-Security-Policy"] == policy
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "same-origin"
        assert headers["Cache-Control"] == "no-store"


def test_our_own_files_are_served_with_their_types_at_their_present_versions_only(api):
    types = {"pages.js": "text/javascript", "pages.css": "text/css", "icon.svg": "image/svg"}
    for name, type_ in types.items():
        found = api.client.get(asset(name))
        assert (found.status_code, found.headers["Content-Type"][: len(type_)]) == (200, type_)
        assert api.client.get(f"/static/0123/{name}").status_code == 404


# Addresses


NOT_THERE = "/projects/x /projects/*/tasks/x /projects/*/models/x /datasets/simple/*/experiments/x /x/y"


@pytest.mark.parametrize("path", NOT_THERE.split())
def test_what_is_not_there_is_a_page_for_people_and_json_for_clients(api, browser, path):
    answer = browser.get(path)
    assert answer.status_code == 404
    assert "Nothing was found here" in answer.text
    if path == "/x/y":
        answer = api.client.get(path, headers=api.headers)
        assert answer.json()["meta"]["result_code"] == 404


def test_each_section_has_the_words_of_clearmls_own_addresses():
    tails = {
        "": "overview", "output/log": "console", "info-output/log": "console", "scalars": "scalars",
        "info-output/metrics/scalar": "scalars", "info-output/metrics/plots": "plots", "plots": "plots",
        "debug-samples": "samples", "artifacts/other/data": "artifacts", "output-model/x": "artifacts",
        "hyper-params/hyper-param/Args": "configuration", "execution": "source", "nonsense": "overview",
    }  # fmt: skip
    assert {tail: section_of(tail) for tail in tails} == tails
    assert set(tails.values()) == set(SECTIONS)


def test_a_task_that_is_no_dataset_or_pipeline_is_shown_as_the_task_it_is(api, browser, task):
    for kind in ("datasets/simple", "pipelines"):
        answer = browser.get(f"/{kind}/*/experiments/{task}")
        assert (answer.status_code, str(answer.url)) == (200, f"{api.url}/projects/*/tasks/{task}")


def test_only_what_is_of_the_web_or_of_this_server_is_linked_to():
    files = "http://127.0.0.1:8008/files/"
    assert safe_link(files + "a%20b/c.txt", files) == "/files/a%20b/c.txt"
    assert safe_link("https://example.com/a", files) == "https://example.com/a"
    for url in ("javascript:alert(1)", "data:text/html,x", "s3://bucket/a", "/a", "http://[", None, 5, ""):
        assert safe_link(url, files) is None


def test_no_link_of_a_page_runs_a_script(api, browser):
    script = {"repository": "javascript:alert(1)", "entry_point": "a.py"}
    artifacts = [{"key": "a", "type": "t", "uri": "javascript:alert(1)"}]
    task = api.new("task", script=script, execution={"artifacts": artifacts})
    for section in ("execution", "artifacts"):
        page = text_of(browser.get(f"/projects/*/tasks/{task}/{section}"))
        assert "javascript:alert(1)" in page
        assert 'href="javascript' not in page


HUGE = 10**400  # beyond all floats


@pytest.mark.parametrize(
    "fields",
    [
        {"runtime": {"ds_total_size": HUGE}},
        {"execution": {"artifacts": [{"key": "a", "type": "t", "uri": "x", "content_size": HUGE}]}},
        {"configuration": {"Dataset Content": {"value": f"header\na.csv, {'9' * 5000}, ff"}}},
        {"configuration": {"Dataset Struct": {"value": f'{{"0": {{"job_id": "x", "job_size": {HUGE}}}}}'}}},
    ],
)
def test_a_number_that_is_too_large_breaks_no_page(api, browser, fields):
    task = api.new("task", name="large dataset", **DATASET, **fields)
    api("workers.status_report", worker="busy worker", task=task, machine_stats={"cpu_usage": [HUGE]})
    pages = ("/datasets", f"/datasets/simple/*/experiments/{task}", f"/projects/*/tasks/{task}/artifacts")
    for path in (*pages, "/workers-and-queues"):
        assert "large dataset" in text_of(browser.get(path))
    api("workers.unregister", worker="busy worker")
    api("tasks.delete", task=task, force=True)


def test_the_end_of_time_is_shown_as_no_time(monkeypatch):
    with monkeypatch.context() as changed:
        changed.setenv("TZ", "Asia/Tokyo")
        time.tzset()
        assert (text_moment(0), text_moment(253402300799)) == ("1970-01-01 09:00:00", "")
    time.tzset()


# Lists


def test_thousands_of_tasks_come_in_pages_and_are_found_by_their_names(api, browser):
    project = api.new("project", name="crowded")
    for number in range(120):
        api.new("task", name=f"number {number:03} (a.b)", project=project)
    url = f"/projects/{project}"
    pages = [text_of(browser.get(f"{url}?page={page}")) for page in (1, 2, 3, 99)]
    names = [re.findall(r">(number \d+ \(a\.b\))<", page) for page in pages]
    assert [len(found) for found in names] == [50, 50, 20, 20]
    assert names[0][0] == "number 119 (a.b)"
    found = text_of(browser.get(f"{url}?name=01+(A.B"))
    assert re.findall(r">number (\d+)", found) == ["101", "001"]
    assert text_of(browser.get(f"{url}?page=abc&name=%00"))


def test_a_name_that_is_not_unicode_text_breaks_no_page(api, browser):
    task = api.new("task", name="half \ud83d of it", tags=["\udc00"])
    log(api, task, "half \ud83d of it")
    for path in ("", f"/projects/*/tasks/{task}", "/projects/*"):
        assert "half ? of it" in text_of(browser.get(path))
    assert read(api, browser, task)["lines"] == ["half \ud83d of it"]


def test_the_first_task_of_all_appears_on_a_front_page_that_is_open(store):
    page = render("front.html", **front.front_page(store, {}), query={})
    assert "Nothing has run here yet" in page
    parts = re.findall('<main[^>]* (data-live)|<div id="(.*)" data-part>', page)
    assert parts == [("data-live", ""), ("", "glance"), ("", "projects")]


def test_hidden_projects_are_not_listed(api, browser):
    api("projects.create", name="open project/.datasets/secret")
    page = text_of(browser.get("/"))
    assert (">open project<" in page, "secret" in page) == (True, False)


# The console


def log(api, task: str, *messages: str, timestamp: int = 1) -> None:
    api.events(*({"type": "log", "task": task, "timestamp": timestamp, "msg": text} for text in messages))


def read(api, browser, task: str, **query) -> dict:
    return json.loads(text_of(browser.get(f"/pages/log/{task}", params=query)))


@pytest.mark.parametrize("per_event", [1, 7, 100_000])
def test_the_console_is_read_backwards_without_a_gap(api, browser, task, per_event):
    lines = [f"line {i}" for i in range(1234)]
    log(api, task, *("\n".join(lines[i : i + per_event]) for i in range(0, len(lines), per_event)))
    found = read(api, browser, task)
    collected = found["lines"]
    while found["before"]:
        assert len(found["lines"]) == console.LINES
        found = read(api, browser, task, before=found["before"])
        collected = found["lines"] + collected
    assert collected == lines


def test_new_lines_come_once_even_those_that_were_reported_late(api, browser, task):
    log(api, task, "first", timestamp=1000)
    last = read(api, browser, task)["last"]
    log(api, task, "late", timestamp=5)
    found = read(api, browser, task, after=last)
    assert (found["lines"], found["live"]) == (["late"], True)
    api("tasks.started", task=task)
    api("tasks.stopped", task=task)
    found = read(api, browser, task, after=found["last"])
    assert (found["lines"], found["live"]) == ([], False)


def test_many_new_lines_come_in_several_answers(api, browser, task):
    last = read(api, browser, task)["last"]
    log(api, task, *map(str, range(1200)))
    api("tasks.started", task=task)
    api("tasks.stopped", task=task)  # what came before the end is not lost
    numbers = iter(range(1200))
    for count, more in ((500, True), (500, True), (200, False)):
        found = read(api, browser, task, after=last)
        assert (found["lines"], found["more"]) == ([str(next(numbers)) for _ in range(count)], more)
        last = found["last"]


def test_of_a_long_text_that_comes_in_the_end_is_shown(api, browser, task):
    last = read(api, browser, task)["last"]
    log(api, task, "\n".join(map(str, range(100_000))), *["short"] * 3)
    found = read(api, browser, task, after=last)
    assert found["lines"][1:] == [str(number) for number in range(100_000 - console.LINES, 100_000)]
    assert "99500 lines" in found["lines"][0]
    assert read(api, browser, task, after=found["last"])["lines"] == ["short"] * 3


def test_of_large_events_an_answer_has_few_and_of_each_the_end(api, browser, task, monkeypatch):
    monkeypatch.setattr(console, "MOST_READ", 50)
    monkeypatch.setattr(console, "MOST_OF_EVENT", 10)
    last = read(api, browser, task)["last"]
    log(api, task, *(f"{'x' * 60}\nline {number}" for number in range(3)))
    before, after = {}, {"after": last}
    for number in range(3):
        found = read(api, browser, task, **after)
        lines = ["… (57 characters)", "xxx", f"line {number}"]
        assert (found["lines"], found["more"]) == (lines, True)
        after = {"after": found["last"]}
        found = read(api, browser, task, **before)
        assert found["lines"] == ["… (57 characters)", "xxx", f"line {2 - number}"]
        before = {"before": found["before"]}
    assert before == {"before": None}


def test_a_reset_begins_a_new_run_and_its_lines_are_not_mixed_with_old_ones(api, browser, task):
    api("tasks.started", task=task)
    log(api, task, *["old"] * 10)
    before = read(api, browser, task)
    api("tasks.reset", task=task)
    reset = read(api, browser, task, after=before["last"])
    api("tasks.started", task=task)
    log(api, task, *map(str, range(15)))
    after = read(api, browser, task, after=before["last"])
    assert len({before["run"], reset["run"], after["run"]}) == 3
    assert after["lines"] == [str(number) for number in range(15)]


def test_lines_are_as_a_terminal_would_leave_them():
    text = "\x1b[31mred\x1b[0m\r\n10%\r50%\r100%\r\n\x1b]0;title\x07end\n"
    assert console.split_lines(text) == ["red", "100%", "end"]


@pytest.mark.parametrize("query", [{"before": "x"}, {"before": "1_2"}, {"after": "-1"}, {"after": "9" * 30}])
def test_an_invalid_place_is_refused_in_the_console_and_is_the_newest_among_samples(browser, task, query):
    assert browser.get(f"/pages/log/{task}", params=query).status_code == 400
    (place,) = query.values()
    samples = browser.get(f"/projects/*/tasks/{task}/samples", params={"page": place})
    assert "No debug samples" in text_of(samples)


# Plots


def report(api, task: str, plot_str: object) -> None:
    event = {"type": "plot", "task": task, "metric": "m&m", "variant": "v", "iter": 0, "plot_str": plot_str}
    assert api.events(event)["added"] == 1


def drawing_of(api, browser, task: str, kind: str, **query) -> dict:
    return json.loads(text_of(browser.get(f"/pages/{kind}/{task}", params={"metric": "m&m", **query})))


def plot(api, browser, task: str, plot_str: object) -> dict:
    report(api, task, plot_str)
    found = drawing_of(api, browser, task, "plot", variant="v")
    del found["version"]
    return found


def test_a_plot_is_sent_again_only_when_it_was_reported_again(api, browser, task):
    report(api, task, '{"data": []}')
    first = drawing_of(api, browser, task, "plot", variant="v")
    version = {"version": first["version"]}
    assert drawing_of(api, browser, task, "plot", variant="v", known=first["version"]) == version
    report(api, task, '{"data": [{"y": [1]}]}')  # for the same iteration
    again = drawing_of(api, browser, task, "plot", variant="v", known=first["version"])
    assert again["figure"]["data"] == [{"y": [1]}]


def test_scalars_are_sent_again_only_when_one_was_reported_or_the_task_was_reset(api, browser, task):
    def values(known: str = "") -> tuple[str, list | None]:
        found = drawing_of(api, browser, task, "scalars", known=known)
        return found["version"], "figure" in found and [trace["y"] for trace in found["figure"]["data"]]

    def report_value(value: float, metric: str = "m&m") -> None:
        assert api.events(scalar(task, metric, "", 1, value))["added"] == 1

    api("tasks.started", task=task)
    report_value(1)
    version, drawn = values()
    assert drawn == [[1]]
    report_value(5, metric="another")
    assert values(known=version) == (version, False)
    report_value(2)  # for the same iteration
    version, drawn = values(known=version)
    assert drawn == [[2]]
    api("tasks.reset", task=task)
    api("tasks.started", task=task)
    report_value(3)
    report_value(4)
    assert values(known=version)[1] == [[4]]


def test_a_plot_that_is_too_large_is_not_sent(api, browser, task):
    found = plot(api, browser, task, json.dumps({"data": [{"text": "x" * LARGEST_PLOT}]}))
    assert "too large to draw (8.4 MB)" in found["problem"]


def table_of(*columns: list, header: tuple = ("a",)) -> str:
    table = {"type": "table", "header": {"values": header}, "cells": {"values": columns}}
    return json.dumps({"data": [table]})


@pytest.mark.parametrize("levels", [500, 900])
def test_a_deeply_nested_cell_breaks_no_page(api, browser, levels):
    deep = "[" * levels + "]" * levels
    task = api.new("task", name="odd cells", **PIPELINE)
    cells = table_of(["CELL"], header=("HEAD",)).replace('"CELL"', deep).replace('"HEAD"', deep)
    assert plot(api, browser, task, cells).keys() <= {"tables", "problem"}
    assert "odd cells" in text_of(browser.get(f"/pipelines/*/experiments/{task}"))


def test_a_page_names_its_plots_and_reads_none(api, browser):
    """Refreshed every two seconds, it would keep the server busy."""
    for kind, fields in {"pipelines": PIPELINE, "datasets/simple": DATASET}.items():
        task = api.new("task", **fields)
        report(api, task, table_of(["in the table"]))
        page = text_of(browser.get(f"/{kind}/*/experiments/{task}"))
        assert f'data-source="/pages/plot/{task}?metric=m%26m&amp;variant=v"' in page
        assert "in the table" not in page


def test_a_figure_loses_its_title_and_its_gaps_are_null(api, browser, task):
    text = '{"data": [{"y": [1, NaN, 1e999]}], "layout": {"title": "t", "xaxis": {"title": "x"}}}'
    assert plot(api, browser, task, text) == {
        "figure": {"data": [{"y": [1, None, None]}], "layout": {"xaxis": {"title": {"text": "x"}}}}
    }


@pytest.mark.parametrize("text", ["", "no JSON", "[]", '{"data": 5}', '{"data": [5]}', "[" * 5000, None])
def test_a_plot_in_another_format_is_reported_as_a_problem(api, browser, task, text):
    assert "problem" in plot(api, browser, task, text)


def test_a_large_table_is_cut_and_its_markup_removed(api, browser, task):
    long = [f"<b>{i}</b><br>" for i in range(1000)]
    text = table_of(long, [0.1 + 0.2], ["x" * 1000], *([[None]] * 198), header=("a", ["b", "c"]))
    (table,) = plot(api, browser, task, text)["tables"]
    assert (table["columns"], table["left_out"], table["columns_left_out"]) == (["a", "b / c"], 500, 101)
    assert [len(row) for row in table["rows"]] == [100] * 500
    assert table["rows"][0][:4] == ["0", "0.3", "x" * 500 + "…", ""]
    assert table["rows"][1][:2] == ["1", ""]


def test_a_plot_that_is_an_image_comes_from_this_server_or_not_at_all(api, browser, task):
    def image(source: str) -> dict:
        return plot(api, browser, task, json.dumps({"data": [], "layout": {"images": [{"source": source}]}}))

    assert image(f"{api.url}/files/a/b.png") == {"image": "/files/a/b.png"}
    assert image("data:image/png;base64,AA==") == {"image": "data:image/png;base64,AA=="}
    for foreign in ("https://example.com/a.png", "javascript:alert(1)", "data:text/html,x"):
        assert image(foreign) == {"image": None}


# Datasets and graphs


def test_files_whose_names_hold_commas_are_listed_whole():
    text = "File Name (2 files), File Size (total 1), Hash (SHA2)\na, b.csv, 12, ff\nlinked, , "
    task = {"configuration": {"Dataset Content": {"value": text}}}
    assert contents_of(task) == [
        {"name": "a, b.csv", "size": 12, "hash": "ff"},
        {"name": "linked", "size": None, "hash": ""},
    ]
    assert contents_of({"configuration": {}}) == []


def test_a_step_is_drawn_behind_all_that_it_waits_for_and_no_boxes_overlap():
    parents = {"d": ["b", "c"], "a": [], "b": ["a"], "c": ["b", "a"], "e": ["gone"]}
    nodes = [Node(key, list(keys)) for key, keys in parents.items()]
    drawn = draw_graph(nodes)
    places = {node.key: node.x for node in nodes}
    assert places["a"] == places["e"] < places["b"] < places["c"] < places["d"]
    assert len(drawn["arrows"]) == 5
    assert len({(node.x, node.y) for node in nodes}) == 5
    assert all(node.x + WIDTH <= drawn["width"] and node.y + HEIGHT <= drawn["height"] for node in nodes)
    circles = [Node("a", ["b"]), Node("b", ["a"]), Node("c", ["c"])]
    assert len(draw_graph(circles)["arrows"]) == 3  # drawn all the same


def test_of_too_many_steps_and_arrows_the_first_are_drawn():
    nodes = [Node(str(number), list(map(str, range(number)))) for number in range(MOST_NODES + 7)]
    drawn = draw_graph(nodes)
    assert (len(drawn["nodes"]), drawn["left_out"]) == (MOST_NODES, 7)
    arrows = MOST_NODES * (MOST_NODES - 1) // 2
    assert (len(drawn["arrows"]), drawn["arrows_left_out"]) == (MOST_ARROWS, arrows - MOST_ARROWS)


def test_a_parameter_that_names_a_dataset_leads_to_it(api, browser):
    dataset = api.new("task", **DATASET)
    task = api.new("task", hyperparams={"Args": {"dataset_id": {"value": dataset}}})
    page = text_of(browser.get(f"/projects/*/tasks/{task}/configuration"))
    assert f'<a href="/datasets/simple/*/experiments/{dataset}">{dataset}</a>' in page


@pytest.mark.parametrize(
    "stored", ["no JSON", "[]", '{"a": 5}', '{"a": {"parents": 5, "job_id": [7]}}', "{}"]
)
def test_a_pipeline_whose_steps_are_stored_as_something_else_still_opens(api, browser, stored):
    configuration = {"Pipeline": {"value": stored}}
    task = api.new("task", name="odd pipeline", **PIPELINE, configuration=configuration)
    assert "odd pipeline" in text_of(browser.get(f"/pipelines/*/experiments/{task}"))
