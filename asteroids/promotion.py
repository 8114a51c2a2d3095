"""Decide which of several trained models is the best, and whether it takes the champion's place.

Two models are compared asteroid by asteroid, on predictions by boosters that have not learned from the
asteroid. One small test set would be a coin: another seed, on the same data, would win one time in three. It
is reported, and decides nothing. (tests/benchmark_promotion.py measures how often the decision is right.)

model_selection.py gets the models and their figures from ClearML, and carries out what is decided here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import pandas as pd
import xgboost

from asteroids.evaluation import (
    BASELINES,
    TEST_SCORES,
    VALIDATION_SCORES,
    baseline_metric,
    format_scores,
)
from global_config import GROUP_KEY_COLUMN, GROUPS, LABEL_COLUMN

# A difference below this share of the reigning model's log loss is none. Seeds alone differ by as much.
MARGIN = 0.1
CONFIDENCE = 0.95
RESAMPLES = 2000
LEAST_BEYOND = 5  # resamples beyond an end of the interval: with fewer, it would not widen any more
MOST_RESAMPLED = 20_000  # groups. The mean of more is normally distributed, and resampling would take minutes
# No probability counts as surer than this. Otherwise one odd asteroid would outweigh all others.
LEAST_PROBABILITY = 1e-3

PROBABILITY = "probability "  # begins the names of columns

Figures = Mapping[str, float]


@dataclass(frozen=True)
class Evidence:
    """What a training shows of its model: out-of-fold predictions, and the model for asteroids new to it.

    `predictions` has a row for each row that was predicted: the group's key, the label, the probability of
    class 1 in each repeat (the columns that begin with PROBABILITY), and the features. `groups` is how many
    groups the model has learned from.
    """

    predictions: pd.DataFrame
    threshold: float
    groups: int
    booster: xgboost.Booster

    def __post_init__(self) -> None:
        """Raise ValueError if a column is missing, or something else than a probability is in one."""
        if missing := {GROUP_KEY_COLUMN, LABEL_COLUMN}.difference(self.predictions):
            raise ValueError(f"its out-of-fold predictions lack the column '{missing.pop()}'")
        probabilities = self.probabilities()
        if not probabilities.size or not np.all((probabilities >= 0) & (probabilities <= 1)):
            raise ValueError(f"its columns '{PROBABILITY}…' do not all hold probabilities")

    def probabilities(self) -> np.ndarray:
        """Return the out-of-fold probabilities, a column for each repeat."""
        return self.predictions.filter(regex=f"^{PROBABILITY}").to_numpy(float)

    @property
    def names_all_groups(self) -> bool:
        """Whether it can be told which groups the model knows: of a large table only a part is predicted."""
        return self.predictions[GROUP_KEY_COLUMN].nunique() == self.groups

    def losses(self) -> pd.DataFrame:
        """Return the mean log loss and share of errors of each group, and its mean label."""
        return self._losses(self.predictions, self.probabilities())

    def losses_on_new(self, other: pd.DataFrame) -> pd.DataFrame:
        """Return the same of those groups in another training's predictions that the model does not know.

        There are none if it cannot be told which ones it knows, or if it needs features that the other has
        not, or does not name them.
        """
        is_known = other[GROUP_KEY_COLUMN].isin(self.predictions[GROUP_KEY_COLUMN])
        new = other[~is_known] if self.names_all_groups else other.head(0)
        names = self.booster.feature_names or []
        if new.empty or not names or not set(names) <= set(new):
            return self._losses(other.head(0), np.zeros((0, 1)))
        probabilities = self.booster.inplace_predict(new[names].to_numpy(np.float32), validate_features=False)
        return self._losses(new, probabilities[:, None])

    def _losses(self, rows: pd.DataFrame, probabilities: np.ndarray) -> pd.DataFrame:
        labels = rows[LABEL_COLUMN].to_numpy()[:, None]
        sure = np.clip(np.where(labels == 1, probabilities, 1 - probabilities), LEAST_PROBABILITY, 1)
        wrong = (probabilities >= self.threshold) != (labels == 1)
        found = {"label": labels[:, 0], "loss": -np.log(sure).mean(axis=1), "errors": wrong.mean(axis=1)}
        return pd.DataFrame(found).groupby(rows[GROUP_KEY_COLUMN].to_numpy()).mean()


@dataclass(frozen=True)
class Comparison:
    """Whether a model may take the place of the reigning one, and why, in words."""

    replaces: bool
    reason: str


def compare(model: Evidence, reigning: Evidence, candidates: int = 1) -> Comparison:
    """Return whether `model` may take the place of the reigning one, and why.

    It may if it is better: the whole interval of the difference in log loss is beyond the margin. If it has
    learned from more groups, it is enough that the interval does not reach the margin on the other side, and
    that it is not worse for certain: a little worse each time would add up. And it must not make more errors
    for certain. The interval is a bootstrap over the groups: those that both have predicted out of
    fold, and those that are new to the reigning model. It is the wider the more `candidates` there were to
    choose from, as the best of many looks good by luck alone.
    """
    on_new = reigning.losses_on_new(model.predictions)
    others = pd.concat([reigning.losses(), on_new]).add_suffix(" of the other")
    both = model.losses().join(others, how="inner")
    # Where labels differ, one is wrong, and nobody knows which: whoever has learned the wrong one would win.
    shared = both[both["label"] == both["label of the other"]]
    if len(shared) < 2:
        return Comparison(
            False, f"cannot be compared: {len(shared)} {GROUPS} were predicted by both, out of fold"
        )
    loss, other = shared["loss"].mean(), shared["loss of the other"].mean()
    errors, other_errors = shared["errors"].sum(), shared["errors of the other"].sum()
    confidence = 1 - (1 - CONFIDENCE) / candidates
    low, high = interval(shared["loss of the other"] - shared["loss"], confidence)
    makes_more_errors = interval(shared["errors"] - shared["errors of the other"], confidence)[0] > 0
    margin = MARGIN * other
    figures = (
        f"log loss {loss:.4f} against {other:.4f}, an improvement between {low:.4f} and {high:.4f} "
        f"({100 * confidence:.3g} % interval; margin {margin:.4f}), {errors:.4g} errors against "
        f"{other_errors:.4g}, on {len(shared)} {GROUPS}, out of fold"
    )
    if new := len(shared.index.intersection(on_new.index)):
        figures += f"; {new} of them are new to the other model"
    if left_out := len(both) - len(shared):
        figures += f"; {left_out} more are left out, as their labels differ between the two trainings"
    if makes_more_errors or high < -margin:
        return Comparison(False, f"it is worse: {figures}")
    # New ones must not outweigh these: they may be many, and their labels wrong.
    known = shared.drop(index=on_new.index, errors="ignore")
    known_gains = known["loss of the other"] - known["loss"]
    if len(known) > 1 and interval(known_gains, confidence)[1] < -MARGIN * known["loss of the other"].mean():
        return Comparison(
            False, f"it is worse on the {len(known)} {GROUPS} that both have learned from: {figures}"
        )
    if low > margin:
        return Comparison(True, f"it is better: {figures}")
    if model.groups > reigning.groups and low > -margin and high >= 0:
        more = f"it is no worse and has learned from more {GROUPS}, {model.groups} against {reigning.groups}"
        return Comparison(True, f"{more}: {figures}")
    return Comparison(False, f"no difference that can be told: {figures}")


def interval(differences: pd.Series, confidence: float) -> tuple[float, float]:
    """Return the interval of the mean of paired differences: a bootstrap's, or the normal one.

    The normal one is for many groups, and for a confidence that would take too many resamples.
    """
    values, generator = differences.to_numpy(), np.random.default_rng(0)
    tail = (1 - confidence) / 2
    if len(values) > MOST_RESAMPLED or tail * RESAMPLES < LEAST_BEYOND:
        half = -NormalDist().inv_cdf(tail) * values.std() / np.sqrt(len(values))
        return float(values.mean() - half), float(values.mean() + half)
    drawn = (generator.integers(len(values), size=len(values)) for _ in range(RESAMPLES))
    low, high = np.quantile([values[rows].mean() for rows in drawn], [tail, 1 - tail])
    return float(low), float(high)


def best_candidate(candidates: Sequence[Evidence]) -> int:
    """Return the number of the best candidate: the first, unless another is better for certain."""
    best = 0
    for number, candidate in enumerate(candidates):
        if number and compare(candidate, candidates[best], len(candidates)).replaces:
            best = number
    return best


def comparison_table(models: Mapping[str, Figures], reported: Figures) -> pd.DataFrame:
    """Return the figures of the models, by name, and of the baselines, as text; validation figures first.

    `reported` is what the best candidate's training has reported, its baselines' figures included.
    """
    names = [*VALIDATION_SCORES, *TEST_SCORES]
    baselines = {
        baseline: {name: reported.get(baseline_metric(name, baseline)) for name in names}
        for baseline in BASELINES
    }
    return format_scores(pd.DataFrame({**models, **baselines}).T.reindex(columns=names))
