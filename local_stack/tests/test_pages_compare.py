"""The page that compares tasks, without a browser: what it says of them, and the points of its charts."""

import html
import json
import re
import time
from urllib.parse import parse_qs, quote, urlsplit

import httpx
import pytest

from local_stack.server.events.scalars import SINGLE_VALUE_ITERATION
from local_stack.server.events.state import MONITOR_PREFIX
from local_stack.server.pages import compare, views
from local_stack.tests.api import Api, scalar

HOSTILE = '"><img src=x onerror=alert(1)>&lt;'


@pytest.fixture
def browser(api: Api) -> httpx.Client:
    """A client that came in by the link, with the cookie that it got."""
    return api.visit()


@pytest.fixture
def pair(api: Api) -> list[str]:
    """Two tasks that have nothing yet."""
    return [api.new("task", name=name) for name in ("first", "second")]


def page_of(browser, *ids: str) -> str:
    answer = browser.get("/compare", params={"id": ids})
    assert answer.status_code == 200, answer.text
    return answer.text


def text_of(markup: str) -> str:
    return " ".join(html.unescape(re.sub("<[^>]*>", " ", markup)).split())


def section(page: str, id_: str) -> str:
    return re.search(f'(?s)<section id="{id_}".*?</section>', page)[0]


def heads_of(page: str) -> list[str]:
    """What stands above the columns."""
    return list(map(text_of, re.findall('(?s)scope="col">(.*?)</th>', section(page, "tasks"))))


def query_of(page: str, label: str) -> list[str]:
    """The ids in the address of the link with that label."""
    address = re.search(f'href="([^"]*)" aria-label="{label}"', page)[1]
    return parse_qs(urlsplit(html.unescape(address)).query)["id"]


def rows_of(part: str) -> dict[str, list[str]]:
    """The rows of the tasks' columns: what stands in each cell, and `≠` before what is marked."""
    found = re.findall(r'(?s)<tr><th scope="row">([^<]*)</th>(<td>.*?)</tr>', part.partition("<details")[0])
    return {
        html.unescape(name): [
            text_of(cell.replace("<mark>", "≠ ")) for cell in re.findall("(?s)<td>(.*?)</td>", cells)
        ]
        for name, cells in found
    }


def same_in(part: str) -> dict[str, str]:
    """The rows that are folded away."""
    folded = part.partition("<details")[2]
    return {
        name: text_of(value) for name, value in re.findall(r'(?s)"row">([^<]*)</th><td>(.*?)</td>', folded)
    }


def single(task: str, name: str, value: float) -> dict:
    return scalar(task, "Summary", name, SINGLE_VALUE_ITERATION, value)


# Which tasks


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([], "Choose two to ten tasks"),
        ([""], "Choose two to ten tasks"),
        (["{0}"], "So far only chosen 0 draft was chosen. Choose two to ten tasks"),
        (["{0}", "{0}"], "So far only chosen 0 draft was chosen."),
        (
            ["{0}", "gone"],
            "There is no task gone. It may have been deleted, or it is on another server. So far",
        ),
    ],
)
def test_a_choice_of_less_than_two_tasks_is_answered_by_what_to_do(api, browser, given, said):
    task = api.new("task", name="chosen 0")
    page = page_of(browser, *(text.format(task) for text in given))
    assert said in text_of(page)
    assert "<table" not in page


def test_of_more_than_ten_tasks_the_first_are_compared_and_one_that_is_removed_makes_room(api, browser):
    ids = [api.new("task", name=f"chosen {i}") for i in range(11)]
    page = page_of(browser, *ids)
    assert "11 tasks were chosen. The first 10 are compared: remove some." in text_of(page)
    assert [text.split()[2] for text in heads_of(page)] == list("0123456789")
    fewer = page_of(browser, *query_of(page, "Remove 3 chosen 2"))
    assert [text.split()[2] for text in heads_of(fewer)] == [*"013456789", "10"]
    assert "were chosen" not in fewer


def test_a_task_that_is_gone_leaves_the_others_compared(api, browser, pair):
    page = page_of(browser, pair[0], "gone", *pair)
    assert "There is no task gone." in text_of(page)
    assert heads_of(page) == ["1 first draft Remove", "2 second draft Remove"]


