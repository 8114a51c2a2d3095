"""configuration.py: values of global_config.py that do not fit are named before anything begins."""

import sys

from clearml_tools.errors import UserError

import pytest

import get_data
import global_config
import inference
import model_training
import preprocessing
from asteroids.configuration import check_configuration


def test_the_configuration_as_it_is_shipped_is_right():
    check_configuration()


@pytest.mark.parametrize(
    ("constant", "value", "told"),
    [
        ("MONOTONE_CONSTRAINTS", {"radius": 1}, "names 'radius', which is not among FEATURES"),
        ("MONOTONE_CONSTRAINTS", {"Inclination": 2}, "give -1 or 1"),
        ("BASELINE_RULE", {"radius": ("<=", 1)}, "names 'radius', which is not among FEATURES"),
        ("BASELINE_RULE", {"Inclination": ("<", 1)}, "for 'Inclination': give a pair such as"),
        ("BASELINE_RULE", {"Inclination": 1}, "for 'Inclination': give a pair such as"),
        ("BASELINE_RULE", {}, " is empty"),
        ("WATCHED_FEATURES", ["radius"], "names 'radius', which is not among FEATURES"),
        ("WATCHED_FEATURES", ["Miss Dist.(kilometers)"], "cannot watch a name with other than"),
        ("DRIFT_SCENARIOS", {"up": {"avg_dia": 2}}, r"\['up'\] names 'avg_dia', which is not among RAW"),
        ("DRIFT_SCENARIOS", {"ramp": {"Inclination": 2}}, r"\['ramp'\] has the name of a scenario"),
        ("DRIFT_SCENARIOS", {}, " is empty"),
        ("LABEL_VALUES", {"True": 1}, "both of them must occur"),
        ("LABEL_VALUES", {"True": 1, "False": 2}, "has to give the class of each text, 0 or 1"),
        ("CLASS_NAMES", ("hazardous",), "has to be two names"),
        ("LABEL_COLUMN", "Inclination", "is among RAW_COLUMNS"),
        ("GROUP_COLUMN", None, "has to be a column; a table without ids needs one"),
        ("LABEL_VALUES", {1: 1, 0: 0}, "has 1: write it as a text, '1'; LABEL_VALUES has 0"),
        ("DRIFT_SCENARIOS", {"up": {"Inclination": "2"}}, "has '2' for 'Inclination': give a number"),
        ("RAW_DATASET_NAME", global_config.PREPROCESSED_DATASET_NAME, "are the same"),
    ],
)
def test_what_does_not_fit_is_named_with_the_remedy(monkeypatch, constant, value, told):
    monkeypatch.setattr(global_config, constant, value)
    with pytest.raises(UserError, match=f"^global_config.py and .*: {constant}.*{told}"):
        check_configuration()


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("ORDERED_COLUMNS", [("low", "Inclination")], "ORDERED_COLUMNS .* names 'low'"),
        ("FEATURES", ["Inclination"], "makes 19 features of a row, and FEATURES .* has 1"),
        ("build_features", lambda row: row["width"], "needs 'width', which is not among RAW_COLUMNS"),
    ],
)
def test_a_hook_that_does_not_fit_itself_is_named(monkeypatch, name, value, told):
    monkeypatch.setattr(f"asteroids.configuration.{name}", value)
    with pytest.raises(UserError, match=told):
        check_configuration()


@pytest.mark.parametrize(
    ("watched", "told"),
    [
        (["a b", "a_b"], "'a_b' and 'a b', which would be one metric"),
        (["y"], "'y', which is another metric's name"),
        (["-count"], "'-count', which is another metric's name"),
    ],
)
def test_features_that_cannot_have_a_metric_of_their_own_are_named(monkeypatch, watched, told):
    monkeypatch.setattr("asteroids.configuration.FEATURES", [*watched, *model_training.FEATURES])
    monkeypatch.setattr(global_config, "WATCHED_FEATURES", watched)
    with pytest.raises(UserError, match=f"names {told}"):
        check_configuration()


@pytest.mark.parametrize("script", [get_data, preprocessing, model_training, inference])
def test_every_script_checks_it_first(monkeypatch, script):
    monkeypatch.setattr(global_config, "CLASS_NAMES", ())
    monkeypatch.setattr(sys, "argv", [f"{script.__name__}.py"])
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)  # main() sets another
    with pytest.raises(UserError, match="CLASS_NAMES"):
        script.main()
