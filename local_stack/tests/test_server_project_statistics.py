"""Statistics of projects on the local server, of which the web UI makes its cards and lists of projects."""

import uuid

import pytest

from local_stack.server.services import answer_call
from local_stack.tests.api import refused

DAY = 24 * 3600  # seconds


@pytest.fixture
def top() -> str:
    """The name of a project that no other test uses."""
    return f"top {uuid.uuid4().hex[:8]}"


@pytest.fixture
def tree(api, top):
    """Projects `top`, `top/a`, `top/a/b` and the hidden `top/.pipelines/p`, each with a task. Their ids."""
    ids = {name: api.new("project", name=top + name) for name in ("", "/a", "/a/b", "/.pipelines/p")}
    for name, key in ids.items():
        fields = {"type": "controller", "system_tags": ["pipeline"]} if "pipelines" in name else {}
        api.new("task", project=key, name=f"task of {name}", **fields)
    return ids


@pytest.fixture
def ask(api):
    """Ask for projects and give them by their base names."""

    def found(**wanted) -> dict[str, dict]:
        return {project["basename"]: project for project in api("projects.get_all_ex", **wanted)["projects"]}

    return found


def total(project: dict, state: str = "active") -> int:
    return project["stats"][state]["total_tasks"]


def test_a_list_that_asks_for_no_statistics_has_none(api, tree):
    (project,) = api("projects.get_all_ex", id=[tree["/a"]])["projects"]
    assert not {"stats", "sub_projects", "own_tasks", "dataset_stats", "hidden"} & project.keys()


def test_statistics_count_what_is_below_a_project_by_its_status(api, ask, tree, top):
    running = api.new("task", project=tree["/a/b"])
    api("tasks.started", task=running)
    stats = ask(id=[tree[""], tree["/a/b"]], include_stats=True)
    active = stats[top]["stats"]["active"]
    counts = {status: count for status, count in active["status_count"].items() if count}
    assert counts == {"created": 3, "in_progress": 1}
    assert set(active["status_count"]) >= {"queued", "completed", "failed", "stopped", "published", "closed"}
    assert (active["total_tasks"], active["completed_tasks_24h"], active["total_runtime"]) == (4, 0, 0)
    assert active["last_task_run"] == api.get("task", running)["started"]
    assert [child["name"] for child in stats[top]["sub_projects"]] == [f"{top}/a", f"{top}/a/b"]
    assert stats["b"]["stats"]["active"]["total_tasks"] == 2
    assert stats["b"]["sub_projects"] == []


def test_statistics_tell_how_long_tasks_ran_and_how_many_ended_since_yesterday(store):
    project = answer_call(store, "projects.create", {"name": "timed"})["id"]
    for started, completed, status in (
        ("2026-01-01T00:00:00.000000+00:00", "2026-01-01T00:01:00.900000+00:00", "completed"),
        ("2026-01-02T00:00:00.000000+00:00", "2999-01-02T00:00:00.000000+00:00", "failed"),
        ("2999-01-01T00:00:00.000000+00:00", "2999-01-01T00:00:07.000000+00:00", "stopped"),
        ("2026-01-03T00:00:00.000000+00:00", None, "in_progress"),
    ):
        task = {"name": "a task", "type": "custom", "project": project}
        key = answer_call(store, "tasks.create", task)["id"]
        times = {"started": started, **({"completed": completed} if completed else {})}
        store.put("task", {**store.get("task", key), "status": status, **times})
    (found,) = answer_call(store, "projects.get_all_ex", {"id": [project], "include_stats": True})["projects"]
    active = found["stats"]["active"]
    assert active["completed_tasks_24h"] == 1  # the failed one does not count
    assert active["last_task_run"] == "2999-01-01T00:00:00.000000+00:00"
    assert active["total_runtime"] == 60 + 7 + 973 * 365 * DAY + 236 * DAY


