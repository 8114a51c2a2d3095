"""The local server has every endpoint that the ClearML clients call, and no call at all crashes it."""

import json
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from local_stack import server
from local_stack.server.errors import ApiError
from local_stack.server.registry import Endpoint
from local_stack.server.schemas import Map
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


def test_every_endpoint_that_the_sdk_has_a_schema_for_requires_what_the_schema_requires(api):
    for name, endpoint in ENDPOINTS.items():
        schema = sdk_schemas.schemas().get(("request", name), {})
        # "key_id" is the name that auth.revoke_credentials no longer has for its "access_key".
        assert set(endpoint.required) >= set(schema.get("required", [])) - {"timestamp", "key_id"}, name


# Invalid calls


class Fuzzer:
    """Makes random requests: some valid, some nearly valid, some of any content."""

    WORDS = (
        "", "x", "name", "a.b", "-2", "__$all", "__$not", "-tag", "archived", "(", "2026-01-01",
        ">=2026-01-01", ">=never", "created", "queued", "log", "plot", "training_stats_scalar", "input",
        "output", "asc", "\x00", "\ud800", "x" * 3000, "top/.hidden/name", "properties", "1_1", "12",
    )  # fmt: skip
    NUMBERS = (0, 1, -1, 3, 2**31, -(2**31), 2**63 - 1, 2**63, -(2**63) - 1, 2**200, 0.5, -1e308, 1e308)
    KEYS = (
        "key", "name", "metric", "variants", "task", "model", "type", "mode", "section", "input", "output",
        "artifacts", "fields", "pattern", "datetime", "value", "iter", "timestamp", "model_event",
    )  # fmt: skip

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.ids: dict[str, str] = {}

    def anything(self, depth: int = 0) -> Any:
        kind = self.random.randrange(8 if depth < 3 else 6)
        if kind < 2:
            return self.random.choice(self.WORDS)
        if kind == 2:
            return self.random.choice(self.NUMBERS)
        if kind == 3:
            return self.random.choice((None, True, False, [], {}))
        if kind < 6:
            return self.random.choice(list(self.ids.values()))
        items = [self.anything(depth + 1) for _ in range(self.random.randrange(4))]
        return items if kind == 6 else {self.random.choice(self.KEYS): item for item in items}

    def value(self, schema: Any, field: str) -> Any:
        """A value of the schema, which may still make no sense."""
        if self.random.random() < 0.1:
            return self.anything()
        match schema:
            case list():
                return [self.value(schema[0], field) for _ in range(self.random.randrange(3))]
            case dict():
                return {
                    key.rstrip("!"): self.value(inner, key.rstrip("!"))
                    for key, inner in schema.items()
                    if key.endswith("!") or self.random.random() < 0.3
                }
            case Map():
                return {self.random.choice(self.WORDS): self.value(schema.values, field)}
            case set():
                return self.random.choice(sorted(schema))
            case range():
                return self.random.choice((0, 1, 2, 7))
            case tuple():
                return self.value(self.random.choice(schema), field)
            case type() if schema is str:
                known = self.ids.get(field.removesuffix("s"))
                return known if known and self.random.random() < 0.8 else self.random.choice(self.WORDS)
            case type() if schema in (int, float):
                return self.random.choice(self.NUMBERS)
            case type() if schema is bool:
                return self.random.random() < 0.5
            case _:
                return self.anything()

    def request(self, name: str) -> dict:
        endpoint = ENDPOINTS[name]
        listed = sdk_schemas.schemas().get(("request", name), {}).get("properties", {})
        optional = sorted({*listed} - {*endpoint.required})
        chosen = self.random.sample(optional, min(len(optional), self.random.randrange(5)))
        return {field: self.value(endpoint.schema(field), field) for field in (*endpoint.required, *chosen)}


def populate(store: Store, fuzzer: Fuzzer) -> None:
    """Make new documents for those of the fuzzer's ids that do not exist any more."""
    number = fuzzer.random.getrandbits(64)
    makers = {
        "project": ("projects.create", {"name": f"project {number}/child"}),
        "task": ("tasks.create", {"name": "a task", "type": "training"}),
        "model": ("models.create", {"name": "a model", "uri": "u", "ready": False}),
        "queue": ("queues.create", {"name": f"queue {number}"}),
    }
    for kind, (name, fields) in makers.items():
        if store.get(kind, fuzzer.ids.get(kind)) is None:
            fuzzer.ids[kind] = answer_call(store, name, fields)["id"]
            if kind == "task":
                event = {"task": fuzzer.ids[kind], "type": "plot", "metric": "m", "variant": "v"}
                answer_call(store, "events.add_batch", {"batch": [event]})
    answer_call(store, "workers.register", {"worker": "worker", "queues": [fuzzer.ids["queue"]]})
    fuzzer.ids |= {"worker": "worker", "id": fuzzer.ids["task"], "parent": fuzzer.ids["task"]}


def snapshot(store: Store) -> dict:
    """All documents as they stand in memory."""
    return {kind: json.dumps(store.all(kind)) for kind in KINDS}


def stored(store: Store) -> dict:
    """All documents as a restart would find them."""
    found: dict[str, dict] = {kind: {} for kind in KINDS}
    for kind, key, body, patch in store.db.execute("SELECT kind, id, body, patch FROM documents"):
        found[kind][key] = json.loads(body) | json.loads(patch or "{}")
    return found


def every_call(seed: int, rounds: int) -> Iterator[str]:
    order = random.Random(seed)
    for _ in range(rounds):
        yield from order.sample(sorted(ENDPOINTS), len(ENDPOINTS))


@pytest.mark.parametrize("seed", range(4))
def test_no_random_call_crashes_breaks_a_schema_or_half_succeeds(store, seed):
    fuzzer = Fuzzer(seed)
    answered: set[str] = set()
    for number, name in enumerate(every_call(seed, rounds=8)):
        populate(store, fuzzer)
        request = fuzzer.request(name)
        before = snapshot(store)
        sent = json.dumps(request)
        try:
            answer = json.loads(json.dumps(answer_call(store, name, request), allow_nan=False))
        except ApiError as error:
            assert 400 <= error.status < 500, (name, request)
            assert str(error), (name, request)
            assert snapshot(store) == before, (name, request)
        else:
            answered.add(name)
            assert sdk_schemas.problems(name, answer) == [], (name, request)
        assert json.dumps(request) == sent, name
        if number % 100 == 0:
            memory = {kind: {document["id"]: document for document in store.all(kind)} for kind in KINDS}
            assert stored(store) == memory
    assert len(answered) > 0.8 * len(ENDPOINTS)


@pytest.mark.parametrize("body", [None, True, 3, "text", [], [1], {"a": []}, {"task": {"task": {}}}])
def test_no_body_of_the_wrong_kind_crashes_an_endpoint(api, body):
    codes = {name: api.request("POST", f"/{name}", json=body).status_code for name in ENDPOINTS}
    forbidden = {"server.config", "server.endpoints", "server.get_stats"}
    assert {name: code for name, code in codes.items() if code not in (200, 400)}.keys() <= forbidden
    assert api("tasks.get_types")


def failing_calls(task: str, model: str) -> dict[str, tuple[str, dict]]:
    """Calls that fail after they have begun to change something."""
    return {
        "a project whose parent is made first": ("projects.create", {"name": "new parent/ /child"}),
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
