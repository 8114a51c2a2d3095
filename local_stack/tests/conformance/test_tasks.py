"""Tasks, as the ClearML server has them: made, edited, run, reset, archived and deleted."""

import pytest

from local_stack.tests.api import refused

SCRIPT = {
    "binary": "python", "requirements": {"pip": ["six"]}, "repository": "https://git.example/team/code",
    "entry_point": "train.py", "diff": "+ a line",
}  # fmt: skip


@pytest.fixture
def queue(api) -> str:
    return api.new("queue", name="waiting")


def ids(documents: list[dict]) -> list[str]:
    return [document["id"] for document in documents]


def status(api, task: str) -> str:
    return api.get("task", task)["status"]


# Types


def test_the_types_in_use_are_listed_by_project(api):
    first, second = (api.new("project", name=name) for name in ("first project", "second project"))
    api.new("task", type="controller", project=first)
    api.new("task", type="optimizer", project=second)
    assert refused(api.send("tasks.create", name="a task", type="Unsupported")) == 12
    assert {"controller", "optimizer"} <= set(api("tasks.get_types")["types"])
    assert set(api("tasks.get_types", projects=[first, second])["types"]) == {"controller", "optimizer"}
    assert api("tasks.get_types", projects=[second])["types"] == ["optimizer"]


# Cloned


def test_a_clone_takes_what_is_given_and_keeps_the_rest(api):
    task = api.new(
        "task", script=SCRIPT, tags=["old"], system_tags=["development", "kept"], type="testing",
        execution={"parameters": {"flat": "1"}},
    )  # fmt: skip
    overrides = {"framework": "Caffe", "model_labels": {"cat": 1.0}}
    clone = api(
        "tasks.clone", "v2.12", task=task, new_task_name="another name", new_task_tags=["new"],
        new_task_parent=task, execution_overrides=overrides,
    )["id"]  # fmt: skip
    found = api.get("task", clone, "v2.12")
    assert (found["name"], found["type"], found["tags"], found["status"], found["parent"]) == (
        "another name", "testing", ["new"], "created", task,
    )  # fmt: skip
    assert found["script"] == SCRIPT
    assert found["execution"]["framework"] == "Caffe"
    assert found["execution"]["model_labels"] == {"cat": 1}
    assert found["system_tags"] == ["kept"]


def test_a_clone_may_demand_that_its_models_exist(api):
    model = api.new("model")
    task = api("tasks.create", "v2.12", name="a task", type="testing", execution={"model": model})["id"]
    assert api.get("task", task)["models"]["input"][0]["model"] == model
    api("models.delete", model=model, force=True)
    api("tasks.clone", "v2.12", task=task, new_task_name="without a check")
    assert refused(api.send("tasks.clone", "v2.12", task=task, validate_references=True)) == 201
    missing = {"model": "not existing"}
    assert refused(api.send("tasks.clone", "v2.12", task=task, execution_overrides=missing)) == 201


def test_a_clone_may_go_to_a_new_project(api):
    task = api.new("task")
    answer = api("tasks.clone", task=task, new_project_name="made for the clone")
    assert answer["new_project"]["name"] == "made for the clone"
    assert api.get("task", answer["id"])["project"] == answer["new_project"]["id"]


# Models of a task


@pytest.mark.parametrize("ready", [True, False])
def test_an_old_client_edits_the_input_model(api, ready):
    task, model = api.new("task"), api.new("model", ready=ready)
    api("tasks.edit", "v2.12", task=task, execution={"model": model})
    assert api.get("task", task)["models"]["input"][0]["model"] == model
    assert api.get("task", task, "v2.12")["execution"]["model"] == model


def test_a_reset_deletes_output_models_that_no_task_uses(api):
    task = api.new("task")
    api("tasks.started", task=task)
    model = api("models.update_for_task", task=task, uri="file:///b")["id"]
    api("tasks.reset", task=task)
    assert refused(api.send("models.get_by_id", model=model)) == 201

    api("tasks.started", task=task)
    used = api("models.update_for_task", task=task, uri="file:///b")["id"]
    api("tasks.create", "v2.12", name="a user", type="testing", execution={"model": used})
    api("tasks.reset", task=task)
    assert api.get("model", used)["id"] == used


def models_of(api, task: str, version: str = "v2.23") -> dict[str, list[tuple[str, str]]]:
    """Return the names and ids of a task's models, which all ways to read the task agree on."""
    read = (
        api("tasks.get_all_ex", version, id=task)["tasks"][0],
        api("tasks.get_all", version, id=task)["tasks"][0],
        api.get("task", task, version),
    )
    answers = []
    for found in read:
        answers.append({})
        for kind, models in found["models"].items():
            keys = [m["model"]["id"] if isinstance(m["model"], dict) else m["model"] for m in models]
            answers[-1][kind] = list(zip([m["name"] for m in models], keys, strict=True))
    assert answers[0] == answers[1] == answers[2]
    return answers[0]


