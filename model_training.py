"""Train XGBoost to tell which asteroids are hazardous, judge it, and register it as a ClearML model.

    python model_training.py                          # the newest "preprocessed_asteroid_dataset"
    python model_training.py --random-state 7 --max-depth 4

The validation data stop the training and choose the threshold. The test set, frozen for all runs, judges
the model beside two baselines (see evaluation.py).
"""

import argparse
import tempfile
from pathlib import Path
from urllib.parse import quote

from clearml_tools.errors import UserError, report_errors_in_one_line, shell_quoted, storage_errors

import numpy as np
import pandas as pd
import xgboost
from clearml import Dataset, Model, OutputModel, Task

from asteroids.evaluation import choose_threshold, rule_of_thumb, score, split_by_asteroid
from asteroids.plots import (
    CLASSES,
    report_comparison,
    report_importance,
    report_learning_curves,
    report_test_plots,
)
from asteroids.promotion import MAJORITY_CLASS, RULE, THRESHOLD_ATTRIBUTE, VALIDATION_METRIC
from clearml_tools.connection import connect
from clearml_tools.datasets import get_dataset, local_copy
from clearml_tools.tasks import keep_reason, start_task
from global_config import (
    ASTEROID_COLUMN,
    FEATURES_FILE_NAME,
    GROUPS_FILE_NAME,
    LABEL_COLUMN,
    LABELS_FILE_NAME,
    MODEL_FILE_STEM,
    MODEL_NAME,
    PREPROCESSED_DATASET_NAME,
    SERVING_ENDPOINT,
    TEST_SET_ARTIFACT,
    TRAINING_TASK_NAME,
)
from preprocess_serving import FEATURES

# By the definition of a potentially hazardous asteroid, its chance to be one can only fall as it gets
# fainter (smaller) or its orbit keeps further away.
MONOTONE_CONSTRAINTS = {"Absolute Magnitude": -1, "Minimum Orbit Intersection": -1}

# What clearml-serving counts for the drift alarms, in buckets that each hold a tenth of the training data.
MONITORED_FEATURES = ["Absolute Magnitude", "Minimum Orbit Intersection"]


def read_training_data(dataset: Dataset) -> tuple[pd.DataFrame, np.ndarray, pd.Series]:
    """Features (n, 19), labels (n,) and asteroid of each row; UserError if the files are not those."""
    source = f"{dataset.name} {dataset.version} ({dataset.id})"
    folder = local_copy(dataset)
    try:
        features = pd.read_csv(folder / FEATURES_FILE_NAME)
        labels = pd.read_csv(folder / LABELS_FILE_NAME)[LABEL_COLUMN].to_numpy()
        asteroids = pd.read_csv(folder / GROUPS_FILE_NAME, dtype=str)[ASTEROID_COLUMN]
    except (FileNotFoundError, KeyError, ValueError) as error:
        raise UserError(f"{source} is not what preprocessing.py makes: {error}") from error
    if list(features.columns) != FEATURES or not len(features) == len(labels) == len(asteroids):
        raise UserError(
            f"{source} has other features or rows than preprocessing.py makes: run preprocessing.py again"
        )
    return features, labels, asteroids


def train(
    features: pd.DataFrame,
    labels: np.ndarray,
    train_rows: np.ndarray,
    validation_rows: np.ndarray,
    parameters: dict,
    num_boost_round: int,
    early_stopping_rounds: int,
) -> tuple[xgboost.Booster, dict]:
    """A booster with the trees up to its best round on the validation rows, and the learning curves.

    The curves are {"train" or "validation": {metric: [value of each round]}}. UserError if XGBoost
    refuses a parameter.
    """
    if num_boost_round < 1 or early_stopping_rounds < 1:
        raise UserError("--num-boost-round and --early-stopping-rounds must be 1 or more")
    data = xgboost.DMatrix(features.iloc[train_rows], labels[train_rows])
    validation = xgboost.DMatrix(features.iloc[validation_rows], labels[validation_rows])
    curves: dict = {}
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


def decile_edges(values: pd.Series) -> list[float]:
    """The nine values that cut `values` into ten parts of equal size; fewer where values repeat a lot."""
    return np.unique(np.quantile(values, np.arange(1, 10) / 10)).tolist()


