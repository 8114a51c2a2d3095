"""How model_training.py shows a training run in ClearML."""

import numpy as np
import pandas as pd
import xgboost
from clearml import Logger
from sklearn.calibration import calibration_curve
from sklearn.metrics import confusion_matrix, precision_recall_curve

from asteroids.promotion import baseline_metric
from clearml_tools.interrupts import delayed_interrupt

CLASSES = ["not hazardous", "hazardous"]


@delayed_interrupt()
def report_learning_curves(logger: Logger, curves: dict) -> None:
    """Each metric as a graph over the rounds, training beside validation."""
    for data, metrics in curves.items():
        for metric, values in metrics.items():
            for round_number, value in enumerate(values):
                logger.report_scalar(metric, data, value=value, iteration=round_number)


@delayed_interrupt()
def report_lines(logger: Logger, title: str, xaxis: str, yaxis: str, lines: dict[str, tuple]) -> None:
    """One plot with a line, or with a single point, for each name -> (x values, y values)."""
    style = {"type": "scatter", "mode": "lines+markers"}
    traces = [
        {**style, "name": name, "x": np.asarray(x).tolist(), "y": np.asarray(y).tolist()}
        for name, (x, y) in lines.items()
    ]
    layout = {"xaxis": {"title": xaxis}, "yaxis": {"title": yaxis}}
    logger.report_plotly(title, f"{title} on the test set", figure={"data": traces, "layout": layout})


@delayed_interrupt()
def report_test_plots(
    logger: Logger, labels: np.ndarray, probabilities: np.ndarray, threshold: float, by_rule: np.ndarray
) -> None:
    """PR curve, calibration and confusion matrix on the test set; `by_rule` holds the rule's 0s and 1s."""
    precision, recall, _ = precision_recall_curve(labels, probabilities, drop_intermediate=True)
    rule_precision, rule_recall, _ = precision_recall_curve(labels, by_rule)
    report_lines(
        logger,
        "Precision and recall",
        "recall",
        "precision",
        {
            "model": (recall, precision),
            "rule H <= 22 and MOID <= 0.05": (rule_recall[1:2], rule_precision[1:2]),
        },
    )
    share_hazardous, mean_probability = calibration_curve(labels, probabilities, n_bins=10)
    report_lines(
        logger,
        "Calibration",
        "predicted probability",
        "share that is hazardous",
        {"model": (mean_probability, share_hazardous), "perfect": ([0, 1], [0, 1])},
    )
    logger.report_confusion_matrix(
        "Confusion matrix",
        "test set",
        matrix=confusion_matrix(labels, probabilities >= threshold),
        iteration=0,
        xaxis="predicted",
        yaxis="actual",
        xlabels=CLASSES,
        ylabels=CLASSES,
        yaxis_reversed=True,
    )


@delayed_interrupt()
def report_importance(logger: Logger, booster: xgboost.Booster) -> None:
    """Each feature's share of the total gain, the largest first."""
    gain = booster.get_score(importance_type="total_gain")
    names = sorted(gain, key=gain.get, reverse=True)
    shares = [gain[name] / sum(gain.values()) for name in names]
    logger.report_histogram(
        "Feature importance",
        "share of the total gain",
        values=shares,
        iteration=0,
        xlabels=names,
        yaxis="share",
    )


@delayed_interrupt()
def report_comparison(logger: Logger, scores: pd.DataFrame) -> None:
    """The scores as a table and as single values; the model's have plain names, to compare runs by."""
    logger.report_table("Test set", "model beside baselines", iteration=0, table_plot=scores.round(4))
    for judged, values in scores.iterrows():
        for name, value in values.items():
            logger.report_single_value(name if judged == "model" else baseline_metric(name, judged), value)
