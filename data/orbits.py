"""Orbits in numpy: Kepler's equation, elements and states, MOID.

Imported by make_nasa_csv.py. Units: AU, days (TDB), radians; the frame is the heliocentric ecliptic of J2000.
Vectors of n asteroids are arrays of shape (3, n), so that each coordinate lies together in memory.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

GAUSS_K = 0.01720209895  # Gaussian gravitational constant (IAU 1976), AU^1.5 / day
GM_SUN = GAUSS_K**2  # AU^3 / day^2; what the Minor Planet Center uses between a and n


class State(NamedTuple):
    """Positions (AU) and velocities (AU/day), each of shape (3, n)."""

    position: np.ndarray
    velocity: np.ndarray

    def of(self, some: np.ndarray | slice) -> State:
        """Return the same of some asteroids only."""
        return State(self.position[:, some], self.velocity[:, some])

    def put(self, some: np.ndarray, states: State) -> None:
        """Give some asteroids new states."""
        self.position[:, some], self.velocity[:, some] = states


class Elements(NamedTuple):
    """Osculating elements, arrays of length n: a in AU, angles in radians."""

    a: np.ndarray
    e: np.ndarray
    i: np.ndarray
    node: np.ndarray
    peri: np.ndarray
    mean_anomaly: np.ndarray

    def of(self, some: np.ndarray | slice) -> Elements:
        """Return the same of some asteroids only."""
        return Elements(*(element[some] for element in self))


def dot(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Return scalar products of vectors (3, ...), added in a fixed order, which BLAS does not promise."""
    return u[0] * v[0] + u[1] * v[1] + u[2] * v[2]


def solve_kepler(mean_anomaly: np.ndarray, e: np.ndarray) -> np.ndarray:
    """Return E within -pi..pi with E - e sin E = M, for 0 <= e < 1, as exact as a double is.

    Newton's method inside a bracket, as E lies within e of M; where it would leave the bracket, bisection.
    """
    mean_anomaly = np.remainder(np.asarray(mean_anomaly, float) + np.pi, 2 * np.pi) - np.pi
    low, high = mean_anomaly - e, mean_anomaly + e
    anomaly = mean_anomaly + e * np.sin(mean_anomaly)
    for _ in range(60):
        excess = anomaly - e * np.sin(anomaly) - mean_anomaly
        low, high = np.where(excess < 0, anomaly, low), np.where(excess > 0, anomaly, high)
        newton = anomaly - excess / (1 - e * np.cos(anomaly))
        better = np.where((newton < low) | (newton > high), (low + high) / 2, newton)
        done = np.all(np.abs(better - anomaly) <= 4e-16 * np.abs(anomaly))
        anomaly = better
        if done:
            break
    return anomaly