def metrics_command(edges: dict[str, list[float]]) -> str:
    """The command that makes clearml-serving count each variable of `edges` in buckets up to these edges."""
    scalars = [f"{name}={','.join(f'{edge:.6g}' for edge in values)}" for name, values in edges.items()]
    return (
        f"clearml-serving --id ID metrics add --endpoint {shell_quoted(SERVING_ENDPOINT)} "
        f"--variable-scalar {' '.join(map(shell_quoted, scalars))}"
    )


def save_model(booster: xgboost.Booster, path: Path, threshold: float) -> None:
    """Write the booster with all that serving needs to know of it: the file travels, ClearML's notes do not.

    The names of the features are in every model file. The bytes depend on the trees and the threshold
    alone: the same data, parameters and seed give the same file.
    """
    booster.set_attr(**{THRESHOLD_ATTRIBUTE: repr(threshold)}, xgboost_version=xgboost.__version__)
    path.write_bytes(booster.save_raw("ubj"))  # save_model() does not say that a disk is full


def quoted_address(address: str) -> str:
    """Return the address that downloads what was stored at this one: a file server's is to be quoted."""
    scheme, separator, path = address.partition("://")
    return f"{scheme}{separator}{quote(path, safe='/:@')}" if scheme in ("http", "https") else address


def register_model(
    task: Task, booster: xgboost.Booster, threshold: float, edges: dict[str, list[float]]
) -> OutputModel:
    """Upload the booster as the task's model MODEL_NAME, with its metadata."""
    model = OutputModel(
        task=task,
        name=MODEL_NAME,
        framework="xgboost",
        label_enumeration={name: number for number, name in enumerate(CLASSES)},
        config_dict={"features": FEATURES, "threshold": threshold, "xgboost_version": xgboost.__version__},
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"{MODEL_FILE_STEM}.ubj")
        save_model(booster, path, threshold)
        try:
            with storage_errors("the model"):
                address = model.update_weights(
                    str(path), auto_delete_file=False, update_comment=False, async_enable=False
                )
                # Otherwise ClearML would look for the file of a project such as "A|B" in "A%7CB".
                model.update_weights(register_uri=quoted_address(address), update_comment=False)
        except BaseException:
            if model.id:  # a model without its file, under the name that is served
                Model.remove(model.id, delete_weights_file=False)
            raise
    metadata = {
        "threshold": (threshold, "float"),
        "features": (", ".join(FEATURES), "str"),
        "xgboost_version": (xgboost.__version__, "str"),
        "trees": (booster.num_boosted_rounds(), "int"),
    }
    metadata |= {
        f"deciles of {name}": (",".join(f"{edge:.6g}" for edge in values), "str")
        for name, values in edges.items()
    }
    model.set_all_metadata(
        {key: {"value": str(value), "type": kind} for key, (value, kind) in metadata.items()}
    )
    return model


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").partition("\n")[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    add, name = parser.add_argument, PREPROCESSED_DATASET_NAME.replace("%", "%%")
    add("--dataset-id", help=f"version of {name} to take; without it, the newest")
    add("--random-state", type=int, default=42, help="seed of the split and of XGBoost's sampling")
    add("--validation-size", type=float, default=0.2, help="share of the asteroids outside the test set")
    add("--num-boost-round", type=int, default=1000, help="most trees there may be")
    add("--early-stopping-rounds", type=int, default=50, help="rounds without progress on validation data")
    add("--eta", type=float, default=0.05, help="learning rate")
    add("--max-depth", type=int, default=3, help="levels of a tree")
    add("--min-child-weight", type=float, default=5.0, help="least weight of the rows in a leaf")
    add("--subsample", type=float, default=0.5, help="share of the rows that each tree sees")
    add("--monotone", choices=["yes", "no"], default="yes", help="let the odds only fall as H or MOID grows")
    add("--colsample-bytree", type=float, default=1.0, help="share of the features that each tree sees")
    add("--reg-lambda", type=float, default=1.0, help="L2 regularization of the leaves")
    add("--gamma", type=float, default=0.0, help="least gain that a split must bring")
    return parser.parse_args()


