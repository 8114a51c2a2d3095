"""The three tracked scripts, run one by one as during experimentation, and their results read back."""

import csv
import json
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xgboost
from sklearn.metrics import average_precision_score, log_loss

from asteroids.cross_validation import REPEATS
from asteroids.evaluation import TEST_SCORES
from asteroids.frozen_test_set import is_test_group
from asteroids.promotion import compare
from local_stack.waiting import run
from model_selection import read_evidence
from preprocess_serving import FEATURES
from tests.support.checkouts import REPOSITORY

pytestmark = pytest.mark.e2e

QUERY_DATE = "2010-01-01"


@dataclass
class Experiment:
    """One run of the three scripts: the tasks that they became, and the datasets that two of them made."""

    get_data: object
    preprocessing: object
    training: object
    raw: object
    preprocessed: object


@pytest.fixture(scope="module")
def experiment(checkout, sdk) -> Experiment:
    checkout.run("get_data.py", "--query-date", QUERY_DATE)
    checkout.run("preprocessing.py")
    checkout.run("model_training.py")

    def task(name: str):
        return sdk.Task.get_task(project_name=checkout.project, task_name=name)

    get_data, preprocessing = task("get data"), task("preprocess data")
    return Experiment(
        get_data,
        preprocessing,
        task("model training"),
        sdk.Dataset.get(dataset_id=get_data.artifacts["dataset_id"].get()),
        sdk.Dataset.get(dataset_id=preprocessing.artifacts["dataset_id"].get()),
    )


def plot(task, title: str) -> dict:
    """The one plot of that title, as plotly's figure."""
    figures = [json.loads(plot["plot_str"]) for plot in task.get_reported_plots() if plot["metric"] == title]
    assert figures, f"{task.name} has no plot {title!r}"
    return figures[0]


# get_data.py


def test_the_raw_dataset_holds_the_rows_up_to_the_query_date_and_no_others(experiment):
    with (REPOSITORY / "data" / "nasa.csv").open() as table:
        expected = [row for row in csv.DictReader(table) if row["Close Approach Date"] <= QUERY_DATE]
    with Path(experiment.raw.get_local_copy(), "nasa.csv").open() as table:
        found = list(csv.DictReader(table))
    assert len(found) == len(expected)
    assert [row["Neo Reference ID"] for row in found] == [row["Neo Reference ID"] for row in expected]


def test_the_raw_dataset_is_shown_with_its_first_rows_and_its_class_balance(experiment):
    assert len(plot(experiment.get_data, "Raw table")["data"][0]["cells"]["values"]) >= 40
    assert sum(plot(experiment.get_data, "Class balance")["data"][0]["y"]) > 0


@pytest.fixture(scope="module")
def newer_raw(experiment, checkout, sdk):
    """A version of the raw dataset that the same query makes later."""
    checkout.run("get_data.py", "--query-date", QUERY_DATE)
    return sdk.Dataset.get(dataset_project=checkout.project, dataset_name="raw_asteroid_dataset")


def test_the_same_query_gives_the_same_rows_in_a_new_version(experiment, newer_raw):
    assert (experiment.raw.version, newer_raw.version) == ("1.0.0", "1.0.1")
    hashes = [dataset.file_entries_dict["nasa.csv"].hash for dataset in (newer_raw, experiment.raw)]
    assert hashes[0] == hashes[1]


def test_mock_rows_are_drawn_from_the_newest_raw_dataset_when_asked(newer_raw, checkout):
    checkout.run("inference.py", "--dataset", "--save", "--count", 200)
    with (checkout.folder / "data" / "synthetic.csv").open() as saved:
        days = {row["Close Approach Date"] for row in csv.DictReader(saved)}
    assert max(days) <= QUERY_DATE  # data/nasa.csv goes on until 2016


# preprocessing.py


def test_the_preprocessed_dataset_is_a_child_of_the_raw_one_and_holds_three_files(experiment):
    assert experiment.preprocessed.get_dependency_graph()[experiment.preprocessed.id] == [experiment.raw.id]
    assert sorted(experiment.preprocessed.list_files()) == ["X.csv", "groups.csv", "y.csv"]


def test_x_y_and_groups_have_a_row_for_every_raw_row(experiment):
    raw = pd.read_csv(Path(experiment.raw.get_local_copy(), "nasa.csv"))
    folder = Path(experiment.preprocessed.get_local_copy())
    features, labels, groups = (pd.read_csv(folder / name) for name in ("X.csv", "y.csv", "groups.csv"))
    assert list(features.columns) == FEATURES
    assert len(FEATURES) == 19
    assert len(features) == len(raw)
    assert labels["Hazardous"].tolist() == raw["Hazardous"].astype(int).tolist()
    assert groups["Neo Reference ID"].tolist() == raw["Neo Reference ID"].tolist()


def test_clearml_shows_heads_of_x_and_y_and_every_features_distribution(experiment):
    assert plot(experiment.preprocessing, "X")["data"][0]["cells"]["values"]
    assert plot(experiment.preprocessing, "y")["data"][0]["cells"]["values"]
    plots = experiment.preprocessing.get_reported_plots()
    shown = {plot["variant"] for plot in plots if plot["metric"] == "Feature distributions"}
    assert shown == set(FEATURES)


def test_preprocessing_an_older_version_takes_the_dataset_by_its_id(experiment, newer_raw, checkout, sdk):
    done = checkout.run("preprocessing.py", "--dataset-id", experiment.raw.id)
    (made,) = re.findall(r"preprocessed_asteroid_dataset \S+ \((\w+)\)", done.stdout)
    assert sdk.Dataset.get(dataset_id=made).get_dependency_graph()[made] == [experiment.raw.id]


# model_training.py