def test_models_of_a_task_are_kept_by_their_names(api):
    assert models_of(api, api.new("task")) == {"input": [], "output": []}
    first, second = api.new("model"), api.new("model")
    given = {
        "input": [{"name": "in 1", "model": first}, {"name": "in 2", "model": second}],
        "output": [{"name": "out 1", "model": "id3"}, {"name": "out 2", "model": "id4"}],
    }
    task = api.new("task", models=given)
    inputs, outputs = [("in 1", first), ("in 2", second)], [("out 1", "id3"), ("out 2", "id4")]
    assert models_of(api, task) == {"input": inputs, "output": outputs}

    changed = {"task": task, "name": "in 1", "type": "input", "model": "another"}
    assert api("tasks.add_or_update_model", **changed)["updated"] == 1
    added = {"task": task, "name": "out 3", "type": "output", "model": "id5"}
    assert api("tasks.add_or_update_model", **added)["updated"] == 1
    assert models_of(api, task) == {
        "input": [("in 1", "another"), inputs[1]], "output": [*outputs, ("out 3", "id5")]
    }  # fmt: skip

    api("tasks.edit", task=task, models=given)
    assert models_of(api, task) == {"input": inputs, "output": outputs}
    gone = [("in 1", "input"), ("in 2", "input"), ("out 1", "output"), ("never there", "output")]
    request = [{"name": name, "type": kind} for name, kind in gone]
    assert api("tasks.delete_models", task=task, models=request)["updated"] == 1
    assert models_of(api, task) == {"input": [], "output": outputs[1:]}


# Run


def test_a_running_task_without_a_worker_is_stopped_at_once(api):
    for tags in ([], ["development"]):
        task = api.new("task", system_tags=tags)
        api("tasks.started", task=task)
        assert api("tasks.stop", task=task)["fields"]["status"] == "stopped"


def test_a_task_that_a_worker_runs_is_asked_to_stop(api):
    task = api.new("task")
    api("tasks.started", task=task)
    api("workers.register", worker="worker1")
    api("workers.status_report", worker="worker1", task=task, timestamp=1_700_000_000)
    fields = api("tasks.stop", task=task)["fields"]
    assert (fields["status"], fields["status_message"]) == ("in_progress", "stopping")
    assert status(api, task) == "in_progress"
    # A task in development has no agent that could end it.
    api("tasks.update", task=task, system_tags=["development"])
    api("tasks.stop", task=task)
    assert status(api, task) == "stopped"


def test_a_completed_task_may_be_published_by_the_same_call(api):
    task = api.new("task")
    api("tasks.started", task=task)
    answer = api("tasks.completed", task=task)
    assert (answer["fields"]["status"], answer["updated"], answer["published"]) == ("completed", 1, 0)
    answer = api("tasks.completed", task=task, publish=True)
    assert (answer["fields"]["status"], answer["updated"], answer["published"]) == ("published", 1, 1)


def test_a_stopped_task_may_be_enqueued(api, queue):
    task = api.new("task")
    api("tasks.started", task=task)
    api("tasks.stopped", task=task)
    api("tasks.enqueue", task=task, queue=queue)
    (found,) = api("tasks.get_all_ex", id=task, projection=["*", "execution.*"])["tasks"]
    assert (found["status"], found["execution"]["queue"]["id"]) == ("queued", queue)


# Archived


def test_an_archived_task_leaves_its_queue(api, queue):
    assert not api.send("tasks.archive", tasks=["no such task"]).is_success
    queued, idle = (api.new("task", system_tags=["kept"]) for _ in range(2))
    api("tasks.enqueue", task=queued, queue=queue)
    api("tasks.archive", tasks=[queued, idle], status_message="a message", status_reason="a reason")
    for task in api("tasks.get_all_ex", id=[queued, idle])["tasks"]:
        assert {"kept", "archived"} == set(task["system_tags"])
        assert (task["status_message"], task["status_reason"]) == ("a message", "a reason")
    assert api.get("queue", queue)["entries"] == []
    assert status(api, queued) == "created"


# Deleted and reset


def publish(api, task: str) -> None:
    api("tasks.started", task=task)
    api("tasks.stopped", task=task)
    api("tasks.publish", task=task)


def test_a_draft_is_deleted_without_force(api):
    task = api.new("task")
    answer = api("tasks.delete", task=task, return_file_urls=False)
    assert answer["deleted"] and answer.get("urls") is None
    assert api("tasks.get_all_ex", id=[task])["tasks"] == []


