"""The demo: how it waits, and how it ties the example to the local stack."""

from types import SimpleNamespace
from unittest.mock import Mock

import pytest

from clearml_tools.send_requests import CLASSES, Result, Tally
from demo.running import SHOWN, count_sent, shortened, wait_until
from global_config import CONTROLLER_QUEUE, SERVING_NAME, STEP_QUEUE
from local_stack.errors import ProcessError
from local_stack.settings import Settings
from tests.support.checkouts import REPOSITORY

RUNNING = SimpleNamespace(stack=SimpleNamespace(processes=SimpleNamespace(unexpected_end=lambda: None)))


def test_a_part_that_cannot_answer_now_is_asked_again():
    condition = Mock(side_effect=[OSError("it is starting"), True])
    wait_until(RUNNING, condition, 10, "It never answered")
    assert condition.call_count == 2


def test_a_wait_that_takes_too_long_names_what_is_missing_and_the_last_error():
    condition = Mock(side_effect=OSError("it is starting"))
    with pytest.raises(ProcessError, match=r"^It never answered within 0 s \(it is starting\)\.$"):
        wait_until(RUNNING, condition, 0, "It never answered")


def test_a_process_that_dies_ends_the_wait():
    dead = SimpleNamespace(
        stack=SimpleNamespace(processes=SimpleNamespace(unexpected_end=lambda: "the server died"))
    )
    with pytest.raises(ProcessError, match="the server died"):
        wait_until(dead, lambda: True, 10, "It never answered")


def test_a_command_is_shown_on_one_line_without_most_of_its_id():
    command = f"clearml-serving --id {'0123456789abcdef' * 2} model add --engine xgboost"
    assert shortened(command) == "clearml-serving --id 01234567… model add --engine xgboost"
    shown = shortened(f"{command} --endpoint {'x' * 200}")
    assert shown.endswith("x …")
    assert len(shown) == SHOWN + 2


def test_the_requests_are_counted_by_what_inference_prints_in_the_end():
    tally = Tally()
    for _ in range(557):
        tally.add(Result(CLASSES[0], 0.01))
    progress = "50 requests answered, 0 failed"
    assert count_sent([progress, *tally.table(10).splitlines()]) == 557
    assert count_sent([progress]) == 0


def test_the_local_stack_is_set_to_the_examples_names():
    """pyproject.toml repeats some of global_config.py, as local_stack cannot import it."""
    settings = Settings.load(REPOSITORY)
    assert settings.agent_queues == (STEP_QUEUE,)
    assert settings.controller_queue == CONTROLLER_QUEUE
    assert settings.serving_name == SERVING_NAME
    assert settings.rules.is_file() and settings.dashboard.is_file()
    assert settings.deployment_command == "python -m demo.deployment"
    assert (REPOSITORY / "demo" / "deployment.py").is_file()
