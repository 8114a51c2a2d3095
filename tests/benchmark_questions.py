"""Look for a question in which a model is better than a rule, on asteroids that it has never seen.

    python -m tests.benchmark_questions               # by out-of-fold predictions, outside the test set
    python -m tests.benchmark_questions --test-set    # the same on the frozen test set; not to choose by

Prints a table in Markdown. Errors and log loss are per 1,000 asteroids: each counts once, with the mean over
its rows and the repeats. PR-AUC is in thousandths. The interval is that of the paired difference, by a
bootstrap over asteroids. Limits and probabilities of a baseline are learnt from the model's training rows.
"""

import argparse
import sys
from collections.abc import Callable, Iterator
from typing import NamedTuple
from unittest.mock import patch

import numpy as np
import pandas as pd
import xgboost
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score

from asteroids import cross_validation
from asteroids.evaluation import rule_of_thumb
from asteroids.frozen_test_set import FOLDS, draw, fold_of, is_test_group
from asteroids.ids import group_key
from global_config import GROUP_COLUMN, GROUP_NAME_COLUMN, LABEL_COLUMN, MONOTONE_CONSTRAINTS
from model_training import parse_arguments, xgboost_parameters
from preprocess_serving import FEATURES, RAW_COLUMNS, build_features
from tests.support.checkouts import REPOSITORY
from tests.support.rough_orbits import (
    DRAWS,
    MOID,
    H,
    RoughOrbits,
    distance_at_nodes,
    elements_of,
    moid_of_2025,
    noon,
)

REPEATS = 3
RESAMPLES = 2000  # of the bootstrap
LARGEST_H, LARGEST_MOID = 22, 0.05  # of a hazardous asteroid; AU
NEAR_LIMIT = 0.002  # AU from the largest MOID: where the label is in doubt
# Without the columns that say what the MOID is, or are different at each approach.
ORBIT = [H, "Semi Major Axis", "Eccentricity", "Inclination", "Asc Node Longitude", "Perihelion Arg"]
ORBIT += ["Perihelion Distance", "Aphelion Dist", "Jupiter Tisserand Invariant"]

Predictions = np.ndarray  # (repeats, rows): the probability of class 1; NaN in rows that are not judged
Named = tuple[str, Predictions]  # a model or baseline, and what it predicts


class Split(NamedTuple):
    """Which rows a model is trained on, stopped by, and judged on: masks of shape (rows,)."""

    repeat: int
    train: np.ndarray
    validation: np.ndarray
    judged: np.ndarray


class Table:
    """The shipped table: its features and labels, and how its asteroids are split."""

    def __init__(self, on_test_set: bool) -> None:
        table = pd.read_csv(REPOSITORY / "data" / "nasa.csv")
        columns = {name: table[name].to_numpy() for name in RAW_COLUMNS}
        self.features = pd.DataFrame(build_features(columns), columns=FEATURES)
        self.labels = table[LABEL_COLUMN].to_numpy().astype(int)
        names = zip(table[GROUP_COLUMN], table[GROUP_NAME_COLUMN], strict=True)
        self.keys = [group_key(number, name) for number, name in names]
        self.asteroid = pd.factorize(np.array(self.keys))[0]
        self.jd = noon(table["Close Approach Date"])
        is_test = np.array([is_test_group(key) for key in self.keys])
        self.judged = is_test if on_test_set else ~is_test
        self.splits = list(self.split(is_test, on_test_set))

    def split(self, is_test: np.ndarray, on_test_set: bool) -> Iterator[Split]:
        for repeat in range(REPEATS):
            fold = np.array([fold_of(key, repeat) for key in self.keys])
            for number in [0] if on_test_set else range(FOLDS):
                judged = is_test if on_test_set else ~is_test & (fold == number)
                validation = ~is_test & ~judged & (fold == (number + 1) % FOLDS)
                yield Split(repeat, ~is_test & ~judged & ~validation, validation, judged)

    def predict(self, fit: Callable[[Split], np.ndarray]) -> Predictions:
        """Return what `fit` predicts for the judged rows of each split."""
        found = np.full((REPEATS, len(self.labels)), np.nan)
        for split in self.splits:
            found[split.repeat, split.judged] = fit(split)
        return found

    def per_asteroid(self, losses: np.ndarray) -> np.ndarray:
        """Return the mean loss of each judged asteroid, from those of the repeats and rows."""
        return (
            pd.Series(losses.mean(axis=0)[self.judged]).groupby(self.asteroid[self.judged]).mean().to_numpy()
        )

    def losses(self, figure: str, predictions: Predictions) -> np.ndarray:
        """Return the "errors" or the "log loss" of each judged asteroid."""
        if figure == "errors":
            return self.per_asteroid((predictions >= 0.5) != self.labels)
        likely = np.where(self.labels, predictions, 1 - predictions)
        return self.per_asteroid(-np.log(np.clip(likely, 1e-6, 1)))


# Models and baselines: each gives probabilities for the judged rows


