"""What the ClearML server refuses, and the code and subcode that it refuses it with."""

import pytest

from local_stack.tests.api import refused

NOBODY = "0" * 32
PARAMETER = {"section": "Args", "name": "a", "value": "1"}
ARTIFACT = {"key": "a", "type": "custom", "uri": "file:///a"}


def plain(*names: str) -> dict[str, dict]:
    """Return calls that need nothing but an id."""
    return {name: {} for name in names}


# Calls that name a task, a model, a queue or a project which is not there.
OF_TASKS: dict[str, dict] = {
    **plain(
        "clone",
        "close",
        "completed",
        "delete",
        "edit",
        "failed",
        "get_by_id",
        "publish",
        "reset",
        "started",
        "stop",
        "stopped",
        "update",
    ),
    "enqueue": {"queue_name": "default"},
    "set_requirements": {"requirements": {}},
    "add_or_update_artifacts": {"artifacts": [ARTIFACT]},
    "delete_artifacts": {"artifacts": [{"key": "a"}]},
    "add_or_update_model": {"name": "a", "type": "input", "model": "b"},
    "delete_models": {"models": [{"name": "a", "type": "input"}]},
    "edit_hyper_params": {"hyperparams": [PARAMETER]},
    "delete_hyper_params": {"hyperparams": [{"section": "Args"}]},
    "edit_configuration": {"configuration": [{"name": "a", "value": "1"}]},
    "delete_configuration": {"configuration": ["a"]},
}
OF_EVENTS: dict[str, dict] = {
    **plain(
        "delete_for_task",
        "get_task_log",
        "get_task_events",
        "get_task_plots",
        "scalar_metrics_iter_histogram",
        "get_task_latest_scalar_values",
        "get_scalar_metrics_and_variants",
        "get_vector_metrics_and_variants",
    ),
    "get_scalar_metric_data": {"metric": "a"},
    "scalar_metrics_iter_raw": {"metric": {"metric": "a"}},
    "get_debug_image_sample": {"metric": "a", "variant": "b"},
    "get_plot_sample": {"metric": "a"},
}
OF_MODELS: dict[str, dict] = {
    **plain("get_by_id", "edit", "update", "delete", "set_ready"),
    "add_or_update_metadata": {"metadata": [{"key": "a", "type": "str", "value": "1"}]},
    "delete_metadata": {"keys": ["a"]},
}
OF_QUEUES: dict[str, dict] = {
    **plain("get_by_id", "update", "delete", "get_next_task", "peek_task", "get_num_entries", "clear_queue"),
    "add_or_update_metadata": {"metadata": [{"key": "a", "type": "str", "value": "1"}]},
    "delete_metadata": {"keys": ["a"]},
}
OF_PROJECTS: dict[str, dict] = {
    **plain("get_by_id", "update", "delete", "validate_delete"),
    "move": {"new_location": "elsewhere"},
    "merge": {"destination_project": "b"},
}


@pytest.mark.parametrize(
    ("call", "request_", "subcode"),
    [
        (f"{service}.{name}", {field: NOBODY, **more}, subcode)
        for service, field, calls, subcode in (
            ("tasks", "task", OF_TASKS, 101),
            ("events", "task", OF_EVENTS, 101),
            ("models", "model", OF_MODELS, 201),
            ("queues", "queue", OF_QUEUES, 701),
            ("projects", "project", OF_PROJECTS, 401),
        )
        for name, more in calls.items()
    ],
)
def test_an_id_that_nothing_has_is_refused(api, call, request_, subcode):
    assert refused(api.send(call, **request_)) == subcode


@pytest.mark.parametrize(
    ("call", "request_"),
    [
        ("tasks.get_by_id", {}),
        ("tasks.create", {"type": "training"}),
        ("models.create", {"uri": "file:///a"}),
        ("queues.create", {}),
        ("projects.create", {}),
        ("tasks.edit", {"name": "a name"}),
    ],
)
def test_a_field_that_is_missing_is_refused(api, call, request_):
    assert refused(api.send(call, **request_)) in (11, 12)


