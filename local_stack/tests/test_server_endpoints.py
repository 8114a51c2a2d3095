"""The local server has every endpoint that the ClearML clients call, and no call at all crashes it."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from local_stack import server
from local_stack.server.errors import ApiError
from local_stack.server.registry import Endpoint
from local_stack.server.schemas import validate
from local_stack.server.services import ENDPOINTS, answer_call
from local_stack.server.store import KINDS, Store
from local_stack.tests import sdk_schemas

# What clearml 2.1, clearml-agent 3.0 and clearml-serving 1.3 call.
CALLED = """
    auth.login auth.validate_token users.get_current_user users.get_all server.info debug.ping
    projects.get_all projects.create projects.get_by_id projects.update tasks.create tasks.get_by_id
    tasks.get_all tasks.started tasks.edit tasks.edit_hyper_params tasks.get_hyper_params
    tasks.set_requirements tasks.add_or_update_artifacts tasks.completed tasks.add_or_update_model
    tasks.clone tasks.ping tasks.enqueue tasks.dequeue tasks.stopped tasks.failed tasks.publish tasks.reset
    tasks.delete tasks.delete_artifacts tasks.delete_hyper_params tasks.stop tasks.edit_configuration
    tasks.get_configurations tasks.archive tasks.unarchive events.add events.add_batch
    events.scalar_metrics_iter_histogram events.get_task_single_value_metrics events.get_task_log
    events.get_task_plots events.debug_images events.get_task_events models.create models.get_by_id
    models.edit models.get_all models.add_or_update_metadata models.set_ready models.delete
    models.archive_many models.unarchive_many models.update_for_task queues.get_by_id queues.get_all
    queues.create queues.get_next_task queues.get_num_entries workers.register workers.unregister
    workers.status_report workers.get_all
"""


def test_every_call_of_the_clients_is_known(api):
    """A call without parameters may be wrong, but it is never unknown."""
    assert [name for name in CALLED.split() if api.send(name).status_code == 404] == []


def test_the_session_s_own_calls_say_who_is_asking_and_who_answers(api):
    valid = {"valid": True, "user": "local_user", "company": "local"}
    assert api("auth.validate_token", token=api.token) == valid
    assert api("users.get_current_user")["user"]["name"] == "local user"
    assert [user["id"] for user in api("users.get_all")["users"]] == ["local_user"]
    assert api("server.info")["version"] == "2.1.0"


# "key_id" is the name that auth.revoke_credentials no longer has for its "access_key".
NOT_REQUIRED = {"timestamp", "key_id"}
# Without a project, the server answers for all of them.
ALL_PROJECTS = {"projects.get_hyper_parameters", "projects.get_model_metadata_keys"}


def test_every_endpoint_that_the_sdk_has_a_schema_for_requires_what_the_schema_requires(api):
    for name, endpoint in ENDPOINTS.items():
        schema = sdk_schemas.schemas().get(("request", name), {})
        needed = set(schema.get("required", [])) - NOT_REQUIRED
        if name in ALL_PROJECTS:
            needed.remove("project")
        assert set(endpoint.required) >= needed, name


# Invalid calls

WRONG = {"string": 5, "array": 5, "object": 5, "integer": "x", "number": "x", "boolean": "x"}


def wrong_fields() -> Iterator[tuple[str, str, Any]]:
    """Yield (call, field, value of a wrong type) for what the SDK's schemas give one type."""
    for (side, name), schema in sdk_schemas.schemas().items():
        for field, value in schema.get("properties", {}).items() if side == "request" else ():
            value = schema["definitions"][value["$ref"].rsplit("/", 1)[1]] if "$ref" in value else value
            kinds = {*([value["type"]] if isinstance(value.get("type"), str) else value.get("type", []))}
            if len(kinds - {"null"}) == 1:
                yield name, field, WRONG[(kinds - {"null"}).pop()]


