"""local_stack.supervision: each part is started again by itself, and nothing waits for it."""

import sys
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from local_stack import supervision
from local_stack.errors import StackError
from local_stack.processes import READY_SECONDS, Processes, is_alive
from local_stack.supervision import PAUSES, Part, Supervisor
from local_stack.waiting import wait_until

pytestmark = pytest.mark.e2e

SLEEP = ["sh", "-c", "echo up; exec sleep 600"]
FAILS = ["sh", "-c", "echo 'bind: address already in use'; echo bye; exit 3"]
WAITS = ["sh", "-c", "read line || exit; echo released; exec sleep 600"]


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    with Processes(tmp_path / "logs") as processes:
        yield processes


@pytest.fixture
def clock(monkeypatch) -> SimpleNamespace:
    """The time that the supervisor sees: it goes on only when a test says so."""
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(supervision, "time", SimpleNamespace(monotonic=lambda: clock.now))
    return clock


def part(name: str, command: list[str] = SLEEP, **options) -> Part:
    return Part(name, command, {"PATH": "/bin:/usr/bin"}, **{"ready": lambda: True, **options})


def supervise(processes: Processes, *parts: Part, **options) -> Supervisor:
    supervisor = Supervisor(processes, **options)
    for each in parts:
        supervisor.start(lambda each=each: each)
    supervisor.poll()
    return supervisor


def kill(processes: Processes, name: str) -> None:
    processes.running[name].kill()
    processes.running[name].wait()


def test_what_was_killed_is_back_at_once_and_nothing_else_is_touched(processes, capsys):
    supervisor = supervise(processes, part("broker"), part("grafana"))
    other = processes.running["grafana"]
    kill(processes, "broker")
    supervisor.poll()
    assert processes.is_running("broker")
    supervisor.poll()
    told = ["broker died: starting it again. It was ended by SIGKILL.", "broker is back."]
    assert capsys.readouterr().out.splitlines() == told
    assert processes.running["grafana"] is other


def test_what_cannot_start_is_tried_after_pauses_that_grow_and_told_of_once(processes, clock, capsys):
    taken, tried = [True], []

    def check() -> None:
        tried.append(clock.now)
        if taken:
            raise StackError("Port 9090 cannot be used: stop what uses it.")

    supervisor = supervise(processes, part("prometheus", check=check), part("broker"))
    kill(processes, "prometheus")
    for second in range(120):
        clock.now = second
        supervisor.poll()
        if second == 60:
            kill(processes, "broker")
    pauses = [later - earlier for earlier, later in pairwise(tried)]
    assert pauses[:8] == [1, 1, 2, 4, 8, 15, 15, 15]  # a look comes once a second here
    assert processes.is_running("broker")
    taken.clear()
    for _ in range(2):
        clock.now += max(PAUSES)
        supervisor.poll()
    assert processes.is_running("prometheus")
    assert capsys.readouterr().out.splitlines() == [
        "prometheus died: starting it again. It was ended by SIGKILL.",
        "prometheus is still down, and is tried again now and then. "
        "Port 9090 cannot be used: stop what uses it.",
        "broker died: starting it again. It was ended by SIGKILL.",
        "broker is back.",
        "prometheus is back.",
    ]


def test_what_ends_by_itself_is_told_of_with_the_line_of_its_log_that_says_why(processes, clock, capsys):
    supervisor = supervise(processes, part("prometheus", FAILS, ready=lambda: False))
    for second in range(40):
        clock.now = second
        if second:
            processes.running["prometheus"].wait()
        supervisor.poll()
    log = processes.log("prometheus").read_text()
    assert 6 <= log.count("bye") <= 8  # after 0, 0, 1, 2, 4, 8 and 15 seconds, noticed late or at once
    (line,) = capsys.readouterr().out.splitlines()
    assert line == ("prometheus died: starting it again. It ended with code 3: bind: address already in use.")


def test_a_long_life_begins_the_row_of_pauses_anew(processes, clock):
    supervisor = supervise(processes, part("broker"))
    for _ in range(6):
        kill(processes, "broker")
        supervisor.poll()
        assert processes.is_running("broker")
        supervisor.poll()
        clock.now += supervision.STEADY_SECONDS
    for _ in range(3):
        kill(processes, "broker")
        supervisor.poll()
        supervisor.poll()
    assert not processes.is_running("broker")  # three short lives


