"""Projects on the local server: the tree that their names make, and what moves and goes with them."""

import uuid

import pytest

from local_stack.tests.api import refused, scalar


@pytest.fixture
def top() -> str:
    """The name of a project that no other test uses."""
    return f"top {uuid.uuid4().hex[:8]}"


@pytest.fixture
def names(api, top):
    """The names of all projects below `top`, hidden ones too, without that of `top` itself."""

    def ask() -> list[str]:
        found = api("projects.get_all", name=f"^{top}/", search_hidden=True, order_by=["name"])["projects"]
        return [project["name"].removeprefix(f"{top}/") for project in found]

    return ask


def test_a_name_with_slashes_makes_the_parents(api, top, names):
    leaf = api("projects.create", name=f"{top}/a/b", description="leaf", tags=["t"])["id"]
    assert names() == ["a", "a/b"]
    project = api.get("project", leaf)
    (parent,) = api("projects.get_all", name=f"^{top}/a$")["projects"]
    assert project["basename"] == "b"
    assert project["parent"] == parent["id"]
    assert (project["description"], project["tags"]) == ("leaf", ["t"])
    assert (parent["description"], parent["tags"]) == ("", [])


@pytest.mark.parametrize("name", ["{}/.datasets/x", "{}/.pipelines/x", "{}/.x/y/z"])
def test_what_is_below_a_name_with_a_dot_is_hidden(api, top, name):
    project = api("projects.create", name=name.format(top))["id"]
    assert api.get("project", project)["system_tags"] == ["hidden"]
    assert [p["name"] for p in api("projects.get_all", name=f"^{top}")["projects"]] == [top]


@pytest.mark.parametrize("name", ["", "ab", "/abc", "abc/", "abc//def", "abc/ /def", "a/" * 60 + "a"])
def test_a_name_that_makes_no_tree_or_is_taken_is_refused(api, top, name):
    project = api.new("project", name=top)
    assert refused(api.send("projects.create", name=top)) == 801
    assert refused(api.send("projects.create", name=name)) in (12, 407)
    assert refused(api.send("projects.update", project=project, name=name)) in (12, 407)
    assert api.get("project", project)["name"] == top


def test_a_renamed_project_takes_all_below_it_along(api, top, names):
    leaf = api.new("project", name=f"{top}/a/b/c")
    api("projects.create", name=f"{top}/ab")
    (project,) = api("projects.get_all", name=f"^{top}/a$")["projects"]
    api("projects.update", project=project["id"], name=f"{top}/x/y", description="moved")
    assert names() == ["ab", "x", "x/y", "x/y/b", "x/y/b/c"]
    (parent,) = api("projects.get_all", name=f"^{top}/x$")["projects"]
    moved = api.get("project", project["id"])
    assert (moved["basename"], moved["parent"], moved["description"]) == ("y", parent["id"], "moved")
    assert api.get("project", leaf)["basename"] == "c"


def test_what_moves_below_a_name_with_a_dot_is_hidden_and_shown_again_when_it_moves_out(api, top):
    project = api.new("project", name=f"{top}/a")
    for location, tags in ((f"{top}/.pipelines", ["hidden"]), (top, [])):
        api("projects.move", project=project, new_location=location)
        assert api.get("project", project)["system_tags"] == tags


def test_a_project_cannot_move_below_itself(api, top, names):
    project = api.new("project", name=f"{top}/a/b")
    (parent,) = api("projects.get_all", name=f"^{top}/a$")["projects"]
    assert refused(api.send("projects.update", project=parent["id"], name=f"{top}/a/b/a")) == 408
    assert refused(api.send("projects.move", project=parent["id"], new_location=f"{top}/a/b")) == 408
    assert refused(api.send("projects.move", project=project, new_location=f"{top}/a")) == 801
    assert names() == ["a", "a/b"]


def test_a_project_moves_to_another_place_and_to_the_top(api, top, names):
    project = api.new("project", name=f"{top}/a/{top} b")
    assert api("projects.move", project=project, new_location=f"{top}/c") == {"moved": 1}
    assert names() == ["a", "c", f"c/{top} b"]
    api("projects.move", project=project, new_location="")
    assert api.get("project", project)["name"] == f"{top} b"
    assert not api.get("project", project).get("parent")


def test_a_merged_project_hands_over_all_it_holds(api, top, names):
    source = api.new("project", name=f"{top}/source")
    target = api.new("project", name=f"{top}/target")
    assert refused(api.send("projects.merge", project=source, destination_project=source)) == 12
    api("projects.create", name=f"{top}/source/child")
    task = api("tasks.create", name="a task", type="custom", project=source)["id"]
    api("models.create", name="a model", uri="u", project=source)
    answer = api("projects.merge", project=source, destination_project=target)
    assert answer == {"moved_entities": 2, "moved_projects": 1}
    assert names() == ["target", "target/child"]
    assert api.get("task", task)["project"] == target


