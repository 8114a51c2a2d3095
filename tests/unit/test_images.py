"""The README's pictures: they are there, and what draws them draws what it is given."""

import itertools
import math
import re
import struct
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text

from demo import dashboard
from global_config import PREPROCESSED_DATASET_NAME, RAW_DATASET_NAME
from images import alert, diagram, make_images
from images.dashboard import WHAT_IT_IS, draw_dashboard
from images.page_pictures import PAGES
from images.panels import Series, draw_bargauge
from images.style import BLUE, ORANGE, PIXELS_AN_INCH, RED, SCALE, WIDTH, Card
from images.traffic import Traffic
from local_stack.prometheus import INTERVAL_SECONDS
from tests.support.checkouts import REPOSITORY

SMALLEST_LETTERS = 11  # CSS pixels
LARGEST_FILE = 200_000  # bytes
MINUTE = 60

START, END = 1_800_000_000, 1_800_000_000 + 30 * MINUTE
DEPLOYED = START + 10 * MINUTE


@pytest.fixture(scope="module")
def drawn_dashboard(traffic: Traffic) -> Card:
    return draw_dashboard(traffic)


def steady(value: float, start: float = START, end: float = END) -> list[tuple[float, float]]:
    return [(time, value) for time in range(start, end + 1, INTERVAL_SECONDS)]


@pytest.fixture(scope="module")
def traffic() -> Traffic:
    """Half an hour whose answers are made up: each is 2, a deployment is marked, and no alarm."""
    about = {"endpoint": "asteroid", "variable": "y", "window": "2h"}
    series = {expression: [[about, steady(2.0)]] for _, expression in dashboard.expressions()}
    for title, expression in dashboard.expressions():
        if title.startswith("Tenths of "):
            series[expression] = [[{"le": le, "number": le}, steady(0.1)] for le in ("1", "2")]
    answers = {"Deployments": [[{}, steady(1.0, DEPLOYED, DEPLOYED + 5 * MINUTE)]], "Alarms raised": []}
    series |= {
        expression: answers[title] for title, expression in dashboard.expressions() if title in answers
    }
    return Traffic(START, END, series)


@pytest.fixture(scope="module")
def drawn_alerts() -> Card:
    """Three hours, in whose second one values begin to grow: one alarm tells it, and one never."""
    hours = np.arange(-1, 2, 0.125)
    told = alert.Told("MinorDrift", "notice", hours >= 0.5)
    silent = alert.Told("MajorDrift", "urgent", hours > 2)
    factor = 1 + np.maximum(hours, 0) / 4
    return alert.draw_alerts(hours, factor, "MOID", [alert.Run(5, [told, silent])])


# The files.


PHOTOGRAPHED = {"pages": [f"pages_{name}" for name, _ in PAGES]}
FILES = [file for name in (*make_images.PICTURES, "alert") for file in PHOTOGRAPHED.get(name, [name])]


