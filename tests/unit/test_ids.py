"""ids.py: which spellings are one id, and which are none."""

import numpy as np
import pandas as pd
import pytest

from asteroids.ids import designation, group_key, normalized_id
from tests.support.asteroid_tables import shipped_table

TEXTS = ["2446862", "2446862.0", "2446862.", "2446862.000", " 2446862", "2446862\t", " 2446862.0 \r"]
TEXTS += ["+2446862", "2.446862e6", "2.4468620E+06"]
NUMBERS = [kind(2446862) for kind in (int, float, np.int64, np.float64, np.float32)]


@pytest.mark.parametrize("value", [*TEXTS, *NUMBERS])
def test_an_id_is_the_same_however_it_is_written(value):
    assert normalized_id(value) == "2446862"


@pytest.mark.parametrize("value", [20151708003, 20151708003.0, "20151708003.0", "2.0151708003e10"])
def test_the_long_ids_of_unnumbered_asteroids_keep_all_digits(value):
    assert normalized_id(value) == "20151708003"


def test_an_id_stays_as_it_is_when_it_is_read_again():
    assert normalized_id(normalized_id(" 0012.0 ")) == normalized_id("0012") == "0012"


@pytest.mark.parametrize("name", ["446862 (2001 VB76)", "patient 7", "12-345", "2010/01/02", "7_1", "ÄÖÜ"])
def test_names_may_be_ids(name):
    assert normalized_id(f" {name} ") == name


NO_IDS = ["2446862.5", 2446862.5, "-2446862", "inf", float("-inf"), "True", True, "-"]
NO_IDS += ["2,446,862", "2446862,0", "2 446 862", '="2446862"', "'2446862", "#2446862"]
NO_IDS += ["\x002446862", "\u200b2446862"]
EMPTY = ["", " ", None, np.nan, pd.NA, pd.NaT, "NaN", "null", "None", "N/A"]
DIGITS_LOST = ["2.01517E+10", "2.44686e+06", "2e10", "1e999999999", "1e+16"]


@pytest.mark.parametrize("value", [*NO_IDS, *EMPTY, *DIGITS_LOST])
def test_what_cannot_be_an_id_is_none(value):
    assert normalized_id(value) is None


# Keys


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("99942 Apophis (2004 MN4)", "2004 MN4"),
        ("(2004 MN4)", "2004 MN4"),
        (" ( 2004  mn4 ) ", "2004 MN4"),
        ("2004MN4", "2004 MN4"),
        ("2004 MN04", "2004 MN4"),
        ("(2001 VB)", "2001 VB"),
        ("433 Eros (A898 PA)", "A898 PA"),
        ("(6344 P-L)", "6344 P-L"),
        ("3137 T-1", "3137 T-1"),
        (20041314004, "2004 MN4"),  # the code of the shipped table
        ("20041314004.0", "2004 MN4"),
        (20012202000, "2001 VB"),
    ],
)
def test_an_asteroid_is_known_by_its_designation(text, found):
    assert designation(text) == found
    assert designation(found) == found


@pytest.mark.parametrize(
    "text",
    ["99942 Apophis", "2446862", "patient 7", "(2004 IN4)", "1204 MN4", "20042714004", "(44)", "", None],
)
def test_other_texts_have_no_designation(text):
    assert designation(text) is None


def test_the_code_of_every_asteroid_without_a_number_gives_its_designation():
    table = shipped_table().drop_duplicates("Name")
    coded = table[table["Neo Reference ID"] > 10**10]
    assert len(coded) == 2806
    assert [f"({designation(number)})" for number in coded["Neo Reference ID"]] == coded["Name"].tolist()


@pytest.mark.parametrize("name", [None, np.nan, "", "Apophis", "2446862"])
def test_without_a_designation_the_id_is_the_key(name):
    assert group_key(" 2446862.0", name) == "2446862"
    assert group_key(2446862.5, name) is None
