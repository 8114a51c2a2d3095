"""model_training.py: the training, the model file, and what monitoring is told."""

import shlex
from pathlib import Path
from types import SimpleNamespace

from clearml_tools.errors import UserError

import numpy as np
import pandas as pd
import pytest
import xgboost

from asteroids.drift import decile_edges, format_edges
from asteroids.evaluation import score
from asteroids.frozen_test_set import split_by_group
from clearml_tools.serving_commands import metrics_add_command
from model_training import (
    check_arguments,
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
    arguments = {
        "random_state": 42,
        "eta": 0.1,
        "max_depth": 3,
        "min_child_weight": 1.0,
        "subsample": 0.5,
        "colsample_bytree": 0.8,
        "reg_lambda": 1.0,
        "gamma": 0.0,
        "monotone": "yes",
    }
    return xgboost_parameters(SimpleNamespace(**(arguments | changes)))


def fit(features, labels, asteroids, **changes) -> tuple[xgboost.Booster, dict]:
    """A booster trained on the table's training rows for at most 200 rounds."""
    train_rows, validation_rows, _ = split_by_group(asteroids, 0.25, 42)
    return train(features, labels, train_rows, validation_rows, parameters(**changes), 200, 20)


@pytest.fixture(scope="module")
def fitted(features, labels, asteroids) -> tuple[xgboost.Booster, dict]:
    return fit(features, labels, asteroids)


# The training


def test_the_same_seed_gives_the_same_bytes(fitted, features, labels, asteroids, tmp_path):
    save_model(fitted[0], tmp_path / "first.ubj", 0.5)
    save_model(fit(features, labels, asteroids)[0], tmp_path / "second.ubj", 0.5)
    assert (tmp_path / "first.ubj").read_bytes() == (tmp_path / "second.ubj").read_bytes()


def test_another_seed_gives_another_model(fitted, features, labels, asteroids, tmp_path):
    save_model(fitted[0], tmp_path / "first.ubj", 0.5)
    save_model(fit(features, labels, asteroids, random_state=7)[0], tmp_path / "second.ubj", 0.5)
    assert (tmp_path / "first.ubj").read_bytes() != (tmp_path / "second.ubj").read_bytes()


def test_the_booster_ends_with_its_best_round_on_validation_data(fitted):
    booster, curves = fitted
    assert set(curves) == {"train", "validation"}
    assert set(curves["validation"]) == {"aucpr", "logloss"}
    assert booster.num_boosted_rounds() == np.argmin(curves["validation"]["logloss"]) + 1


def test_the_model_learns(fitted, features, labels, asteroids):
    booster, _ = fitted
    _, _, test = split_by_group(asteroids, 0.25, 42)
    probabilities = booster.predict(xgboost.DMatrix(features.iloc[test]))
    assert score(labels[test], probabilities, 0.5)["PR-AUC"] > 0.95


@pytest.mark.parametrize("feature", ["Absolute Magnitude", "Minimum Orbit Intersection"])
def test_more_of_it_never_makes_an_asteroid_more_hazardous(fitted, features, feature):
    booster, _ = fitted
    values = np.linspace(features[feature].min(), features[feature].max(), 200)
    for row in range(20):
        changed = features.iloc[[row] * 200].assign(**{feature: values})
        assert (np.diff(booster.predict(xgboost.DMatrix(changed))) <= 1e-7).all()


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"max_depth": -1}, "max_depth"),
        ({"subsample": 2.0}, "subsample"),
        ({"eta": -1.0}, "eta|learning_rate"),
    ],
)
def test_a_parameter_that_xgboost_refuses_is_named_in_one_line(features, labels, asteroids, change, named):
    with pytest.raises(UserError, match=f"XGBoost refuses the parameters: .*({named})") as error:
        fit(features, labels, asteroids, **change)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("option", "value", "told"),
    [
        ("random_state", -1, "--random-state -1 is not from 0 to 4294967295"),
        ("random_state", 2**32, "--random-state 4294967296 is not from 0 to 4294967295"),
        ("eta", 0.0, "--eta 0 is not above 0, and 1 at most"),
        ("eta", float("nan"), "--eta nan is not above 0, and 1 at most"),
        ("eta", 2.0, "--eta 2 is not above 0, and 1 at most"),
    ],
)
def test_an_argument_that_cannot_be_meant_is_named(option, value, told):
    arguments = SimpleNamespace(**{"random_state": 42, "eta": 0.05, option: value})
    with pytest.raises(UserError) as error:
        check_arguments(arguments)
    assert str(error.value) == told


@pytest.mark.parametrize("rounds", [(0, 10), (10, 0), (-1, 10)])
def test_less_than_one_round_is_refused(features, labels, asteroids, rounds):
    train_rows, validation_rows, _ = split_by_group(asteroids, 0.25, 42)
    with pytest.raises(UserError, match="--num-boost-round and --early-stopping-rounds must be 1 or more"):
        train(features, labels, train_rows, validation_rows, parameters(), *rounds)


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
    read_features, read_labels, read_asteroids = read_training_data(dataset_in(folder))
    assert read_features.equals(features)
    assert read_labels.tolist() == labels.tolist()
    assert read_asteroids.tolist() == asteroids.astype(str).tolist()


def test_ids_keep_their_leading_zeros(folder, asteroids):
    ids = [f"{number:04}" for number in range(len(asteroids))]
    asteroids.to_frame().assign(**{"Neo Reference ID": ids}).to_csv(folder / "groups.csv", index=False)
    assert read_training_data(dataset_in(folder))[2].tolist() == ids


def test_numbers_are_read_to_their_last_digit(folder, features):
    features["avg_dia"] = 0.04097352393619469  # pandas 3.0 and older read 0.0409735239361946
    features.to_csv(folder / "X.csv", index=False)
    assert set(read_training_data(dataset_in(folder))[0]["avg_dia"]) == {0.04097352393619469}


@pytest.mark.parametrize("name", ["X.csv", "y.csv", "groups.csv"])
def test_a_missing_file_is_named(folder, name):
    (folder / name).unlink()
    with pytest.raises(
        UserError, match=rf"preprocessed 1\.0\.0 \(1d\) is not what preprocessing\.py makes.*{name}"
    ):
        read_training_data(dataset_in(folder))


@pytest.mark.parametrize("name", ["y.csv", "groups.csv"])
def test_files_of_different_lengths_are_refused(folder, name):
    lines = (folder / name).read_text().splitlines()
    (folder / name).write_text("\n".join(lines[:-1]))
    with pytest.raises(UserError, match=r"other features or rows .* run preprocessing\.py again"):
        read_training_data(dataset_in(folder))


def test_features_in_another_order_are_refused(folder, features):
    features[FEATURES[::-1]].to_csv(folder / "X.csv", index=False)
    with pytest.raises(UserError, match="other features or rows"):
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
    edges = {"Absolute Magnitude": format_edges([18.123456789, 22.0]), "y": "0,1"}
    command = "clearml-serving --id ID metrics add --endpoint asteroid --variable-scalar"
    scalars = ["Absolute Magnitude=18.1235,22", "y=0,1"]
    assert shlex.split(metrics_add_command("ID", "asteroid", edges)) == [*command.split(), *scalars]
