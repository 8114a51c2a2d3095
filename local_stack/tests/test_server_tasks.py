"""Tasks on the local server: their states, what may be edited when, and what a clone or a reset keeps."""

from datetime import datetime

import pytest

from local_stack.tests.api import refused, scalar

STATES = (
    "created", "queued", "in_progress", "stopped", "failed", "completed", "closed", "published",
)  # fmt: skip

# What moves a task to each state, and the states from which it may.
MOVES = {
    "tasks.started": ("in_progress", {"created", "queued", "in_progress", "stopped", "completed"}),
    "tasks.stopped": ("stopped", {"queued", "in_progress", "stopped", "failed", "closed"}),
    "tasks.failed": ("failed", {"in_progress", "stopped", "failed", "closed"}),
    "tasks.completed": ("completed", {"in_progress", "stopped", "completed"}),
    "tasks.close": ("closed", {"stopped", "closed"}),
    "tasks.publish": ("published", {"stopped", "failed", "completed", "closed"}),
}

ARTIFACT = {"key": "table", "type": "csv", "uri": "http://files/table.csv"}
OUTPUT = {**ARTIFACT, "mode": "output"}
GIVEN = {**ARTIFACT, "mode": "input", "key": "given"}


@pytest.fixture
def new_task(api):
    """Make a task, in a state if need be, and give its id."""

    def make(status: str = "created", name: str = "a task", **fields) -> str:
        task = api.new("task", name=name, type="training", **fields)
        if status == "queued":
            api("tasks.enqueue", task=task, queue_name="waiting")
        elif status != "created":
            (move,) = (name for name, (state, _) in MOVES.items() if state == status)
            api(move, task=task, force=True)
        return task

    return make


@pytest.fixture
def get(api):
    """Read a task."""
    return lambda task, version="v2.23": api.get("task", task, version)


@pytest.fixture
def model(api) -> str:
    return api.new("model", name="weights", uri="http://files/weights.bin")


# Made


def test_a_new_task_has_every_container_that_clients_look_into(new_task, get):
    task = get(new_task())
    moments = {task.pop(key) for key in ("created", "last_update", "last_change", "status_changed")}
    assert len(moments) == 1
    assert datetime.fromisoformat(moments.pop()).utcoffset().total_seconds() == 0
    del task["id"]
    assert task == {
        "name": "a task",
        "type": "training",
        **{"user": "local_user", "company": "local"},
        **{"status": "created", "status_reason": "", "status_message": ""},
        **{"last_iteration": 0, "last_metrics": {}, "comment": "", "tags": [], "system_tags": []},
        "output": {"destination": ""},
        **{"runtime": {}, "configuration": {}, "hyperparams": {}, "container": {}},
        "script": {"binary": "python", "repository": "", "requirements": {}},
        "execution": {"artifacts": []},
        "models": {"input": [], "output": []},
    }


@pytest.mark.parametrize("name", ["", "ab", "  a  "])
def test_a_name_of_fewer_than_three_characters_is_refused(api, new_task, name):
    task = new_task()
    assert refused(api.send("tasks.create", name=name, type="training")) == 12
    for change in ("tasks.edit", "tasks.update"):
        assert refused(api.send(change, task=task, name=name)) == 12
    if name:  # an empty one is none: the clone is called like its source
        assert refused(api.send("tasks.clone", task=task, new_task_name=name)) == 12


@pytest.mark.parametrize("field", ["project", "parent"])
def test_a_task_in_a_project_or_below_a_task_that_does_not_exist_is_refused(api, new_task, field):
    wrong = {field: "nowhere"}
    for call in ("tasks.create", "tasks.validate"):
        assert refused(api.send(call, name="a task", type="training", **wrong)) == 16
    assert refused(api.send("tasks.edit", task=new_task(), **wrong)) == 16


def test_a_task_takes_in_models_that_exist_and_may_name_any_output(api, new_task, get):
    wrong = {"models": {"input": [{"name": "in", "model": "nobody"}]}}
    assert refused(api.send("tasks.create", name="a task", type="training", **wrong)) == 201
    task = new_task(models={"output": [{"name": "out", "model": "made elsewhere"}]})
    assert refused(api.send("tasks.edit", task=task, **wrong)) == 201
    assert get(task)["models"]["output"] == [{"name": "out", "model": "made elsewhere"}]


def test_tags_are_sorted_each_once_and_no_operators_of_filters(api, new_task, get):
    task = new_task(tags=["b", "a", "b"])
    assert get(task)["tags"] == ["a", "b"]
    for call in ("tasks.edit", "tasks.update"):
        assert refused(api.send(call, task=task, tags=["__$not"])) == 16


def test_tags_of_many_tasks_are_added_and_removed(api, new_task, get):
    tasks = [new_task("published", tags=["old", "kept"]), new_task()]
    change = {"add_tags": ["new"], "remove_tags": ["old"]}
    assert api("tasks.update_tags", ids=tasks, **change) == {"updated": 4}
    assert [get(task)["tags"] for task in tasks] == [["kept", "new"], ["new"]]
    assert refused(api.send("tasks.update_tags", ids=[tasks[0], "nobody"], add_tags=["x"])) == 101
    assert refused(api.send("tasks.update_tags", ids=tasks, add_tags=["x", "__$not"])) == 16
    for nothing in ({"ids": [], "add_tags": ["x"]}, {"ids": tasks}, {"ids": tasks, "add_tags": []}):
        assert refused(api.send("tasks.update_tags", **nothing)) == 12
    assert get(tasks[0])["tags"] == ["kept", "new"]