def test_what_is_published_is_deleted_only_by_force(api):
    published = api.new("task")
    publish(api, published)
    assert refused(api.send("tasks.delete", task=published)) == 123
    api("tasks.delete", task=published, force=True)

    parent = api.new("task")
    child = api.new("task", parent=parent)
    publish(api, child)
    assert refused(api.send("tasks.delete", task=parent)) == 123
    assert api("tasks.delete", task=parent, force=True)["updated_children"] == 1
    api("tasks.validate", **api.get("task", child))

    task, model = api.new("task"), api.new("model", ready=True)
    api("models.edit", model=model, task=task, ready=True)
    assert refused(api.send("tasks.delete", task=task)) == 123
    assert api("tasks.delete", task=task, force=True)["updated_models"] == 1


def with_files(api, **fields: str) -> str:
    """Return a task with a published and a draft model, and with an artifact of each mode."""
    task = api.new("task", **fields)
    for uri, ready in (("published", True), ("draft", False)):
        model = api.new("model", uri=uri, ready=ready, **fields)
        api("models.edit", model=model, task=task)
    artifacts = [
        {"key": "a", "type": "str", "uri": "given", "mode": "input"},
        {"key": "b", "type": "int", "uri": "made"},
    ]
    api("tasks.add_or_update_artifacts", task=task, artifacts=artifacts)
    place = {"task": task, "iter": 0, "metric": "m", "variant": "v"}
    api.events({**place, "type": "training_debug_image", "url": "http://files/image"})
    return task


def test_files_of_published_models_and_inputs_are_not_named_for_deletion(api):
    urls = api("tasks.delete", task=api.new("task"), return_file_urls=True)["urls"]
    assert urls == {"model_urls": [], "artifact_urls": [], "event_urls": []}
    for name in ("tasks.delete", "tasks.reset"):
        urls = api(name, task=with_files(api), force=True, return_file_urls=True)["urls"]
        # Clients look for debug images and the images of plots themselves.
        assert urls == {"model_urls": ["draft"], "artifact_urls": ["made"], "event_urls": []}


def test_a_reset_of_a_published_task_needs_force(api):
    task = api.new("task")
    assert not api("tasks.reset", task=task).get("urls")
    publish(api, task)
    assert refused(api.send("tasks.reset", task=task)) == 110
    api("tasks.reset", task=task, force=True)
    assert status(api, task) == "created"


def test_a_reset_keeps_the_code_unless_everything_is_to_be_cleared(api):
    task = api.new("task")
    api("tasks.edit", task=task, script=SCRIPT)
    api("tasks.started", task=task)
    api("tasks.reset", task=task)
    assert api.get("task", task)["script"] == SCRIPT
    api("tasks.set_requirements", task=task, requirements={})
    assert api.get("task", task)["script"] == {**SCRIPT, "requirements": {}}
    api("tasks.reset", task=task, clear_all=True)
    script = api.get("task", task).get("script") or {}
    assert not any(script.get(key) for key in ("repository", "entry_point", "diff", "requirements"))


def test_a_deleted_project_names_the_files_of_all_its_models(api):
    project = api.new("project", name="with contents")
    task = with_files(api, project=project)
    answer = api("projects.delete", project=project, force=True, delete_contents=True)
    assert set(answer["urls"]["model_urls"]) == {"published", "draft"}
    assert (answer["urls"]["artifact_urls"], answer["urls"]["event_urls"]) == (["made"], [])
    counts = ("deleted", "disassociated_tasks", "deleted_tasks", "deleted_models")
    assert [answer[count] for count in counts] == [1, 0, 1, 2]
    assert refused(api.send("tasks.get_by_id", task=task)) == 101


# Artifacts


def artifacts_of(api, task: str) -> dict[str, str]:
    read = (api("tasks.get_all_ex", id=[task])["tasks"][0], api.get("task", task))
    first, second = ([(a["key"], a["uri"]) for a in found["execution"]["artifacts"]] for found in read)
    assert first == second == sorted(first)
    return dict(first)


def artifact(key: str, uri: str, **more: str) -> dict:
    return {"key": key, "type": "str", "uri": uri, **more}


def test_artifacts_are_listed_by_their_keys_and_cloned_if_they_are_inputs(api):
    task = api.new("task", execution={"artifacts": [artifact("b", "2"), artifact("a", "1")]})
    assert artifacts_of(api, task) == {"a": "1", "b": "2"}
    edited = [artifact("bb", "3", mode="output"), artifact("aa", "4", mode="input")]
    api("tasks.edit", task=task, execution={"artifacts": edited})
    assert artifacts_of(api, task) == {"aa": "4", "bb": "3"}
    assert artifacts_of(api, api("tasks.clone", task=task)["id"]) == {"aa": "4"}
    given = [artifact("x", "5", mode="input"), artifact("y", "6", mode="input")]
    clone = api("tasks.clone", task=task, execution_overrides={"artifacts": given})["id"]
    assert artifacts_of(api, clone) == {"x": "5", "y": "6"}


