"""How model_training.py shows a training run: each function takes the logger of a ClearML task."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import xgboost
from sklearn.calibration import calibration_curve
from sklearn.metrics import confusion_matrix, precision_recall_curve

from asteroids.cross_validation import Curves
from asteroids.evaluation import baseline_metric, format_scores, rule_text
from global_config import CLASS_NAMES

Logger = Any  # clearml.Logger: this folder imports nothing of ClearML's
Points = tuple[Sequence[float] | np.ndarray, Sequence[float] | np.ndarray]  # x and y values


@dataclass(frozen=True)
class Predictions:
    """What the model says of some rows, and the rule's 0s and 1s, beside the labels; arrays of shape (n,)."""

    labels: np.ndarray
    probabilities: np.ndarray
    threshold: float
    by_rule: np.ndarray


def report_learning_curves(logger: Logger, curves: Curves) -> None:
    """Draw each metric over the rounds, training beside validation."""
    for data, metrics in curves.items():
        for metric, values in metrics.items():
            for round_number, value in enumerate(values):
                logger.report_scalar(metric, data, value=value, iteration=round_number)


def report_lines(logger: Logger, title: str, xaxis: str, yaxis: str, lines: Mapping[str, Points]) -> None:
    """Draw one plot with a line, or a single point, for each name."""
    style = {"type": "scatter", "mode": "lines+markers"}
    traces = [
        {**style, "name": name, "x": np.asarray(x).tolist(), "y": np.asarray(y).tolist()}
        for name, (x, y) in lines.items()
    ]
    layout = {"xaxis": {"title": xaxis}, "yaxis": {"title": yaxis}}
    logger.report_plotly(title, f"{title} on the test set", figure={"data": traces, "layout": layout})


def report_test_plots(logger: Logger, of_test: Predictions) -> None:
    """Draw PR curve, calibration and confusion matrix on the test set."""
    labels, probabilities = of_test.labels, of_test.probabilities
    precision, recall, _ = precision_recall_curve(labels, probabilities, drop_intermediate=True)
    rule_precision, rule_recall, _ = precision_recall_curve(labels, of_test.by_rule)
    lines = {"model": (recall, precision), f"rule {rule_text()}": (rule_recall[1:2], rule_precision[1:2])}
    report_lines(logger, "Precision and recall", "recall", "precision", lines)
    positive_share, mean_probability = calibration_curve(labels, probabilities, n_bins=10)
    report_lines(
        logger,
        "Calibration",
        "predicted probability",
        f"share that is {CLASS_NAMES[1]}",
        {"model": (mean_probability, positive_share), "perfect": ([0, 1], [0, 1])},
    )
    logger.report_confusion_matrix(
        "Confusion matrix",
        "test set",
        matrix=confusion_matrix(labels, probabilities >= of_test.threshold),
        iteration=0,
        xaxis="predicted",
        yaxis="actual",
        xlabels=list(CLASS_NAMES),
        ylabels=list(CLASS_NAMES),
        yaxis_reversed=True,
    )


def report_importance(logger: Logger, booster: xgboost.Booster) -> None:
    """Draw each feature's share of the total gain, the largest first."""
    gain: dict[str, Any] = booster.get_score(importance_type="total_gain")
    names = sorted(gain, key=lambda name: gain[name], reverse=True)
    shares = [gain[name] / sum(gain.values()) for name in names]
    logger.report_histogram(
        "Feature importance",
        "share of the total gain",
        values=shares,
        iteration=0,
        xlabels=names,
        yaxis="share",
    )


def report_comparison(logger: Logger, scores: pd.DataFrame) -> None:
    """Report the scores as a table and as single values; the model's have plain names, to compare runs by."""
    logger.report_table("Scores", "model beside baselines", iteration=0, table_plot=format_scores(scores))
    for row, values in scores.iterrows():
        for name, value in values.dropna().items():
            logger.report_single_value(
                str(name) if row == "model" else baseline_metric(str(name), str(row)), value
            )
