"""Which rows are for training, for validation and for the test set.

An asteroid comes close more than once. If its rows were on both sides of a split, a model would be tested on
what it has learned. A hash of the asteroid's id puts a fifth of the asteroids into the test set: the same
ones for every run, seed and later model. The others are split at random into training and validation data.
"""

import hashlib

from clearml_tools.errors import UserError

import numpy as np
import pandas as pd
from sklearn.model_selection import GroupShuffleSplit

from asteroids.ids import normalized_id
from global_config import GROUP_COLUMN

TEST_SHARE = 0.2


def is_test_group(group_id: object) -> bool:
    """Return whether a group belongs to the test set: its id alone decides, at any time and on any machine.

    The id may be written in any way that normalized_id knows. UserError for anything else.
    """
    text = normalized_id(group_id)
    if text is None:
        raise UserError(f"{group_id!r} in '{GROUP_COLUMN}' is not an id: give a whole number or a name")
    digest = hashlib.sha256(text.encode()).digest()
    return int.from_bytes(digest[:8], "big") < TEST_SHARE * 2**64


def split_by_group(
    groups: pd.Series, validation_size: float, random_state: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the row numbers of the training, validation and test data; no group is in two of them.

    `groups` is the id of each row. `validation_size` is the share of the groups outside the test set that
    go into validation. UserError if it leaves no group for one of the two.
    """
    in_test = groups.map(is_test_group).to_numpy(bool)
    rest, test = np.flatnonzero(~in_test), np.flatnonzero(in_test)
    # The splitter draws from the sorted ids: in the order of numbers, whether they are numbers or text.
    groups = groups.map(normalized_id)
    ids = sorted(groups.unique(), key=lambda text: (len(text), text))
    ranks = groups.map({text: rank for rank, text in enumerate(ids)})
    try:
        splitter = GroupShuffleSplit(n_splits=1, test_size=validation_size, random_state=random_state)
        train, validation = next(splitter.split(rest, groups=ranks.iloc[rest]))
    except ValueError as error:
        raise UserError(
            f"the data cannot be split with --validation-size {validation_size}: {error}"
        ) from error
    return rest[train], rest[validation], test
