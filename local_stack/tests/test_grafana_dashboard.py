"""Dashboards of Grafana as the pages read them: places, repeats, variables, time, and what is wrong."""

import json
import time

import pytest

from local_stack.server.pages.grafana_dashboard import Panel, Span, read_dashboard, sections, time_span
from local_stack.server.pages.grafana_variables import (
    ALL,
    LONGEST_TEXT,
    MOST_VALUES,
    TO_BE_WRITTEN,
    Value,
    fill,
    variables,
)
from local_stack.tests.dashboards import SERVICE, panel, variable

HALF_HOUR = Span(1_800_000_000, 1_800_001_800)


def places(dashboard: dict, **values: list[str]) -> list[tuple[str, tuple[int, ...]]]:
    chosen = {name: Value(each) for name, each in values.items()}
    return [
        (each.title, tuple(each.place.values()))
        for section in sections(dashboard, chosen)
        for each in section.panels
    ]


def chosen_of(*documents: dict, address: dict[str, list[str]] | None = None, answers=()) -> dict:
    """What is chosen for each variable. Prometheus gives the same answers to all questions."""
    listed = {"templating": {"list": list(documents)}}
    found = variables(listed, lambda name: (address or {}).get(name, []), lambda *_, **__: list(answers))
    return {each.name: each for each in found}


# The file


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("{", "cannot be read as a dashboard: Expecting property name"),
        ("[" * 100_000, "cannot be read as a dashboard: "),
        ("[]", "is no dashboard of Grafana: it has no list of panels."),
        ('{"panels": {}}', "is no dashboard of Grafana: it has no list of panels."),
    ],
)
def test_what_is_no_dashboard_is_told_in_one_line(tmp_path, content, reason):
    file = tmp_path / "board.json"
    file.write_text(content)
    with pytest.raises(ValueError, match=r"^board\.json ") as refusal:
        read_dashboard(file)
    assert reason in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_dashboard_is_read_as_people_and_the_api_of_grafana_export_it(tmp_path):
    file = tmp_path / "board.json"
    for content in (SERVICE, {"meta": {}, "dashboard": SERVICE}):
        file.write_text(json.dumps(content))
        assert read_dashboard(file) == SERVICE


# Places


def test_panels_stay_where_the_file_has_them_but_leave_no_rows_empty():
    listed = [panel("stat", "low", place="0 9 12 4"), panel("stat", "high", place="6 0 18 4")]
    assert places({"panels": listed}) == [("high", (6, 0, 18, 4)), ("low", (0, 4, 12, 4))]


def test_a_repeated_panel_fills_rows_and_moves_what_is_below():
    listed = [panel("stat", "of $v", place="0 0 24 4", repeat="v"), panel("stat", "below", place="0 4 24 4")]
    found = places({"panels": listed}, v=["a", "b", "c", "d", "e"])
    assert found[3:] == [("of d", (18, 0, 6, 4)), ("of e", (0, 4, 6, 4)), ("below", (0, 8, 24, 4))]
    assert places({"panels": listed}, v=[]) == [("below", (0, 0, 24, 4))]


def test_rows_are_sections_that_can_be_closed_or_repeated():
    values = {"job": Value(["a", "b"]), "rate": Value(["5m"])}
    found = [each._replace(panels=[*each.panels]) for each in sections(SERVICE, values)]
    assert [(each.title, each.collapsed, len(each.panels)) for each in found] == [
        ("", False, 0),
        ("Now", False, 7),
        ("Closed", True, 1),
        ("Of a", False, 1),
        ("Of b", False, 1),
    ]
    assert found[1].panels[0].title == "About"  # it has no place, and is at the top
    assert "Requests of a + b over 5m" in [each.title for each in found[1].panels]
    assert [(each.title, each.scoped) for each in found[4].panels] == [("Only b", {"job": Value(["b"])})]


@pytest.mark.parametrize("wrong", [None, [], "x", {"x": -5, "y": 1e300, "w": 1e9, "h": "tall"}, {"w": True}])
def test_a_wrong_place_is_one_within_the_grid(wrong):
    ((_, (x, y, w, h)),) = places({"panels": [panel("stat", "") | {"gridPos": wrong}]})
    assert 0 <= x < x + w <= 24 and y == 0 and 1 <= h <= 60


# Variables


def test_variables_are_written_as_their_formats_say():
    values = {"v": Value(["a.b", "c"], several=True), "one": Value(["a.b"])}
    written = {
        "$v ${v} $other $1 ${v:other}": r"(a\\.b|c) (a\\.b|c) $other $1 ${v:other}",
        "${v:raw} ${v:csv} ${v:pipe}": "a.b,c a.b,c a.b|c",
        "${v:regex} ${v:text}": r"(a\.b|c) a.b + c",
        "$one ${one:regex}": r"a.b a\.b",
    }
    assert {text: fill(text, values, "promql") for text in written} == written


def test_a_text_without_end_is_refused_and_so_is_one_that_becomes_so():
    for text in ("x" * (LONGEST_TEXT + 1), "$v" * 100):
        with pytest.raises(ValueError, match=r"^A text of the dashboard is too long with its variables"):
            fill(text, {"v": Value(["long" * 100] * 100)})


