"""preprocessing.py: which tables are refused, and the features and labels made of the others."""

from pathlib import Path
from types import SimpleNamespace

from clearml_tools.errors import UserError

import numpy as np
import pandas as pd
import pytest

import global_config
from asteroids import table_files
from asteroids.ids import group_key
from asteroids.table_checks import Check, Groups
from asteroids.table_files import TableWriter, read_table
from preprocess_serving import FEATURES, RAW_COLUMNS, Preprocess
from preprocessing import Sample, class_shares, make_features, make_labels, write_tables
from tests.support.asteroid_tables import asteroid_table


@pytest.fixture(autouse=True)
def own_cache(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("CLEARML_CACHE_DIR", str(tmp_path / "cache"))


@pytest.fixture
def table() -> pd.DataFrame:
    return asteroid_table(asteroids=20)


def find_problems(*chunks: pd.DataFrame) -> list[str]:
    check = Check()
    for chunk in chunks:
        check.add(chunk)
    return check.problems()


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
    assert find_problems(table[needed]) == []  # without names as well
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
        *(("Name", value, "is empty") for value in (None, np.nan, "", " ")),
        *(("Hazardous", value, "is not among LABEL_VALUES (True, False)") for value in NO_LABELS),
    ],
)
def test_what_cannot_be_is_counted_and_located(table, column, value, told):
    table[column] = table[column].astype(object)
    table.loc[[3, 8], column] = value
    told = [f"'{column}' {told} in 2 of {len(table)} rows, first in row 4"]
    assert find_problems(table) == told
    assert find_problems(table[:2], table[2:7], table[7:]) == told


def test_a_null_among_whole_numbers_is_no_number(table):
    """A column of Parquet that has one comes with a type of its own."""
    numbers = table["Orbit Uncertainity"].astype("Int64")
    numbers[3] = pd.NA
    told = f"'Orbit Uncertainity' is not a finite number in 1 of {len(table)} rows, first in row 4"
    assert find_problems(table.assign(**{"Orbit Uncertainity": numbers})) == [told]


def test_a_table_without_rows_or_of_a_single_class_is_a_problem(table):
    assert find_problems(table.head(0)) == ["there are no rows"]
    assert find_problems(table.assign(Hazardous=False), table.assign(Hazardous=True)) == []
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


# Groups


APOPHIS = "99942 Apophis (2004 MN4)"


@pytest.mark.parametrize(
    ("rows", "keys"),
    [
        ([("2099942", APOPHIS)], ["2004 MN4"]),
        # It was numbered midway.
        ([("20041314004", "(2004 MN4)"), ("2099942", APOPHIS)], ["2004 MN4"] * 2),
        ([("3264226", "(2004 MN4)"), (" 2099942.0 ", "99942  APOPHIS ( 2004 mn4 )\t")], ["2004 MN4"] * 2),
        # Names without a designation: before and after one that has it, and without any.
        ([("2099942", "99942 Apophis"), ("2099942.0", APOPHIS), ("2099942", "Apophis")], ["2004 MN4"] * 3),
        ([("2000433", "433 Eros"), ("2000433.0", "2000433")], ["2000433"] * 2),
        ([("20041314004", "Apophis")], ["2004 MN4"]),
        ([("3264226", "3264226"), ("3264227", "3264227")], ["3264226", "3264227"]),  # as in NASA's dump
        ([("patient 7", None), (" patient 7 ", None)], ["patient 7"] * 2),
    ],
)
@pytest.mark.parametrize("chunk_rows", [1, 10])
def test_all_rows_of_a_group_have_one_key(rows, keys, chunk_rows):
    groups = Groups()
    for first in range(0, len(rows), chunk_rows):
        chunk = pd.DataFrame(rows[first : first + chunk_rows], columns=["id", "name"])
        is_known, is_contradicted = groups.add(chunk["id"], chunk["name"])
        assert is_known.all() and not is_contradicted.any()
    written = pd.concat(groups.chunks())
    assert list(written.columns) == ["Neo Reference ID", "designation"]
    assert written["designation"].tolist() == keys


def test_two_designations_under_one_id_are_a_problem(table):
    first, *_, last = table.index
    table["Neo Reference ID"] = table["Neo Reference ID"].astype(str)
    table.loc[last, "Neo Reference ID"] = table.loc[first, "Neo Reference ID"] + ".0"
    told = [
        "'Name' has another designation than a row above with the same 'Neo Reference ID' "
        f"in 1 of {len(table)} rows, first in row {len(table)}"
    ]
    assert find_problems(table) == told
    assert find_problems(table[:5], table[5:]) == told


def test_a_table_without_names_has_its_groups_by_their_ids(table, monkeypatch, tmp_path):
    """As the configuration of the second example has it."""
    monkeypatch.setattr(global_config, "GROUP_NAME_COLUMN", None)
    ids = [f"patient {number}" for number in range(len(table))]
    table = table.drop(columns="Name").assign(**{"Neo Reference ID": ids})
    groups = preprocessed(table, tmp_path)[2]
    assert groups["designation"].tolist() == groups["Neo Reference ID"].tolist() == ids


