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


@pytest.mark.parametrize(("name", "subcode"), [("/", 407), (" / ", 407), ("ab", 12), ("a/" * 10 + "a", 409)])
def test_a_name_that_makes_no_tree_or_is_taken_is_refused(api, top, name, subcode):
    project = api.new("project", name=top)
    assert refused(api.send("projects.create", name=top)) == 801
    assert refused(api.send("projects.create", name=f"/{top}/")) == 801
    assert refused(api.send("projects.create", name=name)) == subcode
    assert refused(api.send("projects.update", project=project, name=name)) == subcode
    assert api.get("project", project)["name"] == top


def test_slashes_and_spaces_that_are_too_much_are_left_out_of_a_name(api, top, names):
    project = api.new("project", name=f"/{top}// a / b/")
    assert api.get("project", project)["name"] == f"{top}/a/b"
    assert names() == ["a", "a/b"]


def test_a_renamed_project_takes_all_below_it_along(api, top, names):
    leaf = api.new("project", name=f"{top}/a/b/c")
    api("projects.create", name=f"{top}/ab")
    (project,) = api("projects.get_all", name=f"^{top}/a$")["projects"]
    api("projects.update", project=project["id"], name=f"{top}/y", description="renamed")
    assert names() == ["ab", "y", "y/b", "y/b/c"]
    renamed = api.get("project", project["id"])
    assert (renamed["basename"], renamed["description"]) == ("y", "renamed")
    assert renamed["parent"] == project["parent"]
    assert api.get("project", leaf)["basename"] == "c"


def test_a_project_is_not_moved_by_giving_it_a_name_at_another_place(api, top, names):
    project = api.new("project", name=f"{top}/a")
    assert refused(api.send("projects.update", project=project, name=f"{top}/x/a")) == 408
    assert refused(api.send("projects.update", project=project, name=f"{top} a")) == 408
    assert names() == ["a"]


def test_what_moves_below_a_name_with_a_dot_is_hidden_and_shown_again_when_it_moves_out(api, top):
    project = api.new("project", name=f"{top}/a")
    for location, tags in ((f"{top}/.pipelines", ["hidden"]), (top, [])):
        api("projects.move", project=project, new_location=location)
        assert api.get("project", project)["system_tags"] == tags


def test_a_project_cannot_move_below_itself(api, top, names):
    project = api.new("project", name=f"{top}/a/b")
    (parent,) = api("projects.get_all", name=f"^{top}/a$")["projects"]
    assert refused(api.send("projects.move", project=parent["id"], new_location=f"{top}/a/b")) == 411
    assert refused(api.send("projects.move", project=parent["id"], new_location=f"{top}/a/c")) == 411
    assert refused(api.send("projects.move", project=project, new_location=f"{top}/a")) == 410
    assert names() == ["a", "a/b"]


def test_a_project_cannot_move_to_where_its_name_is_taken_or_its_children_are_too_deep(api, top):
    project = api.new("project", name=f"{top}/a/b")
    api.new("project", name=f"{top}/c/b")
    api.new("project", name=f"{top}/a/b/" + "/".join("123456"))
    assert refused(api.send("projects.move", project=project, new_location=f"{top}/c")) == 801
    assert refused(api.send("projects.move", project=project, new_location=f"{top}/a/d/e")) == 409
    assert api.get("project", project)["name"] == f"{top}/a/b"


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
    assert refused(api.send("projects.merge", project=source, destination_project=source)) == 410
    child = api.new("project", name=f"{top}/source/child")
    assert refused(api.send("projects.merge", project=source, destination_project=child)) == 412
    task = api("tasks.create", name="a task", type="custom", project=source)["id"]
    api("tasks.archive", tasks=[task])
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
    counts |= {"pipelines": 0, "datasets": 0, "reports": 0, "non_archived_reports": 0}
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
    used = [{"name": "m", "model": held["model"]}]
    user = api.new("task", models={"input": used}, parent=held["task"])
    made = api.new("task", models={"output": used})
    published = api.new("task", models={"output": used})
    api("tasks.publish", task=published, force=True)
    answer = api("projects.delete", project=project, force=True, delete_contents=True)
    assert (answer["deleted"], answer["deleted_tasks"], answer["deleted_models"]) == (2, 2, 1)
    urls = {"artifact_urls": ["http://files/a.csv"], "event_urls": [], "model_urls": ["http://files/m.bin"]}
    assert answer["urls"] == urls
    assert refused(api.send("tasks.get_by_id", task=held["task"])) == 101
    assert refused(api.send("models.get_by_id", model=held["model"])) == 201
    deleted = [{"name": "m", "model": "__DELETED__"}]
    assert api.get("task", user)["models"]["input"] == deleted
    assert "parent" not in api.get("task", user)
    assert api.get("task", made)["models"]["output"] == []
    assert api.get("task", published)["models"]["output"] == deleted
    (queue,) = api("queues.get_all", name="^project tests$")["queues"]
    assert held["waiting"] not in [entry["task"] for entry in queue["entries"]]


