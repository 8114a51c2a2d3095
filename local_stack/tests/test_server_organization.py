"""What concerns all projects on the local server: counts, tables as files, workloads."""

import csv
import io
import uuid
from datetime import UTC, datetime, timedelta, timezone

import pytest

from local_stack.server.organization import endpoints
from local_stack.server.services import answer_call
from local_stack.server.users.state import MOST_ROWS
from local_stack.tests.api import refused


@pytest.fixture
def project(api) -> str:
    return api.new("project", name=f"project {uuid.uuid4().hex[:8]}")


def test_the_one_company_has_the_one_user(api):
    (company,) = api("organization.get_user_companies")["companies"]
    assert company["allocated"] == len(company["owners"]) == 1
    assert company["owners"] == [{"id": "local_user", "name": "local user", "avatar": None}]


def test_entities_are_counted_by_the_conditions_of_lists(api, project):
    name = api.get("project", project)["name"]
    dataset = api.new("project", name=f"{name}/.datasets/d", system_tags=["dataset"])
    api.new("task", project=dataset, type="data_processing", system_tags=["dataset", "hidden"])
    for i in range(3):
        api.new("task", project=project, tags=[f"t{i % 2}"])
    api.new("task", project=project, system_tags=["hidden"])
    api.new("model", project=project)
    api("reports.create", name="a report", project=project)
    here = {"project": [project]}

    def count(**wanted) -> dict:
        return api("organization.get_entities_count", **wanted)

    assert count(tasks=here) == {"tasks": 3}
    assert count(tasks=here, search_hidden=True) == {"tasks": 4}
    assert count(tasks={**here, "tags": ["t0"]}, models=here) == {"tasks": 2, "models": 1}
    assert count(tasks=here, limit=2) == {"tasks": 2}
    assert count(tasks=here, active_users=["nobody"]) == {"tasks": 0}
    assert count(projects={"id": [project]}, active_users=["local_user"]) == {"projects": 1}
    datasets = {"name": f"^{name}/", "system_tags": ["dataset"]}
    assert count(datasets=datasets, dataset_versions=here) == {"datasets": 1, "dataset_versions": 1}
    assert count(reports=here, pipelines={"id": [project], "system_tags": ["pipeline"]}) == {
        "reports": 1,
        "pipelines": 0,
    }
    assert count() == {}
    answer = count(tasks={"name": "("}, models={"_any_": 3}, reports=here)
    assert answer["reports"] == 1
    assert sorted(answer["errors"]) == ["models", "tasks"]
    assert refused(api.send("organization.get_entities_count", tasks=3)) == 20


# Tables


def prepare(api, **wanted) -> dict:
    mappings = [
        {"field": "name", "name": "NAME"},
        {"field": "status", "values": [{"key": "created", "value": "new"}]},
    ]
    request = {"entity_type": "task", "only_fields": ["name", "status"], "field_mappings": mappings, **wanted}
    return api.send("organization.prepare_download_for_get_all", **request)


def download(api, key: str) -> tuple[list[list[str]], str]:
    """The rows of a prepared table, and the name of its file, as a browser gets them by the address."""
    response = api.request("GET", f"/v999.0/organization.download_for_get_all?prepare_id={key}")
    assert response.headers["content-type"].startswith("text/csv")
    assert response.content.startswith("\ufeff".encode())
    rows = list(csv.reader(io.StringIO(response.content.decode("utf-8-sig"))))
    return rows, response.headers["content-disposition"]


def test_a_table_is_a_file_with_the_columns_and_values_that_were_asked_for(api, project):
    for name in ("second", "first", '=1+2 "quoted"'):
        api.new("task", project=project, name=name, hyperparams={"Args": {"a.b": {"value": "1"}}})
    mappings = [
        {"field": "name", "name": "NAME"},
        {
            "field": "status",
            "values": [{"key": "created", "value": "Draft"}, {"key": "failed", "value": "x"}],
        },
        {"field": "hyperparams.Args.a%2Eb.value"},
        {"field": "no.such.field"},
    ]
    answer = prepare(
        api,
        field_mappings=mappings,
        only_fields=["name", "status", "hyperparams"],
        project=[project],
        order_by=["name"],
        page_size=1,
    )
    rows, file = download(api, answer.json()["data"]["prepare_id"])
    assert rows[0] == ["NAME", "status", "hyperparams.Args.a%2Eb.value", "no.such.field"]
    assert sorted(rows[1:]) == [
        ['\'=1+2 "quoted"', "Draft", "1", ""],
        ["first", "Draft", "1", ""],
        ["second", "Draft", "1", ""],
    ]
    assert api.get("project", project)["name"].split()[1] in file
    assert file.endswith("-tasks.csv")


