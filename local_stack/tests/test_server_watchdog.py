"""The local server's watchdog: a running task that falls silent is taken for dead, and no other one is."""

import asyncio
import itertools
import logging
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest

from local_stack.server import watchdog
from local_stack.server.services import answer_call
from local_stack.server.store import Store
from local_stack.stack import Stack
from local_stack.tests.api import Api
from local_stack.waiting import wait_until

STATES = {
    "created": [],
    "queued": [("tasks.enqueue", {"queue_name": "waiting"})],
    "in_progress": [("tasks.started", {})],
    "completed": [("tasks.started", {}), ("tasks.completed", {})],
    "published": [("tasks.started", {}), ("tasks.completed", {}), ("tasks.publish", {})],
}


@pytest.fixture
def tasks(store) -> dict[str, str]:
    """A task in each state."""
    made = {}
    for state, calls in STATES.items():
        made[state] = answer_call(store, "tasks.create", {"name": f"a {state} task", "type": "custom"})["id"]
        for name, parameters in calls:
            answer_call(store, name, {"task": made[state], **parameters})
    return made


def test_only_running_tasks_are_stopped_and_say_why_in_the_words_of_clearml(store, tasks):
    soon = datetime.now(UTC) + timedelta(seconds=1)
    assert watchdog.stop_silent_tasks(store, soon) == [tasks["in_progress"]]
    states = {state: store.get("task", task)["status"] for state, task in tasks.items()}
    assert states == {state: state for state in STATES} | {"in_progress": "stopped"}
    stopped = store.get("task", tasks["in_progress"])
    assert stopped["status_reason"] == stopped["status_message"] == "Forced stop (non-responsive)"
    assert stopped["started"] <= stopped["completed"]


def test_a_task_that_was_heard_of_goes_on(store, tasks):
    assert watchdog.stop_silent_tasks(store, datetime.now(UTC) - timedelta(seconds=5)) == []
    assert store.get("task", tasks["in_progress"])["status"] == "in_progress"


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("tasks.ping", {}),
        ("tasks.started", {}),
        ("tasks.edit", {"runtime": {"x": 1}, "force": True}),
        ("tasks.add_or_update_artifacts", {"artifacts": [{"key": "a", "type": "custom"}]}),
        ("events.add", {"type": "log", "msg": "hello"}),
        ("workers.status_report", {"worker": "agent", "timestamp": 0}),
    ],
)
def test_whatever_is_heard_of_a_task_keeps_it_alive(store, tasks, name, parameters):
    fell_silent = datetime.now(UTC)
    answer_call(store, name, {"task": tasks["in_progress"], **parameters})
    assert watchdog.stop_silent_tasks(store, fell_silent) == []


def test_a_look_that_fails_is_not_the_last_one(store, tasks, monkeypatch, caplog):
    looks = itertools.count(1)

    def look(store: Store, since: datetime) -> list[str]:
        if next(looks) == 1:
            raise OSError("no space left")
        raise asyncio.CancelledError

    monkeypatch.setattr(watchdog, "stop_silent_tasks", look)
    with suppress(asyncio.CancelledError):
        asyncio.run(asyncio.wait_for(watchdog.watch(store, 0.01), timeout=60))
    assert next(looks) == 3
    assert "no space left" in caplog.text


def test_a_machine_that_slept_gives_clients_their_full_time_again(store, tasks, monkeypatch, caplog):
    """The clock jumps by an hour in the middle of a pause: no task is stopped for its silence then."""
    caplog.set_level(logging.INFO)
    clock = {"now": datetime.now(UTC), "looks": 0}

    class Clock(datetime):
        @classmethod
        def now(cls, tz=None):
            return clock["now"]

    async def sleep(seconds: float) -> None:
        clock["looks"] += 1
        clock["now"] += timedelta(hours=1) if clock["looks"] == 3 else timedelta(seconds=seconds)
        if clock["looks"] > 11:
            raise asyncio.CancelledError

    monkeypatch.setattr(watchdog, "datetime", Clock)
    monkeypatch.setattr(watchdog.asyncio, "sleep", sleep)
    with suppress(asyncio.CancelledError):
        asyncio.run(watchdog.watch(store, 100))
    assert store.get("task", tasks["in_progress"])["status"] == "in_progress"


@pytest.mark.e2e
def test_a_server_stops_silent_tasks_and_spares_those_that_ping(tmp_path):
    with Stack(tmp_path / "home", port=0, task_timeout=5) as stack:
        api = Api.of(stack)
        silent, alive = api.new("task"), api.new("task")
        for task in (silent, alive):
            api("tasks.started", task=task)

        def is_stopped() -> bool:
            api("tasks.ping", task=alive)
            return api.get("task", silent)["status"] != "in_progress"

        log = stack.processes.log("server")
        wait_until(is_stopped, "the end of the silent task", log)
        assert [api.get("task", task)["status"] for task in (silent, alive)] == ["stopped", "in_progress"]
        assert f"stopped task {silent}" in log.read_text()