def test_tags_in_use_are_listed_for_tasks_models_projects_and_all(api, top):
    project = api("projects.create", name=top, tags=["p"])["id"]
    other = api.new("project", name=f"{top}/other")
    api("tasks.create", name="a task", type="custom", project=project, tags=["t", "both"])
    here = {"projects": [project]}
    api("tasks.create", name="elsewhere", type="custom", project=other, tags=["elsewhere"])
    api("models.create", name="a model", uri="u", project=project, tags=["m", "both"], system_tags=["s"])
    assert api("projects.get_task_tags", **here) == {"tags": ["both", "elsewhere", "t"]}  # below it, too
    assert api("projects.get_task_tags", projects=[other]) == {"tags": ["elsewhere"]}
    tags = {"tags": ["both", "m"], "system_tags": ["s"]}
    assert api("projects.get_model_tags", include_system=True, **here) == tags
    assert api("projects.get_task_tags", projects=[project, other])["tags"] == ["both", "elsewhere", "t"]
    assert "p" in api("projects.get_project_tags")["tags"]
    assert {"t", "m", "both", "elsewhere"} <= set(api("organization.get_tags")["tags"])
    assert "p" not in api("organization.get_tags")["tags"]
    without = {"filter": {"tags": ["__$not", "t"]}}
    assert api("projects.get_task_tags", **here, **without)["tags"] == ["elsewhere"]
    assert "t" not in api("organization.get_tags", **without)["tags"]
    assert api("projects.get_project_tags", **here, **without, include_system=True) == {
        "tags": ["p"],
        "system_tags": [],
    }
    assert refused(api.send("projects.get_task_tags", filter={"tags": "t"})) == 20


def test_the_metrics_and_hyperparameters_of_a_project_are_listed(api, top):
    project, child = (api.new("project", name=name) for name in (top, f"{top}/child"))
    for where, name, section in ((project, "loss", "Args"), (child, "recall", "General")):
        parameters = {section: {"a": {"value": "1"}, "b": {"value": "2"}}}
        task = api.new("task", project=where, hyperparams=parameters)
        api.events(scalar(task, name, "v", 1, 1))

    def metrics(**wanted) -> list[str]:
        return [item["metric"] for item in api("projects.get_unique_metric_variants", **wanted)["metrics"]]

    assert metrics(project=project) == ["loss", "recall"]
    assert metrics(project=project, include_subprojects=False) == ["loss"]
    assert metrics(project=project, ids=[task]) == metrics(ids=[task]) == ["recall"]
    assert metrics(project=project, model_metrics=True) == []
    args, general = ([{"section": s, "name": n} for n in "ab"] for s in ("Args", "General"))
    deep = api("projects.get_hyper_parameters", project=project)
    assert deep == {"parameters": [*args, *general], "remaining": 0, "total": 4}
    shallow = api("projects.get_hyper_parameters", project=project, include_subprojects=False)
    assert shallow["parameters"] == args
    page = api("projects.get_hyper_parameters", project=project, page=1, page_size=3)
    assert page == {"parameters": general[1:], "remaining": 0, "total": 4}


@pytest.fixture
def shelf(api, top):
    """A project and one below it: their ids. Each has two tasks with parameters and a model with metadata."""
    projects = [api.new("project", name=name) for name in (top, f"{top}/child")]
    for where, texts in zip(projects, (("10", "9"), ("abc", "9")), strict=True):
        for text in texts:
            api.new("task", project=where, hyperparams={"Args": {"lr.x": {"value": text}}})
            metadata = [{"key": f"key {text}", "value": text}, {"key": "all", "value": text}]
            api.new("model", project=where, metadata=metadata)
    return projects


def test_the_values_of_a_hyperparameter_are_listed_each_once(api, shelf):
    def values(**wanted) -> list[str]:
        wanted = {"section": "Args", "name": "lr.x", **wanted}
        answer = api("projects.get_hyperparam_values", **wanted)
        assert answer["total"] == len(answer["values"])
        return answer["values"]

    assert values(projects=shelf[:1]) == ["9", "10", "abc"]
    assert set(values(projects=shelf[:1], include_subprojects=False)) == {"9", "10"}
    assert {"9", "10", "abc"} <= set(values())
    assert values(projects=shelf, pattern="AB") == ["abc"]
    assert len(values(projects=shelf, page_size=2)) == 2
    assert len(values(projects=shelf, page_size=2, page=1)) == 1
    assert values(projects=shelf, name="other") == values(projects=["nobody"]) == []
    assert refused(api.send("projects.get_hyperparam_values", name="lr.x")) == 11
    assert refused(api.send("projects.get_hyperparam_values", section="Args", name="lr.x", pattern="(")) == 21


