"""promotion.py: which candidate is the best, and what it takes to replace the champion."""

import re
from dataclasses import replace
from functools import cache

import numpy as np
import pandas as pd
import pytest
import xgboost

from asteroids import promotion
from asteroids.evaluation import BASELINES, TEST_SCORES, VALIDATION_SCORES, baseline_metric
from asteroids.promotion import PROBABILITY, Evidence, best_candidate, compare, comparison_table, interval
from global_config import GROUP_KEY_COLUMN, LABEL_COLUMN


@cache
def booster_of_size() -> xgboost.Booster:
    """A model of one feature: class 1 if it is above 0.5, without much doubt."""
    values = np.linspace(0, 1, 200)
    data = xgboost.DMatrix(values[:, None], values > 0.5, feature_names=["size"])
    return xgboost.train({"objective": "binary:logistic", "eta": 1, "max_depth": 1}, data, 3)


def evidence(
    sureness: float, groups: int = 400, wrong: int = 0, seed: int = 0, only: range = range(300)
) -> Evidence:
    """Predictions of up to 300 asteroids, one or two rows each: `sureness` in the truth, with some noise.

    Of the last `wrong` asteroids it is as sure of the contrary. The feature `size` tells the truth.
    """
    numbers = np.repeat(np.arange(300), np.arange(300) % 2 + 1)
    labels = (numbers % 4 == 0).astype(int)
    noise = np.random.default_rng(seed).uniform(-0.04, 0.04, (len(numbers), 2))
    sure = np.where(numbers[:, None] < 300 - wrong, sureness, 1 - sureness) + noise
    probabilities = np.where(labels[:, None] == 1, sure, 1 - sure)
    columns = {GROUP_KEY_COLUMN: [f"asteroid {number}" for number in numbers], LABEL_COLUMN: labels}
    columns |= {f"{PROBABILITY}{repeat}": probabilities[:, repeat] for repeat in range(2)}
    table = pd.DataFrame(columns | {"size": labels.astype(float)})
    return Evidence(table[np.isin(numbers, only)], 0.5, groups, booster_of_size())


def flip(shown: Evidence, share: float) -> Evidence:
    """The same predictions of asteroids of which some have the other label."""
    table = shown.predictions.copy()
    flipped = table[GROUP_KEY_COLUMN].isin(table[GROUP_KEY_COLUMN].unique()[: round(300 * share)])
    table[LABEL_COLUMN] = table[LABEL_COLUMN].where(~flipped, 1 - table[LABEL_COLUMN])
    return replace(shown, predictions=table)


def test_the_same_predictions_are_no_difference():
    comparison = compare(evidence(0.9), evidence(0.9))
    assert not comparison.replaces
    assert comparison.reason.startswith("no difference that can be told: log loss 0.1036 against 0.1036")


@pytest.mark.parametrize("seed", range(1, 6))
def test_luck_alone_replaces_no_champion(seed):
    assert not compare(evidence(0.9, seed=seed), evidence(0.9)).replaces


def test_a_better_model_replaces_the_champion_and_the_reason_has_interval_and_asteroids():
    comparison = compare(evidence(0.95), evidence(0.9))
    assert comparison.replaces
    assert comparison.reason == (
        "it is better: log loss 0.0496 against 0.1036, an improvement between 0.0539 and 0.0541 "
        "(95 % interval; margin 0.0104), 0 errors against 0, on 300 asteroids, out of fold"
    )


def test_a_difference_within_the_margin_is_none_however_certain():
    assert compare(evidence(0.905), evidence(0.9)).reason.startswith("no difference that can be told")


def test_a_worse_model_is_called_worse():
    for worse in (evidence(0.8), evidence(0.8, groups=999)):
        comparison = compare(worse, evidence(0.9))
        assert not comparison.replaces
        assert comparison.reason.startswith("it is worse: log loss 0.2213 against 0.1036")


