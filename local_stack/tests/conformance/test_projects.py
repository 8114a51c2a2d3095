"""Projects, as the ClearML server has them: their tree, statistics, tags and contents."""

from datetime import datetime, timedelta

import pytest

from local_stack.tests.api import refused, scalar


def ids(documents: list[dict]) -> list[str]:
    return [document["id"] for document in documents]


@pytest.fixture
def new_project(api):
    return lambda name, **fields: api.new("project", name=name, **fields)


@pytest.fixture
def with_tasks(api, store, new_project):
    """Make a project with an active and an archived task, each of which ran for a second."""

    def make(name: str) -> tuple[str, list[str]]:
        project = new_project(name)
        archived = {"system_tags": ["archived"], "tags": ["test"]}
        tasks = [api.new("task", project=project, **fields) for fields in ({}, archived)]
        for task in tasks:
            run_for_a_second(api, store, task)
        return project, tasks

    return make


def run_for_a_second(api, store, task: str) -> None:
    api("tasks.started", task=task)
    started = datetime.fromisoformat(store.get("task", task)["started"]) - timedelta(seconds=1)
    store.patch("task", task, started=started.isoformat())
    api("tasks.stopped", task=task)


# The tree


def test_projects_are_renamed_moved_merged_and_deleted(api, new_project, with_tasks):
    assert refused(api.send("projects.create", name="/")) == 407
    project, child = new_project("Root1/Pr1"), new_project("Root1/Pr1/Pr2")
    assert refused(api.send("projects.create", name="Root1/Pr1/Pr2")) == 801
    assert refused(api.send("projects.update", project=project, name="Root2/Pr2")) == 408
    assert api("projects.update", project=project, name="Root1/Pr2")["updated"] == 1

    def named(key: str) -> tuple[str, str]:
        found = api.get("project", key)
        return found["name"], found["basename"]

    def tags(key: str) -> tuple[set[str], set[str]]:
        found = api("projects.get_task_tags", projects=[key], include_system=True)
        return set(found["tags"]), set(found["system_tags"])

    def parent(key: str) -> str:
        return api("projects.get_all_ex", id=[key])["projects"][0]["parent"]["id"]

    assert (named(project), named(child)) == (("Root1/Pr2", "Pr2"), ("Root1/Pr2/Pr2", "Pr2"))
    assert api("projects.move", project=project, new_location="Root2")["moved"] == 2
    assert named(child) == ("Root2/Pr2/Pr2", "Pr2")

    full, (active, _) = with_tasks("Root1/Pr3/Pr4")
    above, above_full = parent(project), parent(full)
    none, both = (set(), set()), ({"test"}, {"archived"})
    assert (tags(above), tags(above_full)) == (none, both)
    answer = api("projects.merge", project=above_full, destination_project=project)
    assert (answer["moved_entities"], answer["moved_projects"]) == (0, 1)
    assert named(full) == ("Root2/Pr2/Pr4", "Pr4")
    assert refused(api.send("projects.get_by_id", project=above_full)) == 401
    assert (tags(above), tags(project), tags(above_full)) == (both, both, none)

    assert refused(api.send("projects.delete", project=project)) == 402
    answer = api("projects.delete", project=project, force=True)
    assert (answer["deleted"], answer["disassociated_tasks"]) == (3, 2)
    assert api.get("task", active).get("project") is None
    for gone in (project, child, full):
        assert refused(api.send("projects.get_by_id", project=gone)) == 401
    assert tags(above) == none


@pytest.mark.parametrize(
    ("name", "source", "target", "subcode"),
    [
        ("move", "aaa/bbb", "aaa/bbb/ccc", 411),
        ("merge", "aaa/bbb", "aaa/bbb", 410),
        ("merge", "aaa/bbb", "aaa/bbb/ccc", 412),
    ],
)
def test_a_project_does_not_go_below_itself(api, new_project, name, source, target, subcode):
    projects = {name: new_project(name) for name in ("aaa/bbb", "aaa/bbb/ccc")}
    destination = {"new_location": target, "destination_project": projects[target]}
    key = {"move": "new_location", "merge": "destination_project"}[name]
    request = {"project": projects[source], key: destination[key]}
    assert refused(api.send(f"projects.{name}", **request)) == subcode


