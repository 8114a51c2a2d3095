"""What follows in other columns when an asteroid's magnitude or orbit changes: mock rows stay possible.

Rows of another table, without these columns, stay as they are.
"""

from typing import Any

MAGNITUDE = "Absolute Magnitude"
MOID = "Minimum Orbit Intersection"
DIAMETERS = [f"Est Dia in {unit}({end})" for unit in ("KM", "M", "Miles", "Feet") for end in ("min", "max")]
KM_PER_AU = 149597870.7
MISS_DISTANCES_PER_AU = {
    "Miss Dist.(Astronomical)": 1.0,
    "Miss Dist.(lunar)": 389.0,
    "Miss Dist.(kilometers)": KM_PER_AU,
    "Miss Dist.(miles)": KM_PER_AU * 0.621371,
}


def follow_physics(row: dict[str, Any], drifted: dict[str, Any]) -> None:
    """Change the columns of `drifted` that follow from those in which it differs from `row`.

    A diameter is 1329 km / sqrt(albedo) * 10^(-H/5), so all of them shrink alike as H grows. Orbital
    elements stay, as many orbits have the same MOID. But no asteroid passes closer than its orbit allows:
    the miss distance is raised to the new MOID where it would be less.
    """
    if MAGNITUDE in row and drifted[MAGNITUDE] != row[MAGNITUDE]:
        shrinking = 10 ** ((row[MAGNITUDE] - drifted[MAGNITUDE]) / 5)
        drifted |= {name: row[name] * shrinking for name in DIAMETERS if name in row}
    if (
        MOID in row
        and row[MOID] < drifted[MOID]
        and row["Miss Dist.(kilometers)"] < drifted[MOID] * KM_PER_AU
    ):
        per_au = {name: factor for name, factor in MISS_DISTANCES_PER_AU.items() if name in row}
        drifted |= {name: drifted[MOID] * factor for name, factor in per_au.items()}
