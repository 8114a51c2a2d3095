"""Orbits of the shipped table for benchmark_questions.py, and how they look before they are known well."""

import sys

import numpy as np
import pandas as pd

from asteroids.evaluation import rule_of_thumb
from tests.support.checkouts import REPOSITORY

sys.path.insert(0, str(REPOSITORY / "data"))  # its modules import one another by name

from integration import EARTH, earth_orbit, planets
from make_nasa_csv import AU_KM, CATALOGUE_EPOCH, J2000_JD, TABLE_EPOCH
from orbits import (
    GAUSS_K,
    GM_SUN,
    Elements,
    State,
    dot,
    elements_from_state,
    minimum_orbit_intersection,
    state_from_elements,
)

H, MOID = "Absolute Magnitude", "Minimum Orbit Intersection"
DRAWS = 20  # orbits drawn around a measured one
LARGEST_A = 15  # AU: a noisy orbit that is larger, or open, is no orbit


def elements_of(features: pd.DataFrame) -> Elements:
    shape = [features[name].to_numpy() for name in ("Semi Major Axis", "Eccentricity")]
    angles = ("Inclination", "Asc Node Longitude", "Perihelion Arg", "Mean Anomaly")
    return Elements(*shape, *(np.radians(features[name].to_numpy()) for name in angles))


def moid_of_2025(features: pd.DataFrame) -> np.ndarray:
    """Return the MOID (AU) of the table's orbits, of 2017, with the Earth's orbit of the label's day."""
    return minimum_orbit_intersection(elements_of(features), earth_orbit(CATALOGUE_EPOCH))


def noon(dates: pd.Series) -> np.ndarray:
    """Return the Julian Date of the noon of each YYYY-MM-DD."""
    return J2000_JD + (pd.to_datetime(dates) - pd.Timestamp("2000-01-01")).dt.days.to_numpy() + 0.5


def distance_at_nodes(orbit: Elements) -> np.ndarray:
    """Return how far from 1 AU the orbit crosses the plane of the Earth's, at the nearer of its two nodes."""
    radius = orbit.a * (1 - orbit.e**2)
    ends = [radius / (1 + sign * orbit.e * np.cos(orbit.peri)) for sign in (1, -1)]
    return np.min([abs(end - 1) for end in ends], axis=0)


class RoughOrbits:
    """Orbits as they would be found if only the place in the sky and its motion were known well.

    Seen from the Earth at the times `jd` (by two-body motion from the table's elements), the distance gets a
    random factor and the speed along the line of sight a random summand. H follows, as the asteroid looks as
    bright as before. `distance_error` is a share, `speed_error` is in km/s.
    """

    def __init__(
        self, features: pd.DataFrame, jd: np.ndarray, distance_error: float, speed_error: float, seed: int
    ) -> None:
        self.random = np.random.default_rng(seed)
        self.errors = distance_error, speed_error / AU_KM * 86400
        self.h = features[H].to_numpy()
        orbit = elements_of(features)
        moved = orbit.mean_anomaly + GAUSS_K / orbit.a**1.5 * (jd - TABLE_EPOCH)
        self.true = state_from_elements(orbit._replace(mean_anomaly=moved))
        bodies = planets(jd)
        self.earth = State(bodies.position[:, EARTH].T, bodies.velocity[:, EARTH].T)
        position, velocity = (
            self.true.position - self.earth.position,
            self.true.velocity - self.earth.velocity,
        )
        self.distance = np.sqrt(dot(position, position))
        self.direction = position / self.distance
        self.speed = dot(velocity, self.direction)
        self.motion = (velocity - self.speed * self.direction) / self.distance  # across the sky, per day

    def noise(self) -> np.ndarray:
        """Return a factor on each distance and a summand to each speed: shape (2, n)."""
        distance_error, speed_error = self.errors
        factor = np.exp(self.random.normal(0, distance_error, self.h.size))
        return np.array([factor, self.random.normal(0, speed_error, self.h.size)])

    def find(self, noise: np.ndarray) -> pd.DataFrame:
        """Return H, MOID and orbit with that noise; the true ones where it leaves no orbit (LARGEST_A)."""
        distance, speed = self.distance * noise[0], self.speed + noise[1]
        state = State(
            self.earth.position + distance * self.direction,
            self.earth.velocity + speed * self.direction + distance * self.motion,
        )
        energy = dot(state.velocity, state.velocity) / 2 - GM_SUN / np.sqrt(
            dot(state.position, state.position)
        )
        bound = energy < -GM_SUN / 2 / LARGEST_A
        state = State(*(np.where(bound, new, old) for new, old in zip(state, self.true, strict=True)))
        further = dot(state.position, state.position) / dot(self.true.position, self.true.position)
        orbit = elements_from_state(state)
        return pd.DataFrame(
            {
                H: self.h - 5 * np.log10(np.where(bound, noise[0], 1)) - 2.5 * np.log10(further),
                MOID: minimum_orbit_intersection(orbit, earth_orbit(TABLE_EPOCH)),
                **dict(zip(["a", "e", "i", "node", "peri"], orbit[:5], strict=True)),
                "distance": distance,
            }
        )

    def share_of_draws(self, noise: np.ndarray) -> np.ndarray:
        """Return the share of orbits, drawn around the noisy one, that meet the rule: this is no model."""
        met = np.zeros(self.h.size)
        for _ in range(DRAWS):
            factor, summand = self.noise()
            met += rule_of_thumb(self.find(np.array([noise[0] * factor, noise[1] + summand])))
        return (met + 0.5) / (DRAWS + 1)