def test_a_name_is_used_once(api, new_project):
    new_project("Test name1")
    other = new_project("Test name2")
    assert refused(api.send("projects.create", name="Test name1", description="test")) == 801
    assert refused(api.send("projects.update", project=other, name="Test name1")) == 801


def test_projects_are_searched_at_one_level_or_below_it(api, new_project):
    first, second = new_project("project1"), new_project("project1/project2")
    new_project("project3")

    def found(**request: object) -> set[str]:
        return set(ids(api("projects.get_all_ex", **request)["projects"]))

    assert found(name="project1", shallow_search=True) == {first}
    assert found(name="project1", parent=[first]) == {second}
    assert found(basename="project2", shallow_search=True) == set()
    assert found(name="project1") == {first, second}
    third = new_project("project1/project2/project1")
    assert found(name="project1", parent=[second]) == {third}
    assert found(basename="project2") == {second}


# Statistics


def stats_of(api, project: str, **request: object) -> dict:
    (found,) = api("projects.get_all_ex", id=[project], **request)["projects"]
    return found.get("stats")


def test_statistics_come_on_request_and_for_each_state(api, new_project):
    project = new_project("counted")
    tasks = [api.new("task", project=project) for _ in range(3)]
    api("tasks.archive", tasks=tasks[2:])
    assert stats_of(api, project) is None
    stats = stats_of(api, project, include_stats=True)
    assert (set(stats), stats["active"]["status_count"]["created"]) == ({"active"}, 2)
    stats = stats_of(api, project, include_stats=True, stats_for_state=None)
    assert stats["active"]["status_count"]["created"] == 2
    stats = stats_of(api, project, include_stats=True, stats_for_state="archived")
    assert stats["archived"]["status_count"]["created"] == 1


def test_statistics_add_up_what_is_below(api, new_project, with_tasks):
    for name in ("project1/project3/project4", "project1/project3/project5"):
        with_tasks(name)
    other = new_project("project2")
    top = {p["name"]: p["id"] for p in api("projects.get_all", shallow_search=True)["projects"]}
    assert set(top) == {"project1", "project2"}
    found = api("projects.get_all_ex", id=list(top.values()), include_stats=True)["projects"]
    full, empty = sorted(found, key=lambda project: project["name"])
    active = full["stats"]["active"]
    counts = {status: count for status, count in active["status_count"].items() if count}
    assert counts == {"stopped": 2}
    assert {"created", "in_progress", "completed"} <= set(active["status_count"])
    keys = ("total_runtime", "completed_tasks_24h", "total_tasks")
    assert [active[key] for key in keys] == [2, 2, 2]
    below = ["project1/project3", "project1/project3/project4", "project1/project3/project5"]
    assert sorted(project["name"] for project in full["sub_projects"]) == below
    assert empty["id"] == other
    assert [empty["stats"]["active"][key] for key in ("total_runtime", "total_tasks")] == [0, 0]
    assert empty["sub_projects"] == []


def test_own_contents_leave_out_what_is_archived_or_below(api, new_project, with_tasks):
    first, _ = with_tasks("project1x")
    second = new_project("project2x")
    with_tasks("project2x/project22")
    api.new("model", project=first)
    found = api("projects.get_all_ex", id=[first, second], check_own_contents=True)["projects"]
    own = {project["id"]: (project["own_tasks"], project["own_models"]) for project in found}
    assert own == {first: (1, 1), second: (0, 0)}


