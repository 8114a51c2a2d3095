"""Turn the raw asteroid dataset into features and labels, and version them as a ClearML dataset.

    python preprocessing.py                     # the newest version of "raw_asteroid_dataset"
    python preprocessing.py --dataset-id ID     # or this one

Checks the table, computes the features, and uploads X.csv, y.csv and groups.csv (which asteroid each row is
about) as a new version of "preprocessed_asteroid_dataset", a child of the raw version it was made from.
"""

import argparse
import tempfile
from pathlib import Path

from clearml_tools.errors import UserError, report_errors_in_one_line, storage_errors

import numpy as np
import pandas as pd
from clearml import Dataset, Logger, Task

from asteroids.ids import asteroid_id
from clearml_tools.connection import connect
from clearml_tools.datasets import get_dataset, local_copy, new_dataset_version
from clearml_tools.interrupts import delayed_interrupt
from clearml_tools.tasks import keep_reason, start_task
from global_config import (
    ASTEROID_COLUMN,
    FEATURES_FILE_NAME,
    GROUPS_FILE_NAME,
    LABEL_COLUMN,
    LABELS_FILE_NAME,
    PREPROCESSED_DATASET_NAME,
    PREPROCESSING_TASK_NAME,
    RAW_DATASET_NAME,
    RAW_FILE_NAME,
)
from preprocess_serving import FEATURES, LARGEST_NUMBER, ORDERED_COLUMNS, RAW_COLUMNS, build_features

LABELS = {"True": 1, "False": 0}


def find_problems(table: pd.DataFrame) -> list[str]:
    """Everything in the table that features cannot be made of, a text for each column; empty if nothing is.

    The rules for a value are those of the serving hook: a row that would be refused there must not be
    trained on either.
    """
    needed = [*RAW_COLUMNS, ASTEROID_COLUMN, LABEL_COLUMN]
    problems = [f"column '{name}' is missing" for name in needed if name not in table]
    if table.empty:
        problems.append("there are no rows")
    if problems:
        return problems
    numbers = table[list(RAW_COLUMNS)].apply(pd.to_numeric, errors="coerce")
    for name, (words, is_valid) in RAW_COLUMNS.items():
        is_number = numbers[name].abs() <= LARGEST_NUMBER
        problems += describe(f"'{name}' is not a finite number", ~is_number)
        problems += describe(f"'{name}' is not {words}", is_number & ~is_valid(numbers[name]))
    for low, high in ORDERED_COLUMNS:
        problems += describe(f"'{high}' is below '{low}'", numbers[high] < numbers[low])
    ids = table[ASTEROID_COLUMN]
    is_empty = ids.isna() | (ids.astype(str).str.strip() == "")
    is_wrong = ids.map(asteroid_id).isna() & ~is_empty
    problems += describe(f"'{ASTEROID_COLUMN}' is empty", is_empty)
    for example in ids[is_wrong].head(1):
        problems += describe(f"'{ASTEROID_COLUMN}' is no id such as 2446862, but '{example}',", is_wrong)
    label = label_texts(table)
    problems += describe(f"'{LABEL_COLUMN}' is neither True nor False", ~label.isin(LABELS))
    if label.nunique() == 1:
        problems.append(
            f"'{LABEL_COLUMN}' is {label.iloc[0]} in every row, and there is nothing to learn from that"
        )
    return problems


def describe(what: str, is_bad: pd.Series) -> list[str]:
    """One text that tells in how many rows `what` is so, and in which first; none if in no row."""
    if not is_bad.any():
        return []
    return [f"{what} in {is_bad.sum()} of {len(is_bad)} rows, first in row {is_bad.argmax() + 1}"]


def make_features(table: pd.DataFrame) -> pd.DataFrame:
    """X: the features of each row, columns in the order of FEATURES."""
    return pd.DataFrame(
        build_features({name: table[name].to_numpy() for name in RAW_COLUMNS}), columns=FEATURES
    )


def label_texts(table: pd.DataFrame) -> pd.Series:
    """The labels as texts of LABELS, whatever their capitals; other values stay something else."""
    return table[LABEL_COLUMN].astype(str).str.strip().str.capitalize()


