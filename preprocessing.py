"""Turn the raw dataset into features and labels, and version them as a ClearML dataset.

    python preprocessing.py                     # the newest version of "raw_asteroid_dataset"
    python preprocessing.py --dataset-id ID     # or this one

Checks the table, computes the features, and uploads X.csv, y.csv and groups.csv (the asteroid of each row, by
id and by designation) as a new version of "preprocessed_asteroid_dataset", a child of the raw version that it
was made from. A large table becomes X.parquet, y.parquet and groups.parquet.
"""

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path

from clearml_tools.errors import UserError, report_errors_in_one_line, storage_errors

import numpy as np
import pandas as pd
from clearml import Dataset, Logger, Task

import global_config as config
from asteroids.configuration import check_configuration
from asteroids.table_checks import Check, read_labels
from asteroids.table_files import TableWriter, read_chunks
from clearml_tools.connection import connect
from clearml_tools.datasets import get_dataset, local_copy, new_dataset_version
from clearml_tools.interrupts import delayed_interrupt
from clearml_tools.tasks import keep_reason, start_task
from preprocess_serving import FEATURES, RAW_COLUMNS, build_features

TEXT_COLUMNS = [config.GROUP_COLUMN, config.LABEL_COLUMN]
TEXT_COLUMNS += [config.GROUP_NAME_COLUMN] if config.GROUP_NAME_COLUMN else []

PREVIEW_ROWS = 20


class Sample:
    """Rows for pictures: all of a small table, and LARGE_TABLE_ROWS of a large one, drawn by a fixed seed."""

    def __init__(self) -> None:
        self.random = np.random.default_rng(seed=0)
        self.rows, self.lots = pd.DataFrame(), np.empty(0)
        self.first = self.rows

    def add(self, rows: pd.DataFrame) -> None:
        """Draw a lot for each of the next rows, and keep those with the lowest lots of all."""
        if self.first.empty:
            self.first = rows.head(PREVIEW_ROWS)
        self.rows = pd.concat([self.rows, rows])
        self.lots = np.concatenate([self.lots, self.random.random(len(rows))])
        if len(self.lots) > config.LARGE_TABLE_ROWS:
            kept = np.argpartition(self.lots, config.LARGE_TABLE_ROWS)[: config.LARGE_TABLE_ROWS]
            self.rows, self.lots = self.rows.iloc[kept], self.lots[kept]


def make_features(table: pd.DataFrame) -> pd.DataFrame:
    """Return X, the features of each row: shape (n, number of FEATURES), in the order of FEATURES.

    In 64 bits, though XGBoost computes in 32: as a 32-bit number, 0.05 is above a limit of 0.05.
    """
    numbers = {name: pd.to_numeric(table[name]).to_numpy() for name in RAW_COLUMNS}
    return pd.DataFrame(build_features(numbers), columns=FEATURES)


def make_labels(table: pd.DataFrame) -> pd.DataFrame:
    """Return y, the class of each row, as a table of one column."""
    return pd.DataFrame({config.LABEL_COLUMN: read_labels(table).astype(int)})


def read_raw_table(dataset: Dataset) -> Iterator[pd.DataFrame]:
    """Yield the table in a version of the raw dataset in chunks; UserError if it cannot be read."""
    folder = local_copy(dataset)
    columns = {*RAW_COLUMNS, *TEXT_COLUMNS}
    try:
        yield from read_chunks(folder, config.RAW_FILE_NAME, columns, text=TEXT_COLUMNS)
    except UserError as error:
        raise UserError(f"{full_name(dataset)} holds {error}") from error


def full_name(dataset: Dataset) -> str:
    return f"{dataset.name} {dataset.version} ({dataset.id})"


def write_tables(raw: Dataset, folder: Path) -> tuple[Check, Sample]:
    """Make the features, labels and groups of the raw dataset, and write them into the folder.

    All rows are read once. UserError with all that is wrong with them, if anything is.
    """
    check, sample = Check(), Sample()
    with (
        TableWriter(folder, config.FEATURES_FILE_NAME) as features_file,
        TableWriter(folder, config.LABELS_FILE_NAME) as labels_file,
        TableWriter(folder, config.GROUPS_FILE_NAME) as groups_file,
    ):
        for table in read_raw_table(raw):
            check.add(table)
            if check.has_problems():
                continue
            features, labels = make_features(table), make_labels(table)
            features_file.append(features)
            labels_file.append(labels)
            sample.add(pd.concat([features, labels], axis="columns"))
        if problems := check.problems():
            raise UserError(f"{full_name(raw)} cannot be preprocessed: {'; '.join(problems)}")
        for groups in check.groups.chunks():
            groups_file.append(groups)
    return check, sample


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
def report_features(logger: Logger, sample: Sample) -> None:
    """Show the first rows of X and y, and how each feature is distributed in each class."""
    logger.report_table("X", "first rows", iteration=0, table_plot=sample.first[FEATURES])
    logger.report_table("y", "first rows", iteration=0, table_plot=sample.first[[config.LABEL_COLUMN]])
    for name in FEATURES:
        shares, edges = class_shares(sample.rows[name], sample.rows[config.LABEL_COLUMN])
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
    with tempfile.TemporaryDirectory() as folder:
        check, sample = write_tables(raw, Path(folder))
        report_features(task.get_logger(), sample)
        with (
            new_dataset_version(config.PREPROCESSED_DATASET_NAME, parents=[raw]) as dataset,
            storage_errors("the tables"),
        ):
            # A child begins with the files of its parents. This one holds what is in the folder, and no more.
            dataset.remove_files("*")
            dataset.add_files(folder)
    share = check.class_rows[1] / check.rows
    print(
        f"{config.PREPROCESSED_DATASET_NAME} {dataset.version} ({dataset.id}): {check.rows} rows, "
        f"{len(FEATURES)} features, {share:.1%} {config.CLASS_NAMES[1]}"
    )


if __name__ == "__main__":
    main()
