"""Turn the raw dataset into features and labels, and version them as a ClearML dataset.

    python preprocessing.py                     # the newest version of "raw_asteroid_dataset"
    python preprocessing.py --dataset-id ID     # or this one

Checks the table, computes the features, and uploads X.csv, y.csv and groups.csv (the asteroid of each row) as
a new version of "preprocessed_asteroid_dataset", a child of the raw version that it was made from.
"""

import argparse
import re
import tempfile
from pathlib import Path

from clearml_tools.errors import UserError, report_errors_in_one_line, storage_errors

import numpy as np
import pandas as pd
from clearml import Dataset, Logger, Task

import global_config as config
from asteroids.configuration import check_configuration
from asteroids.ids import normalized_id
from clearml_tools.connection import connect
from clearml_tools.datasets import get_dataset, local_copy, new_dataset_version
from clearml_tools.interrupts import delayed_interrupt
from clearml_tools.tasks import keep_reason, start_task
from preprocess_serving import FEATURES, LARGEST_NUMBER, ORDERED_COLUMNS, RAW_COLUMNS, build_features


def find_problems(table: pd.DataFrame) -> list[str]:
    """Return a text for each problem that keeps the table from becoming features and labels.

    The rules for a value are those of the serving hook: no row that would be refused there is trained on.
    """
    needed = [*RAW_COLUMNS, config.GROUP_COLUMN, config.LABEL_COLUMN]
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
    ids = table[config.GROUP_COLUMN]
    is_empty = ids.isna() | (ids.astype(str).str.strip() == "")
    is_wrong = ids.map(normalized_id).isna() & ~is_empty
    problems += describe(f"'{config.GROUP_COLUMN}' is empty", is_empty)
    for example in ids[is_wrong].head(1):
        problems += describe(
            f"'{config.GROUP_COLUMN}' is not a whole number or name, but '{example}',", is_wrong
        )
    labels = read_labels(table)
    problems += describe(
        f"'{config.LABEL_COLUMN}' is not among LABEL_VALUES ({', '.join(config.LABEL_VALUES)})", labels.isna()
    )
    if labels.nunique() == 1:
        name = config.CLASS_NAMES[int(labels.dropna().iloc[0])]
        problems.append(f"all rows are of the class '{name}', and there is nothing to learn from that")
    return problems


def describe(what: str, is_bad: pd.Series) -> list[str]:
    """Return one text that says in how many rows `what` is so, and in which first; none if in no row."""
    if not is_bad.any():
        return []
    return [f"{what} in {is_bad.sum()} of {len(is_bad)} rows, first in row {is_bad.argmax() + 1}"]


def make_features(table: pd.DataFrame) -> pd.DataFrame:
    """Return X, the features of each row: shape (n, number of FEATURES), in the order of FEATURES."""
    return pd.DataFrame(
        build_features({name: table[name].to_numpy() for name in RAW_COLUMNS}), columns=FEATURES
    )


def read_labels(table: pd.DataFrame) -> pd.Series:
    """Return the class of each row, 1 or 0; NaN where the label is none of LABEL_VALUES."""

    def fold(value: object) -> str:
        return re.sub(r"\.0+$", "", str(value).strip().casefold())  # whole numbers may come as floats

    classes = {fold(text): number for text, number in config.LABEL_VALUES.items()}
    return table[config.LABEL_COLUMN].map(fold).map(classes)


def make_labels(table: pd.DataFrame) -> pd.DataFrame:
    """Return y, the class of each row, as a table of one column."""
    return pd.DataFrame({config.LABEL_COLUMN: read_labels(table).astype(int)})