def test_artifacts_of_a_running_task_are_changed_and_its_reset_keeps_inputs(api):
    held = [artifact("a", "1", mode="input"), artifact("b", "2"), artifact("c", "3")]
    task = api.new("task", execution={"artifacts": held})
    edits = [artifact("a", "new", mode="input"), artifact("c", "newer")]
    for _ in range(2):
        api("tasks.add_or_update_artifacts", task=task, artifacts=edits)
        assert artifacts_of(api, task) == {"a": "new", "b": "2", "c": "newer"}
        api("tasks.delete_artifacts", task=task, artifacts=[{"key": "c"}])
        assert artifacts_of(api, task) == {"a": "new", "b": "2"}
        api("tasks.started", task=task)
    api("tasks.reset", task=task)
    assert artifacts_of(api, task) == {"a": "new"}


# Parents


def test_tasks_are_found_by_their_parent(api):
    parent = api.new("task")
    child = api.new("task", parent=parent)
    assert ids(api("tasks.get_all_ex", parent=[parent])["tasks"]) == [child]
    assert ids(api("tasks.get_all", parent=parent)["tasks"]) == [child]


def test_parents_of_the_tasks_of_projects_are_listed_once(api):
    alone = api.new("task", name="b alone")
    api.new("task", parent=alone)
    project = api.new("project", name="with parents")
    parent = api.new("task", project=project, name="a parent")
    for _ in range(2):
        api.new("task", project=project, parent=parent)
    described = {"id": parent, "name": "a parent", "project": {"id": project, "name": "with parents"}}
    assert api("projects.get_task_parents", projects=[project])["parents"] == [described]
    assert api("projects.get_task_parents")["parents"] == [described, {"id": alone, "name": "b alone"}]


def test_parents_are_found_by_their_name_and_the_state_of_their_children(api):
    project = api.new("project", name="with parents")
    first, second, _ = parents = [api.new("task", name=f"Parent{i}", project=project) for i in range(3)]
    children = [api.new("task", parent=parent, project=project) for parent in parents[:2]]
    api("tasks.archive", tasks=children[1:])

    def found(**request: str) -> list[str]:
        return ids(api("projects.get_task_parents", projects=[project], **request)["parents"])

    assert found(task_name="Parent") == [first, second]
    assert found(task_name="Parent1") == [second]
    assert found(task_name="Parent2") == []
    assert found() == [first, second]
    assert found(tasks_state="active") == [first]
    assert found(tasks_state="archived") == [second]


# Several at once


def test_every_call_for_many_tasks_does_what_it_can_and_names_what_failed(api):
    tasks = [api.new("task") for _ in range(2)]
    for number, task in enumerate(tasks):
        model = api.new("model", task=task, uri=f"uri_{number}", ready=False)
        api("tasks.add_or_update_model", task=task, name="output", type="output", model=model)

    def many(name: str, **request: object) -> list[dict]:
        answer = api(f"tasks.{name}_many", ids=[*tasks, "missing"], **request)
        assert set(ids(answer["succeeded"])) == set(tasks)
        assert ids(answer["failed"]) == ["missing"]
        assert answer["failed"][0]["error"]["codes"] == [400, 101]
        return answer["succeeded"]

    def states() -> set[str]:
        return {task["status"] for task in api("tasks.get_all_ex", id=tasks)["tasks"]}

    def archived() -> set[bool]:
        listed = api("tasks.get_all_ex", id=tasks)["tasks"]
        return {"archived" in task["system_tags"] for task in listed}

    many("enqueue", queue_name="a new queue")
    assert states() == {"queued"}
    for task in tasks:
        api("tasks.started", task=task)
    many("stop")
    assert states() == {"stopped"}
    many("publish", publish_model=False)
    assert states() == {"published"}
    reset = many("reset", delete_output_models=True, return_file_urls=True, force=True)
    assert sum(item["deleted_models"] for item in reset) == 2
    assert {url for item in reset for url in item["urls"]["model_urls"]} == {"uri_0", "uri_1"}
    assert states() == {"created"}
    many("archive")
    assert archived() == {True}
    many("unarchive")
    assert archived() == {False}
    many("delete", delete_output_models=True, return_file_urls=True)
    assert api("tasks.get_all_ex", id=tasks)["tasks"] == []


# Moved


def test_tasks_and_models_move_to_projects_by_name(api):
    task, model = api.new("task"), api.new("model")
    project = api("tasks.move", ids=[task], project_name="a destination")["project_id"]
    assert api("tasks.get_all_ex", id=[task])["tasks"][0]["project"]["id"] == project
    assert api("projects.get_all_ex", id=[project])["projects"][0]["name"] == "a destination"
    api("models.move", ids=[model], project_name="a destination")
    assert api("models.get_all_ex", id=[model])["models"][0]["project"]["id"] == project
