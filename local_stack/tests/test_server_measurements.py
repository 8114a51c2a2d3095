"""What workers, queues and serving containers report over time, and the charts of it."""

import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from local_stack.server import measurements
from local_stack.server.errors import ApiError
from local_stack.server.measurements import record_measurement
from local_stack.server.services import answer_call
from local_stack.server.store import Store

STEP = 100  # seconds of an interval
START = int(time.time()) // STEP * STEP - 10 * STEP
CHART = {"from_date": START, "to_date": START + 3 * STEP, "interval": STEP}
DATES = [(START + n * STEP) * 1000 for n in range(3)]


@pytest.fixture
def call(store):
    """Call the API without HTTP."""

    def send(name: str, /, **request: Any) -> dict:
        return answer_call(store, name, request)

    return send


@pytest.fixture
def refusal(store):
    """The subcode with which a call is refused."""

    def subcode(name: str, /, **request: Any) -> int:
        with pytest.raises(ApiError) as error:
            answer_call(store, name, request)
        assert error.value.status == 400
        return error.value.subcode

    return subcode


@pytest.fixture
def report(call):
    """Report the statistics of a worker's machine, so many seconds after the start."""

    def send(seconds: float, worker: str = "a", task: str | None = None, **statistics: Any) -> None:
        at = int((START + seconds) * 1000)
        call("workers.status_report", worker=worker, timestamp=at, task=task, machine_stats=statistics)

    return send


# Workers


def test_statistics_of_workers_are_averaged_over_intervals_and_devices(call, report):
    report(0, cpu_usage=[10, 30], memory_used=7)
    report(99, cpu_usage=[20, 60])
    report(200, cpu_usage=[50, 50])
    report(0, worker="b", cpu_usage=[1])
    items = [{"key": "cpu_usage", "aggregation": how} for how in ("avg", "max", "avg")]
    answer = call("workers.get_stats", items=items, worker_ids=["a"], **CHART)
    (worker,) = answer["workers"]
    (metric,) = worker["metrics"]
    assert (worker["worker"], metric["metric"], metric["dates"]) == ("a", "cpu_usage", DATES)
    assert metric["stats"] == [
        {"aggregation": "avg", "values": [30, 0.0, 50]},
        {"aggregation": "max", "values": [60, 0.0, 50]},
    ]
    everybody = call("workers.get_stats", items=[{"key": "cpu_usage"}], **CHART)["workers"]
    assert sorted(worker["worker"] for worker in everybody) == ["a", "b"]


def test_statistics_of_workers_may_be_split_by_device(call, report):
    report(0, cpu_usage=[10, 30], memory_used=7)
    items = [{"key": "cpu_usage"}, {"key": "memory_used", "aggregation": "min"}, {"key": "disk_read"}]
    (worker,) = call("workers.get_stats", items=items, split_by_variant=True, **CHART)["workers"]
    values = {(each["metric"], each["variant"]): each["stats"][0]["values"] for each in worker["metrics"]}
    assert values == {
        ("cpu_usage", "0"): [10, 0.0, 0.0],
        ("cpu_usage", "1"): [30, 0.0, 0.0],
        ("memory_used", "total"): [7, 0.0, 0.0],
    }


def test_an_interval_that_is_not_over_is_not_shown(call, report):
    report(0, cpu_usage=[1])
    ask = {"items": [{"key": "cpu_usage"}], "from_date": START, "interval": STEP}
    for end, count in ((2.5, 2), (2.95, 3), (2, 2)):
        (worker,) = call("workers.get_stats", to_date=START + end * STEP, **ask)["workers"]
        assert len(worker["metrics"][0]["dates"]) == count


def test_activity_counts_the_workers_and_those_with_a_task(call, report):
    report(0, worker="a", task="t", cpu_usage=[1])
    report(50, worker="a", cpu_usage=[1])
    report(60, worker="b", cpu_usage=[1])
    report(150, worker="b", cpu_usage=[1])
    report(160, worker="idle")
    answer = call("workers.get_activity_report", **CHART)
    assert answer["total"] == {"dates": DATES, "counts": [2, 1, 0]}
    assert answer["active"] == {"dates": DATES, "counts": [1, 0, 0]}


def test_the_names_of_statistics_come_by_the_part_of_the_machine(call, report, refusal):
    assert refusal("workers.get_metric_keys") == 1005
    report(0, cpu_usage=[1], gpu_usage=[2], gpu_memory_free=[3], unknown=4, disk_read=0)
    report(0, worker="b", network_tx=0.5)
    found = {each["name"]: each["metric_keys"] for each in call("workers.get_metric_keys")["categories"]}
    assert found == {"cpu": ["cpu_usage"], "gpu": ["gpu_memory_free", "gpu_usage"], "network": ["network_tx"]}
    of_b = call("workers.get_metric_keys", worker_ids=["b"])["categories"]
    assert of_b == [{"name": "network", "metric_keys": ["network_tx"]}]