def read_raw_table(dataset: Dataset) -> pd.DataFrame:
    """Return the table in a version of the raw dataset; UserError if it cannot be preprocessed."""
    source = f"{dataset.name} {dataset.version} ({dataset.id})"
    try:
        # As text, or "0012" would become 12, another group, and one empty cell would turn all into floats.
        as_text = {config.GROUP_COLUMN: str, config.LABEL_COLUMN: str}
        table = pd.read_csv(local_copy(dataset) / config.RAW_FILE_NAME, dtype=as_text)
    except (FileNotFoundError, ValueError) as error:
        raise UserError(f"{source} holds no readable {config.RAW_FILE_NAME}: {str(error).strip()}") from error
    problems = find_problems(table)
    if problems:
        raise UserError(f"{source} cannot be preprocessed: {'; '.join(problems)}")
    # get_data.py has done this, but a dataset may come from elsewhere.
    table[config.GROUP_COLUMN] = table[config.GROUP_COLUMN].map(normalized_id)
    return table


def class_shares(values: pd.Series, labels: pd.Series, bins: int = 30) -> tuple[np.ndarray, np.ndarray]:
    """Return how a feature is distributed in each class: shares (2, bins) that add up to 1, and the edges.

    Values beyond the 1st and 99th percentile count in the outermost bins. Otherwise a few extreme rows
    would squeeze all others into one bin.
    """
    clipped = values.clip(float(values.quantile(0.01)), float(values.quantile(0.99)))
    edges = np.histogram_bin_edges(clipped, bins)
    counts = np.array([np.histogram(clipped[labels == label], edges)[0] for label in (0, 1)])
    return counts / counts.sum(axis=1, keepdims=True), edges


@delayed_interrupt()
def report_features(logger: Logger, features: pd.DataFrame, labels: pd.DataFrame) -> None:
    """Show the first rows of X and y, and how each feature is distributed in each class."""
    logger.report_table("X", "first rows", iteration=0, table_plot=features.head(20))
    logger.report_table("y", "first rows", iteration=0, table_plot=labels.head(20))
    for name in FEATURES:
        shares, edges = class_shares(features[name], labels[config.LABEL_COLUMN])
        logger.report_histogram(
            "Feature distributions",
            name,
            values=shares,
            iteration=0,
            labels=list(config.CLASS_NAMES),
            xlabels=[f"{center:.4g}" for center in (edges[:-1] + edges[1:]) / 2],
            xaxis=name,
            yaxis="share of the class",
        )


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    name = config.RAW_DATASET_NAME.replace("%", "%%")
    parser.add_argument("--dataset-id", help=f"version of {name} to take (the newest)")
    return parser.parse_args()


def main() -> None:
    report_errors_in_one_line(record=keep_reason)
    arguments = parse_arguments()
    check_configuration()
    connect()
    task = start_task(config.PREPROCESSING_TASK_NAME, Task.TaskTypes.data_processing)
    raw = get_dataset(config.RAW_DATASET_NAME, arguments.dataset_id, made_by="get_data.py")
    table = read_raw_table(raw)
    features, labels = make_features(table), make_labels(table)
    report_features(task.get_logger(), features, labels)

    with (
        tempfile.TemporaryDirectory() as folder,
        new_dataset_version(config.PREPROCESSED_DATASET_NAME, parents=[raw]) as dataset,
    ):
        features.to_csv(Path(folder, config.FEATURES_FILE_NAME), index=False)
        labels.to_csv(Path(folder, config.LABELS_FILE_NAME), index=False)
        table[[config.GROUP_COLUMN]].to_csv(Path(folder, config.GROUPS_FILE_NAME), index=False)
        # A child begins with the files of its parents. This one holds what is in the folder, and no more.
        with storage_errors("the tables"):
            dataset.remove_files("*")
            dataset.add_files(folder)
    print(
        f"{config.PREPROCESSED_DATASET_NAME} {dataset.version} ({dataset.id}): {len(features)} rows, "
        f"{len(FEATURES)} features, {labels[config.LABEL_COLUMN].mean():.1%} {config.CLASS_NAMES[1]}"
    )


if __name__ == "__main__":
    main()
