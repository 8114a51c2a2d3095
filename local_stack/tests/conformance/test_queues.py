"""Queues, as the ClearML server has them."""

import time

import pytest

from local_stack.tests.api import refused


@pytest.fixture
def queue(api) -> str:
    return api.new("queue", name="waiting")


def enqueued(api, queue: str, *names: str) -> list[str]:
    tasks = [api.new("task", name=name) for name in names]
    for task in tasks:
        api("tasks.enqueue", task=task, queue=queue)
    return tasks


def entries(queue: dict) -> list[str]:
    return [entry["task"] for entry in queue["entries"]]


def waiting(api, queue: str) -> list[str]:
    return entries(api.get("queue", queue))


def status(api, task: str) -> str:
    return api.get("task", task)["status"]


def test_a_default_queue_and_one_for_services_exist(api):
    assert api("queues.get_default")["id"]
    assert {"default", "services"} <= {queue["name"] for queue in api("queues.get_all")["queues"]}


def test_an_update_answers_what_changed(api):
    queue = api.new("queue", name="tagged", tags=["hello", "world"])
    answer = api("queues.update", queue=queue, tags=["test"])
    assert (answer["updated"], answer["fields"]["tags"]) == (1, ["test"])


def test_the_default_queue_is_the_one_with_the_tag(api):
    (tagged,) = api("queues.get_all", system_tags=["default"])["queues"]
    assert api("queues.get_default")["id"] == tagged["id"]
    api("queues.update", queue=tagged["id"], system_tags=[])
    assert refused(api.send("queues.get_default")) == 707
    other = api.new("queue", name="another", system_tags=["default"])
    assert api("queues.get_default")["id"] == other


def test_hidden_queues_are_found_by_name_and_id_alone(api):
    hidden = api.new("queue", name="hidden queue", system_tags=["k8s-glue"])
    shown = api.new("queue", name="shown queue")

    def found(**request: object) -> set[str]:
        return {queue["id"] for queue in api("queues.get_all_ex", **request)["queues"]}

    assert shown in found() and hidden not in found()
    assert {shown, hidden} <= found(search_hidden=True)
    assert found(name="^hidden queue$") == found(id=[hidden]) == {hidden}


def test_a_reset_takes_a_task_out_of_its_queue(api, queue):
    (task,) = enqueued(api, queue, "a task")
    assert waiting(api, queue) == [task]
    assert api("tasks.reset", task=task)["dequeued"]["removed"] == 1
    assert waiting(api, queue) == []


def test_a_task_in_development_loses_that_tag_in_a_queue(api, queue):
    task = api.new("task", system_tags=["development"])
    api("tasks.enqueue", task=task, queue=queue)
    assert waiting(api, queue) == [task]
    assert api.get("task", task)["system_tags"] == []
    api("tasks.dequeue", task=task, new_status="published")
    assert status(api, task) == "published"


def test_a_task_that_is_queued_nowhere_is_dequeued(api):
    task = api.new("task")
    api("tasks.edit", task=task, status="queued")
    assert status(api, task) == "queued"
    api("tasks.dequeue", task=task)
    assert status(api, task) == "created"


def test_a_deleted_queue_gives_its_tasks_back(api, queue):
    (task,) = enqueued(api, queue, "a task")
    assert status(api, task) == "queued"
    assert refused(api.send("queues.delete", queue=queue)) == 702
    api("queues.delete", queue=queue, force=True)
    assert status(api, task) == "created"


def test_tasks_are_taken_out_and_put_in_one_by_one(api, queue):
    other = api.new("queue", name="another")
    first, second = enqueued(api, queue, "first task", "second task")
    assert api("queues.remove_task", queue=queue, task=first)["removed"] == 1
    found = api.get("task", first)
    assert (found["status"], found["execution"]["queue"]) == ("queued", queue)
    assert api("queues.remove_task", queue=queue, task=second, update_task_status=True)["removed"] == 1
    assert status(api, second) == "created"
    assert waiting(api, queue) == []

    assert api("queues.add_task", queue=other, task=first)["added"] == 1
    found = api.get("task", first)
    assert (found["status"], found["execution"]["queue"]) == ("queued", other)
    assert waiting(api, other) == [first]
    assert api("queues.clear_queue", queue=queue)["removed_tasks"] == []
    assert api("queues.clear_queue", queue=other)["removed_tasks"] == [first]
    assert (status(api, first), waiting(api, other)) == ("created", [])