def test_an_equal_model_of_more_data_replaces_the_champion_and_one_of_less_does_not():
    comparison = compare(evidence(0.9, groups=401, seed=1), evidence(0.9))
    assert comparison.replaces
    assert comparison.reason.startswith(
        "it is no worse and has learned from more asteroids, 401 against 400: "
    )
    assert not compare(evidence(0.9, groups=399, seed=1), evidence(0.9)).replaces


def test_more_data_do_not_excuse_a_model_that_is_a_little_worse_for_certain():
    """A hundred such steps, each within the margin, would end far from the first champion."""
    comparison = compare(evidence(0.895, groups=999), evidence(0.9))
    assert not comparison.replaces
    assert "an improvement between -0.0056 and -0.0056 (95 % interval; margin 0.0104)" in comparison.reason


def test_a_model_that_certainly_makes_more_errors_replaces_nobody_whatever_its_log_loss():
    timid = evidence(0.55, wrong=0)
    bold = replace(evidence(0.95, groups=999), threshold=0.97)  # sure, and misses all hazardous ones
    comparison = compare(bold, timid)
    assert not comparison.replaces
    assert comparison.reason.startswith("it is worse: log loss 0.0496 against 0.5954")


@pytest.mark.parametrize("candidate_is_wrong", [True, False])
def test_asteroids_whose_label_differs_between_the_trainings_decide_nothing(candidate_is_wrong):
    right, wrong = evidence(0.95), flip(evidence(0.9), 0.1)
    model, champion = (wrong, right) if candidate_is_wrong else (right, wrong)
    comparison = compare(model, champion)
    assert comparison.replaces is not candidate_is_wrong
    assert "on 270 asteroids, out of fold; 30 more are left out, as their labels differ" in comparison.reason


def test_models_are_compared_on_the_asteroids_that_both_have_predicted():
    half = evidence(0.95, only=range(100))
    half = replace(half, predictions=half.predictions.sample(frac=1, random_state=0))
    assert " on 100 asteroids" in compare(half, evidence(0.9)).reason
    foreign = replace(half, predictions=half.predictions.assign(**{GROUP_KEY_COLUMN: "another"}))
    comparison = compare(foreign, evidence(0.9))
    assert not comparison.replaces
    assert comparison.reason == "cannot be compared: 0 asteroids were predicted by both, out of fold"


def test_the_reigning_model_predicts_the_asteroids_that_are_new_to_it():
    small = evidence(0.9, groups=20, only=range(20))  # all that it knows
    losses = small.losses_on_new(evidence(0.9).predictions)
    assert list(losses.index.str.split().str[1].astype(int).sort_values()) == list(range(20, 300))
    assert losses["errors"].sum() == 0  # by the feature, which tells the truth
    assert " on 300 asteroids, out of fold; 280 of them are new to the other model" in (
        compare(evidence(0.95), small).reason
    )


def test_new_asteroids_do_not_outweigh_what_both_have_learned_from():
    """Whoever adds many asteroids with wrong labels knows them best, and has forgotten the others."""
    champion = evidence(0.9, groups=50, only=range(50))
    junk = flip(evidence(0.95), 1).predictions
    junk = junk[junk[GROUP_KEY_COLUMN].str.split().str[1].astype(int) >= 50]
    for column in (f"{PROBABILITY}0", f"{PROBABILITY}1"):
        junk[column] = 1 - junk[column]
    spoiled = evidence(0.7, only=range(50))
    spoiled = replace(spoiled, predictions=pd.concat([spoiled.predictions, junk]))
    comparison = compare(spoiled, champion)
    assert not comparison.replaces
    assert comparison.reason.startswith("it is worse on the 50 asteroids that both have learned from: ")


@pytest.mark.parametrize("lack", ["keys", "features"])
def test_what_is_new_counts_only_if_it_can_be_told_and_predicted(lack):
    small = evidence(0.9, groups=21 if lack == "keys" else 20, only=range(20))  # 21: it knows one more
    new = evidence(0.95)
    if lack == "features":
        new = replace(new, predictions=new.predictions.drop(columns="size"))
    assert compare(new, small).reason.endswith(" on 20 asteroids, out of fold")


