"""name_limits.py: names that ClearML cannot take are refused before anything is begun with them."""

import sys

from clearml_tools.errors import UserError

import pytest
from clearml import Task

import global_config
import pipeline
from clearml_tools.name_limits import check_names
from clearml_tools.tasks import start_task


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("PROJECT_NAME", "two\nlines", "one line of text"),
        ("STEP_QUEUE", "CP", "three characters"),
        ("RAW_DATASET_NAME", " raw", "blanks at both ends"),
        ("PROJECT_NAME", "asteroids//hazards", "needs a name"),
        ("PIPELINE_NAME", "asteroids /hazards", "needs a name without a blank"),
        ("PREPROCESSED_DATASET_NAME", "../asteroids", "needs a name"),
        ("PROJECT_NAME", "asteroids/.hazards", "hides what begins with '.'"),
        ("PROJECT_NAME", "us/asteroids", "three characters before the first '/'"),
        ("LABELS_FILE_NAME", "labels/y.csv", "not of a folder"),
        ("MODEL_FILE_STEM", "best\\model", "a backslash"),
        ("CHAMPION_TAG", "__$not", "an operator on tags"),
        ("SERVING_ENDPOINT", "asteroid (new)", "cannot store"),
        ("SERVING_ENDPOINT", "astéroïde", "beyond ASCII"),
        ("SERVING_ENDPOINT", "asteroid/new/1", "NAME/VERSION"),
        ("SERVING_ENDPOINT", "2nd asteroid", "a digit"),
        ("CHAMPION_TAG", "-champion", "an option"),
    ],
)
def test_what_clearml_does_not_take_is_named_with_the_reason(name, text, told, monkeypatch):
    monkeypatch.setattr(global_config, name, text)
    with pytest.raises(UserError) as error:
        check_names()
    assert str(error.value).startswith(f"global_config.py: {name} cannot be {text!r}: ")
    assert told in str(error.value)


def test_names_as_they_are_shipped_are_right():
    check_names()


def test_constants_that_are_no_names_in_clearml_may_be_anything(monkeypatch):
    for name, value in [("LABEL_COLUMN", " y\n"), ("DATE_COLUMN", ""), ("CLASS_NAMES", {"M": "malignant"})]:
        monkeypatch.setattr(global_config, name, value)
    check_names()


def test_a_wrong_name_is_told_before_anything_is_begun(monkeypatch):
    monkeypatch.setattr(global_config, "CHAMPION_TAG", "-champion")
    monkeypatch.setattr(sys, "argv", ["pipeline.py", "--local"])
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)  # main() sets another
    told = "global_config.py: CHAMPION_TAG cannot be '-champion'"
    with pytest.raises(UserError, match=told):
        start_task("a task", Task.TaskTypes.training)
    with pytest.raises(UserError, match=told):
        pipeline.main()
