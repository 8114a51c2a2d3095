"""evaluation.py: the threshold, the baselines, and the scores."""

import numpy as np
import pandas as pd
import pytest

from asteroids.evaluation import (
    TEST_SCORES,
    VALIDATION_SCORES,
    calibration_error,
    choose_threshold,
    compare_with_baselines,
    rule_of_thumb,
    rule_text,
    score,
    validation_scores,
)

# The baseline


def test_the_rule_of_thumb_includes_its_limits():
    magnitudes, moids = [22, 15, 22.01, 22], [0.05, 0.0, 0.05, 0.0501]
    rows = pd.DataFrame({"Absolute Magnitude": magnitudes, "Minimum Orbit Intersection": moids})
    assert rule_of_thumb(rows).tolist() == [1, 1, 0, 0]


def test_the_rule_is_told_as_it_is_applied():
    assert rule_text() == "Absolute Magnitude <= 22 and Minimum Orbit Intersection <= 0.05"


def test_the_model_stands_beside_the_rule_and_the_majority_class():
    labels, by_rule = np.array([1, 1, 0, 0]), np.array([1, 0, 0, 0])
    table = compare_with_baselines(labels, np.array([0.9, 0.8, 0.1, 0.2]), 0.5, by_rule)
    assert table["recall"].to_dict() == {"model": 1, "rule": 0.5, "majority class": 0}
    nothing_found = {"accuracy": 0.5, "recall": 0, "precision": 0, "F1": 0, "PR-AUC": 0.5, "Brier": 0.5}
    assert table.loc["majority class"].to_dict() == nothing_found | {"calibration error": 0.5}
    assert tuple(table) == TEST_SCORES


# The threshold


def test_the_threshold_moves_as_little_as_it_must():
    labels = np.array([0] * 5 + [1] * 5)
    probabilities = np.array([0.1, 0.6, 0.62, 0.64, 0.66, 0.7, 0.8, 0.85, 0.9, 0.95])
    # One mistake is let pass, 0.66, so the middle of 0.64 and 0.66 does.
    assert choose_threshold(labels, probabilities) == pytest.approx(0.65)


def test_one_odd_row_does_not_move_the_threshold():
    labels = np.array([0] * 50 + [0] + [1] * 50)
    probabilities = np.concatenate([np.linspace(0, 0.3, 50), [0.97], np.linspace(0.6, 1, 50)])
    assert choose_threshold(labels, probabilities) == 0.5


@pytest.mark.parametrize(("missed", "stays"), [(7, True), (9, False)])
def test_of_mistakes_that_nothing_avoids_chance_explains_two_standard_errors(missed, stays):
    """Any threshold makes sixteen mistakes. Up to eight more at 0.5 are chance, so 0.5 stays."""
    probabilities = np.repeat([0.01, 0.01, 0.4, 0.99, 0.99], [8, 500, missed, 500, 8])
    labels = np.repeat([1, 0, 1, 1, 0], [8, 500, missed, 500, 8])
    assert (choose_threshold(labels, probabilities) == 0.5) is stays


def test_the_threshold_of_a_timid_model_is_low():
    labels, probabilities = np.array([0] * 9 + [1] * 9), np.linspace(0.01, 0.18, 18)
    assert choose_threshold(labels, probabilities) == pytest.approx(0.105)  # 0.10 missed is the one mistake


def test_the_threshold_of_a_weak_model_finds_nearly_as_much_as_the_best_one():
    """No probability is above 0.5, and at the best threshold most answers are wrong."""
    labels = np.repeat([0, 1, 0, 1], [900, 40, 100, 60])
    probabilities = np.repeat([0.05, 0.05, 0.4, 0.4], [900, 40, 100, 60])
    assert choose_threshold(labels, probabilities) == pytest.approx(0.225)


# The scores


def test_scores_are_those_of_the_textbook():
    labels = np.array([1, 1, 1, 0, 0, 0, 0, 0])
    probabilities = np.array([0.9, 0.8, 0.2, 0.7, 0.1, 0.1, 0.1, 0.1])
    assert score(labels, probabilities, 0.5) == pytest.approx(
        {
            "accuracy": 6 / 8,
            "recall": 2 / 3,
            "precision": 2 / 3,
            "F1": 2 / 3,
            "PR-AUC": (1 + 1 + 3 / 4) / 3,
            "Brier": (0.01 + 0.04 + 0.64 + 0.49 + 4 * 0.01) / 8,
            "calibration error": (0.1 + 0.2 + 0.8 + 0.7 + 4 * 0.1) / 8,
        }
    )


def test_a_row_at_the_threshold_counts_as_hazardous():
    assert score(np.array([1, 0]), np.array([0.5, 0.4]), 0.5)["recall"] == 1


def test_the_calibration_error_is_that_of_the_means_in_bins_of_equal_width():
    labels = np.array([1, 0, 0, 0, 1, 1])
    probabilities = np.array([0.11, 0.12, 0.13, 0.14, 0.95, 1.0])
    # The first bin has a mean of 0.125 and a share of 1/4; the last one a mean of 0.975 and a share of 1.
    assert calibration_error(labels, probabilities) == pytest.approx((4 * 0.125 + 2 * 0.025) / 6)


def test_perfect_probabilities_have_no_calibration_error():
    probabilities = np.repeat([0.0, 0.25, 1.0], [5, 8, 5])
    labels = np.repeat([0, 1, 0, 1], [5, 2, 6, 5])
    assert calibration_error(labels, probabilities) == 0


def test_validation_scores_are_means_over_the_repeats():
    labels = np.array([1, 0, 0, 0])
    probabilities = np.array([[0.9, 0.5], [0.1, 0.5], [0.1, 0.5], [0.1, 0.5]])
    log_loss, f1 = VALIDATION_SCORES
    expected = {log_loss: -(np.log(0.9) + np.log(0.5)) / 2, f1: (1 + 0.4) / 2}
    assert validation_scores(labels, probabilities, 0.5) == pytest.approx(expected)