def test_the_columns_are_in_the_order_of_the_address_and_lead_to_the_tasks(browser, pair):
    page = page_of(browser, *reversed(pair))
    assert heads_of(page) == ["1 second draft Remove", "2 first draft Remove"]
    assert re.findall(r'href="/projects/\*/tasks/(\w+)"', page) == [*reversed(pair)]


# Tables


def test_parameters_that_differ_come_first_and_are_marked_and_the_others_are_folded_away(api, browser):
    values = [{"same": "0", "depth": 3, "eta": "0.1", "gone": ""}, {"same": "0", "depth": 5, "eta": "0.1"}]
    tasks = [
        api.new("task", hyperparams={"Args": {k: {"value": v} for k, v in each.items()}}) for each in values
    ]
    part = section(page_of(browser, *tasks), "parameters")
    assert rows_of(part) == {"Args / depth": ["3", "≠ 5"], "Args / gone": ["empty", "≠ –"]}
    assert "The same in all: 2 " in text_of(part)
    assert same_in(part) == {"Args / eta": "0.1", "Args / same": "0"}


def test_facts_and_the_origin_of_the_code_are_compared_like_parameters(api, browser):
    queue = api.new("queue", name="gpu")
    script = {"repository": "https://example.com/r.git", "branch": "main", "version_num": "c0ffee"}
    first = api.new("task", type="training", tags=["b", "a"], script=script)
    second = api.new("task", type="training", tags=["a", "b"], script={**script, "version_num": "beef"})
    api("tasks.enqueue", task=second, queue=queue)
    part = section(page_of(browser, first, second), "tasks")
    assert rows_of(part) == {"Queue": ["–", "≠ gpu"], "Commit": ["c0ffee", "≠ beef"]}
    assert same_in(part).items() >= {"Type": "training", "Tags": "a, b", "Branch": "main"}.items()


@pytest.mark.parametrize(
    ("name", "values", "cells"),
    [
        ("accuracy", (0.5, 0.75), ["0.5", "0.75 highest"]),
        ("log loss", (0.5, 0.75), ["0.5 lowest", "0.75"]),
        ("val_RMSE", (2, 1), ["2", "1 lowest"]),
        ("sentiment", (2, 1), ["2 highest", "1"]),
        ("training time", (2, 1), ["2", "1 lowest"]),
        ("PR-AUC", (0.12345, 0.123456), ["0.12345", "0.12346 highest"]),
        ("only one has", (1, None), ["1", "–"]),
        ("threshold", (0.5, 0.5), None),
    ],
)
def test_the_best_value_is_marked_in_words_and_settings_are_folded_away(
    api, browser, pair, name, values, cells
):
    api.events(
        *(single(task, name, value) for task, value in zip(pair, values, strict=True) if value is not None)
    )
    part = section(page_of(browser, *pair), "values")
    assert rows_of(part) == ({name: cells} if cells else {})
    assert same_in(part) == ({} if cells else {name: "0.5"})


def test_equally_good_ones_are_all_the_best(api, browser, pair):
    third = api.new("task")
    api.events(*(single(task, "F1", value) for task, value in zip((*pair, third), (1, 0, 1), strict=True)))
    assert rows_of(section(page_of(browser, *pair, third), "values")) == {
        "F1": ["1 highest", "0", "1 highest"]
    }


def test_the_last_values_of_curves_stand_below_the_single_ones(api, browser, pair):
    for factor, task in enumerate(pair, 1):
        api.events(
            *(scalar(task, "loss", "train", i, factor / (i + 1)) for i in range(2)),
            single(task, "F1", factor),
        )
    cells = {"F1": ["1", "2 highest"], "loss / train (last)": ["0.5 lowest", "1"]}
    assert list(rows_of(section(page_of(browser, *pair), "values")).items()) == list(cells.items())


def test_of_many_rows_the_first_are_shown_and_of_long_texts_the_beginning(api, browser):
    values = [{f"{i:03}": {"value": letter * 1000} for i in range(600)} for letter in "ab"]
    tasks = [api.new("task", hyperparams={"Args": items}) for items in values]
    part = section(page_of(browser, *tasks), "parameters")
    rows = {f"Args / {i:03}": ["a" * 399 + "…", "≠ " + "b" * 399 + "…"] for i in range(compare.MOST_ROWS)}
    assert rows_of(part) == rows
    assert "100 more are not shown." in part


