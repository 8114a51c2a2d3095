"""Small tables shaped like NASA's, made up but consistent, for tests that need rows and not their origin."""

import numpy as np
import pandas as pd

DIAMETER_UNITS = {"KM": 1.0, "M": 1000.0, "Miles": 0.621371, "Feet": 3280.84}


def asteroid_table(asteroids: int = 300, seed: int = 0) -> pd.DataFrame:
    """One or two close approaches for each asteroid, in order of their dates, from 1995-01-01 on.

    Hazardous is what the definition calls so: H of 22 or less and MOID of 0.05 au or less.
    """
    random = np.random.default_rng(seed)
    eccentricity, inclination = random.uniform(0.05, 0.9, asteroids), random.uniform(0, 60, asteroids)
    perihelion = random.uniform(0.2, 1.3, asteroids)
    semi_major_axis = perihelion / (1 - eccentricity)
    period = 365.25 * semi_major_axis**1.5
    magnitude = random.uniform(15, 29, asteroids).round(2)
    moid = random.exponential(0.06, asteroids)
    orbits = pd.DataFrame(
        {
            "Neo Reference ID": 2000001 + np.arange(asteroids),
            "Name": [f"{number} Test ({number} AB)" for number in range(1, asteroids + 1)],
            "Absolute Magnitude": magnitude,
            **{
                f"Est Dia in {unit}({end})": 1329 / np.sqrt(albedo) * 10 ** (-magnitude / 5) * factor
                for unit, factor in DIAMETER_UNITS.items()
                for end, albedo in (("min", 0.25), ("max", 0.05))
            },
            "Orbit ID": [f"JPL {number}" for number in range(asteroids)],
            "Orbit Determination Date": "2017-04-06 08:36:37",
            "Orbit Uncertainity": random.integers(0, 10, asteroids),
            "Minimum Orbit Intersection": moid,
            "Jupiter Tisserand Invariant": 5.2033 / semi_major_axis
            + 2 * np.cos(np.radians(inclination)) * np.sqrt(semi_major_axis / 5.2033 * (1 - eccentricity**2)),
            "Epoch Osculation": 2458000.5,
            "Eccentricity": eccentricity,
            "Semi Major Axis": semi_major_axis,
            "Inclination": inclination,
            "Asc Node Longitude": random.uniform(0, 360, asteroids),
            "Orbital Period": period,
            "Perihelion Distance": perihelion,
            "Perihelion Arg": random.uniform(0, 360, asteroids),
            "Aphelion Dist": semi_major_axis * (1 + eccentricity),
            "Perihelion Time": random.uniform(2457500, 2458500, asteroids),
            "Mean Anomaly": random.uniform(0, 360, asteroids),
            "Mean Motion": 360 / period,
            "Equinox": "J2000",
            "Hazardous": (magnitude <= 22) & (moid <= 0.05),
        }
    )
    rows = orbits.loc[np.repeat(np.arange(asteroids), random.integers(1, 3, asteroids))].reset_index(
        drop=True
    )
    rows = rows.sample(frac=1, random_state=seed, ignore_index=True)
    days = pd.to_datetime("1995-01-01") + pd.to_timedelta(
        np.sort(random.integers(0, 7900, len(rows))), unit="D"
    )
    speed, distance = random.uniform(1, 40, len(rows)), random.uniform(0.001, 0.5, len(rows))
    approaches = {
        "Close Approach Date": days.strftime("%Y-%m-%d"),
        "Epoch Date Close Approach": days.astype("datetime64[ms]").astype("int64"),
        "Relative Velocity km per sec": speed,
        "Relative Velocity km per hr": speed * 3600,
        "Miles per hour": speed * 3600 * 0.62137119,
        "Miss Dist.(Astronomical)": distance,
        "Miss Dist.(lunar)": distance * 389,
        "Miss Dist.(kilometers)": distance * 149597870.7,
        "Miss Dist.(miles)": distance * 149597870.7 * 0.62137119,
        "Orbiting Body": "Earth",
    }
    for position, (name, values) in enumerate(approaches.items()):
        rows.insert(11 + position, name, values)
    return rows
