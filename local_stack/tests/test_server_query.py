"""The filter language of the local server's get_all calls, as the SDK documents and uses it."""

import re
from datetime import UTC, datetime, timedelta

import pytest

from local_stack.tests.api import refused

TASKS = {
    # name: (type, tags, comment, runtime)
    "train small": ("training", ["cat", "best"], "Seen by Ann", {"version": 1}),
    "train large": ("training", ["cat", "dog"], "", {"version": 3}),
    "test large": ("testing", ["dog"], "seen by bob", {"version": "2"}),
    "report": ("custom", [], "", {"nested": {"deep": True}}),
    "Train+test (v1.0)": ("custom", ["best", "-odd"], "", {}),
}


@pytest.fixture(scope="module")
def shelf(api):
    """A project with a task for each of TASKS and, by name, their ids."""
    project = api.new("project", name="query tests/shelf")
    ids = {}
    for name, (kind, tags, comment, runtime) in TASKS.items():
        ids[name] = api.new("task", name=name, type=kind, tags=tags, comment=comment, project=project)
        api("tasks.edit", task=ids[name], runtime=runtime)
    return project, ids


@pytest.fixture
def names(api, shelf):
    """Ask for tasks of the shelf and give their names."""

    def ask(**wanted) -> list[str]:
        return [task["name"] for task in api("tasks.get_all", project=[shelf[0]], **wanted)["tasks"]]

    return ask


def test_without_conditions_all_are_found_in_the_order_they_were_made(names):
    assert names() == list(TASKS)


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("train", ["train small", "train large"]),
        ("^test", ["test large"]),
        ("large$", ["train large", "test large"]),
        (r"^Train\+test\ \(v1\.0\)$", ["Train+test (v1.0)"]),
        (f"^{re.escape('Train+test (v1.0)')}$", ["Train+test (v1.0)"]),
        ("nothing", []),
    ],
)
def test_a_name_is_a_regular_expression(names, pattern, found):
    assert names(name=pattern) == found


@pytest.mark.parametrize("pattern", ["(", "[", "*", "(?P<x", "a{2,1}"])
def test_a_malformed_regular_expression_is_refused(api, pattern):
    assert refused(api.send("tasks.get_all", name=pattern)) == 21


@pytest.mark.parametrize(
    ("tags", "found"),
    [
        (["cat", "dog"], ["train small", "train large", "test large"]),
        (["__$any", "cat", "dog"], ["train small", "train large", "test large"]),
        (["__$or", "cat", "dog"], ["train small", "train large", "test large"]),
        (["__$all", "cat", "dog"], ["train large"]),
        (["__$and", "cat", "dog"], ["train large"]),
        (["__$not", "cat"], ["test large", "report", "Train+test (v1.0)"]),
        (["__$all", "cat", "__$not", "dog"], ["train small"]),
        (["__$all", "__$not", "cat", "__$not", "dog"], ["report", "Train+test (v1.0)"]),
        (["__$all", "best", "__$or", "cat", "__$not", "dog"], ["train small", "Train+test (v1.0)"]),
        (["cat", "-dog"], ["train small"]),
        (["-dog"], ["train small", "report", "Train+test (v1.0)"]),
        ([None], ["report"]),
        (["dog", None], ["train large", "test large", "report"]),
        (["__$not", None], ["train small", "train large", "test large", "Train+test (v1.0)"]),
        (["__$nop", "dog"], ["train large", "test large"]),
        ([], list(TASKS)),
        (["nobody has this"], []),
    ],
)
def test_tags_speak_the_tag_language(names, tags, found):
    assert names(tags=tags) == found


def test_the_sdks_example_of_the_tag_language_means_what_it_says(api):
    """Its meaning: ("a" AND "b" AND "c" AND ("d" OR NOT "e") AND ("f" OR "g"))."""
    project = api.new("project", name="query tests/sdk example")
    matching = ["abcf", "abcdg", "abcdef"]
    for tags in (*matching, "abf", "abce", "abcef", "abcd", "abc"):
        api.new("task", name=f"tagged {tags}", tags=list(tags), project=project)
    wanted = ["__$all", "a", "b", "c", "__$or", "d", "__$not", "e", "__$and", "__$or", "f", "g"]
    found = api("tasks.get_all", project=[project], tags=wanted)["tasks"]
    assert [task["name"] for task in found] == [f"tagged {tags}" for tags in matching]


