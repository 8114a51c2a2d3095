"""Train XGBoost to tell which asteroids are hazardous, score it, and register it as a ClearML model.

    python model_training.py                          # the newest "preprocessed_asteroid_dataset"
    python model_training.py --random-state 7 --max-depth 4

Cross-validation by asteroid says when to stop, chooses the threshold, and is what the model is compared by
(asteroids/cross_validation.py). Then the model learns from all rows outside the test set. It is scored on the
test set, frozen for all runs (asteroids/frozen_test_set.py), beside two baselines (asteroids/evaluation.py).
"""

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

from clearml_tools.errors import UserError, report_errors_in_one_line, storage_errors

import numpy as np
import pandas as pd
import xgboost
from clearml import Dataset, Task

import global_config as config
from asteroids import evaluation, plots
from asteroids.configuration import check_configuration
from asteroids.cross_validation import OutOfFold, Table, cross_validate
from asteroids.drift import REFERENCE_ATTRIBUTE, counted_variables, edges_as_text, reference_of
from asteroids.frozen_test_set import draw
from asteroids.promotion import PROBABILITY
from asteroids.table_files import TableWriter, find_table, read_chunks, read_table
from clearml_tools.connection import connect
from clearml_tools.datasets import get_dataset, local_copy
from clearml_tools.interrupts import delayed_interrupt
from clearml_tools.models import register_model
from clearml_tools.shell_commands import metrics_add_command
from clearml_tools.tasks import keep_reason, start_task
from preprocess_serving import FEATURES


def read_training_data(dataset: Dataset) -> tuple[Table, np.ndarray]:
    """Return the table to learn from, and the key of each row's group; UserError if the files are others."""
    source = f"{dataset.name} {dataset.version} ({dataset.id})"
    folder, key = local_copy(dataset), config.GROUP_KEY_COLUMN
    other = UserError(
        f"{source} has other features or rows than preprocessing.py makes: run preprocessing.py again"
    )
    try:
        keys = read_table(folder, config.GROUPS_FILE_NAME, text=[key])[key].to_numpy(object)
        labels = read_table(folder, config.LABELS_FILE_NAME)[config.LABEL_COLUMN].to_numpy(np.int8)
        features = np.empty((len(keys), len(FEATURES)), np.float32)
        filled = 0
        for chunk in read_chunks(folder, config.FEATURES_FILE_NAME):
            if list(chunk) != FEATURES or filled + len(chunk) > len(keys):
                raise other
            features[filled : filled + len(chunk)] = chunk
            filled += len(chunk)
    except (UserError, KeyError, ValueError) as error:
        raise UserError(f"{source} is not what preprocessing.py makes: {error}") from error
    if not filled == len(labels) == len(keys):
        raise other
    return Table(features, labels, draw(keys)), keys


def save_model(booster: xgboost.Booster, path: Path, threshold: float, reference: dict[str, Any]) -> None:
    """Write the booster with all that serving needs to know: serving gets the file, not ClearML's metadata.

    The names of the features are in every model file. The bytes depend on the trees and the threshold
    alone: the same data, parameters and seed give the same file.
    """
    attributes = {evaluation.THRESHOLD_ATTRIBUTE: repr(threshold), REFERENCE_ATTRIBUTE: json.dumps(reference)}
    booster.set_attr(**attributes, xgboost_version=xgboost.__version__)
    path.write_bytes(booster.save_raw("ubj"))  # save_model() does not say that a disk is full


def upload_model(task: Task, booster: xgboost.Booster, threshold: float, reference: dict[str, Any]) -> str:
    """Register the booster as the task's model MODEL_NAME, with its metadata; return the model's id."""
    about = {"threshold": threshold, "xgboost_version": xgboost.__version__}
    metadata = {**about, "features": ", ".join(FEATURES), "trees": booster.num_boosted_rounds()}
    metadata |= edges_as_text(reference)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"{config.MODEL_FILE_STEM}.ubj")
        save_model(booster, path, threshold, reference)
        names, about = config.CLASS_NAMES, {**about, "features": FEATURES}
        return register_model(task, config.MODEL_NAME, path, "xgboost", names, about, metadata).id


