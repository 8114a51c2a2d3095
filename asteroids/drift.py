"""Drift: how far the values that come in are from those of the training data.

clearml-serving counts each watched feature in ten buckets, cut at the deciles of the training data, so that
each bucket holds a tenth of them. deploy/asteroid_alerts.yml compares the shares that come in with a tenth,
by the population stability index: the sum over the buckets of (share - 0.1) * ln(share / 0.1). It is 0 for
the same distribution, and a drift from 0.1 on.
"""

from clearml_tools.errors import UserError

import numpy as np

DECILES = np.arange(1, 10) / 10
EDGES = "deciles of "  # begins the keys in a model's metadata under which the edges of its buckets are kept


def decile_edges(name: str, values: np.ndarray) -> list[float]:
    """Return the nine deciles of a feature, with the six digits that `metrics add` gets, in rising order.

    UserError if two of them are the same: with fewer than ten buckets, nothing would be watched.
    """
    edges = sorted({float(f"{edge:.6g}") for edge in np.quantile(values, DECILES)})
    if len(edges) < len(DECILES):
        raise UserError(
            f"global_config.py: WATCHED_FEATURES names '{name}', whose values repeat too often to cut "
            f"them into ten buckets (only {len(edges)} of 9 deciles differ): take it out"
        )
    return edges


def format_edges(edges: list[float]) -> str:
    """Return the edges of buckets as clearml-serving and the model's metadata have them."""
    return ",".join(f"{edge:.6g}" for edge in edges)
