"""The filter language of the local server's get_all calls, as the SDK documents and uses it."""

import hashlib
import re
import time
from datetime import UTC, datetime, timedelta

import pytest

from local_stack.server.listing import MOST_SCROLLS
from local_stack.server.ranges import date_test
from local_stack.tests.api import refused, scalar

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
        (["__$all", "best", "__$or", "cat", "__$not", "dog"], ["train small"]),
        (["__$any", "cat", "__$not", "dog"], ["train small", "train large", "report", "Train+test (v1.0)"]),
        (["__$any", "cat", "__$nop", "-dog"], ["train small", "train large", "report", "Train+test (v1.0)"]),
        (["__$nop", "__$any", "cat", "__$nop", "-dog"], ["train small"]),
        (["__$all", "-odd"], ["Train+test (v1.0)"]),
        (["__$not", "-odd"], ["train small", "train large", "test large", "report"]),
        (["cat", "-dog"], ["train small"]),
        (["-dog"], ["train small", "report", "Train+test (v1.0)"]),
        ([None], ["report"]),
        (["dog", None], ["train large", "test large", "report"]),
        (["__$not", None], ["report"]),
        (["__$nop", "dog"], ["train large", "test large"]),
        ([], list(TASKS)),
        (["nobody has this"], []),
    ],
)
def test_tags_speak_the_tag_language(names, tags, found):
    assert names(tags=tags) == found


def test_the_sdks_example_of_the_tag_language_means_what_the_real_server_makes_of_it(api):
    """The SDK says ("a" AND "b" AND "c" AND ("d" OR NOT "e") AND ("f" OR "g")).

    The server takes together all that follows an OR, and all that follows a NOT: "a" AND "b" AND "c" AND
    ("d" OR "f" OR "g") AND NOT "e".
    """
    project = api.new("project", name="query tests/sdk example")
    matching = ["abcf", "abcdg", "abcd"]
    for tags in (*matching, "abf", "abce", "abcef", "abcdef", "abc"):
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


@pytest.mark.parametrize("value", ["tags", "type", "hyperparams.Args.depth.value"])
@pytest.mark.parametrize("wanted", [["__$not"], ["__$not", "__$all"], ["__$every", "x"], ["-"], [True]])
def test_a_malformed_list_of_values_is_refused(api, value, wanted):
    assert refused(api.send("tasks.get_all", **{value: wanted})) in (16, 20)


@pytest.mark.parametrize(
    ("name", "encoded"),
    [
        ("depth", "depth"),
        ("a.b", "a%2Eb"),
        ("c$d", "c%24d"),
        ("e__f", "e%_%_f"),
        ("_g", "%_g"),
        ("50%", "50%%"),
        ("%2E", "%%2E"),
    ],
)
def test_names_of_parameters_are_encoded_in_filters_orders_and_fields(api, name, encoded):
    project = api.new("project", name=f"query tests/encoded {encoded}")
    path = f"hyperparams.Se%2Ection.{encoded}.value"
    ids = [
        api.new("task", project=project, hyperparams={"Se.ction": {name: {"value": value}}})
        for value in ("10", "9")
    ]
    here = {"project": [project], "id": ids}
    answer = api("tasks.get_all", **here, order_by=[path], only_fields=[path])["tasks"]
    assert answer == [
        {"id": key, "hyperparams": {"Se.ction": {name: {"value": value}}}}
        for key, value in zip(reversed(ids), ("9", "10"), strict=True)
    ]
    (found,) = api("tasks.get_all", **here, **{path: ["10"]})["tasks"]
    assert found["id"] == ids[0]
    assert api("tasks.get_all", **here, **{path: ["__$not", "10", "__$not", "9"]})["tasks"] == []


