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


def test_the_sdks_way_of_making_a_model_is_to_name_it_afterwards(api, new_model, get, task):
    model = new_model(name="Anonymous model 2026-01-01", uri="http://files/uploading_file")
    change = {"name": "trainer - best", "uri": "http://files/best.ubj", "task": task, "iteration": 12}
    fields = api("models.edit", model=model, **change)["fields"]
    for key in ("name", "uri", "task"):
        assert get(model)[key] == fields[key] == change[key]
    assert api.get("task", task)["last_iteration"] == 12


def test_an_update_describes_a_model_and_changes_nothing_else(api, new_model, get, task):
    model = new_model(framework="XGBoost")
    change = {"name": "renamed", "uri": "http://files/new", "task": task, "iteration": 9, "ready": True}
    api("models.update", model=model, framework="other", **change)
    assert (
        get(model).items() >= {"name": "renamed", "uri": "http://files/new", "framework": "XGBoost"}.items()
    )
    assert (get(model)["ready"], "task" in get(model)) == (False, False)
    for iteration, highest in ((11, 11), (10, 11)):
        api("models.update", model=model, task=task, iteration=iteration)
        assert api.get("task", task)["last_iteration"] == highest
    assert refused(api.send("models.update", model=model, task="nobody")) == 101


def test_a_model_needs_a_name_a_uri_and_what_it_points_at(api, new_model):
    whole = {"name": "a model", "uri": "u"}
    wrong = {"uri": (None, 11), "name": ("ab", 12), "task": ("nobody", 101), "project": ("nowhere", 12)}
    for field, (value, subcode) in wrong.items():
        assert refused(api.send("models.create", **{**whole, field: value})) == subcode
    model = new_model()
    wrong = {"name": ("ab", 12), "task": ("nobody", 16), "project": ("nowhere", 16), "parent": ("none", 16)}
    for field, (value, subcode) in {**wrong, "tags": (["__$all"], 16)}.items():
        assert refused(api.send("models.edit", model=model, **{field: value})) == subcode
    api("models.edit", model=model, task="__DELETED__nobody", comment="its task is gone")
    assert "task" not in api.get("model", model)
    assert api.get("model", api("models.create", **whole)["id"])["ready"] is True  # as from outside


def test_a_model_is_published_and_taken_back_by_an_edit(api, new_model, get, task):
    model = new_model(task=task)
    for ready in (True, False):
        assert api("models.edit", model=model, ready=ready)["fields"]["ready"] is ready
        assert get(model)["ready"] is ready
    assert api.get("task", task)["status"] == "created"


def test_a_published_model_may_still_be_described(api, new_model, get):
    model = new_model(ready=True)
    open_fields = {"name": "renamed", "comment": "why", "tags": ["t"], "system_tags": ["s"]}
    open_fields["project"] = api.new("project", name="model shelf")
    api("models.edit", model=model, **open_fields)
    assert get(model).items() >= open_fields.items()
    api("models.add_or_update_metadata", model=model, metadata=[{"key": "k", "value": "v"}])
    assert get(model)["metadata"] == {"k": {"key": "k", "value": "v"}}


def test_publishing_a_model_publishes_its_task_unless_the_call_says_no(api, new_model, get, task):
    api("tasks.completed", task=task, force=True)
    alone, model, other = (new_model(task=task) for _ in range(3))
    assert api("models.set_ready", model=alone, publish_task=False) == {"updated": 1}
    assert get(alone)["ready"] is True
    assert api.get("task", task)["status"] == "completed"
    answer = api("models.set_ready", model=model)
    assert answer["published_task"]["id"] == task
    assert answer["published_task"]["data"]["updated"] == 1
    assert api.get("task", task)["status"] == "published"
    assert api("models.set_ready", model=other) == {"updated": 1}
    assert refused(api.send("models.set_ready", model=other)) == 203


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
    assert refused(api.send("models.add_or_update_metadata", model=model, metadata=[])) == 12
    assert refused(api.send("models.delete_metadata", model=model, keys=[])) == 12


@pytest.mark.parametrize("call", ["models.edit", "models.update", "models.add_or_update_metadata"])
def test_metadata_is_given_as_a_list_or_as_an_object(api, new_model, get, call):
    two = {"two": {"key": "two", "type": "int", "value": "2"}}
    model = new_model(metadata={"one": {"value": "1"}})
    assert get(model)["metadata"] == {"one": {"key": "one", "value": "1"}}
    api(call, model=model, metadata=two, replace_metadata=True)
    assert get(model)["metadata"] == two
    api(call, model=model, metadata=list(two.values()), replace_metadata=True)
    assert get(model)["metadata"] == two
    for wrong in ("two", {"two": "2"}, [{"value": "2"}]):
        assert api.send(call, model=model, metadata=wrong).status_code == 400


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
    assert outputs == [{"name": "Output Model", "model": model["id"]}]


