"""How often another model replaces the champion: rightly, or by luck.

    .venv/bin/python -m tests.benchmark_promotion

For each row of the table it trains ten champions and ten candidates by model_training.py's own functions,
each with a seed of its own (which draws the part of the data, too), and lets asteroids/promotion.py decide
about all pairs. Beside it stands what one test set would have decided: "no worse in PR-AUC and F1".
"""

import argparse
import itertools
import sys
from functools import cache
from unittest.mock import patch

import numpy as np

from asteroids.cross_validation import Table
from asteroids.evaluation import score
from asteroids.frozen_test_set import draw
from asteroids.ids import group_key
from asteroids.promotion import Evidence, best_candidate, compare
from asteroids.table_checks import read_labels
from model_training import learn, out_of_fold_table, parse_arguments
from preprocessing import make_features
from tests.support.asteroid_tables import shipped_table

Trained = tuple[Evidence, dict[str, float]]  # what promotion looks at, and the scores on the test set


@cache
def keys() -> np.ndarray:
    table = shipped_table()
    return np.array([group_key(*pair) for pair in zip(table["Neo Reference ID"], table["Name"], strict=True)])


@cache
def table() -> Table:
    rows = shipped_table()
    return Table(make_features(rows).to_numpy(np.float32), read_labels(rows).to_numpy(int), draw(keys()))


def some_asteroids(share: float, seed: int) -> np.ndarray:
    """Whether each row is of one of the asteroids that are drawn at random."""
    every = np.unique(keys())
    drawn = np.random.default_rng(seed).choice(every, round(share * len(every)), replace=False)
    return np.isin(keys(), drawn)


@cache
def train(seed: int, share: float = 1.0, flipped: float = 0.0) -> Trained:
    """Train on a share of the asteroids, of which some have the other label, as model_training.py does."""
    labels = np.where(some_asteroids(flipped, seed), 1 - table().labels, table().labels)
    rows = np.flatnonzero(some_asteroids(share, seed))
    part = Table(table().features[rows], labels[rows], table().places[rows])
    with patch.object(sys, "argv", ["model_training.py", "--random-state", str(seed)]):
        arguments = parse_arguments()
    found, booster, threshold = learn(part, arguments)
    predictions = out_of_fold_table(part, keys()[rows], found)
    test = table().test_rows  # all of it, whatever was trained on
    scores = score(table().labels[test], table().predict(booster, test), threshold)
    return Evidence(predictions, threshold, part.count_groups(part.other_rows), booster), scores


# What the champion and the candidate are trained on.
ROWS: dict[str, tuple[dict[str, float], dict[str, float]]] = {
    "another seed": ({}, {}),
    "half the data": ({}, {"share": 0.5}),
    "2 % of the labels flipped": ({}, {"flipped": 0.02}),
    "all the data, after half of it": ({"share": 0.5}, {}),
    "all the data, after a tenth of it": ({"share": 0.1}, {}),
    "true labels, after 2 % flipped": ({"flipped": 0.02}, {}),
}


def print_row(name: str, decided: list[bool], by_test_set: list[bool]) -> None:
    print(f"{name:<36}{len(decided):>7}{np.mean(decided):>10.0%}{np.mean(by_test_set):>15.0%}", flush=True)


def no_worse(new: dict[str, float], old: dict[str, float]) -> bool:
    return all(new[figure] >= old[figure] for figure in ("PR-AUC", "F1"))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=10, help="champions, and candidates, of each row")
    seeds = parser.parse_args().seeds
    print(f"{'the candidate has':<36}{'trials':>7}{'replaces':>10}{'on a test set':>15}")
    for name, (of_champion, of_candidate) in ROWS.items():
        champions = [train(seed, **of_champion) for seed in range(seeds)]
        candidates = [train(seed, **of_candidate) for seed in range(seeds, 2 * seeds)]
        pairs = list(itertools.product(champions, candidates))
        decided = [compare(candidate, champion).replaces for (champion, _), (candidate, _) in pairs]
        print_row(name, decided, [no_worse(new, old) for (_, old), (_, new) in pairs])
    champions, candidates = ([train(seed + first) for seed in range(seeds)] for first in (0, seeds))
    evidence, scores = zip(*candidates, strict=True)
    best, luckiest = evidence[best_candidate(evidence)], max(scores, key=lambda each: each["PR-AUC"])
    decided = [compare(best, champion, seeds).replaces for champion, _ in champions]
    print_row(f"the best of {seeds} other seeds", decided, [no_worse(luckiest, old) for _, old in champions])
    thresholds = [shown.threshold for shown, _ in champions + candidates]
    print(f"thresholds of the {2 * seeds} seeds: {min(thresholds):.3f} to {max(thresholds):.3f}")


if __name__ == "__main__":
    main()
