"""Judge a model on another table: its figures beside the rule's, above all on asteroids that are new to it.

    python evaluate.py --csv other.csv                # the champion
    python evaluate.py --csv other.csv --model ID     # this model of ClearML's, or a model file

The table needs the columns that get_data.py needs, but for the date. The model answers by its own threshold.
Rows of asteroids that it has learned from say little of it: the others are also judged by themselves.
"""

import argparse
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from clearml_tools.errors import UserError, report_errors_in_one_line

import clearml
import numpy as np
import pandas as pd
import xgboost
from clearml import Task

import global_config as config
from asteroids.configuration import check_configuration
from asteroids.evaluation import compare_with_baselines, format_scores, rule_of_thumb
from asteroids.ids import designation
from asteroids.table_checks import Check, read_labels
from asteroids.table_files import cast, fetch_chunks
from asteroids.table_reader import open_table
from clearml_tools.connection import connect
from clearml_tools.interrupts import delayed_interrupt
from clearml_tools.sdk_internals import APIClient
from clearml_tools.tasks import keep_reason, start_task
from get_data import SHIPPED_TABLE
from model_selection import find_champions, read_evidence
from preprocess_serving import RAW_COLUMNS, Model
from preprocessing import TEXT_COLUMNS, make_features

NEEDED_COLUMNS = [*RAW_COLUMNS, config.GROUP_COLUMN, config.LABEL_COLUMN]
NEED_BOTH_CLASSES = ["recall", "precision", "F1", "PR-AUC"]


@dataclass(frozen=True)
class Answers:
    """What is said of each row of a table: by itself, by a model and by the rule. Arrays of shape (n,)."""

    keys: np.ndarray  # of the groups, as trainings keep them
    labels: np.ndarray
    probabilities: np.ndarray
    by_rule: np.ndarray
    texts: Counter[str]  # how the labels are written, and how often

    def scores(self, rows: np.ndarray, threshold: float) -> pd.DataFrame:
        """Return the figures of model and baselines on some rows; NaN where one class does not tell."""
        labels = self.labels[rows]
        with warnings.catch_warnings(action="ignore"):  # of figures that are taken away below
            scores = compare_with_baselines(labels, self.probabilities[rows], threshold, self.by_rule[rows])
        if len(np.unique(labels)) < 2:
            scores[NEED_BOTH_CLASSES] = np.nan
        return scores

    def describe(self, rows: np.ndarray) -> str:
        """Return how many rows, groups and rows of each class there are, in words."""
        counts = np.bincount(self.labels[rows], minlength=2)
        classes = ", ".join(f"{count} {name}" for count, name in zip(counts, config.CLASS_NAMES, strict=True))
        return f"{rows.sum()} rows of {len(set(self.keys[rows]))} {config.GROUPS}: {classes}"


def read_rows(table: str) -> Iterator[pd.DataFrame]:
    """Yield the table's needed columns in chunks, as texts: so a number is the same in CSV and in Parquet."""
    with open_table(table, NEEDED_COLUMNS) as database:
        known = [name for name, *_ in database.execute("DESCRIBE raw_table").fetchall()]
        selected = [cast(name, "VARCHAR") for name in known if name in (*RAW_COLUMNS, *TEXT_COLUMNS)]
        yield from fetch_chunks(database.execute(f"SELECT {', '.join(selected)} FROM raw_table"))


def answer(model: Model, table: str) -> Answers:
    """Return what the model says of the table's rows; UserError with all that is wrong with them."""
    check, texts = Check(), Counter[str]()
    labels, probabilities, by_rule = [], [], []
    for rows in read_rows(table):
        check.add(rows)
        if check.has_problems():
            continue
        features = make_features(rows)
        texts.update(rows[config.LABEL_COLUMN].tolist())
        labels.append(read_labels(rows).to_numpy(int))
        probabilities.append(model.predict(features.to_numpy()))
        by_rule.append(rule_of_thumb(features))
    if check.has_problems() or not check.rows:
        raise UserError(f"{table} cannot be judged on: {'; '.join(check.problems())}")
    keys = [chunk[config.GROUP_KEY_COLUMN].to_numpy() for chunk in check.groups.chunks()]
    return Answers(
        np.concatenate(keys),
        np.concatenate(labels),
        np.concatenate(probabilities),
        np.concatenate(by_rule),
        texts,
    )


