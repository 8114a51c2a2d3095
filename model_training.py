"""Train XGBoost to tell which asteroids are hazardous, score it, and register it as a ClearML model.

    python model_training.py                          # the newest "preprocessed_asteroid_dataset"
    python model_training.py --random-state 7 --max-depth 4

The validation data stop the training and choose the threshold. The model is scored on the test set, frozen
for all runs (asteroids/frozen_test_set.py), beside two baselines (asteroids/evaluation.py).
"""

import argparse
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
from asteroids.drift import EDGES, decile_edges, format_edges
from asteroids.frozen_test_set import split_by_group
from clearml_tools.connection import connect
from clearml_tools.datasets import get_dataset, local_copy
from clearml_tools.interrupts import delayed_interrupt
from clearml_tools.models import register_model
from clearml_tools.shell_commands import metrics_add_command
from clearml_tools.tasks import keep_reason, start_task
from preprocess_serving import FEATURES

Rows = tuple[np.ndarray, np.ndarray, np.ndarray]  # row numbers of the training, validation and test data


def read_training_data(dataset: Dataset) -> tuple[pd.DataFrame, np.ndarray, pd.Series]:
    """Return features (n, 19), labels (n,) and group (n,) of each row; UserError if the files are others."""
    source = f"{dataset.name} {dataset.version} ({dataset.id})"
    folder = local_copy(dataset)
    try:
        features = pd.read_csv(folder / config.FEATURES_FILE_NAME)
        labels = pd.read_csv(folder / config.LABELS_FILE_NAME)[config.LABEL_COLUMN].to_numpy()
        groups = pd.read_csv(folder / config.GROUPS_FILE_NAME, dtype=str)[config.GROUP_COLUMN]
    except (FileNotFoundError, KeyError, ValueError) as error:
        raise UserError(f"{source} is not what preprocessing.py makes: {error}") from error
    if list(features.columns) != FEATURES or not len(features) == len(labels) == len(groups):
        raise UserError(
            f"{source} has other features or rows than preprocessing.py makes: run preprocessing.py again"
        )
    return features, labels, groups


def train(
    features: pd.DataFrame,
    labels: np.ndarray,
    train_rows: np.ndarray,
    validation_rows: np.ndarray,
    parameters: dict[str, Any],
    num_boost_round: int,
    early_stopping_rounds: int,
) -> tuple[xgboost.Booster, plots.Curves]:
    """Return a booster with the trees up to its best round on the validation rows, and the learning curves.

    UserError if XGBoost refuses a parameter.
    """
    if num_boost_round < 1 or early_stopping_rounds < 1:
        raise UserError("--num-boost-round and --early-stopping-rounds must be 1 or more")
    data = xgboost.DMatrix(features.iloc[train_rows], labels[train_rows])
    validation = xgboost.DMatrix(features.iloc[validation_rows], labels[validation_rows])
    curves: plots.Curves = {}
    try:
        booster = xgboost.train(
            parameters,
            data,
            num_boost_round,
            evals=[(data, "train"), (validation, "validation")],
            evals_result=curves,
            callbacks=[xgboost.callback.EarlyStopping(rounds=early_stopping_rounds, save_best=True)],
            verbose_eval=False,
        )
    except xgboost.core.XGBoostError as error:
        raise UserError(f"XGBoost refuses the parameters: {' '.join(str(error).split())}") from error
    return booster, curves


def save_model(booster: xgboost.Booster, path: Path, threshold: float) -> None:
    """Write the booster with all that serving needs to know: serving gets the file, not ClearML's metadata.

    The names of the features are in every model file. The bytes depend on the trees and the threshold
    alone: the same data, parameters and seed give the same file.
    """
    booster.set_attr(**{evaluation.THRESHOLD_ATTRIBUTE: repr(threshold)}, xgboost_version=xgboost.__version__)
    path.write_bytes(booster.save_raw("ubj"))  # save_model() does not say that a disk is full


def upload_model(task: Task, booster: xgboost.Booster, threshold: float, edges: dict[str, str]) -> str:
    """Register the booster as the task's model MODEL_NAME, with its metadata; return the model's id."""
    about = {"threshold": threshold, "xgboost_version": xgboost.__version__}
    metadata = {**about, "features": ", ".join(FEATURES), "trees": booster.num_boosted_rounds()}
    metadata |= {f"{EDGES}{name}": text for name, text in edges.items()}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"{config.MODEL_FILE_STEM}.ubj")
        save_model(booster, path, threshold)
        names, about = config.CLASS_NAMES, {**about, "features": FEATURES}
        return register_model(task, config.MODEL_NAME, path, "xgboost", names, about, metadata).id


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").partition("\n")[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    add, name = parser.add_argument, config.PREPROCESSED_DATASET_NAME.replace("%", "%%")
    add("--dataset-id", help=f"version of {name} to take; without it, the newest")
    add("--random-state", type=int, default=42, help="seed of the split and of XGBoost's sampling")
    share = f"share of the {config.GROUPS.replace('%', '%%')} outside the test set"
    add("--validation-size", type=float, default=0.2, help=share)
    add("--num-boost-round", type=int, default=1000, help="most trees there may be")
    add("--early-stopping-rounds", type=int, default=50, help="rounds without progress on validation data")
    add("--eta", type=float, default=0.05, help="learning rate")
    add("--max-depth", type=int, default=3, help="levels of a tree")
    add("--min-child-weight", type=float, default=5.0, help="least weight of the rows in a leaf")
    add("--subsample", type=float, default=0.5, help="share of the rows that each tree sees")
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


