"""Queues and workers on the local server: what the agents do, call by call."""

import itertools
from datetime import UTC, datetime, timedelta

import pytest

from local_stack.server.app import create_app
from local_stack.server.errors import ApiError
from local_stack.server.registry import MOST_IDS
from local_stack.server.services import answer_call
from local_stack.tests.api import refused

NAMES = (f"queue {number}" for number in itertools.count())


@pytest.fixture
def queue(api) -> str:
    """A new, empty queue."""
    return api.new("queue", name=next(NAMES))


@pytest.fixture
def tasks(api) -> list[str]:
    """Three drafts."""
    return [api.new("task", name=f"task {n}") for n in range(3)]


@pytest.fixture
def full_queue(api, queue, tasks) -> str:
    """A queue in which the three tasks wait."""
    for task in tasks:
        api("tasks.enqueue", task=task, queue=queue)
    return queue


@pytest.fixture
def waiting(api):
    """The tasks that wait in a queue, in their order."""
    return lambda queue: [entry["task"] for entry in api.get("queue", queue)["entries"]]


# Queues


def test_the_sdk_asks_for_a_queue_by_name_and_falls_back_when_that_is_refused(api, queue):
    name = api.get("queue", queue)["name"]
    assert refused(api.send("queues.get_by_id", queue=name)) == 701
    found = api("queues.get_all", name=f"^{name}$", only_fields=["id"])["queues"]
    assert found == [{"id": queue}]


def test_a_name_is_taken_once_and_has_three_characters(api, queue):
    name = api.get("queue", queue)["name"]
    other = api.new("queue", name=f"{name} other", tags=["t"])
    assert (api.get("queue", other)["tags"], api.get("queue", other)["entries"]) == (["t"], [])
    for wrong, subcode in ((name, 801), ("ab", 12)):
        assert refused(api.send("queues.create", name=wrong)) == subcode
        assert refused(api.send("queues.update", queue=other, name=wrong)) == subcode
    changed = api("queues.update", queue=other, name=f"{name} renamed", tags=["x", "a"], display_name="Shown")
    assert changed == {
        "updated": 1,
        "fields": {"name": f"{name} renamed", "tags": ["a", "x"], "display_name": "Shown"},
    }
    assert api.get("queue", other)["display_name"] == "Shown"


def test_there_is_a_default_queue_from_the_start(api):
    default = api("queues.get_default")
    assert default["name"] == "default"
    assert api.get("queue", default["id"])["system_tags"] == ["default"]


def test_there_is_a_queue_for_services_from_the_start(api):
    (queue,) = api("queues.get_all", name="^services$")["queues"]
    assert (queue["system_tags"], queue["entries"]) == ([], [])


def test_two_default_queues_are_one_too_many(store):
    def code(call: str, **parameters) -> int:
        with pytest.raises(ApiError) as refusal:
            answer_call(store, call, parameters)
        return refusal.value.subcode

    task = answer_call(store, "tasks.create", {"name": "a task", "type": "custom"})["id"]
    assert code("queues.get_default") == code("tasks.enqueue", task=task) == 707
    for name in ("one", "two"):
        answer_call(store, "queues.create", {"name": name, "system_tags": ["default"]})
    assert code("queues.get_default") == code("tasks.enqueue", task=task) == 708


def test_entries_of_a_long_queue_may_be_cut_short(api, full_queue):
    assert len(api("queues.get_by_id", queue=full_queue, max_task_entries=2)["queue"]["entries"]) == 2
    (listed,) = api("queues.get_all", id=[full_queue], max_task_entries=1)["queues"]
    assert len(listed["entries"]) == 1
    assert len(api("queues.get_by_id", queue=full_queue, max_task_entries=0)["queue"]["entries"]) == 3
    assert api("queues.get_num_entries", queue=full_queue) == {"num": 3}


def test_a_queue_that_is_not_empty_is_deleted_by_force_only(api, full_queue, tasks):
    assert refused(api.send("queues.delete", queue=full_queue)) == 702
    assert api("queues.delete", queue=full_queue, force=True) == {"deleted": 1}
    assert refused(api.send("queues.get_by_id", queue=full_queue)) == 701
    for task in tasks:
        document = api.get("task", task)
        assert (document["status"], "queue" in document["execution"]) == ("created", False)
        assert document["status_reason"].endswith("was deleted")


