"""Draw the big picture as SVG: who calls whom, in three bands for the three phases.

The upper two share seven columns, so that a step of the pipeline stands below the script that it runs.
"""

import itertools
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from jinja2 import Template

from images import style
from images.style import AMBER, BLUE, GREEN, VIOLET

HEIGHT = 658
FONT = "'Liberation Sans', Arial, Helvetica, sans-serif"  # the first two are equally wide
SIZE, SMALL_SIZE, LINE = 12, 11.5, 15

LEFT, RIGHT = 28, 802  # of what stands in the bands
COLUMN_X = (28, 128, 226, 338, 466, 590, 722)
COLUMN_WIDTH = (76, 82, 96, 112, 108, 116, 80)

KINDS = {
    "a file of this repository": BLUE,
    "a dataset or model in ClearML": VIOLET,
    "a step, on an agent": AMBER,
    "a service": GREEN,
}
FILE, STORED, STEP, SERVICE = KINDS.values()
LEGEND_X = (LEFT, 190, 396, 548)


class Box(NamedTuple):
    """A thing, in the colour of its kind; its name is in bold, and what it does is below."""

    x: float
    y: float
    width: float
    height: float
    colour: str
    name: tuple[str, ...]
    text: tuple[str, ...] = ()

    @property
    def middle(self) -> tuple[float, float]:
        return self.x + self.width / 2, self.y + self.height / 2


class Arrow(NamedTuple):
    """A line with a point at its end; `label` is written over the middle of its first part."""

    points: tuple[tuple[float, float], ...]
    label: str = ""
    dashed: bool = False


class Band(NamedTuple):
    y: float
    height: float
    title: str
    text: str


BANDS = (
    Band(
        14,
        124,
        "1 Experimentation",
        "every run is a ClearML task (clearml_tools/): its code, arguments, plots and results",
    ),
    Band(150, 248, "2 Productionising", ""),
    Band(408, 210, "3 Deployment and monitoring", ""),
)
AGENTS = (COLUMN_X[1] - 9, 188, RIGHT + 5 - COLUMN_X[1] + 9, 138)  # x, y, width, height
MORE_TEXT = (
    (COLUMN_X[1] + COLUMN_WIDTH[1] / 2 + 10, 175, "start", "the same scripts"),
    (
        COLUMN_X[1] + 2,
        316,
        "start",
        "ClearML agents take steps from a queue, on as many machines as you like",
    ),
    (578, 365, "end", "takes the champion's place if it is better for certain"),
    (578, 380, "end", "on asteroids that it has not learned from"),
)


def in_column(column: int, y: float, height: float, colour: str, *name: str, text: Iterable[str] = ()) -> Box:
    return Box(COLUMN_X[column], y, COLUMN_WIDTH[column], height, colour, name, tuple(text))


TABLE = in_column(0, 52, 70, FILE, "data/", "nasa.csv")
GET_DATA = in_column(1, 52, 70, FILE, "get_data.py", text=["queries it", "with SQL"])
RAW = in_column(2, 52, 70, STORED, "raw_asteroid_", "dataset")
PREPROCESSING = in_column(3, 52, 70, FILE, "preprocessing.py", text=["makes features", "and labels"])
PREPROCESSED = in_column(4, 52, 70, STORED, "preprocessed_", "asteroid_dataset")
TRAINING = in_column(5, 52, 70, FILE, "model_training.py", text=["XGBoost beside", "a two-line rule"])
MODEL = in_column(6, 52, 70, STORED, "best_model", text=["a candidate"])

PIPELINE = in_column(0, 217, 56, FILE, "pipeline.py", text=["controller"])
RETRAIN = Box(
    LEFT, 334, 176, 58, FILE, ("retrain.py",), ("starts it every night, and", "when a person asks for it")
)
GET_DATA_STEP = in_column(1, 230, 30, STEP, "get_data")
PREPROCESS_STEP = in_column(3, 230, 30, STEP, "preprocess_data")
TRAINING_STEPS = tuple(in_column(5, 198 + 34 * n, 26, STEP, f"model_training_{n}") for n in range(3))
SELECT = in_column(6, 221, 48, STEP, "select_best", "_model")
CHAMPION = Box(
    *(590, 334, 212, 58, STORED, ("champion",)),
    ("chosen by model_selection.py,", "judged on other tables by evaluate.py"),
)

