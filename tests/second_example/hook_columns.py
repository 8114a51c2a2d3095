"""The clearml-serving hook: one row of the tumour table in, one class and its probability out."""

# ruff: noqa: F401  # the rest of the hook uses them
import json
import random
import re
import time
from bisect import bisect_left
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

NOT_NEGATIVE = ("0 or more", lambda value: value >= 0)
MEASURES = ("radius", "texture", "smoothness", "compactness", "concavity", "symmetry")

RAW_COLUMNS = {f"{kind} {measure}": NOT_NEGATIVE for kind in ("mean", "worst") for measure in MEASURES}
ORDERED_COLUMNS = [("mean radius", "worst radius")]
FEATURES = list(RAW_COLUMNS)


def build_features(row: Mapping[str, float | np.ndarray]) -> np.ndarray:
    """Return the features of one row or of a whole table, in the order of FEATURES."""
    return np.array([row[name] for name in FEATURES], dtype=np.float64).T
