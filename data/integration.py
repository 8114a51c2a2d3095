"""Asteroids under the pull of the Sun, the planets and the Moon, and their approaches to the Earth.

Imported by make_nasa_csv.py; units and frame as in orbits.py. A Wisdom-Holman map: exact two-body motion
about the Sun, and a kick by everything else at both ends of each step.

The steps use + - * / and square roots alone, which IEEE 754 defines to the last bit. Sines, whose last bit
differs from machine to machine, only make the planets' positions, and those are rounded. Hence the same
orbits, and the same table, everywhere.
"""

from __future__ import annotations

from collections.abc import Callable
from math import factorial, sqrt
from typing import NamedTuple

import erfa
import numpy as np
from orbits import GM_SUN, Elements, State, dot, elements_from_state

LIGHT_SPEED = 299792.458 * 86400 / 149597870.7  # AU / day: km/s (exact) and the AU of IAU 2012
OBLIQUITY = np.radians(84381.448 / 3600)  # IAU 1976, at J2000: the ecliptic of the MPC's and JPL's elements

PLAN94_NUMBERS = {"Mercury": 1, "Venus": 2, "Mars": 4, "Jupiter": 5, "Saturn": 6, "Uranus": 7, "Neptune": 8}
# Sun / planet (with its moons), Sun / Earth and Moon / Earth: IAU 2009 system of astronomical constants.
MASS_RATIOS = {
    "Mercury": 6023600.0,
    "Venus": 408523.719,
    "Mars": 3098703.59,
    "Jupiter": 1047.348644,
    "Saturn": 3497.9018,
    "Uranus": 22902.98,
    "Neptune": 19412.26,
    "Earth": 332946.0487,
    "Moon": 332946.0487 / 0.0123000371,
}
BODY_NAMES = tuple(MASS_RATIOS)
BODY_GM = [GM_SUN / ratio for ratio in MASS_RATIOS.values()]  # AU^3 / day^2
VENUS, EARTH = BODY_NAMES.index("Venus"), BODY_NAMES.index("Earth")

STEP = 2.0  # days
SUBSTEPS = 16  # near Venus or the Earth; they follow an encounter down to about 0.001 AU
NEAR = 0.1  # AU
APPROACH_LIMIT = 0.5  # AU, the NASA table's

INVERSE_FACTORIALS = [1 / factorial(k) for k in range(20)]


class Bodies(NamedTuple):
    """Heliocentric planets and Moon in the order of BODY_NAMES: (bodies, 3), or (times, bodies, 3)."""

    position: np.ndarray
    velocity: np.ndarray

    def at(self, index: int) -> Bodies:
        """Return the same at one of the times."""
        return Bodies(self.position[index], self.velocity[index])


class Approaches(NamedTuple):
    """Minima of the distance to the Earth, one element per approach."""

    asteroid: np.ndarray  # index into the integrated arrays
    jd: np.ndarray  # TDB
    distance: np.ndarray  # AU
    speed: np.ndarray  # AU / day, relative to the Earth

    def of(self, some: np.ndarray) -> Approaches:
        """Return the same of some approaches only."""
        return Approaches(*(column[some] for column in self))


def to_ecliptic(vectors: np.ndarray) -> np.ndarray:
    """Turn equatorial vectors of J2000 (..., 3), as ERFA gives them, to the ecliptic, and round them."""
    x, y, z = np.moveaxis(vectors, -1, 0)
    cosine, sine = np.cos(OBLIQUITY), np.sin(OBLIQUITY)
    return np.round(np.stack([x, cosine * y + sine * z, cosine * z - sine * y], axis=-1), 13)


def planets(jd: np.ndarray) -> Bodies:
    """Return planets and Moon at Julian Dates (TDB).

    ERFA: plan94 (planets: Simon et al. 1994), epv00 (Earth: VSOP2000), moon98 (Moon: Meeus 1998).
    """
    of_planets = [erfa.plan94(jd, 0.0, number) for number in PLAN94_NUMBERS.values()]
    earth, _ = erfa.epv00(jd, 0.0)
    moon = erfa.moon98(jd, 0.0)

    def gather(part: str) -> np.ndarray:
        vectors = [*(planet[part] for planet in of_planets), earth[part], earth[part] + moon[part]]
        return to_ecliptic(np.stack(vectors, axis=1))

    return Bodies(position=gather("p"), velocity=gather("v"))


def earth_orbit(jd: float) -> Elements:
    """Return the osculating orbit of the Earth's centre about the Sun (arrays of length 1), for the MOID.

    The barycentre of Earth and Moon, or mean elements, would move a MOID by up to 1.5e-3 AU.
    """
    earth = planets(np.array([jd]))
    return elements_from_state(State(earth.position[0, EARTH][:, None], earth.velocity[0, EARTH][:, None]))


def geocentric(state: State, bodies: Bodies) -> State:
    """Return positions and velocities relative to the Earth."""
    return State(
        state.position - bodies.position[EARTH][:, None], state.velocity - bodies.velocity[EARTH][:, None]
    )


