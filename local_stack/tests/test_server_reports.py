"""Reports on the local server: hidden tasks that people write, and the data of other tasks that they show."""

import uuid

import pytest

from local_stack.tests.api import refused, scalar


@pytest.fixture
def project(api) -> str:
    return api.new("project", name=f"project {uuid.uuid4().hex[:8]}")


@pytest.fixture
def new_report(api, project):
    """Make a report in the project and give its id."""

    def make(**fields) -> str:
        return api("reports.create", **{"name": "a report", "project": project, **fields})["id"]

    return make


def test_a_report_is_a_hidden_task_in_a_hidden_project_of_reports(api, project):
    answer = api("reports.create", name="a report", project=project, comment="c", tags=["t"], report="# Text")
    task = api.get("task", answer["id"])
    assert (task["type"], task["status"], task["project"]) == ("report", "created", answer["project_id"])
    assert (task["name"], task["comment"], task["tags"], task["report"]) == ("a report", "c", ["t"], "# Text")
    assert task["system_tags"] == ["hidden", "reports"]
    holder = api.get("project", answer["project_id"])
    assert holder["name"] == api.get("project", project)["name"] + "/.reports"
    assert (holder["system_tags"], holder["parent"]) == (["hidden", "reports"], project)
    assert answer["id"] not in [found["id"] for found in api("tasks.get_all")["tasks"]]
    assert "t" in api("reports.get_tags")["tags"]


def test_a_report_without_a_project_is_in_the_reports_of_none(api):
    answer = api("reports.create", name="a report")
    assert api.get("project", answer["project_id"])["name"] == ".reports"
    assert "parent" not in api("reports.get_all_ex", id=[answer["id"]])["tasks"][0]


def test_a_draft_s_text_changes_and_a_published_report_keeps_its_text(api, new_report):
    report = new_report()
    text = "word " * 100
    answer = api("reports.update", task=report, report=text, report_assets=["u"], tags=["b", "a"])
    assert answer["updated"] == 1
    assert len(answer["fields"]["report"]) <= 100
    assert answer["fields"]["tags"] == ["a", "b"]
    assert api.get("task", report)["report"] == text
    assert api("reports.update", task=report) == {"updated": 0}
    assert api("reports.publish", task=report, message="done")["fields"]["status"] == "published"
    assert api.get("task", report)["status_message"] == "done"
    assert refused(api.send("reports.update", task=report, report="other")) == 110
    assert refused(api.send("reports.update", task=report, name="renamed", report_assets=[])) == 110
    api("reports.update", task=report, name="renamed", comment="c", tags=[])
    task = api.get("task", report)
    assert (task["name"], task["comment"], task["tags"], task["report"]) == ("renamed", "c", [], text)


@pytest.mark.parametrize("action", ["update", "move", "publish", "archive", "unarchive", "delete"])
def test_what_is_no_report_is_refused(api, action):
    more = {"project": None} if action == "move" else {"name": "abc"} if action == "update" else {}
    task = api.new("task")
    assert refused(api.send(f"reports.{action}", task=task, **more)) == 150
    assert refused(api.send(f"reports.{action}", task="nobody", **more)) == 101
    assert refused(api.send(f"reports.{action}")) == 11


@pytest.mark.parametrize(
    ("fields", "subcode"),
    [
        ({}, 11),
        ({"name": "ab"}, 12),
        ({"name": "abc", "project": "nobody"}, 401),
        ({"name": "abc", "report": 1}, 20),
    ],
)
def test_a_report_that_makes_no_sense_is_refused(api, fields, subcode):
    assert refused(api.send("reports.create", **fields)) == subcode


def test_a_report_moves_and_leaves_no_empty_project_of_reports_behind(api, project, new_report):
    first, second = new_report(), new_report()
    before = api.get("task", first)["project"]
    other = f"other {uuid.uuid4().hex[:8]}"
    moved = api("reports.move", task=first, project_name=other)["project_id"]
    assert api.get("project", moved)["name"] == f"{other}/.reports"
    assert api.get("project", before)["id"] == before
    assert api("reports.move", task=second, project=moved)["project_id"] == moved
    assert refused(api.send("projects.get_by_id", project=before)) == 401
    root = api("reports.move", task=second, project=None)["project_id"]
    assert api.get("project", root)["name"] == ".reports"
    assert refused(api.send("reports.move", task=second)) == 11
    assert refused(api.send("reports.move", task=second, project="nobody")) == 401
    assert api.get("task", first)["project"] == moved


