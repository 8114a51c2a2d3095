"""model_training.py: the training, the model file, and what monitoring is told."""

import json
import shlex
import sys
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import patch

from clearml_tools.errors import UserError

import numpy as np
import pandas as pd
import pytest
import xgboost

from asteroids.cross_validation import Table
from asteroids.drift import counted_variables
from asteroids.evaluation import score
from asteroids.frozen_test_set import draw
from asteroids.ids import group_key
from asteroids.table_checks import read_labels
from clearml_tools.shell_commands import metrics_add_command
from model_training import (
    check_arguments,
    check_rows,
    parse_arguments,
    read_training_data,
    save_model,
    xgboost_parameters,
)
from preprocess_serving import FEATURES, Preprocess
from preprocessing import make_features
from tests.support.asteroid_tables import asteroid_table


@pytest.fixture(autouse=True)
def own_cache(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("CLEARML_CACHE_DIR", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def raw() -> pd.DataFrame:
    return asteroid_table(asteroids=400)


@pytest.fixture(scope="module")
def keys(raw) -> list[str]:
    return [str(group_key(None, name)) for name in raw["Name"]]


@pytest.fixture(scope="module")
def features(raw) -> pd.DataFrame:
    return make_features(raw)


@pytest.fixture(scope="module")
def labels(raw) -> np.ndarray:
    return read_labels(raw).to_numpy(int)


@pytest.fixture(scope="module")
def table(features, labels, keys) -> Table:
    return Table(features.to_numpy(np.float32), labels, draw(keys))


def arguments(**changes) -> SimpleNamespace:
    """The script's arguments, with some changes."""
    with patch.object(sys, "argv", ["model_training.py"]):
        return SimpleNamespace(**(vars(parse_arguments()) | changes))


def fit(table: Table, **changes) -> xgboost.Booster:
    """A booster of 40 trees that has learned from all but the test set."""
    return table.train(xgboost_parameters(arguments(**changes)), table.matrix(table.other_rows), 40)


@pytest.fixture(scope="module")
def fitted(table) -> xgboost.Booster:
    return fit(table)


# The training


def test_the_same_seed_gives_the_same_bytes_and_another_others(fitted, table, tmp_path):
    def file(booster: xgboost.Booster) -> bytes:
        save_model(booster, tmp_path / "model.ubj", 0.5, REFERENCE)
        return (tmp_path / "model.ubj").read_bytes()

    again, other = (fit(table, random_state=seed) for seed in (42, 7))
    assert file(fitted) == file(again) != file(other)


def test_the_model_learns(fitted, table):
    probabilities = table.predict(fitted, table.test_rows)
    assert score(table.labels[table.test_rows], probabilities, 0.5)["PR-AUC"] > 0.95


@pytest.mark.parametrize("feature", ["Absolute Magnitude", "Minimum Orbit Intersection"])
def test_more_of_it_never_makes_an_asteroid_more_hazardous(fitted, features, feature):
    values = np.linspace(features[feature].min(), features[feature].max(), 200)
    for row in range(20):
        changed = features.iloc[[row] * 200].assign(**{feature: values})
        assert (np.diff(fitted.predict(xgboost.DMatrix(changed))) <= 1e-7).all()


@pytest.mark.parametrize("part", ["training", "test"])
def test_data_of_one_class_are_refused(table, part):
    rows = table.other_rows if part == "training" else table.test_rows
    labels = table.labels.copy()
    labels[rows] = 0
    with pytest.raises(UserError, match=f"the {part} data have only one class: take more rows"):
        check_rows(Table(table.features, labels, table.places))


@pytest.mark.parametrize(
    ("option", "value", "told"),
    [
        ("random_state", 2**32, "--random-state 4294967296 is not from 0 to 4294967295"),
        ("eta", float("nan"), "--eta nan is not above 0, and 1 at most"),
        ("eta", 2.0, "--eta 2 is not above 0, and 1 at most"),
    ],
)
def test_an_argument_that_cannot_be_meant_is_named(option, value, told):
    with pytest.raises(UserError, match=f"^{told}$"):
        check_arguments(arguments(**{option: value}))


@pytest.mark.parametrize("option", ["num_boost_round", "early_stopping_rounds"])
def test_less_than_one_round_is_refused(option):
    with pytest.raises(UserError, match="--num-boost-round and --early-stopping-rounds must be 1 or more"):
        check_arguments(arguments(**{option: 0}))


# The model file

REFERENCE = {
    "rows": 2,
    "share": 0.5,
    "features": {"Absolute Magnitude": {"edges": [1, 2], "shares": [0.5, 1]}},
}


def test_the_file_holds_what_serving_needs(fitted, tmp_path):
    save_model(fitted, tmp_path / "best_model.ubj", threshold=0.123456789012345, reference=REFERENCE)
    read = xgboost.Booster(model_file=tmp_path / "best_model.ubj")
    assert read.attr("threshold") == "0.123456789012345"
    assert read.attr("xgboost_version") == xgboost.__version__
    assert json.loads(read.attr("reference")) == REFERENCE
    assert read.feature_names == FEATURES


def test_the_hook_predicts_from_the_file_what_the_training_did(fitted, table, raw, tmp_path):
    save_model(fitted, tmp_path / "best_model.ubj", threshold=0.5, reference=REFERENCE)
    hook = Preprocess()
    model = hook.load(str(tmp_path / "best_model.ubj"))
    served = [
        hook.postprocess(model.predict(hook.preprocess(row, {})), {})["y_raw"]
        for row in raw.head(50).to_dict("records")
    ]
    assert served == table.predict(fitted, np.arange(50)).tolist()


# The preprocessed dataset


def dataset_in(folder: Path) -> SimpleNamespace:
    """What read_training_data asks of a ClearML dataset."""
    return SimpleNamespace(name="preprocessed", version="1.0.0", id="1d", get_local_copy=lambda: str(folder))


@pytest.fixture
def folder(features, labels, keys, tmp_path) -> Path:
    features.to_csv(tmp_path / "X.csv", index=False)
    pd.DataFrame({"Hazardous": labels}).to_csv(tmp_path / "y.csv", index=False)
    pd.DataFrame({"Neo Reference ID": 1, "designation": keys}).to_csv(tmp_path / "groups.csv", index=False)
    return tmp_path


def test_the_files_are_read_as_they_were_written(folder, features, labels):
    keys = [f"{number:04}" for number in range(len(features))]  # no numbers: 0012 is not 12
    pd.DataFrame({"designation": keys}).to_csv(folder / "groups.csv", index=False)
    table, read_keys = read_training_data(dataset_in(folder))
    assert table.features.dtype == np.float32
    assert table.features.tolist() == features.to_numpy(np.float32).tolist()
    assert table.labels.tolist() == labels.tolist()
    assert read_keys.tolist() == keys
    assert table.places.tolist() == draw(keys).tolist()


@pytest.mark.parametrize("name", ["X.csv", "y.csv", "groups.csv"])
def test_a_missing_file_is_named(folder, name):
    (folder / name).unlink()
    with pytest.raises(
        UserError, match=rf"preprocessed 1\.0\.0 \(1d\) is not what preprocessing\.py makes.*{name}"
    ):
        read_training_data(dataset_in(folder))


@pytest.mark.parametrize("name", ["X.csv", "y.csv", "groups.csv"])
def test_features_in_another_order_and_files_of_different_lengths_are_refused(folder, features, name):
    if name == "X.csv":
        features[FEATURES[::-1]].to_csv(folder / name, index=False)
    else:
        (folder / name).write_text((folder / name).read_text().rstrip("\n").rpartition("\n")[0])
    with pytest.raises(UserError, match=r"other features or rows .* run preprocessing\.py again"):
        read_training_data(dataset_in(folder))


# Monitoring


def test_the_metrics_command_is_what_clearml_serving_takes_and_the_same_for_every_model():
    command = metrics_add_command("ID", "asteroid", {"rank of a b": "0,1", "y": "0,1"}, ["model", "sent"])
    assert shlex.split(command) == [
        *["clearml-serving", "--id", "ID", "metrics", "add", "--endpoint", "asteroid", "--variable-scalar"],
        *("rank of a b=0,1", "y=0,1", "--variable-value", "model", "sent"),
    ]
    buckets, values = counted_variables()
    assert buckets["rank of Absolute Magnitude"] == "0,0.1,0.2,0.3,0.4,0.5,0.6,0.7,0.8,0.9,1"
    assert "model" in values