def test_a_task_hands_down_what_it_knows_to_the_model_that_it_makes(api, new_model, get):
    base, project = new_model(), api.new("project", name="frameworks of tasks")
    execution = {"framework": "handed down", "model_labels": {"cat": 1}}
    models = {"input": [{"name": "base", "model": base}]}
    task = api.new("task", project=project, execution=execution, models=models)
    made = {"uri": "http://files/1", "iteration": 5}
    model = get(api("models.update_for_task", task=task, **made)["id"])
    inherited = {"framework": "handed down", "labels": {"cat": 1}, "parent": base, "project": project}
    assert model.items() >= {**inherited, "comment": f"Created by task `a task` ({task})"}.items()
    assert api.get("task", task)["last_iteration"] == 5
    assert api("models.get_frameworks", projects=[project]) == {"frameworks": ["handed down"]}
    assert "handed down" in api("models.get_frameworks")["frameworks"]
    api("tasks.delete", task=task)
    assert api("models.get_frameworks", projects=[project]) == {"frameworks": []}


def test_a_task_without_a_model_has_none_to_give_and_may_take_one_that_exists(api, new_model, task):
    assert refused(api.send("models.get_by_task_id", task=task)) == 122
    model = new_model()
    for wrong in ({}, {"uri": "http://files/1", "override_model_id": model}):
        assert refused(api.send("models.update_for_task", task=task, **wrong)) == 11
    assert api("models.update_for_task", task=task, override_model_id=model)["id"] == model
    assert api("models.get_by_task_id", task=task)["model"]["id"] == model
    api("tasks.completed", task=task, force=True)
    assert refused(api.send("models.update_for_task", task=task, uri="http://files/2")) == 110


def test_a_deleted_model_leaves_a_mark_where_it_was_taken_in_or_published(api, new_model, task):
    model, published = new_model(), api.new("task")
    api("models.edit", model=model, task=published)
    for kind in ("input", "output"):
        for owner in (task, published):
            api("tasks.add_or_update_model", task=owner, name="m", model=model, type=kind)
    api("tasks.publish", task=published, publish_model=False, force=True)
    answer = api("models.delete", model=model, force=True)
    assert answer == {"deleted": True, "url": "http://files/m.bin"}
    mark = [{"name": "m", "model": f"__DELETED__{model}"}]
    assert api.get("task", task)["models"] == {"input": mark, "output": []}
    document = api.get("task", published)
    assert document["models"] == {"input": mark, "output": mark}
    assert document["output"]["error"].startswith("model deleted on ")
    assert refused(api.send("models.get_by_id", model=model)) == 201


def test_a_model_that_is_in_use_or_of_a_published_task_is_deleted_by_force_only(api, new_model, task):
    maker = api.new("task")
    api("tasks.publish", task=maker, force=True)
    made, used, published = new_model(task=maker), new_model(), new_model(ready=True)
    api("tasks.add_or_update_model", task=task, name="m", model=used, type="input")
    assert refused(api.send("models.delete", model=made)) == 206
    assert refused(api.send("models.delete", model=used)) == 205
    answer = api("models.delete_many", ids=[made, used, published])
    assert [item["id"] for item in answer["failed"]] == [made, used]
    assert answer["succeeded"] == [{"id": published, "deleted": True, "url": "http://files/m.bin"}]
    assert len(api("models.delete_many", ids=[made, used], force=True)["succeeded"]) == 2
    assert refused(api.send("models.delete_many", ids=[])) == 12


def test_archiving_is_a_tag_that_comes_and_goes(api, new_model, get):
    model = new_model(system_tags=["other"])
    answer = api("models.archive_many", ids=[model, "nobody"])
    assert answer["succeeded"] == [{"id": model, "archived": True}]
    assert answer["failed"][0]["error"]["codes"] == [400, 201]
    assert get(model)["system_tags"] == ["archived", "other"]
    api("models.unarchive_many", ids=[model])
    assert get(model)["system_tags"] == ["other"]


def test_many_models_are_published_and_moved_at_once(api, new_model, get, task):
    models, ready = [new_model(task=task), new_model()], new_model(ready=True)
    answer = api("models.publish_many", ids=[*models, ready, "nobody"], force_publish_task=True)
    assert [item["id"] for item in answer["succeeded"]] == models
    assert answer["succeeded"][0]["published_task"]["id"] == task
    assert [item["error"]["codes"] for item in answer["failed"]] == [[400, 203], [400, 201]]
    assert all(get(model)["ready"] for model in models)
    moved = api("models.move", ids=models, project_name="moved models")
    assert api.get("project", get(models[0])["project"])["name"] == "moved models"
    assert moved == {"project_id": get(models[1])["project"]}
    assert api("models.move", ids=models, project=None) == {"project_id": None}
    assert get(models[0])["project"] is None


def test_tags_of_many_models_are_added_and_removed(api, new_model, get):
    models = [new_model(tags=["b"], ready=True), new_model()]
    assert api("models.update_tags", ids=[*models, "nobody"], add_tags=["a", "c"]) == {"updated": 2}
    assert api("models.update_tags", ids=models, remove_tags=["c"]) == {"updated": 2}
    assert [get(model)["tags"] for model in models] == [["a", "b"], ["a"]]
    assert refused(api.send("models.update_tags", ids=models)) == 12
    assert refused(api.send("models.update_tags", ids=models, add_tags=["__$not"])) == 16


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
