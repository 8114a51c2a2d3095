"""preprocessing.py: which tables are refused, and the features and labels made of the others."""

from pathlib import Path
from types import SimpleNamespace

from clearml_tools.errors import UserError

import numpy as np
import pandas as pd
import pytest

import global_config
from asteroids.frozen_test_set import is_test_group
from get_data import query_table
from preprocess_serving import FEATURES, RAW_COLUMNS, Preprocess
from preprocessing import class_shares, find_problems, make_features, make_labels, read_raw_table
from tests.support.asteroid_tables import asteroid_table


@pytest.fixture(autouse=True)
def own_cache(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("CLEARML_CACHE_DIR", str(tmp_path / "cache"))


@pytest.fixture
def table() -> pd.DataFrame:
    return asteroid_table(asteroids=20)


# Features and labels


def test_features_are_the_models_in_its_order_as_serving_makes_them_of_each_row(table):
    hook = Preprocess()
    features = make_features(table)
    assert list(features.columns) == FEATURES
    assert np.array_equal(features, [hook.preprocess(row, {})[0] for row in table.to_dict("records")])


@pytest.mark.parametrize(
    ("values", "true", "false"),
    [
        ({"True": 1, "False": 0}, True, False),
        ({"True": 1, "False": 0}, "true", "FALSE"),
        ({"True": 1, "False": 0}, " TRUE", "false "),
        ({"1": 1, "0": 0}, 1, 0),
        ({"1": 1, "0": 0}, 1.0, "0.0"),
        ({"M": 1, "B": 0}, " m", "B"),
    ],
)
def test_labels_become_1_and_0_however_they_are_written(table, monkeypatch, values, true, false):
    monkeypatch.setattr(global_config, "LABEL_VALUES", values)
    hazardous = table["Hazardous"].copy()
    table["Hazardous"] = hazardous.map({True: true, False: false})
    assert find_problems(table) == []
    labels = make_labels(table)
    assert list(labels.columns) == ["Hazardous"]
    assert labels["Hazardous"].tolist() == hazardous.astype(int).tolist()


# Problems


def test_only_columns_that_are_needed_may_not_be_missing(table):
    needed = [*RAW_COLUMNS, "Neo Reference ID", "Hazardous"]
    assert find_problems(table[needed]) == []
    for column in needed:
        assert find_problems(table.drop(columns=column)) == [f"column '{column}' is missing"]


NO_NUMBERS = ["n/a", "", None, np.nan, np.inf, -np.inf, 1e39]
NO_IDS = ["2446862.5", "inf", "2.01517E+10", -1]  # test_ids.py has more of them
NO_LABELS = ["maybe", "", None, np.nan, 1, 0, "1", "yes"]


@pytest.mark.parametrize(
    ("column", "value", "told"),
    [
        *(("Inclination", value, "is not a finite number") for value in NO_NUMBERS),
        ("Eccentricity", 1.0, "is not from 0 to below 1, a closed orbit"),  # by the rules of serving
        ("Inclination", 180.5, "is not from 0 to 180 degrees"),
        ("Minimum Orbit Intersection", -0.001, "is not 0 or more"),
        ("Est Dia in KM(max)", 1e-9, "is below 'Est Dia in KM(min)'"),
        ("Neo Reference ID", None, "is empty"),
        *(("Neo Reference ID", value, f"is not a whole number or name, but '{value}',") for value in NO_IDS),
        *(("Hazardous", value, "is not among LABEL_VALUES (True, False)") for value in NO_LABELS),
    ],
)
def test_what_cannot_be_is_counted_and_located(table, column, value, told):
    table[column] = table[column].astype(object)
    table.loc[[3, 8], column] = value
    assert find_problems(table) == [f"'{column}' {told} in 2 of {len(table)} rows, first in row 4"]


def test_a_table_without_rows_or_of_a_single_class_is_a_problem(table):
    assert find_problems(table.head(0)) == ["there are no rows"]
    (told,) = find_problems(table.assign(Hazardous=False))
    assert told == "all rows are of the class 'not hazardous', and there is nothing to learn from that"


def test_all_problems_are_listed_at_once(table):
    table["Neo Reference ID"] = table["Neo Reference ID"].astype(object)
    table.loc[:1, "Neo Reference ID"] = ["inf", " "]
    table.loc[0, "Eccentricity"] = -1
    table.loc[1, "Inclination"] = np.nan
    table["Hazardous"] = "yes"
    assert [problem.split("'")[1] for problem in find_problems(table)] == [
        "Eccentricity",
        "Inclination",
        "Neo Reference ID",
        "Neo Reference ID",
        "Hazardous",
    ]


# The dataset


def dataset_in(folder: Path) -> SimpleNamespace:
    """What read_raw_table asks of a ClearML dataset."""
    return SimpleNamespace(name="raw", version="1.0.0", id="1d", get_local_copy=lambda: str(folder))


def test_ids_keep_their_leading_zeros(table, tmp_path):
    ids = [f"{number:04}" for number in range(len(table))]
    table.assign(**{"Neo Reference ID": ids}).to_csv(tmp_path / "nasa.csv", index=False)
    assert read_raw_table(dataset_in(tmp_path))["Neo Reference ID"].tolist() == ids


@pytest.mark.parametrize("queried", [True, False])
@pytest.mark.parametrize("spelled", [str, "{}.0".format, " {} ".format, "{:.10e}".format])
def test_one_table_has_one_test_set_however_its_ids_are_written(tmp_path, spelled, queried):
    """From the file to the split, row for row, by get_data.py's dataset or one from elsewhere."""
    table = asteroid_table(asteroids=100)
    ids = table["Neo Reference ID"]
    table = table.assign(**{"Neo Reference ID": ids.map(spelled)})
    table.to_csv(tmp_path / "nasa.csv", index=False)
    if queried:
        query_table(tmp_path / "nasa.csv").to_csv(tmp_path / "nasa.csv", index=False)
    read = read_raw_table(dataset_in(tmp_path))
    assert read["Neo Reference ID"].map(is_test_group).tolist() == ids.map(is_test_group).tolist()
    assert read["Neo Reference ID"].tolist() == ids.astype(str).tolist()
    assert np.array_equal(read[list(RAW_COLUMNS)], table[list(RAW_COLUMNS)])


@pytest.mark.parametrize("content", [None, b"", b"a,b\n1,2\n1,2,3\n", "a,b\n1,2\n".encode("utf-16")])
def test_a_dataset_whose_table_cannot_be_read_is_named_in_one_line(tmp_path, content):
    if content is not None:
        (tmp_path / "nasa.csv").write_bytes(content)
    with pytest.raises(UserError, match=r"raw 1\.0\.0 \(1d\) holds no readable nasa\.csv: .") as error:
        read_raw_table(dataset_in(tmp_path))
    assert "\n" not in str(error.value)


def test_a_dataset_with_problems_is_named_with_all_of_them(table, tmp_path):
    table.drop(columns=["Inclination", "Eccentricity"]).to_csv(tmp_path / "nasa.csv", index=False)
    with pytest.raises(UserError) as error:
        read_raw_table(dataset_in(tmp_path))
    assert str(error.value) == (
        "raw 1.0.0 (1d) cannot be preprocessed: "
        "column 'Eccentricity' is missing; column 'Inclination' is missing"
    )


# The plot of a feature


def test_the_shares_of_each_class_add_up_to_1(table):
    labels = make_labels(table)["Hazardous"]
    shares, edges = class_shares(table["Inclination"], labels, bins=10)
    assert shares.shape == (2, 10) and edges.shape == (11,)
    assert shares.sum(axis=1) == pytest.approx([1, 1])


def test_a_far_out_value_does_not_squeeze_the_others_into_one_bin():
    values = pd.Series([*np.linspace(0, 1, 999), 1e9])
    shares, edges = class_shares(values, pd.Series([0, 1] * 500), bins=10)
    assert edges[-1] < 1.1
    assert shares.max() < 0.2


def test_a_feature_that_is_always_the_same_has_one_bin_with_all_rows():
    shares, _ = class_shares(pd.Series([2458000.5] * 10), pd.Series([0, 1] * 5), bins=4)
    assert sorted(shares[0]) == [0, 0, 0, 1]
