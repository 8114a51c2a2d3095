"""local_stack.queue_watch: tasks that wait where nobody listens are told of, once."""

from types import SimpleNamespace
from urllib.error import URLError

import pytest

from local_stack import queue_watch
from local_stack.queue_watch import POLL_SECONDS, UnheardQueues

SETTINGS = SimpleNamespace(agent_queues=("default",), controller_queue="services")


@pytest.fixture
def clock(monkeypatch) -> SimpleNamespace:
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(queue_watch, "time", SimpleNamespace(monotonic=lambda: clock.now))
    return clock


@pytest.fixture
def server() -> dict[str, list]:
    """What the server knows; a test may change it."""
    return {
        "queues": [
            {"id": "1", "name": "default", "entries": []},
            {"id": "2", "name": "services", "entries": []},
            {"id": "3", "name": "my gpu", "entries": []},
        ],
        "workers": [],
    }


@pytest.fixture
def look(server, clock, capsys):
    """Look as often as is said, and return the lines that were printed."""
    stack = SimpleNamespace(call=lambda name, **_: {name.split(".")[0]: server[name.split(".")[0]]})
    watch = UnheardQueues(stack, SETTINGS)

    def look(times: int = 2) -> list[str]:
        for _ in range(times):
            watch.poll()
            clock.now += POLL_SECONDS
        return capsys.readouterr().out.splitlines()

    return look


def test_a_queue_with_tasks_and_no_agent_is_told_of_once_with_the_remedy(server, look):
    server["queues"][1]["entries"] = [{"task": "a"}]
    assert look(6) == [
        "1 task waits in the queue 'services', and no agent listens to it: start `up` again with --agents 1, "
        "or run `clearml-agent daemon --foreground --queue services` in another terminal."
    ]


def test_a_queue_that_no_agent_of_up_would_listen_to_is_named_in_the_remedy(server, look):
    server["queues"][2]["entries"] = [{"task": "a"}, {"task": "b"}]
    (line,) = look()
    assert line.startswith("2 tasks wait in the queue 'my gpu', and no agent listens to it")
    assert "--agents 1 --agent-queues default 'my gpu', or run" in line
    assert "--queue 'my gpu'`" in line


def test_queues_that_are_empty_or_heard_are_not_told_of(server, look):
    server["queues"][0]["entries"] = [{"task": "a"}]
    server["workers"] = [{"id": "w", "queues": [{"id": "1"}]}, {"id": "idle"}]
    assert look() == []
    server["workers"] = [{"id": "w", "queues": [{"id": "2"}]}]
    assert len(look()) == 1


def test_controllers_behind_others_that_never_end_are_told_of_after_a_minute(server, look):
    server["queues"][1]["entries"] = [{"task": "trigger"}]
    server["workers"] = [{"id": "w", "queues": [{"id": "2"}], "task": {"id": "scheduler"}}]
    assert look(11) == []
    assert look(3) == [
        "1 task waits in the queue 'services', and all its agents are busy, perhaps for good: start `up` "
        "again with --controller-agents 2."
    ]
    server["queues"][0]["entries"] = [{"task": "a"}]  # where tasks end, to wait is usual
    server["workers"].append({"id": "x", "queues": [{"id": "1"}], "task": {"id": "training"}})
    assert look(20) == []


def test_what_waits_at_one_look_alone_is_not_told_of(server, look):
    server["queues"][0]["entries"] = [{"task": "a"}]
    assert look(1) == []
    server["workers"] = [{"id": "w", "queues": [{"id": "1"}]}]
    assert look() == []


def test_a_server_that_does_not_answer_is_no_news(clock, capsys):
    def call(*_: object, **__: object) -> None:
        raise URLError("gone")

    UnheardQueues(SimpleNamespace(call=call), SETTINGS).poll()
    assert capsys.readouterr().out == ""
