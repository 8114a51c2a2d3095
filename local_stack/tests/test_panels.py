"""Panels of a dashboard as figures: what is drawn of given answers, with units, colours and thresholds."""

import json
import math
import time
from types import SimpleNamespace

import pytest
from starlette.datastructures import QueryParams

from local_stack.prometheus import UNKNOWN
from local_stack.server.documents import Document
from local_stack.server.monitoring_file import Monitoring
from local_stack.server.pages import panels
from local_stack.server.pages.charts import MOST_ROWS
from local_stack.server.pages.grafana_variables import LONGEST_TEXT
from local_stack.server.pages.units import colour, faded, scale_of, shown, threshold_steps, written
from local_stack.tests.dashboards import STEPS, field, panel

START, STEP = 1_800_000_000, 15
PATH = {"from": f"{START}000", "to": f"{START + 60}000"}  # five points
GREEN, RED, BLUE = colour("green"), colour("red"), colour("blue")


@pytest.fixture
def drawn(tmp_path, monkeypatch):
    """Draw a panel of a dashboard with the given answers: labels and values of series, by expression."""

    def draw(shown: Document, answers: dict[str, list], known: str = "", **dashboard: object) -> Document:
        def ask(url: str, kind: str, query: str = "", **_: object) -> Document:
            if kind == "rules":
                return {"groups": answers["rules"]}
            if isinstance(answers[query], Exception):
                raise answers[query]
            found = [{"metric": labels, "values": points(values)} for labels, values in answers[query]]
            if kind == "query":
                found = [{"metric": labels, "value": [START, str(v[-1])]} for labels, v in answers[query]]
            return {"resultType": "vector", "result": found}

        file = tmp_path / "board.json"
        file.write_text(
            json.dumps({"panels": [{**shown, "interval": "15s"}], "timezone": "utc", **dashboard})
        )
        monkeypatch.setattr(panels, "ask", ask)
        request = {"number": "0", "query": QueryParams(PATH), "known": known}
        monitoring = Monitoring(prometheus="http://x", dashboard=str(file))
        return panels.draw_panel(monitoring, request, panels.asking(monitoring))

    return draw


def points(values: list[float | None]) -> list[list]:
    return [[START + n * STEP, str(value)] for n, value in enumerate(values) if value is not None]


def traces(found: Document) -> list[Document]:
    assert "figure" in found, found
    return found["figure"]["data"]


# Values


@pytest.mark.parametrize(
    ("unit", "value", "text"),
    [
        ("", 1234567.0, "1,234,567"),
        ("short", 1234567.0, "1.235 Mil"),
        ("percentunit", 0.1234, "12.34%"),
        ("percent", 12.0, "12%"),
        ("bytes", 1536.0, "1.5 KiB"),
        ("decbytes", 1500.0, "1.5 kB"),
        ("Bps", 2e9, "2 GB/s"),
        ("bps", 2e6, "2 Mb/s"),
        ("s", 0.0025, "2.5 ms"),
        ("s", 7200.0, "2 h"),
        ("ms", 1500.0, "1.5 s"),
        ("reqps", 0.5, "0.5 req/s"),
        ("hex", 3735928559.0, "DEADBEEF"),
        ("suffix:apples", 3.0, "3 apples"),
        ("parsecs", 3.0, "3 parsecs"),
        ("s", 0.0, "0 s"),
        ("short", -2500.0, "-2.5 K"),
    ],
)
def test_a_value_is_written_with_its_unit(unit, value, text):
    assert written(value, {"unit": unit}) == text


def test_decimals_are_those_that_are_asked_for():
    assert written(0.12345, {"unit": "percentunit", "decimals": 1}) == "12.3%"
    assert written(5.0, {"decimals": 2}) == "5.00"
    assert len(written(1 / 3, {"decimals": 10**9})) < 20


def test_all_values_of_an_axis_have_the_unit_of_the_largest():
    assert scale_of("bytes", 3 * 2**30) == (2**30, " GiB")
    assert scale_of("percentunit", 0.01) == (0.01, "%")
    assert scale_of("ms", 1500) == (pytest.approx(1000), " s")


def test_colours_are_grafanas_names_or_written_out_and_nothing_else():
    assert colour("text") == "var(--text)"
    assert colour("#aBc") == "#aBc" and colour("rgb(1, 2, 3)") == "rgb(1, 2, 3)"
    shades = [colour(f"{shade}blue") for shade in ("dark-", "semi-dark-", "", "light-", "super-light-")]
    assert len({*shades, BLUE}) == 5 and sorted(shades) == shades
    for wrong in ("url(x)", "red;x", None, 7, {}, "dark-mauve"):
        assert colour(wrong, "gray") == "gray"
    assert faded("#010203", 0.5) == "rgba(1,2,3,0.5)"


