"""parameters.py: what somebody typed into the parameters of a clone is taken, or refused by name."""

import argparse

from clearml_tools.errors import UserError

import pytest

from clearml_tools.parameters import apply_edited_parameters


@pytest.mark.parametrize("text", ["41 42", "41, 42", "[41, 42]", " [41,42] "])
def test_seeds_that_were_edited_may_be_written_in_many_ways(text):
    arguments = argparse.Namespace(training_seeds=[42, 420], num_boost_round=1000, query_date="2022-01-01")
    edited = {"Args/training_seeds": text, "Args/num_boost_round": "7", "Args/other": "x"}
    apply_edited_parameters(arguments, edited)
    assert vars(arguments) == {"training_seeds": [41, 42], "num_boost_round": 7, "query_date": "2022-01-01"}


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
