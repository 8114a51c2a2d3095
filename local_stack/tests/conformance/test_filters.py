"""What the lists of tasks, models, projects and queues are narrowed down by: field by field."""

import pytest

from local_stack.tests.api import refused, scalar


def parameters(**values: str) -> dict:
    items = {key: {"section": "Args", "name": key, "type": "str", "value": v} for key, v in values.items()}
    return {"Args": items}


@pytest.fixture
def found(api):
    """The names of the documents that a list holds, in its order."""

    def names(kind: str, **request: object) -> list[str]:
        return [document["name"] for document in api(f"{kind}s.get_all_ex", **request)[f"{kind}s"]]

    return names


# Tasks

TASKS = {
    "first run": {"type": "training", "tags": ["a", "b"], "hyperparams": parameters(lr="1", layers="2")},
    "second run": {"type": "testing", "tags": ["b"], "comment": "a good one", "runtime": {"version": "1.2"}},
    "third RUN": {"type": "training", "tags": [], "hyperparams": parameters(lr="10")},
    "a report": {"type": "service", "system_tags": ["archived"], "script": {"entry_point": "train_it.py"}},
}


@pytest.fixture
def tasks(api) -> dict[str, str]:
    made = {name: api.new("task", name=name, **fields) for name, fields in TASKS.items()}
    api("tasks.started", task=made["first run"])
    api("tasks.enqueue", task=made["second run"], queue_name="waiting")
    for name, last, value in (("first run", 10, 0.5), ("third RUN", 20, 0.25)):
        api.events(scalar(made[name], "loss", "train", last, value))
    return made


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        ({"name": "run"}, "12"),
        ({"name": "^first"}, "1"),
        ({"name": "run$"}, "12"),
        ({"comment": "good"}, "2"),
        ({"type": ["training"]}, "13"),
        ({"type": ["training", "testing"]}, "123"),
        ({"type": ["__$not", "training"]}, "24"),
        ({"status": ["created"]}, "34"),
        ({"status": ["in_progress", "queued"]}, "12"),
        ({"tags": ["a"]}, "1"),
        ({"tags": ["a", "b"]}, "12"),
        ({"tags": ["__$all", "a", "b"]}, "1"),
        ({"tags": ["__$any", "a", "b"]}, "12"),
        ({"tags": ["__$not", "a"]}, "234"),
        ({"tags": ["-a"]}, "234"),
        ({"tags": ["b", "__$not", "a"]}, "2"),
        ({"system_tags": ["archived"]}, "4"),
        ({"system_tags": ["-archived"]}, "123"),
        ({"system_tags": ["__$not", "archived"]}, "123"),
        ({"hyperparams.Args.lr.value": ["10"]}, "3"),
        ({"hyperparams.Args.lr.value": ["1", "10"]}, "13"),
        ({"runtime.version": "1.2"}, "2"),
        ({"last_iteration": [10, 15]}, "1"),
        ({"last_iteration": [11, None]}, "3"),
        ({"last_iteration": [None, 10]}, "124"),
        ({"started": [">=2020-01-01"]}, "1"),
        ({"created": ["2020-01-01", "2021-01-01"]}, ""),
        ({"created": ["2020-01-01", None]}, "1234"),
        ({"search_text": "good"}, "2"),
        ({"search_text": "train_it.py"}, "4"),
        ({"_any_": {"fields": ["name", "comment"], "pattern": "good|first"}}, "12"),
        ({"_or_": {"fields": ["name", "comment"], "pattern": "good|first"}}, "12"),
        ({"_all_": {"fields": ["name", "comment"], "pattern": "o"}}, "2"),
        ({"_and_": {"fields": ["name", "comment"], "pattern": "o"}}, "2"),
        ({"type": ["training"], "status": ["created"]}, "3"),
        ({"id": []}, "1234"),
        ({"no_such_field": "x"}, "1234"),
    ],
)
def test_tasks_are_narrowed_down(tasks, found, request_, expected):
    names = dict(zip("1234", TASKS, strict=True))
    assert found("task", **request_) == [names[number] for number in expected]


def test_tasks_are_found_by_what_they_refer_to(api, tasks, found):
    (queue,) = api("queues.get_all", name="^waiting$")["queues"]
    user = api("users.get_current_user")["user"]["id"]
    model, project = api.new("model"), api.new("project", name="a project")
    used = api.new("task", name="a user", project=project, models={"input": [{"name": "in", "model": model}]})
    child = api.new("task", name="a child", parent=used)
    assert found("task", **{"execution.queue": [queue["id"]]}) == ["second run"]
    assert found("task", **{"models.input.model": [model]}) == ["a user"]
    assert found("task", project=[project]) == found("task", project=project) == ["a user"]
    assert found("task", parent=[used]) == ["a child"]
    assert len(found("task", project=[None])) == 5
    assert len(found("task", user=[user])) == 6
    assert found("task", user=["nobody"]) == []
    assert found("task", id=[child, used]) == ["a user", "a child"]