def test_the_keys_and_values_of_the_metadata_of_models_are_listed(api, shelf):
    keys = api("projects.get_model_metadata_keys", project=shelf[0])
    assert keys == {"keys": ["all", "key 10", "key 9", "key abc"], "total": 4, "remaining": 0}
    page = api("projects.get_model_metadata_keys", project=shelf[0], include_subprojects=False, page_size=2)
    assert page == {"keys": ["all", "key 10"], "total": 3, "remaining": 1}
    found = api("projects.get_model_metadata_values", projects=[shelf[1]], key="all")
    assert (found["total"], sorted(found["values"])) == (2, ["9", "abc"])
    assert api("projects.get_model_metadata_values", projects=[shelf[1]], key="other")["values"] == []
    assert refused(api.send("projects.get_model_metadata_values", projects=shelf)) == 11


def test_those_who_made_the_tasks_or_models_of_a_project_are_listed(api, top, shelf):
    local = [{"id": "local_user", "name": "local user"}]
    assert api("projects.get_user_names", projects=shelf[:1])["users"] == local
    assert api("projects.get_user_names", projects=shelf, entity="model")["users"] == local
    empty = api.new("project", name=f"{top}/empty")
    assert api("projects.get_user_names", projects=[empty])["users"] == []
    assert refused(api.send("projects.get_user_names", entity="queue")) == 12


def test_the_parents_of_a_project_s_tasks_are_listed_with_their_projects(api, top):
    project = api.new("project", name=top)
    child = api.new("project", name=f"{top}/child")
    names = ("b in a project", "a without one")
    first, second = (
        api.new("task", name=name, **where)
        for name, where in zip(names, ({"project": project}, {}), strict=True)
    )
    api.new("task", project=project, parent=first)
    archived = api.new("task", project=child, parent=second)
    api("tasks.archive", tasks=[archived])
    inside = {"id": first, "name": names[0], "project": {"id": project, "name": top}}
    outside = {"id": second, "name": names[1]}

    def parents(**wanted) -> list[dict]:
        return api("projects.get_task_parents", projects=[project], **wanted)["parents"]

    assert parents() == [outside, inside]
    assert parents(include_subprojects=False) == parents(tasks_state="active") == [inside]
    assert parents(tasks_state="archived") == parents(task_name="^a w") == [outside]
    assert refused(api.send("projects.get_task_parents", tasks_state="hidden")) == 12


@pytest.mark.parametrize(
    ("folder", "tag", "kind", "subcode"),
    [(".pipelines", "pipeline", "controller", 413), (".datasets", "dataset", "data_processing", 406)],
)
def test_a_project_with_pipelines_or_datasets_is_deleted_by_force_only(api, top, folder, tag, kind, subcode):
    project = api.new("project", name=top)
    inner = api.new("project", name=f"{top}/{folder}/one", system_tags=[tag])
    task = api.new("task", project=inner, type=kind, system_tags=[tag])
    counts = api("projects.validate_delete", project=project)
    assert {name: count for name, count in counts.items() if count} == {f"{tag}s": 1}
    assert refused(api.send("projects.delete", project=project)) == subcode
    api("tasks.archive", tasks=[task])
    assert not any(api("projects.validate_delete", project=project).values())
    assert api("projects.delete", project=project)["deleted"] == 3


def test_a_project_with_reports_counts_them_apart(api, top):
    project = api.new("project", name=top)
    api("reports.create", name="a report", project=project)
    counts = api("projects.validate_delete", project=project)
    assert {name: count for name, count in counts.items() if count} == {
        "reports": 1,
        "non_archived_reports": 1,
    }
    assert refused(api.send("projects.delete", project=project)) == 402
    assert api("projects.delete", project=project, force=True, delete_contents=True)["deleted_tasks"] == 1


def test_a_project_merges_into_the_top(api, top):
    source = api.new("project", name=f"{top}/source")
    child = api.new("project", name=f"{top}/source/{top} child")
    task = api.new("task", project=source)
    assert api("projects.merge", project=source) == {"moved_entities": 1, "moved_projects": 1}
    assert api.get("project", child)["name"] == f"{top} child"
    assert api.get("task", task).get("project") is None
    assert refused(api.send("projects.get_by_id", project=source)) == 401