def universal_functions(s: np.ndarray, beta: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return G0..G3 of the universal anomaly s (day/AU), beta = GM/a (Stumpff; Stiefel & Scheifele 1971).

    Power series in beta s^2, the square of the change of eccentric anomaly: 1e-16 up to about 1 rad.
    """
    x = s * s * beta
    c2, c3 = INVERSE_FACTORIALS[18:]
    for k in range(16, 0, -2):
        c2 = INVERSE_FACTORIALS[k] - x * c2
        c3 = INVERSE_FACTORIALS[k + 1] - x * c3
    g2, g3 = c2 * s * s, c3 * s * s * s
    return 1 - beta * g2, s - beta * g3, g2, g3


def drift(state: State, dt: float) -> State:
    """Follow the two-body motion about the Sun for dt days: Kepler's equation in the universal anomaly."""
    position, velocity = state
    r0 = np.sqrt(dot(position, position))
    eta = dot(position, velocity)
    beta = 2 * GM_SUN / r0 - dot(velocity, velocity)
    zeta = GM_SUN - beta * r0

    def halley(
        s: np.ndarray, r0: np.ndarray, eta: np.ndarray, beta: np.ndarray, zeta: np.ndarray
    ) -> np.ndarray:
        g0, g1, g2, g3 = universal_functions(s, beta)
        excess = r0 * s + eta * g2 + zeta * g3 - dt
        slope, curvature = r0 + eta * g1 + zeta * g2, eta * g0 + zeta * g1
        return -excess / (slope - excess * curvature / (2 * slope))

    u = dt / r0
    s = u * (1 - u * eta / (2 * r0))
    s = s + halley(s, r0, eta, beta, zeta)
    change = halley(s, r0, eta, beta, zeta)
    s = s + change
    # The error after a change is about its cube: only fast passages of the Sun need more than two.
    late = np.flatnonzero(np.abs(change) > 1e-6 * np.abs(s))
    for _ in range(50):
        if not late.size:
            break
        change = halley(s[late], r0[late], eta[late], beta[late], zeta[late])
        s[late] += change
        late = late[np.abs(change) > 1e-6 * np.abs(s[late])]
    _, g1, g2, g3 = universal_functions(s, beta)
    r = r0 + eta * g1 + zeta * g2
    f, g = 1 - GM_SUN * g2 / r0, dt - GM_SUN * g3
    f_dot, g_dot = -GM_SUN * g1 / (r * r0), 1 - GM_SUN * g2 / r
    return State(f * position + g * velocity, f_dot * position + g_dot * velocity)


def acceleration(state: State, bodies: np.ndarray) -> np.ndarray:
    """Return all pulls but the Sun's Newtonian one, AU/day^2: planets and Moon (bodies, 3), and relativity.

    A body pulls the asteroid and also the Sun, the centre of the frame. Relativity is the Sun's Schwarzschild
    field to first post-Newtonian order in harmonic coordinates (IERS Conventions 2010, eq. 10.12).
    """
    position, velocity = state
    r2 = dot(position, position)
    r = np.sqrt(r2)
    strength = GM_SUN / (LIGHT_SPEED**2 * r2 * r)
    total = strength * (4 * GM_SUN / r - dot(velocity, velocity)) * position
    total += 4 * strength * dot(position, velocity) * velocity
    for gm, body in zip(BODY_GM, bodies, strict=True):
        towards = body[:, None] - position
        d2 = dot(towards, towards)
        towards *= gm / (d2 * np.sqrt(d2))
        total += towards
        of_sun2 = float(dot(body, body))
        total -= (gm / (of_sun2 * sqrt(of_sun2)) * body)[:, None]
    return total


def advance(state: State, pull: np.ndarray, bodies: np.ndarray, dt: float) -> tuple[State, np.ndarray]:
    """Do a step: kick, drift, kick. `pull` is the acceleration before it; return the one after it, too."""
    moved = drift(State(state.position, state.velocity + dt / 2 * pull), dt)
    pull = acceleration(moved, bodies)
    return State(moved.position, moved.velocity + dt / 2 * pull), pull


def correct(state: State, bodies: Bodies, scale: float | np.ndarray) -> State:
    """Turn true coordinates into those of a map with steps of h days (scale h^2 / 12), or back (minus that).

    The kicks add up the planets' pull by the trapezoid rule. Its error, says the Euler-Maclaurin formula,
    comes from the ends of the path alone: taken off where the step length changes, it is gone (the symplectic
    corrector of Wisdom, Holman & Touma 1996, to second order).
    """
    moment = 0.01  # days
    ahead = acceleration(drift(state, moment), bodies.position + moment * bodies.velocity)
    behind = acceleration(drift(state, -moment), bodies.position - moment * bodies.velocity)
    return State(
        state.position - scale * (ahead + behind) / 2,
        state.velocity + scale * (ahead - behind) / (2 * moment),
    )


class Passages(NamedTuple):
    """Asteroids that come nearer to the Earth at the start of a step and recede at its end."""

    asteroid: np.ndarray
    jd: np.ndarray  # of the start, TDB
    days: np.ndarray  # length of the step
    start: np.ndarray  # geocentric position and velocity, (2, 3, n)
    end: np.ndarray

    def of(self, some: np.ndarray) -> Passages:
        """Return the same of some only."""
        return Passages(*(column[..., some] for column in self))


def passages(start: State, end: State, jd: float, days: float) -> Passages:
    """Find who passes the Earth in the days from jd, given the geocentric states of all at both ends."""
    passing = np.flatnonzero((dot(*start) <= 0) & (dot(*end) > 0))
    of_each = np.ones(passing.size)
    return Passages(passing, jd * of_each, days * of_each, *np.array([start.of(passing), end.of(passing)]))


def approaches(found: Passages) -> Approaches:
    """Return the nearest points of passages, where they are near enough."""
    share, distance, speed = nearest_on_cubic(State(*found.start), State(*found.end), found.days)
    all_of_them = Approaches(found.asteroid, found.jd + found.days * share, distance, speed)
    return all_of_them.of(distance < APPROACH_LIMIT)


def nearest_on_cubic(start: State, end: State, h: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Find where the Hermite cubic through two states h days apart is nearest to the origin.

    r.v must go from minus to plus. Gives the share of h gone by (0..1), the distance and the speed there.
    """
    (r0, v0), (r1, v1) = start, end

    def cubic(t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        position = (1 + 2 * t) * (1 - t) ** 2 * r0 + t * t * (3 - 2 * t) * r1
        position += h * t * (1 - t) * ((1 - t) * v0 - t * v1)
        velocity = 6 * t * (1 - t) * (r1 - r0) / h + (1 - t) * (1 - 3 * t) * v0 + t * (3 * t - 2) * v1
        return position, velocity

    low, high = np.zeros(r0.shape[1]), np.ones(r0.shape[1])
    for _ in range(50):  # bisection to the last bit
        middle = (low + high) / 2
        receding = dot(*cubic(middle)) > 0
        low, high = np.where(receding, low, middle), np.where(receding, middle, high)
    position, velocity = cubic(high)
    return high, np.sqrt(dot(position, position)), np.sqrt(dot(velocity, velocity))


def integrate(
    state: State,
    jd_start: float,
    jd_end: float,
    jd_snapshot: float,
    progress: Callable[[float], None] = lambda jd: None,
) -> tuple[Approaches, Elements]:
    """Follow asteroids backwards from jd_start to jd_end: their approaches, and the elements at jd_snapshot.

    The snapshot has to be a whole number of steps from the start. Time (TDB) runs against the clock here: a
    "first" state is the later one.
    """
    steps = int(np.ceil((jd_start - jd_end) / STEP))
    if (jd_start - jd_snapshot) % STEP or not 0 <= jd_start - jd_snapshot < steps * STEP:
        raise ValueError(f"jd_snapshot {jd_snapshot} is not a step: {STEP} days each, from {jd_start} back")
    fine = STEP / SUBSTEPS
    times = jd_start - fine * np.arange(steps * SUBSTEPS + 1)
    bodies = planets(times)
    squared_step = np.zeros(state.position.shape[1])  # of the map in whose coordinates an asteroid is now
    pull = np.zeros_like(state.position)
    state = State(*np.array(state))  # a copy, to be changed in place
    geo = geocentric(state, bodies.at(0))
    logged = []
    for step in range(steps):
        first, last = step * SUBSTEPS, (step + 1) * SUBSTEPS
        now, then = bodies.at(first), bodies.at(last)
        if times[first] == jd_snapshot:
            snapshot = elements_from_state(correct(state, now, -squared_step / 12))
        to_venus = state.position - now.position[VENUS][:, None]
        is_near = (dot(geo.position, geo.position) < NEAR**2) | (dot(to_venus, to_venus) < NEAR**2)
        wanted = np.where(is_near, fine**2, STEP**2)
        if (changed := np.flatnonzero(wanted != squared_step)).size:
            scale = (wanted - squared_step)[changed] / 12
            state.put(changed, correct(state.of(changed), now, scale))
            pull[:, changed] = acceleration(state.of(changed), now.position)
            squared_step = wanted

        near = np.flatnonzero(is_near)
        close, close_pull, close_geo = state.of(near), pull[:, near], geo.of(near)
        for index in range(first + 1, last + 1) if near.size else ():
            close, close_pull = advance(close, close_pull, bodies.position[index], -fine)
            previous, close_geo = close_geo, geocentric(close, bodies.at(index))
            found = passages(close_geo, previous, times[index], fine)
            logged.append(found._replace(asteroid=near[found.asteroid]))

        state, pull = advance(state, pull, then.position, -STEP)
        state.put(near, close)
        pull[:, near] = close_pull
        previous, geo = geo, geocentric(state, then)
        found = passages(geo, previous, times[last], STEP)
        logged.append(found.of(~is_near[found.asteroid]))
        if step % 500 == 0:
            progress(times[first])
    everything = Passages(*(np.concatenate(column, axis=-1) for column in zip(*logged, strict=True)))
    return approaches(everything), snapshot
