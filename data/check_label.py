"""Check the label of data/nasa.csv against the MOID of the table's epoch, 2017, and of the label's own, 2025.

    pip install numpy pyerfa
    python data/check_label.py

The MPC's flag and the table's MOID are of different days, and orbits change in between. This prints for how
many asteroids the rule H <= 22 and MOID <= 0.05 AU differs from the flag, with either MOID, and for which.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import catalogue
from integration import earth_orbit
from make_nasa_csv import CATALOGUE_EPOCH, TABLE_EPOCH, catalogue_elements, to_date
from orbits import minimum_orbit_intersection

LARGEST_H, LARGEST_MOID = 22, 0.05  # of a potentially hazardous asteroid; AU
LONG_AGO = 2015  # orbits that were last observed before this year may keep an old flag


class Asteroid(NamedTuple):
    """What the flag of one asteroid should follow from: H, and its MOID (AU) at two epochs."""

    name: str
    is_flagged: bool
    h: float
    moid_of_table: float | None  # None if it is not in the table
    moid_of_label: float
    last_observed: str

    def disagrees(self, moid: float | None) -> bool:
        """Return whether the rule says something else than the flag, with this MOID."""
        return moid is not None and (self.h <= LARGEST_H and moid <= LARGEST_MOID) != self.is_flagged


def read_moids(table: Path) -> dict[int, float]:
    """Return the table's MOID of each asteroid, by its ID."""
    with table.open(newline="") as file:
        return {
            int(row["Neo Reference ID"]): float(row["Minimum Orbit Intersection"])
            for row in csv.DictReader(file)
        }


def compare(records: list[dict[str, Any]], moids: dict[int, float]) -> list[Asteroid]:
    """Return the catalogue's asteroids that have a magnitude and an orbit at the catalogue's epoch."""
    usable = [
        record for record in records if record["Epoch"] == CATALOGUE_EPOCH and record.get("H", 99.99) < 99
    ]
    own = minimum_orbit_intersection(catalogue_elements(usable), earth_orbit(CATALOGUE_EPOCH))
    return [
        Asteroid(
            name=catalogue.full_name(record),
            is_flagged=bool(record.get("PHA_flag")),
            h=record["H"],
            moid_of_table=moids.get(catalogue.reference_id(record)),
            moid_of_label=float(moid),
            last_observed=record["Last_obs"],
        )
        for record, moid in zip(usable, own, strict=True)
    ]


def report(asteroids: list[Asteroid]) -> Iterator[str]:
    """Yield the lines to print."""
    old, new = to_date(TABLE_EPOCH), to_date(CATALOGUE_EPOCH)
    shipped = [asteroid for asteroid in asteroids if asteroid.moid_of_table is not None]
    by_table = [asteroid for asteroid in shipped if asteroid.disagrees(asteroid.moid_of_table)]
    by_label = [asteroid for asteroid in shipped if asteroid.disagrees(asteroid.moid_of_label)]
    yield f"{len(shipped)} asteroids of the table. Not as the rule says"
    yield f"  with the MOID of {old}, the table's:     {len(by_table)}"
    yield f"  with the MOID of {new}, the catalogue's: {len(by_label)}"
    yield f"  with both:                                     {len(set(by_table) & set(by_label))}"
    yield f"{'':<24}{'flag':>6}{'H':>7}{f'MOID {old}':>17}{f'MOID {new}':>17}  last observed"
    for asteroid in dict.fromkeys(by_table + by_label):
        yield (
            f"{asteroid.name:<24}{asteroid.is_flagged!s:>6}{asteroid.h:>7.2f}{asteroid.moid_of_table:>17.5f}"
            f"{asteroid.moid_of_label:>17.5f}  {asteroid.last_observed}"
        )
    wrong = [asteroid for asteroid in asteroids if asteroid.disagrees(asteroid.moid_of_label)]
    late = [asteroid for asteroid in wrong if int(asteroid.last_observed[:4]) >= LONG_AGO]
    yield f"{len(asteroids)} asteroids of the catalogue. Not as the rule says"
    yield f"  with the MOID of {new}: {len(wrong)}; {len(late)} of them were observed in {LONG_AGO} or later"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    table = Path(__file__).with_name("nasa.csv")
    _, records = catalogue.read_as_asked(parser)
    print("\n".join(report(compare(records, read_moids(table)))))


if __name__ == "__main__":
    main()
