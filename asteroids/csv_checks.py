"""What is wrong with the text of a CSV file: its encoding, header, quotes, line ends or rows.

DuckDB would take some broken files for others that are whole, and lose rows silently. Of those it refuses, it
does not tell the cause.
"""

import csv
import gzip
import re
import string
import zlib
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import TextIO

# The first bytes of files that are often taken for CSV, and what to do about them.
OTHER_FILES = {
    b"\xff\xfe": "it is UTF-16: save it as UTF-8",
    b"\xfe\xff": "it is UTF-16: save it as UTF-8",
    b"PK\x03\x04": "it is a zip file, as .xlsx is: unpack it, or save the sheet as CSV",
}

BLOCK_BYTES = 2**20

BROKEN_GZIP = (EOFError, gzip.BadGzipFile, zlib.error)


class Fault(Exception):
    """A file that cannot be read; the text says why."""


def first_bytes(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(4)


def is_gzip(path: Path) -> bool:
    return first_bytes(path).startswith(b"\x1f\x8b")


def open_text(path: Path) -> TextIO:
    """Open a CSV file, plain or packed. A byte that is not UTF-8 is read as a surrogate, 0xDC80 to 0xDCFF."""
    with gzip.open(path) if is_gzip(path) else path.open("rb") as file:
        start = file.read(4)
    for mark, remedy in OTHER_FILES.items():
        if start.startswith(mark):
            raise Fault(remedy)
    opener = gzip.open if is_gzip(path) else open
    return opener(path, "rt", encoding="utf-8-sig", errors="surrogateescape", newline="")


def has_quotes(path: Path) -> bool:
    """Tell whether there is a quote in a CSV file, plain or packed."""
    with gzip.open(path) if is_gzip(path) else path.open("rb") as file:
        return any(b'"' in block for block in iter(lambda: file.read(BLOCK_BYTES), b""))


def read_header(lines: Iterable[str], needed: Collection[str]) -> list[str]:
    """Return the names of the columns from the first line; a Fault if it is not a header."""
    line = next(check_lines(lines), "")
    names = split(line, ",")
    if not set(names) & set(needed):
        for mark in sorted(set(string.punctuation + "\t") & set(line) - {'"'}):
            if len(set(split(line, mark)) & set(needed)) > 1:
                raise Fault(f"its columns are separated by {mark!r}: save it with ',', and '.' in numbers")
        raise Fault("its first line names none of the columns that are needed")
    for name in names:
        if name and names.count(name) > 1:
            raise Fault(f"its header has '{name}' {names.count(name)} times")
    return [name or f"column{position}" for position, name in enumerate(names)]


def split(line: str, separator: str) -> list[str]:
    return [cell.strip() for cell in next(csv.reader([line], delimiter=separator), [])]


def check_lines(lines: Iterable[str]) -> Iterator[str]:
    """Yield the lines; a Fault at the first one with a wrong byte or another end than the one before."""
    former, quoted = "", False
    for number, line in enumerate(lines, 1):
        wrong = re.search("[\udc80-\udcff]", line)
        if wrong:
            byte = ord(wrong[0]) - 0xDC00
            raise Fault(
                f"line {number} has the byte 0x{byte:02X}, which is not UTF-8: it may be cp1252, or no text; "
                "save it as UTF-8"
            )
        if "\0" in line:
            raise Fault(f"line {number} has a zero byte, as UTF-16 and files that are not text have")
        quoted ^= line.count('"') % 2 == 1
        end = "" if quoted else line[len(line.rstrip("\r\n")) :]  # in quotes, it is part of a cell
        if former and end and end != former:
            raise Fault(
                f"line {number} ends with {end!r} and the one before with {former!r}: give all lines one end"
            )
        former = end or former
        yield line


def check_rows(file: TextIO, needed: Collection[str]) -> None:
    """Raise a Fault for the first row of a CSV that is not like the header, or that is several rows.

    Quoted text may have line ends in it, but no needed column has such text.
    """
    reader = csv.reader(check_lines(file), strict=True)
    done = 0  # lines
    try:
        header = next(reader)
        no_text = [position for position, name in enumerate(header) if name.strip() in needed]
        done = reader.line_num
        for row in reader:
            first, done = done + 1, reader.line_num
            where = (
                f"line {first} has"
                if first == done
                else f"lines {first} to {done}, one by their quotes, have"
            )
            # DuckDB skips blank lines, and commas that are too many at the end.
            if row and (len(row) < len(header) or any(row[len(header) :])):
                raise Fault(f"{where} {len(row)} cells, and the header {len(header)}")
            # A text over several lines that has as many commas as rows have is not a text.
            commas = sum(cell.count(",") for cell in row)
            is_several = commas >= (len(header) - 1) * (done - first)
            if first < done and (is_several or any(set("\r\n") & set(row[at]) for at in no_text)):
                raise Fault(f"lines {first} to {done} are one row by their quotes: correct these")
    except csv.Error as error:
        raise Fault(
            f"in line {done + 1}, a quote is not closed, or not where its cell ends: {error}"
        ) from error
