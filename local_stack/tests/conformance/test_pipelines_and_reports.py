"""Pipelines and reports, as the ClearML server has them: runs, steps, and pages of text with charts."""

import pytest

from local_stack.tests.api import refused


def ids(documents: list[dict]) -> list[str]:
    return [document["id"] for document in documents]


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