def test_what_is_taken_out_of_a_queue_is_again_what_it_was(api, full_queue, tasks, waiting):
    stopped = api.new("task")
    for call in ("tasks.started", "tasks.stopped"):
        api(call, task=stopped)
    api("tasks.enqueue", task=stopped, queue=full_queue)
    assert api("queues.remove_task", queue=full_queue, task=tasks[0]) == {"removed": 1}
    document = api.get("task", tasks[0])
    assert (document["status"], document["execution"]["queue"]) == ("queued", full_queue)
    options = {"queue": full_queue, "update_task_status": True}
    assert api("queues.remove_task", task=tasks[1], **options) == {"removed": 1}
    assert api.get("task", tasks[1])["status"] == "created"
    assert api("queues.clear_queue", queue=full_queue) == {"removed_tasks": [tasks[2], stopped]}
    assert waiting(full_queue) == []
    assert [api.get("task", task)["status"] for task in (tasks[2], stopped)] == ["created", "stopped"]
    assert api("queues.clear_queue", queue=full_queue) == {"removed_tasks": []}
    assert refused(api.send("queues.clear_queue", queue="nowhere")) == 701


def test_a_dequeued_task_is_again_what_it_was_before_it_was_moved_to_another_queue(api, queue):
    task, other = api.new("task"), api.new("queue", name=next(NAMES))
    for call in ("tasks.started", "tasks.failed"):
        api(call, task=task)
    for name in (queue, other):
        api("tasks.enqueue", task=task, queue=name)
    assert api("tasks.dequeue", task=task)["fields"]["status"] == "failed"
    assert "enqueue_status" not in api.get("task", task)


def test_metadata_is_known_by_its_key(api, queue):
    one, two = ({"key": key, "value": "1", "type": "int"} for key in ("one", "two"))
    api("queues.add_or_update_metadata", queue=queue, metadata=[one, two])
    api("queues.add_or_update_metadata", queue=queue, metadata=[{**one, "value": "2"}])
    api("queues.delete_metadata", queue=queue, keys=["two"])
    assert api.get("queue", queue)["metadata"] == {"one": {**one, "value": "2"}}
    api("queues.update", queue=queue, metadata={"two": two})
    assert api.get("queue", queue)["metadata"] == {"two": two}
    other = api.new("queue", name=next(NAMES), metadata={"one": one})
    assert api.get("queue", other)["metadata"] == {"one": one}


# Tasks in queues


def test_an_enqueued_task_waits_and_holds_the_id_of_its_queue(api, queue, waiting):
    task = api.new("task", system_tags=["development", "x"])
    answer = api("tasks.enqueue", task=task, queue=queue, status_reason="by a test")
    assert (answer["queued"], answer["updated"], answer["fields"]["status"]) == (1, 1, "queued")
    document = api.get("task", task)
    assert (document["status"], document["status_reason"]) == ("queued", "by a test")
    assert (document["execution"]["queue"], document["system_tags"]) == (queue, ["x"])
    assert waiting(queue) == [task]


def test_a_task_may_be_enqueued_by_the_name_of_a_queue_that_is_made_if_need_be(api, tasks, waiting):
    for task in tasks[:2]:
        api("tasks.enqueue", task=task, queue_name="made on the way")
    (queue,) = api("queues.get_all", name="^made on the way$")["queues"]
    assert waiting(queue["id"]) == tasks[:2]


def test_enqueueing_elsewhere_takes_the_task_out_of_the_first_queue(api, full_queue, tasks, waiting):
    other = api.new("queue", name=next(NAMES))
    api("tasks.enqueue", task=tasks[1], queue=other)
    left = [tasks[0], tasks[2]]
    assert waiting(full_queue) == left
    assert waiting(other) == [tasks[1]]
    assert api.get("task", tasks[1])["execution"]["queue"] == other


def test_a_task_that_cannot_wait_is_refused_and_nothing_changes(api, queue, waiting, tasks):
    running, draft, queued = tasks
    api("tasks.started", task=running)
    api("tasks.enqueue", task=queued, queue=queue)
    refusals = ((running, queue, 110), (draft, "nowhere", 701), (queued, queue, 706))
    for task, wanted, subcode in refusals:
        assert refused(api.send("tasks.enqueue", task=task, queue=wanted)) == subcode
    both = {"queue": queue, "queue_name": "other"}
    keeping = {"queue": queue, "update_execution_queue": False}
    for task, options in (
        (draft, both),
        (draft, keeping),
        (queued, {**keeping, "verify_watched_queue": True}),
    ):
        assert refused(api.send("tasks.enqueue", task=task, **options)) == 12
    assert waiting(queue) == [queued]
    assert api.get("task", running)["status"] == "in_progress"


