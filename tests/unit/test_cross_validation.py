"""cross_validation.py: out-of-fold predictions, the number of trees, and tables of any size."""

from clearml_tools.errors import UserError

import numpy as np
import pytest
from sklearn.metrics import log_loss

from asteroids import cross_validation
from asteroids.cross_validation import Table, cross_validate, mean_curves
from asteroids.evaluation import score
from asteroids.frozen_test_set import FOLDS, draw, fold_of, is_test_group
from asteroids.ids import group_key
from asteroids.table_checks import read_labels
from preprocess_serving import FEATURES
from preprocessing import make_features
from tests.support.asteroid_tables import asteroid_table

PARAMETERS = {
    "objective": "binary:logistic",
    "eta": 0.3,
    "max_depth": 2,
    "min_child_weight": 5,
    "subsample": 0.5,
    "seed": 42,
}


@pytest.fixture(scope="module")
def keys() -> list[str]:
    return [str(group_key(None, name)) for name in asteroid_table(asteroids=400)["Name"]]


@pytest.fixture(scope="module")
def table(keys) -> Table:
    rows = asteroid_table(asteroids=400)
    return Table(make_features(rows).to_numpy(np.float32), read_labels(rows).to_numpy(int), draw(keys))


@pytest.fixture(scope="module")
def found(table) -> cross_validation.OutOfFold:
    return cross_validate(table, PARAMETERS, 200, 10)


@pytest.fixture
def large(monkeypatch) -> None:
    """Let a table of this size count as large, and be read in several chunks."""
    monkeypatch.setattr(cross_validation, "LARGE_TABLE_ROWS", 100)
    monkeypatch.setattr(cross_validation, "CHUNK_ROWS", 70)


def test_every_row_outside_the_test_set_is_predicted_in_each_repeat(table, found, keys):
    assert found.rows.tolist() == [row for row, key in enumerate(keys) if not is_test_group(key)]
    assert found.rows.tolist() == table.other_rows.tolist()
    assert found.probabilities.shape == (len(found.rows), cross_validation.REPEATS)
    assert found.probabilities.min() > 0
    assert found.probabilities.max() < 1


def test_a_row_is_predicted_by_a_booster_that_has_not_seen_its_asteroid(table, keys):
    """Other labels for the asteroids of a fold change the predictions of all others, and not of these."""
    in_fold = np.array([not is_test_group(key) and fold_of(key, 0) == 3 for key in keys])
    changed = Table(table.features, np.where(in_fold, 1 - table.labels, table.labels), table.places)
    before, after = (at_rounds(each, 20).probabilities[:, 0] for each in (table, changed))
    kept = in_fold[table.other_rows]
    assert before[kept].tolist() == after[kept].tolist()
    assert (before[~kept] != after[~kept]).mean() > 0.9


def at_rounds(table: Table, rounds: int) -> cross_validation.OutOfFold:
    """Out-of-fold predictions by so many trees: by so many small steps that the last one is the best."""
    found = cross_validate(table, PARAMETERS | {"eta": 0.02}, rounds, rounds)
    assert found.rounds == rounds
    return found


def test_the_number_of_trees_is_that_of_the_least_mean_log_loss(table, found):
    curve = found.curves["validation"]["logloss"]
    assert found.rounds == np.argmin(curve) + 1 < len(curve)
    # The folds are of different sizes, so the mean over the rows is near the mean over the folds, not equal.
    losses = [log_loss(table.labels[found.rows], column) for column in found.probabilities.T]
    assert np.mean(losses) == pytest.approx(min(curve), rel=0.1)


def test_the_predictions_are_of_use(table, found):
    assert score(table.labels[found.rows], found.probabilities.mean(axis=1), 0.5)["PR-AUC"] > 0.95


def test_the_seed_decides_and_the_order_of_rows_does_not_divide_anew(table, found):
    again = cross_validate(table, PARAMETERS, 200, 10)
    other = cross_validate(table, PARAMETERS | {"seed": 7}, 200, 10)
    assert again.probabilities.tolist() == found.probabilities.tolist() != other.probabilities.tolist()
    backwards = Table(table.features[::-1], table.labels[::-1], table.places[::-1])
    assert len(backwards.test_rows) == len(table.test_rows)
    assert backwards.count_groups(backwards.other_rows) == table.count_groups(table.other_rows)


def test_asteroids_are_counted_and_not_rows(table, keys):
    assert table.count_groups(np.arange(len(keys))) == 400 == len(set(keys)) < len(keys)


def test_curves_are_the_means_up_to_the_round_that_all_boosters_reached():
    curves = [{"validation": {"logloss": values}} for values in ([3.0, 2.0, 1.0], [1.0, 1.0])]
    assert mean_curves(curves) == {"validation": {"logloss": [2.0, 1.5]}}


def test_a_fold_without_hazardous_asteroids_is_no_matter_and_xgboost_is_quiet(table, keys, capfd):
    of_class_1 = [fold_of(keys[row], 0) for row in table.other_rows if table.labels[row] == 1]
    assert set(of_class_1) == set(range(FOLDS))
    in_fold = np.array([not is_test_group(key) and fold_of(key, 0) == 3 for key in keys])
    found = cross_validate(Table(table.features, table.labels * ~in_fold, table.places), PARAMETERS, 20, 10)
    assert np.isfinite(found.curves["validation"]["aucpr"]).all()
    assert capfd.readouterr() == ("", "")


def test_of_a_large_table_one_fold_is_predicted_by_histograms(table, keys, large):
    found = cross_validate(table, PARAMETERS, 200, 10)
    assert found.rows.tolist() == [
        row for row, key in enumerate(keys) if not is_test_group(key) and fold_of(key, 0) == 0
    ]
    assert found.probabilities.shape == (len(found.rows), 1)
    assert score(table.labels[found.rows], found.probabilities[:, 0], 0.5)["PR-AUC"] > 0.9
    booster = table.train(PARAMETERS, table.matrix(table.other_rows), found.rounds)
    assert booster.feature_names == FEATURES
    assert booster.num_boosted_rounds() == found.rounds


def test_chunks_change_no_prediction(table, large):
    booster = table.train(PARAMETERS, table.matrix(table.other_rows), 5)
    rows = table.test_rows
    in_one = booster.inplace_predict(table.features[rows], validate_features=False)
    assert len(rows) > cross_validation.CHUNK_ROWS
    assert table.predict(booster, rows).tolist() == in_one.tolist()


@pytest.mark.parametrize("lack", ["a class", "rows"])
def test_too_few_rows_for_folds_are_refused_with_the_remedy(table, lack):
    some = table.other_rows[:3] if lack == "rows" else table.other_rows
    labels = table.labels[some] if lack == "rows" else (np.arange(len(some)) == 0).astype(int)
    few = Table(table.features[some], labels, table.places[some])
    with pytest.raises(UserError, match=f"too few asteroids of a class for {FOLDS} folds: take more rows"):
        cross_validate(few, PARAMETERS, 10, 10)


@pytest.mark.parametrize(("name", "value"), [("max_depth", -1), ("subsample", 2.0)])
def test_a_parameter_that_xgboost_refuses_is_named_in_one_line(table, name, value):
    with pytest.raises(UserError, match=f"XGBoost refuses the parameters: .*{name}") as error:
        cross_validate(table, PARAMETERS | {name: value}, 10, 10)
    assert "\n" not in str(error.value)
