"""`python -m demo`: where it may start, and how it is stopped."""

import signal
import sys

import psutil
import pytest

from local_stack.processes import is_alive
from local_stack.tests.programs import require_programs
from local_stack.waiting import Child, run
from tests.support.checkouts import REPOSITORY

pytestmark = pytest.mark.e2e

COMMAND = [sys.executable, "-m", "demo"]


def test_ctrl_c_leaves_no_process(tmp_path):
    require_programs()
    with Child([*COMMAND, "--home", tmp_path / "home"], apart=True, cwd=REPOSITORY) as process:
        process.wait_for(r"(?m)^\[1/7\]")
        children = psutil.Process(process.pid).children(recursive=True)
        assert len(children) >= 5  # the server, the guardian, three agents
        process.send_signal(signal.SIGINT)
        assert (process.wait_for_end(), str(process.errors)) == (130, "\nStopped.\n")
    assert not [child for child in children if is_alive(child)]


def test_a_folder_of_somebody_elses_files_is_refused_and_stays_as_it_was(tmp_path):
    require_programs()
    (tmp_path / "thesis.txt").write_text("years of work")
    done = run([*COMMAND, "--home", tmp_path], cwd=REPOSITORY)
    assert done.returncode == 1
    assert "holds files that are no local stack's" in done.stderr
    assert [file.name for file in tmp_path.iterdir()] == ["thesis.txt"]


def test_help_is_given_without_starting_anything():
    done = run([*COMMAND, "--help"], cwd=REPOSITORY)
    assert (done.returncode, done.stderr) == (0, "")
    assert "usage: python -m demo" in done.stdout