@pytest.mark.parametrize("picture", FILES)
def test_each_picture_is_as_wide_as_two_pixels_for_one_of_the_readme(picture):
    content = (REPOSITORY / "images" / f"{picture}.png").read_bytes()
    assert content[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", content[16:24])
    assert width == WIDTH * SCALE
    assert width / 3 < height < width * 2
    assert len(content) < LARGEST_FILE


def test_an_unknown_picture_is_refused_before_anything_is_run(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["make_images.py", "diagram", "dashbord"])
    with pytest.raises(SystemExit) as ended:
        make_images.main()
    assert ended.value.code == 2
    assert "no such picture: dashbord; there are diagram, pipeline" in capsys.readouterr().err


def test_a_gauge_leaves_out_a_series_that_has_no_value():
    series = [Series("silent", np.array([np.nan])), Series("heard", np.array([np.nan, 2.0]))]
    axes = Figure().subplots()
    draw_bargauge(axes, {"fieldConfig": {"defaults": {}}}, np.array([]), series)
    assert [label.get_text() for label in axes.get_yticklabels()] == ["heard"]


# The diagram.


def test_the_diagram_names_every_script_and_dataset_and_no_file_that_is_not_there():
    names = {"".join(box.name) for box in diagram.BOXES}
    assert {RAW_DATASET_NAME, PREPROCESSED_DATASET_NAME, "select_best_model"} <= names
    words = "\n".join(" ".join([*box.name, *box.text]) for box in diagram.BOXES)
    scripts = {file.name for file in REPOSITORY.glob("*.py") if '__name__ == "__main__"' in file.read_text()}
    named = set(re.findall(r"\b\w+\.(?:py|ipynb|csv|json|yml)\b", words))
    assert {"get_data.py", "pipeline.py"} <= scripts <= named
    places = [REPOSITORY, *(REPOSITORY / room for room in ("asteroids", "data", "deploy"))]
    assert [name for name in named if not any((place / name).exists() for place in places)] == []


def test_no_arrow_crosses_a_box():
    for arrow in diagram.arrows():
        for (x, y), (to_x, to_y) in itertools.pairwise(arrow.points):
            for box in diagram.BOXES:
                beside = max(x, to_x) <= box.x or min(x, to_x) >= box.x + box.width
                above_or_below = max(y, to_y) <= box.y or min(y, to_y) >= box.y + box.height
                assert beside or above_or_below, (arrow, box.name)


# The dashboard.


def texts(card: Card) -> list[str]:
    return [text.get_text() for text in card.figure.findobj(Text)]


def axes_of(card: Card, title: str) -> Axes:
    (axes,) = (each for each in card.figure.axes if each.get_label() == title)
    return axes


def test_every_panel_of_the_dashboard_is_drawn_under_its_title(drawn_dashboard):
    titles = [axes.get_label() for axes in drawn_dashboard.figure.axes if axes.get_label() != "<colorbar>"]
    assert titles == [panel["title"] for panel in dashboard.panels()]
    assert {*titles, WHAT_IT_IS} <= set(texts(drawn_dashboard))


def test_all_that_is_written_is_on_its_card_and_large_enough(drawn_dashboard, drawn_alerts):
    for card in (drawn_dashboard, drawn_alerts):
        card.figure.draw_without_rendering()
        width, height = card.figure.bbox.size
        for text in card.figure.findobj(Text):
            if text.get_visible() and text.get_text():
                assert text.get_fontsize() * PIXELS_AN_INCH / 72 >= SMALLEST_LETTERS, text
                box = text.get_window_extent()
                assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= width and box.y1 <= height, text


def test_a_line_has_the_values_that_prometheus_gave(traffic):
    expression = next(each for title, each in dashboard.expressions() if title == "Requests answered")
    answer = [[{"endpoint": "asteroid_7"}, [(START + 60, 4.0), (START + 65, 5.0)]]]
    changed = replace(traffic, series={**traffic.series, expression: answer})
    line, _ = axes_of(draw_dashboard(changed), "Requests answered").get_lines()  # the other is a mark
    assert line.get_label() == "asteroid_7"
    drawn = {time: value for time, value in line.get_xydata().tolist() if not math.isnan(value)}
    assert drawn == {START + 60: 4.0, START + 65: 5.0}


def test_a_heatmap_has_a_row_for_each_bucket_in_the_order_of_the_answers(drawn_dashboard):
    axes = axes_of(drawn_dashboard, "Tenths of Absolute_Magnitude")
    rows = [label.get_text() for label in axes.get_yticklabels()]
    assert rows == [
        *["below all of it"] * 2,
        "tenth 1",
        "tenth 2",
        *["tenth 10"] * 2,
        *["above all of it"] * 2,
    ]
    assert axes.collections[0].get_array().shape[0] == len(rows)


def test_thresholds_states_and_units_are_shown_as_the_dashboard_asks(drawn_dashboard):
    lines = axes_of(drawn_dashboard, "How far: population stability index (PSI)").get_lines()
    assert [line.get_ydata()[0] for line in lines if line.get_color() in (ORANGE, RED)] == [0.004, 0.04]
    assert [text.get_text() for text in axes_of(drawn_dashboard, "Alarms").texts] == ["notice"] * 9
    about = [text.get_text() for text in axes_of(drawn_dashboard, "Model that answers").texts]
    assert about == ["model", "2", "version", "2", "rows trained on", "2"]
    (label,) = axes_of(drawn_dashboard, "Positive answers by version").texts
    assert label.get_text() == "200.0 %"


def test_a_model_is_written_as_the_first_digits_of_its_id(traffic):
    expression = next(each for title, each in dashboard.expressions() if title == "Which model answered when")
    answer = [[{"endpoint": "asteroid"}, steady(float(0x606E85CF))]]
    changed = replace(traffic, series={**traffic.series, expression: answer})
    axes = axes_of(draw_dashboard(changed), "Which model answered when")
    assert [text.get_text() for text in axes.texts] == ["606E85CF", "2"]


def test_a_deployment_is_marked_where_it_begins(drawn_dashboard):
    lines = axes_of(drawn_dashboard, "Requests answered").get_lines()
    assert [line.get_xdata()[0] for line in lines if line.get_color() == BLUE] == [DEPLOYED]


# The alarms.


def test_an_alarm_is_told_by_its_bar_and_by_how_large_the_drift_was(drawn_alerts):
    assert {"5 requests a second", "× 1.12, 0 h 30 min", "never"} <= set(texts(drawn_alerts))
    bars = [bar for axes in drawn_alerts.figure.axes for bar in axes.patches]
    assert [(bar.get_x(), bar.get_width()) for bar in bars] == [(0.5, 1.5)]


def test_measurements_can_be_kept(traffic, tmp_path):
    traffic.save(tmp_path / "traffic.json")
    again = Traffic.load(tmp_path / "traffic.json")
    again.save(tmp_path / "again.json")
    assert (tmp_path / "again.json").read_text() == (tmp_path / "traffic.json").read_text()
    assert again.start == START