def test_ten_tasks_with_500_parameters_each_are_compared_in_150_ms(api, browser):
    tasks = [
        api.new("task", hyperparams={"Args": {f"parameter {i}": {"value": f"{i * n}"} for i in range(500)}})
        for n in range(10)
    ]
    seconds = []
    for _ in range(5):
        begun = time.process_time()
        assert page_of(browser, *tasks).count("<mark>") > 4400
        seconds.append(time.process_time() - begun)
    assert min(seconds) < 0.15


# Curves


def sources_of(page: str) -> list[str]:
    return [html.unescape(source) for source in re.findall('data-source="(.*?)"', page)]


def drawn(browser, source: str, known: str = "") -> dict:
    answer = browser.get(source + (f"&known={quote(known)}" if known else ""))
    assert answer.status_code == 200
    return json.loads(answer.text)


def test_a_curve_that_two_tasks_have_is_drawn_with_a_line_for_each(api, browser, pair):
    third = api.new("task", name="third" * 9)
    points = [(pair[0], "a&b", 1), (pair[0], "only one has it", 1), (third, "a&b", 3)]
    api.events(
        *(scalar(task, metric, "v", i, factor * i) for task, metric, factor in points for i in range(3))
    )
    page = page_of(browser, *pair, third)
    (source,) = sources_of(page)
    assert "<figcaption>a&amp;b / v</figcaption>" in page
    assert "Curves that are not shown: 1." in page
    traces = drawn(browser, source)["figure"]["data"]
    assert [(trace["name"], trace["x"], trace["y"]) for trace in traces] == [
        ("1 first", [0, 1, 2], [0, 1, 2]),
        ("3 thirdthirdthirdthirdthirdthirdthi", [0, 1, 2], [0, 3, 6]),
    ]
    keys = re.findall(r'stroke="(#\w+)"(?: stroke-dasharray="(.*?)")?', section(page, "tasks"))
    lines = [(trace["line"]["color"], trace["line"]["dash"].replace("solid", "")) for trace in traces]
    assert lines == [keys[0], keys[2]]  # as the columns' heads show them


def test_ten_tasks_have_ten_kinds_of_lines():
    assert len({tuple(compare._line(place).values()) for place in range(compare.MOST_TASKS)}) == 10


def test_a_chart_is_sent_again_only_when_one_of_its_tasks_reported(api, browser, pair):
    api.events(*(scalar(task, "loss", "", 0, 1) for task in pair))
    (source,) = sources_of(page_of(browser, *pair))
    version = drawn(browser, source)["version"]
    assert drawn(browser, source, version) == {"version": version}
    api.events(scalar(pair[1], "loss", "", 1, 5))
    traces = drawn(browser, source, version)["figure"]["data"]
    assert [trace["y"] for trace in traces] == [[1], [1, 5]]
    api("tasks.delete", task=pair[0], force=True)
    (trace,) = drawn(browser, source)["figure"]["data"]
    assert trace["name"] == "2 second"


def test_curves_of_the_machine_come_last_and_too_many_are_not_shown(api, browser, pair):
    names = [f"{MONITOR_PREFIX}gpu", *(f"metric {i:03}" for i in range(compare.MOST_CHARTS))]
    api.events(*(scalar(task, name, "", 0, 1) for task in pair for name in names))
    page = page_of(browser, *pair)
    assert len(sources_of(page)) == compare.MOST_CHARTS
    assert (f"{MONITOR_PREFIX}gpu" in page, "Curves that are not shown: 1." in page) == (False, True)


def test_the_page_is_live_while_one_of_the_tasks_may_still_report(api, browser, pair):
    for task, live in zip(pair, (True, False), strict=True):
        assert "data-live" in page_of(browser, *pair)
        api("tasks.started", task=task)
        api("tasks.completed", task=task)
        assert ("data-live" in page_of(browser, *pair)) is live


# Texts