def test_the_fields_of_older_clients_become_those_of_newer_ones(api, new_task, get, model):
    old = {
        "model": model,
        "docker_cmd": "python:3 -e A=1",
        "parameters": {"depth": 3, "TF_DEFINE/rate": "0.1"},
        "model_desc": {"design": "net"},
        "framework": "sklearn",
    }
    task = new_task(execution=old, hyperparams={"General": {"a": {"value": "1"}}})
    new = get(task)
    assert new["execution"] == {"framework": "sklearn", "artifacts": []}
    assert new["models"]["input"] == [{"name": "Input Model", "model": model}]
    assert new["container"] == {"image": "python:3", "arguments": "-e A=1"}
    assert new["configuration"] == {"design": {"name": "design", "type": "legacy", "value": "net"}}
    values = {s: {n: item["value"] for n, item in items.items()} for s, items in new["hyperparams"].items()}
    assert values == {"General": {"a": "1"}, "Args": {"depth": "3"}, "TF_DEFINE": {"rate": "0.1"}}
    api("tasks.edit", task=task, execution={"parameters": {"width": 1}})
    values = {
        s: {n: item["value"] for n, item in items.items()} for s, items in get(task)["hyperparams"].items()
    }
    assert values == {"General": {"a": "1"}, "Args": {"width": "1"}}
    execution = get(task, "v2.8")["execution"]
    assert (execution["model"], execution["model_desc"]) == (model, {"design": "net"})


def test_the_types_of_tasks_are_those_in_the_projects_and_below_them(api, new_task):
    project = api.new("project", name="types of tasks")
    below = api.new("project", name="types of tasks/below")
    api.new("task", name="a task", type="controller", project=project)
    api.new("task", name="a task", type="optimizer", project=below)
    assert api("tasks.get_types", projects=[project]) == {"types": ["controller", "optimizer"]}
    assert api("tasks.get_types", projects=[below]) == {"types": ["optimizer"]}
    assert set(api("tasks.get_types")["types"]) >= {"controller", "optimizer"}


def test_parameters_given_without_their_own_names_get_them(new_task, get):
    given = {"hyperparams": {"Args": {"depth": {"value": 3}}}, "configuration": {"model": {"value": "x"}}}
    task = get(new_task(**given))
    assert task["hyperparams"] == {"Args": {"depth": {"section": "Args", "name": "depth", "value": "3"}}}
    assert task["configuration"] == {"model": {"name": "model", "value": "x"}}


def test_validating_a_task_makes_none(api):
    before = len(api("tasks.get_all", name="^only checked$")["tasks"])
    assert api("tasks.validate", name="only checked", type="training") == {}
    assert len(api("tasks.get_all", name="^only checked$")["tasks"]) == before


# States


@pytest.mark.parametrize("move", MOVES)
@pytest.mark.parametrize("status", STATES)
def test_a_task_moves_only_where_its_state_allows_or_by_force(api, new_task, get, move, status):
    task = new_task(status)
    target, allowed = MOVES[move]
    answer = api.send(move, task=task)
    if status in allowed:
        assert answer.status_code == 200
        assert get(task)["status"] == target
    else:
        assert refused(answer) == 110
        assert f"is {status} and cannot become {target}" in answer.text or status == target == "published"
        assert get(task)["status"] == status
    api(move, task=task, force=True)
    assert get(task)["status"] == target


def test_a_change_of_state_keeps_its_reason_and_its_time(api, new_task, get):
    task = new_task("in_progress")
    before = get(task)
    api("tasks.failed", task=task, status_reason="no data", status_message="the table was empty")
    after = get(task)
    assert (after["status_reason"], after["status_message"]) == ("no data", "the table was empty")
    assert before["status_changed"] < after["status_changed"] <= after["last_update"]


def test_a_task_that_ended_has_its_first_start_its_end_and_its_duration(api, new_task, get):
    task = new_task("in_progress")
    started = get(task)["started"]
    api("tasks.started", task=task)
    api("tasks.completed", task=task)
    ended = get(task)
    assert started == ended["started"] <= ended["completed"]
    assert ended["active_duration"] == 0
    api("tasks.started", task=task)
    assert "completed" not in get(task)
    assert get(task)["started"] == started


def test_completing_may_publish_at_once(api, new_task, get):
    task = new_task("in_progress")
    assert api("tasks.completed", task=task)["published"] == 0
    answer = api("tasks.completed", task=task, publish=True)
    assert (answer["published"], answer["fields"]["status"]) == (1, "published")
    assert get(task)["status"] == "published"


@pytest.mark.parametrize("publish_model", [True, False])
def test_publishing_a_task_publishes_its_last_model_unless_the_call_says_no(api, new_task, publish_model):
    task = new_task("in_progress")
    models = [api.new("model"), api.new("model")]
    for model in models:
        api("tasks.add_or_update_model", task=task, name=model, model=model, type="output")
    api("tasks.completed", task=task)
    api("tasks.publish", task=task, publish_model=publish_model)
    assert [api.get("model", model)["ready"] for model in models] == [False, publish_model]