@pytest.mark.parametrize(
    ("condition", "found"),
    [
        ({"type": ["testing"]}, ["test large"]),
        ({"type": ["testing", "custom"]}, ["test large", "report", "Train+test (v1.0)"]),
        ({"type": ["__$not", "training"]}, ["test large", "report", "Train+test (v1.0)"]),
        ({"status": ["created"]}, list(TASKS)),
        ({"status": ["completed", "failed"]}, []),
        ({"parent": "nobody"}, []),
        ({"parent": [None]}, list(TASKS)),
        ({"comment": "(?i)seen"}, ["train small", "test large"]),
        ({"user": ["local_user"], "name": "^train", "tags": ["dog"]}, ["train large"]),
        ({"runtime.version": 3}, ["train large"]),
        ({"runtime.version": [1, "2"]}, ["train small", "test large"]),
        ({"runtime.nested.deep": True}, ["report"]),
        ({"parent": None, "name": None}, list(TASKS)),
        ({"no_such_field": "x", "method": "get"}, list(TASKS)),
    ],
)
def test_conditions_on_several_fields_must_all_hold(names, condition, found):
    assert names(**condition) == found


def test_a_key_that_holds_dots_itself_is_found(api):
    task = api.new("task", hyperparams={"Args": {"a.b": {"value": "7"}}})
    for path, value, found in (
        ("hyperparams.Args.a.b.value", "7", [task]),
        ("hyperparams.Args.a.b.value", "8", []),
        ("hyperparams.Args.a.c.value", "7", []),
        ("name.value", "7", []),
    ):
        answer = api("tasks.get_all", id=[task], **{path: value})["tasks"]
        assert [each["id"] for each in answer] == found, path


def test_ids_are_found_one_and_many(names, shelf):
    ids = shelf[1]
    assert names(id=[ids["report"], ids["train small"]]) == ["train small", "report"]
    assert names(id=ids["report"]) == ["report"]
    assert names(id=["nobody"]) == []


@pytest.mark.parametrize(
    ("condition", "found"),
    [
        ({"_any_": {"fields": ["name", "comment"], "pattern": "ann|test"}},
         ["train small", "test large", "Train+test (v1.0)"]),
        ({"_all_": {"fields": ["name", "comment"], "pattern": "s"}}, ["train small", "test large"]),
        ({"_any_": {"fields": ["tags"], "pattern": "^be"}}, ["train small", "Train+test (v1.0)"]),
        ({"_any_": {"fields": ["runtime.version"], "pattern": "[23]"}}, ["train large", "test large"]),
        ({"_any_": {"fields": []}}, []),
        ({"_all_": {"fields": []}}, list(TASKS)),
        ({"search_text": "BOB"}, ["test large"]),
        ({"search_text": "(v1.0)"}, ["Train+test (v1.0)"]),
    ],
)  # fmt: skip
def test_one_pattern_may_be_searched_in_several_fields(names, condition, found):
    assert names(**condition) == found


@pytest.mark.parametrize(
    ("operator", "kept"),
    [(">=", slice(2, 5)), (">", slice(3, 5)), ("<=", slice(3)), ("<", slice(2)), ("=", slice(2, 3))],
)
def test_dates_compare(api, shelf, names, operator, kept):
    tasks = api("tasks.get_all", project=[shelf[0]])["tasks"]
    pivot = tasks[2]["created"]
    assert names(created=operator + pivot) == list(TASKS)[kept]


def test_dates_are_understood_with_and_without_a_time_and_a_zone(names):
    yesterday = datetime.now(UTC) - timedelta(days=1)
    zoned = yesterday.strftime("%Y-%m-%dT%H:%M:%SZ")
    for text in (yesterday.date().isoformat(), yesterday.isoformat(), zoned):
        assert names(created=f">{text}") == list(TASKS)
        assert names(created=[f">{text}", "<2999-01-01"]) == list(TASKS)
        assert names(created=f"<={text}") == []
    assert names(started=">=2000-01-01") == []
    any_field = {"fields": ["started", "created"], "datetime": [f">{zoned}"]}
    assert names(_any_=any_field) == names(_or_=any_field) == list(TASKS)
    assert names(_all_=any_field) == names(_and_=any_field) == []


@pytest.mark.parametrize("bound", ["tomorrow", ">=", "2026-13-01", ">= x", 5, True, "9999999999-01-01"])
def test_what_is_no_date_is_refused(api, bound):
    assert api.send("tasks.get_all", created=bound).status_code == 400


def test_the_order_may_be_by_several_fields_in_both_directions(names):
    assert names(order_by=["name"]) == sorted(TASKS)
    assert names(order_by=["-name"]) == sorted(TASKS, reverse=True)
    assert names(order_by="-created") == list(TASKS)[::-1]
    assert names(order_by=["type", "-name"]) == [
        "report", "Train+test (v1.0)", "test large", "train small", "train large",
    ]  # fmt: skip