def test_a_table_has_more_rows_than_a_page_of_a_list_and_not_more_than_the_web_ui_is_told(store):
    task = store.get("task", answer_call(store, "tasks.create", {"name": "a task", "type": "custom"})["id"])
    for i in range(1100):
        store.put("task", {**task, "id": str(i), "name": f"task {i}"})
    request = {"entity_type": "task", "only_fields": ["name"], "field_mappings": [{"field": "name"}]}
    key = answer_call(store, "organization.prepare_download_for_get_all", request)["prepare_id"]
    text = answer_call(store, "organization.download_for_get_all", {"prepare_id": key})["text"]
    assert len(text.splitlines()) == 1 + MOST_ROWS


def test_a_table_of_models_and_an_empty_one(api, project):
    api.new("model", project=project, name="one", system_tags=["archived"])
    wanted = {"entity_type": "model", "only_fields": ["name"], "field_mappings": [{"field": "name"}]}
    for conditions, expected in (({}, ["one"]), ({"system_tags": ["-archived"]}, [])):
        key = prepare(api, **wanted, project=[project], **conditions).json()["data"]["prepare_id"]
        rows, file = download(api, key)
        assert rows == [["name"], *[[name] for name in expected]]
        assert file.endswith("models.csv")


@pytest.mark.parametrize(
    ("wrong", "subcode"),
    [
        ({"entity_type": "queue"}, 12),
        ({"field_mappings": []}, 12),
        ({"only_fields": []}, 12),
        ({"field_mappings": [{"name": "no field"}]}, 11),
        ({"field_mappings": [{"field": "name"}, {"field": "id", "name": "name"}]}, 12),
        ({"field_mappings": [{"field": "id", "values": [{"key": 1}, {"key": 1}]}]}, 12),
        ({"name": "("}, 21),
        ({"page": 3, "order_by": 5}, 20),
        ({"search_text": "x" * 2**20}, 12),
    ],
)
def test_a_table_that_makes_no_sense_is_refused_before_it_is_fetched(api, wrong, subcode):
    assert refused(prepare(api, **wrong)) == subcode


def test_only_a_prepared_table_is_fetched_and_only_for_a_while(api, monkeypatch):
    assert refused(api.send("organization.download_for_get_all", prepare_id="nobody")) == 10
    keys = [prepare(api).json()["data"]["prepare_id"] for _ in range(endpoints.MOST_PREPARED + 1)]
    assert refused(api.send("organization.download_for_get_all", prepare_id=keys[0])) == 10
    assert download(api, keys[-1])
    monkeypatch.setattr(endpoints, "PREPARED_SECONDS", -1)
    assert refused(api.send("organization.download_for_get_all", prepare_id=keys[-1])) == 10
    assert api.client.get(f"/organization.download_for_get_all?prepare_id={keys[-1]}").status_code == 401


# Workloads


@pytest.fixture
def ran(store):
    """Make a task in the project that ran from one moment to another in a queue, and give its id."""

    def make(project: str, started: str, completed: str | None, queue: str | None = "q", **fields) -> str:
        task = {"name": "a task", "type": "training", "project": project, **fields}
        key = answer_call(store, "tasks.create", task)["id"]
        times = {"started": f"2026-01-{started}+00:00", "status": "in_progress"}
        if completed:
            times |= {"completed": f"2026-01-{completed}+00:00", "status": "completed"}
        execution = {"artifacts": [], **({"queue": queue} if queue else {})}
        store.put("task", {**store.get("task", key), **times, "execution": execution})
        return key

    return make


def workloads(store, projects: list[str], first: str = "2026-01-01T00:00:00Z", **more) -> dict:
    request = {"projects": projects, "from_date": first, "to_date": "2026-01-03T12:00:00Z", **more}
    return answer_call(store, "organization.get_project_workloads", request)