@pytest.mark.parametrize(("call", "left"), [("tasks.stop", ["stopped"]), ("tasks.delete", [])])
def test_a_queued_task_that_is_stopped_or_deleted_leaves_its_queue(api, new_task, call, left):
    task = new_task("queued")
    api(call, task=task, force=True)
    assert [found["status"] for found in api("tasks.get_all", id=[task])["tasks"]] == left
    queue = api("queues.get_all", name="^waiting$")["queues"][0]
    assert task not in [entry["task"] for entry in queue["entries"]]


def test_stopping_a_task_that_a_worker_runs_asks_the_worker(api, new_task, get):
    task, by_hand = new_task("in_progress"), new_task("in_progress", system_tags=["development"])
    for worker, runs in (("runner", task), ("somebody", by_hand)):
        api("workers.status_report", worker=worker, task=runs, timestamp=0)
    fields = api("tasks.stop", task=task)["fields"]
    assert (fields["status"], fields["status_message"]) == ("in_progress", "stopping")
    assert (get(task)["status"], get(task)["status_message"]) == ("in_progress", "stopping")
    api("tasks.stop", task=by_hand)  # whoever started it sees that it is stopped, and ends it
    assert (get(by_hand)["status"], get(by_hand)["status_message"]) == ("stopped", "Stopped by local user")
    api("workers.unregister", worker="runner")
    api("workers.unregister", worker="somebody")
    api("tasks.stop", task=task)
    assert get(task)["status"] == "stopped"
    assert refused(api.send("tasks.stop", task=new_task("completed"))) == 110


def test_a_pipeline_is_stopped_archived_and_deleted_with_its_steps_on_request(api, get):
    controller = api.new("task", type="controller")
    steps = [api.new("task", parent=controller), api.new("task", parent=controller)]
    tasks = [controller, *steps]
    for task in tasks:
        api("tasks.started", task=task)
    with_steps = {"ids": [controller], "include_pipeline_steps": True}
    api("tasks.stop_many", **with_steps)
    assert [get(task)["status"] for task in tasks] == ["stopped"] * 3
    for call, tags in (("archive", ["archived"]), ("unarchive", [])):
        api(f"tasks.{call}_many", **with_steps)
        assert [get(task)["system_tags"] for task in tasks] == [tags] * 3
    api("tasks.archive", tasks=[controller])
    assert [get(task)["system_tags"] for task in steps] == [[], []]
    api("tasks.delete_many", **with_steps)
    assert api("tasks.get_all", id=tasks)["tasks"] == []


def test_a_ping_says_that_a_task_is_alive_and_changes_nothing_else(api, new_task, get):
    task = new_task("in_progress")
    before = get(task)
    assert api("tasks.ping", task=task) == {}
    after = get(task)
    for time in ("last_update", "last_change"):
        assert after.pop(time) > before.pop(time)
    assert after.pop("active_duration") == 0
    assert after == before
    assert api("tasks.ping", task="nobody") == {}


# Editing


@pytest.mark.parametrize("status", STATES)
def test_a_task_is_edited_as_a_draft_or_by_force(api, new_task, get, status):
    task = new_task(status)
    answer = api.send("tasks.edit", task=task, name="another name")
    assert answer.status_code == 200 if status == "created" else refused(answer) == 110
    api("tasks.edit", task=task, name="forced name", force=True)
    assert get(task)["name"] == "forced name"


def test_what_only_describes_a_task_is_a_change_and_no_update(api, new_task, get):
    task = new_task()
    for call in ("tasks.edit", "tasks.update"):
        before = get(task)
        api(call, task=task, comment=f"by {call}", tags=[call])
        after = get(task)
        assert after["last_update"] == before["last_update"] <= before["last_change"] < after["last_change"]
    api("tasks.edit", task=task, runtime={"a": 1})
    assert get(task)["last_update"] == get(task)["last_change"] > after["last_change"]
    assert api("tasks.update", task=task, status="published", runtime={"a": 2}) == {
        "updated": 0,
        "fields": {},
    }


def test_a_state_may_be_edited_and_has_to_be_one(api, new_task, get):
    task = new_task()
    api("tasks.edit", task=task, status="queued")
    assert get(task)["status"] == "queued"
    assert api("tasks.dequeue", task=task)["updated"] == 1
    assert get(task)["status"] == "created"
    assert refused(api.send("tasks.edit", task=task, status="asleep")) == 12


def test_editing_merges_what_is_nested_one_level_deep(api, new_task, get):
    execution = {"framework": "sklearn", "artifacts": [ARTIFACT]}
    task = new_task(script={"repository": "git@here", "branch": "main"}, execution=execution)
    change = {"script": {"branch": "dev"}, "execution": {"queue": "q"}, "output_dest": "s3://bucket"}
    api("tasks.edit", task=task, **change)
    edited = get(task)
    assert (edited["script"]["repository"], edited["script"]["branch"]) == ("git@here", "dev")
    assert edited["execution"] == {"framework": "sklearn", "queue": "q", "artifacts": [OUTPUT]}
    assert edited["output"] == {"destination": "s3://bucket"}


def test_editing_one_kind_of_models_keeps_the_other(api, new_task, get, model):
    task = new_task(models={"input": [{"name": "in", "model": model}]})
    api("tasks.edit", task=task, models={"output": [{"name": "out", "model": model}]})
    assert [get(task)["models"][kind][0]["name"] for kind in ("input", "output")] == ["in", "out"]


