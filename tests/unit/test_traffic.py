"""traffic.py and physics.py: mock rows that could be real, and drift that the alarms must see."""

import itertools
import json
import math

from clearml_tools.errors import UserError

import duckdb
import numpy as np
import pytest

from asteroids import traffic
from asteroids.physics import DIAMETERS, KM_PER_AU, MAGNITUDE, MOID
from asteroids.traffic import SCENARIOS, drift_row, mock_rows, read_rows, write_rows
from preprocess_serving import RAW_COLUMNS, find_problems
from tests.support.checkouts import REPOSITORY

NASA_TABLE = REPOSITORY / "data" / "nasa.csv"
HEADER = NASA_TABLE.read_text().partition("\n")[0]
MISS_DISTANCES = [f"Miss Dist.({unit})" for unit in ("Astronomical", "lunar", "kilometers", "miles")]


@pytest.fixture(scope="module")
def table() -> list[dict]:
    return read_rows(NASA_TABLE)


def draw(table: list[dict], scenario: str, count: int = 2000, **options) -> list[dict]:
    return list(itertools.islice(mock_rows(table, SCENARIOS[scenario], **options), count))


def column(rows: list[dict], name: str) -> np.ndarray:
    return np.array([row[name] for row in rows], float)


def correlation(rows: list[dict]) -> float:
    return np.corrcoef(column(rows, MAGNITUDE), column(rows, MOID))[0, 1]


def stability_index(expected: np.ndarray, found: np.ndarray) -> float:
    """PSI on the deciles of `expected`, smoothed as the alarms do it."""
    deciles = np.quantile(expected, np.arange(1, 10) / 10)
    shares = (np.bincount(np.searchsorted(deciles, found), minlength=10) + 0.5) / (len(found) + 5)
    return float(((shares - 0.1) * np.log(shares / 0.1)).sum())


def test_a_table_is_read_as_requests_without_the_label(table):
    assert len(table) == len(NASA_TABLE.read_text().splitlines()) - 1
    first = table[0]
    assert (first["Name"], first["Neo Reference ID"]) == ("446862 (2001 VB76)", 2446862)
    assert first[MAGNITUDE] == 20.53
    assert len(first) == 39
    assert "Hazardous" not in first


def test_a_parquet_file_gives_the_same_rows(table, tmp_path):
    duckdb.sql(f"COPY (FROM read_csv('{NASA_TABLE}')) TO '{tmp_path / 'table'}' (FORMAT parquet)")
    assert read_rows(tmp_path / "table") == table


