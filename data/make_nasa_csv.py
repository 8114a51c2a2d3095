"""Make data/nasa.csv, the 40-column NASA asteroid table, from the Minor Planet Center's public catalogue.

    pip install numpy pyerfa
    python data/make_nasa_csv.py

Downloads the catalogue, follows 16,763 asteroids from 2025 back to 1995 and notes every approach to the
Earth, then writes one row per approach on days 8, 15 and 22. The same catalogue gives the same bytes. What
each column means and how good it is stands in data/README.md.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import io
import time
from datetime import date, datetime, timedelta
from math import cos, degrees, exp, radians, sqrt
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import catalogue
import numpy as np
from integration import Approaches, earth_orbit, integrate
from orbits import GAUSS_K, GM_SUN, Elements, State, minimum_orbit_intersection, state_from_elements

CATALOGUE_EPOCH = 2461000.5  # JD (TDB), 2025-11-21: where the integration starts
TABLE_EPOCH = 2458000.5  # JD (TDB), 2017-09-04: the NASA table's "Epoch Osculation"
J2000_DATE, J2000_JD = date(2000, 1, 1), 2451544.5  # the midnight that begins that date

LAST_DESIGNATION = (2017, "R")  # half-month R, early September 2017: when the NASA table was made
FIRST_DATE, LAST_DATE = date(1995, 1, 1), date(2016, 9, 8)
DAYS_OF_MONTH = (8, 15, 22)
MAX_RUNOFF = 1.0  # degrees along the orbit: beyond, the date of an approach is a guess
DEEP_ENCOUNTER = 0.001  # AU: no approach before such an encounter can be trusted

AU_KM = 149597870.7  # IAU 2012
LUNAR_DISTANCES_PER_AU = 389  # the NASA table's
MILES_PER_KM = 0.621371
MPH_PER_KMH = 0.62137119
FEET_PER_M = 3.28084
JUPITER_A = 5.2033  # AU, for the Tisserand invariant
ALBEDO_OF_MIN, ALBEDO_OF_MAX = 0.25, 0.05  # a bright surface makes the smallest diameter
PACIFIC = ZoneInfo("America/Los_Angeles")

# The columns in the NASA table's order and spelling, and the format of each: enough digits for the accuracy
# of the value, few enough for the last bits of a processor's sines not to show.
COLUMNS = {
    "Neo Reference ID": "d",
    "Name": "s",
    "Absolute Magnitude": ".2f",
    "Est Dia in KM(min)": ".9f",
    "Est Dia in KM(max)": ".9f",
    "Est Dia in M(min)": ".6f",
    "Est Dia in M(max)": ".6f",
    "Est Dia in Miles(min)": ".9f",
    "Est Dia in Miles(max)": ".9f",
    "Est Dia in Feet(min)": ".6f",
    "Est Dia in Feet(max)": ".6f",
    "Close Approach Date": "s",
    "Epoch Date Close Approach": "d",
    "Relative Velocity km per sec": ".6f",
    "Relative Velocity km per hr": ".4f",
    "Miles per hour": ".4f",
    "Miss Dist.(Astronomical)": ".7f",
    "Miss Dist.(lunar)": ".5f",
    "Miss Dist.(kilometers)": ".0f",
    "Miss Dist.(miles)": ".0f",
    "Orbiting Body": "s",
    "Orbit ID": "s",
    "Orbit Determination Date": "s",
    "Orbit Uncertainity": "d",
    "Minimum Orbit Intersection": ".8f",
    "Jupiter Tisserand Invariant": ".3f",
    "Epoch Osculation": ".1f",
    "Eccentricity": ".8f",
    "Semi Major Axis": ".8f",
    "Inclination": ".6f",
    "Asc Node Longitude": ".6f",
    "Orbital Period": ".6f",
    "Perihelion Distance": ".8f",
    "Perihelion Arg": ".6f",
    "Aphelion Dist": ".8f",
    "Perihelion Time": ".5f",
    "Mean Anomaly": ".6f",
    "Mean Motion": ".9f",
    "Equinox": "s",
    "Hazardous": "s",
}


def is_usable(asteroid: dict[str, Any]) -> bool:
    """Return whether it was known by 2017, with a magnitude (99.99 is none) and an orbit at the common epoch.

    The few orbits at other epochs are of asteroids that hit the Earth (2014 AA) or were lost.
    """
    designation = catalogue.parse_designation(asteroid["Principal_desig"])
    return (
        designation[:2] <= LAST_DESIGNATION
        and asteroid["Epoch"] == CATALOGUE_EPOCH
        and asteroid.get("H", 99.99) < 99
    )


def catalogue_elements(asteroids: list[dict[str, Any]]) -> Elements:
    """Return the elements; a from the mean motion, which has one digit more than the catalogue's a."""

    def column(name: str) -> np.ndarray:
        return np.array([asteroid[name] for asteroid in asteroids])

    return Elements(
        a=np.cbrt(GM_SUN / np.radians(column("n")) ** 2),
        e=column("e"),
        i=np.radians(column("i")),
        node=np.radians(column("Node")),
        peri=np.radians(column("Peri")),
        mean_anomaly=np.radians(column("M")),
    )