def test_archived_tasks_are_counted_apart(api, ask, tree):
    api("tasks.archive", tasks=[api.new("task", project=tree["/a/b"])])
    wanted = {"id": [tree["/a/b"]], "include_stats": True}
    assert total(ask(**wanted)["b"]) == 1
    archived = ask(**wanted, stats_for_state="archived")["b"]["stats"]
    assert list(archived) == ["archived"]
    assert archived["archived"]["total_tasks"] == 1
    both = ask(**wanted, stats_for_state=None)["b"]["stats"]
    assert {state: counts["total_tasks"] for state, counts in both.items()} == {"active": 1, "archived": 1}
    assert refused(api.send("projects.get_all_ex", include_stats=True, stats_for_state="hidden")) == 12


def test_hidden_projects_count_and_are_marked_on_request_only(ask, tree, top):
    wanted = {"id": [tree[""]], "include_stats": True}
    assert total(ask(**wanted)[top]) == 3
    assert total(ask(**wanted, search_hidden=True)[top]) == 4
    assert total(ask(**wanted, stats_with_children=False)[top]) == 1
    marked = ask(name=f"^{top}", search_hidden=True)
    assert {name for name, project in marked.items() if project.get("hidden")} == {".pipelines", "p"}


@pytest.mark.parametrize(
    ("conditions", "count"),
    [
        ({"system_tags": ["-pipeline", "-dataset"]}, 3),
        ({"system_tags": ["pipeline"], "type": ["controller"]}, 1),
        ({"system_tags": ["pipeline"], "type": ["training"]}, 0),
        ({"type": ["__$not", "controller"]}, 3),
        ({"type": {"any": {"include": ["custom", "controller"]}}}, 4),
        ({"system_tags": {"all": {"exclude": ["pipeline", "dataset"]}}}, 3),
        ({"system_tags": {"any": {"include": ["pipeline", None]}}}, 4),
        ({"system_tags": {"all": {"include": [None]}}}, 3),
        ({"type": {"any": {"include": ["custom"]}, "all": {"include": ["controller"]}}}, 0),
        ({"type": {"any": {"include": ["custom"]}, "all": {"include": ["controller"]}, "op": "or"}}, 4),
    ],
)
def test_statistics_count_what_fits_a_filter(ask, tree, top, conditions, count):
    wanted = {"id": [tree[""]], "include_stats": True, "search_hidden": True}
    assert total(ask(**wanted, include_stats_filter=conditions)[top]) == count


@pytest.mark.parametrize(
    "conditions", [{"type": []}, {"type": "custom"}, {"type": [1]}, {"type": {"any": {"include": "x"}}}]
)
def test_a_filter_of_statistics_that_makes_no_sense_is_refused(api, tree, conditions):
    wanted = {"id": [tree[""]], "include_stats": True, "include_stats_filter": conditions}
    assert refused(api.send("projects.get_all_ex", **wanted)) in (12, 20)


def test_own_contents_are_those_of_the_project_itself(api, ask, tree, top):
    api("models.create", name="a model", uri="u", project=tree[""])
    api("tasks.archive", tasks=[api.new("task", project=tree[""])])
    found = ask(id=[tree[""], tree["/a"]], check_own_contents=True)
    assert {name: (p["own_tasks"], p["own_models"]) for name, p in found.items()} == {
        top: (1, 1),
        "a": (1, 0),
    }


def test_a_shallow_search_looks_at_one_level_and_any_other_at_all_below(ask, tree, top):
    assert set(ask(parent=[tree[""]], shallow_search=True)) == {"a"}
    assert set(ask(parent=[tree[""]])) == {"a", "b"}
    assert set(ask(parent=tree["/a"])) == {"b"}
    assert set(ask(name=top, shallow_search=True)) == {top}
    assert set(ask(name=top, parent=[None])) == {top}


@pytest.fixture
def shelf(api, top):
    """A project with one child for each type of children, as clients make them. The id of the project."""
    project = api.new("project", name=top)
    dataset = api.new(
        "project", name=f"{top}/1/.datasets/d", system_tags=["dataset"], tags=["hello", "world"]
    )
    api.new("task", project=dataset, type="data_processing", system_tags=["dataset"])
    pipeline = api.new("project", name=f"{top}/2/.pipelines/p", system_tags=["pipeline"])
    api.new("task", project=pipeline, type="controller", system_tags=["pipeline"])
    api.new("task", project=pipeline, name="a step")
    reports = api.new("project", name=f"{top}/33")
    for tags in ([], ["red", "blue"], ["red"]):
        api("reports.create", name="a report", project=reports, tags=tags)
    return project


