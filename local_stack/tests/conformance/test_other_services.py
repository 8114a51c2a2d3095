"""Workers, serving, pipelines, reports, users and the organization, as the ClearML server has them."""

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


# Pipelines


def new_pipeline(api, name: str = "a pipeline") -> tuple[str, str]:
    version = {"section": "properties", "name": "version", "type": "str", "value": "3.2"}
    project = api.new("project", name=name)
    fields = {"type": "controller", "project": project, "system_tags": ["pipeline"]}
    return project, api.new("task", name=name, **fields, hyperparams={"properties": {"version": version}})


def test_steps_share_what_happens_to_their_controller(api):
    project, task = new_pipeline(api)
    steps = [api.new("task", project=project, system_tags=["pipeline"], parent=task) for _ in range(2)]
    everything = [task, *steps]

    def found(**request: object) -> list[dict]:
        return api("tasks.get_all_ex", id=everything, search_hidden=True, **request)["tasks"]

    assert len(found()) == 3
    api("tasks.enqueue_many", ids=[task, steps[0]])
    assert [t["status"] for t in api("tasks.get_all_ex", id=[task, steps[0]])["tasks"]] == ["queued"] * 2
    api("tasks.stop", task=task, include_pipeline_steps=True)
    assert "queued" not in {t["status"] for t in found()}
    api("tasks.archive", tasks=[task], include_pipeline_steps=True)
    assert found(system_tags=["-archived"]) == []
    api("tasks.unarchive_many", ids=[task], include_pipeline_steps=True)
    assert len(found(system_tags=["-archived"])) == 3
    api("tasks.delete", task=task, force=True, include_pipeline_steps=True)
    assert found() == []


def test_a_pipeline_is_started_with_arguments(api):
    project, task = new_pipeline(api)
    queue = api("queues.get_default")["id"]
    arguments = [{"name": "hello", "value": "test"}]
    answer = api("pipelines.start_pipeline", task=task, queue=queue, args=arguments)
    assert answer["enqueued"]
    (run,) = api("tasks.get_all_ex", id=[answer["pipeline"]])["tasks"]
    assert run["name"].startswith("a pipeline")
    assert (run["status"], run["project"]["id"]) == ("queued", project)
    version = {"section": "properties", "name": "version", "type": "str", "value": "3.2"}
    assert run["hyperparams"] == {
        "Args": {"hello": {"section": "Args", "name": "hello", "value": "test"}},
        "properties": {"version": version},
    }


def test_a_started_pipeline_tells_whether_somebody_listens(api):
    queue = api.new("queue", name="for pipelines")
    for name, watched in (("pipeline 1", False), ("pipeline 2", True)):
        _, task = new_pipeline(api, name)
        answer = api("pipelines.start_pipeline", task=task, queue=queue, verify_watched_queue=True)
        assert answer["queue_watched"] == watched
        api("workers.register", worker="a worker", queues=[queue])


def test_all_runs_but_one_may_be_deleted(api):
    project, task = new_pipeline(api)
    queue = api("queues.get_default")["id"]
    runs = [api("pipelines.start_pipeline", task=task, queue=queue)["pipeline"] for _ in range(2)]

    def listed() -> set[str]:
        return set(ids(api("tasks.get_all_ex", project=project)["tasks"]))

    assert listed() == {task, *runs}
    assert refused(api.send("pipelines.delete_runs", project=project, ids=[task, *runs])) == 160
    answer = api("pipelines.delete_runs", project=project, ids=runs)
    assert set(ids(answer["succeeded"])) == set(runs)
    assert listed() == {task}


# Reports


def projects_named(api, name: str, **request: object) -> list[dict]:
    return api("projects.get_all_ex", name=name, allow_public=False, **request)["projects"]


def test_a_report_is_a_hidden_task_of_a_hidden_project(api):
    report = api("reports.create", name="Rep1", comment="My report", tags=["hello"])["id"]

    def read() -> dict:
        return api("tasks.get_all_ex", id=[report])["tasks"][0]

    found = read()
    shown = [found[key] for key in ("name", "comment", "tags", "type")]
    assert shown == ["Rep1", "My report", ["hello"], "report"]
    assert set(found["system_tags"]) == {"hidden", "reports"}
    assert projects_named(api, r"^\.reports$") == []
    (project,) = projects_named(api, r"^\.reports$", search_hidden=True)
    assert (project["id"], set(project["system_tags"])) == (found["project"]["id"], {"hidden", "reports"})
    assert api("reports.get_tags")["tags"] == ["hello"]

    changes = {"comment": "Another", "tags": [], "report_assets": ["file://test.jpg"]}
    assert api("reports.update", task=report, **changes)["updated"] == 1
    assert {key: read()[key] for key in changes} == changes
    assert api("reports.get_tags")["tags"] == []
    api("reports.publish", task=report)
    assert refused(api.send("reports.update", task=report, report="New text")) == 110
    api("reports.update", task=report, name="new name", tags=["test"], comment="A third")
    assert [read()[key] for key in ("name", "tags", "comment")] == ["new name", ["test"], "A third"]


def test_a_moved_report_leaves_no_empty_project_behind(api):
    first, second = (api("reports.create", name=name)["id"] for name in ("Rep1", "Rep2"))
    (old,) = projects_named(api, r"^\.reports$", search_hidden=True)

    def is_there() -> bool:
        return bool(api("projects.get_all_ex", id=old["id"])["projects"])

    new = api("reports.move", task=first, project_name="Reports Test")["project_id"]
    (found,) = api("projects.get_all_ex", id=[new])["projects"]
    assert found["name"] == "Reports Test/.reports"
    assert set(found["system_tags"]) == {"hidden", "reports"}
    assert is_there()
    api("reports.move", task=second, project=new)
    assert not is_there()
    tasks = api("tasks.get_all_ex", project=new, search_hidden=True)["tasks"]
    assert set(ids(tasks)) == {first, second}
    back = api("reports.move", task=second, project=None)["project_id"]
    (found,) = api("projects.get_all_ex", id=[back])["projects"]
    assert (found["name"], found.get("parent")) == (".reports", None)


