"""Models on the local server: how they come to be, what stays open once they are published."""

import pytest

from local_stack.tests.api import refused, scalar


@pytest.fixture
def new_model(api):
    """Make a model and give its id."""
    return lambda **fields: api.new("model", **fields)


@pytest.fixture
def get(api):
    """Read a model."""
    return lambda model: api.get("model", model)


@pytest.fixture
def task(api) -> str:
    return api.new("task", name="trainer")


def test_a_new_model_has_every_field_that_clients_look_into(api, new_model, get):
    metadata = {"key": "k", "value": "v", "type": "str"}
    model = get(new_model(labels={"cat": 1}, framework="XGBoost", metadata=[metadata]))
    assert api("models.get_frameworks")["frameworks"].count("XGBoost") == 1
    assert model.pop("created") == model.pop("last_update") == model.pop("last_change")
    del model["id"]
    assert model == {
        "name": "a model", "uri": "http://files/m.bin", "user": "local_user", "company": "local",
        "comment": "", "tags": [], "system_tags": [], "framework": "XGBoost", "design": {},
        "labels": {"cat": 1}, "metadata": {"k": metadata}, "ready": False,
    }  # fmt: skip


def test_what_changes_a_model_itself_is_an_update_and_its_name_is_a_change_alone(api, new_model, get):
    model = new_model()
    made = get(model)
    api("models.edit", model=model, name="renamed")
    renamed = get(model)
    assert renamed["last_update"] == made["last_update"] < renamed["last_change"]
    for call, fields in [
        ("models.update", {"tags": ["new"]}),
        ("models.add_or_update_metadata", {"metadata": [{"key": "k", "value": "v"}]}),
        ("models.set_ready", {}),
    ]:
        before = get(model)
        api(call, model=model, **fields)
        assert before["last_change"] < get(model)["last_update"] == get(model)["last_change"]


@pytest.mark.parametrize("edit", ["models.edit", "models.update"])
def test_the_sdks_way_of_making_a_model_is_to_name_it_afterwards(api, new_model, get, task, edit):
    model = new_model(name="Anonymous model 2026-01-01", uri="http://files/uploading_file")
    change = {"name": "trainer - best", "uri": "http://files/best.ubj", "task": task, "iteration": 12}
    fields = api(edit, model=model, **change)["fields"]
    for key in ("name", "uri", "task"):
        assert get(model)[key] == fields[key] == change[key]
    assert api.get("task", task)["last_iteration"] == 12


def test_a_model_needs_a_name_a_uri_and_what_it_points_at(api, new_model):
    whole = {"name": "a model", "uri": "u"}
    wrong = {"uri": (None, 11), "name": ("ab", 12), "task": ("nobody", 101), "project": ("nowhere", 401)}
    for field, (value, subcode) in wrong.items():
        assert refused(api.send("models.create", **{**whole, field: value})) == subcode
    assert refused(api.send("models.edit", model=new_model(), name="ab")) == 12
    assert api.get("model", api("models.create", **whole)["id"])["ready"] is True  # as from outside


def test_a_published_model_keeps_its_weights_and_what_they_are(api, new_model, get):
    model = new_model(framework="XGBoost")
    api("models.edit", model=model, ready=True)
    for change in ({"uri": "u"}, {"framework": "x"}, {"labels": {"a": 1}}, {"parent": "other"}):
        assert refused(api.send("models.edit", model=model, **change)) == 203
    # The SDK sends all fields along with the one that it changes.
    api("models.edit", model=model, uri="http://files/m.bin", framework="XGBoost", labels={}, tags=["new"])
    assert get(model)["tags"] == ["new"]


def test_a_published_model_may_still_be_described(api, new_model, get):
    model = new_model(ready=True)
    open_fields = {"name": "renamed", "comment": "why", "tags": ["t"], "system_tags": ["s"]}
    open_fields["project"] = api.new("project", name="model shelf")
    api("models.edit", model=model, **open_fields)
    assert get(model).items() >= open_fields.items()
    api("models.add_or_update_metadata", model=model, metadata=[{"key": "k", "value": "v"}])
    assert get(model)["metadata"] == {"k": {"key": "k", "value": "v"}}


def test_publishing_a_model_may_publish_its_task(api, new_model, get, task):
    api("tasks.completed", task=task, force=True)
    model = new_model(task=task)
    assert api("models.set_ready", model=model) == {"updated": 1}
    assert get(model)["ready"] is True
    assert api.get("task", task)["status"] == "completed"
    answer = api("models.set_ready", model=model, publish_task=True)
    assert answer["published_task"]["id"] == task
    assert api.get("task", task)["status"] == "published"


