"""inference.ipynb: committed as it came out of a run. test_serving.py runs it again."""

import json
import re
import sys
from pathlib import Path

import pytest

from local_stack.waiting import run
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
    indices = re.findall(r"PSI of (.+): (\S+) before the drift, (\S+) at its end", printed(path))
    assert {name for name, _, _ in indices} == {"Absolute Magnitude", "Minimum Orbit Intersection"}
    assert all(float(before) < 0.1 < float(end) for _, before, end in indices)
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


@pytest.mark.e2e
def test_the_table_comes_from_data_where_there_is_no_clearml(tmp_path):
    (cell,) = [cell for cell in code_cells(NOTEBOOK) if "download_table()" in "".join(cell["source"])]
    environment = {**clean_environment(), "CLEARML_CONFIG_FILE": str(tmp_path / "none.conf")}
    environment |= {"CLEARML_API_HOST": "http://127.0.0.1:1"}  # nothing answers there
    command = [sys.executable, "-c", "from inference import *\n" + "".join(cell["source"])]
    done = run(command, cwd=REPOSITORY, env=environment)
    assert done.returncode == 0, done.stderr
    assert "From data/nasa.csv, without ClearML (" in done.stdout
