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


def test_features_are_the_19_of_the_model_in_its_order(table):
    features = make_features(table)
    assert list(features.columns) == FEATURES
    assert len(features) == len(table)


def test_avg_dia_is_the_mean_of_both_estimates(table):
    expected = (table["Est Dia in KM(min)"] + table["Est Dia in KM(max)"]) / 2
    assert make_features(table)["avg_dia"].tolist() == expected.tolist()


def test_all_other_features_are_the_columns_of_their_names(table):
    names = [name for name in FEATURES if name != "avg_dia"]
    assert np.array_equal(make_features(table)[names], table[names])


def test_serving_makes_the_same_features_of_each_row(table):
    hook = Preprocess()
    served = [hook.preprocess(row, {})[0] for row in table.to_dict("records")]
    assert np.array_equal(make_features(table), served)


@pytest.mark.parametrize(
    "spelling",
    [
        {True: True, False: False},
        {True: "True", False: "False"},
        {True: "true", False: "FALSE"},
        {True: " TRUE", False: "false "},
    ],
)
def test_labels_are_1_for_hazardous_and_0_for_not(table, spelling):
    hazardous = table["Hazardous"].copy()
    table["Hazardous"] = hazardous.map(spelling)
    assert find_problems(table) == []
    labels = make_labels(table)
    assert list(labels.columns) == ["Hazardous"]
    assert labels["Hazardous"].tolist() == hazardous.astype(int).tolist()


@pytest.mark.parametrize(
    ("values", "spelling"),
    [
        ({"1": 1, "0": 0}, {True: 1, False: 0}),
        ({"1": 1, "0": 0}, {True: 1.0, False: "0.0"}),
        ({"Y": 1, "N": 0}, {True: "y", False: "N"}),
        ({"M": 1, "B": 0}, {True: " M", False: "B"}),
    ],
)
def test_labels_may_be_other_texts(table, monkeypatch, values, spelling):
    monkeypatch.setattr(global_config, "LABEL_VALUES", values)
    hazardous = table["Hazardous"].copy()
    table["Hazardous"] = hazardous.map(spelling)
    assert find_problems(table) == []
    assert make_labels(table)["Hazardous"].tolist() == hazardous.astype(int).tolist()


# Problems


def test_a_good_table_has_no_problems(table):
    assert find_problems(table) == []


@pytest.mark.parametrize("column", [*RAW_COLUMNS, "Neo Reference ID", "Hazardous"])
def test_a_missing_column_is_named(table, column):
    assert find_problems(table.drop(columns=column)) == [f"column '{column}' is missing"]


def test_columns_that_no_feature_needs_may_be_missing(table):
    assert find_problems(table.drop(columns=["Equinox", "Name", "Miles per hour"])) == []


def test_no_rows_is_a_problem(table):
    assert find_problems(table.head(0)) == ["there are no rows"]


@pytest.mark.parametrize("value", ["n/a", "", None, np.nan, np.inf, -np.inf, 1e39])
def test_what_is_not_a_finite_number_is_counted_and_located(table, value):
    table["Inclination"] = table["Inclination"].astype(object)
    table.loc[[3, 8], "Inclination"] = value
    assert find_problems(table) == [
        f"'Inclination' is not a finite number in 2 of {len(table)} rows, first in row 4"
    ]


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("Eccentricity", -0.1, "from 0 to below 1, a closed orbit"),
        ("Eccentricity", 1.0, "from 0 to below 1, a closed orbit"),
        ("Inclination", 180.5, "from 0 to 180 degrees"),
        ("Mean Anomaly", 361.0, "from 0 to 360 degrees"),
        ("Orbit Uncertainity", 10, "from 0 to 9"),
        ("Minimum Orbit Intersection", -0.001, "0 or more"),
        ("Semi Major Axis", 0.0, "above 0"),
    ],
)
def test_what_cannot_be_is_refused_by_the_rules_of_serving(table, column, value, words):
    table.loc[0, column] = value
    assert find_problems(table) == [f"'{column}' is not {words} in 1 of {len(table)} rows, first in row 1"]