def test_entries_are_counted_shortened_and_described(api, queue):
    tasks = enqueued(api, queue, "first task", "second task", "third task")
    assert api("queues.get_num_entries", queue=queue)["num"] == 3
    assert api("queues.peek_task", queue=queue)["task"] == tasks[0]
    assert waiting(api, queue) == tasks
    for most, expected in (({}, tasks), ({"max_task_entries": 2}, tasks[:2])):
        (found,) = api("queues.get_all", id=[queue], **most)["queues"]
        assert entries(found) == expected
        (found,) = api("queues.get_all_ex", id=[queue], **most)["queues"]
        assert [entry["task"]["id"] for entry in found["entries"]] == expected


def test_tasks_move_within_their_queue_and_stop_at_its_ends(api, queue):
    a, b, c, d = tasks = enqueued(api, queue, "task a", "task b", "task c", "task d")
    moves = [
        ("move_task_to_front", {}, 0, [a, b, c, d]),
        ("move_task_backward", {"count": 2}, 2, [b, c, a, d]),
        ("move_task_backward", {"count": 100}, 3, [b, c, d, a]),
        ("move_task_forward", {"count": 2}, 1, [b, a, c, d]),
        ("move_task_forward", {"count": 100}, 0, [a, b, c, d]),
        ("move_task_to_back", {}, 3, [b, c, d, a]),
        ("move_task_to_front", {}, 0, [a, b, c, d]),
    ]
    for name, request, position, expected in moves:
        assert api(f"queues.{name}", queue=queue, task=a, **request)["position"] == position
        assert waiting(api, queue) == expected
    for task in tasks:
        assert api("queues.get_next_task", queue=queue)["entry"]["task"] == task
    assert api("queues.get_next_task", queue=queue) == {}


def test_a_queue_is_listed_with_its_tasks_and_workers(api):
    queue = api.new("queue", name="TestTempQueue1", display_name="Shown so", tags=["Test1", "Test2"])
    (found,) = api("queues.get_all_ex", name="TestTempQueue*")["queues"]
    assert (found["entries"], found["workers"], found["display_name"]) == ([], [], "Shown so")
    assert found["last_update"] and set(found["tags"]) == {"Test1", "Test2"}

    tasks = enqueued(api, queue, "first task", "second task")
    user = api("users.get_current_user")["user"]
    workers = {}
    for name in ("worker 1", "worker 2"):
        api("workers.register", worker=name, queues=[queue])
        task = api.new("task", name=f"of {name}", type="testing")
        api("tasks.started", task=task)
        stats = {"cpu_usage": [10, 20]}
        api("workers.status_report", worker=name, timestamp=1, machine_stats=stats, task=task)
        key = f"worker_{user['company']['id']}_{user['id']}_{name}"
        run = {"id": task, "name": f"of {name}"}
        workers[name] = {"name": name, "ip": "127.0.0.1", "key": key, "task": run}
    (found,) = api("queues.get_all_ex", name="TestTempQueue*")["queues"]
    assert [entry["task"]["id"] for entry in found["entries"]] == tasks
    assert found["entries"][0]["task"] == {"id": tasks[0], "name": "first task"}
    assert {worker["name"]: worker for worker in found["workers"]} == workers

    fields = ["execution.queue.name", "execution.queue.display_name"]
    (task,) = api("tasks.get_by_id_ex", id=tasks[:1], only_fields=fields)["tasks"]
    assert task["execution"]["queue"]["name"] == "TestTempQueue1"
    assert task["execution"]["queue"]["display_name"] == "Shown so"
    keys = {worker["key"] for worker in workers.values()}
    listed = [worker for worker in api("workers.get_all")["workers"] if worker["key"] in keys]
    assert len(listed) == 2
    assert {worker["queues"][0]["display_name"] for worker in listed} == {"Shown so"}


def test_waiting_times_are_kept_for_charts(api, queue):
    _, second = enqueued(api, queue, "first task", "second task")
    api("queues.get_next_task", queue=queue)
    api("queues.remove_task", queue=queue, task=second)
    now = time.time()
    (series,) = api(
        "queues.get_queue_metrics", queue_ids=[queue], from_date=now - 3600, to_date=now + 1, interval=5
    )["queues"]
    assert series["queue"] == queue
    assert 1 <= len(series["dates"]) <= 2
    assert len(series["avg_waiting_times"]) == len(series["queue_lengths"]) == len(series["dates"])
    assert series["dates"][0] / 1000 > now - 15
