"""pipeline.py: the graph of its steps, and parameters that somebody edited in a clone; without a server."""

import argparse
import re
import sys
from unittest.mock import Mock

from clearml_tools.errors import UserError

import pytest

import model_training
import pipeline
from clearml_tools import pipeline_steps
from clearml_tools.pipeline_steps import apply_edited_parameters, parse_grid


def made_steps(monkeypatch, *options: str, reachable: bool = True) -> dict[str, dict]:
    """What pipeline.py --local gives ClearML for each step, by the steps' names."""
    monkeypatch.setattr(
        pipeline, "why_unreachable", lambda: None if reachable else "it is in no git checkout"
    )
    for name in ("connect", "uncommitted_edits", "record_edits", "print_outcome_of"):
        monkeypatch.setattr(pipeline, name, Mock(return_value=0))
    monkeypatch.setattr(pipeline_steps, "number_run", Mock())
    monkeypatch.setattr(pipeline_steps, "PipelineController", controller := Mock())
    monkeypatch.setattr(sys, "argv", ["pipeline.py", "--local", *options])
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)  # main() sets another
    assert pipeline.main() == 0
    return {call.args[0]: call.kwargs for call in controller().add_step.call_args_list}


@pytest.mark.parametrize("reused", [True, False])
def test_steps_are_reused_only_where_git_tells_which_code_they_ran(monkeypatch, reused):
    steps = made_steps(monkeypatch, reachable=reused)
    assert steps.pop("select_best_model")["cache_executed_step"] is False
    assert [step["cache_executed_step"] for step in steps.values()] == [reused] * 5


def test_a_table_elsewhere_is_read_in_every_run_as_it_may_have_new_rows(monkeypatch):
    steps = made_steps(monkeypatch, "--csv", "s3://bucket/rows.parquet")
    assert steps["get_data"]["parameter_override"]["Args/csv"] == "s3://bucket/rows.parquet"
    assert steps["get_data"]["cache_executed_step"] is False
    assert steps["preprocess_data"]["cache_executed_step"] is True


@pytest.mark.parametrize("text", ["41 42", "41, 42", "[41, 42]", " [41,42] "])
def test_seeds_that_were_edited_may_be_written_in_many_ways(text):
    arguments = argparse.Namespace(training_seeds=[42, 420], num_boost_round=1000, query_date="")
    edited = {"Args/training_seeds": text, "Args/num_boost_round": "7", "Args/other": "x"}
    apply_edited_parameters(arguments, edited)
    assert vars(arguments) == {"training_seeds": [41, 42], "num_boost_round": 7, "query_date": ""}


def test_options_that_are_to_be_skipped_stay_as_they_are():
    arguments = argparse.Namespace(queue="mine")
    apply_edited_parameters(arguments, {"Args/queue": "theirs"}, skip=["queue"])
    assert arguments.queue == "mine"


@pytest.mark.parametrize(
    ("name", "text"),
    [("training_seeds", "foo"), ("training_seeds", ""), ("training_seeds", "[41.5]"), ("rounds", "many")],
)
def test_a_parameter_that_was_edited_to_nonsense_is_no_reason_to_take_the_default(name, text):
    arguments = argparse.Namespace(training_seeds=[42], rounds=1000)
    with pytest.raises(UserError, match=f"the parameter {name} of this run is .*: give "):
        apply_edited_parameters(arguments, {f"Args/{name}": text})


def test_a_grid_makes_a_training_for_each_combination_and_seed_and_the_first_values_come_first(monkeypatch):
    options = ["--grid", "max-depth=3,2", "eta=0.05,0.10", "--training-seeds", "7", "8"]
    steps = made_steps(monkeypatch, *options)
    names = [f"model_training_{number}" for number in range(8)]
    assert list(steps) == ["get_data", "preprocess_data", *names, "select_best_model"]
    assert steps["select_best_model"]["parents"] == names
    keys = ["Args/max_depth", "Args/eta", "Args/random_state"]
    trained = [tuple(steps[name]["parameter_override"][key] for key in keys) for name in names]
    assert trained == [(depth, eta, seed) for depth in (3, 2) for eta in (0.05, 0.1) for seed in (7, 8)]


def test_without_a_grid_trainings_keep_the_parameters_of_their_script(monkeypatch):
    step = made_steps(monkeypatch)["model_training_0"]
    assert list(step["parameter_override"]) == [
        "Args/dataset_id",
        "Args/random_state",
        "Args/num_boost_round",
    ]


def test_a_grid_may_vary_all_numbers_of_the_training_that_are_xgboosts_own(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["model_training.py"])
    arguments = model_training.parse_arguments()
    theirs = model_training.xgboost_parameters(arguments)
    numbers = {name: type(value) for name, value in vars(arguments).items() if type(value) in (int, float)}
    assert {name: numbers[name] for name in numbers if name in theirs} == pipeline.GRID_PARAMETERS


@pytest.mark.parametrize(
    ("grid", "words"),
    [
        ("depth=2,3", "--grid has the parameter 'depth': choose from eta, max_depth, "),
        ("eta=0.1 eta=0.2", "--grid has 'eta' twice"),
        ("eta=", "--grid has 'eta=': give numbers after '=', such as eta=1,2"),
        ("eta", "--grid has 'eta': give numbers"),
        ("eta=0.1,,0.2", "--grid has 'eta=0.1,,0.2': give numbers"),
        ("eta=fast", "--grid has 'eta=fast': give numbers"),
        ("max_depth=2.5", "--grid has 'max_depth=2.5': give whole numbers after '=', such as max_depth=1,2"),
        ("eta=0.1,0.10", "--grid has 'eta=0.1,0.10': give each value once"),
        ("max_depth=1,2,3,4,5,6 eta=1,2,3 gamma=1,2,3", "--grid has 54 combinations, and 50 are the most"),
    ],
)
def test_a_grid_that_cannot_be_tried_is_refused_before_there_is_a_task(monkeypatch, grid, words):
    monkeypatch.setattr(pipeline, "connect", connect := Mock())
    monkeypatch.setattr(sys, "argv", ["pipeline.py", "--grid", *grid.split()])
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    with pytest.raises(UserError, match=f"^{re.escape(words)}"):
        pipeline.main()
    connect.assert_not_called()


def test_a_grid_of_nothing_is_one_training_as_ever():
    assert parse_grid("", pipeline.GRID_PARAMETERS) == [{}]