def test_mappings_give_a_text_and_a_colour():
    mapping = {"type": "value", "options": {"1": {"text": "on", "color": "green"}, "2.5": {"text": "half"}}}
    settings = {"mappings": [None, mapping]}
    found = [shown(value, settings, BLUE) for value in (1.0, 2.5, 3.0)]
    assert found == [("on", GREEN), ("half", BLUE), ("3", BLUE)]


def test_thresholds_colour_what_is_above_them_also_in_percent_of_a_range():
    settings = {"thresholds": {"mode": "absolute", "steps": STEPS}}
    assert threshold_steps(settings) == [(-math.inf, GREEN), (80, RED)]
    assert [shown(value, settings, BLUE)[1] for value in (79.0, 80.0)] == [GREEN, RED]
    settings["thresholds"]["mode"] = "percentage"
    assert threshold_steps({**settings, "min": 10, "max": 20})[1] == (18, RED)


# Panels


def test_a_time_series_has_the_values_of_prometheus_at_its_times_and_gaps_between(drawn):
    answers = {"a": [({"code": "200"}, [1, None, "NaN", 4, 5])]}
    shown_panel = panel("timeseries", "", "a", fieldConfig=field(unit="percentunit", min=0))
    shown_panel["targets"][0]["legendFormat"] = "code {{ code }} <b>"
    found = drawn(shown_panel, answers)
    (line,) = traces(found)
    assert line["y"] == [100, None, None, 400, 500]
    assert line["x"][0] == "2027-01-15 08:00:00.000" and len(line["x"]) == 5
    assert line["name"] == "code 200 &lt;b>"
    axis = found["figure"]["layout"]["yaxis"]
    assert (axis["ticksuffix"], axis["range"]) == ("%", [0, 520])


def test_no_legend_stalls_the_server(drawn):
    shown_panel = panel("timeseries", "", "a")
    shown_panel["targets"][0]["legendFormat"] = "{" * 90_000
    begun = time.thread_time()
    found = drawn(shown_panel, {"a": [({"n": str(n)}, [1]) for n in range(100)]})
    assert time.thread_time() - begun < 1
    assert traces(found)[0]["name"] == "{" * 100 + "…"


def test_all_questions_of_a_panel_have_one_time_limit(monkeypatch):
    given: list[float] = []
    monkeypatch.setattr(panels, "ask", lambda *_, timeout, **__: given.append(timeout))
    monkeypatch.setattr(panels, "time", SimpleNamespace(monotonic=iter([0, 1, 7, 11]).__next__))
    ask = panels.asking(Monitoring(prometheus="http://x"), 10)
    ask("query")
    ask("query")
    with pytest.raises(TimeoutError):
        ask("query")
    assert given == [9, 3]


def test_a_drawing_that_is_known_is_not_sent_again(drawn):
    shown_panel, answers = panel("timeseries", "", "a"), {"a": [({}, [1, 2])]}
    version = drawn(shown_panel, answers)["version"]
    assert drawn(shown_panel, answers, known=version) == {"version": version}
    assert "figure" in drawn(shown_panel, {"a": [({}, [1, 3])]}, known=version)


def test_lines_of_a_second_unit_are_left_out_and_the_panel_says_so(drawn):
    rule = {"matcher": {"id": "byRegexp", "options": "/^b/"}, "properties": [{"id": "unit", "value": "s"}]}
    shown_panel = panel("timeseries", "", "a", "b", fieldConfig=field([rule], unit="bytes"))
    found = drawn(shown_panel, {"a": [({}, [2048])], "b": [({}, [3])]})
    assert [each["y"][0] for each in traces(found)] == [2.0]
    layout = found["figure"]["layout"]
    assert layout["yaxis"]["ticksuffix"] == " KiB"
    assert layout["annotations"][0]["text"] == "1 of 2 series are shown: the others have another unit"