def test_of_a_large_table_every_second_row_is_read_or_fewer(table, monkeypatch):
    monkeypatch.setattr(traffic, "MOST_ROWS", len(table) // 2)
    assert read_rows(NASA_TABLE) == table[2::3]


@pytest.mark.parametrize("cell", ["", "nan", "NaN", "inf", "n/a"])
def test_rows_without_a_value_are_left_out_and_told(tmp_path, capsys, cell):
    lines = NASA_TABLE.read_text().splitlines()[:4]
    lines[2] = lines[2].replace("27.00", cell)
    (tmp_path / "holes.csv").write_text("\n".join(lines))
    assert len(read_rows(tmp_path / "holes.csv")) == 2
    assert "1 of 3 rows are left out" in capsys.readouterr().out


def test_a_missing_value_that_the_hook_does_not_ask_for_is_not_sent(tmp_path):
    lines = NASA_TABLE.read_text().splitlines()[:2]
    lines[1] = lines[1].replace("208.235599", "NaN")
    (tmp_path / "holes.csv").write_text("\n".join(lines))
    (row,) = read_rows(tmp_path / "holes.csv")
    assert "Est Dia in M(min)" not in row
    assert "Est Dia in M(min)" not in drift_row(row, {MAGNITUDE: 2, MOID: 2})


def test_a_table_without_a_usable_row_is_refused(tmp_path):
    (tmp_path / "bare.csv").write_text(HEADER)
    with pytest.raises(UserError, match="has no row that could be sent: it is empty"):
        read_rows(tmp_path / "bare.csv")


def test_normal_rows_are_real_rows_with_their_distribution_and_correlation(table):
    rows = draw(table, "normal", 10000)
    assert {json.dumps(row) for row in rows} <= {json.dumps(row) for row in table}
    assert stability_index(column(table, MAGNITUDE), column(rows, MAGNITUDE)) < 0.01
    assert stability_index(column(table, MOID), column(rows, MOID)) < 0.01
    assert correlation(rows) == pytest.approx(correlation(table), abs=0.02)


def test_drift_doubles_absolute_magnitude_and_moid_and_keeps_their_correlation(table):
    normal, drifted = draw(table, "normal"), draw(table, "major")
    assert np.array_equal(column(drifted, MAGNITUDE), 2 * column(normal, MAGNITUDE))
    assert np.array_equal(column(drifted, MOID), 2 * column(normal, MOID))
    assert correlation(drifted) == pytest.approx(correlation(normal), abs=1e-9)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_diameters_follow_from_the_absolute_magnitude(table, scenario):
    rows = draw(table, scenario, 500)
    kilometres = {
        end: 1329 / math.sqrt(albedo) * 10 ** (-column(rows, MAGNITUDE) / 5)
        for end, albedo in (("min", 0.25), ("max", 0.05))
    }
    for unit, factor in {"KM": 1, "M": 1000, "Miles": 0.621371, "Feet": 3280.84}.items():
        for end in ("min", "max"):
            found = column(rows, f"Est Dia in {unit}({end})")
            assert found == pytest.approx(kilometres[end] * factor, rel=2e-6)


def test_nothing_passes_closer_than_a_raised_moid_in_any_unit(table):
    normal, drifted = draw(table, "normal"), draw(table, "major")
    distance = column(drifted, "Miss Dist.(Astronomical)")
    assert (distance >= column(drifted, MOID)).all()
    assert (distance >= column(normal, "Miss Dist.(Astronomical)")).all()
    kilometres = distance * KM_PER_AU
    assert column(drifted, "Miss Dist.(kilometers)") == pytest.approx(kilometres, rel=1e-5)
    assert column(drifted, "Miss Dist.(miles)") == pytest.approx(kilometres * 0.621371, rel=2e-5)
    assert column(drifted, "Miss Dist.(lunar)") == pytest.approx(distance * 389, rel=1e-4)


@pytest.mark.parametrize(
    ("scenario", "may_change"),
    [
        ("magnitude", {MAGNITUDE, *DIAMETERS}),
        ("moid", {MOID, *MISS_DISTANCES}),
        ("major", {MAGNITUDE, *DIAMETERS, MOID, *MISS_DISTANCES}),
    ],
)
def test_a_drift_changes_its_columns_and_what_follows_from_them(table, scenario, may_change):
    pairs = zip(draw(table, "normal", 200), draw(table, scenario, 200), strict=True)
    changed = {name for before, after in pairs for name in after if before[name] != after[name]}
    assert changed == may_change


def test_a_drift_adds_no_column_that_the_table_does_not_have(table):
    rows = [{name: row[name] for name in RAW_COLUMNS} for row in table]
    assert {frozenset(row) for row in draw(rows, "major", 200)} == {frozenset(RAW_COLUMNS)}


def test_a_share_of_the_rows_drifts_by_the_seed_and_the_others_are_real(table):
    drifted = "Absolute Magnitude x 2, Minimum Orbit Intersection x 2"
    assert SCENARIOS["share"].summary == f"{drifted}, in 20% of the rows"
    normal, mixed, others = draw(table, "normal"), draw(table, "share"), draw(table, "share", seed=2)
    factors = column(mixed, MAGNITUDE) / column(normal, MAGNITUDE)
    assert set(factors) == {1.0, 2.0}
    assert (factors == 2).mean() == pytest.approx(0.2, abs=0.03)
    assert all(m == n for m, n, factor in zip(mixed, normal, factors, strict=True) if factor == 1)
    assert draw(table, "share") == mixed != others


def test_a_ramp_grows_evenly_to_the_whole_drift_and_stays(table):
    normal, ramp = draw(table, "normal", 300), draw(table, "ramp", 300, ramp_rows=200)
    expected = 1 + np.minimum(np.arange(300) / 200, 1)
    for name in (MAGNITUDE, MOID):
        assert column(ramp, name) / column(normal, name) == pytest.approx(expected)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_the_hook_accepts_every_scenario_and_all_but_the_normal_one_are_drift_to_the_alarms(table, scenario):
    rows = draw(table, scenario)
    assert [problem for row in rows for problem in find_problems(row)] == []
    json.dumps(rows, allow_nan=False)
    indices = [stability_index(column(table, name), column(rows, name)) for name in (MAGNITUDE, MOID)]
    assert max(indices) < 0.05 if scenario == "normal" else max(indices) > 0.1


def test_saved_rows_are_read_back_the_same(table, tmp_path):
    rows = draw(table, "major", 100)
    write_rows(rows, tmp_path / "rows.csv")
    assert read_rows(tmp_path / "rows.csv") == rows