def test_the_older_path_of_parameters_leads_to_them(api):
    task = api.new("task", hyperparams={"Args": {"depth": {"value": "7"}}})
    fields = ["execution.parameters.depth.value"]
    (found,) = api("tasks.get_all", id=[task], only_fields=fields)["tasks"]
    assert found == {"id": task, "hyperparams": {"Args": {"depth": {"value": "7"}}}}


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
        ({"_any_": {"fields": ["runtime.version"], "pattern": "[23]"}}, ["test large"]),
        ({"_any_": {"fields": [], "pattern": "x"}}, list(TASKS)),
        ({"_all_": {"fields": [], "pattern": "x"}}, list(TASKS)),
        ({"_any_": {"fields": ["script.binary"], "pattern": "^PYTHON$"}}, list(TASKS)),
        ({"search_text": "BOB"}, ["test large"]),
        ({"search_text": "(v1.0)"}, ["Train+test (v1.0)"]),
        ({"search_text": "bob report"}, ["test large", "report"]),
        ({"search_text": "larg"}, []),
        ({"search_text": "large -bob"}, ["train large"]),
        ({"search_text": '"by ann"'}, ["train small"]),
        ({"search_text": '"seen by" large'}, ["test large"]),
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


@pytest.mark.parametrize(
    "day", ["2020-1-3", "1/3/2020", " Jan 3, 2020", "3 January 2020 10:00", "20200103", "2020-1-3 10:00 +2"]
)
def test_dates_may_be_written_as_people_write_them(names, day):
    assert names(created=f">{day}") == names(created=[day, None]) == list(TASKS)
    assert names(created=[f"<{day}"]) == []


@pytest.mark.parametrize(
    ("bound", "kept"),
    [
        (">2026-1-3", True),
        (">11/30/2026", False),
        ("<11/30/2026", True),
        (">1/3/2026", True),
        (">3/1/2026", False),
    ],
)
def test_a_date_with_slashes_begins_with_the_month(bound, kept):
    assert date_test("created", bound)("2026-02-01T00:00:00+00:00") is kept


@pytest.mark.parametrize(
    "bound",
    [
        "tomorrow", ">=", "2026-13-01", ">= x", 5, True, [5, 6], [{}], "9999999999-01-01", "9" * 50,
        "2026-1-3 00:00 +9999", ">2026-1-3" + " 2" * 50,
    ],
)  # fmt: skip
def test_what_is_no_date_is_refused(api, bound):
    assert api.send("tasks.get_all", created=bound).status_code == 400


def test_the_order_may_be_by_several_fields_in_both_directions(names):
    assert names(order_by=["name"]) == sorted(TASKS, key=str.lower)
    assert names(order_by=["-name"]) == sorted(TASKS, key=str.lower)[::-1]
    assert names(order_by="-created") == list(TASKS)[::-1]
    assert names(order_by=["type", "-name"]) == [
        "Train+test (v1.0)", "report", "test large", "train small", "train large",
    ]  # fmt: skip


def test_what_has_no_value_comes_last_in_both_directions(names):
    """And numbers before text, as in MongoDB."""
    without = ["report", "Train+test (v1.0)"]
    assert names(order_by=["runtime.version"]) == ["train small", "train large", "test large", *without]
    assert names(order_by=["-runtime.version"]) == ["test large", "train large", "train small", *without]
    for nothing in ("no.such.field", "-no.such.field"):
        assert names(order_by=[nothing]) == list(TASKS)


def test_an_empty_text_or_list_counts_as_no_value(names):
    assert names(order_by="comment") == [
        "train small",
        "test large",
        "train large",
        "report",
        "Train+test (v1.0)",
    ]
    assert names(order_by="tags")[-1] == "report"
    assert names(order_by="-tags")[-1] == "report"


def test_in_the_second_field_what_has_no_value_is_the_least(names):
    assert names(order_by=["type", "runtime.nested"])[:2] == ["Train+test (v1.0)", "report"]