def find_model(name: str | None) -> tuple[Path, clearml.Model | None]:
    """Return the file of a model, and the model as ClearML knows it, if `name` is not a file itself.

    `name` is an id or a file; without it, the champion is meant. UserError if there is no such model.
    """
    if name and Path(name).is_file():
        return Path(name), None
    if name:
        found = [clearml.Model(model.id) for model in APIClient().models.get_all(id=[name])]
    else:
        found = find_champions()
    if not found:
        raise UserError(
            f"--model '{name}' is neither a file here nor the id of a model in ClearML"
            if name
            else "there is no champion yet: run pipeline.py, or name a model by --model"
        )
    try:
        return Path(found[-1].get_local_copy(raise_on_error=True)), found[-1]
    except ValueError as error:
        raise UserError(f"ClearML could not load the model {found[-1].id}: {error}") from error


def load_model(path: Path, name: str) -> Model:
    """Return a model that can answer; UserError if it is none, or one of other features or no threshold."""
    try:
        xgboost.Booster(model_file=str(path))
    except (ValueError, OSError, xgboost.core.XGBoostError) as error:
        raise UserError(f"{name} cannot be judged: it is not an XGBoost file") from error
    try:
        return Model(str(path))
    except ValueError as error:
        raise UserError(f"{name} cannot be judged: {error}") from error


def read_training_keys(stored: clearml.Model | None) -> set[str]:
    """Return the keys of the groups that a model has learned from; ValueError with the reason if unknown."""
    if not stored:
        raise ValueError("a file does not say")
    task = Task.get_task(task_id=stored.task) if stored.task else None
    if not task:
        raise ValueError("it has no training task")
    _, evidence = read_evidence(task)
    keys = set(evidence.predictions[config.GROUP_KEY_COLUMN])
    if not evidence.names_all_groups:
        raise ValueError(f"its training kept the keys of {len(keys)} of {evidence.groups} {config.GROUPS}")
    return keys


def judge(
    answers: Answers, threshold: float, stored: clearml.Model | None
) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield and print the figures of all rows, and those of new groups alone where the model knows some.

    The text with them is a name for the figures.
    """

    def show(name: str, rows: np.ndarray) -> tuple[str, pd.DataFrame]:
        scores = format_scores(answers.scores(rows, threshold))
        print(f"{name}, {answers.describe(rows)}")
        print(scores.to_string())
        if (scores == "").any(axis=None):
            print(f"{', '.join(NEED_BOTH_CLASSES)}: rows of one class do not tell")
        return name, scores

    yield show("all rows", np.full(len(answers.labels), True))
    try:
        is_new = ~pd.Series(answers.keys).isin(read_training_keys(stored)).to_numpy()
    except ValueError as error:
        print(f"which of these {config.GROUPS} the model has learned from cannot be told: {error}")
        return
    learned = len(set(answers.keys[~is_new]))
    print(f"the model has learned from {learned} of these {config.GROUPS}, as far as their keys tell")
    if config.GROUP_NAME_COLUMN:
        has_name = np.array([designation(key) is not None for key in answers.keys])
        if nameless := len(set(answers.keys[is_new & ~has_name])):
            print(
                f"{nameless} others have no designation in '{config.GROUP_NAME_COLUMN}': it may know them "
                "by another id"
            )
        is_new &= has_name
    if learned and is_new.any():
        yield show(f"new {config.GROUPS}", is_new)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--csv", help="table to judge on, a file, pattern or address as for get_data.py (the one in data/)"
    )
    parser.add_argument("--model", help="id of a model in ClearML, or a model file (the champion)")
    return parser.parse_args()


def main() -> None:
    report_errors_in_one_line(record=keep_reason)
    arguments = parse_arguments()
    check_configuration()
    connect()
    # Before there is a task: what cannot be judged leaves nothing behind in ClearML.
    path, stored = find_model(arguments.model)
    name = f"model '{stored.name}' ({stored.id})" if stored else f"the model in {path}"
    model = load_model(path, name)
    table = arguments.csv or str(SHIPPED_TABLE)
    answers = answer(model, table)

    task = start_task(config.EVALUATION_TASK_NAME, Task.TaskTypes.testing)
    if stored:
        task.set_input_model(stored.id, update_task_design=False, update_task_labels=False)
    texts = ", ".join(f"{text!r} in {count} rows" for text, count in answers.texts.most_common())
    print(f"{name}, threshold {model.threshold:.3f}, on {table}")
    print(f"'{config.LABEL_COLUMN}' is {texts}")
    logger = task.get_logger()
    for series, scores in judge(answers, model.threshold, stored):
        with delayed_interrupt():
            logger.report_table("Scores", series, iteration=0, table_plot=scores)


if __name__ == "__main__":
    main()
