r"""The clearml-serving hook: one row of the NASA table in, one class and its probability out.

    clearml-serving --id ID model add --engine xgboost --endpoint "asteroid" \
        --preprocess "preprocess_serving.py" --name "model training - best_model" \
        --project "Asteroid Hazard Classification"

clearml-serving uploads this file alone into its container (Python 3.11, numpy 1.26, xgboost 1.7.6). So it
imports nothing of this repository, and no pandas: a request takes a tenth of a millisecond, not two.
The features are defined here and nowhere else. preprocessing.py imports them: training and serving cannot
differ. Another table needs other columns, rules and features here, down to build_features().
"""

import json
import random
import re
import time
from bisect import bisect_left
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

# What a value must be, in words, and as a test of one number or of a whole column. Only what is impossible is
# refused. An absolute magnitude that was never seen before is no error: it is drift, for monitoring to see.
NUMBER = ("a number", lambda value: value == value)
POSITIVE = ("above 0", lambda value: value > 0)
NOT_NEGATIVE = ("0 or more", lambda value: value >= 0)
ECCENTRICITY = ("from 0 to below 1, a closed orbit", lambda value: (value >= 0) & (value < 1))
HALF_TURN = ("from 0 to 180 degrees", lambda value: (value >= 0) & (value <= 180))
FULL_TURN = ("from 0 to 360 degrees", lambda value: (value >= 0) & (value <= 360))
UNCERTAINTY = ("from 0 to 9", lambda value: (value >= 0) & (value <= 9))

# The columns of the table that the features are made of, and what each must be. Names are the table's own.
RAW_COLUMNS = {
    "Absolute Magnitude": NUMBER,
    "Est Dia in KM(min)": POSITIVE,
    "Est Dia in KM(max)": POSITIVE,
    "Relative Velocity km per hr": POSITIVE,
    "Miss Dist.(kilometers)": NOT_NEGATIVE,
    "Orbit Uncertainity": UNCERTAINTY,
    "Minimum Orbit Intersection": NOT_NEGATIVE,
    "Jupiter Tisserand Invariant": NUMBER,
    "Epoch Osculation": POSITIVE,
    "Eccentricity": ECCENTRICITY,
    "Semi Major Axis": POSITIVE,
    "Inclination": HALF_TURN,
    "Asc Node Longitude": FULL_TURN,
    "Orbital Period": POSITIVE,
    "Perihelion Distance": POSITIVE,
    "Perihelion Arg": FULL_TURN,
    "Aphelion Dist": POSITIVE,
    "Perihelion Time": POSITIVE,
    "Mean Anomaly": FULL_TURN,
    "Mean Motion": POSITIVE,
}

# Pairs of columns: the first must not be above the second.
ORDERED_COLUMNS = [
    ("Est Dia in KM(min)", "Est Dia in KM(max)"),
    ("Perihelion Distance", "Aphelion Dist"),
]

DIAMETER_COLUMNS = ("Est Dia in KM(min)", "Est Dia in KM(max)")

# The model's inputs, in the order of its columns: the raw columns, with the two diameters as their mean.
FEATURES = ["Absolute Magnitude", "avg_dia"]
FEATURES += [name for name in RAW_COLUMNS if name not in ("Absolute Magnitude", *DIAMETER_COLUMNS)]


def build_features(row: Mapping[str, float | np.ndarray]) -> np.ndarray:
    """Return the features of one row or of a whole table, in the order of FEATURES.

    `row` maps each of RAW_COLUMNS to a number, giving shape (19,), or to a column of n numbers, giving
    shape (n, 19). `avg_dia`, in kilometres, is the mean of the two estimates of the diameter.
    """
    smallest, largest = (row[name] for name in DIAMETER_COLUMNS)
    columns = [(smallest + largest) / 2 if name == "avg_dia" else row[name] for name in FEATURES]
    return np.array(columns, dtype=np.float64).T


# What follows is the same for any table.