def test_tasks_sort_by_their_metrics_and_the_failed_ones_come_last(api):
    project = api.new("project", name="query tests/metrics")
    losses = {"failed": None, "best": 0.5, "worst": 10, "middle": 9.25, "negative": -1}
    for name, loss in losses.items():
        task = api.new("task", name=name, project=project)
        api("tasks.started", task=task)
        if loss is not None:
            api.events(scalar(task, "loss", "total", 1, 7), scalar(task, "loss", "total", 2, loss))
    metric, variant = (hashlib.md5(name.encode()).hexdigest() for name in ("loss", "total"))

    def ask(**wanted) -> list[str]:
        return [task["name"] for task in api("tasks.get_all", project=[project], **wanted)["tasks"]]

    path = f"last_metrics.{metric}.{variant}"
    assert ask(order_by=[f"{path}.value"]) == ["negative", "best", "middle", "worst", "failed"]
    assert ask(order_by=[f"-{path}.value"]) == ["worst", "middle", "best", "negative", "failed"]
    assert ask(order_by=[f"{path}.min_value", "name"]) == ["negative", "best", "middle", "worst", "failed"]
    assert ask(order_by=[f"-{path}.max_value", "name"]) == ["worst", "middle", "best", "negative", "failed"]
    assert ask(**{f"{path}.value": [0, "9.25"]}) == ["best", "middle"]
    assert ask(**{f"{path}.value": [None, 0]}) == ["failed", "negative"]


@pytest.mark.parametrize(
    "values",
    [
        ["run2", "run10", "Run11", "run12"],
        ["_1", "-1", "[1]", "1", "1a", "2", "10", "a", "B", "c"],
        ["a.1", "a.9", "a.10", "a1", "aa"],
        ["0.01", "0.1", "0.5", "0.25"],
        ["ecole", "École", "ecole 2", "zebra"],
        ["a", "A"],
        ["9" * 200, "1" + "0" * 200],
        ["", "x"],
    ],
)
def test_parameters_sort_as_text_with_numbers_in_it(api, values):
    project = api.new("project", name=f"query tests/numeric {values[0][:20]}")
    for value in (*values[1::2], *values[::2]):
        api.new("task", project=project, hyperparams={"Args": {"v": {"value": value}}})
    order = "hyperparams.Args.v.value"
    for key, expected in ((order, values), ("-" + order, values[::-1])):
        found = api("tasks.get_all", project=[project], order_by=[key])["tasks"]
        assert [task["hyperparams"]["Args"]["v"]["value"] for task in found] == expected, key


def test_names_sort_as_text_with_numbers_in_it(api):
    project = api.new("project", name="query tests/names")
    for name in ("run10", "run2", "Run1"):
        api.new("task", name=name, project=project)
    for key, expected in (("name", ["Run1", "run2", "run10"]), ("-name", ["run10", "run2", "Run1"])):
        found = api("tasks.get_all", project=[project], order_by=[key])["tasks"]
        assert [task["name"] for task in found] == expected


def test_pages_follow_one_another(names):
    assert names(page=0, page_size=2) == list(TASKS)[:2]
    assert names(page=2, page_size=2) == list(TASKS)[4:]
    assert names(page=3, page_size=2) == []
    assert names(page=1, page_size=2, order_by=["-created"]) == list(TASKS)[::-1][2:4]


@pytest.fixture
def scroll(api):
    """Ask for the next tasks of a scroll through a project; give their names and the scroll's id."""

    def ask(project: str, **wanted) -> tuple[list[str], str]:
        answer = api("tasks.get_all", project=[project], **wanted)
        return [task["name"] for task in answer["tasks"]], answer["scroll_id"]

    return ask


def test_a_scroll_goes_on_until_nothing_is_left(shelf, scroll):
    seen, scroll_id = scroll(shelf[0], size=2, scroll_id=None)
    while True:
        names, same_id = scroll(shelf[0], size=2, scroll_id=scroll_id)
        assert same_id == scroll_id
        if not names:
            break
        seen += names
    assert seen == list(TASKS)
    assert scroll(shelf[0], size=2, scroll_id=scroll_id, refresh_scroll=True)[0] == list(TASKS)