@pytest.mark.parametrize("kind", ["task", "model", "queue", "project"])
def test_a_name_that_is_too_short_is_refused(api, kind):
    more = {"task": {"type": "training"}, "model": {"uri": "file:///a"}}.get(kind, {})
    assert not api.send(f"{kind}s.create", name="ab", **more).is_success


@pytest.mark.parametrize("field", ["name", "comment"])
def test_an_expression_that_is_malformed_is_refused(api, field):
    assert refused(api.send("tasks.get_all_ex", **{field: "(unclosed"})) == 21


@pytest.mark.parametrize(
    "request_",
    [
        {"page": -1, "page_size": 10},
        {"page": "one"},
        {"last_update": ">=yesterday"},
        {"only_fields": 1},
        {"order_by": {"a": 1}},
        {"filters": {"tags": "a"}},
        {"_any_": {"pattern": "a"}},
        {"_any_": {"fields": ["name"]}},
    ],
)
def test_a_list_that_is_asked_for_wrongly_is_refused(api, request_):
    assert refused(api.send("tasks.get_all_ex", **request_)) > 0


# States: each move with what it is refused from

FROM = {
    "created": (),
    "queued": ("enqueue",),
    "in_progress": ("started",),
    "stopped": ("started", "stopped"),
    "failed": ("started", "failed"),
    "completed": ("started", "completed"),
    "published": ("started", "stopped", "publish"),
}


@pytest.mark.parametrize("state", FROM)
@pytest.mark.parametrize(
    "move", ["started", "stopped", "failed", "completed", "publish", "enqueue", "reset", "edit"]
)
def test_a_move_is_made_or_refused_as_on_the_server(api, state, move):
    allowed = {
        "started": {"created", "queued", "in_progress", "stopped", "completed"},
        "stopped": {"queued", "in_progress", "stopped", "failed"},
        "failed": {"in_progress", "stopped", "failed"},
        "completed": {"in_progress", "stopped", "completed"},
        "publish": {"stopped", "failed", "completed"},
        "enqueue": {"created", "stopped", "failed"},
        "reset": set(FROM) - {"published"},
        "edit": {"created"},
    }
    more = {"enqueue": {"queue_name": "default"}, "edit": {"name": "another name"}}
    task = api.new("task")
    for step in FROM[state]:
        api(f"tasks.{step}", task=task, **more.get(step, {}))
    assert api.get("task", task)["status"] == state
    answer = api.send(f"tasks.{move}", task=task, **more.get(move, {}))
    if state in allowed[move]:
        assert answer.is_success, answer.text
    elif (state, move) == ("queued", "enqueue"):
        assert refused(answer) == 706
    else:
        assert refused(answer) == 110
        assert api.get("task", task)["status"] == state


# Queues and workers


def test_a_task_is_taken_only_out_of_the_queue_that_it_is_in(api):
    queue, task = api.new("queue", name="waiting"), api.new("task")
    for call in (
        "remove_task",
        "move_task_forward",
        "move_task_backward",
        "move_task_to_front",
        "move_task_to_back",
    ):
        assert refused(api.send(f"queues.{call}", queue=queue, task=task)) == 703
    api("tasks.enqueue", task=task, queue=queue)
    assert refused(api.send("queues.add_task", queue=queue, task=task)) == 706


def test_a_queue_is_made_once(api):
    api.new("queue", name="only once")
    assert refused(api.send("queues.create", name="only once")) == 801


# Callers


@pytest.mark.parametrize(
    ("headers", "subcode"),
    [
        ({}, 20),
        ({"Authorization": "Bearer not.a.token"}, 30),
        ({"Authorization": "Basic bm9ib2R5Om5vdGhpbmc="}, 22),
        ({"Authorization": "Basic ?"}, 21),
    ],
)
def test_a_caller_who_is_not_known_is_refused(api, headers, subcode):
    with api.connect() as client:
        meta = client.post("/tasks.get_all", json={}, headers=headers).json()["meta"]
    assert (meta["result_code"], meta["result_subcode"]) == (401, subcode)


def test_an_endpoint_that_is_not_there_is_named(api):
    answer = api.send("tasks.no_such_call")
    meta = answer.json()["meta"]
    assert (meta["result_code"], meta["result_subcode"], meta["endpoint"]["name"]) == (
        404,
        0,
        "tasks.no_such_call",
    )