def upload_out_of_fold(task: Task, predictions: pd.DataFrame) -> None:
    """Keep the out-of-fold predictions as an artifact of the task."""
    name = "out_of_fold.csv"  # not the artifact's, which may have a character that no file can have
    with tempfile.TemporaryDirectory() as folder, storage_errors("the out-of-fold predictions"):
        with TableWriter(Path(folder), name) as writer:
            writer.append(predictions)
        file = find_table(Path(folder), name)
        task.upload_artifact(config.OUT_OF_FOLD_ARTIFACT, file, wait_on_upload=True)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").partition("\n")[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    add, name = parser.add_argument, config.PREPROCESSED_DATASET_NAME.replace("%", "%%")
    add("--dataset-id", help=f"version of {name} to take; without it, the newest")
    add("--random-state", type=int, default=42, help="seed of XGBoost's sampling")
    add("--num-boost-round", type=int, default=1000, help="most trees there may be")
    add("--early-stopping-rounds", type=int, default=20, help="rounds without progress out of fold")
    add("--eta", type=float, default=0.2, help="learning rate")
    add("--max-depth", type=int, default=3, help="levels of a tree")
    add("--min-child-weight", type=float, default=1.0, help="least weight of the rows in a leaf")
    add("--subsample", type=float, default=0.8, help="share of the rows that each tree sees")
    add("--monotone", choices=["yes", "no"], default="yes", help="keep global_config.MONOTONE_CONSTRAINTS")
    add("--colsample-bytree", type=float, default=1.0, help="share of the features that each tree sees")
    add("--reg-lambda", type=float, default=1.0, help="L2 regularization of the leaves")
    add("--gamma", type=float, default=0.0, help="least gain that a split must bring")
    return parser.parse_args()


def check_arguments(arguments: argparse.Namespace) -> None:
    """Raise UserError for values that the libraries take but cannot use, or refuse without a name."""
    if not 0 <= arguments.random_state < 2**32:
        raise UserError(f"--random-state {arguments.random_state} is not from 0 to {2**32 - 1}")
    if not 0 < arguments.eta <= 1:
        raise UserError(f"--eta {arguments.eta:g} is not above 0, and 1 at most")
    if arguments.num_boost_round < 1 or arguments.early_stopping_rounds < 1:
        raise UserError("--num-boost-round and --early-stopping-rounds must be 1 or more")