MOCK = Box(LEFT, 446, 156, 58, FILE, ("asteroids/traffic.py",), ("real rows,", "as they are or drifted"))
CLIENT = Box(226, 446, 140, 58, FILE, ("inference.py", "inference.ipynb"), ("send requests",))
INFERENCE = Box(
    *(540, 446, 262, 58, SERVICE, ("clearml-serving inference",)),
    ("preprocess_serving.py checks, and makes", "the same features as preprocessing.py"),
)
KAFKA = Box(668, 542, 134, 62, SERVICE, ("Kafka",), ("a message", "for each request"))
STATISTICS = Box(455, 542, 134, 62, SERVICE, ("statistics",), ("counts requests", "in each decile"))
PROMETHEUS = Box(
    *(226, 542, 166, 62, SERVICE, ("Prometheus",)),
    ("deploy/asteroid_alerts.yml:", "PSI, drift alerts"),
)
GRAFANA = Box(LEFT, 542, 134, 62, SERVICE, ("Grafana",), ("asteroid.json:", "the dashboard"))

BOXES = (
    *(TABLE, GET_DATA, RAW, PREPROCESSING, PREPROCESSED, TRAINING, MODEL),
    *(PIPELINE, RETRAIN, GET_DATA_STEP, PREPROCESS_STEP, *TRAINING_STEPS, SELECT, CHAMPION),
    *(MOCK, CLIENT, INFERENCE, KAFKA, STATISTICS, PROMETHEUS, GRAFANA),
)


def across(start: Box, end: Box, label: str = "", shift: float = 0) -> Arrow:
    """Between facing sides, level; `shift` pixels below the middle of the start."""
    y = start.middle[1] + shift
    if start.x < end.x:
        return Arrow(((start.x + start.width, y), (end.x, y)), label)
    return Arrow(((start.x, y), (end.x + end.width, y)), label)


def down(start: Box, end: Box, label: str = "", dashed: bool = False) -> Arrow:
    """From the lower side of one to the upper side of another, in the middle of the narrower one."""
    x = min(start, end, key=lambda box: box.width).middle[0]
    return Arrow(((x, start.y + start.height), (x, end.y)), label, dashed)


def around(start: Box, end: Box) -> Arrow:
    """From the right side of one to the left side of another at another height, with a step between."""
    (_, y), (_, to) = start.middle, end.middle
    out, into = start.x + start.width, end.x
    bend = into - 9 if end in TRAINING_STEPS else out + 6
    return Arrow(((out, y), (bend, y), (bend, to), (into, to)))


def arrows() -> list[Arrow]:
    flow = (TABLE, GET_DATA, RAW, PREPROCESSING, PREPROCESSED, TRAINING, MODEL)
    agents_x = AGENTS[0]
    return [
        *(across(start, end) for start, end in itertools.pairwise(flow)),
        down(GET_DATA, GET_DATA_STEP, dashed=True),
        down(PREPROCESSING, PREPROCESS_STEP, dashed=True),
        down(TRAINING, TRAINING_STEPS[0], dashed=True),
        Arrow(((PIPELINE.middle[0], RETRAIN.y), (PIPELINE.middle[0], PIPELINE.y + PIPELINE.height))),
        Arrow(((PIPELINE.x + PIPELINE.width, PIPELINE.middle[1]), (agents_x, PIPELINE.middle[1]))),
        across(GET_DATA_STEP, PREPROCESS_STEP),
        *(around(PREPROCESS_STEP, step) for step in TRAINING_STEPS),
        *(around(step, SELECT) for step in TRAINING_STEPS),
        down(SELECT, CHAMPION),
        down(CHAMPION, INFERENCE),
        across(MOCK, CLIENT),
        across(CLIENT, INFERENCE, "one row as JSON", shift=-10),
        across(INFERENCE, CLIENT, "y, y_raw", shift=14),
        down(INFERENCE, KAFKA),
        across(KAFKA, STATISTICS, "reads"),
        across(STATISTICS, PROMETHEUS, "scrapes"),
        across(PROMETHEUS, GRAFANA, "queries"),
    ]


def svg() -> str:
    """Return the whole picture as SVG."""
    template = Template(Path(__file__).with_name("diagram.svg.jinja").read_text(), autoescape=True)
    return template.render({**vars(style), **globals()})