def test_projects_are_searched_by_their_active_users(api, new_project):
    """Who made a project is active in it, and has a name there once there is a task."""
    user = api("users.get_current_user")["user"]["id"]
    empty, used = new_project("project 1"), new_project("project 2")
    api.new("task", project=used)
    for users, found in (([user], {empty, used}), (["nobody"], set())):
        assert set(ids(api("projects.get_all_ex", active_users=users)["projects"])) == found
    for project in (empty, used):
        assert ids(api("users.get_all_ex", active_in_projects=[project])["users"]) == [user]
    names = api("projects.get_user_names", projects=[used])["users"]
    assert ids(names) == [user] and names[0]["name"]
    assert api("projects.get_user_names", projects=[empty])["users"] == []


def test_what_is_below_counts_in_every_aggregation(api, new_project):
    child = new_project("Aggregation/Pr1")
    (project,) = ids(api("projects.get_all_ex", name="^Aggregation$")["projects"])
    (found,) = api("projects.get_all_ex", id=[child])["projects"]
    assert (found["parent"]["id"], found["basename"]) == (project, "Pr1")
    user = api("users.get_current_user")["user"]["id"]

    def aggregations() -> list:
        request = {"projects": [project]}
        counted = {"projects": {"id": [project]}, "active_users": [user]}
        return [
            ids(api("users.get_all_ex", active_in_projects=[project])["users"]),
            ids(api("projects.get_all_ex", id=[project], active_users=[user])["projects"]),
            api("models.get_frameworks", **request)["frameworks"],
            api("tasks.get_types", **request)["types"],
            ids(api("projects.get_task_parents", **request)["parents"]),
            ids(api("projects.get_user_names", **request)["users"]),
            api("organization.get_entities_count", **counted)["projects"],
        ]

    assert aggregations() == [[user], [project], [], [], [], [], 1]
    task = api.new("task", project=child, type="testing")
    api.new("task", project=child, type="testing", parent=task)
    api.new("model", project=child, framework="a framework")
    assert aggregations() == [[user], [project], ["a framework"], ["testing"], [task], [user], 1]
    assert stats_of(api, project, include_stats=True)["active"]["total_tasks"] == 2
    assert stats_of(api, project, include_stats=True, active_users=[user])["active"]["total_tasks"] == 2


def test_datasets_are_counted_and_described(api, new_project):
    project = new_project("Dataset test", system_tags=["dataset"])
    counted = {"datasets": {"system_tags": ["dataset"]}, "allow_public": False}
    assert api("organization.get_entities_count", **counted)["datasets"] == 1
    task = api.new("task", project=project)

    def described() -> dict:
        (found,) = api("projects.get_all_ex", id=[project], include_dataset_stats=True)["projects"]
        return found["dataset_stats"]

    assert described() is None
    api("tasks.edit", task=task, runtime={"ds_file_count": 2, "ds_total_size": 1000})
    assert described() == {"file_count": 2, "total_size": 1000}


# Children of a type

CHILDREN = {"shallow_search": True, "include_stats": True, "check_own_contents": True}


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ({}, {"project1": 1, "project2": 2}),
        ({"children_tags": ["test1", "test2"]}, {"project2": 2}),
        ({"children_tags_filter": {"any": {"include": ["test1", "test2"]}}}, {"project2": 2}),
        ({"children_tags": ["__$all", "test1", "test2"]}, {"project2": 1}),
        ({"children_tags_filter": {"all": {"include": ["test1", "test2"]}}}, {"project2": 1}),
        ({"children_tags": ["-test1", "-test2"]}, {"project1": 1}),
        ({"children_tags": ["__$any", "__$not", "test1", "test2"]}, {"project1": 1, "project2": 1}),
        ({"children_tags_filter": {"all": {"exclude": ["test1", "test2"]}}}, {"project1": 1}),
    ],
)
def test_projects_are_searched_by_the_tags_of_their_reports(api, new_project, condition, expected):
    root, first, second = (new_project(f"Root{below}") for below in ("", "/project1", "/project2"))
    for project, tags in ((first, []), (second, ["test1", "test2"]), (second, ["test1"])):
        api("reports.create", name="a report", project=project, tags=tags)
    request = {"parent": [root], "children_type": "report", **CHILDREN, **condition}
    found = api("projects.get_all_ex", **request)["projects"]
    assert {p["basename"]: p["stats"]["active"]["total_tasks"] for p in found} == expected


