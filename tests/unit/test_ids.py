"""ids.py: which spellings are one id, and which are none."""

import numpy as np
import pandas as pd
import pytest

from asteroids.ids import normalized_id

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