# What is counted of a feature, and with which edges: twelve buckets, the first and the last of them for
# values that the training data do not reach. README's `metrics add` has them, too.
RANK = "rank of "
RANK_EDGES = [edge / 10 for edge in range(11)]
# Beside them and the answer y, as single values: what the rules need to know of the model that answers.
MODEL_VALUES = ["model", "version", "expected share", "training rows", "watched features", "sent"]
# What a client sends under one of these names would be counted instead.
COUNTED_NAMES = [*MODEL_VALUES, *(RANK + name for name in FEATURES)]

# The versions of an auto-update endpoint are counted as one, under the name of the canary that leads to them:
# those of "asteroid_auto" as "asteroid_latest".
AUTO_UPDATE, STABLE = "_auto", "_latest"

# XGBoost computes in 32-bit floats: a larger number would reach the model as infinity.
LARGEST_NUMBER = float(np.finfo(np.float32).max)


def find_problems(body: object) -> list[str]:
    """Return a text for each problem that keeps a request from being one row of the table.

    The texts name our columns and never repeat what the client sent: errors end in logs and answers, and
    clearml-serving stops itself at an error that contains certain words.
    """
    if not isinstance(body, dict):
        return ["the body must be a JSON object, one row of the table, sent as application/json"]
    problems = []
    for name, (words, is_valid) in RAW_COLUMNS.items():
        if name not in body:
            problems.append(f"'{name}' is missing")
        elif type(body[name]) not in (int, float):  # type(), as a bool is an int to isinstance()
            problems.append(f"'{name}' must be a number")
        elif not abs(body[name]) <= LARGEST_NUMBER:  # "not <=", as a NaN is not > either
            problems.append(f"'{name}' must be a finite number that fits 32-bit floats")
        elif not is_valid(body[name]):
            problems.append(f"'{name}' must be {words}")
    if not problems:
        problems = [
            f"'{high}' must not be below '{low}'" for low, high in ORDERED_COLUMNS if body[high] < body[low]
        ]
    return problems


def rank(value: float, edges: list[float], shares: list[float]) -> float:
    """Return where a value of a feature lies among the training data.

    `edges` are values of the training data from the smallest to the largest, rising, as 32-bit floats,
    and `shares` says how much of the data is not above each. Within the data, a rank is above 0 and up to
    1, and a tenth of the data lies in each tenth: also where one value is frequent, as it gets any of the
    ranks that it takes up, by chance (the randomized probability integral transform). Below the data it
    is -1, above 2.
    """
    value = float(np.float32(value))  # as in training: the largest value must not be above itself
    if value < edges[0]:
        return -1.0
    if value > edges[-1]:
        return 2.0
    place = bisect_left(edges, value)
    lower = shares[place - 1] if place else 0.0
    return shares[place] - random.random() * (shares[place] - lower)


class Model:
    """A booster, its threshold, and where its training data lie. clearml-serving calls `predict`."""

    def __init__(self, path: str) -> None:
        """Read a model file. ValueError if its predictions would be wrong here, or if it has no threshold."""
        import xgboost  # here, as it takes a second that preprocessing.py does not need

        refuse_misread(Path(path), xgboost.__version__)
        self.booster = xgboost.Booster(model_file=str(path))
        # Threads do not help with one row, and cost milliseconds on a busy machine.
        self.booster.set_param({"nthread": 1})
        threshold = self.booster.attr("threshold")
        if threshold is None:
            raise ValueError("the model file holds no threshold: serve a model made by model_training.py")
        if self.booster.feature_names != FEATURES:
            raise ValueError(
                "the model was trained on other features than this preprocess_serving.py makes: "
                "train again, or serve it with the file of its own version"
            )
        self.threshold = float(threshold)
        # Of the training data: the rows, the share of class 1, the distribution of the watched features. A
        # model that was trained before models held this is not watched.
        self.reference: dict[str, Any] = json.loads(self.booster.attr("reference") or "{}")

    def ranks(self, features: np.ndarray) -> dict[str, float]:
        """Return the rank of each watched feature in a row of features (19,), by the name that is counted."""
        return {
            RANK + name: rank(features[FEATURES.index(name)], **of_training)
            for name, of_training in self.reference.get("features", {}).items()
        }

    def about_training(self) -> dict[str, float]:
        """Return what the rules need to know of the training data; nothing if the model holds nothing."""
        if not self.reference:
            return {}
        share, rows = self.reference["share"], self.reference["rows"]
        return {
            "expected share": share,
            "training rows": rows,
            "watched features": len(self.reference["features"]),
        }

    def predict(self, features: np.ndarray) -> np.ndarray:
        """Return the probability of class 1 for each row of `features` (n, 19); shape (n,)."""
        return self.booster.inplace_predict(features)