def xgboost_parameters(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return XGBoost's own parameters from the script's arguments."""
    names = ["eta", "max_depth", "min_child_weight", "subsample", "colsample_bytree", "reg_lambda", "gamma"]
    return {
        "objective": "binary:logistic",
        # The last one decides when to stop: PR-AUC is near 1 after a few trees, long before the
        # probabilities are right.
        "eval_metric": ["aucpr", "logloss"],
        "monotone_constraints": config.MONOTONE_CONSTRAINTS if arguments.monotone == "yes" else {},
        # Splits between any two rows, not at 256 bins: the definition of hazardous has sharp limits.
        "tree_method": "exact",
        "seed": arguments.random_state,
        "nthread": 1,  # the last digits of a sum over threads vary, and one seed must give one file
        **{name: getattr(arguments, name) for name in names},
    }


def split_rows(labels: np.ndarray, groups: pd.Series, validation_size: float, random_state: int) -> Rows:
    """Split the rows, and print how many each part has. UserError if a part has only one class."""
    rows = split_by_group(groups, validation_size, random_state)
    for name, numbers in zip(("training", "validation", "test"), rows, strict=True):
        print(f"{name} data: {len(numbers)} rows of {groups.iloc[numbers].nunique()} {config.GROUPS}")
        if set(labels[numbers]) != {0, 1}:
            raise UserError(f"the {name} data have only one class: take more rows into the dataset")
    return rows


def main() -> None:
    report_errors_in_one_line(record=keep_reason)
    arguments = parse_arguments()
    check_arguments(arguments)
    check_configuration()
    connect()
    task = start_task(config.TRAINING_TASK_NAME, Task.TaskTypes.training)
    logger = task.get_logger()
    dataset = get_dataset(config.PREPROCESSED_DATASET_NAME, arguments.dataset_id, made_by="preprocessing.py")
    features, labels, groups = read_training_data(dataset)
    train_rows, validation_rows, test_rows = split_rows(
        labels, groups, arguments.validation_size, arguments.random_state
    )
    # Of all rows but the test set's, so that the edges do not depend on the seed.
    seen = features.iloc[np.concatenate([train_rows, validation_rows])]
    edges = {name: format_edges(decile_edges(seen[name])) for name in config.WATCHED_FEATURES}

    parameters, rounds = xgboost_parameters(arguments), arguments.num_boost_round
    booster, curves = train(
        features, labels, train_rows, validation_rows, parameters, rounds, arguments.early_stopping_rounds
    )
    if not booster.get_score():
        raise UserError("XGBoost found nothing to split the rows by: its parameters are too strict")
    probabilities = booster.predict(xgboost.DMatrix(features))
    validation_labels, validation_probabilities = labels[validation_rows], probabilities[validation_rows]
    threshold = evaluation.choose_threshold(validation_labels, validation_probabilities)
    validation_scores = evaluation.score(validation_labels, validation_probabilities, threshold)

    test_labels, test_probabilities = labels[test_rows], probabilities[test_rows]
    by_rule = evaluation.rule_of_thumb(features.iloc[test_rows])
    scores = evaluation.compare_with_baselines(test_labels, test_probabilities, threshold, by_rule)
    print(f"{booster.num_boosted_rounds()} trees, threshold {threshold:.3f}; on the test set:")
    print(scores.round(4))

    with delayed_interrupt():
        plots.report_learning_curves(logger, curves)
        plots.report_test_plots(logger, test_labels, test_probabilities, threshold, by_rule)
        plots.report_importance(logger, booster)
        plots.report_comparison(logger, scores)
    logger.report_single_value(evaluation.VALIDATION_SCORE, validation_scores["PR-AUC"])
    logger.report_single_value("threshold", threshold)
    # Later models are compared with this one on these rows.
    test_set = features.iloc[test_rows].assign(**{config.LABEL_COLUMN: test_labels})
    with storage_errors("the test set"):
        task.upload_artifact(config.TEST_SET_ARTIFACT, test_set, wait_on_upload=True)
    model_id = upload_model(task, booster, threshold, edges)
    print(f"model '{config.MODEL_NAME}' ({model_id}); to let clearml-serving watch it for drift:")
    print(metrics_add_command("ID", config.SERVING_ENDPOINT, edges))


if __name__ == "__main__":
    main()
