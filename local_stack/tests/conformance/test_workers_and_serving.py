"""Workers and serving containers, as the ClearML server has them: listed, counted and measured."""

import time
from datetime import UTC, datetime, timedelta

import pytest

from local_stack.tests.api import refused


def ids(documents: list[dict]) -> list[str]:
    return [document["id"] for document in documents]


# Workers


@pytest.fixture
def listed(api):
    """The ids of the workers that a request finds."""
    return lambda **request: ids(api("workers.get_all", **request)["workers"])


def test_a_worker_is_listed_while_it_is_registered(api, listed):
    assert listed(last_seen=100) == []
    api("workers.register", worker="a worker")
    assert listed(last_seen=100) == ["a worker"]
    api("workers.unregister", worker="a worker")
    assert listed(last_seen=100) == []
    assert refused(api.send("workers.unregister", worker="a worker")) == 1004


def silent_for(store, worker: str, seconds: int) -> None:
    moment = datetime.now(UTC) - timedelta(seconds=seconds)
    store.put("worker", {**store.get("worker", worker), "last_activity_time": moment.isoformat()})


def test_workers_are_counted_by_tag_and_by_when_they_were_seen(api, store):
    for worker in ("first", "second"):
        api("workers.register", worker=worker, system_tags=["marked"])
    api("workers.register", worker="third")

    def count(**request: object) -> int:
        return api("workers.get_count", **request)["count"]

    assert (count(), count(system_tags=["marked"], last_seen=4)) == (3, 2)
    for worker in ("first", "second"):
        silent_for(store, worker, 5)
    assert (count(system_tags=["marked"], last_seen=4), count(system_tags=["marked"])) == (0, 2)


def test_a_worker_that_is_silent_for_its_timeout_is_gone(api, store, listed):
    api("workers.register", worker="a worker", timeout=3)
    assert listed() == ["a worker"]
    silent_for(store, "a worker", 5)
    assert listed() == []


def test_workers_are_searched_by_their_tags(api, listed):
    api("workers.register", worker="a worker", tags=["application"], system_tags=["system"], timeout=5)
    (found,) = api("workers.get_all", tags=["application"], system_tags=["system"])["workers"]
    assert (found["id"], found["tags"], found["system_tags"]) == ("a worker", ["application"], ["system"])
    assert listed(tags=["application", "test"]) == ["a worker"]
    assert listed(tags=["test"]) == []
    assert listed(tags=["-application"]) == []
    assert listed(tags=["application"], system_tags=["-system"]) == []


@pytest.fixture
def reports(api) -> tuple[list[str], int]:
    """Two workers that reported a minute apart, and when the first one began."""
    task = api.new("task")
    api("tasks.started", task=task)
    start = int(time.time())
    moment = start * 1000
    first = {"cpu_usage": [10, 20], "memory_used": 50}
    second = {"cpu_usage": [5], "memory_used": 30}
    for reporting in (("first", "second"), ("first", "second"), ("first",), ("first",)):
        for worker, stats in zip(reporting, (first, second), strict=False):
            run = {"task": task} if worker == "first" else {}
            api("workers.status_report", worker=worker, timestamp=moment, machine_stats=stats, **run)
            moment += 60_000
    return ["first", "second"], start


def test_the_metrics_of_workers_are_listed(api, reports):
    workers, _ = reports
    categories = api("workers.get_metric_keys", worker_ids=workers)["categories"]
    found = {item["name"]: item["metric_keys"] for item in categories}
    assert found == {"cpu": ["cpu_usage"], "memory": ["memory_used"]}
    assert refused(api.send("workers.get_metric_keys", worker_ids=["nobody"])) == 1005


