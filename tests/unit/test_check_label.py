"""data/check_label.py: in which asteroids the rule and the MPC's flag differ, by the MOIDs of two days."""

import json
import re
import sys

import pytest

from tests.support.checkouts import REPOSITORY

sys.path.insert(0, str(REPOSITORY / "data"))  # its scripts import one another by name

import catalogue
import check_label

KNOWN = json.loads((REPOSITORY / "tests" / "unit" / "data" / "known_asteroids.json").read_text())["asteroids"]
TABLE, CARD = REPOSITORY / "data" / "nasa.csv", REPOSITORY / "data" / "README.md"


def apophis(**changes) -> dict:
    """Its record in the catalogue, with an orbit that comes within 0.001 AU of the Earth's."""
    orbit = next(asteroid for asteroid in KNOWN if asteroid.get("Name") == "Apophis")
    return orbit | {"H": 19.1, "PHA_flag": 1, "Last_obs": "2022-04-09"} | changes


APOPHIS_ID = catalogue.reference_id(apophis())


def test_the_moid_of_the_label_is_computed_from_the_catalogue():
    (found,) = check_label.compare([apophis()], {APOPHIS_ID: 0.3})
    assert (found.is_flagged, found.moid_of_table) == (True, 0.3)
    assert found.moid_of_label == pytest.approx(0.0002, abs=0.0002)


@pytest.mark.parametrize(
    ("changes", "moid_of_table", "by_table", "by_label"),
    [({}, 0.04, 0, 0), ({}, 0.06, 1, 0), ({"PHA_flag": 0}, 0.04, 1, 1), ({"H": 22.1}, 0.04, 1, 1)],
)
def test_asteroids_that_differ_from_the_rule_are_counted(changes, moid_of_table, by_table, by_label):
    asteroids = check_label.compare([apophis(**changes)], {APOPHIS_ID: moid_of_table})
    counts = [int(line.split()[-1]) for line in check_label.report(asteroids) if ", the " in line]
    assert counts == [by_table, by_label]


def test_an_asteroid_without_magnitude_or_of_another_epoch_is_left_out():
    records = [apophis(H=99.99), apophis(Epoch=2456658.5), apophis(H=20)]
    assert [asteroid.h for asteroid in check_label.compare(records, {})] == [20]


def test_the_data_card_has_the_asteroids_that_the_rule_gets_wrong():
    rows = re.findall(
        r"^\| (.+) \| (True|False) \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \| [\d-]+ \|$", CARD.read_text(), re.M
    )
    wrong = [
        moid for _, flag, h, moid, _ in rows if (float(h) <= 22 and float(moid) <= 0.05) != (flag == "True")
    ]
    right_later = [row for row in rows if (float(row[4]) <= 0.05) == (row[1] == "True")]
    assert (len(rows), len(wrong), len(right_later)) == (13, 10, 10)
    moids = check_label.read_moids(TABLE).values()
    assert {float(moid) for *_, moid, _ in rows} <= {round(moid, 5) for moid in moids}