@pytest.mark.parametrize(
    ("field", "first", "second"),
    [
        ("hyperparams", {"A": {"a": {"value": "1"}}}, {"B": {"b": {"value": "2"}}}),
        ("configuration", {"one": {"value": "1"}}, {"two": {"value": "2"}}),
        ("runtime", {"a": 1, "b": 2}, {"b": 3}),
        ("container", {"image": "python", "arguments": "-e A=1"}, {"image": "debian"}),
        ("tags", ["a", "b"], ["c"]),
    ],
)
def test_editing_replaces_the_other_fields_whole(api, new_task, get, field, first, second):
    task = new_task()
    api("tasks.edit", task=task, **{field: first})
    api("tasks.edit", task=task, **{field: second})
    assert list(get(task)[field]) == list(second)


def test_a_field_that_is_null_stays_as_it_was(api, new_task, get):
    task = new_task(comment="keep", script={"branch": "main"})
    api("tasks.edit", task=task, comment=None, script={"branch": None, "diff": "+"})
    assert (get(task)["comment"], get(task)["script"]["branch"]) == ("keep", "main")


def test_a_task_is_described_anew_in_any_state(api, new_task, get):
    task = new_task("published")
    api("tasks.update", task=task, name="renamed", comment="why", tags=["kept"])
    assert [get(task)[key] for key in ("name", "comment", "tags")] == ["renamed", "why", ["kept"]]


def test_requirements_are_set_as_they_are_given(api, new_task, get):
    task = new_task("in_progress")
    api("tasks.set_requirements", task=task, requirements={"pip": "numpy==2.0", "conda": ""})
    assert get(task)["script"]["requirements"] == {"pip": "numpy==2.0", "conda": ""}


def test_a_task_moves_to_another_project_by_id_and_by_name(api, new_task, get):
    task = new_task()
    api("tasks.move", ids=[task], project_name="moved/here")
    assert api.get("project", get(task)["project"])["name"] == "moved/here"
    other = api.new("project", name="moved/there")
    assert api("tasks.move", ids=[task], project=other) == {"project_id": other}
    assert get(task)["project"] == other
    assert refused(api.send("tasks.move", ids=[task])) == 11
    assert api("tasks.move", ids=[task], project=None) == {"project_id": None}
    assert get(task)["project"] is None


# Hyperparameters and configuration


def parameter(section: str, name: str, value: str) -> dict:
    return {"section": section, "name": name, "value": value, "type": "str", "description": "why"}


ALL_PARAMETERS = {"A": {"a": "1", "b": "2", "c": "new"}, "B": {"b": "3"}}


@pytest.mark.parametrize(
    ("mode", "left"),
    [
        (None, ALL_PARAMETERS),
        ("none", ALL_PARAMETERS),
        ("section", {"A": {"c": "new"}, "B": {"b": "3"}}),
        ("all", {"A": {"c": "new"}}),
    ],
)
def test_hyperparameters_are_added_or_replace_their_section_or_all(api, new_task, get, mode, left):
    task = new_task()
    first = [parameter("A", "a", "1"), parameter("A", "b", "2"), parameter("B", "b", "3")]
    api("tasks.edit_hyper_params", task=task, hyperparams=first)
    new = [parameter("A", "c", "new")]
    api("tasks.edit_hyper_params", task=task, hyperparams=new, replace_hyperparams=mode)
    held = get(task)["hyperparams"]
    assert {s: {name: item["value"] for name, item in items.items()} for s, items in held.items()} == left
    assert held["A"]["c"] == new[0]


def test_hyperparameters_come_back_as_one_list_for_each_task(api, new_task):
    task, empty = new_task(), new_task()
    items = [parameter("A", "a", "1"), parameter("B", "b", "3")]
    api("tasks.edit_hyper_params", task=task, hyperparams=items)
    assert api("tasks.get_hyper_params", tasks=[task, empty])["params"] == [
        {"task": task, "hyperparams": items},
        {"task": empty, "hyperparams": []},
    ]


def test_hyperparameters_are_deleted_by_name_and_by_section(api, new_task, get):
    task = new_task()
    items = [parameter(*names, "1") for names in ("Aa", "Ab", "Bb", "Cc")]
    api("tasks.edit_hyper_params", task=task, hyperparams=items)
    gone = [{"section": "A", "name": "a"}, {"section": "B"}, {"section": "C", "name": "c"}, {"section": "D"}]
    api("tasks.delete_hyper_params", task=task, hyperparams=gone)
    assert {s: list(held) for s, held in get(task)["hyperparams"].items()} == {"A": ["b"]}


@pytest.mark.parametrize("status", STATES)
def test_user_properties_are_open_in_every_state_and_do_not_touch_the_task(api, new_task, get, status):
    task = new_task(status)
    touched = get(task)["last_update"]
    api("tasks.edit_hyper_params", task=task, hyperparams=[parameter("properties", "grade", "A")])
    assert get(task)["hyperparams"]["properties"]["grade"]["value"] == "A"
    assert get(task)["last_update"] == touched
    api("tasks.delete_hyper_params", task=task, hyperparams=[{"section": "properties", "name": "grade"}])
    assert get(task)["hyperparams"] == {}