@pytest.mark.parametrize(
    ("order", "expected"), [("", ["third RUN", "first run"]), ("-", ["first run", "third RUN"])]
)
def test_tasks_are_ordered_by_a_metric(api, tasks, found, order, expected):
    ((metric, variants),) = api.get("task", tasks["first run"])["last_metrics"].items()
    path = f"last_metrics.{metric}.{next(iter(variants))}"
    assert found("task", order_by=[f"{order}{path}.value"])[:2] == expected
    assert found("task", order_by=[f"{order}{path}.max_value"])[:2] == expected
    assert found("task", **{f"{path}.value": [0.3, None]}) == ["first run"]


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        (["name"], ["a report", "first run", "second run", "third RUN"]),
        (["-name"], ["third RUN", "second run", "first run", "a report"]),
        (["type", "-name"], ["a report", "second run", "third RUN", "first run"]),
        (["-last_iteration", "name"], ["third RUN", "first run", "a report", "second run"]),
    ],
)
def test_tasks_are_ordered_by_several_fields(tasks, found, order, expected):
    assert found("task", order_by=order) == expected


# Models


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        ({"name": "^a"}, ["a draft"]),
        ({"framework": ["PyTorch"]}, ["a draft"]),
        ({"framework": ["PyTorch", "XGBoost"]}, ["a draft", "published"]),
        ({"uri": ["file:///b"]}, ["published"]),
        ({"ready": True}, ["published"]),
        ({"ready": False}, ["a draft"]),
        ({"metadata.score.value": ["9"]}, ["published"]),
        ({"_any_": {"fields": ["name", "comment"], "pattern": "note"}}, ["a draft"]),
        ({"tags": ["best"]}, ["published"]),
        ({"order_by": ["-name"]}, ["published", "a draft"]),
    ],
)
def test_models_are_narrowed_down(api, found, request_, expected):
    api.new("model", name="a draft", framework="PyTorch", uri="file:///a", ready=False, comment="a note")
    score = [{"key": "score", "type": "int", "value": "9"}]
    more = {"ready": True, "tags": ["best"], "metadata": score}
    api.new("model", name="published", framework="XGBoost", uri="file:///b", **more)
    assert found("model", **request_) == expected


def test_models_are_found_by_their_task(api, found):
    task = api.new("task")
    api.new("model", name="another")
    api.new("model", name="of the task", task=task)
    assert found("model", task=[task]) == ["of the task"]


# Projects and queues


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        ({"name": "^top$"}, ["top"]),
        ({"basename": "low"}, ["top/low"]),
        ({"description": "described"}, ["top/low"]),
        ({"tags": ["marked"]}, ["top"]),
        ({"shallow_search": True}, ["top"]),
        ({"search_hidden": True, "order_by": ["name"]}, ["top", "top/.hidden", "top/low"]),
        ({"order_by": ["-name"]}, ["top/low", "top"]),
        ({"_any_": {"fields": ["name", "description"], "pattern": "descr"}}, ["top/low"]),
    ],
)
def test_projects_are_narrowed_down(api, found, request_, expected):
    api.new("project", name="top", tags=["marked"])
    api.new("project", name="top/low", description="it is described")
    api.new("project", name="top/.hidden")
    assert found("project", **request_) == expected


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        ({"name": "first"}, ["first"]),
        ({"tags": ["cpu"]}, ["first"]),
        ({"tags": ["-cpu"], "name": "^(first|second)$"}, ["second"]),
        ({"metadata.size.value": ["9"]}, ["second"]),
        ({"name": "^(first|second)$", "order_by": ["-name"]}, ["second", "first"]),
    ],
)
def test_queues_are_narrowed_down(api, found, request_, expected):
    api.new("queue", name="first", tags=["cpu"])
    api.new("queue", name="second", metadata={"size": {"key": "size", "type": "int", "value": "9"}})
    assert found("queue", **request_) == expected


# Scrolls of every kind


@pytest.mark.parametrize("kind", ["task", "model", "project", "queue"])
def test_a_scroll_gives_every_document_once_whatever_is_deleted(api, kind):
    made = [api.new(kind, name=f"scrolled {number}") for number in range(7)]
    request = {"name": "^scrolled", "order_by": ["name"], "size": 3}
    scroll_id, seen = None, []
    for page in range(4):
        answer = api(f"{kind}s.get_all", **request, scroll_id=scroll_id)
        seen += [document["id"] for document in answer[f"{kind}s"]]
        scroll_id = answer["scroll_id"]
        if page == 0:
            api(f"{kind}s.delete", **{kind: made[0]})
    assert seen == made


@pytest.mark.parametrize("kind", ["task", "model", "project", "queue"])
def test_a_list_takes_fields_and_leaves_them_out(api, kind):
    key = api.new(kind, name="a document", tags=["a"])
    for call in (f"{kind}s.get_all", f"{kind}s.get_all_ex"):
        (found,) = api(call, id=[key], only_fields=["name", "tags"])[f"{kind}s"]
        if call != "queues.get_all_ex":  # which tells all of a queue
            assert found == {"id": key, "name": "a document", "tags": ["a"]}
        assert refused(api.send(call, id=[key], only_fields=5)) in (12, 20)