def test_a_task_waits_in_the_default_queue_if_the_call_names_none(api, tasks, waiting):
    default = api("queues.get_default")["id"]
    assert api("tasks.enqueue", task=tasks[0])["fields"]["execution.queue"] == default
    assert waiting(default) == [tasks[0]]
    api("tasks.dequeue", task=tasks[0])


def test_a_task_that_waits_elsewhere_may_still_belong_to_its_own_queue(api, full_queue, tasks, waiting):
    pending = api.new("queue", name=next(NAMES))
    api("tasks.enqueue", task=tasks[0], queue=pending, update_execution_queue=False)
    assert (waiting(pending), waiting(full_queue)) == ([tasks[0]], tasks[1:])
    assert api.get("task", tasks[0])["execution"]["queue"] == full_queue


def test_a_dequeued_task_is_a_draft_again_or_runs_and_keeps_its_queue(api, full_queue, tasks, waiting):
    answer = api("tasks.dequeue", task=tasks[1])
    assert (answer["dequeued"], answer["updated"]) == (1, 1)
    left = [tasks[0], tasks[2]]
    assert waiting(full_queue) == left
    assert api.get("task", tasks[1])["status"] == "created"
    api("tasks.dequeue", task=tasks[0], new_status="in_progress")
    document = api.get("task", tasks[0])
    assert (document["status"], document["execution"]["queue"]) == ("in_progress", full_queue)


def test_the_place_in_a_queue_can_be_changed(api, full_queue, tasks, waiting):
    first, second, third = tasks
    moves = [
        ("queues.move_task_to_back", first, {}, 2, [second, third, first]),
        ("queues.move_task_to_front", third, {}, 0, [third, second, first]),
        ("queues.move_task_forward", first, {}, 1, [third, first, second]),
        ("queues.move_task_backward", third, {"count": 2}, 2, [first, second, third]),
        ("queues.move_task_backward", second, {"count": 9}, 2, [first, third, second]),
        ("queues.move_task_forward", second, {"count": 9}, 0, [second, first, third]),
        ("queues.move_task_backward", third, {"count": -2}, 0, [third, second, first]),
        ("queues.move_task_backward", third, {"count": 0}, 0, [third, second, first]),
    ]
    for move, task, options, position, order in moves:
        assert api(move, queue=full_queue, task=task, **options) == {"position": position}
        assert waiting(full_queue) == order
    assert refused(api.send("queues.move_task_to_back", queue=full_queue, task="nobody")) == 703


def test_tasks_are_put_in_and_taken_out_by_hand(api, queue, tasks, waiting):
    assert api("queues.add_task", queue=queue, task=tasks[0]) == {"added": 1}
    assert refused(api.send("queues.add_task", queue=queue, task=tasks[0])) == 706
    assert refused(api.send("queues.add_task", queue=queue, task="nobody")) == 101
    assert api("queues.peek_task", queue=queue) == {"task": tasks[0]}
    assert waiting(queue) == [tasks[0]]
    assert api.get("task", tasks[0])["execution"]["queue"] == queue
    other = api.new("queue", name=next(NAMES))
    api("queues.add_task", queue=other, task=tasks[0], update_execution_queue=False)
    assert (waiting(other), api.get("task", tasks[0])["execution"]["queue"]) == ([tasks[0]], queue)
    assert api("queues.remove_task", queue=queue, task=tasks[0]) == {"removed": 1}
    assert refused(api.send("queues.remove_task", queue=queue, task=tasks[0])) == 703
    assert api("queues.peek_task", queue=queue) == {"task": None}


# Agents


def test_tasks_are_given_in_their_order_each_once(api, full_queue, tasks, waiting):
    answers = [api("queues.get_next_task", queue=full_queue, get_task_info=True) for _ in tasks]
    assert [answer["entry"]["task"] for answer in answers] == tasks
    for answer in answers:
        assert answer["entry"]["added"]
        assert answer["task_info"] == {"company": "local", "user": "local_user"}
    assert api("queues.get_next_task", queue=full_queue, get_task_info=True) == {}