def test_reports_are_listed_by_the_projects_that_they_belong_to(api, project, new_report):
    report = new_report(report="hello world")
    below = api.new("project", name=api.get("project", project)["name"] + "/below")
    deep = new_report(project=below)
    root = api("reports.create", name="a report")["id"]
    api.new("task", name="hello", project=project)

    def ids(**wanted) -> set[str]:
        return {task["id"] for task in api("reports.get_all_ex", **wanted)["tasks"]}

    assert {report, deep, root} <= ids()
    assert ids(project=project) == ids(project=[project]) == {report}
    assert ids(project=[project], include_subprojects=True) == {report, deep}
    assert root in ids(project=[None])
    assert report not in ids(project=[None])
    assert ids(project=["nobody"]) == set()
    pattern = {"pattern": "HELLO", "fields": ["name", "report"]}
    assert ids(project=[project], _any_=pattern) == {report}
    assert refused(api.send("reports.get_all_ex", project=[{}])) == 20
    assert refused(api.send("reports.get_all_ex", page=-1)) == 12


def test_a_report_is_archived_and_shown_again(api, new_report):
    report = new_report()
    assert api("reports.archive", task=report, message="old") == {"archived": 1}
    task = api.get("task", report)
    assert (set(task["system_tags"]), task["status_message"]) == ({"hidden", "reports", "archived"}, "old")
    assert api("reports.unarchive", task=report) == {"unarchived": 1}
    assert api.get("task", report)["system_tags"] == ["hidden", "reports"]


def test_a_published_report_is_deleted_by_force_or_once_it_is_archived(api, new_report):
    first, second, draft = new_report(), new_report(), new_report()
    holder = api.get("task", draft)["project"]
    for report in (first, second):
        api("reports.publish", task=report)
        assert refused(api.send("reports.delete", task=report)) == 123
    api("reports.archive", task=second)
    assert api("reports.delete", task=first, force=True) == {"deleted": 1}
    assert api("reports.delete", task=second) == {"deleted": 1}
    assert api.get("project", holder)["id"] == holder
    assert api("reports.delete", task=draft) == {"deleted": 1}
    assert refused(api.send("projects.get_by_id", project=holder)) == 401
    assert refused(api.send("tasks.get_by_id", task=first)) == 101


@pytest.mark.parametrize("kind", ["task", "model"])
def test_a_report_shows_what_tasks_and_models_have_reported(api, kind):
    owner = api.new(kind, name="the shown one")
    more = {"model_event": True} if kind == "model" else {}
    for variant in ("v", "w"):
        event = {"task": owner, "metric": "m", "variant": variant, "iter": 1, **more}
        api.events(
            {**event, "type": "training_debug_image", "url": "u"},
            {**event, "type": "plot", "plot_str": "{}"},
            scalar(owner, "m", variant, 1, 5, **more),
            scalar(owner, "m", variant, -(2**31), 6, **more),
        )
    wanted = {"id": [owner], "only_fields": ["name"], "model_events": kind == "model"}
    tasks = [{"id": owner, "name": "the shown one"}]
    assert api("reports.get_task_data", **wanted)["tasks"] == tasks
    answer = api(
        "reports.get_task_data",
        **wanted,
        debug_images={"metrics": []},
        plots={"iters": 1},
        scalar_metrics_iter_histogram={},
        single_value_metrics={},
    )
    assert answer["tasks"] == tasks
    (images,) = answer["debug_images"]
    assert (images["task"], len(images["iterations"][0]["events"])) == (owner, 2)
    assert set(answer["plots"]["m"]) == {"v", "w"}
    assert answer["scalar_metrics_iter_histogram"]["m"]["v"][owner]["y"] == [5]
    (values,) = answer["single_value_metrics"]
    assert (values["task"], values["task_name"]) == (owner, "the shown one")
    assert [item["value"] for item in values["values"]] == [6, 6]
    nothing = api("reports.get_task_data", id=["nobody"], scalar_metrics_iter_histogram={}, plots={})
    assert nothing == {"tasks": [], "scalar_metrics_iter_histogram": {}, "plots": {}}
    assert refused(api.send("reports.get_task_data", plots={"iters": -1})) == 12
    assert refused(api.send("reports.get_task_data", debug_images={"metrics": [{}]})) == 11
