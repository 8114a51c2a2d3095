"""pipeline.py: the graph of its steps, and parameters that somebody edited in a clone; without a server."""

import argparse
import sys
from unittest.mock import Mock

from clearml_tools.errors import UserError

import pytest

import pipeline
from clearml_tools import pipeline_steps
from clearml_tools.pipeline_steps import apply_edited_parameters


@pytest.mark.parametrize("reused", [True, False])
def test_steps_are_reused_only_where_git_tells_which_code_they_ran(monkeypatch, reused):
    monkeypatch.setattr(pipeline, "why_unreachable", lambda: None if reused else "it is in no git checkout")
    for name in ("connect", "uncommitted_edits", "record_edits", "print_outcome_of"):
        monkeypatch.setattr(pipeline, name, Mock(return_value=0))
    monkeypatch.setattr(pipeline_steps, "number_run", Mock())
    monkeypatch.setattr(pipeline_steps, "PipelineController", controller := Mock())
    monkeypatch.setattr(sys, "argv", ["pipeline.py", "--local"])
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)  # main() sets another
    assert pipeline.main() == 0
    steps = {call.args[0]: call.kwargs for call in controller().add_step.call_args_list}
    assert steps.pop("select_best_model")["cache_executed_step"] is False
    assert [step["cache_executed_step"] for step in steps.values()] == [reused] * 5


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