@pytest.mark.parametrize("status", STATES)
def test_parameters_and_configuration_are_open_in_drafts_and_by_force_while_the_task_runs(
    api, new_task, status
):
    task = new_task(status)
    changes = {
        "tasks.edit_hyper_params": {"hyperparams": [parameter("Args", "a", "1")]},
        "tasks.delete_hyper_params": {"hyperparams": [{"section": "Args", "name": "a"}]},
        "tasks.edit_configuration": {"configuration": [{"name": "net", "value": "x"}]},
        "tasks.delete_configuration": {"configuration": ["net"]},
    }
    for name, change in changes.items():
        for force, is_open in ((False, ("created",)), (True, ("created", "in_progress"))):
            answer = api.send(name, task=task, force=force, **change)
            assert answer.status_code == 200 if status in is_open else refused(answer) == 110


@pytest.mark.parametrize("status", STATES)
def test_what_a_task_made_is_noted_while_it_runs_and_not_afterwards(api, new_task, model, status):
    task = new_task(status)
    changes = {
        "tasks.add_or_update_artifacts": {"artifacts": [ARTIFACT]},
        "tasks.delete_artifacts": {"artifacts": [{"key": "table"}]},
        "tasks.add_or_update_model": {"name": "m", "model": model, "type": "output"},
        "tasks.delete_models": {"models": [{"name": "m", "type": "output"}]},
    }
    for name, change in changes.items():
        answer = api.send(name, task=task, force=True, **change)
        assert answer.status_code == 200 if status in ("created", "in_progress") else refused(answer) == 110


@pytest.mark.parametrize(
    ("call", "field"),
    [
        ("tasks.edit_hyper_params", "hyperparams"),
        ("tasks.delete_hyper_params", "hyperparams"),
        ("tasks.edit_configuration", "configuration"),
        ("tasks.delete_configuration", "configuration"),
        ("tasks.add_or_update_artifacts", "artifacts"),
        ("tasks.delete_artifacts", "artifacts"),
        ("tasks.delete_models", "models"),
    ],
)
def test_a_change_of_nothing_is_refused(api, new_task, call, field):
    assert refused(api.send(call, task=new_task(), **{field: []})) == 12


def test_a_section_is_not_deleted_whole_and_in_part(api, new_task, get):
    task = new_task(hyperparams={"Args": {"a": {"value": "1"}}})
    gone = [{"section": "Args"}, {"section": "Args", "name": "a"}]
    assert refused(api.send("tasks.delete_hyper_params", task=task, hyperparams=gone)) == 15
    assert list(get(task)["hyperparams"]) == ["Args"]


def test_configurations_merge_by_name_unless_all_are_replaced(api, new_task):
    task = new_task()

    def held() -> dict:
        (answer,) = api("tasks.get_configurations", tasks=[task])["configurations"]
        return {item["name"]: item["value"] for item in answer["configuration"]}

    names = ("one", "two", "three")
    one, two, three = ({"name": name, "value": f"{name} = 1", "type": "text"} for name in names)
    api("tasks.edit_configuration", task=task, configuration=[one, two])
    api("tasks.edit_configuration", task=task, configuration=[{**two, "value": "two = 2"}, three])
    assert held() == {"one": "one = 1", "two": "two = 2", "three": "three = 1"}
    api("tasks.delete_configuration", task=task, configuration=["one", "none"])
    assert held() == {"two": "two = 2", "three": "three = 1"}
    (named,) = api("tasks.get_configurations", tasks=[task], names=["three"])["configurations"]
    assert named["configuration"] == [three]
    api("tasks.edit_configuration", task=task, configuration=[one], replace_configuration=True)
    assert held() == {"one": "one = 1"}


def test_the_names_of_configurations_come_without_their_content(api, new_task):
    held = {"net": {"value": "x" * 1000}, "empty": {"value": ""}, "data": {"value": "y"}}
    task, bare = new_task(configuration=held), new_task()
    ask = {"tasks": [task, bare]}
    (named,) = api("tasks.get_configuration_names", **ask)["configurations"]
    assert named == {"task": task, "names": ["data", "net"]}
    (named,) = api("tasks.get_configuration_names", skip_empty=False, **ask)["configurations"]
    assert named == {"task": task, "names": ["data", "empty", "net"]}


# Artifacts and models


def test_artifacts_are_known_by_key_and_mode(api, new_task, get):
    task = new_task()
    as_input = {**ARTIFACT, "mode": "input"}
    other, newer = {**ARTIFACT, "key": "other"}, {**ARTIFACT, "uri": "http://files/newer"}
    for artifacts in ([ARTIFACT, as_input, other], [newer]):
        api("tasks.add_or_update_artifacts", task=task, artifacts=artifacts)
    held = get(task)["execution"]["artifacts"]
    assert [(item["key"], item["mode"], item["uri"]) for item in held] == [
        ("other", "output", ARTIFACT["uri"]),
        ("table", "output", "http://files/newer"),
        ("table", "input", ARTIFACT["uri"]),
    ]
    api("tasks.delete_artifacts", task=task, artifacts=[{"key": "table"}, {"key": "other", "mode": "input"}])
    left = [(item["key"], item["mode"]) for item in get(task)["execution"]["artifacts"]]
    assert left == [("other", "output"), ("table", "input")]