def test_a_scroll_neither_skips_nor_repeats_what_changes_meanwhile(api, scroll):
    project = api.new("project", name="query tests/scroll")
    ids = [api.new("task", name=f"task {n}", project=project) for n in range(6)]
    order = {"order_by": ["-last_update"], "status": ["created"], "size": 2}
    assert scroll(project, **order)[0] == ["task 5", "task 4"]
    seen, scroll_id = scroll(project, **order)
    api("tasks.edit", task=ids[0], comment="now the newest")
    api("tasks.started", task=ids[1])
    api("tasks.delete", task=ids[2])
    api.new("task", name="a later one", project=project)
    while names := scroll(project, scroll_id=scroll_id, **order)[0]:
        seen += names
    assert seen == ["task 5", "task 4", "task 3", "task 1", "task 0"]
    again, same_id = scroll(project, scroll_id=scroll_id, refresh_scroll=True, **order)
    assert (again[0], same_id, len(again)) == ("a later one", scroll_id, 5)


def test_an_unknown_scroll_id_begins_anew_with_one_of_its_own(shelf, scroll):
    names, scroll_id = scroll(shelf[0], size=2, scroll_id="forgotten")
    assert names == list(TASKS)[:2]
    assert scroll_id != "forgotten"
    assert scroll(shelf[0], size=5, scroll_id=scroll_id)[0] == list(TASKS)[2:]


@pytest.mark.parametrize(
    "bad",
    [{"scroll_id": "x"}, {"scroll_id": "x", "size": 0}, {"page_size": 0}, {"scroll_id": "x", "page_size": 5}],
)
def test_a_page_or_scroll_of_no_size_is_refused(api, bad):
    assert refused(api.send("tasks.get_all", **bad)) == 12


def test_only_so_many_scrolls_are_kept(api, shelf, scroll):
    _, first = scroll(shelf[0], size=1)
    for _ in range(MOST_SCROLLS):
        scroll(shelf[0], size=1)
    assert scroll(shelf[0], size=1, scroll_id=first)[0] == list(TASKS)[:1]


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


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ([2, 6], [2, 6]),
        ([3, None], [6, 9]),
        ([None, 2], [0, 2]),
        ([2, 2], [2]),
        ([6.5, 100], [9]),
        ([7, 8], []),
        (["3", None], [6, 9]),  # as ClearML's web UI sends them
        ([None, "2"], [0, 2]),
    ],
)
def test_iterations_are_a_range(api, wanted, found):
    project = api.new("project", name=f"query tests/iterations {wanted}")
    for iteration in (0, 2, 6, 9):
        task = api.new("task", project=project)
        api("tasks.started", task=task)
        api.events(scalar(task, "loss", "total", iteration, 1))
    tasks = api("tasks.get_all", project=[project], last_iteration=wanted)["tasks"]
    assert [task["last_iteration"] for task in tasks] == found


@pytest.mark.parametrize("wanted", [3, "3", [3], [1, 2, 3], [None, None], ["a", "b"], [], [True]])
@pytest.mark.parametrize("field", ["last_iteration", "active_duration"])
def test_what_is_no_range_is_refused(api, field, wanted):
    assert refused(api.send("tasks.get_all", **{field: wanted})) in (12, 16)


def test_dates_are_ranges_too(api, shelf, names):
    tasks = api("tasks.get_all", project=[shelf[0]])["tasks"]
    second, fourth = tasks[1]["created"], tasks[3]["created"]
    assert names(created=[second, fourth]) == list(TASKS)[1:4]
    assert names(created=[second, None]) == list(TASKS)[1:]
    assert names(created=[None, second]) == list(TASKS)[:2]
    assert names(started=[None, "2000-01-01"]) == list(TASKS)  # none has begun
    assert names(started=["2000-01-01", None]) == []
    any_field = {"fields": ["started", "created", "name"], "datetime": [second, None]}
    assert names(_any_=any_field) == list(TASKS)[1:]
    assert names(_any_={**any_field, "datetime": f"<{second}"}) == list(TASKS)[:1]
    assert names(_any_={**any_field, "fields": ["name"]}) == list(TASKS)


