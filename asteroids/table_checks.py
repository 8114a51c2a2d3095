"""What keeps a raw table from becoming features and labels: which rows, and which groups they are of.

A table is read chunk by chunk (table_files.py), and all that is wrong with it is still told at once.
"""

import re
from collections.abc import Iterator

import numpy as np
import pandas as pd

import global_config as config
from asteroids.ids import designation, group_key, normalized_id
from preprocess_serving import LARGEST_NUMBER, ORDERED_COLUMNS, RAW_COLUMNS


class Check:
    """Counts and locates all that keeps a table from becoming features and labels, chunk by chunk.

    The rules for a value are those of the serving hook: no row that would be refused there is trained on.
    """

    def __init__(self) -> None:
        self.missing: list[str] = []
        self.rows = 0
        self.class_rows = [0, 0]
        self.groups = Groups()
        # By what is wrong: in how many rows, in which first, and an example.
        self.found: dict[str, tuple[int, int, str]] = {}

    def add(self, table: pd.DataFrame) -> None:
        """Check the next rows."""
        needed = [*RAW_COLUMNS, config.GROUP_COLUMN, config.LABEL_COLUMN]
        self.missing = [name for name in needed if name not in table]
        if self.missing:
            return
        self.check_numbers(table)
        self.check_groups(table)
        labels = read_labels(table)
        self.note(
            f"'{config.LABEL_COLUMN}' is not among LABEL_VALUES ({', '.join(config.LABEL_VALUES)})",
            labels.isna(),
        )
        self.class_rows = [
            rows + int((labels == number).sum()) for number, rows in enumerate(self.class_rows)
        ]
        self.rows += len(table)

    def check_numbers(self, table: pd.DataFrame) -> None:
        # As floats: with a NULL among whole numbers, a comparison would be neither True nor False.
        numbers = table[list(RAW_COLUMNS)].apply(pd.to_numeric, errors="coerce").astype(float)
        for name, (words, is_valid) in RAW_COLUMNS.items():
            if pd.api.types.is_bool_dtype(table[name]):  # to the hook, True is no number
                numbers[name] = np.nan
            is_number = numbers[name].abs() <= LARGEST_NUMBER
            self.note(f"'{name}' is not a finite number", ~is_number)
            self.note(f"'{name}' is not {words}", is_number & ~is_valid(numbers[name]))
        for low, high in ORDERED_COLUMNS:
            self.note(f"'{high}' is below '{low}'", numbers[high] < numbers[low])

    def check_groups(self, table: pd.DataFrame) -> None:
        group, name = config.GROUP_COLUMN, config.GROUP_NAME_COLUMN
        names = table.get(name)
        is_known, is_contradicted = self.groups.add(table[group], names)
        is_empty = is_blank(table[group])
        self.note(f"'{group}' is empty", is_empty)
        is_wrong = ~is_known & ~is_empty
        self.note(f"'{group}' is not a whole number or name, but", is_wrong, table[group])
        if names is not None:
            self.note(f"'{name}' is empty", is_blank(names))
            self.note(
                f"'{name}' has another designation than a row above with the same '{group}'", is_contradicted
            )

    def note(self, what: str, is_bad: pd.Series, values: pd.Series | None = None) -> None:
        """Count the rows in which `what` is so. The text for `values` goes on with the first bad one."""
        count, first, example = self.found.get(what, (0, 0, ""))
        if is_bad.any():
            if not count:
                first = self.rows + int(is_bad.argmax()) + 1
                example = "" if values is None else f" '{values[is_bad].iloc[0]}',"
            count += int(is_bad.sum())
        self.found[what] = count, first, example  # with 0 as well: all stay in the order of the checks

    def has_problems(self) -> bool:
        return bool(self.missing) or any(count for count, *_ in self.found.values())

    def problems(self) -> list[str]:
        """Return a text for each problem in the rows so far."""
        if self.missing:
            return [f"column '{name}' is missing" for name in self.missing]
        if not self.rows:
            return ["there are no rows"]
        problems = [
            f"{what}{example} in {count} of {self.rows} rows, first in row {first}"
            for what, (count, first, example) in self.found.items()
            if count
        ]
        if sum(map(bool, self.class_rows)) == 1:
            name = config.CLASS_NAMES[self.class_rows.index(max(self.class_rows))]
            problems.append(f"all rows are of the class '{name}', and there is nothing to learn from that")
        return problems


class Groups:
    """Which group each row is of, and the groups' keys. A group may get its designation from any of its rows.

    A large table has millions of groups: each takes three texts in memory, and each row a number.
    """

    def __init__(self) -> None:
        self.numbers: dict[object, int] = {}  # of the group with this id, as it is written; -1 if it is none
        self.by_id: dict[str, int] = {}
        self.designations: list[str | None] = []
        self.rows: list[np.ndarray] = []

    def add(self, ids: pd.Series, names: pd.Series | None) -> tuple[pd.Series, pd.Series]:
        """Take the next rows. Return which have an id, and whose name contradicts that of a row above."""
        rows = list(zip(ids.tolist(), [None] * len(ids) if names is None else names.tolist(), strict=True))
        contradicted = set()
        for row in dict.fromkeys(rows):
            number, named = self.number_of(row[0]), designation(row[1])
            if number < 0 or not named:
                continue
            known = self.designations[number] = self.designations[number] or named
            if known != named:
                contradicted.add(row)
        numbers = np.fromiter((self.numbers[written] for written, _ in rows), np.int32, len(rows))
        self.rows.append(numbers)
        is_contradicted = [row in contradicted for row in rows] if contradicted else False
        return pd.Series(numbers >= 0, ids.index), pd.Series(is_contradicted, ids.index)

    def number_of(self, written: object) -> int:
        number = self.numbers.get(written)
        if number is None:
            group_id = normalized_id(written)
            number = -1 if group_id is None else self.by_id.setdefault(group_id, len(self.by_id))
            self.numbers[written] = number
            if number == len(self.designations):
                self.designations.append(None)
        return number

    def chunks(self) -> Iterator[pd.DataFrame]:
        """Yield the id and the key of each row."""
        ids = np.array(list(self.by_id), dtype=object)
        named = zip(ids, self.designations, strict=True)
        keys = np.array([known or group_key(group_id) for group_id, known in named], dtype=object)
        for numbers in self.rows:
            yield pd.DataFrame({config.GROUP_COLUMN: ids[numbers], config.GROUP_KEY_COLUMN: keys[numbers]})


def read_labels(table: pd.DataFrame) -> pd.Series:
    """Return the class of each row, 1 or 0; NaN where the label is none of LABEL_VALUES."""

    def fold(text: str) -> str:
        return re.sub(r"\.0+$", "", text.strip().casefold())  # whole numbers may come as floats

    classes = {fold(text): number for text, number in config.LABEL_VALUES.items()}
    texts = table[config.LABEL_COLUMN].astype(str)
    return texts.map({text: classes.get(fold(text)) for text in texts.dropna().unique()})


def is_blank(values: pd.Series) -> pd.Series:
    return values.isna() | (values.astype(str).str.strip() == "")