# The dataset


def dataset_in(folder: Path) -> SimpleNamespace:
    """What write_tables asks of a ClearML dataset."""
    return SimpleNamespace(name="raw", version="1.0.0", id="1d", get_local_copy=lambda: str(folder))


def preprocessed(table: pd.DataFrame, folder: Path) -> list[pd.DataFrame]:
    """Return the features, labels and groups, by way of files: CSV, or Parquet if LARGE_TABLE_ROWS is low."""
    raw, made = folder / "raw", folder / "made"
    raw.mkdir()
    made.mkdir()
    with TableWriter(raw, "nasa.csv") as writer:
        writer.append(table)
    check, _ = write_tables(dataset_in(raw), made)
    assert check.rows == len(table)
    return [read_table(made, "X.csv"), read_table(made, "y.csv"), read_table(made, "groups.csv", text=GROUPS)]


GROUPS = ["Neo Reference ID", "designation"]


def test_ids_keep_their_leading_zeros(table, tmp_path):
    ids = [f"{number:04}" for number in range(len(table))]
    groups = preprocessed(table.assign(**{"Neo Reference ID": ids}), tmp_path)[2]
    assert groups["Neo Reference ID"].tolist() == ids


@pytest.mark.parametrize("spelled", [str, "{}.0".format, " {} ".format, "{:.10e}".format])
def test_one_table_has_the_same_groups_however_its_ids_are_written(tmp_path, spelled):
    table = asteroid_table(asteroids=100)
    ids = table["Neo Reference ID"]
    keys = [group_key(*group) for group in zip(ids, table["Name"], strict=True)]
    features, _, groups = preprocessed(table.assign(**{"Neo Reference ID": ids.map(spelled)}), tmp_path)
    assert groups["designation"].tolist() == keys
    assert groups["Neo Reference ID"].tolist() == ids.astype(str).tolist()
    assert features.equals(make_features(table))


def test_a_large_table_gives_the_same_as_a_small_one_bit_for_bit(table, monkeypatch, tmp_path):
    small, large = tmp_path / "small", tmp_path / "large"
    small.mkdir()
    large.mkdir()
    expected = preprocessed(table, small)
    monkeypatch.setattr(global_config, "LARGE_TABLE_ROWS", 10)
    monkeypatch.setattr(table_files, "CHUNK_ROWS", 7)
    for made, wanted in zip(preprocessed(table, large), expected, strict=True):
        pd.testing.assert_frame_equal(made, wanted, check_exact=True)
    assert sorted(path.name for path in (small / "made").iterdir()) == ["X.csv", "groups.csv", "y.csv"]
    assert sorted(path.name for path in (large / "made").iterdir()) == [
        "X.parquet",
        "groups.parquet",
        "y.parquet",
    ]


@pytest.mark.parametrize("content", [None, b"", b"a,b\n1,2\n1,2,3\n", "a,b\n1,2\n".encode("utf-16")])
def test_a_dataset_whose_table_cannot_be_read_is_named_in_one_line(tmp_path, content):
    if content is not None:
        (tmp_path / "nasa.csv").write_bytes(content)
    with pytest.raises(UserError, match=r"raw 1\.0\.0 \(1d\) holds no readable nasa\.csv: .") as error:
        write_tables(dataset_in(tmp_path), tmp_path)
    assert "\n" not in str(error.value)


def test_a_dataset_with_problems_is_named_with_all_of_them_and_nothing_is_written(table, tmp_path):
    raw, made = tmp_path / "raw", tmp_path / "made"
    raw.mkdir()
    made.mkdir()
    table.drop(columns=["Inclination", "Eccentricity"]).to_csv(raw / "nasa.csv", index=False)
    with pytest.raises(UserError) as error:
        write_tables(dataset_in(raw), made)
    assert str(error.value) == (
        "raw 1.0.0 (1d) cannot be preprocessed: "
        "column 'Eccentricity' is missing; column 'Inclination' is missing"
    )
    assert list(made.iterdir()) == []


# The plot of a feature


@pytest.mark.parametrize("chunk_rows", [7, 100])
def test_pictures_show_all_rows_of_a_small_table(table, monkeypatch, tmp_path, chunk_rows):
    monkeypatch.setattr(table_files, "CHUNK_ROWS", chunk_rows)
    table.to_csv(tmp_path / "nasa.csv", index=False)
    _, sample = write_tables(dataset_in(tmp_path), tmp_path)
    assert np.array_equal(sample.rows, pd.concat([make_features(table), make_labels(table)], axis="columns"))


def test_pictures_show_a_seeded_sample_of_a_large_table(table, monkeypatch):
    def sample() -> Sample:
        drawn = Sample()
        for first in range(0, len(table), 7):
            drawn.add(table[first : first + 7])
        return drawn

    monkeypatch.setattr(global_config, "LARGE_TABLE_ROWS", 10)
    rows = sample().rows
    assert len(rows.drop_duplicates()) == 10
    assert rows.index.max() >= 14  # later chunks have their chance
    assert sample().rows.equals(rows)
    assert sample().first.equals(table.head(7))


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