def axes(i: np.ndarray, node: np.ndarray, peri: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return unit vectors (3, n) to the perihelion and, in the plane of the orbit, 90 degrees ahead of it."""
    cos_i, sin_i = np.cos(i), np.sin(i)
    cos_n, sin_n = np.cos(node), np.sin(node)
    cos_p, sin_p = np.cos(peri), np.sin(peri)
    perihelion = [cos_p * cos_n - sin_p * sin_n * cos_i, cos_p * sin_n + sin_p * cos_n * cos_i, sin_p * sin_i]
    ahead = [-sin_p * cos_n - cos_p * sin_n * cos_i, -sin_p * sin_n + cos_p * cos_n * cos_i, cos_p * sin_i]
    return np.array(perihelion), np.array(ahead)


def state_from_elements(elements: Elements) -> State:
    """Return where elements put an asteroid at their epoch."""
    a, e = elements.a, elements.e
    perihelion, ahead = axes(elements.i, elements.node, elements.peri)
    anomaly = solve_kepler(elements.mean_anomaly, e)
    cosine, sine = np.cos(anomaly), np.sin(anomaly)
    flattening = np.sqrt(1 - e * e)
    speed = np.sqrt(GM_SUN / a) / (1 - e * cosine)
    return State(
        position=a * (cosine - e) * perihelion + a * flattening * sine * ahead,
        velocity=speed * (flattening * cosine * ahead - sine * perihelion),
    )


def elements_from_state(state: State) -> Elements:
    """Return osculating elements of elliptic orbits, angles within 0..2 pi: state_from_elements' inverse."""
    x, y, z = state.position
    vx, vy, vz = state.velocity
    hx, hy, hz = y * vz - z * vy, z * vx - x * vz, x * vy - y * vx
    r = np.sqrt(dot(state.position, state.position))
    a = 1 / (2 / r - dot(state.velocity, state.velocity) / GM_SUN)
    e_cosine = 1 - r / a
    e_sine = dot(state.position, state.velocity) / np.sqrt(GM_SUN * a)
    e = np.sqrt(e_cosine**2 + e_sine**2)
    h = np.sqrt(hx * hx + hy * hy + hz * hz)
    argument_of_latitude = np.arctan2(z * h, y * hx - x * hy)
    true_anomaly = np.arctan2(np.sqrt(1 - e * e) * e_sine, e_cosine - e * e)
    turn = 2 * np.pi
    return Elements(
        a=a,
        e=e,
        i=np.arctan2(np.hypot(hx, hy), hz),
        node=np.remainder(np.arctan2(hx, -hy), turn),
        peri=np.remainder(argument_of_latitude - true_anomaly, turn),
        mean_anomaly=np.remainder(np.arctan2(e_sine, e_cosine) - e_sine, turn),
    )


def squared_distance_to_ellipse(point: np.ndarray, a: float, e: float) -> np.ndarray:
    """Return squared distances (AU^2) of points (3, ...) to a nearly round ellipse such as the Earth's orbit.

    The points are in the ellipse's own frame: the focus at the origin, x towards the perihelion. Newton's
    method on the eccentric anomaly of the nearest point; in the middle of the orbit the first guess stays.
    """
    x, y, z = point[0] + a * e, point[1], point[2]
    b = a * np.sqrt(1 - e * e)
    anomaly = np.arctan2(a * y, b * x)
    for _ in range(4):
        sine, cosine = np.sin(anomaly), np.cos(anomaly)
        slope = a * x * sine - b * y * cosine - (a * e) ** 2 * sine * cosine
        bend = a * x * cosine + b * y * sine - (a * e) ** 2 * (cosine * cosine - sine * sine)
        anomaly = anomaly - np.where(bend > 0.01, slope / np.maximum(bend, 0.01), 0)
    return (x - a * np.cos(anomaly)) ** 2 + (y - b * np.sin(anomaly)) ** 2 + z * z


def minimum_orbit_intersection(orbits: Elements, earth: Elements) -> np.ndarray:
    """Return the MOID, the smallest distance (AU) from each orbit to the Earth's (arrays of length 1).

    A scan over the asteroid's eccentric anomaly, with the nearest point on the Earth's ellipse; then closer
    and closer looks at the four lowest minima.
    """
    spacing = 2 * np.pi / 360
    grid = spacing * np.arange(360)
    to_perihelion, ahead = (axis[:, 0] for axis in axes(earth.i, earth.node, earth.peri))
    earth_axes = to_perihelion, ahead, np.cross(to_perihelion, ahead)

    def squared_distances(anomaly: np.ndarray, some: Elements) -> np.ndarray:
        a, e = some.a[:, None], some.e[:, None]
        along, across = a * (np.cos(anomaly) - e), a * np.sqrt(1 - e * e) * np.sin(anomaly)
        p, q = axes(some.i, some.node, some.peri)
        points = np.stack([along * dot(p, u)[:, None] + across * dot(q, u)[:, None] for u in earth_axes])
        return squared_distance_to_ellipse(points, earth.a[0], earth.e[0])

    moids = []
    for start in range(0, orbits.a.size, 500):  # 500 at a time take little memory
        some = orbits.of(slice(start, start + 500))
        squares = squared_distances(grid[None, :], some)
        is_minimum = (squares <= np.roll(squares, 1, axis=1)) & (squares < np.roll(squares, -1, axis=1))
        lowest = np.argsort(np.where(is_minimum, squares, np.inf), axis=1, kind="stable")[:, :4]
        best, width = grid[lowest], spacing
        for _ in range(14):  # each look is four times closer, down to 1e-10 rad
            tried = best[:, :, None] + width / 4 * np.arange(-4, 5)
            squares = squared_distances(tried.reshape(len(tried), -1), some).reshape(tried.shape)
            best = np.take_along_axis(tried, np.argmin(squares, axis=2)[:, :, None], axis=2)[:, :, 0]
            width /= 4
        moids.append(np.sqrt(squares.min(axis=(1, 2))))
    return np.concatenate(moids)
