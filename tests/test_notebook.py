"""inference.ipynb: committed as it came out of a run, and it runs again from top to bottom."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import REPOSITORY, copy_repository
from deployment import Deployment, clean_environment

from mock_data import read_rows

NOTEBOOK = REPOSITORY / "inference.ipynb"
MOST_BYTES = 400_000


def code_cells(path: Path) -> list[dict]:
    return [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]


def outputs(path: Path) -> list[dict]:
    return [output for cell in code_cells(path) for output in cell["outputs"]]


def printed(path: Path) -> str:
    return "".join("".join(each["text"]) for each in outputs(path) if each["output_type"] == "stream")


def pictures(path: Path) -> int:
    return sum("image/png" in output.get("data", {}) for output in outputs(path))


def stability_indices(path: Path) -> dict[str, tuple[float, float]]:
    """PSI of each feature before the drift and at its end, as the notebook prints them."""
    found = re.findall(r"PSI of (.+): (\S+) before the drift, (\S+) at its end", printed(path))
    return {name: (float(before), float(end)) for name, before, end in found}


def check_story(path: Path) -> None:
    """What a run of the notebook has to show."""
    assert [cell["execution_count"] for cell in code_cells(path)] == list(range(1, len(code_cells(path)) + 1))
    kinds = [(each["output_type"], each.get("name")) for each in outputs(path)]
    assert not [kind for kind in kinds if kind[0] == "error" or kind[1] == "stderr"]
    assert pictures(path) == 4
    indices = stability_indices(path)
    assert set(indices) == {"Absolute Magnitude", "Minimum Orbit Intersection"}
    for before, end in indices.values():
        assert before < 0.1 < end
    share = r"^  not hazardous +(\d+) +\d"
    normal, drifted, *_ = map(int, re.findall(share, printed(path), re.MULTILINE))
    assert normal < drifted


def test_it_is_committed_with_the_outputs_of_one_run():
    check_story(NOTEBOOK)


def test_its_canary_had_two_versions():
    (counts,) = re.findall(r"\{'\w+_1': (\d+), '\w+_2': (\d+)\}", printed(NOTEBOOK))
    assert sum(map(int, counts)) == 200
    assert min(map(int, counts)) > 0


def test_it_is_small():
    assert NOTEBOOK.stat().st_size < MOST_BYTES


def test_nothing_in_it_is_of_one_machine():
    notebook = json.loads(NOTEBOOK.read_text())
    sources = "".join("".join(cell["source"]) for cell in notebook["cells"])
    for text in (sources, printed(NOTEBOOK)):
        assert not re.search(r"/(home|root|Users|tmp|work|var|opt|usr)/|[A-Z]:\\", text)
    assert notebook["metadata"]["kernelspec"]["name"] == "python3"


def test_the_table_comes_from_data_where_there_is_no_clearml(tmp_path):
    (cell,) = [cell for cell in code_cells(NOTEBOOK) if "download_table()" in "".join(cell["source"])]
    imports = "from inference import DATA, download_table\nfrom mock_data import read_rows\n"
    environment = {**clean_environment(), "CLEARML_CONFIG_FILE": str(tmp_path / "none.conf")}
    environment |= {"CLEARML_API_HOST": "http://127.0.0.1:1"}  # nothing answers there
    done = subprocess.run(
        [sys.executable, "-c", imports + "".join(cell["source"])],
        cwd=REPOSITORY,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert "From data/nasa.csv, without ClearML (" in done.stdout


@pytest.fixture(scope="module")
def canary(deployment: Deployment) -> None:
    """An endpoint "asteroid_canary" that shares its requests out to two versions."""
    add = "clearml-serving --id ID model add --engine xgboost --endpoint asteroid_story "
    add += "--preprocess preprocess_serving.py"
    champion, challenger = deployment.model_files
    deployment.command(
        f"{add} --version 1 --model-id {champion}",
        f"{add} --version 2 --model-id {challenger}",
        "clearml-serving --id ID model canary --endpoint asteroid_canary --weights 0.75 0.25 "
        "--input-endpoints asteroid_story/1 asteroid_story/2",
    )


def test_it_runs_from_top_to_bottom(deployment: Deployment, canary: None, tmp_path: Path):
    copy_repository(tmp_path / "asteroids")
    urls = {"INFERENCE_URL": f"{deployment.url}/asteroid", "PROMETHEUS_URL": deployment.prometheus_url}
    command = [sys.executable, "-m", "nbconvert", "--to", "notebook", "--execute", "--inplace"]
    done = subprocess.run(
        [*command, "inference.ipynb"],
        cwd=tmp_path / "asteroids",
        env={**os.environ, **deployment.environment, **urls},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    # The deployment keeps book of the rows that it got.
    for name in ("synthetic.csv", "synthetic_drift.csv"):
        rows = read_rows(tmp_path / "asteroids" / "data" / name)
        deployment.answered.setdefault("asteroid", []).extend(rows)
    executed = tmp_path / "asteroids" / "inference.ipynb"
    check_story(executed)
    assert "From ClearML" in printed(executed)
    assert re.search(r"\{'asteroid_story_1': \d+, 'asteroid_story_2': \d+\}", printed(executed))