def xgboost_parameters(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return XGBoost's own parameters from the script's arguments."""
    names = ["eta", "max_depth", "min_child_weight", "subsample", "colsample_bytree", "reg_lambda", "gamma"]
    return {
        "objective": "binary:logistic",
        "monotone_constraints": config.MONOTONE_CONSTRAINTS if arguments.monotone == "yes" else {},
        "seed": arguments.random_state,
        **{name: getattr(arguments, name) for name in names},
    }


def learn(table: Table, arguments: argparse.Namespace) -> tuple[OutOfFold, xgboost.Booster, float]:
    """Return the out-of-fold predictions, the booster of all rows but the test set, and its threshold."""
    parameters = xgboost_parameters(arguments)
    found = cross_validate(table, parameters, arguments.num_boost_round, arguments.early_stopping_rounds)
    booster = table.train(parameters, table.matrix(table.other_rows), found.rounds)
    if not booster.get_score():
        raise UserError("XGBoost found nothing to split the rows by: its parameters are too strict")
    threshold = evaluation.choose_threshold(table.labels[found.rows], found.probabilities.mean(axis=1))
    return found, booster, threshold


def out_of_fold_table(table: Table, keys: np.ndarray, found: OutOfFold) -> pd.DataFrame:
    """Return what later models are compared with this one by, as asteroids/promotion.py takes it."""
    rows = found.rows
    predictions = pd.DataFrame({config.GROUP_KEY_COLUMN: keys[rows], config.LABEL_COLUMN: table.labels[rows]})
    probabilities = pd.DataFrame(found.probabilities).add_prefix(PROBABILITY)
    features = pd.DataFrame(table.features[rows], columns=FEATURES)
    return pd.concat([predictions, probabilities, features], axis="columns")


def check_rows(table: Table) -> None:
    """Print how many rows there are to learn from and to test with. UserError if one has only one class."""
    for name, rows in (("training", table.other_rows), ("test", table.test_rows)):
        print(f"{name} data: {len(rows)} rows of {table.count_groups(rows)} {config.GROUPS}")
        if set(table.labels[rows]) != {0, 1}:
            raise UserError(f"the {name} data have only one class: take more rows into the dataset")


def compare_with_rule(
    table: Table, booster: xgboost.Booster, found: OutOfFold, threshold: float
) -> tuple[pd.DataFrame, plots.Predictions]:
    """Return the scores of model and baselines, validation scores first, and what is said of the test set."""

    def by_rule(rows: np.ndarray) -> np.ndarray:
        return evaluation.rule_of_thumb(pd.DataFrame(table.features[rows], columns=FEATURES))

    labels = table.labels[table.test_rows]
    of_test = plots.Predictions(
        labels, table.predict(booster, table.test_rows), threshold, by_rule(table.test_rows)
    )
    test = evaluation.compare_with_baselines(labels, of_test.probabilities, threshold, of_test.by_rule)
    seen = table.labels[found.rows]
    validation = {"model": evaluation.validation_scores(seen, found.probabilities, threshold)}
    for name, answers in evaluation.baseline_answers(by_rule(found.rows)).items():
        scores = evaluation.validation_scores(seen, answers[:, None], 0.5)
        validation[name] = scores | {evaluation.VALIDATION_SCORES[0]: np.nan}  # of a plain yes it is infinite
    return pd.DataFrame(validation).T.join(test), of_test


def main() -> None:
    report_errors_in_one_line(record=keep_reason)
    arguments = parse_arguments()
    check_arguments(arguments)
    check_configuration()
    connect()
    task = start_task(config.TRAINING_TASK_NAME, Task.TaskTypes.training)
    logger = task.get_logger()
    dataset = get_dataset(config.PREPROCESSED_DATASET_NAME, arguments.dataset_id, made_by="preprocessing.py")
    table, keys = read_training_data(dataset)
    check_rows(table)
    found, booster, threshold = learn(table, arguments)
    scores, of_test = compare_with_rule(table, booster, found, threshold)
    print(f"{found.rounds} trees, threshold {threshold:.3f}")
    for where, names in (
        ("out of fold", evaluation.VALIDATION_SCORES),
        ("on the test set", evaluation.TEST_SCORES),
    ):
        print(f"{where}:\n{evaluation.format_scores(scores[list(names)]).to_string()}")

    with delayed_interrupt():
        plots.report_learning_curves(logger, found.curves)
        plots.report_test_plots(logger, of_test)
        plots.report_importance(logger, booster)
        plots.report_comparison(logger, scores)
    logger.report_single_value("threshold", threshold)
    logger.report_single_value(evaluation.TRAINING_GROUPS, table.count_groups(table.other_rows))
    upload_out_of_fold(task, out_of_fold_table(table, keys, found))
    rows = table.other_rows
    reference = reference_of(table.features[rows], table.labels[rows])
    model_id = upload_model(task, booster, threshold, reference)
    print(
        f"model '{config.MODEL_NAME}' ({model_id}); to let clearml-serving watch it, or any other, for drift "
        "(where other edges were counted before, restart statistics afterwards):"
    )
    print(metrics_add_command("ID", config.SERVING_ENDPOINT, *counted_variables()))


if __name__ == "__main__":
    main()