def test_a_certain_task_is_given_only_when_it_is_next(api, full_queue, tasks, waiting):
    assert api("queues.get_next_task", queue=full_queue, task=tasks[1]) == {}
    assert api("queues.get_next_task", queue=full_queue, task=tasks[0])["entry"]["task"] == tasks[0]
    assert waiting(full_queue) == tasks[1:]


def test_a_task_that_an_earlier_agent_stopped_while_it_waited_is_given_as_queued(api, full_queue, tasks):
    api("tasks.stopped", task=tasks[0])
    assert api("queues.get_next_task", queue=full_queue)["entry"]["task"] == tasks[0]
    assert api.get("task", tasks[0])["status"] == "queued"


def test_a_task_goes_from_the_queue_through_an_agent_to_its_end(api, full_queue, tasks):
    """The agent's own calls, in its order and its versions of the API."""
    api("workers.register", version="v2.5", worker="agent:1", queues=[full_queue], timeout=600)
    task = api("queues.get_next_task", version="v2.14", queue=full_queue, get_task_info=True)["entry"]["task"]
    for _ in range(2):
        api("tasks.started", version="v2.5", task=task, status_reason="launch of worker_id", force=True)
    api("tasks.dequeue", version="v2.15", task=task, new_status="in_progress")
    api("workers.status_report", version="v2.5", worker="agent:1", task=task, queue=full_queue, timestamp=1)
    document = api.get("task", task)
    assert (document["status"], document["last_worker"]) == ("in_progress", "agent:1")
    assert document["execution"]["queue"] == full_queue
    assert document["started"] <= document["last_worker_report"]
    api("tasks.completed", task=task)
    api("workers.unregister", worker="agent:1")
    assert api.get("task", task)["status"] == "completed"


# Workers


@pytest.fixture
def listed(api):
    """A worker as the list of workers shows it, or None."""

    def find(worker: str, **conditions) -> dict | None:
        return next((w for w in api("workers.get_all", **conditions)["workers"] if w["id"] == worker), None)

    return find


def test_a_worker_is_listed_from_registering_until_unregistering(api, queue, listed):
    api("workers.register", worker="host:gpu0", queues=[queue], tags=["gpu"])
    worker = listed("host:gpu0")
    assert (worker["ip"], worker["tags"], worker["user"]["id"]) == ("127.0.0.1", ["gpu"], "local_user")
    assert [(q["id"], q["num_tasks"]) for q in worker["queues"]] == [(queue, 0)]
    assert worker["register_time"] <= worker["last_activity_time"]
    assert "task" not in worker
    api("workers.unregister", worker="host:gpu0")
    assert listed("host:gpu0") is None
    assert refused(api.send("workers.unregister", worker="host:gpu0")) == 1004


def test_a_worker_that_reports_without_registering_is_listed_with_what_it_runs(api, queue, listed):
    project = api.new("project", name="worked on")
    task = api.new("task", project=project)
    api("tasks.started", task=task)
    report = {"worker": "sdk:1", "task": task, "queue": queue, "queues": [queue]}
    api("workers.status_report", machine_stats={"cpu_usage": [1.5]}, timestamp=0, **report)
    worker = listed("sdk:1")
    assert worker["task"].pop("running_time") >= 0
    assert worker["task"] == {"id": task, "name": "a task", "last_iteration": 0}
    assert (worker["queue"]["id"], worker["project"]["id"]) == (queue, project)
    api("workers.status_report", worker="sdk:1", timestamp=1)
    assert "task" not in listed("sdk:1")
    api("workers.unregister", worker="sdk:1")


def test_a_worker_that_is_silent_for_too_long_is_gone_until_it_is_heard_of_again(store):
    def listed() -> list[str]:
        return [worker["id"] for worker in answer_call(store, "workers.get_all", {})["workers"]]

    answer_call(store, "workers.register", {"worker": "brief", "timeout": 60})
    last_heard_of = (datetime.now(UTC) - timedelta(seconds=61)).isoformat()
    for worker in store.all("worker"):
        store.put("worker", {**worker, "last_activity_time": last_heard_of})
    assert listed() == []
    answer_call(store, "workers.status_report", {"worker": "brief", "timestamp": 0})
    assert listed() == ["brief"]


