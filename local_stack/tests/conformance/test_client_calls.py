"""Calls that ClearML's web UI and SDK make besides: tags, downloads, new runs, keys, reports' ends."""

import csv
import io

import pytest

from local_stack.tests.api import refused


def ids(documents: list[dict]) -> list[str]:
    return [document["id"] for document in documents]


@pytest.mark.parametrize("kind", ["task", "model"])
def test_tags_of_several_documents_are_changed_at_once(api, kind):
    both = [api.new(kind, tags=tags) for tags in (["a"], ["a", "b"])]
    api(f"{kind}s.update_tags", ids=both, add_tags=["c"], remove_tags=["a"])
    assert [api.get(kind, key)["tags"] for key in both] == [["c"], ["b", "c"]]


@pytest.mark.parametrize("kind", ["task", "model"])
def test_documents_are_read_with_what_they_refer_to(api, kind):
    project = api.new("project", name="a project")
    key = api.new(kind, project=project)
    (found,) = api(f"{kind}s.get_by_id_ex", id=[key], only_fields=["project.name"])[f"{kind}s"]
    assert found == {"id": key, "project": {"id": project, "name": "a project"}}


def test_the_last_output_of_a_task_is_its_model(api):
    task = api.new("task")
    assert refused(api.send("models.get_by_task_id", task=task)) == 122
    api("tasks.started", task=task)
    model = api("models.update_for_task", task=task, uri="file:///b")["id"]
    assert api("models.get_by_task_id", task=task)["model"]["id"] == model


def test_many_tasks_leave_their_queues(api):
    tasks = [api.new("task") for _ in range(2)]
    api("tasks.enqueue_many", ids=tasks, queue_name="waiting")
    answer = api("tasks.dequeue_many", ids=tasks)
    assert ids(answer["succeeded"]) == tasks
    assert {task["status"] for task in api("tasks.get_all", id=tasks)["tasks"]} == {"created"}
    (queue,) = api("queues.get_all", name="^waiting$")["queues"]
    assert queue["entries"] == []


def test_archived_tasks_are_taken_back(api):
    tasks = [api.new("task") for _ in range(2)]
    for name, archived in (("archive", True), ("unarchive", False)):
        assert api(f"tasks.{name}", tasks=tasks)[f"{name}d"] == 2
        assert ["archived" in api.get("task", task)["system_tags"] for task in tasks] == [archived] * 2


def test_reports_are_archived_and_deleted(api):
    report = api("reports.create", name="a report")["id"]
    for name, archived in (("archive", 1), ("unarchive", 0)):
        assert api(f"reports.{name}", task=report)[f"{name}d"] == 1
        assert ("archived" in api.get("task", report)["system_tags"]) == bool(archived)
    api("reports.publish", task=report)
    assert refused(api.send("reports.delete", task=report)) == 123
    assert api("reports.delete", task=report, force=True)["deleted"]
    task = api.new("task")
    for name in ("archive", "delete", "publish", "update"):
        assert refused(api.send(f"reports.{name}", task=task)) == 150


def test_a_table_is_downloaded_as_text(api):
    tasks = [api.new("task", name=name, tags=tags) for name, tags in (("first, task", ["a"]), ("second", []))]
    fields = [{"name": "Name", "field": "name"}, {"name": "Tags", "field": "tags"}]
    prepared = api(
        "organization.prepare_download_for_get_all",
        entity_type="task",
        field_mappings=fields,
        id=tasks,
        order_by=["name"],
        only_fields=["name", "tags"],
    )["prepare_id"]
    response = api.request("GET", "/organization.download_for_get_all", params={"prepare_id": prepared})
    assert response.headers["content-type"].startswith("text/csv")
    header, *rows = csv.reader(io.StringIO(response.text.removeprefix("\ufeff")))
    assert (header, [row[0] for row in rows]) == (["Name", "Tags"], ["first, task", "second"])
    assert "a" in rows[0][1]


def test_keys_are_made_named_and_revoked(api):
    made = api("auth.create_credentials", label="a laptop")["credentials"]
    assert made["access_key"] and made["secret_key"]

    def listed() -> dict[str, str | None]:
        found = api("auth.get_credentials")["credentials"]
        assert not any(key.get("secret_key") for key in found)
        return {key["access_key"]: key.get("label") for key in found}

    assert listed()[made["access_key"]] == "a laptop"
    api("auth.edit_credentials", access_key=made["access_key"], label="a desk")
    assert listed()[made["access_key"]] == "a desk"
    keys = (made["access_key"], made["secret_key"])
    stranger = api.connect()  # of the same transport: it is closed with the API
    assert stranger.post("/auth.login", auth=keys).is_success
    assert api("auth.revoke_credentials", access_key=made["access_key"])["revoked"] == 1
    assert stranger.post("/auth.login", auth=keys).status_code == 401
    assert made["access_key"] not in listed()


def test_the_user_is_read_and_renamed(api):
    user = api("users.get_current_user")["user"]["id"]
    assert api("users.update", user=user, name="Ada")["updated"] == 1
    assert api("users.get_by_id", user=user)["user"]["name"] == "Ada"
    assert ids(api("users.get_all")["users"]) == [user]
    assert refused(api.send("users.get_by_id", user="nobody")) == 301


def test_events_of_models_are_deleted(api):
    model = api.new("model")
    point = {"type": "training_stats_scalar", "metric": "m", "variant": "v", "iter": 1, "value": 1}
    api.events({**point, "task": model, "model_event": True})
    request = {"task": model, "model_events": True}
    assert list(api("events.scalar_metrics_iter_histogram", **request)) == ["m"]
    api("events.delete_for_model", model=model)
    assert api("events.scalar_metrics_iter_histogram", **request) == {}


def test_tags_of_projects_are_listed(api):
    api.new("project", name="top", tags=["a"])
    api.new("project", name="top/low", tags=["b"])
    assert api("projects.get_project_tags")["tags"] == ["a", "b"]
