"""model_training.py: the training, the model file, and what monitoring is told."""

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

from asteroids.drift import decile_edges, format_edges
from asteroids.evaluation import score
from asteroids.frozen_test_set import split_by_group
from clearml_tools.shell_commands import metrics_add_command
from model_training import (
    check_arguments,
    parse_arguments,
    read_training_data,
    save_model,
    train,
    xgboost_parameters,
)
from preprocess_serving import FEATURES, Preprocess
from preprocessing import make_features, make_labels
from tests.support.asteroid_tables import asteroid_table


@pytest.fixture(autouse=True)
def own_cache(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("CLEARML_CACHE_DIR", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return asteroid_table(asteroids=400)


@pytest.fixture(scope="module")
def asteroids(table) -> pd.Series:
    return table["Neo Reference ID"]


@pytest.fixture(scope="module")
def features(table) -> pd.DataFrame:
    return make_features(table)


@pytest.fixture(scope="module")
def labels(table) -> np.ndarray:
    return make_labels(table)["Hazardous"].to_numpy()


def parameters(**changes) -> dict:
    """XGBoost's parameters as the script makes them of its arguments."""
    with patch.object(sys, "argv", ["model_training.py"]):
        return xgboost_parameters(SimpleNamespace(**(vars(parse_arguments()) | changes)))


def fit(features, labels, asteroids, **changes) -> tuple[xgboost.Booster, dict]:
    """A booster trained on the table's training rows for at most 200 rounds."""
    train_rows, validation_rows, _ = split_by_group(asteroids, 0.25, 42)
    return train(features, labels, train_rows, validation_rows, parameters(**changes), 200, 20)


@pytest.fixture(scope="module")
def fitted(features, labels, asteroids) -> tuple[xgboost.Booster, dict]:
    return fit(features, labels, asteroids)


# The training


def test_the_same_seed_gives_the_same_bytes_and_another_others(fitted, features, labels, asteroids, tmp_path):
    def file(booster: xgboost.Booster) -> bytes:
        save_model(booster, tmp_path / "model.ubj", 0.5)
        return (tmp_path / "model.ubj").read_bytes()

    again, other = (fit(features, labels, asteroids, random_state=seed)[0] for seed in (42, 7))
    assert file(fitted[0]) == file(again) != file(other)


def test_the_booster_ends_with_its_best_round_on_validation_data(fitted):
    booster, curves = fitted
    assert set(curves) == {"train", "validation"}
    assert set(curves["validation"]) == {"aucpr", "logloss"}
    assert booster.num_boosted_rounds() == np.argmin(curves["validation"]["logloss"]) + 1


def test_the_model_learns(fitted, features, labels, asteroids):
    _, _, test = split_by_group(asteroids, 0.25, 42)
    probabilities = fitted[0].predict(xgboost.DMatrix(features.iloc[test]))
    assert score(labels[test], probabilities, 0.5)["PR-AUC"] > 0.95


@pytest.mark.parametrize("feature", ["Absolute Magnitude", "Minimum Orbit Intersection"])
def test_more_of_it_never_makes_an_asteroid_more_hazardous(fitted, features, feature):
    values = np.linspace(features[feature].min(), features[feature].max(), 200)
    for row in range(20):
        changed = features.iloc[[row] * 200].assign(**{feature: values})
        assert (np.diff(fitted[0].predict(xgboost.DMatrix(changed))) <= 1e-7).all()


@pytest.mark.parametrize(("name", "value"), [("max_depth", -1), ("subsample", 2.0)])
def test_a_parameter_that_xgboost_refuses_is_named_in_one_line(features, labels, asteroids, name, value):
    with pytest.raises(UserError, match=f"XGBoost refuses the parameters: .*{name}") as error:
        fit(features, labels, asteroids, **{name: value})
    assert "\n" not in str(error.value)


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
        check_arguments(SimpleNamespace(**{"random_state": 42, "eta": 0.05, option: value}))


@pytest.mark.parametrize("rounds", [(0, 10), (10, 0)])
def test_less_than_one_round_is_refused(features, labels, rounds):
    with pytest.raises(UserError, match="--num-boost-round and --early-stopping-rounds must be 1 or more"):
        train(features, labels, np.arange(10), np.arange(10), parameters(), *rounds)


# The model file


def test_the_file_holds_what_serving_needs(fitted, tmp_path):
    booster, _ = fitted
    save_model(booster, tmp_path / "best_model.ubj", threshold=0.123456789012345)
    read = xgboost.Booster(model_file=tmp_path / "best_model.ubj")
    assert read.attr("threshold") == "0.123456789012345"
    assert read.attr("xgboost_version") == xgboost.__version__
    assert read.feature_names == FEATURES


def test_the_hook_predicts_from_the_file_what_the_training_did(fitted, features, table, tmp_path):
    booster, _ = fitted
    save_model(booster, tmp_path / "best_model.ubj", threshold=0.5)
    hook = Preprocess()
    model = hook.load(str(tmp_path / "best_model.ubj"))
    served = [
        hook.postprocess(model.predict(hook.preprocess(row, {})), {})["y_raw"]
        for row in table.head(50).to_dict("records")
    ]
    assert served == booster.predict(xgboost.DMatrix(features.head(50))).tolist()


# The preprocessed dataset


def dataset_in(folder: Path) -> SimpleNamespace:
    """What read_training_data asks of a ClearML dataset."""
    return SimpleNamespace(name="preprocessed", version="1.0.0", id="1d", get_local_copy=lambda: str(folder))


@pytest.fixture
def folder(features, labels, asteroids, tmp_path) -> Path:
    features.to_csv(tmp_path / "X.csv", index=False)
    pd.DataFrame({"Hazardous": labels}).to_csv(tmp_path / "y.csv", index=False)
    asteroids.to_frame().to_csv(tmp_path / "groups.csv", index=False)
    return tmp_path


def test_the_files_are_read_as_they_were_written(folder, features, labels, asteroids):
    features = features.assign(avg_dia=0.04097352393619469)  # pandas 3.0 and older read 0.0409735239361946
    features.to_csv(folder / "X.csv", index=False)
    ids = [f"{number:04}" for number in range(len(asteroids))]
    asteroids.to_frame().assign(**{"Neo Reference ID": ids}).to_csv(folder / "groups.csv", index=False)
    read_features, read_labels, read_ids = read_training_data(dataset_in(folder))
    assert read_features.equals(features)
    assert read_labels.tolist() == labels.tolist()
    assert read_ids.tolist() == ids


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


def test_decile_edges_cut_the_data_into_tenths():
    values = pd.Series(np.random.default_rng(0).normal(size=1000))
    edges = decile_edges(values)
    assert len(edges) == 9
    counts, _ = np.histogram(values, [-np.inf, *edges, np.inf])
    assert counts.tolist() == [100] * 10


@pytest.mark.parametrize(
    ("values", "distinct"), [([0] * 85 + [5] * 15, 2), ([2458000 + day / 100 for day in range(100)], 1)]
)
def test_a_feature_with_fewer_than_ten_buckets_cannot_be_watched(values, distinct):
    with pytest.raises(UserError, match=rf"'length', whose values repeat .* \(only {distinct} of 9 deciles"):
        decile_edges(pd.Series(values, name="length"))


def test_the_metrics_command_is_what_clearml_serving_takes():
    edges = {"Absolute Magnitude": format_edges([18.123456789, 22.0])}
    command = "clearml-serving --id ID metrics add --endpoint asteroid --variable-scalar"
    scalars = ["Absolute Magnitude=18.1235,22", "y=0,1"]
    assert shlex.split(metrics_add_command("ID", "asteroid", edges)) == [*command.split(), *scalars]
