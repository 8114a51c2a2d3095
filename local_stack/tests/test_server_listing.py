"""What the get_all_ex and get_by_id_ex calls give in place of ids: what the documents refer to."""

import pytest

from local_stack.server.auth import COMPANY, USER
from local_stack.server.listing import list_documents
from local_stack.tests.api import refused


@pytest.fixture(scope="module")
def family(api):
    """A task with a parent, a queue and models, all in a project below another: their ids by their names."""
    ids = {"above": api.new("project", name="family"), "project": api.new("project", name="family/home")}
    ids["parent"] = api.new("task", name="the parent", project=ids["above"])
    ids["base"] = api.new("model", name="the base", uri="file:///base", project=ids["project"])
    ids["task"] = api.new("task", name="the child", project=ids["project"], parent=ids["parent"])
    ids["model"] = api.new("model", name="the model", uri="file:///m", task=ids["task"], parent=ids["base"])
    for kind, model in (("input", "base"), ("output", "model")):
        api("tasks.add_or_update_model", task=ids["task"], name=f"its {kind}", model=ids[model], type=kind)
    ids["queue"] = api.new("queue", name="the queue")
    api("tasks.enqueue", task=ids["task"], queue=ids["queue"])
    return ids


@pytest.fixture
def one(api):
    """Ask for one document, joined."""

    def ask(kind: str, key: str, *only_fields: str) -> dict:
        answers = [
            api(f"{kind}s.{call}", id=[key], only_fields=list(only_fields))[f"{kind}s"]
            for call in ("get_all_ex", "get_by_id_ex")
            if (kind, call) not in (("project", "get_by_id_ex"), ("queue", "get_by_id_ex"))
        ]
        assert all(answer == answers[0] for answer in answers)
        (document,) = answers[0]
        return document

    return ask


def test_only_fields_reach_into_what_a_task_refers_to(family, one):
    fields = [
        "name", "project.name", "user.name", "company.name", "parent.name", "parent.project.name",
        "execution.queue.name", "models.output.model.uri",
        "models.output.model.task.name", "models.input.name",
    ]  # fmt: skip
    assert one("task", family["task"], *fields) == {
        "id": family["task"],
        "name": "the child",
        "project": {"id": family["project"], "name": "family/home"},
        "user": {"id": USER["id"], "name": USER["name"]},
        "company": {"id": COMPANY["id"], "name": COMPANY["name"]},
        "parent": {
            "id": family["parent"],
            "name": "the parent",
            "project": {"id": family["above"], "name": "family"},
        },
        "execution": {"queue": {"id": family["queue"], "name": "the queue"}},
        "models": {
            "output": [
                {
                    "model": {
                        "id": family["model"],
                        "uri": "file:///m",
                        "task": {"id": family["task"], "name": "the child"},
                    }
                }
            ],
            "input": [{"name": "its input"}],
        },
    }


def test_ids_are_objects_even_where_nobody_asks_for_more(family, one, api):
    task = one("task", family["task"])
    stored = api.get("task", family["task"])
    assert task["project"] == {"id": family["project"]}
    assert task["execution"]["queue"] == {"id": family["queue"]}
    assert task["models"]["input"][0]["model"] == {"id": family["base"]}
    assert (task["name"], task["script"]) == (stored["name"], stored["script"])
    assert stored["project"] == family["project"]  # the stored task is as it was
    assert stored["models"]["input"][0]["model"] == family["base"]
    assert "parent" not in one("task", family["parent"])
    assert one("task", family["task"], "user", "parent") == {
        "id": family["task"], "user": {"id": USER["id"]}, "parent": {"id": family["parent"]},
    }  # fmt: skip


def test_a_star_stands_for_all_fields_of_what_is_referred_to(family, one, api):
    project = one("task", family["task"], "project.*")["project"]
    stored = api.get("project", family["project"])
    assert project["name"] == stored["name"]
    assert project["parent"] == {"id": family["above"]}
    assert project.keys() == stored.keys()