def test_stacks_fills_and_lines_are_as_the_panel_and_its_overrides_say(drawn):
    def rule(name: str, **properties: object) -> Document:
        matcher = {"id": "byName", "options": name}
        listed = [{"id": key.replace("_", "."), "value": value} for key, value in properties.items()]
        return {"matcher": matcher, "properties": listed}

    rules = [
        rule("high", custom_fillBelowTo="low", custom_fillOpacity=10),
        rule("low", color={"mode": "fixed", "fixedColor": "text"}, custom_lineStyle={"fill": "dash"}),
    ]
    shown_panel = panel("timeseries", "", "high", "low", fieldConfig=field(rules, custom={"lineWidth": 1}))
    for target in shown_panel["targets"]:
        target["legendFormat"] = target["expr"]
    low, high = traces(drawn(shown_panel, {"high": [({}, [2, 2])], "low": [({}, [1, 1])]}))
    assert (low["name"], low["fill"]) == ("low", "none")
    assert (low["line"]["dash"], low["line"]["color"]) == ("dash", "var(--text)")
    assert (high["name"], high["fill"]) == ("high", "tonexty")

    custom = {"stacking": {"mode": "normal", "group": "A"}, "fillOpacity": 50}
    shown_panel = panel("timeseries", "", "a", fieldConfig=field(custom={**custom, "axisSoftMax": 9}))
    found = drawn(shown_panel, {"a": [({"n": "1"}, [2, 2]), ({"n": "2"}, [3, 3])]})
    assert [each["stackgroup"] for each in traces(found)] == ["A", "A"]
    assert found["figure"]["layout"]["yaxis"]["range"] == [0, 9]


def test_thresholds_and_annotations_are_drawn_and_a_log_axis_has_its_ends(drawn):
    custom = {"thresholdsStyle": {"mode": "dashed"}, "scaleDistribution": {"type": "log", "log": 10}}
    thresholds = {"mode": "absolute", "steps": STEPS}
    shown_panel = panel(
        "timeseries", "", "a", fieldConfig=field(min=0.01, thresholds=thresholds, custom=custom)
    )
    mark = {"name": "Starts", "expr": "m", "iconColor": "red", "titleFormat": "{{who}}"}
    answers = {"a": [({}, [1, 200])], "m": [({"who": "me"}, [None, 1, 1, None, 1])]}
    found = drawn(shown_panel, answers, annotations={"list": [mark]})
    layout = found["figure"]["layout"]
    assert [(each["y0"], each["line"]["color"]) for each in layout["shapes"]] == [(80, RED)]
    assert layout["yaxis"]["type"] == "log"
    assert layout["yaxis"]["range"] == [-2, pytest.approx(2.301, abs=0.001)]
    marks = traces(found)[-1]
    assert (marks["name"], marks["line"]["color"]) == ("Starts", RED)
    assert marks["hovertemplate"][0] == "me<extra></extra>"
    assert marks["x"] == ["2027-01-15 08:00:15.000"] * 3 + ["2027-01-15 08:01:00.000"] * 3


def test_marks_that_are_too_many_are_cut_and_their_name_says_so(drawn):
    answers = {"a": [({}, [1, 1])], "m": [({"n": str(n)}, [None, 1]) for n in range(50)]}
    marks = {"list": [{"name": "Starts", "expr": "m"}]}
    (_, found) = traces(drawn(panel("timeseries", "", "a"), answers, annotations=marks))
    assert (found["name"], len(found["x"])) == ("Starts (20 of 50)", 3 * 20)


def test_changes_that_are_too_many_to_draw_are_told(drawn, monkeypatch):
    monkeypatch.setattr("local_stack.server.pages.time_panels.MOST_STRETCHES", 2)
    found = drawn(panel("state-timeline", "", "a"), {"a": [({}, [1, 2, 1])]})
    assert found["problem"] == "There are more than 2 changes here: choose a shorter time."


def test_a_heatmap_has_rows_from_below_without_what_is_filtered(drawn):
    rows = [({"le": le}, [value, value]) for le, value in (("1", 7), ("2", 9), ("+Inf", 10))]
    options = {"color": {"scheme": "Blues", "exponent": 0.5}, "filterValues": {"le": 7}}
    shown_panel = panel("heatmap", "", "b", options=options)
    shown_panel["targets"][0]["legendFormat"] = "{{le}}"
    (trace,) = traces(drawn(shown_panel, {"b": rows}))
    assert [row[0] for row in trace["z"]] == [None, 9, 10]
    assert [row[0] for row in trace["text"]] == ["1", "2", "+Inf"]
    assert trace["colorscale"][20] == [1.0, faded(BLUE, 1)]