def test_code_packages_and_configuration_are_compared_with_those_of_the_first_task(api, browser):
    codes = ["a = 1\nb = 2\n", "a = 1\nb = <i>\n", "a = 1\nb = <i>\n", ""]
    fields = {"requirements": {"pip": "numpy"}}
    tasks = [
        api.new("task", script={**fields, "diff": code}, configuration={"model": {"value": "{}"}})
        for code in codes
    ]
    part = section(page_of(browser, *tasks), "texts")
    found = re.findall(r"(?s)<h3>(.*?)</h3>.*?(<pre.*?)</pre>", part)
    assert [(text_of(title), html.unescape(re.sub("<[^>]*>", "", lines))) for title, lines in found] == [
        ("Script of 2, 3 against 1", "@@ -1,3 +1,3 @@\n a = 1\n-b = 2\n+b = <i>\n \n"),
        ("Script of 4 against 1", "@@ -1,3 +0,0 @@\n-a = 1\n-b = 2\n-\n"),
    ]
    assert "<del>-b = 2</del>" in part
    assert "The same in all: Packages: pip, Configuration: model" in part


def test_a_long_difference_is_cut_and_says_so(api, browser):
    texts = ["\n".join(f"{letter}{i}" for i in range(1000)) for letter in "ab"]
    first, second = (api.new("task", configuration={"c": {"value": text}}) for text in texts)
    part = section(page_of(browser, first, second), "texts")
    assert part.count("<del>") + part.count("<b>") == compare.MOST_LINES
    assert "1601 more lines are not shown." in part
    texts = ["x" * views.MOST_TEXT + letter for letter in "ab"]
    first, second = (api.new("task", configuration={"c": {"value": text}}) for text in texts)
    assert "It differs, but not in its first 200000 characters." in page_of(browser, first, second)


def test_texts_that_would_take_long_to_compare_are_not(api, browser, monkeypatch):
    """Lines that come again and again, each rarely enough for difflib to look at."""
    texts = ["\n".join(f"{(i * step) % 500}" for i in range(5000)) for step in (7, 11)]
    first, second = (api.new("task", configuration={"c": {"value": text}}) for text in texts)
    begun = time.process_time()
    assert "too long to compare here: 5000 and 5000 lines" in page_of(browser, first, second)
    assert time.process_time() - begun < 1
    short = [api.new("task", configuration={"c": {"value": text}}) for text in "ab"]
    assert "<del>-a</del>" in page_of(browser, *short)
    monkeypatch.setattr(compare, "SECONDS", 0)
    assert "too long to compare here: 1 and 1 lines" in page_of(browser, *short)


def test_of_many_texts_that_differ_the_first_are_compared(api, browser):
    first, second = (
        api.new("task", configuration={f"{i:02}": {"value": letter} for i in range(compare.MOST_TEXTS + 7)})
        for letter in "ab"
    )
    part = section(page_of(browser, first, second), "texts")
    assert part.count("<pre") == compare.MOST_TEXTS
    assert "7 more differences are not shown." in part


# Hostile names


def test_hostile_names_and_values_stay_text_everywhere(api, browser):
    half = f"{HOSTILE}\ud83d"
    tasks = [
        api.new(
            "task",
            name=half,
            tags=[HOSTILE + n],
            hyperparams={HOSTILE: {half: {"value": half + n}}},
            configuration={half: {"value": half + n}},
            script={
                "diff": half + n,
                "repository": f"javascript:{n}",
                "requirements": {HOSTILE: [HOSTILE, n]},
            },
        )
        for n in "ab"
    ]
    events = (
        event for task in tasks for event in (scalar(task, HOSTILE, HOSTILE, 0, 1), single(task, HOSTILE, 1))
    )
    api.events(*events)
    page = page_of(browser, *tasks, HOSTILE)
    assert "<img src=x" not in page
    assert 'href="javascript' not in page
    assert 'class="said"' not in page
    assert f"There is no task {HOSTILE}." in text_of(page)
    assert heads_of(page) == [f"{n} {HOSTILE}? draft Remove" for n in (1, 2)]
    cells = [f"{HOSTILE}?a", f"≠ {HOSTILE}?b"]
    assert rows_of(section(page, "parameters")) == {f"{HOSTILE} / {HOSTILE}?": cells}
    for name in ("Uncommitted changes", f"Packages: {HOSTILE}", f"Configuration: {HOSTILE}?"):
        assert f"{name} of 2 against 1" in text_of(page)
    (source,) = sources_of(page)
    names = [trace["name"] for trace in drawn(browser, source)["figure"]["data"]]
    assert names == [f"{n} {half}" for n in (1, 2)]
