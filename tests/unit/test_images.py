"""The README's pictures: they are there, and what draws them draws what it is given."""

import itertools
import re
import struct

import numpy as np
import pytest
from matplotlib.text import Text

from global_config import PREPROCESSED_DATASET_NAME, RAW_DATASET_NAME
from images import alert, diagram, make_images
from images.page_pictures import PAGES
from images.style import PIXELS_AN_INCH, SCALE, WIDTH, Card
from tests.support.checkouts import REPOSITORY

SMALLEST_LETTERS = 11  # CSS pixels
LARGEST_FILE = 250_000  # bytes


@pytest.fixture(scope="module")
def drawn_alerts() -> Card:
    """Three hours, in whose second one values begin to grow: one alarm tells it, and one never."""
    hours = np.arange(-1, 2, 0.125)
    told = alert.Told("MinorDrift", "notice", hours >= 0.5)
    silent = alert.Told("MajorDrift", "urgent", hours > 2)
    factor = 1 + np.maximum(hours, 0) / 4
    return alert.draw_alerts(hours, factor, "MOID", [alert.Run(5, [told, silent])])


# The files.


PHOTOGRAPHED = {"pages": [f"pages_{name}" for name in PAGES]}
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


# The alarms.


def texts(card: Card) -> list[str]:
    return [text.get_text() for text in card.figure.findobj(Text)]


def test_all_that_is_written_is_on_its_card_and_large_enough(drawn_alerts):
    drawn_alerts.figure.draw_without_rendering()
    width, height = drawn_alerts.figure.bbox.size
    for text in drawn_alerts.figure.findobj(Text):
        if text.get_visible() and text.get_text():
            assert text.get_fontsize() * PIXELS_AN_INCH / 72 >= SMALLEST_LETTERS, text
            box = text.get_window_extent()
            assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= width and box.y1 <= height, text


def test_an_alarm_is_told_by_its_bar_and_by_how_large_the_drift_was(drawn_alerts):
    assert {"5 requests a second", "× 1.12, 0 h 30 min", "never"} <= set(texts(drawn_alerts))
    bars = [bar for axes in drawn_alerts.figure.axes for bar in axes.patches]
    assert [(bar.get_x(), bar.get_width()) for bar in bars] == [(0.5, 1.5)]