def test_one_certain_error_counts_no_more_than_a_thousand_to_one():
    odd = evidence(0.9)
    odd.predictions.loc[1, [f"{PROBABILITY}0", f"{PROBABILITY}1"]] = 1.0  # of a label 0
    losses = odd.losses()
    assert losses["loss"].max() == pytest.approx((-np.log(0.001) - np.log(0.9)) / 2, abs=0.05)
    assert losses["errors"].sum() == 0.5  # one of the asteroid's two rows


@pytest.mark.parametrize("value", [np.nan, 1.1, -0.1, "high"])
def test_what_is_no_probability_is_refused(value):
    shown = evidence(0.9)
    with pytest.raises(ValueError, match=r"probabilities|could not convert"):
        replace(shown, predictions=shown.predictions.assign(**{f"{PROBABILITY}1": value}))


@pytest.mark.parametrize("column", [GROUP_KEY_COLUMN, LABEL_COLUMN])
def test_predictions_without_keys_or_labels_are_refused(column):
    shown = evidence(0.9)
    with pytest.raises(ValueError, match=f"lack the column '{column}'"):
        replace(shown, predictions=shown.predictions.drop(columns=column))


def test_predictions_without_a_probability_are_refused():
    shown = evidence(0.9)
    with pytest.raises(ValueError, match=f"its columns '{PROBABILITY}…' do not all hold probabilities"):
        replace(shown, predictions=shown.predictions[[GROUP_KEY_COLUMN, LABEL_COLUMN, "size"]])


def test_a_model_that_names_no_features_predicts_no_new_asteroids():
    shown = evidence(0.9, groups=100, only=range(100))
    nameless = booster_of_size().copy()
    nameless.feature_names = None
    assert " on 100 asteroids, out of fold" in compare(evidence(0.9), replace(shown, booster=nameless)).reason


# Candidates


def test_the_first_candidate_stays_the_best_unless_another_is_better_for_certain():
    assert best_candidate([evidence(0.9), evidence(0.9, seed=1), evidence(0.905)]) == 0
    assert best_candidate([evidence(0.9), evidence(0.95), evidence(0.8)]) == 1


def test_the_interval_is_wider_the_more_candidates_there_are():
    def width(candidates: int, level: str) -> float:
        reason = compare(evidence(0.95, wrong=30), evidence(0.9), candidates).reason
        low, high = re.findall(rf"between (\S+) and (\S+) \({level} % interval", reason)[0]
        return float(high) - float(low)

    assert width(50, "99.9") > 1.3 * width(1, "95")


def test_the_interval_covers_the_mean_as_often_as_it_says():
    generator = np.random.default_rng(0)
    covered = 0
    for _ in range(60):
        low, high = interval(pd.Series(generator.normal(1, 5, 200)), 0.9)
        covered += low < 1 < high
    assert 47 <= covered <= 59  # 54 of 60, give or take three standard errors


def test_of_many_asteroids_the_interval_is_nearly_that_of_the_bootstrap(monkeypatch):
    """Also where one in a hundred has a large loss, and all others hardly any."""
    generator = np.random.default_rng(0)
    differences = pd.Series(np.where(generator.random(2_000) < 0.01, 5.0, generator.normal(0, 0.01, 2_000)))
    resampled = interval(differences, 0.95)
    monkeypatch.setattr(promotion, "MOST_RESAMPLED", 1_000)
    assert interval(differences, 0.95) != resampled
    assert interval(differences, 0.95) == pytest.approx(resampled, abs=0.1 * (resampled[1] - resampled[0]))


# The table


def test_the_table_has_validation_first_and_leaves_out_what_nobody_reported():
    reported = {VALIDATION_SCORES[0]: 0.9, "F1": 0.8, baseline_metric("F1", "rule"): 0.7, "threshold": 0.5}
    table = comparison_table({"a model": reported, "champion": {}}, reported)
    assert list(table.index) == ["a model", "champion", *BASELINES]
    assert list(table) == [*VALIDATION_SCORES, *TEST_SCORES]
    assert list(table["F1"]) == ["0.8000", "", "0.7000", ""]
    assert list(table[VALIDATION_SCORES[0]]) == ["0.9000", "", "", ""]