def test_reports_are_listed_by_project(api):
    root = api("reports.create", name="Rep1")["id"]
    project = api.new("project", name="Test reports")
    inside = api("reports.create", name="Rep2", project=project)["id"]
    for name in (r"^\.reports$", r"^Test reports/\.reports$"):
        request = {"children_type": "report", "include_stats": True, "check_own_contents": True}
        (found,) = projects_named(api, name, search_hidden=True, **request)
        assert found["own_tasks"] == 1

    def listed(**request: object) -> set[str]:
        return set(ids(api("reports.get_all_ex", **request)["tasks"]))

    assert listed() == {root, inside}
    assert listed(project=project) == {inside}
    assert listed(project=[None]) == {root}


def test_reports_are_searched_by_their_text(api):
    report = api("reports.create", name="Rep1")["id"]
    api.new("task", name="hello")
    search = {"_any_": {"pattern": "hello", "fields": ["name", "id", "tags", "report"]}}
    assert api("reports.get_all_ex", **search)["tasks"] == []
    api("reports.update", task=report, report="hello world")
    assert ids(api("reports.get_all_ex", **search)["tasks"]) == [report]


@pytest.mark.parametrize("model_events", [False, True])
def test_a_report_shows_what_tasks_and_models_reported(api, model_events):
    kind = "model" if model_events else "task"
    key = api.new(kind, name="reported on")
    more = {"model_event": True} if model_events else {}
    places = [(f"Metric_{m}", f"Variant_{v}") for m in range(2) for v in range(2)]
    for metric, variant in places:
        common = {"task": key, "worker": "test", "timestamp": 1, "metric": metric, "variant": variant, **more}
        scalar = {**common, "type": "training_stats_scalar", "value": 1}
        api.events(
            {**common, "type": "training_debug_image", "iter": 1, "url": f"{metric}_{variant}"},
            {**common, "type": "plot", "iter": 1, "plot_str": "a plot"},
            {**scalar, "iter": 1},
            {**scalar, "iter": -(2**31)},
        )
    request = {"id": [key], "only_fields": ["name"], "model_events": model_events}
    answer = api("reports.get_task_data", **request)
    assert ids(answer["tasks"]) == [key]
    parts = {"plots", "debug_images", "scalar_metrics_iter_histogram", "single_value_metrics"}
    assert not parts & set(answer)

    answer = api(
        "reports.get_task_data",
        **request,
        debug_images={"metrics": []},
        plots={"metrics": [{"metric": "Metric_1"}]},
        scalar_metrics_iter_histogram={},
        single_value_metrics={},
    )
    (images,) = answer["debug_images"]
    assert (images["task"], [len(page["events"]) for page in images["iterations"]]) == (key, [4])
    (single,) = answer["single_value_metrics"]
    assert (single["task"], single["task_name"]) == (key, "reported on")
    assert sorted((value["metric"], value["variant"]) for value in single["values"]) == places
    for metric, variant in places:
        assert list(answer["scalar_metrics_iter_histogram"][metric][variant]) == [key]
    assert list(answer["plots"]) == ["Metric_1"]
    for variant in ("Variant_0", "Variant_1"):
        ((iteration, shown),) = answer["plots"]["Metric_1"][variant][key].items()
        assert (iteration, shown["name"]) == ("1", "reported on")
        (plot,) = shown["plots"]
        assert [plot[k] for k in ("metric", "variant", "task", "iter")] == ["Metric_1", variant, key, 1]


# Users and the organization


def test_the_owners_of_the_company_are_listed(api):
    company = api("organization.get_user_companies")["companies"][0]
    assert len(company["owners"]) == company["allocated"] == 1
    (owner,) = company["owners"]
    assert owner["id"] and owner["name"] and "avatar" in owner


@pytest.mark.parametrize(
    "steps",
    [
        [
            ({"a": 0}, {"a": 0}),
            ({"b": 1}, {"a": 0, "b": 1}),
            ({"s": {"a": 2}}, {"a": 0, "b": 1, "s": {"a": 2}}),
        ],
        [
            ({"section": {"a": 0, "b": 1}}, {"section": {"a": 0, "b": 1}}),
            ({"section": {"a": None}}, {"section": {"a": None}}),
            ({"section": None}, {"section": None}),
        ],
    ],
)
def test_preferences_are_merged_by_their_first_keys(api, steps):
    assert api("users.get_preferences")["preferences"] == {}
    for update, expected in steps:
        api("users.set_preferences", preferences=update)
        assert api("users.get_preferences")["preferences"] == expected


# Public


@pytest.mark.parametrize(("kind", "subcode"), [("task", 101), ("model", 201), ("project", 401)])
def test_what_is_public_is_read_but_not_changed(api, kind, subcode):
    key = api.new(kind, name="not yet public")
    assert refused(api.send(f"{kind}s.make_private", ids=[key])) == subcode
    assert api(f"{kind}s.make_public", ids=[key])["updated"] == 1
    assert ids(api(f"{kind}s.get_all", id=[key])[f"{kind}s"]) == [key]
    change = {kind: key, "name": "another name"}
    answer = api.send(f"{kind}s.update", **change)
    expected = [400, 201] if kind == "model" else [403, 21]
    meta = answer.json()["meta"]
    assert [meta["result_code"], meta["result_subcode"]] == expected
    assert api(f"{kind}s.make_private", ids=[key])["updated"] == 1
    api(f"{kind}s.update", **change)
