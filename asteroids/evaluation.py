"""How models are judged: on asteroids that they never saw, with a threshold, beside baselines.

Asteroids come close more than once, and the rows of one must never be on both sides of a split, or a model
would be asked what it has been told. A hash of the asteroid's id sets a fifth of the asteroids aside as the
test set: the same ones for every run, seed and later model. The rest is split at random into training data
and validation data.
"""

import hashlib

from clearml_tools.errors import UserError

import numpy as np
import pandas as pd
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    brier_score_loss,
    f1_score,
    precision_score,
    recall_score,
)
from sklearn.model_selection import GroupShuffleSplit

from asteroids.ids import asteroid_id

TEST_SHARE = 0.2


def is_test_asteroid(value: object) -> bool:
    """Whether an asteroid belongs to the test set: decided by its id alone, for ever and on any machine.

    However the id is written; UserError if it is none.
    """
    text = asteroid_id(value)
    if text is None:
        raise UserError(f"{value!r} is no asteroid's id, which is a whole number such as 2446862")
    digest = hashlib.sha256(text.encode()).digest()
    return int.from_bytes(digest[:8], "big") < TEST_SHARE * 2**64


def split_by_asteroid(
    asteroids: pd.Series, validation_size: float, random_state: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Row numbers of the training, validation and test data; no asteroid is in two of them.

    `validation_size` is the share of the asteroids outside the test set that go into validation. UserError
    if it leaves no asteroid for one of the two.
    """
    in_test = asteroids.map(is_test_asteroid).to_numpy(bool)
    rest, test = np.flatnonzero(~in_test), np.flatnonzero(in_test)
    # The splitter draws from the sorted ids: in the order of numbers, be they numbers or text.
    asteroids = asteroids.map(asteroid_id)
    ids = sorted(asteroids.unique(), key=lambda text: (len(text), text))
    ranks = asteroids.map({text: rank for rank, text in enumerate(ids)})
    try:
        splitter = GroupShuffleSplit(n_splits=1, test_size=validation_size, random_state=random_state)
        train, validation = next(splitter.split(rest, groups=ranks.iloc[rest]))
    except ValueError as error:
        raise UserError(
            f"the data cannot be split with --validation-size {validation_size}: {error}"
        ) from error
    return rest[train], rest[validation], test


def rule_of_thumb(features: pd.DataFrame) -> np.ndarray:
    """What the definition says of each row, 1 or 0: large (H at most 22) and close (MOID at most 0.05 au)."""
    return (
        (features["Absolute Magnitude"] <= 22) & (features["Minimum Orbit Intersection"] <= 0.05)
    ).to_numpy(int)


def choose_threshold(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """The threshold nearest to 0.5 whose F1 is the best there is, or falls short of it by a single mistake.

    The very best F1 is often a matter of one odd row, and follows it to thresholds near 0 or 1 that do
    worse on other data. Candidates are 0.5 and the middles between neighbouring probabilities.
    """
    cuts = np.unique(np.concatenate([[0.0], probabilities, [1.0]]))
    candidates = np.append((cuts[:-1] + cuts[1:]) / 2, 0.5)
    hazardous = probabilities[labels == 1]
    answered = len(probabilities) - np.searchsorted(np.sort(probabilities), candidates)
    found = len(hazardous) - np.searchsorted(np.sort(hazardous), candidates)
    f1 = 2 * found / (answered + len(hazardous))
    best = np.argmax(f1)
    with_one_missed = 2 * (found[best] - 1) / (answered[best] - 1 + len(hazardous))
    good = candidates[f1 >= with_one_missed - 1e-9]
    return float(good[np.argmin(abs(good - 0.5))])


def score(labels: np.ndarray, probabilities: np.ndarray, threshold: float) -> dict[str, float]:
    """The figures that a model or a baseline is judged by; a recall or precision of 0/0 counts as 0."""
    answers = probabilities >= threshold
    return {
        "accuracy": accuracy_score(labels, answers),
        "recall": recall_score(labels, answers, zero_division=0),
        "precision": precision_score(labels, answers, zero_division=0),
        "F1": f1_score(labels, answers, zero_division=0),
        "PR-AUC": average_precision_score(labels, probabilities),
        "Brier": brier_score_loss(labels, probabilities),
    }