def test_a_state_timeline_has_a_bar_for_each_stretch(drawn):
    mapping = {"type": "value", "options": {"1": {"text": "well", "color": "green"}}}
    shown_panel = panel("state-timeline", "", "a", fieldConfig=field(mappings=[mapping]))
    found = drawn(shown_panel, {"a": [({"n": "1"}, [1, 1, None, 2, 1])]})
    (bars,) = traces(found)
    assert bars["text"] == ["well", "2", "well"]
    assert [*bars["x"]] == [30_000, 15_000, 15_000]
    assert [base[-12:-4] for base in bars["base"]] == ["08:00:00", "08:00:45", "08:01:00"]
    assert bars["marker"]["color"][0] == faded(GREEN, 0.7)
    assert found["figure"]["layout"]["yaxis"]["ticktext"] == ['{n="1"}']


def test_single_values_are_reduced_and_shown_large_on_dials_and_bars(drawn):
    about = {"options": {"reduceOptions": {"calcs": ["mean"]}, "textMode": "value_and_name"}}
    answers = {"a": [({"n": "1"}, [1, 3]), ({"n": "2"}, [None, 90])]}
    config = field(unit="s", thresholds={"mode": "absolute", "steps": STEPS}, max=100)
    shown_panel = {
        kind: panel(kind, "", "a", fieldConfig=config, **about) for kind in ("stat", "gauge", "bargauge")
    }
    found = drawn(shown_panel["stat"], answers)
    texts = [(each["text"], each["font"]["color"]) for each in found["figure"]["layout"]["annotations"]]
    assert texts[0::2] == [("2 s", GREEN), ("1.5 min", RED)]
    assert texts[1::2] == [('{n="1"}', "var(--text)"), ('{n="2"}', "var(--text)")]
    dials = traces(drawn(shown_panel["gauge"], answers))
    assert [each["value"] for each in dials] == [pytest.approx(2 / 60), 1.5]
    assert [step["color"] for step in dials[0]["gauge"]["steps"]] == [faded(GREEN, 0.25), faded(RED, 0.25)]
    behind, bars = traces(drawn(shown_panel["bargauge"], answers))
    assert (behind["text"], behind["x"], bars["x"]) == (["2 s", "1.5 min"], [100, 100], [2, 90])


def test_a_table_has_a_row_for_each_set_of_labels_and_says_what_it_leaves_out(drawn):
    shown_panel = panel("table", "", "a", "b")
    for target in shown_panel["targets"]:
        target["instant"] = True
    answers = {
        "a": [({"m": "x", "n": "1"}, [7])],
        "b": [({"m": "x", "n": "1"}, [8]), ({"m": "y", "n": "2"}, [9])],
    }
    (made,) = drawn(shown_panel, answers)["tables"]
    assert made["columns"] == ["m", "n", "Value #A", "Value #B"]
    assert made["rows"] == [["x", "1", "7", "8"], ["y", "2", "", "9"]]
    many = [({"m": str(n)}, [n]) for n in range(MOST_ROWS + 5)]
    (made,) = drawn(panel("table", "", "a"), {"a": many})["tables"]
    assert (len(made["rows"]), made["left_out"]) == (MOST_ROWS, 5)


def test_alerts_are_listed_by_name_and_what_fires_is_first(drawn):
    def alert(state: str, since: str) -> Document:
        labels, about = {"alertname": "A", "x": "y"}, {"summary": f"since {since}"}
        found = {"state": state, "activeAt": f"2027-01-0{since}T08:00:00.1Z"}
        return {**found, "labels": labels, "annotations": about}

    rules = [{"name": "A", "alerts": [alert("pending", "1"), alert("firing", "3"), alert("firing", "2")]}]
    (made,) = drawn(panel("alertlist", ""), {"rules": [{"rules": rules}]})["tables"]
    assert [row[3] for row in made["rows"]] == ["since 2", "since 3", "since 1"]
    none = panel("alertlist", "", options={"alertName": "other"})
    assert drawn(none, {"rules": [{"rules": rules}]})["problem"] == "No alert is on."


LONG = "A text of the dashboard is too long with its variables filled in."
BUCKETS = "A heatmap whose buckets Grafana calculates cannot be drawn here."
LARGE = "There are numbers here that are too large to draw."
JSON = "Out of range float values are not JSON compliant"
REFUSED = "Prometheus refuses 'a': no"
STACKED = "Lines that are stacked by “percent” cannot be drawn here."
REDUCED = "The “p99” of values cannot be calculated here."
TRANSFORMED = "A panel with transformations cannot be drawn here."
MANY = "An expression has 2001 series, and more than 2000 are not read."
PERCENT = {"stacking": {"mode": "percent"}}