def refuse_misread(path: Path, version: str) -> None:
    """Raise ValueError if this version of xgboost would load the file without an error and predict wrongly.

    From version 3.1 on xgboost writes `base_score` as a list, "[1.5E-1]". Older versions read that as their
    default of 0.5, which shifts every prediction by up to 0.4.
    """
    # Between key and value stand `":"` in JSON, and in UBJSON "SL", a string with a length of eight bytes.
    is_list = re.search(rb'base_score("\s*:\s*"|SL.{8})\[', path.read_bytes(), re.DOTALL)
    if is_list and tuple(map(int, version.split(".")[:2])) < (3, 1):
        raise ValueError(
            f"the model was saved by xgboost 3.1 or newer, which xgboost {version} here would "
            "misread without an error: train with xgboost below 3.1, or serve with 3.1 or newer"
        )


class Preprocess:
    """What clearml-serving calls, in this order; one instance for each loaded model."""

    model: Model  # once load() has read it
    about: dict[str, Any]  # what statistics are told with every request, once load() knows it
    model_endpoint: Any  # clearml-serving sets it, before load()

    def load(self, local_file_name: str | None) -> Model:
        """Read the model file; clearml-serving keeps what this returns as the endpoint's model."""
        if not local_file_name:
            raise ValueError("ClearML could not download the model's file")
        self.model = Model(local_file_name)
        self.about = self.model.about_training() | self.about_endpoint()
        return self.model

    def preprocess(
        self,
        body: dict[str, Any],
        state: dict[str, Any],
        collect_custom_statistics_fn: Callable[[dict[str, float]], None] | None = None,
    ) -> np.ndarray:
        """Return the features (1, 19) of a request. ValueError, answered as 422, lists all its problems."""
        problems = find_problems(body)
        if problems:
            raise ValueError("Invalid request: " + "; ".join(problems))
        features = build_features(body)
        if collect_custom_statistics_fn:
            state["statistics"] = {**self.about, **self.model.ranks(features), "sent": time.time()}
            for name in COUNTED_NAMES:
                body.pop(name, None)
        return features.reshape(1, -1)

    def postprocess(
        self,
        data: np.ndarray,
        state: dict[str, Any],
        collect_custom_statistics_fn: Callable[[dict[str, float]], None] | None = None,
    ) -> dict[str, float]:
        """Return `y`, the class by the model's own threshold, and `y_raw`, the probability of class 1."""
        probability = float(data[0])
        answer = {"y": int(probability >= self.model.threshold), "y_raw": probability}
        if collect_custom_statistics_fn:
            collect_custom_statistics_fn(state["statistics"] | answer)
        return answer

    def about_endpoint(self) -> dict[str, Any]:
        """Return which model answers here, and the name under which clearml-serving counts it."""
        name, version, model = (
            str(getattr(getattr(self, "model_endpoint", None), key, None) or "")
            for key in ("serving_url", "version", "model_id")
        )
        about: dict[str, Any] = {}
        if version.isdecimal():
            about["version"] = int(version)
        if re.match("[0-9a-f]{8}", model):  # a number is all that Prometheus stores
            about["model"] = int(model[:8], 16)
        if version and name.endswith(AUTO_UPDATE):
            about["_url"] = name.removesuffix(AUTO_UPDATE) + STABLE
        return about