def test_what_never_becomes_ready_is_ended_and_tried_again(processes, clock, capsys):
    supervisor = supervise(processes, part("broker", ready=lambda: False))
    first = processes.running["broker"]
    clock.now = READY_SECONDS + 1
    supervisor.poll()
    first.wait()
    supervisor.poll()
    assert processes.running["broker"] is not first
    assert "It was not ready within 180 s." in capsys.readouterr().out


def test_what_ignores_the_request_to_end_is_killed_while_nothing_waits_for_it(processes, clock):
    stubborn = ["sh", "-c", "trap '' TERM; echo up; while :; do sleep 0.1; done"]
    supervisor = supervise(processes, part("broker", stubborn, ready=lambda: False))
    first = processes.running["broker"]
    wait_until(lambda: "up" in processes.log("broker").read_text(), "its trap")
    clock.now = READY_SECONDS + 1
    supervisor.poll()
    assert first.poll() is None
    clock.now += supervision.GRACE_SECONDS + 1
    supervisor.poll()
    assert first.wait() == -9


def test_a_follower_begins_anew_when_what_it_reads_from_is_back_and_not_a_word_of_it(
    processes, clock, capsys
):
    supervisor = supervise(
        processes, part("broker"), part("statistics"), followers={"broker": ["statistics"]}
    )
    supervisor.poll()
    processes.running["statistics"].wait()
    supervisor.poll()
    supervisor.poll()
    capsys.readouterr()
    follower = processes.running["statistics"]
    kill(processes, "broker")
    supervisor.poll()
    supervisor.poll()
    follower.wait()
    supervisor.poll()
    assert processes.running["statistics"] is not follower
    assert processes.is_running("statistics")
    assert "statistics" not in capsys.readouterr().out


def released(processes: Processes) -> Callable[[], int]:
    return lambda: processes.log("inference").read_text().count("released")


def test_a_spare_takes_over_and_gets_a_successor(processes):
    supervisor = supervise(processes, part("inference", WAITS, spare=True))
    wait_until(lambda: released(processes)() == 1, "the first one's work")
    supervisor.poll()
    spare = processes.running["inference-spare"]
    kill(processes, "inference")
    supervisor.poll()
    assert processes.running["inference"] is spare
    wait_until(lambda: released(processes)() == 2, "the spare's work")
    for _ in range(2):
        supervisor.poll()
    assert processes.is_running("inference-spare")
    assert processes.running["inference-spare"] is not spare
    assert {"inference", "inference-spare"} == set(supervisor.names())


def test_without_a_spare_the_next_one_begins_by_itself_and_spares_that_die_are_few(processes, clock):
    supervisor = supervise(processes, part("inference", WAITS, spare=True))
    spares = set()
    for second in range(90):
        clock.now = second
        supervisor.poll()
        spares.add(processes.running["inference-spare"].pid)
        kill(processes, "inference-spare")
    assert len(spares) == 3
    kill(processes, "inference")
    supervisor.poll()
    wait_until(lambda: released(processes)() == 2, "the next one's work")


def test_a_spare_is_made_ready_while_a_port_is_taken(processes, clock):
    taken = [True]

    def check() -> None:
        if taken:
            raise StackError("Port 8080 cannot be used")

    supervisor = supervise(processes, part("inference", WAITS, spare=True, check=check))
    for name in ("inference-spare", "inference"):
        kill(processes, name)
    for second in (31, 60):
        clock.now = second
        supervisor.poll()
    spare = processes.running["inference-spare"]
    assert spare.poll() is None
    assert not processes.is_running("inference")
    taken.clear()
    clock.now += max(PAUSES)
    supervisor.poll()
    assert processes.running["inference"] is spare


def test_an_agents_tasks_go_on_when_it_has_died(processes):
    code = f"import subprocess, time; subprocess.Popen({SLEEP}); time.sleep(600)"
    for name, orphans in {"agent": True, "inference": False}.items():
        supervisor = supervise(processes, part(name, [sys.executable, "-c", code], orphans=orphans))
        wait_until(lambda name=name: "up" in processes.log(name).read_text(), "the child's child")
        children = psutil.Process(processes.running[name].pid).children()
        kill(processes, name)
        supervisor.poll()
        assert [is_alive(child) for child in children] == [orphans]
