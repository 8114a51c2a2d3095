"""Models, as the ClearML server has them: published with their tasks, measured, described and deleted."""

import pytest

from local_stack.tests.api import refused


def ready(api, model: str) -> bool:
    return api.get("model", model)["ready"]


def status(api, task: str) -> str:
    return api.get("task", task)["status"]


@pytest.fixture
def output(api) -> tuple[str, str]:
    """A running task with an input model, and its output model."""
    return new_output(api)


def new_output(api) -> tuple[str, str]:
    given = api.new("model", ready=True)
    fields = {"name": "a task", "type": "testing", "execution": {"model": given}}
    task = api("tasks.create", "v2.9", **fields)["id"]
    api("tasks.started", task=task)
    return task, api("models.update_for_task", task=task, uri="file:///b")["id"]


# Deleted


def test_a_deleted_model_leaves_its_unpublished_task(api, output):
    task, model = output
    assert api.get("task", task)["models"]["output"][0]["model"] == model
    assert api("models.delete", model=model)["deleted"]
    assert refused(api.send("models.get_by_id", model=model)) == 201
    assert api.get("task", task)["models"]["output"] == []


def test_a_model_of_a_published_task_is_deleted_by_force_and_leaves_a_trace(api, output):
    task, model = output
    api("tasks.stopped", task=task)
    api("tasks.publish", task=task, publish_model=False)
    assert refused(api.send("models.delete", model=model)) == 206
    assert api("models.delete", model=model, force=True)["deleted"]
    assert api.get("task", task)["models"]["output"][0]["model"] == f"__DELETED__{model}"


def test_the_file_of_a_deleted_model_is_named(api):
    assert api("models.delete", model=api.new("model", uri="test"))["url"] == "test"


# Published


def test_a_model_of_a_running_task_is_not_published_with_it(api, output):
    task, model = output
    assert refused(api.send("models.set_ready", model=model)) == 110
    assert (ready(api, model), status(api, task)) == (False, "in_progress")


def test_a_model_is_published_without_its_task_on_request(api, output):
    task, model = output
    answer = api("models.set_ready", model=model, publish_task=False)
    assert (answer["updated"], answer.get("published_task")) == (1, None)
    assert (ready(api, model), status(api, task)) == (True, "in_progress")


def test_a_running_task_is_published_with_its_model_by_force(api, output):
    task, model = output
    api("models.set_ready", model=model, force_publish_task=True)
    assert (ready(api, model), status(api, task)) == (True, "published")


def test_a_model_of_a_published_task_is_published_alone(api, output):
    task, model = output
    api("tasks.stopped", task=task)
    api("tasks.publish", task=task, publish_model=False)
    assert (ready(api, model), status(api, task)) == (False, "published")
    answer = api("models.set_ready", model=model)
    assert (answer["updated"], answer.get("published_task")) == (1, None)
    assert ready(api, model)


def test_a_stopped_task_is_published_with_its_model(api, output):
    task, model = output
    api("tasks.stopped", task=task)
    answer = api("models.set_ready", model=model)
    assert (answer["updated"], answer["published_task"]["id"]) == (1, task)
    assert answer["published_task"]["data"]["updated"] == 1
    assert (ready(api, model), status(api, task)) == (True, "published")
    assert refused(api.send("models.set_ready", model=model)) == 203


def test_a_model_without_a_task_is_published(api):
    model = api.new("model")
    answer = api("models.set_ready", model=model)
    assert (answer["updated"], answer.get("published_task"), ready(api, model)) == (1, None, True)


@pytest.mark.parametrize("model_first", [True, False])
def test_a_task_is_published_with_its_model(api, output, model_first):
    task, model = output
    if model_first:
        api("models.set_ready", model=model, publish_task=False)
    api("tasks.stopped", task=task)
    assert api("tasks.publish", task=task)["updated"] == 1
    assert (ready(api, model), status(api, task)) == (True, "published")


def test_a_task_without_models_is_published(api):
    task = api.new("task")
    api("tasks.started", task=task)
    api("tasks.stopped", task=task)
    assert api("tasks.publish", task=task)["updated"] == 1


# Statistics, iterations, frameworks


def test_labels_are_counted_on_request(api):
    models = [api.new("model", labels=labels) for labels in ({"cat": 1, "dog": 2}, {"cat": 1}, {})]
    assert all("stats" not in model for model in api("models.get_all_ex", id=models)["models"])
    found = api("models.get_all_ex", id=models, include_stats=True)["models"]
    counts = {model["id"]: model["stats"]["labels_count"] for model in found}
    assert counts == dict(zip(models, [2, 1, 0], strict=True))