def test_models_are_known_by_name_among_the_inputs_and_among_the_outputs(api, new_task, get, model):
    other = api.new("model", name="other weights")
    task = new_task()
    for name, which, kind in (("m", model, "input"), ("m", model, "output"), ("n", model, "output")):
        api("tasks.add_or_update_model", task=task, name=name, model=which, type=kind)
    api("tasks.add_or_update_model", task=task, name="m", model=other, type="output", iteration=7)
    assert get(task)["models"] == {
        "input": [{"name": "m", "model": model}],
        "output": [{"name": "m", "model": other}, {"name": "n", "model": model}],
    }
    assert get(task)["last_iteration"] == 7
    gone = [{"name": "m", "type": "output"}, {"name": "n", "type": "input"}]
    api("tasks.delete_models", task=task, models=gone)
    left = get(task)["models"]
    assert left == {
        kind: [{"name": name, "model": model}] for kind, name in (("input", "m"), ("output", "n"))
    }


# Clone, reset, delete, archive


@pytest.fixture
def full_task(api, new_task, model) -> str:
    """A task that ran and has something in every field."""
    task = new_task(
        comment="a comment",
        tags=["kept"],
        system_tags=["development", "archived", "other"],
        project=api.new("project", name=f"full {model}"),
        script={"repository": "git@here", "entry_point": "train.py"},
        hyperparams={"Args": {"depth": {"value": "3"}}},
        configuration={"net": {"value": "x"}},
        container={"image": "python"},
        execution={"queue": "q", "framework": "sklearn"},
        output_dest="s3://bucket",
        models={"input": [{"name": "base", "model": api.new("model", name="base")}]},
    )
    api("tasks.add_or_update_artifacts", task=task, artifacts=[ARTIFACT, GIVEN])
    api("tasks.started", task=task)
    api("tasks.edit", task=task, runtime={"seen": 1}, force=True)
    api("models.edit", model=model, task=task)
    api("tasks.add_or_update_model", task=task, name="out", model=model, type="output")
    picture = {"type": "training_debug_image", "metric": "i", "variant": "a", "url": "http://files/i.png"}
    log = {"type": "log", "task": task, "msg": "hello"}
    api.events(scalar(task, "loss", "a", 5, 1), {**picture, "task": task}, log)
    api("tasks.completed", task=task)
    return task


def test_a_clone_is_a_draft_with_the_settings_of_the_task_and_no_results(api, get, full_task):
    source = get(full_task)
    clone = get(api("tasks.clone", task=full_task)["id"])
    settings = "type comment tags project script hyperparams configuration container output"
    same = settings.split()
    assert {key: clone[key] for key in same} == {key: source[key] for key in same}
    assert (clone["name"], clone["status"], clone["parent"]) == ("a task", "created", full_task)
    assert get(api("tasks.clone", task=clone["id"])["id"])["parent"] == full_task
    assert clone["system_tags"] == ["other"]
    assert clone["execution"] == {"framework": "sklearn", "artifacts": [GIVEN]}
    assert clone["models"] == {"input": source["models"]["input"], "output": []}
    assert (clone["runtime"], clone["last_metrics"], clone["last_iteration"]) == ({}, {}, 0)
    assert clone.keys().isdisjoint({"started", "completed", "active_duration"})
    assert api("events.get_task_events", task=clone["id"])["events"] == []


def test_the_settings_in_a_clone_call_replace_those_of_the_source(api, get, full_task):
    told = {
        "name": "told",
        "comment": "",
        "tags": ["b", "a"],
        "hyperparams": {"Args": {"depth": {"value": "9"}}},
    }
    options = {f"new_task_{key}": value for key, value in told.items()}
    options |= {"new_project_name": "clones/of mine", "execution_overrides": {"framework": "xgboost"}}
    answer = api("tasks.clone", task=full_task, **options)
    clone = get(answer["id"])
    assert get(full_task)["hyperparams"]["Args"]["depth"]["value"] == "3"
    assert answer["new_project"] == {"id": clone["project"], "name": "clones/of mine"}
    assert (clone["name"], clone["comment"], clone["tags"]) == ("told", "a comment", ["a", "b"])
    assert clone["hyperparams"]["Args"]["depth"]["value"] == "9"
    assert clone["execution"]["framework"] == "xgboost"


def test_a_clone_may_refer_to_what_is_gone_unless_that_is_checked(api, get, new_task, model):
    source = new_task(models={"input": [{"name": "in", "model": model}]})
    api("models.delete", model=model, force=True)
    clone = get(api("tasks.clone", task=source)["id"])
    assert clone["models"]["input"] == [{"name": "in", "model": f"__DELETED__{model}"}]
    wrong = (
        ({"validate_references": True}, 201),
        ({"execution_overrides": {"model": "nobody"}}, 201),
        ({"new_task_input_models": [{"name": "in", "model": "nobody"}]}, 201),
        ({"new_task_parent": "nobody"}, 101),
        ({"new_task_project": "nowhere"}, 401),
        ({"new_task_tags": ["__$any"]}, 16),
    )
    for options, subcode in wrong:
        assert refused(api.send("tasks.clone", task=source, **options)) == subcode