def test_workers_are_found_by_tag_and_by_when_they_were_seen(api, listed):
    api("workers.register", worker="tagged", tags=["a", "b"])
    assert listed("tagged", tags=["b"])
    assert listed("tagged", tags=["c"]) is None
    assert listed("tagged", last_seen=60)
    api("workers.register", worker="not shown", system_tags=["hidden"])
    assert listed("not shown") is None


def test_a_queue_is_watched_while_a_worker_listens_to_it(api, queue, tasks):
    def watched(task: str) -> bool:
        return api("tasks.enqueue", task=task, queue=queue, verify_watched_queue=True)["queue_watched"]

    assert watched(tasks[0]) is False
    api("workers.register", worker="watcher", queues=[queue])
    assert watched(tasks[1]) is True
    api("workers.unregister", worker="watcher")
    assert watched(tasks[2]) is False


def test_what_belongs_to_a_deleted_queue_or_task_is_left_out(api, queue, tasks, listed):
    api("workers.register", worker="lonely", queues=[queue])
    api("workers.status_report", worker="lonely", task=tasks[0], queue=queue, timestamp=0)
    api("queues.delete", queue=queue)
    api("tasks.delete", task=tasks[0])
    worker = listed("lonely")
    assert worker["queues"] == []
    assert worker.keys().isdisjoint({"task", "queue"})


def test_the_workers_of_an_earlier_run_of_the_server_are_forgotten(store, api):
    answer_call(store, "workers.register", {"worker": "agent", "queues": []})
    assert len(answer_call(store, "workers.get_all", {})["workers"]) == 1
    create_app(store, api.credentials, files=None)
    assert answer_call(store, "workers.get_all", {})["workers"] == []


# Many at once


def test_a_queue_is_written_once_however_many_tasks_a_call_puts_into_it(store):
    queue = answer_call(store, "queues.create", {"name": "queue"})["id"]
    draft = {"name": "task", "type": "training"}
    tasks = [answer_call(store, "tasks.create", draft)["id"] for _ in range(5)]
    for call, waiting in (("tasks.enqueue_many", tasks), ("tasks.archive_many", [])):
        statements: list[str] = []
        store.db.set_trace_callback(statements.append)
        answer_call(store, call, {"ids": tasks, "queue": queue})
        assert sum("INTO documents" in each and "'queue'" in each for each in statements) == 1
        assert [entry["task"] for entry in store.get_required("queue", queue)["entries"]] == waiting
        store.db.set_trace_callback(None)


@pytest.mark.parametrize("call", ["tasks.archive_many", "models.delete_many"])
def test_more_ids_than_one_call_may_name_are_refused(api, call):
    answer = api.send(call, ids=["nobody"] * (MOST_IDS + 1))
    assert refused(answer) == 16
    assert f"more than {MOST_IDS} items" in answer.text
    assert len(api(call, ids=["nobody"] * MOST_IDS)["failed"]) == MOST_IDS


# Public tasks


def test_no_agent_gets_a_public_task_until_it_is_private(api, full_queue, tasks, waiting):
    api("tasks.make_public", ids=tasks[:1])
    assert api("queues.get_next_task", queue=full_queue, task=tasks[0]) == {}
    assert api("queues.get_next_task", queue=full_queue)["entry"]["task"] == tasks[1]
    left = [tasks[0], tasks[2]]
    assert waiting(full_queue) == left
    api("tasks.make_private", ids=tasks[:1])
    assert [api("queues.get_next_task", queue=full_queue)["entry"]["task"] for _ in "12"] == left
    assert api("queues.get_next_task", queue=full_queue) == {}


@pytest.mark.parametrize(("call", "options"), [("clear_queue", {}), ("delete", {"force": True})])
def test_a_queue_is_emptied_and_its_public_tasks_stay_as_they_are(api, full_queue, tasks, call, options):
    api("tasks.make_public", ids=tasks[:1])
    before = api.get("task", tasks[0])
    answer = api(f"queues.{call}", queue=full_queue, **options)
    assert answer.get("removed_tasks", tasks[1:]) == tasks[1:]
    assert api.get("task", tasks[0]) == before
    assert [api.get("task", task)["status"] for task in tasks] == ["queued", "created", "created"]
    api("tasks.make_private", ids=tasks[:1])
    assert api("tasks.dequeue", task=tasks[0])["fields"]["status"] == "created"