def trees(table: Table, features: pd.DataFrame, falling: list[str]) -> Predictions:
    """XGBoost by model_training.py's defaults; its probability only falls as a column of `falling` grows."""
    with patch.object(sys, "argv", ["model_training.py"]):
        defaults = parse_arguments()
    parameters = xgboost_parameters(defaults) | {"monotone_constraints": dict.fromkeys(falling, -1)}
    # Adds what suits a table of this size: exact splits, in one thread.
    trainer = cross_validation.Table(features.to_numpy(), table.labels, draw(table.keys))

    def fit(split: Split) -> np.ndarray:
        train, validation = (
            xgboost.DMatrix(features[rows], table.labels[rows]) for rows in (split.train, split.validation)
        )
        stop = xgboost.callback.EarlyStopping(rounds=defaults.early_stopping_rounds, save_best=True)
        booster = trainer.train(
            parameters, train, defaults.num_boost_round, evals=[(validation, "validation")], callbacks=[stop]
        )
        return booster.predict(xgboost.DMatrix(features[split.judged]))

    return table.predict(fit)


def logistic_regression(table: Table, features: np.ndarray) -> Predictions:
    def fit(split: Split) -> np.ndarray:
        rows = split.train | split.validation
        scale = features[rows].std(axis=0)
        model = LogisticRegression(C=100, max_iter=2000).fit(features[rows] / scale, table.labels[rows])
        return model.predict_proba(features[split.judged] / scale)[:, 1]

    return table.predict(fit)


def certain(table: Table, answers: np.ndarray) -> Predictions:
    """A rule's own answers, 0 or 1."""
    return np.tile(np.where(table.judged, answers, np.nan), (REPEATS, 1))


def shares(table: Table, kinds: np.ndarray) -> Predictions:
    """One probability for each kind of rows, such as those that a rule takes: the share of hazardous ones."""

    def fit(split: Split) -> np.ndarray:
        rows = split.train | split.validation
        found = pd.DataFrame({"kind": kinds[rows], "label": table.labels[rows]}).groupby("kind")["label"]
        share = (found.sum() + 0.5) / (found.count() + 1)
        return pd.Series(kinds[split.judged]).map(share).fillna(0.5).to_numpy()

    return table.predict(fit)


def best_limit(table: Table, values: np.ndarray, others: np.ndarray) -> Predictions:
    """The rule "not above a limit, and `others`", with the limit that has the fewest errors in training."""

    def fit(split: Split) -> np.ndarray:
        rows = split.train | split.validation
        limits = np.linspace(0.005, 0.5, 100)
        wrong = [(((values <= limit) & others) != table.labels)[rows].sum() for limit in limits]
        return ((values <= limits[np.argmin(wrong)]) & others)[split.judged]

    return table.predict(fit)


# The questions


