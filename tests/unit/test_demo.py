"""demo.life: how the demo waits."""

from types import SimpleNamespace

import pytest

from demo.life import wait_until
from local_stack.processes import ProcessError

RUNNING = SimpleNamespace(stack=SimpleNamespace(processes=SimpleNamespace(unexpected_end=lambda: None)))


def test_a_part_that_cannot_answer_now_is_asked_again():
    asked = []

    def condition() -> bool:
        asked.append(True)
        if len(asked) == 1:
            raise OSError("it is starting")
        return True

    wait_until(RUNNING, condition, 10, "It never answered")
    assert len(asked) == 2


def test_a_wait_that_takes_too_long_names_what_is_missing_and_the_last_error():
    def condition() -> bool:
        raise OSError("it is starting")

    with pytest.raises(ProcessError, match=r"^It never answered within 0 s \(it is starting\)\.$"):
        wait_until(RUNNING, condition, 0, "It never answered")


def test_a_process_that_dies_ends_the_wait():
    dead = SimpleNamespace(
        stack=SimpleNamespace(processes=SimpleNamespace(unexpected_end=lambda: "the server died"))
    )
    with pytest.raises(ProcessError, match="the server died"):
        wait_until(dead, lambda: True, 10, "It never answered")
