"""How a model is scored: the threshold, the scores, and the baselines that it is compared with."""

import operator

import numpy as np
import pandas as pd
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    brier_score_loss,
    f1_score,
    log_loss,
    precision_score,
    recall_score,
)

from global_config import BASELINE_RULE

BASELINES = ("rule", "majority class")  # the rows beside the model's in the table of scores
# Of out-of-fold predictions; the other scores are of the test set.
VALIDATION_SCORES = ("validation log loss", "validation F1")
TEST_SCORES = ("accuracy", "recall", "precision", "F1", "PR-AUC", "Brier", "calibration error")
TRAINING_GROUPS = "training groups"  # how many a model has learned from
MOST_LOST = 0.02  # of what the best threshold finds, for one nearer to 0.5
THRESHOLD_ATTRIBUTE = "threshold"  # of a model file: from this probability on the answer is class 1

OPERATORS = {"<=": operator.le, ">=": operator.ge}


def rule_text() -> str:
    """Return BASELINE_RULE in words, for a plot."""
    return " and ".join(f"{name} {sign} {limit}" for name, (sign, limit) in BASELINE_RULE.items())


def baseline_metric(score_name: str, baseline: str) -> str:
    """Return the name under which a training reports a score of one of BASELINES."""
    return f"{score_name} of the {baseline}"


def rule_of_thumb(features: pd.DataFrame) -> np.ndarray:
    """Return 1 for each row that meets all of BASELINE_RULE, else 0; shape (n,)."""
    met = [OPERATORS[sign](features[name], limit) for name, (sign, limit) in BASELINE_RULE.items()]
    return np.all(met, axis=0).astype(int)


def choose_threshold(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """Return the threshold nearest to 0.5 whose F1 is the best, or below it by no more than chance explains.

    The very best F1 depends on a few odd rows, and its threshold may be near 0 or 1 and do worse on other
    data. Of m mistakes, chance explains two standard errors, twice the square root of m. With one, another
    seed moved the threshold anywhere from 0.2 to 0.7. But of what the best finds, no more than a fiftieth may
    be lost: a weak model makes so many mistakes that chance would explain a threshold at which it finds
    nothing. Candidates are 0.5 and the middle between any two neighbouring probabilities.
    """
    cuts = np.unique(np.concatenate([[0.0], probabilities, [1.0]]))
    candidates = np.append((cuts[:-1] + cuts[1:]) / 2, 0.5)
    positives = probabilities[labels == 1]
    predicted = len(probabilities) - np.searchsorted(np.sort(probabilities), candidates)
    found = len(positives) - np.searchsorted(np.sort(positives), candidates)
    f1 = 2 * found / (predicted + len(positives))
    best = np.argmax(f1)
    mistakes = predicted[best] - found[best] + len(positives) - found[best]
    chance = max(1.0, min(2 * np.sqrt(mistakes), MOST_LOST * found[best]))
    with_more_missed = 2 * (found[best] - chance) / (predicted[best] - chance + len(positives))
    good = candidates[f1 >= with_more_missed - 1e-9]
    return float(good[np.argmin(abs(good - 0.5))])


def calibration_error(labels: np.ndarray, probabilities: np.ndarray, bins: int = 10) -> float:
    """Return the expected calibration error: how far probabilities are from the shares that come true.

    The rows are put into bins of equal width by their probability. Of each bin it takes the distance between
    the mean probability and the share of class 1, and of these the mean over the rows (Naeini et al., 2015).
    """
    numbers = np.minimum((probabilities * bins).astype(int), bins - 1)
    return float(abs(np.bincount(numbers, probabilities - labels)).sum() / len(labels))


def score(labels: np.ndarray, probabilities: np.ndarray, threshold: float) -> dict[str, float]:
    """Return TEST_SCORES of a model or a baseline; a recall or precision of 0/0 counts as 0."""
    predictions = probabilities >= threshold
    return {
        "accuracy": accuracy_score(labels, predictions),
        "recall": recall_score(labels, predictions, zero_division=0),
        "precision": precision_score(labels, predictions, zero_division=0),
        "F1": f1_score(labels, predictions, zero_division=0),
        "PR-AUC": average_precision_score(labels, probabilities),
        "Brier": brier_score_loss(labels, probabilities),
        "calibration error": calibration_error(labels, probabilities),
    }


def validation_scores(labels: np.ndarray, probabilities: np.ndarray, threshold: float) -> dict[str, float]:
    """Return VALIDATION_SCORES: their means over the repeats, the columns of `probabilities` (n, repeats)."""
    of_repeats = [
        (log_loss(labels, column), f1_score(labels, column >= threshold, zero_division=0))
        for column in probabilities.T
    ]
    return dict(zip(VALIDATION_SCORES, np.mean(of_repeats, axis=0).tolist(), strict=True))


def format_scores(scores: pd.DataFrame) -> pd.DataFrame:
    """Return a table of scores as text, with nothing where there is none."""
    return scores.map(lambda value: "" if pd.isna(value) else f"{value:.4f}")


def baseline_answers(by_rule: np.ndarray) -> dict[str, np.ndarray]:
    """Return what each of BASELINES says of some rows; `by_rule` is what rule_of_thumb says of them."""
    return dict(zip(BASELINES, (by_rule, np.zeros(len(by_rule))), strict=True))


def compare_with_baselines(
    labels: np.ndarray, probabilities: np.ndarray, threshold: float, by_rule: np.ndarray
) -> pd.DataFrame:
    """Return the scores as a table: a row for the model and for each of BASELINES.

    `by_rule` is what rule_of_thumb says of the rows.
    """
    rows = {"model": score(labels, probabilities, threshold)}
    rows |= {name: score(labels, answers, 0.5) for name, answers in baseline_answers(by_rule).items()}
    return pd.DataFrame(rows).T
