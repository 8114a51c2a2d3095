"""local_stack.interrupts: a signal that asks to end is never lost, and waits while things are stopped."""

import os
import signal
import subprocess
import sys
import threading

import pytest

from local_stack import waiting
from local_stack.interrupts import interrupt, uninterrupted
from local_stack.processes import PACKAGE_PARENT
from local_stack.waiting import Child

pytestmark = pytest.mark.e2e


@pytest.fixture
def sigterm():
    """SIGTERM raises KeyboardInterrupt in this process, as SIGINT does."""
    former = signal.signal(signal.SIGTERM, signal.default_int_handler)
    yield signal.SIGTERM
    signal.signal(signal.SIGTERM, former)


DROPPED = """
import signal, sys, time
from local_stack.interrupts import take_signals

class Gone:
    def __del__(self):
        signal.raise_signal(signal.SIGTERM)

take_signals()
try:
    Gone()
    time.sleep(600)
except KeyboardInterrupt:
    print("interrupted")
"""


def test_an_interrupt_that_python_drops_comes_once_more():
    done = run(DROPPED)
    assert (done.stdout, done.stderr, done.returncode) == ("interrupted\n", "", 0)


def test_other_errors_that_python_drops_are_told_of_as_ever():
    done = run(DROPPED.replace("signal.raise_signal(signal.SIGTERM)", "1 / 0").replace("600", "0"))
    assert "Exception ignored in" in done.stderr
    assert "ZeroDivisionError" in done.stderr


def test_an_interrupt_that_nobody_catches_is_one_line_and_the_end_by_that_signal():
    done = run("from local_stack.interrupts import take_signals\ntake_signals()\nraise KeyboardInterrupt")
    assert (done.stderr, done.returncode) == ("\nStopped.\n", -signal.SIGINT)


IMPORTS = """
from local_stack.interrupts import end_at_once
end_at_once()
try:
    print("importing", flush=True)
    import time
    time.sleep(600)
except BaseException:  # as some modules do
    print("swallowed", flush=True)
"""


@pytest.mark.parametrize("name", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_during_imports_it_is_one_line_whatever_they_catch(name):
    with Child([sys.executable, "-c", IMPORTS], cwd=PACKAGE_PARENT, apart=True) as child:
        child.wait_for("importing")
        child.send_signal(name)
        assert child.wait_for_end() == 130
        assert (str(child.printed), str(child.errors)) == ("importing\n", "\nStopped.\n")


def run(code: str) -> subprocess.CompletedProcess:
    return waiting.run([sys.executable, "-c", code], cwd=PACKAGE_PARENT)


@pytest.mark.parametrize("name", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_waits_for_the_end_of_the_block(sigterm, name):
    reached = []
    with pytest.raises(KeyboardInterrupt), uninterrupted():
        os.kill(os.getpid(), name)
        reached.append("the end")
    assert reached == ["the end"]


def test_an_interrupt_that_comes_once_more_waits_as_well():
    former = signal.signal(signal.SIGALRM, interrupt)
    reached = []
    try:
        with pytest.raises(KeyboardInterrupt), uninterrupted():
            signal.raise_signal(signal.SIGALRM)
            reached.append("the end")
    finally:
        signal.signal(signal.SIGALRM, former)
    assert reached == ["the end"]


def test_an_interrupt_on_the_way_to_the_end_is_enough():
    with uninterrupted(already=True):
        os.kill(os.getpid(), signal.SIGINT)


def test_a_signal_that_ends_the_process_at_once_still_does():
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    with uninterrupted():
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_other_threads_are_never_interrupted_and_may_use_it():
    reached = []

    def work() -> None:
        with uninterrupted():
            reached.append("the end")

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert reached == ["the end"]
