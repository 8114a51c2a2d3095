"""Train XGBoost by repeated, grouped cross-validation: predictions of rows that no tree has learned from.

The rows outside the test set are divided into folds, by group. For each fold a booster learns from the others
and predicts this one, so every row gets an out-of-fold prediction. All of it is repeated with another
division. These predictions say when to stop and choose the threshold, and promotion.py compares models by
them. The folds are the same ones for every run (frozen_test_set.py).

Of a table of more than LARGE_TABLE_ROWS rows, one fold has as many rows as the whole shipped table. So
only one is predicted; and XGBoost looks at histograms, not at every split.
"""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from clearml_tools.errors import UserError

import numpy as np
import xgboost

from asteroids.frozen_test_set import FOLDS, TEST_SHARE
from global_config import GROUPS, LARGE_TABLE_ROWS
from preprocess_serving import FEATURES

REPEATS = 2

LEAST_PROGRESS = 1e-4  # of the log loss out of fold: a round that brings less does not count
CHUNK_ROWS = 500_000

Curves = dict[str, dict[str, list[float]]]  # {"train" or "validation": {metric: [value of each round]}}


@dataclass(frozen=True)
class Table:
    """What XGBoost learns from: a row for each row of the preprocessed dataset.

    `features` (n, 19) in 32-bit floats, `labels` (n,), and `places` (n, 4), drawn from the keys of the
    groups.
    """

    features: np.ndarray
    labels: np.ndarray
    places: np.ndarray

    @property
    def is_large(self) -> bool:
        return len(self.labels) > LARGE_TABLE_ROWS

    @property
    def in_test_set(self) -> np.ndarray:
        return self.places[:, 0] < TEST_SHARE

    @property
    def test_rows(self) -> np.ndarray:
        return np.flatnonzero(self.in_test_set)

    @property
    def other_rows(self) -> np.ndarray:
        return np.flatnonzero(~self.in_test_set)

    def count_groups(self, rows: np.ndarray) -> int:
        return len(np.unique(self.places[rows, 0]))

    def matrix(self, rows: np.ndarray, like: xgboost.DMatrix | None = None) -> xgboost.DMatrix:
        """Return these rows as XGBoost takes them; a large table in chunks, so that there is no second copy.

        `like` is the matrix that is trained on: a large one has the bins.
        """
        if self.is_large:
            return xgboost.QuantileDMatrix(RowChunks(self, rows), ref=like)
        return xgboost.DMatrix(self.features[rows], self.labels[rows], feature_names=FEATURES, nthread=1)

    def train(
        self, parameters: dict[str, Any], matrix: xgboost.DMatrix, rounds: int, **options: Any
    ) -> xgboost.Booster:
        """Call xgboost.train with what suits the size of the table; UserError if it refuses a parameter."""
        if self.is_large:  # PR-AUC sorts all rows in each round
            method: dict[str, Any] = {"tree_method": "hist", "eval_metric": ["logloss"]}
        else:
            # Splits between any two rows, not at bins: the definition of hazardous has sharp limits. In one
            # thread, as the last digits of a sum over threads vary, and one seed must give one file.
            # The last metric decides when to stop: PR-AUC is near 1 long before the probabilities are right.
            method = {"tree_method": "exact", "nthread": 1, "eval_metric": ["aucpr", "logloss"]}
        try:
            quiet = {"verbosity": 0}  # it warns in each round of a fold of one class, which has no PR-AUC
            return xgboost.train(
                {**parameters, **method, **quiet}, matrix, rounds, verbose_eval=False, **options
            )
        except xgboost.core.XGBoostError as error:
            raise UserError(f"XGBoost refuses the parameters: {' '.join(str(error).split())}") from error

    def predict(self, booster: xgboost.Booster, rows: np.ndarray, rounds: int = 0) -> np.ndarray:
        """Return the probability of class 1 by the first `rounds` trees, or by all; shape (len(rows),)."""
        chunks = (
            self.features[rows[start : start + CHUNK_ROWS]] for start in range(0, len(rows), CHUNK_ROWS)
        )
        return np.concatenate(
            [
                booster.inplace_predict(chunk, iteration_range=(0, rounds), validate_features=False)
                for chunk in chunks
            ]
        )