def test_a_largest_diameter_below_the_smallest_is_a_problem(table):
    table.loc[2, "Est Dia in KM(max)"] = table.loc[2, "Est Dia in KM(min)"] / 2
    assert find_problems(table) == [
        f"'Est Dia in KM(max)' is below 'Est Dia in KM(min)' in 1 of {len(table)} rows, first in row 3"
    ]


@pytest.mark.parametrize("value", ["maybe", "", None, np.nan, 1, 0, "1", "yes"])
def test_a_label_other_than_true_or_false_is_a_problem(table, value):
    table["Hazardous"] = table["Hazardous"].astype(object)
    table.loc[1, "Hazardous"] = value
    assert find_problems(table) == [
        f"'Hazardous' is none of True, False in 1 of {len(table)} rows, first in row 2"
    ]


def test_a_single_class_is_a_problem(table):
    table["Hazardous"] = False
    assert find_problems(table) == [
        "all rows are of the class 'not hazardous', and there is nothing to learn from that"
    ]


def test_a_row_about_no_asteroid_is_a_problem(table):
    table["Neo Reference ID"] = table["Neo Reference ID"].astype(object)
    table.loc[0, "Neo Reference ID"] = None
    assert find_problems(table) == [f"'Neo Reference ID' is empty in 1 of {len(table)} rows, first in row 1"]


@pytest.mark.parametrize("value", ["2446862.5", "inf", "2.01517E+10", -1])
def test_what_is_no_id_is_a_problem(table, value):
    table["Neo Reference ID"] = table["Neo Reference ID"].astype(object)
    table.loc[[4, 6], "Neo Reference ID"] = value
    assert find_problems(table) == [
        f"'Neo Reference ID' is no whole number or name, but '{value}', in 2 of {len(table)} rows, "
        "first in row 5"
    ]


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


def test_the_table_of_a_dataset_is_read_as_it_was_written(table, tmp_path):
    table.to_csv(tmp_path / "nasa.csv", index=False)
    assert np.array_equal(read_raw_table(dataset_in(tmp_path))[list(RAW_COLUMNS)], table[list(RAW_COLUMNS)])


def test_ids_keep_their_leading_zeros(table, tmp_path):
    ids = [f"{number:04}" for number in range(len(table))]
    table.assign(**{"Neo Reference ID": ids}).to_csv(tmp_path / "nasa.csv", index=False)
    assert read_raw_table(dataset_in(tmp_path))["Neo Reference ID"].tolist() == ids


@pytest.mark.parametrize("spelled", [float, "{}.0".format, " {} ".format])
def test_ids_of_a_dataset_from_elsewhere_are_the_ids_of_the_table(table, tmp_path, spelled):
    ids = table["Neo Reference ID"]
    table.assign(**{"Neo Reference ID": ids.map(spelled)}).to_csv(tmp_path / "nasa.csv", index=False)
    assert read_raw_table(dataset_in(tmp_path))["Neo Reference ID"].tolist() == ids.astype(str).tolist()


@pytest.mark.parametrize("spelled", [str, float, "{}.0".format, " {} ".format, "{:.6e}".format])
def test_one_table_has_one_test_set_however_its_ids_are_written(tmp_path, spelled):
    """From the file through get_data.py's dataset and groups.csv to the split, row for row."""
    table = asteroid_table(asteroids=100)
    ids = table["Neo Reference ID"]
    table.assign(**{"Neo Reference ID": ids.map(spelled)}).to_csv(tmp_path / "spelled.csv", index=False)
    query_table(tmp_path / "spelled.csv", "2022-01-01").to_csv(tmp_path / "nasa.csv", index=False)
    groups = read_raw_table(dataset_in(tmp_path))["Neo Reference ID"]
    assert groups.map(is_test_group).tolist() == ids.map(is_test_group).tolist()
    assert groups.tolist() == ids.astype(str).tolist()


def test_a_dataset_without_the_table_is_named(tmp_path):
    with pytest.raises(UserError, match=r"raw 1\.0\.0 \(1d\) holds no readable nasa\.csv"):
        read_raw_table(dataset_in(tmp_path))


@pytest.mark.parametrize("content", [b"", b"a,b\n1,2\n1,2,3\n", "a,b\n1,2\n".encode("utf-16")])
def test_a_dataset_whose_table_cannot_be_read_is_named_in_one_line(tmp_path, content):
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
