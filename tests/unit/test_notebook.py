"""inference.ipynb: committed as it came out of a run. test_serving.py runs it again."""

import json
import re
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from matplotlib import pyplot

from asteroids.traffic import read_rows
from clearml_tools.send_requests import Result
from local_stack.waiting import run
from preprocess_serving import RAW_COLUMNS
from tests.support.checkouts import REPOSITORY
from tests.support.deployment import clean_environment

NOTEBOOK = REPOSITORY / "inference.ipynb"
MOST_BYTES = 400_000


def code_cells(path: Path) -> list[dict]:
    return [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]


def outputs(path: Path) -> list[dict]:
    return [output for cell in code_cells(path) for output in cell["outputs"]]


def printed(path: Path) -> str:
    return "".join("".join(each["text"]) for each in outputs(path) if each["output_type"] == "stream")


def check_story(path: Path) -> None:
    """What a run of the notebook has to show."""
    assert [cell["execution_count"] for cell in code_cells(path)] == list(range(1, len(code_cells(path)) + 1))
    kinds = [(each["output_type"], each.get("name")) for each in outputs(path)]
    assert not [kind for kind in kinds if kind[0] == "error" or kind[1] == "stderr"]
    assert sum("image/png" in output.get("data", {}) for output in outputs(path)) == 4
    indices = re.findall(
        r"PSI of (.+): (\S+) of the normal requests, (\S+) of the drifted ones", printed(path)
    )
    assert {name for name, _, _ in indices} == {"Absolute Magnitude", "Minimum Orbit Intersection"}
    assert all(float(normal) < 0.04 < float(drifted) for _, normal, drifted in indices)
    share = r"^  not hazardous +(\d+) +\d"
    normal, drifted, *_ = map(int, re.findall(share, printed(path), re.MULTILINE))
    assert normal < drifted


def test_it_is_committed_with_the_outputs_of_one_run_whose_canary_had_two_versions():
    check_story(NOTEBOOK)
    (counts,) = re.findall(r"\{'\w+_1': (\d+), '\w+_2': (\d+)\}", printed(NOTEBOOK))
    assert sum(map(int, counts)) == 200
    assert min(map(int, counts)) > 0


def test_it_is_small_and_nothing_in_it_is_of_one_machine():
    assert NOTEBOOK.stat().st_size < MOST_BYTES
    notebook = json.loads(NOTEBOOK.read_text())
    sources = "".join("".join(cell["source"]) for cell in notebook["cells"])
    for text in (sources, printed(NOTEBOOK)):
        assert not re.search(r"/(home|root|Users|tmp|work|var|opt|usr)/|[A-Z]:\\", text)
    assert notebook["metadata"]["kernelspec"]["name"] == "python3"


def source(words: str) -> str:
    """The code of the only cell in which these words are."""
    (cell,) = [cell for cell in code_cells(NOTEBOOK) if words in "".join(cell["source"])]
    return "".join(cell["source"])


@pytest.fixture
def imported(tmp_path, monkeypatch) -> dict[str, Any]:
    """What the notebook's first cell leaves behind, on a machine where it reaches what it asks for."""
    monkeypatch.setattr("requests.get", lambda *_, **__: None)
    monkeypatch.setattr("inference.DATA", tmp_path)
    pyplot.switch_backend("agg")
    names: dict[str, Any] = {}
    exec(source("import requests"), names)
    return names


def test_its_pictures_need_no_column_but_the_models(imported):
    rows = read_rows(REPOSITORY / "data" / "nasa.csv")
    imported |= {"real": [{name: row[name] for name in RAW_COLUMNS} for row in rows], "REQUESTS": 100}
    for words in ("write_rows(normal", "def values", "corrcoef"):
        exec(source(words), imported)
    pyplot.close("all")


class Clock:
    """Time that passes when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0

    def time(self) -> float:
        return self.now

    monotonic = time

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.mark.parametrize(("others", "seconds"), [(0, 10), (7, 20)])
def test_its_own_requests_are_counted_before_it_goes_on_though_others_send_too(imported, others, seconds):
    """Others send so many a second. Its own are counted after ten seconds, those of others at once."""
    clock = Clock()

    def answer(*_: object, **__: object) -> SimpleNamespace:
        number = others * clock.now + (20 if clock.now >= 10 else 0)
        result = [{"metric": {"endpoint": "asteroid"}, "value": [0, str(number)]}]
        return SimpleNamespace(raise_for_status=bool, json=lambda: {"data": {"result": result}})

    imported |= {"requests": SimpleNamespace(get=answer), "time": clock, "normal": range(20)}
    imported["send"] = lambda url, rows, rate: [Result("hazardous", 0.01) for _ in rows]
    exec(source("def send_and_count"), imported)
    assert imported["normal_until"] == seconds


@pytest.mark.e2e
def test_the_table_comes_from_data_where_there_is_no_clearml(tmp_path):
    environment = {**clean_environment(), "CLEARML_CONFIG_FILE": str(tmp_path / "none.conf")}
    environment |= {"CLEARML_API_HOST": "http://127.0.0.1:1"}  # nothing answers there
    command = [sys.executable, "-c", "from inference import *\n" + source("download_table()")]
    done = run(command, cwd=REPOSITORY, env=environment)
    assert done.returncode == 0, done.stderr
    assert "From data/nasa.csv, without ClearML (" in done.stdout