def test_what_is_chosen_is_what_the_address_says_or_the_file_or_the_first():
    query = variable("v", "query", {"query": "label_values(x)"}, current={"value": "b"})
    assert chosen_of(query, answers=["a", "b"])["v"].chosen == ["b"]
    assert chosen_of(query, answers=["a", "c"])["v"].chosen == ["a"]
    assert chosen_of(query, answers=["a"], address={"var-v": ["z", "y"]})["v"].chosen == ["z"]
    custom = variable("v", "custom", r"one : 1, two\, too : 2,3", multi=True)
    found = chosen_of(custom, address={"var-v": ["1", "3"]})["v"]
    assert found.options == {"1": "one", "2": "two, too", "3": "3"}
    assert found.value == Value(["1", "3"], several=True)
    constant = variable("v", "constant", "c")
    assert chosen_of(constant, address={"var-v": ["z"]})["v"].value == Value(["c"])


def test_all_is_every_value_or_the_text_that_stands_for_it():
    options = {"includeAll": True, "multi": True, "current": {"value": [ALL]}}
    found = chosen_of(variable("v", "query", "label_values(x)", **options), answers=["a", "b"])
    assert found["v"].value == Value(["a", "b"], several=True)
    found = chosen_of(variable("v", "custom", "a,b", allValue=".*", **options))
    assert fill("{$v}", {"v": found["v"].value}, "promql") == "{.*}"


def test_the_values_of_a_label_are_asked_for_as_grafana_does():
    asked = []

    def ask(kind: str, **parameters: object) -> list[str]:
        asked.append((kind, parameters))
        return ["x1", "y"]

    for query in ('label_values(up{job=~"a,b"}, job)', "label_values(job)"):
        (found,) = variables({"templating": {"list": [variable("v", "query", query)]}}, lambda name: [], ask)
        assert [*found.options] == ["x1", "y"]
    match = {"match[]": 'up{job=~"a,b"}'}
    assert asked == [("label/job/values", match), ("label/job/values", {"match[]": []})]


def test_a_value_that_cannot_be_asked_for_is_written_by_a_person():
    for kind, query in (("query", "query_result(up)"), ("adhoc", "")):
        document = variable("v", kind, query, current={"value": "a"})
        for address, value in (({}, "a"), ({"var-v": ["b"]}, "b")):
            found = chosen_of(document, address=address)["v"]
            assert (found.options, found.about, found.value) == ({}, TO_BE_WRITTEN, Value([value]))


@pytest.mark.parametrize(
    ("sort", "expected"),
    [
        (0, ["b10", "B9", "a"]),
        (1, ["a", "b10", "B9"]),
        (2, ["B9", "b10", "a"]),
        (3, ["a", "B9", "b10"]),
        (4, ["b10", "B9", "a"]),
    ],
)
def test_values_are_in_grafanas_order(sort, expected):
    found = chosen_of(variable("v", "query", "label_values(x)", sort=sort), answers=["b10", "B9", "a"])
    assert list(found["v"].options) == expected


def test_a_regular_expression_picks_values():
    answers = ["cpu-1 (left)", "cpu-2 (right)", "disk"]
    picked = variable("v", "query", "label_values(x)", regex="/cpu-(\\d)/")
    assert chosen_of(picked, answers=answers)["v"].options == {"1": "1", "2": "2"}
    with pytest.raises(ValueError, match=r"^The regular expression '\(' cannot be used\.$"):
        chosen_of(variable("v", "query", "label_values(x)", regex="("), answers=answers)


def test_no_more_values_are_offered_than_a_person_can_choose_from():
    found = chosen_of(variable("v", "query", "label_values(x)"), answers=[str(n) for n in range(100_000)])
    assert len(found["v"].options) == MOST_VALUES


# Time


def test_a_time_is_read_as_grafana_writes_it():
    now = time.time()
    assert time_span("now-30m", "now") == pytest.approx((now - 1800, now), abs=5)
    assert time_span("now-7d", "now-1d") == pytest.approx((now - 7 * 86400, now - 86400), abs=5)
    assert time_span("1800000000000", "1800000060000") == (1_800_000_000, 1_800_000_060)
    assert time_span("2027-01-15T08:00:00Z", "2027-01-15T08:01:00Z") == (1_800_000_000, 1_800_000_060)


@pytest.mark.parametrize("begin", ["yesterday", "now+1h", "now-", "now/d", "1" * 40, "", "now-1x"])
def test_a_time_that_cannot_be_shown_is_one_line(begin):
    with pytest.raises(ValueError, match=r"time") as refusal:
        time_span(begin, "now")
    assert "\n" not in str(refusal.value)


def test_the_step_and_grafanas_own_variables_follow_from_the_time_that_is_shown():
    assert (HALF_HOUR.step(), HALF_HOUR.step("1m", ""), HALF_HOUR.step(">30s")) == (15, 60, 30)
    assert Span(0, 7 * 86400).step() == 1800
    values = HALF_HOUR.values(15)
    text = "$__interval $__rate_interval $__range ${__range_s}"
    assert fill(text, values, "promql") == "15s 60s 1800s 1800"
    assert fill("$__rate_interval", HALF_HOUR.values(300)) == "315s"


def test_a_panel_knows_its_number_in_the_file():
    found = [each for section in sections(SERVICE, {}) for each in section.panels]
    assert all(isinstance(each, Panel) for each in found)
    assert {each.title: each.number for each in found}["By code"] == 9
