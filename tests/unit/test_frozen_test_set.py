"""frozen_test_set.py: the same groups are in the test set for ever, and no group is in two parts."""

from clearml_tools.errors import UserError

import numpy as np
import pandas as pd
import pytest

from asteroids.frozen_test_set import is_test_group, split_by_group
from tests.support.asteroid_tables import asteroid_table


@pytest.fixture(scope="module")
def asteroids() -> pd.Series:
    return asteroid_table(asteroids=400)["Neo Reference ID"]


def test_the_test_set_is_frozen():
    # Worked out once. Whoever changes these makes all earlier results incomparable.
    found = [number - 2000000 for number in range(2000001, 2000031) if is_test_group(number)]
    assert found == [2, 11, 12, 15, 29]
    assert sum(map(is_test_group, range(10_000))) == 2052  # a fifth


@pytest.mark.parametrize("spelled", [str, float, "{}.0".format, " {} ".format])
def test_the_split_is_the_same_row_for_row_however_ids_are_written(asteroids, spelled):
    parts = [part.tolist() for part in split_by_group(asteroids, 0.25, 42)]
    mixed = asteroids.astype(object)
    mixed[::2] = mixed[::2].map(spelled)  # so that most asteroids are spelled in two ways
    for ids in (mixed, asteroids.map(spelled)):
        assert [part.tolist() for part in split_by_group(ids, 0.25, 42)] == parts


@pytest.mark.parametrize("value", [None, np.nan, "", "2446862.5"])
def test_what_is_no_id_cannot_be_split(value):
    with pytest.raises(UserError, match="in 'Neo Reference ID' is not an id"):
        split_by_group(pd.Series([2000001, 2000002, value]), 0.25, 42)


def test_each_row_is_in_one_part_and_no_asteroid_in_two(asteroids):
    parts = split_by_group(asteroids, 0.25, 42)
    assert sorted(np.concatenate(parts)) == list(range(len(asteroids)))
    train_ids, validation_ids, test_ids = (set(asteroids.iloc[part]) for part in parts)
    assert not train_ids & validation_ids and not train_ids & test_ids and not validation_ids & test_ids


def test_the_test_set_is_the_same_for_every_seed_share_and_order_of_rows(asteroids):
    _, _, test = split_by_group(asteroids, 0.25, 42)
    _, _, other = split_by_group(asteroids, 0.5, 7)
    assert test.tolist() == other.tolist()
    backwards = asteroids.iloc[::-1]
    _, _, test_backwards = split_by_group(backwards, 0.25, 42)
    assert set(backwards.iloc[test_backwards]) == set(asteroids.iloc[test])


def test_asteroids_found_later_move_no_other_into_the_test_set(asteroids):
    early = asteroids.head(200)
    _, _, test = split_by_group(asteroids, 0.25, 42)
    _, _, early_test = split_by_group(early, 0.25, 42)
    assert set(early.iloc[early_test]) == set(asteroids.iloc[test]) & set(early)


def test_the_seed_decides_between_training_and_validation(asteroids):
    first, again, other = (split_by_group(asteroids, 0.25, seed)[1].tolist() for seed in (42, 42, 7))
    assert first == again
    assert first != other


def test_ids_read_as_text_are_split_as_the_numbers_that_they_are(asteroids):
    for ids in (asteroids, asteroids.astype(str)):  # of 7 and 11 digits
        # Worked out once, from numbers. In the order of text it would be [12, 21, 22, 30, 31].
        assert split_by_group(ids, 0.25, 42)[1][:5].tolist() == [5, 22, 36, 43, 74]


def test_the_validation_share_counts_asteroids(asteroids):
    train_rows, validation_rows, _ = split_by_group(asteroids, 0.25, 42)
    counts = [asteroids.iloc[rows].nunique() for rows in (train_rows, validation_rows)]
    assert counts[1] / sum(counts) == pytest.approx(0.25, abs=0.01)


@pytest.mark.parametrize("share", [0.0, 1.0, 1.5, -0.2])
def test_a_validation_share_that_leaves_nothing_is_refused(asteroids, share):
    with pytest.raises(UserError, match=f"cannot be split with --validation-size {share}"):
        split_by_group(asteroids, share, 42)
    with pytest.raises(UserError, match="cannot be split"):
        split_by_group(pd.Series([2000001, 2000001]), 0.25, 42)