@pytest.mark.parametrize(
    "value", ["text", True, None, {}, 1e300, 10**400, [], ["text", None, 1e300, {}], [[1]], -1e300]
)
def test_what_is_no_statistic_is_left_out(call, report, value):
    report(0, cpu_usage=value, memory_used=5)
    items = [{"key": "cpu_usage"}, {"key": "memory_used"}]
    (worker,) = call("workers.get_stats", items=items, **CHART)["workers"]
    values = {each["metric"]: set(each["stats"][0]["values"]) for each in worker["metrics"]}
    assert values.pop("memory_used") == {5, 0.0}
    assert values in ({}, {"cpu_usage": {0}})


@pytest.mark.parametrize(
    ("change", "subcode"),
    [
        ({"to_date": START}, 16),
        ({"from_date": START + 9999}, 16),
        ({"from_date": -1}, 12),
        ({"interval": 0}, 12),
        ({"interval": -5}, 12),
        ({"interval": 2**40}, 12),
        ({"interval": "day"}, 12),
        ({"from_date": "today"}, 20),
        ({"from_date": 0}, 12),
        ({"to_date": 1e300}, 12),
        ({"from_date": None}, 11),
    ],
)
def test_charts_of_wrong_dates_are_refused(refusal, change, subcode):
    request = {**CHART, **change}
    assert refusal("workers.get_activity_report", **request) == subcode
    assert refusal("workers.get_stats", items=[{"key": "cpu_usage"}], **request) == subcode
    assert refusal("serving.get_endpoint_metrics_history", endpoint_url="u", **request) == subcode


def test_statistics_are_asked_for_by_name(refusal):
    assert refusal("workers.get_stats", items=[], **CHART) == 12
    assert refusal("workers.get_stats", items=[{"key": "cpu", "aggregation": "sum"}], **CHART) == 12
    assert refusal("workers.get_stats", items=[{}], **CHART) == 11


def test_old_and_excess_measurements_are_forgotten(store, monkeypatch):
    monkeypatch.setattr(measurements, "MOST_KEPT", 3)

    def kept() -> list[str]:
        return [source for (source,) in store.db.execute("SELECT source FROM measurements ORDER BY seq")]

    long_ago = int(time.time() - measurements.KEPT_SECONDS - 60) * 1000
    for source, timestamp in (("old", long_ago), ("a", 0), ("b", 0)):
        record_measurement(store, "worker", source, {}, timestamp)
    assert kept() == ["a", "b"]
    for source in "cde":
        record_measurement(store, "queue", source, {})
    assert kept() == ["c", "d", "e"]


def test_workers_are_counted_and_found_by_tags_and_by_pattern(call):
    for worker, tags in (("host:gpu0", ["gpu"]), ("host:gpu1", ["gpu", "old"]), ("other:cpu", [])):
        call("workers.register", worker=worker, tags=tags)
    for options, count in (
        ({}, 3),
        ({"tags": ["gpu"]}, 2),
        ({"tags": ["gpu", "-old"]}, 1),
        ({"tags": ["-gpu"]}, 1),
        ({"tags": [""]}, 3),
        ({"worker_pattern": "host:*"}, 2),
        ({"worker_pattern": "host"}, 0),
        ({"worker_pattern": "*gpu?"}, 2),
        ({"worker_pattern": "*a" * 3000}, 0),
        ({"last_seen": 60}, 3),
    ):
        assert call("workers.get_count", **options) == {"count": count}, options
        assert len(call("workers.get_all", **options)["workers"]) == count


def test_a_worker_that_listens_to_an_unknown_queue_is_refused(call, refusal):
    assert refusal("workers.register", worker="a", queues=["nobody"]) == 701
    assert call("workers.get_count") == {"count": 0}


def test_a_worker_shows_the_next_task_of_its_queues(call):
    queue = call("queues.create", name="waiting")["id"]
    task = call("tasks.create", name="a task", type="custom")["id"]
    call("tasks.enqueue", task=task, queue=queue)
    call("workers.register", worker="a", queues=[queue])
    (worker,) = call("workers.get_all")["workers"]
    next_task = {"id": task, "name": "a task"}
    assert worker["queues"] == [{"id": queue, "name": "waiting", "num_tasks": 1, "next_task": next_task}]


# Queues


def record_queue(store: Store, queue: str, seconds: float, length: int, waited: float) -> None:
    at = int((START + seconds) * 1000)
    record_measurement(store, "queue", queue, {"length": length, "waited": waited}, at)