def test_workloads_are_seconds_per_day_by_project_queue_and_user(store, ran):
    names = ("top", "top/a", "top/a/so/deep", "top/b")
    top, child, deep, other = (answer_call(store, "projects.create", {"name": n})["id"] for n in names)
    queue = answer_call(store, "queues.create", {"name": "a queue"})["id"]
    ran(top, "01T00:00:00", "01T00:01:00", queue)
    ran(deep, "01T23:00:00", "02T01:00:00", queue)
    ran(child, "03T00:00:00", "03T00:00:10", "deleted queue")
    ran(other, "04T00:00:00", "04T00:00:10", queue)  # later
    answer = workloads(store, [top], usage_fields=["duration"])
    midnights = [datetime(2026, 1, day, tzinfo=UTC).timestamp() for day in (1, 2, 3)]
    assert sorted(answer) == ["projects", "queues", "users"]
    by_name = {series["name"]: series for series in answer["projects"]["series"]}
    assert by_name == {
        "top": {"id": top, "name": "top", "dates": midnights, "duration": [60, 0, 0]},
        "top/a": {"id": child, "name": "top/a", "dates": midnights, "duration": [3600, 3600, 10]},
    }
    totals = {item["name"]: item["duration"] for item in answer["queues"]["total"]}
    assert totals == {"a queue": 7260, "other": 10}
    assert answer["users"]["total"] == [{"id": "local_user", "name": "local user", "duration": 7270}]
    several = workloads(
        store, [child, other], breakdown_keys=["project"], usage_fields=["duration", "gpu_usage"]
    )
    (total,) = several["projects"]["total"]
    assert (total["id"], total["duration"], total["gpu_usage"]) == (child, 7210, 7210)
    assert total["gpu_artificial_weights"] is True
    assert workloads(store, [other])["projects"] == {"total": [], "series": []}


def test_workloads_leave_out_what_ran_without_a_queue_unless_it_is_asked_for(store, ran):
    project = answer_call(store, "projects.create", {"name": "top"})["id"]
    ran(project, "01T00:00:00", "01T00:00:01")
    ran(project, "01T00:00:00", "01T00:00:02", None)
    ran(project, "01T00:00:00", "01T00:00:04", system_tags=["development"])
    ran(project, "01T00:00:00", "01T00:00:08", type="controller")
    ran(project, "01T00:00:00", "01T00:00:16", system_tags=["dataset"])

    def seconds(**more) -> int:
        (total,) = workloads(store, [project], **more)["users"]["total"]
        return total["duration"]

    assert seconds() == 1
    assert seconds(include_development=True) == 7


def test_the_days_of_workloads_are_those_of_the_asker_s_time_zone(store, ran):
    project = answer_call(store, "projects.create", {"name": "top"})["id"]
    ran(project, "01T20:00:00", "01T23:00:00")
    (series,) = workloads(store, [project], "2026-01-01T10:00:00+03:00")["users"]["series"]
    assert series["duration"] == [3600, 7200, 0]
    zone = timezone(timedelta(hours=3))
    assert series["dates"][0] == datetime(2026, 1, 1, tzinfo=zone).timestamp()


def test_a_task_that_still_runs_counts_up_to_now_or_the_last_day(store, ran):
    project = answer_call(store, "projects.create", {"name": "top"})["id"]
    ran(project, "03T23:00:00", None)
    (total,) = workloads(store, [project])["users"]["total"]
    assert 0 < total["duration"] <= 3600


@pytest.mark.parametrize(
    ("wrong", "subcode"),
    [
        ({"from_date": "2026-02-01"}, 12),
        ({"from_date": "yesterday"}, 12),
        ({"from_date": "0001-01-01"}, 12),
        ({"to_date": "9999-12-31T23:59:59Z", "from_date": "9999-12-30"}, 12),
        ({"to_date": None}, 11),
        ({"projects": []}, 12),
        ({"usage_fields": ["disk"]}, 12),
        ({"breakdown_keys": ["colour"]}, 12),
    ],
)
def test_workloads_that_make_no_sense_are_refused(api, project, wrong, subcode):
    request = {"projects": [project], "from_date": "2026-01-01", "to_date": "2026-01-03", **wrong}
    assert refused(api.send("organization.get_project_workloads", **request)) == subcode
