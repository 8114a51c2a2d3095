"""frozen_test_set.py: the same groups are in the test set and in each fold for ever."""

from collections import Counter

from clearml_tools.errors import UserError

import numpy as np
import pytest

from asteroids.frozen_test_set import FOLDS, draw, fold_of, is_test_group
from asteroids.ids import group_key
from tests.support.asteroid_tables import shipped_table


def test_the_test_set_is_frozen():
    # Worked out once. Whoever changes these makes all earlier results incomparable.
    found = [number - 2000000 for number in range(2000001, 2000031) if is_test_group(number)]
    assert found == [2, 11, 12, 15, 29]
    assert sum(map(is_test_group, range(10_000))) == 2052  # a fifth


def test_the_folds_are_frozen():
    assert [fold_of(str(number), 0) for number in range(10)] == [4, 3, 4, 1, 0, 3, 4, 1, 0, 4]
    assert [fold_of(str(number), 1) for number in range(10)] == [3, 1, 0, 0, 3, 3, 2, 4, 0, 2]


def test_all_folds_are_about_as_large_and_repeats_divide_anew():
    pairs = Counter((fold_of(str(number), 0), fold_of(str(number), 1)) for number in range(10_000))
    assert len(pairs) == FOLDS**2
    assert all(300 < count < 500 for count in pairs.values())


def test_what_is_drawn_is_from_0_to_below_1():
    numbers = draw(map(str, range(1000)))
    assert numbers.shape == (1000, 4)
    assert numbers.min() >= 0
    assert numbers.max() < 1
    assert draw([]).shape == (0, 4)


def test_numbering_an_asteroid_moves_it_nowhere():
    """A number gives it another id and puts the number before its name; a name may come later."""
    table = shipped_table().drop_duplicates("Name")
    for name in table["Name"].iloc[::10]:
        designation = name[name.index("(") :]
        spelled = [designation, f"999999 {designation}", f" 999999 Ceres  {designation} ", designation[1:-1]]
        keys = {group_key(number, text) for number, text in enumerate(spelled, 2999999)}
        assert keys == {designation[1:-1]}
        assert len({is_test_group(text) for text in spelled}) == 1


@pytest.mark.parametrize("spelled", [str, float, "{}.0".format, " {} ".format])
def test_an_id_without_a_name_may_be_written_in_any_way(spelled):
    ids = shipped_table()["Neo Reference ID"].iloc[::20]
    assert [is_test_group(spelled(value)) for value in ids] == [is_test_group(value) for value in ids]


@pytest.mark.parametrize("value", [None, np.nan, "", "2446862.5"])
def test_what_is_no_id_is_refused(value):
    with pytest.raises(UserError, match="in 'Neo Reference ID' is not an id"):
        is_test_group(value)
