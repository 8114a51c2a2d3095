"""pipeline.py: the graph of its steps, without a server."""

import sys
from unittest.mock import Mock

import pytest

import pipeline
from clearml_tools import pipeline_steps


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