def test_models_and_projects_are_joined_too(family, one):
    assert one("model", family["model"], "task.name", "parent.name", "project.name", "ready") == {
        "id": family["model"],
        "ready": False,
        "task": {"id": family["task"], "name": "the child"},
        "parent": {"id": family["base"], "name": "the base"},
    }
    assert one("project", family["project"], "parent.name", "basename") == {
        "id": family["project"], "basename": "home", "parent": {"id": family["above"], "name": "family"},
    }  # fmt: skip


def test_hidden_projects_are_marked_where_they_are_asked_for(api):
    for name in ("seen/by all", "seen/.hidden"):
        api("projects.create", name=name)
    wanted = {"name": "^seen/", "only_fields": ["basename"], "order_by": ["name"]}
    found = api("projects.get_all_ex", search_hidden=True, **wanted)["projects"]
    assert [(project["basename"], project.get("hidden")) for project in found] == [
        (".hidden", True),
        ("by all", None),
    ]
    assert [project["basename"] for project in api("projects.get_all_ex", **wanted)["projects"]] == ["by all"]


def test_queues_show_the_names_of_their_tasks_and_who_listens(api, family):
    api("workers.register", worker="listener", queues=[family["queue"]])
    api("workers.status_report", worker="listener", task=family["parent"])
    (queue,) = api("queues.get_all_ex", id=[family["queue"]], only_fields=["name"])["queues"]
    assert [entry["task"] for entry in queue["entries"]] == [{"id": family["task"], "name": "the child"}]
    assert [(worker["name"], worker["task"]) for worker in queue["workers"]] == [
        ("listener", {"id": family["parent"], "name": "the parent"})
    ]
    api("workers.unregister", worker="listener")
    (queue,) = api("queues.get_all_ex", id=[family["queue"]])["queues"]
    assert queue["workers"] == []


def test_of_what_is_gone_the_id_is_left(store):
    store.put("task", {"id": "child", "parent": "gone"})
    answer = list_documents(store, "task", {"only_fields": ["parent.name"]}, join=True)
    assert answer == {"tasks": [{"id": "child", "parent": {"id": "gone"}}]}


def test_people_are_listed_as_well(store):
    assert list_documents(store, "user", {"only_fields": ["name", "company.name"]}, join=True) == {
        "users": [{"id": USER["id"], "name": USER["name"], "company": COMPANY}]
    }
    assert list_documents(store, "user", {"id": ["nobody"]}) == {"users": []}
    assert list_documents(store, "user", {"id": [USER["id"]], "size": 1})["users"][0]["name"] == USER["name"]


def test_joined_calls_filter_sort_and_page_as_the_plain_ones(api, family):
    wanted = {"project": [family["above"]], "include_subprojects": True, "order_by": ["-name"]}
    for page, name in enumerate(["the parent", "the child"]):
        plain = api("tasks.get_all", **wanted, page=page, page_size=1)["tasks"]
        joined = api("tasks.get_all_ex", **wanted, page=page, page_size=1)["tasks"]
        assert [task["name"] for task in joined] == [task["name"] for task in plain] == [name]


@pytest.mark.parametrize("call", ["tasks.get_by_id_ex", "models.get_by_id_ex"])
def test_ids_are_needed_to_get_by_id(api, call):
    assert refused(api.send(call)) == 11
    assert api(call, id=["nobody"])[call.partition(".")[0]] == []


def test_an_older_client_finds_the_older_fields(api, family):
    (task,) = api("tasks.get_all_ex", version="v2.6", id=[family["task"]], only_fields=["models", "name"])[
        "tasks"
    ]
    assert task["execution"]["model"] == {"id": family["base"]}


def test_a_long_chain_of_references_is_refused(api, family):
    field = "parent." * 200 + "name"
    assert refused(api.send("tasks.get_all_ex", only_fields=[field])) == 12