def test_what_workers_measured_is_aggregated(api, reports):
    workers, start = reports
    window = {"from_date": start, "to_date": start + 400, "interval": 1}
    asked = [("cpu_usage", "avg"), ("cpu_usage", "max"), ("memory_used", "max"), ("memory_used", "min")]
    items = [{"key": key, "aggregation": aggregation} for key, aggregation in asked]
    answer = api("workers.get_stats", items=items, **window, worker_ids=workers)["workers"]
    assert {item["worker"] for item in answer} == set(workers)
    for worker in answer:
        found = {m["metric"]: {s["aggregation"] for s in m["stats"]} for m in worker["metrics"]}
        assert found == {"cpu_usage": {"avg", "max"}, "memory_used": {"max", "min"}}
        assert all(10 <= len(metric["dates"]) <= 11 for metric in worker["metrics"])
    split = {**window, "items": items[:1], "split_by_variant": True}
    for worker in api("workers.get_stats", **split, worker_ids=workers)["workers"]:
        variants = {metric["variant"] for metric in worker["metrics"]}
        assert variants == ({"0", "1"} if worker["worker"] == "first" else {"0"})
    assert api("workers.get_stats", **split, worker_ids=["nobody"])["workers"] == []


def test_the_activity_of_workers_is_a_series(api, reports):
    _, start = reports
    window = {"from_date": start, "to_date": start + 400, "interval": 2}
    answer = api("workers.get_activity_report", **window)
    for name in ("total", "active"):
        assert len(answer[name]["dates"]) == len(answer[name]["counts"]) == 10


# Serving


def test_serving_containers_report_and_are_described(api):
    url = "http://test_url"
    reference = [{"type": "app_id", "value": "test"}, {"type": "model", "value": "262829d3"}]
    common = {
        "endpoint_name": "my endpoint", "endpoint_url": url, "model_name": "my model",
        "model_source": "s3//my_bucket", "model_version": "3.1.0", "preprocess_artifact": "some text",
        "input_type": "another text", "input_size": 9_000_000, "tags": ["tag1", "tag2"], "system_tags": None,
    }  # fmt: skip
    containers = [
        {"container_id": "container_1", **common, "reference": reference},
        {"container_id": "container_2", **common},
    ]
    for container in containers:
        api("serving.register_container", **container, timeout=100)
    for number, container in enumerate(containers, 1):
        stats = {"cpu_usage": [10, 20], "memory_used": 50 * 1024}
        counts = {"uptime_sec": 1000, "requests_num": 1000, "requests_min": 5, "latency_ms": 100}
        reported = {key: number * value for key, value in counts.items()}
        api("serving.container_status_report", **container, **reported, machine_stats=stats)

    assert [e["url"] for e in api("serving.get_endpoints")["endpoints"]] == [url]
    details = api("serving.get_endpoint_details", endpoint_url=url)
    assert (details["url"], details["uptime_sec"]) == (url, 2000)
    keys = ("uptime_sec", "requests", "requests_min", "latency_ms", "cpu_count", "gpu_count", "reference")
    instances = {found["id"]: [found[key] for key in keys] for found in details["instances"]}
    assert instances == {
        "container_1": [1000, 1000, 5, 100, 2, 0, reference],
        "container_2": [2000, 2000, 10, 200, 2, 0, []],
    }
    assert api("serving.get_endpoint_details", endpoint_url=url) == details

    end = int(time.time()) + 40
    for metric, title, value in (
        (None, "Number of Requests", 3000),
        ("requests_min", "Requests per Minute", 15),
        ("latency_ms", "Average Latency (ms)", 150),
        ("cpu_count", "CPU Count", 4),
        ("cpu_util", "Average CPU Load (%)", 15),
        ("ram_used", "RAM Used (GB)", 100),
    ):
        request = {"endpoint_url": url, "from_date": end - 100, "to_date": end, "interval": 1}
        chosen = {"metric_type": metric} if metric else {}
        answer = api("serving.get_endpoint_metrics_history", **request, **chosen)
        total = answer["total"]
        assert (answer["computed_interval"], total["title"]) == (40, title)
        assert 1 <= len(total["dates"]) == len(total["values"]) <= 3
        assert value in total["values"]
        assert set(answer["instances"]) == {"container_1", "container_2"}
        for series in answer["instances"].values():
            assert series["dates"] == total["dates"]
            assert len(series["values"]) == len(total["dates"])

    for container in containers:
        api("serving.unregister_container", container_id=container["container_id"])
    assert api("serving.get_endpoints")["endpoints"] == []
    assert refused(api.send("serving.get_endpoint_details", endpoint_url=url)) == 1052