def test_projects_are_searched_by_the_type_of_what_they_hold(api, new_project):
    root = new_project("Root")
    tags = ["hello", "world"]
    kinds = {
        "dataset": (
            new_project("Root/Project1/Dataset", system_tags=["dataset"], tags=tags),
            "data_processing",
        ),
        "pipeline": (new_project("Root/Project2/Pipeline", system_tags=["pipeline"]), "controller"),
    }
    for kind, (project, task_type) in kinds.items():
        api.new("task", type=task_type, system_tags=[kind], project=project)
        api.new("task", name="regular task", project=project)
    report_project = new_project("Root/Project3")
    api("reports.create", name="a report", project=report_project)
    api.new("task", name="regular task", project=report_project)

    found = api("projects.get_all_ex", parent=[root], shallow_search=True, include_stats=True)["projects"]
    counts = {p["basename"]: p["stats"]["active"]["total_tasks"] for p in found}
    assert counts == {"Project1": 2, "Project2": 2, "Project3": 1}
    for number, kind in enumerate(("dataset", "pipeline", "report"), 1):
        request = {"parent": [root], "children_type": kind, **CHILDREN}
        (found,) = api("projects.get_all_ex", **request)["projects"]
        assert found["basename"] == f"Project{number}"
        if kind == "dataset":
            assert (found["own_datasets"], found.get("own_tasks")) == (1, None)
            assert found["stats"]["datasets"] == {"count": 1, "tags": tags}
        else:
            assert (found["own_tasks"], found.get("own_datasets")) == (0, None)
            assert found["stats"]["active"]["total_tasks"] == 1


# Deleted


@pytest.mark.parametrize(("kind", "subcode"), [("task", 402), ("model", 405)])
def test_a_project_with_contents_in_use_is_not_deleted(api, new_project, kind, subcode):
    project = new_project("a project")
    api.new(kind, project=project)
    counted = api("projects.validate_delete", project=project)
    assert (counted[f"{kind}s"], counted[f"non_archived_{kind}s"]) == (1, 1)
    assert refused(api.send("projects.delete", project=project)) == subcode


@pytest.mark.parametrize("kind", ["task", "model"])
def test_a_project_with_archived_contents_is_deleted(api, new_project, kind):
    project = new_project("a project")
    api.new(kind, project=project, system_tags=["archived"])
    counted = api("projects.validate_delete", project=project)
    assert (counted[f"{kind}s"], counted[f"non_archived_{kind}s"]) == (1, 0)
    api("projects.delete", project=project)


def test_a_project_with_datasets_is_not_deleted(api, new_project):
    project = new_project("with datasets")
    dataset = new_project("with datasets/.datasets/a dataset", system_tags=["dataset"])
    task = api.new("task", project=dataset, system_tags=["dataset"])
    assert api("projects.validate_delete", project=project)["datasets"] == 1
    assert refused(api.send("projects.delete", project=project)) == 406
    api("tasks.delete", task=task)
    assert api("projects.validate_delete", project=project)["datasets"] == 0
    api("projects.delete", project=project)


def test_a_project_with_pipelines_is_not_deleted(api, new_project):
    project = new_project("with pipelines")
    pipeline = new_project("with pipelines/.pipelines/a pipeline", system_tags=["pipeline"])
    task = api.new("task", project=pipeline, type="controller", system_tags=["pipeline"])
    assert api("projects.validate_delete", project=project)["pipelines"] == 1
    assert refused(api.send("projects.delete", project=project)) == 413
    api("tasks.edit", task=task, system_tags=["archived"])
    assert api("projects.validate_delete", project=project)["pipelines"] == 0
    api("projects.delete", project=project)