def test_a_value_of_the_wrong_type_is_refused_by_the_name_of_its_field():
    """Listings take more: any field of their documents may be one value or several."""
    taken = []
    for name, field, value in wrong_fields():
        if ".get_all" not in name and name != "auth.login":  # which takes its parameter from the query
            endpoint = ENDPOINTS.get(name) or Endpoint(name, lambda store, request: request)
            try:
                validate(value, endpoint.schema(field), field)
            except ApiError as error:
                assert (error.status, field in str(error)) == (400, True), (name, field)
            else:
                taken.append((name, field))
    assert taken == []


def snapshot(store: Store) -> dict:
    """All documents as they stand in memory."""
    return {kind: json.dumps(store.all(kind)) for kind in KINDS}


def stored(store: Store) -> dict:
    """All documents as a restart would find them."""
    found: dict[str, dict] = {kind: {} for kind in KINDS}
    for kind, key, body, patch in store.db.execute("SELECT kind, id, body, patch FROM documents"):
        found[kind][key] = json.loads(body) | json.loads(patch or "{}")
    return found


@pytest.mark.parametrize("body", [None, True, 3, "text", [], [1], {"a": []}, {"task": {"task": {}}}])
def test_no_body_of_the_wrong_kind_crashes_an_endpoint(api, body):
    codes = {name: api.request("POST", f"/{name}", json=body).status_code for name in ENDPOINTS}
    forbidden = {"server.config", "server.endpoints", "server.get_stats"}
    assert {name: code for name, code in codes.items() if code not in (200, 400)}.keys() <= forbidden
    assert api("tasks.get_types")


def failing_calls(task: str, model: str) -> dict[str, tuple[str, dict]]:
    """Calls that fail after they have begun to change something."""
    return {
        "a pipeline that is cloned into a new project before its queue is looked for": (
            "pipelines.start_pipeline",
            {"task": task, "queue": "nobody", "new_project_name": "a new one"},
        ),
        "tasks of which the last is gone": ("tasks.archive", {"tasks": [task, "nobody"]}),
        "a model whose task may not be published": (
            "models.set_ready",
            {"model": model, "publish_task": True},
        ),
        "archiving, of which the second fails": ("tasks.archive", {"tasks": [task, "nobody"]}),
        "moving, of which the second fails": (
            "tasks.move",
            {"ids": [task, "nobody"], "project_name": "a new one"},
        ),
        "text that cannot be stored": (
            "tasks.create",
            {"name": "abc", "type": "custom", "project": "\ud800"},
        ),
    }


@pytest.fixture
def ids(store) -> tuple[str, str]:
    """A task that waits, and its model."""
    task = answer_call(store, "tasks.create", {"name": "a task", "type": "custom"})["id"]
    answer_call(store, "tasks.enqueue", {"task": task, "queue_name": "waiting"})
    model = {"name": "a model", "uri": "u", "task": task, "ready": False}
    return task, answer_call(store, "models.create", model)["id"]


@pytest.mark.parametrize("case", failing_calls("", ""))
def test_a_call_that_fails_changes_nothing(store, ids, case):
    before = snapshot(store), stored(store)
    with pytest.raises(ApiError):
        answer_call(store, *failing_calls(*ids)[case])
    assert (snapshot(store), stored(store)) == before


def test_a_handler_that_crashes_is_logged_and_answers_no_more_than_its_kind(store, ids, monkeypatch, caplog):
    def crash(store: Store, request: dict) -> dict:
        store.put("task", {**store.get("task", ids[0]), "name": "half done"})
        raise ZeroDivisionError("a secret")

    monkeypatch.setitem(ENDPOINTS, "tasks.ping", Endpoint("tasks.ping", crash))
    before = snapshot(store), stored(store)
    with pytest.raises(ApiError) as error:
        answer_call(store, "tasks.ping", {})
    assert error.value.status == 500
    assert str(error.value) == "General server error in tasks.ping: ZeroDivisionError"
    assert "a secret" in caplog.text
    assert (snapshot(store), stored(store)) == before


def test_no_state_imports_an_endpoint():
    """The floors, from below: store and errors, states, endpoints, the application."""
    states = list(Path(server.__path__[0]).glob("*/state.py"))
    assert len(states) >= 9
    for state in states:
        assert not re.search("(?m)^(from|import) .*(endpoints|services)", state.read_text()), state