def test_projects_are_found_by_the_type_of_their_children(ask, shelf, top):
    wanted = {"parent": [shelf], "shallow_search": True, "include_stats": True, "check_own_contents": True}
    (dataset,) = ask(**wanted, children_type="dataset").values()
    assert (dataset["basename"], dataset["own_datasets"]) == ("1", 0)
    assert dataset["stats"] == {"datasets": {"count": 1, "tags": ["hello", "world"]}}
    assert [child["name"] for child in dataset["sub_projects"]] == [
        f"{top}/1/.datasets",
        f"{top}/1/.datasets/d",
    ]
    (pipeline,) = ask(**wanted, children_type="pipeline").values()
    assert (pipeline["basename"], pipeline["own_tasks"], total(pipeline)) == ("2", 0, 1)
    (reports,) = ask(**wanted, children_type="report").values()
    assert (reports["basename"], total(reports)) == ("33", 3)
    assert ask(**wanted, children_type="pipeline", id=[shelf]) == {}
    (folder,) = ask(
        name=rf"^{top}/1/\.datasets$", search_hidden=True, children_type="dataset", check_own_contents=True
    ).values()
    assert folder["own_datasets"] == 1


@pytest.mark.parametrize(
    ("tags", "count"),
    [
        ({"children_tags": ["red", "blue"]}, 2),
        ({"children_tags": ["__$all", "red", "blue"]}, 1),
        ({"children_tags": ["-red", "-blue"]}, 1),
        ({"children_tags": ["green"]}, None),
        ({"children_tags_filter": {"any": {"include": ["red", "blue"]}}}, 2),
        ({"children_tags_filter": {"all": {"include": ["red", "blue"]}}}, 1),
        ({"children_tags_filter": {"all": {"exclude": ["red", "blue"]}}}, 1),
        ({"children_tags_filter": {"any": {"exclude": ["red", "blue"]}}}, 2),
    ],
)
def test_projects_are_found_by_the_tags_of_their_children(ask, shelf, tags, count):
    wanted = {"parent": [shelf], "shallow_search": True, "include_stats": True, "children_type": "report"}
    found = ask(**wanted, **tags)
    assert [total(project) for project in found.values()] == ([] if count is None else [count])


def test_projects_are_found_by_who_works_in_them(ask, tree):
    assert set(ask(id=[tree["/a"]], active_users=["local_user"])) == {"a"}
    assert ask(id=[tree["/a"]], active_users=["nobody"]) == {}


def test_a_dataset_s_statistics_are_those_of_its_last_version(api, ask, top):
    dataset = api.new("project", name=f"{top}/.datasets/d", system_tags=["dataset"])
    wanted = {"id": [dataset], "include_dataset_stats": True}
    assert ask(**wanted)["d"]["dataset_stats"] is None
    for number in (1, 2):
        version = api.new("task", project=dataset, system_tags=["dataset"])
        api("tasks.edit", task=version, runtime={"ds_file_count": number, "ds_total_size": number * 1000})
    assert ask(**wanted)["d"]["dataset_stats"] == {"file_count": 2, "total_size": 2000}
    api("tasks.archive", tasks=[version])
    assert ask(**wanted)["d"]["dataset_stats"] == {"file_count": 1, "total_size": 1000}


def test_statistics_of_many_projects_take_one_pass_over_the_tasks(store, monkeypatch):
    for i in range(20):
        project = answer_call(store, "projects.create", {"name": f"project {i}"})["id"]
        answer_call(store, "tasks.create", {"name": "a task", "type": "custom", "project": project})
    kinds = []
    read_all = store.all
    monkeypatch.setattr(store, "all", lambda kind: kinds.append(kind) or read_all(kind))
    conditions = {"system_tags": ["-pipeline", "-dataset"]}
    wanted = {"include_stats": True, "include_stats_filter": conditions, "active_users": ["local_user"]}
    found = answer_call(store, "projects.get_all_ex", wanted)["projects"]
    assert [total(project) for project in found] == [1] * 20
    # Once for the statistics, and twice for who works where: what is listed, and what counts.
    assert kinds.count("task") == 3
