"""Pipelines on the local server: new runs of them, as the web UI starts and deletes them."""

import uuid

import pytest

from local_stack.tests.api import refused

PROPERTIES = {"properties": {"version": {"section": "properties", "name": "version", "value": "3.2"}}}


@pytest.fixture
def name() -> str:
    """The name of a pipeline that no other test uses."""
    return f"pipeline {uuid.uuid4().hex[:8]}"


@pytest.fixture
def queue(api) -> str:
    return api.new("queue", name=f"queue {uuid.uuid4().hex[:8]}")


@pytest.fixture
def run(api, name) -> dict:
    """The task of a run that has ended."""
    project = api.new("project", name=f"team/.pipelines/{name}", system_tags=["pipeline"])
    arguments = {"Args": {"kept": {"value": "1", "type": "int"}, "changed": {"value": "2"}}}
    task = api.new(
        "task",
        name=name,
        type="controller",
        project=project,
        system_tags=["pipeline"],
        hyperparams={**PROPERTIES, **arguments},
        script={"entry_point": "pipeline.py", "repository": "r"},
    )
    api("tasks.started", task=task)
    api("tasks.completed", task=task)
    return api.get("task", task)


def test_a_new_run_is_the_old_one_with_other_arguments_in_a_queue(api, run, queue, name):
    arguments = [{"name": "changed", "value": "3"}, {"name": "new", "value": 4.5}]
    answer = api("pipelines.start_pipeline", task=run["id"], queue=queue, args=arguments)
    assert answer == {"pipeline": answer["pipeline"], "enqueued": True}
    task = api.get("task", answer["pipeline"])
    assert (task["status"], task["type"], task["project"]) == ("queued", "controller", run["project"])
    assert (task["name"], task["status_message"]) == (f"{name} #2", "Starting pipeline")
    assert task["script"]["entry_point"] == "pipeline.py"
    values = {key: item["value"] for key, item in task["hyperparams"]["Args"].items()}
    assert values == {"kept": "1", "changed": "3", "new": "4.5"}
    assert task["hyperparams"]["properties"] == run["hyperparams"]["properties"]
    assert [entry["task"] for entry in api.get("queue", queue)["entries"]] == [task["id"]]
    assert api.get("task", run["id"])["hyperparams"] == run["hyperparams"]
    third = api("pipelines.start_pipeline", task=task["id"], queue=queue)["pipeline"]
    assert api.get("task", third)["name"] == f"{name} #3"


def test_a_new_run_tells_whether_anybody_listens_to_its_queue(api, run, queue):
    wanted = {"task": run["id"], "queue": queue, "verify_watched_queue": True}
    assert api("pipelines.start_pipeline", **wanted)["queue_watched"] is False
    api("workers.register", worker="listener", queues=[queue])
    assert api("pipelines.start_pipeline", **wanted)["queue_watched"] is True


@pytest.mark.parametrize(
    ("wrong", "subcode"),
    [
        ({"task": "nobody"}, 101),
        ({"queue": "nobody"}, 701),
        ({"queue": None}, 11),
        ({"args": [{"value": "no name"}]}, 11),
        ({"args": [{"name": "a", "value": {}}]}, 20),
        ({"new_project_name": "team", "new_pipeline_name": "a/b"}, 12),
    ],
)
def test_a_new_run_that_makes_no_sense_is_refused_and_leaves_nothing(api, run, queue, wrong, subcode):
    request = {"task": run["id"], "queue": queue, **wrong}
    assert refused(api.send("pipelines.start_pipeline", **request)) == subcode
    assert len(api("tasks.get_all", project=[run["project"]])["tasks"]) == 1


def test_a_run_begins_a_new_pipeline_and_is_told_of_one_that_exists(api, run, queue, name):
    new = {"task": run["id"], "new_project_name": "team", "new_pipeline_name": f"{name} copy"}
    assert api("pipelines.check_new_run", **new) == {}
    answer = api("pipelines.start_pipeline", queue=queue, new_pipeline_version="4.0", **new)
    project = {"id": answer["new_project"]["id"], "name": f"team/.pipelines/{name} copy"}
    assert answer["new_project"] == project
    assert api("pipelines.check_new_run", **new) == {"existing_project": project}
    task = api.get("task", answer["pipeline"])
    assert (task["project"], task["name"]) == (project["id"], f"{name} copy")
    assert task["hyperparams"]["properties"]["version"]["value"] == task["runtime"]["version"] == "4.0"
    assert api.get("project", project["id"])["system_tags"] == ["hidden", "pipeline"]
    same = {"task": run["id"], "new_project_name": "team"}  # without a name, the task's own
    assert api("pipelines.check_new_run", **same)["existing_project"]["id"] == run["project"]
    assert refused(api.send("pipelines.check_new_run", task="nobody", new_project_name="team")) == 101


def test_runs_are_deleted_with_their_steps_but_for_the_last_run(api, run, queue):
    new = [api("pipelines.start_pipeline", task=run["id"], queue=queue)["pipeline"] for _ in range(2)]
    later = api.new("task", project=run["project"], parent=new[0], name="a later run", type="controller")
    step = api.new("task", project=run["project"], parent=new[0], name="a step")
    project = run["project"]
    assert refused(api.send("pipelines.delete_runs", project=project, ids=[run["id"], *new, later])) == 160
    answer = api("pipelines.delete_runs", project=project, ids=[*new, step, "nobody"])
    assert answer["failed"] == []
    assert {item["id"]: item["deleted"] for item in answer["succeeded"]} == dict.fromkeys(new, True)
    assert {task["id"] for task in api("tasks.get_all", project=[project])["tasks"]} == {run["id"], later}
    assert api.get("queue", queue)["entries"] == []
    assert api("pipelines.delete_runs", project=project, ids=["nobody"]) == {"succeeded": [], "failed": []}
    assert refused(api.send("pipelines.delete_runs", project="no project", ids=["nobody"])) == 160