@pytest.mark.parametrize(
    "several", [{"fields": ["name"]}, {"fields": ["name"], "pattern": "x", "datetime": [">2020-01-01"]}]
)
def test_several_fields_are_searched_for_one_thing(api, several):
    assert refused(api.send("tasks.get_all", _any_=several)) == 16


@pytest.mark.parametrize(
    ("condition", "found"),
    [
        ({"any": {"include": ["cat", "dog"]}}, ["train small", "train large", "test large"]),
        ({"any": {"exclude": ["cat", "dog"]}}, ["train small", "test large", "report", "Train+test (v1.0)"]),
        ({"any": {"include": ["dog"], "exclude": ["cat"]}},
         ["train large", "test large", "report", "Train+test (v1.0)"]),
        ({"any": {"include": ["dog", None]}}, ["train large", "test large", "report"]),
        ({"all": {"include": ["cat", "dog"]}}, ["train large"]),
        ({"all": {"exclude": ["cat", "dog"]}}, ["report", "Train+test (v1.0)"]),
        ({"all": {"include": ["cat"], "exclude": ["dog"]}}, ["train small"]),
        ({"all": {"include": [None]}}, ["report"]),
        ({"all": {"exclude": [None, "cat"]}}, ["test large", "Train+test (v1.0)"]),
        ({"any": {"include": ["cat"]}, "all": {"exclude": ["dog"]}}, ["train small"]),
        ({"any": {"include": ["cat"]}, "all": {"exclude": ["dog"]}, "op": "or"},
         ["train small", "train large", "report", "Train+test (v1.0)"]),
        ({}, list(TASKS)),
        ({"any": {"include": []}, "all": {}}, list(TASKS)),
    ],
)  # fmt: skip
def test_lists_have_a_newer_form_of_filter_which_counts_in_place_of_the_older(names, condition, found):
    assert names(filters={"tags": condition}) == found
    assert names(filters={"tags": condition}, tags=["nobody has this"]) == found


@pytest.mark.parametrize(
    "condition",
    [["cat"], "cat", {"test": ["1"]}, {"any": ["cat"]}, {"any": {"include": "cat"}},
     {"any": {"include": [1]}}, {"any": {"only": ["cat"]}}, {"any": {"include": ["cat"]}, "op": "xor"},
     {"all": {"exclude": [["cat"]]}}],
)  # fmt: skip
def test_a_malformed_filter_is_refused(api, condition):
    assert refused(api.send("tasks.get_all", filters={"tags": condition})) == 12


def test_filters_by_fields_that_the_real_server_does_not_filter_by_change_nothing(names):
    assert names(filters={"name": {"any": {"include": ["x"]}}}, status_message="x", completed=5) == list(
        TASKS
    )


def test_subprojects_are_included_on_request(api):
    top, below = (api.new("project", name=name) for name in ("query tests/top", "query tests/top/below"))
    other = api.new("project", name="query tests/top two")
    for project in (top, below, other):
        api.new("task", project=project)
        api.new("model", project=project)
    for kind in ("tasks", "models"):
        for call in (f"{kind}.get_all", f"{kind}.get_all_ex"):
            assert len(api(call, project=[top])[kind]) == 1
            assert len(api(call, project=[top], include_subprojects=True)[kind]) == 2
            assert len(api(call, project=top, include_subprojects=True)[kind]) == 2
            assert len(api(call, project=[below], include_subprojects=True)[kind]) == 1
            assert api(call, project=["nobody"], include_subprojects=True)[kind] == []