def make_labels(table: pd.DataFrame) -> pd.DataFrame:
    """y: 1 where the row's asteroid is potentially hazardous, else 0."""
    return pd.DataFrame({LABEL_COLUMN: label_texts(table).map(LABELS)})


def read_raw_table(dataset: Dataset) -> pd.DataFrame:
    """The table in a version of the raw dataset; UserError if it has none or cannot be preprocessed."""
    source = f"{dataset.name} {dataset.version} ({dataset.id})"
    try:
        # Ids as text, lest "0012" become 12 and another asteroid, or an empty one make floats of all.
        table = pd.read_csv(local_copy(dataset) / RAW_FILE_NAME, dtype={ASTEROID_COLUMN: str})
    except (FileNotFoundError, ValueError) as error:
        raise UserError(f"{source} holds no readable {RAW_FILE_NAME}: {str(error).strip()}") from error
    problems = find_problems(table)
    if problems:
        raise UserError(f"{source} cannot be preprocessed: {'; '.join(problems)}")
    # get_data.py has done it. But a dataset may come from elsewhere, or from an earlier version.
    table[ASTEROID_COLUMN] = table[ASTEROID_COLUMN].map(asteroid_id)
    return table


def class_shares(values: pd.Series, labels: pd.Series, bins: int = 30) -> tuple[np.ndarray, np.ndarray]:
    """How one feature is distributed: (shares, edges), shares (2, bins), each class adding up to 1.

    Row 0 is the harmless class, row 1 the hazardous one. Values beyond the 1st and 99th percentile count
    in the outermost bins, lest a few far-out rows squeeze all others into one.
    """
    clipped = values.clip(values.quantile(0.01), values.quantile(0.99))
    edges = np.histogram_bin_edges(clipped, bins)
    counts = np.array([np.histogram(clipped[labels == label], edges)[0] for label in (0, 1)])
    return counts / counts.sum(axis=1, keepdims=True), edges


@delayed_interrupt()
def report_features(logger: Logger, features: pd.DataFrame, labels: pd.DataFrame) -> None:
    """Show the first rows of X and y, and how each feature is distributed in either class."""
    logger.report_table("X", "first rows", iteration=0, table_plot=features.head(20))
    logger.report_table("y", "first rows", iteration=0, table_plot=labels.head(20))
    for name in FEATURES:
        shares, edges = class_shares(features[name], labels[LABEL_COLUMN])
        logger.report_histogram(
            "Feature distributions",
            name,
            values=shares,
            iteration=0,
            labels=["not hazardous", "hazardous"],
            xlabels=[f"{center:.4g}" for center in (edges[:-1] + edges[1:]) / 2],
            xaxis=name,
            yaxis="share of the class",
        )


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    name = RAW_DATASET_NAME.replace("%", "%%")
    parser.add_argument("--dataset-id", help=f"version of {name} to take (the newest)")
    return parser.parse_args()


def main() -> None:
    report_errors_in_one_line(record=keep_reason)
    arguments = parse_arguments()
    connect()
    task = start_task(PREPROCESSING_TASK_NAME, Task.TaskTypes.data_processing)
    raw = get_dataset(RAW_DATASET_NAME, arguments.dataset_id, made_by="get_data.py")
    table = read_raw_table(raw)
    features, labels = make_features(table), make_labels(table)
    report_features(task.get_logger(), features, labels)

    with (
        tempfile.TemporaryDirectory() as folder,
        new_dataset_version(PREPROCESSED_DATASET_NAME, parents=[raw]) as dataset,
    ):
        features.to_csv(Path(folder, FEATURES_FILE_NAME), index=False)
        labels.to_csv(Path(folder, LABELS_FILE_NAME), index=False)
        table[[ASTEROID_COLUMN]].to_csv(Path(folder, GROUPS_FILE_NAME), index=False)
        # A child begins with the files of its parents. This one holds what is in the folder, and no more.
        with storage_errors("the tables"):
            dataset.remove_files("*")
            dataset.add_files(folder)
    print(
        f"{PREPROCESSED_DATASET_NAME} {dataset.version} ({dataset.id}): {len(features)} rows, "
        f"{len(FEATURES)} features, {labels[LABEL_COLUMN].mean():.1%} hazardous"
    )


if __name__ == "__main__":
    main()