def initial_state(asteroids: list[dict[str, Any]]) -> State:
    """Return where the asteroids are at CATALOGUE_EPOCH.

    Rounded far below the catalogue's own accuracy (to 15 m), so that a sine that differs in its last bit on
    another processor starts the very same integration.
    """
    state = state_from_elements(catalogue_elements(asteroids))
    return State(np.round(state.position, 13), np.round(state.velocity, 15))


def to_date(jd: float) -> date:
    """Return the calendar date (TDB) of a Julian Date."""
    return J2000_DATE + timedelta(days=int(np.floor(jd - J2000_JD)))


def to_jd(day: date) -> float:
    """Return the Julian Date of the midnight that begins a date."""
    return J2000_JD + (day - J2000_DATE).days


def runoff(asteroid: dict[str, Any], day: date) -> float:
    """Return how far the asteroid may be from its predicted place on a day, degrees along its orbit.

    The MPC's U stands for a runoff of exp(1.49 (U - 0.5)) seconds of arc per decade; the time counts from the
    nearer end of the observed arc.
    """
    first, last = catalogue.observed_arc(asteroid)
    years = max((first - day).days, (day - last).days, 0) / 365.25
    return exp(1.49 * (catalogue.uncertainty(asteroid) - 0.5)) / 3600 * years / 10


def choose(asteroids: list[dict[str, Any]], approaches: Approaches) -> list[int]:
    """Return the indices of the approaches that become rows, by date and then Neo Reference ID."""
    last_deep = np.zeros(len(asteroids))
    deep = approaches.distance < DEEP_ENCOUNTER
    np.maximum.at(last_deep, approaches.asteroid[deep], approaches.jd[deep])
    rows: dict[tuple[date, int], int] = {}
    for index, (which, jd, distance, _) in enumerate(zip(*approaches, strict=True)):
        day = to_date(jd)
        if day.day not in DAYS_OF_MONTH or not FIRST_DATE <= day <= LAST_DATE or jd < last_deep[which]:
            continue
        if runoff(asteroids[which], day) > MAX_RUNOFF:
            continue
        key = day, catalogue.reference_id(asteroids[which])
        if key not in rows or distance < approaches.distance[rows[key]]:  # one row per asteroid and date
            rows[key] = index
    return [rows[key] for key in sorted(rows)]


def orbit_columns(orbit: Elements, moid: float) -> dict[str, Any]:
    """Return the columns of an orbit; dependent ones follow from the rounded elements that the table has.

    The perihelion is the one nearest to the epoch; the mean motion is Gauss's k / a^1.5.
    """
    a, e = round(float(orbit.a), 8), round(float(orbit.e), 8)
    inclination, node, peri, anomaly = (round(degrees(angle), 6) % 360 for angle in orbit[2:])
    motion = degrees(GAUSS_K) / a**1.5
    since_perihelion = ((anomaly + 180) % 360 - 180) / motion
    tisserand = JUPITER_A / a + 2 * cos(radians(inclination)) * sqrt(a / JUPITER_A * (1 - e * e))
    return {
        "Minimum Orbit Intersection": moid,
        "Jupiter Tisserand Invariant": tisserand,
        "Epoch Osculation": TABLE_EPOCH,
        "Eccentricity": e,
        "Semi Major Axis": a,
        "Inclination": inclination,
        "Asc Node Longitude": node,
        "Orbital Period": 360 / motion,
        "Perihelion Distance": a * (1 - e),
        "Perihelion Arg": peri,
        "Aphelion Dist": a * (1 + e),
        "Perihelion Time": TABLE_EPOCH - since_perihelion,
        "Mean Anomaly": anomaly,
        "Mean Motion": motion,
        "Equinox": "J2000",
    }


def size_columns(absolute_magnitude: float) -> dict[str, Any]:
    """Return diameters, 1329 km / sqrt(p) * 10^(-H/5) with an albedo p (Fowler & Chillemi 1992)."""
    columns = {"Absolute Magnitude": absolute_magnitude}
    for end, albedo in (("min", ALBEDO_OF_MIN), ("max", ALBEDO_OF_MAX)):
        km = round(1329 / sqrt(albedo) * 10 ** (-absolute_magnitude / 5), 9)
        columns[f"Est Dia in KM({end})"] = km
        columns[f"Est Dia in M({end})"] = km * 1000
        columns[f"Est Dia in Miles({end})"] = km * MILES_PER_KM
        columns[f"Est Dia in Feet({end})"] = km * 1000 * FEET_PER_M
    return columns


