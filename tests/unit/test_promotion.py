"""promotion.py: which candidate is the best, and what it takes to replace the champion."""

import numpy as np
import pandas as pd
import pytest
import xgboost

from asteroids.evaluation import THRESHOLD_ATTRIBUTE, VALIDATION_SCORE, baseline_metric, score
from asteroids.promotion import best_candidate, compare, comparison_table, score_model
from global_config import LABEL_COLUMN


def test_the_best_candidate_is_chosen_by_validation_data():
    reported = [{VALIDATION_SCORE: 0.8, "PR-AUC": 0.9}, {VALIDATION_SCORE: 0.9, "PR-AUC": 0.7}]
    assert best_candidate(reported) == 1


def test_the_first_winner_becomes_champion():
    assert compare({"PR-AUC": 0.5, "F1": 0.5}, None) == (True, "there is no champion yet")


@pytest.mark.parametrize(
    ("winner", "promoted"),
    [
        ({"PR-AUC": 0.99, "F1": 0.98}, True),  # the same is no worse
        ({"PR-AUC": 0.995, "F1": 0.98}, True),
        ({"PR-AUC": 0.995, "F1": 0.979}, False),
        ({"PR-AUC": 0.989, "F1": 0.99}, False),
    ],
)
def test_a_winner_replaces_the_champion_only_if_it_is_worse_in_nothing(winner, promoted):
    assert compare(winner, {"PR-AUC": 0.99, "F1": 0.98})[0] is promoted


@pytest.mark.parametrize(
    ("winner", "champion", "figures"),
    [(0.9, 0.95, "0.9000 against 0.9500"), (0.9983214, 0.9983216, "0.998321 against 0.998322")],
)
def test_a_refusal_says_in_what_the_winner_is_worse_in_digits_that_differ(winner, champion, figures):
    promoted, reason = compare({"PR-AUC": winner, "F1": 0.99}, {"PR-AUC": champion, "F1": 0.98})
    assert not promoted
    assert reason == f"PR-AUC {figures}, F1 0.9900 against 0.9800 on the test set: worse in PR-AUC"


@pytest.fixture
def test_set() -> pd.DataFrame:
    values = np.linspace(0, 1, 40)
    return pd.DataFrame({"other": values[::-1], "size": values, LABEL_COLUMN: (values > 0.5).astype(int)})


def model_file(folder, test_set: pd.DataFrame, **attributes: str) -> str:
    data = xgboost.DMatrix(test_set[["size"]], test_set[LABEL_COLUMN])
    booster = xgboost.train({"objective": "binary:logistic", "min_child_weight": 0}, data, 5)
    booster.set_attr(**attributes)
    booster.save_model(folder / "model.ubj")
    return str(folder / "model.ubj")


def test_a_model_is_scored_as_in_training_with_its_own_threshold_and_features(tmp_path, test_set):
    figures = score_model(model_file(tmp_path, test_set, **{THRESHOLD_ATTRIBUTE: "0.999"}), test_set)
    assert figures.keys() == score(np.array([0, 1]), np.array([0.1, 0.9]), 0.5).keys()
    assert (figures["PR-AUC"], figures["recall"]) == (1, 0)


@pytest.mark.parametrize("lack", ["threshold", "features"])
def test_a_model_that_cannot_be_scored_is_an_error(tmp_path, test_set, lack):
    attributes = {} if lack == "threshold" else {THRESHOLD_ATTRIBUTE: "0.5"}
    file = model_file(tmp_path, test_set, **attributes)
    with pytest.raises((KeyError, TypeError)):
        score_model(file, test_set if lack == "threshold" else test_set.drop(columns="size"))


def test_the_table_has_models_and_baselines_and_leaves_out_what_nobody_reported():
    reported = {VALIDATION_SCORE: 0.9, "F1": 0.8, baseline_metric("F1", "rule"): 0.7}
    table = comparison_table({"a model": reported, "champion": {}}, reported)
    assert list(table.index) == ["a model", "champion", "rule", "majority class"]
    assert list(table["F1"]) == ["0.8000", "", "0.7000", ""]
    assert list(table[VALIDATION_SCORE]) == ["0.9000", "", "", ""]