def test_a_model_raises_the_last_iteration_of_its_task(api):
    task, model = api.new("task"), api.new("model")
    for iteration in (1000, 500):
        api("models.update", model=model, task=task, iteration=iteration, labels={"foo": 1})
        assert api.get("task", task)["last_iteration"] == 1000
    task = api.new("task")
    for iteration, expected in ((999, 999), (1000, 1000), (888, 1000)):
        api("models.update_for_task", task=task, uri=f"file:///{iteration}", iteration=iteration)
        assert api.get("task", task)["last_iteration"] == expected


def test_frameworks_are_listed_by_project(api):
    api.new("model", framework="framework 1")
    project = api.new("project", name="frameworks")
    task = api.new("task", project=project, execution={"framework": "framework 2"})
    api("models.update_for_task", task=task, name="an output", uri="file:///b", iteration=999)
    assert {"framework 1", "framework 2"} <= set(api("models.get_frameworks")["frameworks"])
    assert api("models.get_frameworks", projects=[project])["frameworks"] == ["framework 2"]
    api("tasks.delete", task=task, force=True)
    assert api("models.get_frameworks", projects=[project])["frameworks"] == []


# Several at once


def test_every_call_for_many_models_does_what_it_can_and_names_what_failed(api):
    uris = ["file:///0", "file:///1"]
    models = [api.new("model", uri=uri, ready=True) for uri in uris]
    task = api.new("task")
    api("models.edit", model=models[0], ready=False, task=task)
    api("tasks.add_or_update_model", task=task, name="output", type="input", model=models[0])

    def many(name: str, **request: object) -> tuple[list[dict], list[str]]:
        answer = api(f"models.{name}_many", ids=[*models, "missing"], **request)
        return answer["succeeded"], [item["id"] for item in answer["failed"]]

    (published,), failed = many("publish", publish_task=True, force_publish_task=True)
    assert (published["id"], published["published_task"]["id"]) == (models[0], task)
    assert failed == [models[1], "missing"]
    for name, archived in (("archive", True), ("unarchive", False)):
        done, failed = many(name)
        assert ([item["id"] for item in done], failed) == (models, ["missing"])
        listed = api("models.get_all_ex", id=models)["models"]
        assert {"archived" in model["system_tags"] for model in listed} == {archived}
    done, failed = many("delete", force=True)
    assert ([item["url"] for item in done], failed) == (uris, ["missing"])
    assert api("models.get_all_ex", id=models)["models"] == []


# Metadata


def item(key: str, value: str, kind: str = "str") -> dict:
    return {"key": key, "type": kind, "value": value}


@pytest.mark.parametrize("kind", ["model", "queue"])
def test_metadata_is_kept_by_its_keys(api, kind):
    def held() -> dict:
        return api(f"{kind}s.get_all_ex", id=[key])[f"{kind}s"][0]["metadata"]

    first = {"test_key": item("test_key", "test_value")}
    key = api.new(kind, name="with metadata", metadata=first)
    assert held() == first
    second = {f"test{i}": item(f"test{i}", f"data{i}") for i in (1, 2, 3)}
    api(f"{kind}s.update", **{kind: key}, metadata=second)
    assert held() == second
    updates = [item("test2", "10", "int"), item("test4", "x,y", "array"), item("test5", "z", "array")]
    answer = api(f"{kind}s.add_or_update_metadata", **{kind: key}, metadata=updates)
    assert answer["updated"] == 1
    assert held() == second | {update["key"]: update for update in updates}
    gone = ["test2", "test3", "test4", "test5"]
    assert api(f"{kind}s.delete_metadata", **{kind: key}, keys=gone)["updated"] == 1
    assert held() == {"test1": second["test1"]}


def test_metadata_may_be_given_as_a_list_and_edited(api):
    model = api.new("model", metadata=[item("a", "1")])
    assert api.get("model", model)["metadata"] == {"a": item("a", "1")}
    api("models.edit", model=model, metadata={"b": item("b", "2")})
    assert api.get("model", model)["metadata"] == {"b": item("b", "2")}


def test_keys_and_values_of_metadata_are_listed_by_project(api):
    api.new("model", metadata=[item("top", "1")])
    project = api.new("project", name="with metadata")
    model = api.new("model", project=project, metadata=[item("top", "1"), item("low", "2")])
    assert set(api("projects.get_model_metadata_keys")["keys"]) == {"top", "low"}
    assert api("projects.get_model_metadata_keys", include_subprojects=False)["keys"] == ["top"]
    (found,) = api("models.get_all_ex", id=[model], only_fields=["metadata.top"])["models"]
    assert set(found["metadata"]) == {"top"}
    values = api("projects.get_model_metadata_values", key="top")
    assert (values["total"], values["values"]) == (1, ["1"])