def test_the_history_of_queues_shows_the_longest_waiting_of_each_interval(store, call):
    record_queue(store, "a", -measurements.SHORTEST_INTERVAL, 1, 5.0)
    record_queue(store, "a", 0, 2, 10.0)
    record_queue(store, "a", 10, 1, 20.0)
    record_queue(store, "b", 20, 3, 40.0)
    record_queue(store, "a", 110, 0, 0)
    before = DATES[0] - STEP * 1000
    found = call("queues.get_queue_metrics", queue_ids=["a", "b"], **CHART)["queues"]
    assert found == [
        {
            "queue": "a",
            "dates": [before, DATES[0], DATES[1]],
            "avg_waiting_times": [5.0, 20.0, 0],
            "queue_lengths": [1, 1, 0],
        },
        {"queue": "b", "dates": [DATES[0]], "avg_waiting_times": [40.0], "queue_lengths": [3]},
    ]
    (total,) = call("queues.get_queue_metrics", **CHART)["queues"]
    assert (total["queue"], total["queue_lengths"]) == ("total", [1, 4, 3])
    assert total["avg_waiting_times"] == [5.0, 35.0, 40.0]


def test_queues_are_recorded_when_they_change_when_workers_report_and_on_request(store, call):
    queue = call("queues.create", name="waiting")["id"]
    now = {"from_date": time.time() - 60, "to_date": time.time() + 60, "interval": 1}

    def lengths() -> list[int]:
        rows = store.db.execute("SELECT body FROM measurements WHERE kind = 'queue' ORDER BY seq").fetchall()
        return [json.loads(body)["length"] for (body,) in rows]

    task = call("tasks.create", name="a task", type="custom")["id"]
    call("tasks.enqueue", task=task, queue=queue)
    assert lengths() == [1]
    call("workers.status_report", worker="a", timestamp=0)
    assert lengths() == [1]
    call("tasks.dequeue", task=task)
    assert lengths() == [1, 0]
    call("queues.get_queue_metrics", refresh=True, queue_ids=["another"], **now)
    assert lengths() == [1, 0]
    call("queues.get_queue_metrics", refresh=True, **now)
    assert lengths() == [1, 0, 0]
    store.db.execute("DELETE FROM measurements")
    call("workers.status_report", worker="a", timestamp=0)
    assert lengths() == [0]


# Serving

CONTAINER = {
    "container_id": "one",
    "endpoint_name": "digits",
    "model_name": "cnn",
    "endpoint_url": "http://e",
}


@pytest.fixture
def serve(call):
    def report(container: str = "one", **fields: Any) -> None:
        call("serving.container_status_report", **{**CONTAINER, "container_id": container, **fields})

    return report


def test_a_container_loads_until_it_has_an_address(call):
    register = {**CONTAINER, "endpoint_url": None, "tags": None, "input_size": 224, "input_type": "image"}
    call("serving.register_container", **register)
    assert call("serving.get_endpoints") == {"endpoints": []}
    (loading,) = call("serving.get_loading_instances")["instances"]
    assert 0 <= loading.pop("age_sec") < 60
    assert datetime.fromisoformat(loading.pop("last_update"))
    assert loading == {
        "id": "one", "endpoint": "digits", "model": "cnn", "url": None, "model_source": None,
        "model_version": None, "preprocess_artifact": None, "input_type": "image", "input_size": "224",
        "uptime_sec": None,
    }  # fmt: skip
    call("serving.container_status_report", uptime_sec=3, **CONTAINER)
    assert call("serving.get_loading_instances") == {"instances": []}
    assert [each["endpoint"] for each in call("serving.get_endpoints")["endpoints"]] == ["digits"]


def test_an_endpoint_is_its_containers_together(call, serve):
    serve(uptime_sec=5, requests_num=10, requests_min=1.5, latency_ms=10.9)
    serve("two", uptime_sec=9, requests_num=30, requests_min=2.125, latency_ms=21)
    serve("three", endpoint_url="http://other")
    (endpoint, other) = call("serving.get_endpoints")["endpoints"]
    assert datetime.fromisoformat(endpoint.pop("last_update"))
    assert endpoint == {
        "endpoint": "digits", "model": "cnn", "url": "http://e", "instances": 2, "uptime_sec": 9,
        "requests": 40, "requests_min": 1.81, "latency_ms": 16,
    }  # fmt: skip
    assert (other["requests"], other["latency_ms"], other["uptime_sec"]) == (0, None, None)