def test_publishing_a_model_whose_task_still_runs_fails_as_a_whole(api, new_model, get, task):
    api("tasks.started", task=task)
    model = new_model(task=task)
    assert refused(api.send("models.set_ready", model=model, publish_task=True)) == 110
    assert get(model)["ready"] is False
    api("models.set_ready", model=model, publish_task=True, force_publish_task=True)
    assert get(model)["ready"] is True


def test_metadata_is_known_by_its_key(api, new_model, get):
    model = new_model()
    one, two = ({"key": key, "value": "1", "type": "int"} for key in ("one", "two"))
    api("models.add_or_update_metadata", model=model, metadata=[one, two])
    api("models.add_or_update_metadata", model=model, metadata=[{**one, "value": "2"}])
    assert get(model)["metadata"] == {"one": {**one, "value": "2"}, "two": two}
    api("models.delete_metadata", model=model, keys=["one", "none"])
    assert get(model)["metadata"] == {"two": two}
    api("models.add_or_update_metadata", model=model, metadata=[one], replace_metadata=True)
    assert get(model)["metadata"] == {"one": one}


def test_a_task_sets_its_output_model_without_knowing_its_id(api, get, task):
    first = api("models.update_for_task", task=task, uri="http://files/1")
    assert first["created"] is True
    second = api("models.update_for_task", task=task, uri="http://files/2", name="better name")
    assert (second["id"], second["created"]) == (first["id"], False)
    model = get(first["id"])
    expected = {"name": "better name", "uri": "http://files/2", "task": task, "ready": False}
    assert model.items() >= expected.items()
    assert api("models.get_by_task_id", task=task)["model"]["id"] == model["id"]
    outputs = api.get("task", task)["models"]["output"]
    assert outputs == [{"name": "better name", "model": model["id"]}]


def test_a_task_without_a_model_has_none_to_give_and_may_take_one_that_exists(api, new_model, task):
    assert refused(api.send("models.get_by_task_id", task=task)) == 201
    assert refused(api.send("models.update_for_task", task=task)) == 11
    model = new_model()
    assert api("models.update_for_task", task=task, override_model_id=model)["id"] == model
    assert api("models.get_by_task_id", task=task)["model"]["id"] == model


def test_a_deleted_model_is_gone_from_the_tasks_that_had_it(api, new_model, task):
    model = new_model()
    for kind in ("input", "output"):
        api("tasks.add_or_update_model", task=task, name="m", model=model, type=kind)
    answer = api("models.delete", model=model, force=True)
    assert answer == {"deleted": True, "url": "http://files/m.bin"}
    assert api.get("task", task)["models"] == {"input": [], "output": []}
    assert refused(api.send("models.get_by_id", model=model)) == 201


def test_a_model_that_is_published_or_in_use_is_deleted_by_force_only(api, new_model, task):
    published, used = new_model(ready=True), new_model()
    api("tasks.add_or_update_model", task=task, name="m", model=used, type="input")
    assert refused(api.send("models.delete", model=published)) == 203
    assert refused(api.send("models.delete", model=used)) == 205
    answer = api("models.delete_many", ids=[published, used, new_model()])
    assert [item["id"] for item in answer["failed"]] == [published, used]
    assert len(api("models.delete_many", ids=[published, used], force=True)["succeeded"]) == 2


def test_archiving_is_a_tag_that_comes_and_goes(api, new_model, get):
    model = new_model(system_tags=["other"])
    answer = api("models.archive_many", ids=[model, "nobody"])
    assert answer["succeeded"] == [{"id": model, "archived": True}]
    assert answer["failed"][0]["error"]["codes"] == [400, 201]
    assert get(model)["system_tags"] == ["other", "archived"]
    api("models.unarchive_many", ids=[model])
    assert get(model)["system_tags"] == ["other"]


def test_many_models_are_published_and_moved_at_once(api, new_model, get):
    models = [new_model(), new_model()]
    answer = api("models.publish_many", ids=[*models, "nobody"])
    assert [item["id"] for item in answer["succeeded"]] == models
    api("models.move", ids=models, project_name="moved models")
    assert all(get(model)["ready"] for model in models)
    assert api.get("project", get(models[0])["project"])["name"] == "moved models"


def test_a_published_model_takes_no_more_events(api, new_model):
    model = new_model()
    event = scalar(model, "m", "v", 1, 1, model_event=True)
    assert api.events(event)["added"] == 1
    api("models.set_ready", model=model)
    answer = api.send_events(event)
    assert answer.status_code == 400
    assert "is published" in answer.json()["meta"]["result_msg"]
    assert api.events({**event, "allow_locked": True, "iter": 2})["added"] == 1
    series = api("events.scalar_metrics_iter_histogram", task=model, model_events=True)
    assert series["m"]["v"]["x"] == [1, 2]
