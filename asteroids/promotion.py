"""Decide which of several trained models is the best, and whether it takes the champion's place.

model_selection.py gets the models and their figures from ClearML, and carries out what is decided here.
"""

from collections.abc import Mapping, Sequence

import pandas as pd
import xgboost

from asteroids.evaluation import BASELINES, THRESHOLD_ATTRIBUTE, VALIDATION_SCORE, baseline_metric, score
from global_config import LABEL_COLUMN

# A candidate must not be worse than the champion in any of these, on the test set.
DECISIVE_FIGURES = ("PR-AUC", "F1")

TABLE_COLUMNS = [VALIDATION_SCORE, "accuracy", "recall", "precision", "F1", "PR-AUC", "Brier"]

Figures = Mapping[str, float]


def best_candidate(reported: Sequence[Figures]) -> int:
    """Return the number of the candidate with the best validation figure, from what each of them reported."""
    return max(range(len(reported)), key=lambda number: reported[number][VALIDATION_SCORE])


def score_model(model_file: str, test_set: pd.DataFrame) -> dict[str, float]:
    """Return the figures of a model on a test set, whose columns are features and label.

    KeyError or TypeError if the model was trained on other features, or its file has no threshold.
    """
    booster = xgboost.Booster(model_file=model_file)
    probabilities = booster.predict(xgboost.DMatrix(test_set[booster.feature_names]))
    threshold = float(booster.attr(THRESHOLD_ATTRIBUTE))  # type: ignore[arg-type]  # None is a TypeError
    return score(test_set[LABEL_COLUMN].to_numpy(), probabilities, threshold)


def compare(winner: Figures, champion: Figures | None) -> tuple[bool, str]:
    """Return whether the winner may take the champion's place, and why: it must be no worse."""
    if champion is None:
        return True, "there is no champion yet"
    parts, worse = [], []
    for name in DECISIVE_FIGURES:
        new, old, digits = winner[name], champion[name], 4
        while new != old and digits < 17 and f"{new:.{digits}f}" == f"{old:.{digits}f}":
            digits += 1  # as many as it takes to see which one is greater
        parts.append(f"{name} {new:.{digits}f} against {old:.{digits}f}")
        worse += [name] if new < old else []
    reason = f"{', '.join(parts)} on the test set"
    return not worse, f"{reason}: worse in {' and '.join(worse)}" if worse else reason


def comparison_table(models: Mapping[str, Figures], reported: Figures) -> pd.DataFrame:
    """Return the figures of the models, by name, and of the baselines, as text.

    `reported` is what the best candidate's training has reported, its baselines' figures included.
    """
    baselines = {
        baseline: {name: reported.get(baseline_metric(name, baseline)) for name in TABLE_COLUMNS}
        for baseline in BASELINES
    }
    table = pd.DataFrame({**models, **baselines}).T.reindex(columns=TABLE_COLUMNS)
    return table.map(lambda value: "" if pd.isna(value) else f"{value:.4f}")