def check_arguments(arguments: argparse.Namespace) -> None:
    """UserError for what the libraries take without learning, or refuse without naming the option."""
    if not 0 <= arguments.random_state < 2**32:
        raise UserError(f"--random-state {arguments.random_state} is not from 0 to {2**32 - 1}")
    if not 0 < arguments.eta <= 1:
        raise UserError(f"--eta {arguments.eta:g} is not above 0, and 1 at most")


def xgboost_parameters(arguments: argparse.Namespace) -> dict:
    """XGBoost's own parameters from the script's arguments."""
    names = ["eta", "max_depth", "min_child_weight", "subsample", "colsample_bytree", "reg_lambda", "gamma"]
    return {
        "objective": "binary:logistic",
        # The last one decides when to stop. PR-AUC is near 1 after a few trees, when the probabilities are
        # still far off.
        "eval_metric": ["aucpr", "logloss"],
        "monotone_constraints": MONOTONE_CONSTRAINTS if arguments.monotone == "yes" else {},
        # Splits between any two rows, not at 256 bins: what makes an asteroid hazardous has sharp limits.
        "tree_method": "exact",
        "seed": arguments.random_state,
        "nthread": 1,  # the last digits of a sum over threads vary, and one seed must give one file
        **{name: getattr(arguments, name) for name in names},
    }


def main() -> None:
    report_errors_in_one_line(record=keep_reason)
    arguments = parse_arguments()
    check_arguments(arguments)
    connect()
    task = start_task(TRAINING_TASK_NAME, Task.TaskTypes.training)
    dataset = get_dataset(PREPROCESSED_DATASET_NAME, arguments.dataset_id, made_by="preprocessing.py")
    features, labels, asteroids = read_training_data(dataset)
    rows = split_by_asteroid(asteroids, arguments.validation_size, arguments.random_state)
    for name, numbers in zip(("training", "validation", "test"), rows, strict=True):
        print(f"{name} data: {len(numbers)} rows of {asteroids.iloc[numbers].nunique()} asteroids")
        if set(labels[numbers]) != {0, 1}:
            raise UserError(
                f"the {name} data have only one class: query more rows, with a later --query-date"
            )
    train_rows, validation_rows, test_rows = rows

    booster, curves = train(
        features,
        labels,
        train_rows,
        validation_rows,
        xgboost_parameters(arguments),
        arguments.num_boost_round,
        arguments.early_stopping_rounds,
    )
    if not booster.get_score():
        raise UserError("XGBoost found nothing to split the rows by: its parameters are too strict")
    probabilities = booster.predict(xgboost.DMatrix(features))
    threshold = choose_threshold(labels[validation_rows], probabilities[validation_rows])

    truth, by_model = labels[test_rows], probabilities[test_rows]
    by_rule = rule_of_thumb(features.iloc[test_rows])
    scores = pd.DataFrame(
        {
            "model": score(truth, by_model, threshold),
            RULE: score(truth, by_rule, 0.5),
            MAJORITY_CLASS: score(truth, np.zeros(len(truth)), 0.5),
        }
    ).T
    print(f"{booster.num_boosted_rounds()} trees, threshold {threshold:.3f}; on the test set:")
    print(scores.round(4))

    logger = task.get_logger()
    report_learning_curves(logger, curves)
    report_test_plots(logger, truth, by_model, threshold, by_rule)
    report_importance(logger, booster)
    report_comparison(logger, scores)
    # For later models to be compared with this one on the same rows.
    test_set = features.iloc[test_rows].assign(**{LABEL_COLUMN: truth})
    with storage_errors("the test set"):
        task.upload_artifact(TEST_SET_ARTIFACT, test_set, wait_on_upload=True)
    validation_scores = score(labels[validation_rows], probabilities[validation_rows], threshold)
    logger.report_single_value(VALIDATION_METRIC, validation_scores["PR-AUC"])
    logger.report_single_value("threshold", threshold)

    # From all rows but the test set's, so that the edges do not hang on the seed.
    seen = features.iloc[np.concatenate([train_rows, validation_rows])]
    edges = {name: decile_edges(seen[name]) for name in MONITORED_FEATURES}
    model = register_model(task, booster, threshold, edges)
    print(f"model '{MODEL_NAME}' ({model.id}); to let clearml-serving watch it for drift:")
    print(metrics_command({**edges, "y": [0, 1]}))


if __name__ == "__main__":
    main()