bucketed = panel("heatmap", "", "a")
bucketed["targets"][0]["format"] = "heatmap"


@pytest.mark.parametrize(
    ("shown_panel", "answers", "problem"),
    [
        (panel("geomap", "", "a"), {}, "A panel of the type “geomap” cannot be drawn here."),
        (panel("timeseries", "", "a"), {"a": []}, "No data"),
        (panel("stat", "", "a"), {"a": ValueError(REFUSED)}, REFUSED),
        (panel("stat", "", "a"), {"a": ConnectionRefusedError()}, panels.AWAY),
        (panel("stat", "", " "), {}, "Query A of this panel asks something else than Prometheus."),
        (panel("stat", "", "a" * (LONGEST_TEXT + 1)), {}, LONG),
        (panel("heatmap", "", "a", options={"calculate": True}), {"a": [({}, [1])]}, BUCKETS),
        (bucketed, {"a": [({}, [1])]}, BUCKETS),
        (panel("timeseries", "", "a", fieldConfig=field(custom=PERCENT)), {"a": [({}, [1])]}, STACKED),
        (panel("stat", "", "a", options={"reduceOptions": {"calcs": ["p99"]}}), {"a": [({}, [1])]}, REDUCED),
        (panel("table", "", "a", transformations=[{"id": "organize"}]), {}, TRANSFORMED),
        (panel("heatmap", "", "a", options={"color": {"exponent": -1e308}}), {"a": [({}, [1])]}, LARGE),
        (panel("timeseries", "", "a"), {"a": [({}, [1.7e308, -1.7e308])]}, JSON),
        (panel("stat", "", "a"), {"a": [(None, [1])]}, UNKNOWN),
        (panel("stat", "", "a"), {"a": [({}, [1])] * 2001}, MANY),
        ({}, {}, "A panel of the type “” cannot be drawn here."),
    ],
)
def test_what_cannot_be_drawn_says_so(drawn, shown_panel, answers, problem):
    assert drawn(shown_panel, answers)["problem"] == problem


def test_a_panel_with_too_many_series_says_how_many_it_shows(drawn):
    many = [({"n": str(n)}, [1, 2]) for n in range(panels.MOST_SERIES + 50)]
    found = drawn(panel("timeseries", "", "a"), {"a": many})
    assert len(traces(found)) == panels.MOST_SERIES
    assert found["figure"]["layout"]["annotations"][0]["text"] == "100 of 150 series are shown"


WRONG: list = [None, True, -1, 1e308, 10**400, "x", [], [[]], [None, {"value": []}], {}, {"mode": []}]
WRONG += [{"0": {"0": 1}}]
DEFAULTS = "unit decimals min max color thresholds mappings custom displayName"
CUSTOM = "lineWidth fillOpacity stacking scaleDistribution thresholdsStyle lineStyle"
OPTIONS = "reduceOptions orientation legend color cellValues filterValues textMode tooltip"
OTHERS = "targets fieldConfig options gridPos transformations interval title type"
KINDS = [*panels.DRAW, "alertlist", "text"]


@pytest.mark.parametrize("kind", KINDS)
def test_no_wrong_type_in_a_panel_breaks_it(drawn, kind):
    answers = {"a": [({"le": "1"}, [1, 2]), ({"le": "2"}, [3, None])], "rules": []}
    for wrong in WRONG[KINDS.index(kind) % 3 :: 3]:
        parts = [{"fieldConfig": field(**{name: wrong})} for name in DEFAULTS.split()]
        parts += [{"fieldConfig": field(custom={name: wrong})} for name in CUSTOM.split()]
        parts += [{"fieldConfig": {"defaults": {}, "overrides": wrong}}]
        parts += [{"options": {name: wrong}} for name in OPTIONS.split()]
        parts += [{name: wrong} for name in OTHERS.split()]
        names = ("refId", "legendFormat", "hide", "instant")
        parts += [{"targets": [{"expr": "a", name: wrong}]} for name in names]
        for part in parts:
            found = drawn(panel(kind, "", "a") | part, answers, annotations={"list": wrong})
            json.dumps({**found, "version": ""}, allow_nan=False)
            assert found.keys() & {"figure", "tables", "problem", "text"}, part
            assert found.get("problem") != UNKNOWN, part  # the answers are as they should be