def test_a_projects_parent_is_any_above_it_or_the_next_one_in_a_shallow_search(api):
    ids = {
        name: api.new("project", name=name)
        for name in ("query up", "query up/a", "query up/a/b", "query up/c")
    }

    def found(**wanted) -> list[str]:
        return [project["name"] for project in api("projects.get_all_ex", **wanted)["projects"]]

    assert found(parent=[ids["query up"]]) == ["query up/a", "query up/a/b", "query up/c"]
    assert found(parent=[ids["query up"]], shallow_search=True) == ["query up/a", "query up/c"]
    assert found(name="^query up", shallow_search=True) == ["query up"]
    assert found(name="^query up", parent=["__$not", ids["query up/a"]]) == [
        "query up",
        "query up/a",
        "query up/c",
    ]
    assert found(parent=["nobody"]) == found(parent=["nobody"], path=["nobody"]) == []
    for project in api("projects.get_all", parent=[ids["query up"]])["projects"]:
        assert "path" not in project


def test_a_field_may_be_left_out(api, shelf):
    whole = api.get("task", shelf[1]["report"])
    (task,) = api("tasks.get_all", id=[whole["id"]], only_fields=["-name", "-script.binary"])["tasks"]
    script = {key: value for key, value in whole["script"].items() if key != "binary"}
    assert task == {**{key: value for key, value in whole.items() if key != "name"}, "script": script}
    (task,) = api("tasks.get_all", id=[whole["id"]], only_fields=["script.*", "-script.binary"])["tasks"]
    assert task == {"id": whole["id"], "script": script}


def test_paths_into_what_is_no_object_lead_nowhere(api, shelf):
    wanted = {
        "id": [shelf[1]["train large"]],
        "only_fields": ["tags.a", "name.r", "last_iteration.x", "type"],
    }
    (task,) = api("tasks.get_all", **wanted)["tasks"]
    assert task == {"id": wanted["id"][0], "tags": [], "type": "training"}
    for nothing in ({"runtime.version.x": 0}, {"runtime.version.x": ""}, {"hyperparams.Args.x.value": ["x"]}):
        assert api("tasks.get_all", id=wanted["id"], **nothing)["tasks"] == []


# Of hostile or careless clients: each is answered at once, with what is wrong.
HOSTILE = {
    "levels to sort by": {"order_by": "a" + ".a" * 5000},
    "levels below parameters": {"order_by": "hyperparams.a.b.c.d"},
    "orders": {"order_by": ["name"] * 100},
    "fields": {"only_fields": ["name"] * 5000},
    "levels of a field": {"only_fields": ["x" * 5000]},
    "levels of a filter": {"hyperparams." + "a." * 5000: ["x"]},
    "text to search": {"search_text": "x " * 5_000_000},
    "filters": {f"runtime.{n}": 1 for n in range(3000)},
    "filters of lists": {"filters": {f"hyperparams.a.{n}": {"any": {"include": ["x"]}} for n in range(3000)}},
    "several fields": {"_any_": {"fields": ["name"] * 3000, "pattern": "x"}},
    "pattern": {"name": "a" * 40_000},
    "large pattern": {"name": "((((a{100}){100}){100}){100})"},
    "text score": {"order_by": ["@text_score"]},
}


@pytest.mark.parametrize("request_", HOSTILE.values(), ids=HOSTILE)
def test_a_request_of_too_much_is_refused_at_once(api, names, request_):
    start = time.thread_time()
    answer = api.send("tasks.get_all", **request_)
    assert time.thread_time() - start < 1
    assert refused(answer) in (12, 16, 21)
    assert len(answer.json()["meta"]["result_msg"]) < 500


def test_many_values_of_one_filter_are_quick(names):
    start = time.thread_time()
    assert names(tags=[f"tag {n}" for n in range(10_000)], type=["training"] * 10_000) == []
    assert time.thread_time() - start < 1


def test_text_scores_need_a_text(names):
    assert names(order_by=["@text_score", "-name"], search_text="large") == ["train large", "test large"]