def test_an_order_over_values_of_several_types_puts_missing_first_then_numbers_then_text(names):
    assert names(order_by=["runtime.version"])[-3:] == ["train small", "train large", "test large"]
    assert names(order_by=["no.such.field"]) == list(TASKS)


def test_pages_follow_one_another(names):
    assert names(page=0, page_size=2) == list(TASKS)[:2]
    assert names(page=2, page_size=2) == list(TASKS)[4:]
    assert names(page=3, page_size=2) == []
    assert names(page=1, page_size=2, order_by=["-created"]) == list(TASKS)[::-1][2:4]


def test_a_scroll_goes_on_until_nothing_is_left(api, shelf):
    seen, scroll = [], {"size": 2}
    while True:
        answer = api("tasks.get_all", project=[shelf[0]], **scroll)
        if not answer["tasks"]:
            break
        seen += [task["name"] for task in answer["tasks"]]
        scroll = {"size": 2, "scroll_id": answer["scroll_id"]}
    assert seen == list(TASKS)
    assert answer["scroll_id"] is None


@pytest.mark.parametrize("scroll_id", ["x", "-1", "1.5", "²", "9" * 30])
def test_an_invalid_scroll_id_is_refused(api, scroll_id):
    assert refused(api.send("tasks.get_all", scroll_id=scroll_id)) == 1104


def test_no_page_holds_more_than_500(api):
    project = api.new("project", name="query tests/many")
    for _ in range(501):
        api.new("task", project=project)
    for options, count in (({}, 500), ({"page_size": 1000}, 500), ({"page": 1}, 1)):
        assert len(api("tasks.get_all", project=[project], **options)["tasks"]) == count
    api("projects.delete", project=project, force=True, delete_contents=True)


def test_only_the_fields_asked_for_come_and_the_id(api, shelf):
    fields = ["name", "runtime.version", "x.y"]
    (task,) = api("tasks.get_all", id=[shelf[1]["train large"]], only_fields=fields)["tasks"]
    assert task == {"id": shelf[1]["train large"], "name": "train large", "runtime": {"version": 3}}


def test_two_fields_of_one_object_may_be_asked_for_and_nothing_changes_in_the_store(api, shelf):
    before = api.get("task", shelf[1]["report"])
    fields = ["script.binary", "script.repository", "execution.artifacts", "execution", "runtime.version"]
    (task,) = api("tasks.get_all", id=[shelf[1]["report"]], only_fields=fields)["tasks"]
    assert api.get("task", shelf[1]["report"]) == before
    assert task["script"] == {"binary": "python", "repository": ""}
    assert task["execution"] == {"artifacts": []}


def test_what_is_hidden_is_found_only_by_its_id_or_when_asked_for(api):
    project = api.new("project", name="query tests/.hidden/inner")
    task = api.new("task", name="hidden task", system_tags=["hidden"])

    def found(service: str, **wanted) -> bool:
        kind = f"{service}s"
        return any(item["id"] in (project, task) for item in api(f"{kind}.get_all", **wanted)[kind])

    for service, name, key in (("project", "inner$", project), ("task", "^hidden task$", task)):
        assert not found(service, name=name)
        assert found(service, name=name, search_hidden=True)
        assert found(service, id=[key])


def test_projects_are_found_by_name_by_basename_and_at_the_top_alone(api):
    for name in ("query tests/a/leaf", "query tests/b/leaf"):
        api("projects.create", name=name)

    def found(**wanted) -> list[str]:
        projects = api("projects.get_all", order_by=["name"], **wanted)["projects"]
        return [project["name"] for project in projects]

    assert found(name="^query tests/a") == ["query tests/a", "query tests/a/leaf"]
    assert found(basename="^leaf$") == ["query tests/a/leaf", "query tests/b/leaf"]
    assert found(name="^query tests", shallow_search=True) == ["query tests"]
    assert found(_any_={"fields": ["name"], "pattern": "/B/LEAF"}) == ["query tests/b/leaf"]


def test_models_and_queues_speak_the_same_language(api):
    for name, tags in (("query model one", ["x"]), ("query model two", ["x", "y"])):
        api("models.create", name=name, uri="file:///m", tags=tags, framework="ScikitLearn")
        api("queues.create", name=name.replace("model", "queue"), tags=tags)
    wanted = {"tags": ["__$all", "x", "__$not", "y"], "only_fields": ["name"]}
    for kind in ("models", "queues"):
        found = [document["name"] for document in api(f"{kind}.get_all", name="^query", **wanted)[kind]]
        assert found == [f"query {kind[:-1]} one"]