def rows_of_test_set(experiment) -> pd.DataFrame:
    """Return features and label of the rows in the test set."""
    folder = Path(experiment.preprocessed.get_local_copy())
    table = pd.concat([pd.read_csv(folder / name) for name in ("X.csv", "y.csv")], axis=1)
    return table[pd.read_csv(folder / "groups.csv")["designation"].map(is_test_group)]


def test_the_task_shows_titled_plots_that_are_not_empty(experiment):
    for title in ("Precision and recall", "Calibration"):
        assert len(plot(experiment.training, title)["data"][0]["x"]) > 1
    matrix = plot(experiment.training, "Confusion matrix")["data"][0]["z"]
    assert sum(map(sum, matrix)) == len(rows_of_test_set(experiment))
    assert max(plot(experiment.training, "Feature importance")["data"][0]["y"]) > 0
    assert all(plot["metric"] for plot in experiment.training.get_reported_plots())


def test_learning_curves_are_reported_for_training_and_validation(experiment):
    scalars = experiment.training.get_reported_scalars()
    (model,) = experiment.training.models["output"]
    for metric in ("aucpr", "logloss"):
        rounds = [series["x"] for series in scalars[metric].values()]
        assert list(scalars[metric]) == ["train", "validation"]
        assert rounds[0] == rounds[1] == list(range(len(rounds[0])))
    curve = scalars["logloss"]["validation"]["y"]
    assert int(model.get_metadata("trees")) == np.argmin(curve) + 1 < len(curve)  # it went on for a while


def test_the_model_stands_beside_the_rule_and_the_majority_class(experiment):
    values = experiment.training.get_reported_single_values()
    for judged in ("", " of the rule", " of the majority class"):
        assert all(0 <= values[score + judged] <= 1 for score in TEST_SCORES)
    assert values["recall of the majority class"] == 0


def test_the_registered_model_can_be_downloaded_and_predicts_what_was_reported(experiment, checkout, sdk):
    (model,) = experiment.training.models["output"]
    assert model.name == "model training - best_model"
    assert sdk.Model(model.id).get_all_metadata()["threshold"]["value"]
    booster = xgboost.Booster(model_file=model.get_local_copy())
    assert booster.feature_names == FEATURES
    assert booster.attr("xgboost_version") == xgboost.__version__
    assert 0 < float(booster.attr("threshold")) < 1
    test_set = rows_of_test_set(experiment)
    probabilities = booster.predict(xgboost.DMatrix(test_set[FEATURES]))
    reported = experiment.training.get_reported_single_values()["PR-AUC"]
    assert average_precision_score(test_set["Hazardous"], probabilities) == pytest.approx(reported, abs=1e-9)


def test_the_out_of_fold_predictions_are_kept_for_all_asteroids_outside_the_test_set(experiment):
    folder = Path(experiment.preprocessed.get_local_copy())
    keys = pd.read_csv(folder / "groups.csv")["designation"]
    others, labels = ~keys.map(is_test_group), pd.read_csv(folder / "y.csv")["Hazardous"]
    kept = pd.read_csv(experiment.training.artifacts["out_of_fold"].get_local_copy())
    assert list(kept)[-len(FEATURES) :] == FEATURES
    assert kept["designation"].tolist() == keys[others].tolist()
    assert kept["Hazardous"].tolist() == labels[others].tolist()
    reported = experiment.training.get_reported_single_values()
    losses = [log_loss(kept["Hazardous"], kept[f"probability {repeat}"]) for repeat in range(REPEATS)]
    assert np.mean(losses) == pytest.approx(reported["validation log loss"])
    assert kept["designation"].nunique() == reported["training groups"]


def test_what_a_champion_is_compared_by_is_what_the_training_has_predicted(experiment):
    """One asteroid has one to seven rows, and no probability counts as surer than a thousand to one."""
    reported, evidence = read_evidence(experiment.training)
    losses = evidence.losses()
    assert len(losses) == evidence.groups == reported["training groups"]
    assert losses["loss"].mean() == pytest.approx(reported["validation log loss"], rel=0.5)
    assert losses["errors"].mean() < 0.01
    comparison = compare(evidence, evidence)
    assert comparison.reason.startswith("no difference that can be told: log loss 0.0")


def test_two_runs_with_one_seed_give_the_same_model_bytes(experiment, checkout, sdk):
    done = checkout.run("model_training.py", "--dataset-id", experiment.preprocessed.id)
    (again,) = re.findall(r"model 'model training - best_model' \((\w+)\)", done.stdout)
    (first,) = experiment.training.models["output"]
    assert again != first.id
    contents = [Path(sdk.Model(model_id).get_local_copy()).read_bytes() for model_id in (first.id, again)]
    assert contents[0] == contents[1]


# All of them


# Runs the scripts in one process, as their imports take most of the time.
RUN_ALL = """
import runpy, sys
for script in sys.argv[1:]:
    sys.argv = [script]
    try:
        runpy.run_path(script, run_name="__main__")
    except BaseException:
        sys.excepthook(*sys.exc_info())
"""
SCRIPTS = ["get_data.py", "preprocessing.py", "model_training.py", "pipeline.py"]


def test_without_credentials_a_script_says_in_one_line_what_to_do(tmp_path):
    environment = {key: value for key, value in os.environ.items() if not key.startswith("CLEARML_")}
    environment["HOME"] = str(tmp_path)
    done = run([sys.executable, "-c", RUN_ALL, *SCRIPTS], cwd=REPOSITORY, env=environment)
    told = "no ClearML server is configured: run `python -m local_stack up` and the export line"
    assert [line.partition(" that it prints")[0] for line in done.stderr.splitlines()] == [
        f"{script}: error: {told}" for script in SCRIPTS
    ]