class Report:
    """Prints a line for each comparison."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self.count = len(set(table.asteroid[table.judged]))
        random = np.random.default_rng(0)
        self.weights = random.multinomial(self.count, np.full(self.count, 1 / self.count), RESAMPLES)

    def begin(self, question: str) -> None:
        print(f"\n**{question}**\n")
        print("| model | baseline | figure | model's | baseline's | difference | asteroids | verdict |")
        print("|---|---|---|---|---|---|---|---|")

    def compare(self, figure: str, model: Named, baseline: Named, among: np.ndarray | None = None) -> None:
        """Print how a model compares with a baseline, among all asteroids or those of the rows in a mask."""
        rows = np.ones(len(self.table.labels)) if among is None else among
        some = self.table.per_asteroid(rows[None, :]) > 0.5
        ours, theirs = (self.table.losses(figure, each[1])[some] for each in (model, baseline))
        weights = self.weights[:, some].astype(float)
        resampled = (weights @ (ours - theirs)) / np.maximum(weights.sum(axis=1), 1)
        self.print_line(figure, model[0], baseline[0], ours.mean(), theirs.mean(), resampled, some.sum())

    def compare_ranking(self, model: Named, baseline: Named) -> None:
        """Print which of the two puts the hazardous asteroids higher."""
        ours, theirs = (self.table.per_asteroid(each[1]) for each in (model, baseline))
        labels = self.table.per_asteroid(self.table.labels[None, :])

        def pr_auc(scores: np.ndarray, weights: np.ndarray | None = None) -> float:
            return average_precision_score(labels, scores, sample_weight=weights)

        resampled = np.array([pr_auc(ours, some) - pr_auc(theirs, some) for some in self.weights[:500]])
        self.print_line(
            "PR-AUC", model[0], baseline[0], pr_auc(ours), pr_auc(theirs), resampled, self.count, sign=-1
        )

    def print_line(
        self,
        figure: str,
        model: str,
        baseline: str,
        ours: float,
        theirs: float,
        resampled: np.ndarray,
        count: int,
        sign: int = 1,
    ) -> None:
        """Print one line of the table; `sign` is -1 for a figure of which more is better."""
        low, high = np.quantile(resampled, [0.025, 0.975]) * 1000
        worst, best = sorted((sign * low, sign * high), reverse=True)
        verdict = "**better**" if worst < 0 else "worse" if best > 0 else "no difference that can be told"
        print(
            f"| {model} | {baseline} | {figure} | {ours * 1000:.1f} | {theirs * 1000:.1f} "
            f"| {(ours - theirs) * 1000:+.1f} ({low:+.1f} to {high:+.1f}) | {count:,} | {verdict} |",
            flush=True,
        )


def ask_about_the_label(table: Table, report: Report) -> None:
    features, falling = table.features, list(MONOTONE_CONSTRAINTS)
    h, moid = features[H].to_numpy(), features[MOID].to_numpy()
    # In tenths of a magnitude and thousandths of an AU: up to 0 the rule is met.
    corner = np.maximum((h - LARGEST_H) / 0.1, (moid - LARGEST_MOID) / 0.001)
    rule = rule_of_thumb(features)
    ours = "the model", trees(table, features, falling)
    with_corner = trees(table, features.assign(corner=corner), [*falling, "corner"])
    told = "the model, told the distance to the corner", with_corner
    linear = "logistic regression on H and MOID", logistic_regression(table, np.column_stack([h, moid]))
    curve = "logistic regression on the distance", logistic_regression(table, np.clip(corner, -5, 5)[:, None])
    by_rule = "the rule", certain(table, rule)
    likely = "the rule, two probabilities", shares(table, rule)

    report.begin("The label, from all columns")
    for model in (ours, told, linear, curve):
        report.compare("errors", model, by_rule)
    for model in (ours, told, linear, curve):
        report.compare("log loss", model, likely)
    report.compare("log loss", ours, curve)
    report.compare_ranking(ours, by_rule)
    report.compare_ranking(ours, ("the distance to the corner", certain(table, -corner)))
    later = (h <= LARGEST_H) & (moid_of_2025(features) <= LARGEST_MOID)
    by_later_rule = "no model: the rule, the Earth's orbit of 2025", certain(table, later)
    report.compare("errors", by_later_rule, by_rule)

    report.begin(f"The same, where H <= {LARGEST_H} and MOID within {NEAR_LIMIT} AU of the limit")
    in_doubt = (h <= LARGEST_H) & (abs(moid - LARGEST_MOID) <= NEAR_LIMIT)
    likely_here = "the rule, two probabilities of these rows", shares(table, rule + 2 * in_doubt)
    report.compare("log loss", ours, likely, in_doubt)
    report.compare("log loss", ours, likely_here, in_doubt)
    report.compare("log loss", curve, likely_here, in_doubt)


def ask_without_moid(table: Table, report: Report) -> None:
    orbit, bright = table.features[ORBIT], table.features[H].to_numpy() <= LARGEST_H
    perihelion, aphelion = orbit["Perihelion Distance"].to_numpy(), orbit["Aphelion Dist"].to_numpy()
    nodes = distance_at_nodes(elements_of(table.features))
    by_nodes = "H, distance at the nodes", best_limit(table, nodes, bright)
    ours = "the model", trees(table, orbit, [H])
    told = "the model, told the distance at the nodes", trees(table, orbit.assign(nodes=nodes), [H])

    report.begin("The label, from H and the elements, as if nobody had computed the MOID")
    report.compare("errors", ours, ("H <= 22", certain(table, bright)))
    by_reach = certain(table, bright & (perihelion <= 1.05) & (aphelion >= 0.98))
    report.compare("errors", ours, ("H <= 22, q <= 1.05, Q >= 0.98", by_reach))
    report.compare("errors", ours, by_nodes)
    report.compare("errors", told, by_nodes)
    report.compare(
        "errors", told, ("the rule: compute the MOID", certain(table, rule_of_thumb(table.features)))
    )


def ask_about_rough_orbits(table: Table, report: Report) -> None:
    for distance_error, speed_error in ((0.2, 2), (0.05, 0.5)):
        rough = RoughOrbits(table.features, table.jd, distance_error, speed_error, seed=5)
        noise = rough.noise()
        seen = rough.find(noise)
        rule = rule_of_thumb(seen)
        ours = "the model", trees(table, seen, [H, MOID])
        drawn = f"the share of {DRAWS} drawn orbits", certain(table, rough.share_of_draws(noise))

        report.begin(
            f"The label, with the distance known to {distance_error:.0%}, the speed to {speed_error} km/s"
        )
        report.compare("errors", ours, ("the rule", certain(table, rule)))
        report.compare("errors", ours, drawn)
        report.compare("log loss", ours, ("the rule, two probabilities", shares(table, rule)))
        report.compare("log loss", ours, drawn)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--test-set", action="store_true", help="judge on the frozen test set")
    arguments = parser.parse_args()
    table = Table(arguments.test_set)
    report = Report(table)
    for ask in (ask_about_the_label, ask_without_moid, ask_about_rough_orbits):
        ask(table, report)


if __name__ == "__main__":
    main()