def test_a_reset_leaves_a_draft_without_what_the_run_made(api, get, full_task, model):
    before = get(full_task)
    answer = api("tasks.reset", task=full_task, return_file_urls=True)
    after = get(full_task)
    same = ("name", "comment", "tags", "script", "hyperparams", "configuration", "container", "created")
    assert {key: after[key] for key in same} == {key: before[key] for key in same}
    assert after["status"] == "created"
    assert after["execution"]["artifacts"] == [GIVEN]
    assert "queue" not in after["execution"]
    assert after["models"] == {"input": before["models"]["input"], "output": []}
    assert (after["runtime"], after["last_metrics"], after["last_iteration"]) == ({}, {}, 0)
    assert after.keys().isdisjoint({"started", "completed", "active_duration"})
    assert api("events.get_task_events", task=full_task)["events"] == []
    assert refused(api.send("models.get_by_id", model=model)) == 201
    assert answer["deleted_models"] == 1
    assert (after["status_reason"], after["status_message"]) == ("reset", "reset")
    assert answer["urls"] == {
        "artifact_urls": [ARTIFACT["uri"]],
        "event_urls": [],
        "model_urls": ["http://files/weights.bin"],
    }
    assert api("tasks.reset", task=full_task)["urls"] is None


def test_a_reset_that_clears_all_leaves_no_code(api, get, full_task):
    before = get(full_task)
    api("tasks.reset", task=full_task, clear_all=True)
    task = get(full_task)
    assert task["execution"] == {"artifacts": []}
    assert task["script"] == {"binary": "python", "repository": "", "requirements": {}}
    assert task["hyperparams"] == before["hyperparams"] != {}


def test_a_published_task_is_reset_by_force_only(api, get, new_task):
    task = new_task("published")
    assert refused(api.send("tasks.reset", task=task)) == 110
    api("tasks.reset", task=task, force=True)
    assert get(task)["status"] == "created"


def test_a_published_model_survives_the_reset_of_its_task_which_needs_force(api, get, full_task, model):
    api("models.set_ready", model=model, publish_task=False)
    before = get(full_task)
    assert refused(api.send("tasks.reset", task=full_task)) == 123
    assert get(full_task) == before
    answer = api("tasks.reset", task=full_task, force=True, return_file_urls=True)
    assert (answer["deleted_models"], answer["urls"]["model_urls"]) == (0, [])
    assert api.get("model", model)["ready"] is True
    assert "task" not in api.get("model", model)


def test_a_reset_takes_a_task_out_of_its_queue(api, get, new_task):
    task = new_task("queued")
    assert api("tasks.reset", task=task)["dequeued"] == {"removed": 1}
    assert get(task)["status"] == "created"
    (item,) = api("tasks.reset_many", ids=[task])["succeeded"]
    assert item["dequeued"] is False


def test_files_of_published_models_are_never_named_for_deletion(api, get, full_task):
    published = api.new("model", name="kept", uri="http://files/kept.bin", task=full_task, ready=True)
    answer = api("tasks.delete_many", ids=[full_task], force=True, return_file_urls=True)
    (item,) = answer["succeeded"]
    assert item["urls"] == {
        "artifact_urls": [ARTIFACT["uri"]],
        "event_urls": [],
        "model_urls": ["http://files/weights.bin"],
    }
    assert (item["deleted"], item["deleted_models"], item["updated_models"]) == (True, 1, 1)
    assert api.get("model", published)["ready"] is True


def test_models_are_kept_where_the_call_says_so(api, full_task, model):
    answer = api("tasks.delete", task=full_task, force=True, delete_output_models=False)
    assert (answer["deleted_models"], answer["updated_models"], answer["urls"]) == (0, 1, None)
    assert api.get("model", model)["task"] == f"__DELETED__{full_task}"


@pytest.mark.parametrize("action", ["tasks.reset", "tasks.delete"])
def test_a_model_that_another_task_takes_in_survives_its_task(api, new_task, full_task, model, action):
    user = new_task(models={"input": [{"name": "m", "model": model}]})
    assert api(action, task=full_task, force=True)["deleted_models"] == 0
    assert api.get("model", model)["id"] == model
    api("tasks.delete", task=user)


def test_deleting_takes_everything_of_the_task_along_and_frees_what_stays(api, get, full_task, model):
    child = api.new("task", parent=full_task)
    kept = api.new("model", name="kept weights", task=full_task, ready=True)
    answer = api("tasks.delete", task=full_task, force=True, return_file_urls=True)
    assert (answer["deleted"], answer["deleted_models"]) == (True, 1)
    assert (answer["updated_children"], answer["updated_models"]) == (1, 1)
    assert answer["urls"]["model_urls"] == ["http://files/weights.bin"]
    assert refused(api.send("tasks.get_by_id", task=full_task)) == 101
    assert refused(api.send("events.get_task_events", task=full_task)) == 101
    assert refused(api.send("models.get_by_id", model=model)) == 201
    assert get(child)["parent"] == api.get("model", kept)["task"] == f"__DELETED__{full_task}"
    api("tasks.validate", **get(child))
    assert get(api("tasks.clone", task=child)["id"])["parent"] == child


def test_a_task_that_did_or_published_something_is_deleted_archived_or_by_force_only(api, new_task):
    draft, done, archived, parent, maker = map(
        new_task, ("created", *["completed"] * 2, "created", "created")
    )
    child = new_task(parent=parent)
    api("tasks.publish", task=child, force=True)
    api.new("model", task=maker, ready=True)
    api("tasks.archive", tasks=[archived])
    for task in (done, parent, maker):
        assert refused(api.send("tasks.delete", task=task)) == 123
    for task, force in ((draft, False), (archived, False), (done, True), (parent, True), (maker, True)):
        assert api("tasks.delete", task=task, force=force)["deleted"] is True


