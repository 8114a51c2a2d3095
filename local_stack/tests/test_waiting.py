"""What waits in the tests: it ends, and says what it waited for."""

import sys

import pytest

from local_stack.waiting import Child, run, wait_until

pytestmark = pytest.mark.e2e

SAYS = "import sys, time; print({!r}, flush=True); print('oh', file=sys.stderr, flush=True); time.sleep({})"


def says(text: str, seconds: int = 600) -> list[str]:
    return [sys.executable, "-c", SAYS.format(text, seconds)]


def test_a_wait_without_success_says_for_what_and_shows_the_end_of_the_log(tmp_path):
    log = tmp_path / "log"
    log.write_text("".join(f"line {number}\n" for number in range(100)))
    with pytest.raises(AssertionError) as failure:
        wait_until(lambda: False, "the sun", log, seconds=0.1)
    first, *shown = str(failure.value).splitlines()
    assert first == f"waited 0.1 s without success for the sun. The end of {log}:"
    assert (shown[0], shown[-1]) == ("line 70", "line 99")


def test_a_child_that_ends_without_it_is_reported_at_once():
    with Child(says("no such port", 0)) as child, pytest.raises(AssertionError) as failure:
        child.wait_for("the port is")
    assert "ended without 'the port is'. The end of what was printed:\nno such port\noh" in str(failure.value)


def test_a_child_that_never_prints_it_is_reported_with_what_it_did_print():
    with Child(says("nothing new")) as child:
        child.wait_for("nothing new")
        with pytest.raises(AssertionError, match=r"without success for 'the port' from .*\nnothing new"):
            child.wait_for("the port", seconds=0.1)


def test_a_child_that_does_not_end_is_killed_and_says_where_it_was():
    with Child(says("still here"), apart=True) as child:
        child.wait_for("still here")
        with pytest.raises(AssertionError) as failure:
            child.wait_for_end(seconds=0.1)
    assert "did not end within 0.1 s. The end of what was printed:\nstill here" in str(failure.value)
    assert 'File "<string>", line 1 in <module>' in str(failure.value)


def test_a_command_that_does_not_end_is_reported_with_what_it_printed():
    with pytest.raises(AssertionError, match=r"did not end within 1 s. The end of .*\nhello$"):
        run(["sh", "-c", "echo hello; exec sleep 600"], seconds=1)