class RowChunks(xgboost.DataIter):
    """Hands some rows of the table to XGBoost, chunk by chunk."""

    def __init__(self, table: Table, rows: np.ndarray) -> None:
        super().__init__()
        self.table, self.rows, self.start = table, rows, 0

    def next(self, input_data: Callable[..., Any]) -> bool:
        """Hand over the next chunk; return whether there was one."""
        rows = self.rows[self.start : self.start + CHUNK_ROWS]
        self.start += CHUNK_ROWS
        if len(rows):
            features, labels = self.table.features[rows], self.table.labels[rows]
            input_data(data=features, label=labels, feature_names=FEATURES)
        return len(rows) > 0

    def reset(self) -> None:
        """Begin again: XGBoost goes over the rows several times."""
        self.start = 0


@dataclass(frozen=True)
class OutOfFold:
    """What cross-validation found: `probabilities` (len(rows), repeats) are those of class 1 for `rows`."""

    rows: np.ndarray
    probabilities: np.ndarray
    rounds: int  # trees with the least mean log loss
    curves: Curves  # means over the boosters


def cross_validate(
    table: Table, parameters: dict[str, Any], num_boost_round: int, early_stopping_rounds: int
) -> OutOfFold:
    """Return the out-of-fold predictions; UserError if XGBoost refuses a parameter, or a fold is too small.

    All boosters predict with the same number of trees, the one with the least mean log loss: so no booster
    stops where its own fold happens to look best.
    """
    divisions = [(0, 0)] if table.is_large else list(np.ndindex(REPEATS, FOLDS))
    in_test_set = table.in_test_set
    folds = (table.places[:, 1:] * FOLDS).astype(np.int8)

    def train_without(repeat: int, fold: int) -> tuple[np.ndarray, xgboost.Booster, Curves]:
        held_out = ~in_test_set & (folds[:, repeat] == fold)
        training, validation = np.flatnonzero(~in_test_set & ~held_out), np.flatnonzero(held_out)
        if not len(validation) or set(table.labels[training]) != {0, 1}:
            raise UserError(
                f"there are too few {GROUPS} of a class for {FOLDS} folds: take more rows into the dataset"
            )
        matrix, curves = table.matrix(training), Curves()
        booster = table.train(
            parameters,
            matrix,
            num_boost_round,
            evals=[(matrix, "train"), (table.matrix(validation, like=matrix), "validation")],
            evals_result=curves,
            callbacks=[
                xgboost.callback.EarlyStopping(rounds=early_stopping_rounds, min_delta=LEAST_PROGRESS)
            ],
        )
        return validation, booster, curves

    with ThreadPoolExecutor(os.cpu_count()) as threads:
        trained = list(threads.map(train_without, *zip(*divisions, strict=True)))
    curves = mean_curves([curves for _, _, curves in trained])
    rounds = int(np.argmin(curves["validation"]["logloss"])) + 1
    rows = np.unique(np.concatenate([validation for validation, _, _ in trained]))
    probabilities = np.zeros((len(rows), divisions[-1][0] + 1))
    for (repeat, _), (validation, booster, _) in zip(divisions, trained, strict=True):
        predicted = table.predict(booster, validation, rounds)
        probabilities[np.searchsorted(rows, validation), repeat] = predicted
    return OutOfFold(rows, probabilities, rounds, curves)


def mean_curves(curves: Sequence[Curves]) -> Curves:
    """Return the mean of several boosters' learning curves, up to the last round that all of them have.

    A fold of one class has no PR-AUC: the mean is that of the others.
    """

    def mean(data: str, metric: str) -> list[float]:
        return [
            float(np.nanmean(values))
            for values in zip(*(each[data][metric] for each in curves), strict=False)
        ]

    return {data: {metric: mean(data, metric) for metric in metrics} for data, metrics in curves[0].items()}
