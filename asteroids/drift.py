"""Drift: how far the values that come in are from those of the training data.

A model file holds where the deciles of its training data lie. The hook tells clearml-serving in which tenth
a value falls, and deploy/asteroid_alerts.yml compares how many fall into each, by the population stability
index (PSI): the sum over the tenths of (share - 0.1) * ln(share / 0.1). It is 0 for the same distribution.
"""

from typing import Any

import numpy as np

from global_config import WATCHED_FEATURES
from preprocess_serving import FEATURES, MODEL_VALUES, RANK, RANK_EDGES

REFERENCE_ATTRIBUTE = "reference"  # of the booster, where the hook looks for it
EDGES = "deciles of "  # begins the keys in a model's metadata that tell a person the same


def reference_of(features: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    """Return what serving has to know of the training data: `features` (n, 19) and `labels` (n,), 0 or 1.

    That is the number of rows, the share of class 1, and for each watched feature its smallest value, its
    deciles and its largest (`edges`, without repetitions), and which share of the rows is not above each.
    """
    about = {}
    for name in WATCHED_FEATURES:
        values = np.sort(features[:, FEATURES.index(name)])
        edges = np.unique(np.quantile(values, np.arange(11) / 10).astype(np.float32))
        shares = np.searchsorted(values, edges, side="right") / len(values)
        about[name] = {"edges": edges.tolist(), "shares": shares.round(6).tolist()}
    return {"rows": len(labels), "share": round(float(labels.mean()), 6), "features": about}


def edges_as_text(reference: dict[str, Any]) -> dict[str, str]:
    """Return the edges of each watched feature with the keys of a model's metadata, for a person to read."""
    return {
        EDGES + name: ", ".join(f"{edge:.6g}" for edge in about["edges"])
        for name, about in reference["features"].items()
    }


def counted_variables() -> tuple[dict[str, str], list[str]]:
    """Return what clearml-serving has to count, the same for every model: `metrics add` takes both.

    That is the edges of each variable that is counted in buckets, and the variables of which the last value
    is kept.
    """
    edges = ",".join(f"{edge:g}" for edge in RANK_EDGES)
    return {**{RANK + name: edges for name in WATCHED_FEATURES}, "y": "0,1"}, MODEL_VALUES