def contents(api, project: str) -> dict[str, str]:
    """A task and a model in the project, with a file each, and a task in it that waits in a queue."""
    task = api("tasks.create", name="a task", type="custom", project=project)["id"]
    artifact = {"key": "a", "type": "csv", "uri": "http://files/a.csv"}
    api("tasks.add_or_update_artifacts", task=task, artifacts=[artifact])
    model = api("models.create", name="a model", uri="http://files/m.bin", project=project)["id"]
    waiting = api("tasks.create", name="waiting", type="custom", project=project)["id"]
    api("tasks.enqueue", task=waiting, queue_name="project tests")
    return {"task": task, "model": model, "waiting": waiting}


def test_a_project_with_contents_is_deleted_by_force_only(api, top):
    project = api.new("project", name=top)
    held = contents(api, project)
    counts = {"tasks": 2, "non_archived_tasks": 2, "models": 1, "non_archived_models": 1}
    assert api("projects.validate_delete", project=project) == counts
    assert refused(api.send("projects.delete", project=project)) == 402
    api("tasks.archive", tasks=[held["task"], held["waiting"]])
    assert refused(api.send("projects.delete", project=project)) == 405
    api("models.archive_many", ids=[held["model"]])
    assert api("projects.delete", project=project)["deleted"] == 1


def test_what_a_deleted_project_held_stays_without_a_project(api, top):
    project = api.new("project", name=f"{top}/a")
    held = contents(api, project)
    answer = api("projects.delete", project=project, force=True)
    assert (answer["deleted"], answer["disassociated_tasks"], answer["deleted_tasks"]) == (1, 2, 0)
    assert api.get("task", held["task"]).get("project") is None
    assert api.get("model", held["model"]).get("project") is None
    assert api.get("task", held["waiting"])["status"] == "queued"


def test_deleting_a_project_with_its_contents_leaves_nothing_of_them(api, top):
    project = api.new("project", name=f"{top}/a")
    held = contents(api, api.new("project", name=f"{top}/a/b"))
    user = api.new("task", models={"input": [{"name": "m", "model": held["model"]}]})
    answer = api("projects.delete", project=project, force=True, delete_contents=True)
    assert (answer["deleted"], answer["deleted_tasks"], answer["deleted_models"]) == (2, 2, 1)
    urls = {"artifact_urls": ["http://files/a.csv"], "event_urls": [], "model_urls": ["http://files/m.bin"]}
    assert answer["urls"] == urls
    assert refused(api.send("tasks.get_by_id", task=held["task"])) == 101
    assert refused(api.send("models.get_by_id", model=held["model"])) == 201
    assert api.get("task", user)["models"]["input"][0]["model"].startswith("__DELETED__")
    (queue,) = api("queues.get_all", name="^project tests$")["queues"]
    assert held["waiting"] not in [entry["task"] for entry in queue["entries"]]


def test_tags_in_use_are_listed_for_tasks_models_projects_and_all(api, top):
    project = api("projects.create", name=top, tags=["p"])["id"]
    other = api.new("project", name=f"{top}/other")
    api("tasks.create", name="a task", type="custom", project=project, tags=["t", "both"])
    api("tasks.create", name="elsewhere", type="custom", project=other, tags=["elsewhere"])
    api("models.create", name="a model", uri="u", project=project, tags=["m", "both"], system_tags=["s"])
    here = {"projects": [project]}
    assert api("projects.get_task_tags", **here) == {"tags": ["both", "t"]}
    tags = {"tags": ["both", "m"], "system_tags": ["s"]}
    assert api("projects.get_model_tags", include_system=True, **here) == tags
    assert "p" in api("projects.get_project_tags")["tags"]
    assert {"p", "t", "m", "both", "elsewhere"} <= set(api("organization.get_tags")["tags"])


def test_the_metrics_and_hyperparameters_of_a_project_are_listed(api, top):
    project, child = (api.new("project", name=name) for name in (top, f"{top}/child"))
    for where, name, section in ((project, "loss", "Args"), (child, "recall", "General")):
        parameters = {section: {"a": {"value": "1"}, "b": {"value": "2"}}}
        task = api.new("task", project=where, hyperparams=parameters)
        api.events(scalar(task, name, "v", 1, 1))
    (metric,) = api("projects.get_unique_metric_variants", project=project)["metrics"]
    assert (metric["metric"], metric["variant"]) == ("loss", "v")
    args, general = ([{"section": s, "name": n} for n in "ab"] for s in ("Args", "General"))
    deep = api("projects.get_hyper_parameters", project=project)
    assert deep == {"parameters": [*args, *general], "remaining": 0, "total": 4}
    shallow = api("projects.get_hyper_parameters", project=project, include_subprojects=False)
    assert shallow["parameters"] == args
    page = api("projects.get_hyper_parameters", project=project, page=1, page_size=3)
    assert page == {"parameters": general[1:], "remaining": 0, "total": 4}
