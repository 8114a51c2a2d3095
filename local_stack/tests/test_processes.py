"""local_stack.processes: children are waited for, logged, and never outlive their parent."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from local_stack.errors import ProcessError
from local_stack.processes import MARK, PACKAGE_PARENT, Processes, end, is_alive, marked
from local_stack.waiting import Child, wait_until

pytestmark = pytest.mark.e2e


def python(code: str) -> list[str]:
    """Return the command that runs this code."""
    return [sys.executable, "-c", f"import os, signal, subprocess, sys, time\n{code}"]


SLEEP = python("print('up', flush=True); time.sleep(600)")
IGNORES_TERM = python(f"signal.signal(signal.SIGTERM, signal.SIG_IGN)\n{SLEEP[-1]}")
DETACHES_A_CHILD = python(f"subprocess.Popen({SLEEP}, start_new_session=True)\n{SLEEP[-1]}")


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    return tmp_path / "logs"


def start_and_wait(processes: Processes, name: str, command: list[str]) -> subprocess.Popen:
    return processes.start(name, command, ready=lambda: "up" in processes.log(name).read_text())


def test_leaving_ends_what_a_child_started_and_detached(logs):
    with Processes(logs) as processes:
        start_and_wait(processes, "parent", DETACHES_A_CHILD)
        assert len(marked(processes.mark)) == 2
    assert marked(processes.mark) == []


def test_two_children_of_one_name_are_refused_for_the_first_would_never_be_stopped(logs):
    with Processes(logs) as processes:
        first = start_and_wait(processes, "sleeper", SLEEP)
        with pytest.raises(ValueError, match="a process of the name sleeper is running"):
            processes.spawn("sleeper", SLEEP)
        assert processes.running["sleeper"] is first


def test_a_child_that_ignores_the_request_to_end_is_killed(logs, monkeypatch):
    monkeypatch.setattr("local_stack.processes.GRACE_SECONDS", 0.2)
    with Processes(logs) as processes:
        child = start_and_wait(processes, "stubborn", IGNORES_TERM)
    assert child.returncode == -signal.SIGKILL


def test_all_are_asked_to_end_at_once_and_the_first_one_started_last(logs, monkeypatch):
    monkeypatch.setattr("local_stack.processes.GRACE_SECONDS", 0.2)
    asked = []
    for name, act in {"terminate": psutil.Process.terminate, "kill": psutil.Process.kill}.items():

        def note(process: psutil.Process, name=name, act=act) -> None:
            asked.append("the first" if process.pid == first.pid else name)
            act(process)

        monkeypatch.setattr(psutil.Process, name, note)
    with Processes(logs) as processes:
        first = start_and_wait(processes, "first", SLEEP)
        for number in range(5):
            start_and_wait(processes, f"stubborn {number}", IGNORES_TERM)
    assert asked == ["terminate"] * 5 + ["kill"] * 5 + ["the first"]


def test_the_children_of_a_killed_parent_are_ended(tmp_path):
    code = f"""
from pathlib import Path
from local_stack.processes import Processes
with Processes(Path(sys.argv[1])) as processes:
    processes.spawn("parent", {DETACHES_A_CHILD})
    print(processes.mark, flush=True)
    time.sleep(600)
"""
    with Child([*python(code), tmp_path], cwd=PACKAGE_PARENT) as parent:
        mark = parent.wait_for(r"(\w+)\n")[1]
        wait_until(lambda: len(marked(mark)) == 2, "the child and its child", parent.output)
    wait_until(lambda: marked(mark) == [], "the end of both", parent.output)


def test_a_child_that_ends_before_it_is_ready_is_reported_with_what_this_run_has_in_its_log(logs):
    logs.mkdir()
    (logs / "broker.log").write_text("out of disk space\n")
    fails = python("print('no such broker'); sys.exit(3)")
    with Processes(logs) as processes, pytest.raises(ProcessError) as failure:
        processes.start("broker", fails, ready=lambda: False)
    assert "The broker process ended with code 3 before it was ready" in str(failure.value)
    assert str(failure.value).endswith(f" no such broker (more in {logs / 'broker.log'})")


def test_a_child_that_ends_while_another_process_answers_for_it_is_not_ready(logs):
    with Processes(logs) as processes, pytest.raises(ProcessError, match="ended with code 0 before it was"):
        processes.start("brief", python(""), ready=lambda: processes.running["brief"].wait() == 0)


def test_a_child_that_never_becomes_ready_is_reported_and_ended(logs):
    with pytest.raises(ProcessError, match=r"was not ready within 0 s"), Processes(logs) as processes:
        processes.start("slow", SLEEP, ready=lambda: False, timeout=0.3)
    assert marked(processes.mark) == []


def test_a_child_that_ends_by_itself_is_noticed_unless_somebody_restarts_it(logs):
    with Processes(logs) as processes:
        processes.spawn("brief", python("print('bye')")).wait()
        assert processes.unexpected_end(restarted=["brief"]) is None
        assert "The brief process ended by itself with code 0" in processes.unexpected_end()


def test_what_a_dead_child_left_behind_can_be_ended(logs):
    with Processes(logs) as processes:
        parent = processes.spawn("parent", python(f"subprocess.Popen({SLEEP})"))
        parent.wait()
        (orphan,) = marked(processes.mark)
        other = processes.spawn("other", SLEEP)
        processes.end_group(parent)
        assert not is_alive(orphan)
        assert other.poll() is None


def test_a_dead_process_that_its_parent_has_not_buried_is_not_waited_for(monkeypatch):
    child = subprocess.Popen(SLEEP, stdout=subprocess.DEVNULL)
    began = time.monotonic()
    try:
        monkeypatch.setattr("local_stack.processes.GRACE_SECONDS", 600)
        end([psutil.Process(child.pid)])
        assert time.monotonic() - began < 300  # nobody asks for its exit code before
    finally:
        child.kill()
        child.wait()


def test_a_run_hands_on_its_lines_and_its_exit_code_and_keeps_a_log(logs):
    lines = []
    command = python(f"print('a'); print({MARK!r} in os.environ); sys.exit(4)")
    with Processes(logs) as processes:
        code = processes.run("step", command, env={}, each_line=lines.append)
        assert (code, lines) == (4, ["a", "True"])
        assert processes.unexpected_end() is None
    assert processes.log("step").read_text() == "a\nTrue\n"


def test_a_childs_lines_come_as_it_prints_them(logs, monkeypatch):
    """Whatever the environment says of buffers, and though nothing in the child empties its own."""
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)
    told = python("print('up'); time.sleep(600)")
    with Processes(logs) as processes:
        start_and_wait(processes, "sleeper", told)
        first = []

        def end_it(line: str) -> None:
            first.append(line)
            processes.running["step"].kill()

        processes.run("step", told, env={}, each_line=end_it)
        assert first == ["up"]
