"""`python -m demo`: where it may start, and how it is stopped."""

import re
import signal
import sys
from functools import partial

import psutil
import pytest
import requests

from demo.running import DemoRun
from demo.summary import places
from local_stack.processes import is_alive
from local_stack.stack import Stack
from local_stack.tests.programs import require_programs
from local_stack.waiting import SECONDS, Child, run
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


KEEP = """
import sys
from pathlib import Path
from demo import life
from local_stack.__main__ import run_in_terminal
from local_stack.interrupts import take_signals

take_signals()
life.STEPS = ()
life.summarize = lambda *_: None  # there is nothing to show
sys.exit(run_in_terminal(lambda: life.run_demo(Path(sys.argv[1]), keep=True)))
"""


def test_what_is_kept_goes_on_and_heals_itself_until_ctrl_c_and_then_all_ends(tmp_path):
    require_programs()
    home = tmp_path / "home"
    with Child([sys.executable, "-c", KEEP, home], apart=True, cwd=REPOSITORY) as process:
        process.wait_for("Ctrl-C stops it")
        children = psutil.Process(process.pid).children(recursive=True)
        next(child for child in children if "clearml_agent" in child.cmdline()).kill()
        process.wait_for("agent.* died: starting it again")
        link = re.search(r"Pages: (\S+)", str(process.printed))[1]
        with requests.Session() as browser:
            assert browser.get(link, timeout=SECONDS).status_code == 200
        children = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGINT)
        assert (process.wait_for_end(), str(process.errors)) == (0, "")
    assert not [child for child in children if is_alive(child)]
    assert f"python -m local_stack up --serving --home {home} " in str(process.printed)


@pytest.mark.parametrize(
    ("given", "command"), [([], "-m demo"), (["KEEP=0"], "-m demo"), (["KEEP=1"], "--keep")]
)
def test_make_keeps_it_where_it_is_told_to(given, command):
    done = run(["make", "--no-print-directory", "--dry-run", "demo", *given], cwd=REPOSITORY)
    assert done.stdout.splitlines()[-1].strip().endswith(command)


def test_three_places_to_look_at_are_told_by_their_names(tmp_path):
    with Stack(tmp_path / "home", port=0) as stack:
        run = DemoRun(stack)
        assert [path for _, path in places(run)] == ["/monitoring"]
        new = partial(
            stack.call, "tasks.create", project=stack.call("projects.create", name="a project")["id"]
        )
        controller = new(name="pipeline", type="controller", system_tags=["pipeline"])["id"]
        steps = [new(name=f"seed {n}", type="training", parent=controller)["id"] for n in (1, 2)]
        for task in (controller, *steps):
            stack.call("tasks.started", task=task)
            stack.call("tasks.completed", task=task)
        (pipeline, pipeline_path), (trainings, compare), _ = places(run)
        assert (pipeline, trainings) == ("the newest pipeline", "its trainings, side by side")
        assert compare == f"/compare?id={steps[0]}&id={steps[1]}"
        with requests.Session() as browser:
            browser.get(stack.pages_link(), timeout=SECONDS)
            assert "seed 1" in browser.get(stack.url + compare, timeout=SECONDS).text
            assert "pipeline" in browser.get(stack.url + pipeline_path, timeout=SECONDS).text


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