def approach_columns(jd: float, distance: float, speed: float) -> dict[str, Any]:
    """Return the columns of an approach at a distance in AU and with a speed in AU/day."""
    day = to_date(jd)
    midnight = datetime(day.year, day.month, day.day, tzinfo=PACIFIC)
    au, km_per_s = round(float(distance), 7), round(float(speed) * AU_KM / 86400, 6)
    return {
        "Close Approach Date": day.isoformat(),
        "Epoch Date Close Approach": int(midnight.timestamp()) * 1000,
        "Relative Velocity km per sec": km_per_s,
        "Relative Velocity km per hr": km_per_s * 3600,
        "Miles per hour": km_per_s * 3600 * MPH_PER_KMH,
        "Miss Dist.(Astronomical)": au,
        "Miss Dist.(lunar)": au * LUNAR_DISTANCES_PER_AU,
        "Miss Dist.(kilometers)": au * AU_KM,
        "Miss Dist.(miles)": au * AU_KM * MILES_PER_KM,
        "Orbiting Body": "Earth",
    }


def catalogue_columns(asteroid: dict[str, Any]) -> dict[str, Any]:
    """Return the catalogue's columns.

    Its reference stands for JPL's orbit number, and its last observation for the date of JPL's orbit.
    """
    return {
        "Neo Reference ID": catalogue.reference_id(asteroid),
        "Name": catalogue.full_name(asteroid),
        "Orbit ID": asteroid["Ref"],
        "Orbit Determination Date": f"{asteroid['Last_obs']} 00:00:00",
        "Orbit Uncertainity": catalogue.uncertainty(asteroid),
        "Hazardous": str(bool(asteroid.get("PHA_flag"))),
    }


def make_table(
    asteroids: list[dict[str, Any]], approaches: Approaches, osculating: Elements
) -> list[dict[str, Any]]:
    """Return a row, a value for each column, for each chosen approach; `osculating` at TABLE_EPOCH."""
    chosen = choose(asteroids, approaches)
    needed = np.unique(approaches.asteroid[chosen])
    moids = minimum_orbit_intersection(osculating.of(needed), earth_orbit(TABLE_EPOCH))
    of_asteroid = {}
    for which, moid in zip(needed, moids, strict=True):
        of_asteroid[which] = (
            catalogue_columns(asteroids[which])
            | size_columns(asteroids[which]["H"])
            | orbit_columns(osculating.of(which), moid)
        )
    rows = []
    for index in chosen:
        which, jd, distance, speed = (column[index] for column in approaches)
        rows.append(of_asteroid[which] | approach_columns(jd, distance, speed))
    return rows


def to_csv(rows: list[dict[str, Any]]) -> bytes:
    """Return the table as bytes: fixed decimals, lines that end with a single line feed."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in rows:
        writer.writerow([format(row[name], how) for name, how in COLUMNS.items()])
    return text.getvalue().encode()


def build(records: list[dict[str, Any]]) -> bytes:
    """Return the whole of nasa.csv from the catalogue's records, and print how far it is."""
    begun = time.monotonic()

    def say(text: str) -> None:
        print(f"{time.monotonic() - begun:6.1f} s  {text}", flush=True)

    asteroids = [asteroid for asteroid in records if is_usable(asteroid)]
    say(f"integrating {len(asteroids)} asteroids")
    approaches, osculating = integrate(
        initial_state(asteroids),
        jd_start=CATALOGUE_EPOCH,
        jd_end=to_jd(FIRST_DATE),
        jd_snapshot=TABLE_EPOCH,
        progress=lambda jd: say(f"at {to_date(jd)}"),
    )
    say(f"{approaches.jd.size} approaches; choosing rows, computing MOIDs")
    rows = make_table(asteroids, approaches, osculating)
    known = {row["Neo Reference ID"] for row in rows}
    hazardous = sum(row["Hazardous"] == "True" for row in rows) / len(rows)
    first, last = rows[0]["Close Approach Date"], rows[-1]["Close Approach Date"]
    say(f"{len(rows)} rows, {len(known)} asteroids, {hazardous:.1%} hazardous, {first} to {last}")
    return to_csv(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    beside = Path(__file__).with_name("nasa.csv")
    parser.add_argument("--out", type=Path, default=beside, help="file to write (default: data/nasa.csv)")
    arguments, records = catalogue.read_as_asked(parser)
    table = build(records)
    arguments.out.write_bytes(table)
    print(f"{arguments.out}: {len(table)} bytes, sha256 {hashlib.sha256(table).hexdigest()}")


if __name__ == "__main__":
    main()
