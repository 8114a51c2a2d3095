"""Which rows are for the test set, and in which fold each of the others is.

An asteroid comes close more than once. If its rows were on both sides of a split, a model would be tested on
what it has learned. A hash of the asteroid's key (ids.py) puts a fifth of the asteroids into the test set:
the same ones for every run, seed and later model. Other hashes put the others into folds, for good as well,
so that the out-of-fold predictions of two models can be compared asteroid by asteroid.
"""

import hashlib
from collections.abc import Iterable

from clearml_tools.errors import UserError

import numpy as np

from asteroids.ids import group_key
from global_config import GROUP_COLUMN

TEST_SHARE = 0.2
FOLDS = 5


def is_test_group(group_id: object) -> bool:
    """Return whether a group belongs to the test set: its key alone decides, at any time, on any machine.

    `group_id` may be the key, or the id in any way that group_key knows. UserError for anything else.
    """
    key = group_key(group_id)
    if key is None:
        raise UserError(f"{group_id!r} in '{GROUP_COLUMN}' is not an id: give a whole number or a name")
    return bool(draw([key])[0, 0] < TEST_SHARE)


def fold_of(key: str, repeat: int) -> int:
    """Return the fold of a group, 0 to FOLDS - 1, in one of the repeated divisions into folds."""
    return int(draw([key])[0, 1 + repeat] * FOLDS)


def draw(keys: Iterable[str]) -> np.ndarray:
    """Return four numbers for each key, from 0 to below 1, by a hash: as good as chance; shape (n, 4).

    The first one decides about the test set, the others about the folds of up to three divisions.
    """
    digests = b"".join(hashlib.sha256(key.encode()).digest() for key in keys)
    return (np.frombuffer(digests, ">u8").reshape(-1, 4) >> 11) / 2**53