def test_the_details_of_an_endpoint_show_each_container(call, serve, refusal):
    reference = [{"type": "task", "value": "t"}, {"type": "url", "value": "u"}]
    serve(
        uptime_sec=5, requests_num=10, latency_ms=7, reference=reference, machine_stats={"cpu_usage": [1, 2]}
    )
    serve("two", uptime_sec=9)
    details = call("serving.get_endpoint_details", endpoint_url="http://e")
    assert (details["endpoint"], details["uptime_sec"], len(details["instances"])) == ("digits", 9, 2)
    instance = details["instances"][0]
    assert datetime.fromisoformat(instance.pop("last_update"))
    assert instance == {
        "id": "one", "uptime_sec": 5, "requests": 10, "requests_min": None, "latency_ms": 7,
        "reference": reference, "cpu_count": 2, "gpu_count": 0,
    }  # fmt: skip
    assert refusal("serving.get_endpoint_details", endpoint_url="http://none") == 1052


def test_a_container_goes_when_it_says_so_or_is_silent_for_too_long(store, call, serve):
    call("serving.register_container", timeout=60, **CONTAINER)
    serve()
    serve("two")
    silent = (datetime.now(UTC) - timedelta(seconds=61)).isoformat()
    for container in store.all("container"):
        store.put("container", {**container, "last_activity_time": silent})
    assert [each["instances"] for each in call("serving.get_endpoints")["endpoints"]] == [1]
    assert [container["id"] for container in store.all("container")] == ["two"]
    for _ in range(2):
        assert call("serving.unregister_container", container_id="two") == {}
    assert call("serving.get_endpoints") == {"endpoints": []}


@pytest.mark.parametrize(
    ("change", "subcode"),
    [
        ({"endpoint_url": None}, 12),
        ({"endpoint_url": ""}, 12),
        ({"model_name": None}, 11),
        ({"container_id": 5}, 20),
        ({"reference": [{"type": "gossip", "value": "v"}]}, 12),
        ({"reference": [{"type": "task"}]}, 11),
        ({"requests_num": -1}, 12),
        ({"requests_num": 10**15}, 12),
        ({"latency_ms": 1e300}, 12),
        ({"requests_min": "many"}, 20),
        ({"machine_stats": []}, 20),
    ],
)
def test_a_container_s_wrong_report_is_refused(store, refusal, change, subcode):
    assert refusal("serving.container_status_report", **{**CONTAINER, **change}) == subcode
    assert store.all("container") == []


def test_a_registration_of_no_time_is_refused(refusal):
    assert refusal("serving.register_container", timeout=0, **CONTAINER) == 12


def record_container(store: Store, container: str, seconds: float, **body: Any) -> None:
    at = int((START + seconds) * 1000)
    record_measurement(store, "container", container, {"endpoint_url": "http://e", **body}, at)


@pytest.fixture
def history(call):
    def read(**options: Any) -> dict:
        return call(
            "serving.get_endpoint_metrics_history", **{**CHART, "endpoint_url": "http://e", **options}
        )

    return read


def test_the_history_of_an_endpoint_counts_its_requests(store, history):
    record_container(store, "one", 0, requests_num=3)
    record_container(store, "one", 50, requests_num=5)
    record_container(store, "two", 60, requests_num=10)
    record_container(store, "one", 250, requests_num=6)
    record_container(store, "other", 0, requests_num=99, endpoint_url="http://other")
    found = history()
    dates = [DATES[0], DATES[2]]
    assert found["computed_interval"] == STEP
    assert found["total"] == {"title": "Number of Requests", "dates": dates, "values": [15, 6]}
    assert found["instances"] == {
        "one": {"title": "one", "dates": dates, "values": [5, 6]},
        "two": {"title": "two", "dates": dates, "values": [10, 0]},
    }
    assert history(instance_charts=False)["instances"] == {}
    nothing = history(endpoint_url="http://none")
    assert nothing["total"] == {"title": "Number of Requests", "dates": [], "values": []}


def test_the_history_of_an_endpoint_adds_machines_up_and_averages_latencies(call, serve, history):
    now = {"from_date": time.time() - 1000, "to_date": time.time() + 1000, "interval": 10**6}
    one = {"cpu_usage": [10, 20, 30], "memory_free": 1024, "memory_used": 3072.0, "network_rx": 2}
    serve(latency_ms=10, requests_min=1.5, machine_stats=one)
    serve("two", latency_ms=30, machine_stats={"cpu_usage": [40], "gpu_usage": [5, 5]})
    # The interval that these are in is not over: look at it from its end.
    now["to_date"] = (time.time() // 10**6 + 1) * 10**6
    expected = {
        "latency_ms": 20, "cpu_util": 30, "cpu_count": 4, "gpu_count": 2, "gpu_util": 2.5,
        "requests_min": 1.5,
        "ram_total": 4, "ram_free": 1, "ram_used": 3, "gpu_ram_total": 0, "network_rx": 2, "network_tx": 0,
    }  # fmt: skip
    for metric_type, value in expected.items():
        total = history(metric_type=metric_type, **now)["total"]
        assert max(total["values"]) == value, metric_type
