"""evaluate.py on a local ClearML: the champion, a model by id or file, and which asteroids are new to it."""

import re

import pandas as pd
import pytest

from tests.support.asteroid_tables import shipped_table

pytestmark = pytest.mark.e2e

QUERY_DATE = "2000-01-01"


@pytest.fixture(scope="module")
def training(checkout, sdk):
    """A training task on the rows up to a date, whose model is the champion."""
    checkout.run("get_data.py", "--query-date", QUERY_DATE)
    checkout.run("preprocessing.py")
    checkout.run("model_training.py")
    task = sdk.Task.get_task(project_name=checkout.project, task_name="model training")
    checkout.run("model_selection.py", "--candidates", task.id)
    return task


def figures(printed: str) -> list[list[float]]:
    """The figures of the model, for each table that was printed."""
    return [[float(cell) for cell in row.split()] for row in re.findall(r"^model( +[\d. ]+)$", printed, re.M)]


def test_the_champion_is_judged_on_all_asteroids_and_on_those_that_are_new_to_it(training, checkout, sdk):
    printed = checkout.run("evaluate.py").stdout
    table = shipped_table()
    kept = pd.read_csv(training.artifacts["out_of_fold"].get_local_copy(), dtype=str)["designation"]
    learned = kept.nunique()
    assert f"({training.models['output'][-1].id}), threshold" in printed
    assert f"all rows, {len(table)} rows of 3818 asteroids" in printed
    assert f"has learned from {learned} of these asteroids" in printed
    assert re.search(rf"^new asteroids, \d+ rows of {3818 - learned} asteroids", printed, re.M)
    of_all, of_new = figures(printed)
    assert of_all != of_new

    task = sdk.Task.get_task(project_name=checkout.project, task_name="model evaluation")
    assert task.models["input"][-1].id == training.models["output"][-1].id
    assert {plot["variant"] for plot in task.get_reported_plots()} == {"all rows", "new asteroids"}


def test_a_model_is_judged_by_its_id_and_by_its_file_alike(training, checkout, tmp_path):
    shipped_table().head(500).to_csv(tmp_path / "other.csv", index=False)
    model = training.models["output"][-1]
    by_id, by_file = (
        checkout.run("evaluate.py", "--csv", tmp_path / "other.csv", "--model", name).stdout
        for name in (model.id, model.get_local_copy())
    )
    assert figures(by_id)[0] == figures(by_file)[0]
    assert "has learned from" in by_id
    assert (
        "which of these asteroids the model has learned from cannot be told: a file does not say" in by_file
    )


def test_asteroids_without_a_designation_may_be_known_by_another_id(training, checkout, tmp_path):
    """As in NASA's own dump, which repeats the id as the name."""
    table = shipped_table().query("`Neo Reference ID` < 3000000").head(200)
    table.assign(Name=table["Neo Reference ID"]).to_csv(tmp_path / "nasa.csv", index=False)
    model = training.models["output"][-1].id
    printed = checkout.run("evaluate.py", "--csv", tmp_path / "nasa.csv", "--model", model).stdout
    assert "the model has learned from 0 of these asteroids, as far as their keys tell" in printed
    count = table["Neo Reference ID"].nunique()
    assert f"{count} others have no designation in 'Name': it may know them by another id" in printed


def test_a_model_that_is_not_there_is_one_line_and_leaves_no_task(training, checkout, sdk):
    before = len(sdk.Task.get_tasks(project_name=checkout.project))
    failed = checkout.run("evaluate.py", "--model", "nowhere.ubj", check=False)
    assert failed.returncode == 1
    assert "error: --model 'nowhere.ubj' is neither a file here nor the id of a model" in failed.stderr
    assert len(sdk.Task.get_tasks(project_name=checkout.project)) == before