def test_a_deleted_project_lets_its_tasks_go(api, new_project):
    project = new_project("a project")
    task = api.new("task", project=project)
    answer = api("projects.delete", project=project, force=True)
    counts = ("deleted", "disassociated_tasks", "deleted_tasks")
    assert [answer[count] for count in counts] == [1, 1, 0]
    assert api.get("task", task).get("project") is None


# Tags


def test_tags_in_use_follow_the_tasks(api, new_project):
    first, second = new_project("tags 1"), new_project("tags 2")
    tasks = [api.new("task", project=first, tags=[tag]) for tag in ("tag 1", "tag 2")]
    other = api.new("task", project=second, tags=["tag 3", "tag 4"])

    def tags(*projects: str, kind: str = "task") -> list[str]:
        return api(f"projects.get_{kind}_tags", projects=list(projects))["tags"]

    assert (tags(first), tags(first, kind="model")) == (["tag 1", "tag 2"], [])
    assert tags(first, second) == ["tag 1", "tag 2", "tag 3", "tag 4"]
    api("tasks.edit", task=tasks[1], project=second)
    assert (tags(first), tags(second)) == (["tag 1"], ["tag 2", "tag 3", "tag 4"])
    for task in (tasks[0], other):
        api("tasks.delete", task=task, force=True)
    assert tags(first, second) == ["tag 2"]


def test_tags_of_everything_are_listed_and_filtered(api):
    model, task = api.new("model", tags=["tag 1"]), api.new("task", tags=["tag 1"])
    assert api("organization.get_tags")["tags"] == ["tag 1"]
    api("tasks.edit", task=task, tags=["tag 2"], system_tags=["a system tag"])
    found = api("organization.get_tags", include_system=True)
    assert found["tags"] == ["tag 1", "tag 2"] and "a system tag" in found["system_tags"]
    unmarked = api("organization.get_tags", filter={"system_tags": ["__$not", "a system tag"]})
    assert unmarked["tags"] == ["tag 1"]
    api("models.delete", model=model)
    assert api("organization.get_tags")["tags"] == ["tag 2"]


# Values in use


def test_values_of_a_hyperparameter_are_listed_once(api, new_project):
    project = new_project("values")
    for number in range(5):
        for section, name, value in (("Se$tion1", "pa__ram1", str(number)), ("Section2", "param2", "one")):
            item = {"section": section, "name": name, "type": "str", "value": value}
            task = api.new("task", project=project)
            api("tasks.edit_hyper_params", task=task, hyperparams=[item])

    def values(section: str, name: str, **request: str) -> tuple[int, list[str]]:
        asked = {"projects": [project], "section": section, "name": name, **request}
        answer = api("projects.get_hyperparam_values", **asked)
        return answer["total"], answer["values"]

    assert values("Se$tion1", "pa__ram1") == (5, ["0", "1", "2", "3", "4"])
    assert values("Section2", "param2") == (1, ["one"])
    assert values("missing", "missing") == (0, [])
    assert values("Se$tion1", "pa__ram1", pattern="^1") == (1, ["1"])
    assert values("Se$tion1", "pa__ram1", pattern="11")[0] == 0


def test_metrics_are_listed_by_project_or_by_task(api, new_project):
    project = new_project("metrics")
    tasks = [api.new("task", project=project) for _ in range(2)]
    for number, task in enumerate(tasks):
        api.events(scalar(task, f"Metric{number}", "Variant", 0, 10))

    def metrics(**request: object) -> list[str]:
        found = api("projects.get_unique_metric_variants", **request)["metrics"]
        return [item["metric"] for item in found]

    assert metrics(project=project) == metrics(ids=tasks) == ["Metric0", "Metric1"]
    assert metrics(ids=tasks[:1]) == ["Metric0"]