def test_archiving_is_a_tag_that_comes_and_goes(api, get, new_task):
    task = new_task("published", system_tags=["other"])
    assert api("tasks.archive", tasks=[task, task], status_reason="old") == {"archived": 1}
    assert (get(task)["system_tags"], get(task)["status_reason"]) == (["archived", "other"], "old")
    assert api("tasks.unarchive", tasks=[task]) == {"unarchived": 1}
    assert get(task)["system_tags"] == ["other"]
    assert refused(api.send("tasks.archive", tasks=[task, "nobody"])) == 101
    assert get(task)["system_tags"] == ["other"]


def test_what_is_archived_neither_waits_nor_runs(api, get, new_task):
    waiting, running = new_task("queued"), new_task("in_progress")
    api("tasks.archive_many", ids=[waiting, running])
    assert [get(task)["status"] for task in (waiting, running)] == ["created", "stopped"]
    (queue,) = api("queues.get_all", name="^waiting$")["queues"]
    assert waiting not in [entry["task"] for entry in queue["entries"]]


@pytest.mark.parametrize(
    ("action", "status", "result"),
    [
        ("archive", "completed", {"archived": True}),
        ("unarchive", "completed", {"unarchived": True}),
        ("delete", "created", {"deleted": True}),
        ("publish", "completed", {"updated": 1}),
        ("stop", "in_progress", {"updated": 1}),
        ("reset", "completed", {"updated": 1}),
        ("enqueue", "created", {"queued": True}),
    ],
)
def test_a_call_for_many_tasks_lists_successes_and_failures(api, new_task, action, status, result):
    good = [new_task(status), new_task(status)]
    options = {"queue_name": "waiting"} if action == "enqueue" else {}
    answer = api(f"tasks.{action}_many", ids=[good[0], "nobody", good[1]], **options)
    assert [item["id"] for item in answer["succeeded"]] == good
    assert all(item.items() >= result.items() for item in answer["succeeded"])
    assert [(item["id"], item["error"]["codes"]) for item in answer["failed"]] == [("nobody", [400, 101])]


def test_many_tasks_are_dequeued_also_those_that_are_gone(api, get, new_task):
    tasks = [new_task("queued"), new_task("completed"), "nobody"]
    answer = api("tasks.dequeue_many", ids=tasks)
    assert [(item["id"], item["updated"]) for item in answer["succeeded"]] == list(
        zip(tasks, (1, 0, 0), strict=True)
    )
    assert all(item["dequeued"] is True for item in answer["succeeded"])
    assert [get(task)["status"] for task in tasks[:2]] == ["created", "completed"]
    assert refused(api.send("tasks.dequeue_many", ids=tasks, new_status="asleep")) == 12


def test_many_tasks_are_checked_before_they_wait_and_the_queue_may_be_unwatched(api, get, new_task, model):
    sound, broken = new_task(), new_task(models={"input": [{"name": "in", "model": model}]})
    api("models.delete", model=model, force=True)
    options = {"queue_name": "waiting", "validate_tasks": True, "verify_watched_queue": True}
    answer = api("tasks.enqueue_many", ids=[sound, broken], **options)
    assert [item["id"] for item in answer["succeeded"]] == [sound]
    assert [item["error"]["codes"] for item in answer["failed"]] == [[400, 201]]
    assert answer["queue_watched"] is False
    assert get(broken)["status"] == "created"


def test_a_task_that_one_of_many_calls_refuses_is_left_as_it_was(api, get, new_task):
    task = new_task("queued")
    before = get(task)
    answer = api("tasks.publish_many", ids=[task])
    assert [item["error"]["codes"] for item in answer["failed"]] == [[400, 110]]
    assert get(task) == before
    (queue,) = api("queues.get_all", name="^waiting$")["queues"]
    assert task in [entry["task"] for entry in queue["entries"]]


# Older clients


@pytest.mark.parametrize("version", ["v2.31", "v2.13", "v2.12", "v2.9", "v2.8", "v2.5", "v1.5"])
def test_older_clients_find_the_fields_they_know(api, get, full_task, model, version):
    has_models, has_parameters = version not in ("v2.31", "v2.13"), version in ("v2.8", "v2.5", "v1.5")
    before = get(full_task)
    (listed,) = api("tasks.get_all", version=version, id=[full_task])["tasks"]
    single = get(full_task, version)
    assert get(full_task) == before
    for task in (listed, single):
        execution = task["execution"]
        assert (execution.get("model") == task["models"]["input"][0]["model"]) is has_models
        assert (execution.get("docker_cmd") == "python") is has_models
        assert (task["output"].get("model") == model) is has_models
        assert (execution.get("parameters") == {"depth": "3"}) is has_parameters


def test_parameters_of_other_sections_carry_their_section_for_older_clients(api, get, new_task):
    task = new_task(hyperparams={"Args": {"a": {"value": "1"}}, "General": {"b": {"value": "2"}}})
    assert get(task, "v2.8")["execution"]["parameters"] == {"a": "1", "General/b": "2"}
