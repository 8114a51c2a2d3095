"""The calls that list: order, pages, scrolls, filters, ranges and the fields of the answer."""

from datetime import UTC, datetime, timedelta
from itertools import chain

import pytest

from local_stack.tests.api import refused


def ids(documents: list[dict]) -> list[str]:
    return [document["id"] for document in documents]


@pytest.fixture
def tasks_of(api):
    """The ids of the tasks that a request finds, in their order."""
    return lambda **request: ids(api("tasks.get_all_ex", **request)["tasks"])


# Order


@pytest.fixture
def twenty(api) -> list[str]:
    """Twenty tasks, of which the first five have begun, one after the other."""
    made = [
        api.new("task", comment="ordered", execution={"parameters": {"test": f"{i}"} if i >= 5 else {}})
        for i in range(20)
    ]
    for task in made[:5]:
        api("tasks.started", task=task)
    return made


def test_documents_without_a_value_come_last_both_ways(twenty, tasks_of):
    assert set(tasks_of(comment="ordered")) == set(twenty)
    ascending = tasks_of(comment="ordered", order_by=["started"])
    descending = tasks_of(comment="ordered", order_by=["-started"])
    assert (ascending[:5], descending[:5]) == (twenty[:5], twenty[4::-1])
    assert set(ascending[5:]) == set(descending[5:]) == set(twenty[5:])


@pytest.mark.parametrize("field", ["comment", "execution.parameters.test", "no.such.field"])
def test_any_field_may_be_ordered_by(twenty, tasks_of, field):
    found = tasks_of(comment="ordered", order_by=[field])
    assert (len(found), set(found)) == (20, set(twenty))


def test_pages_hold_every_document_once(twenty, tasks_of):
    request = {"comment": "ordered", "order_by": ["started"]}
    pages = [tasks_of(**request, page=page, page_size=4) for page in range(6)]
    assert [len(page) for page in pages] == [4, 4, 4, 4, 4, 0]
    assert list(chain(*pages)) == tasks_of(**request, page=0, page_size=20)


# Pages and scrolls


@pytest.fixture
def numbered(api) -> list[str]:
    def parameter(value: int) -> dict:
        item = {"section": "test", "name": "param", "type": "str", "value": str(value)}
        return {"test": {"param": item}}

    return [api.new("task", name=f"Test paging {i}", hyperparams=parameter(i)) for i in range(18)]


PAGED = {"name": "^Test paging ", "order_by": ["hyperparams.test.param.value"]}


def test_pages_follow_the_numbers_in_a_text(numbered, tasks_of):
    assert tasks_of(**PAGED, page=0, page_size=10) == numbered[:10]
    assert tasks_of(**PAGED, page=1, page_size=10) == numbered[10:]


def test_a_scroll_ends_and_starts_anew_on_request(api, numbered):
    scroll_id = None
    for expected in (numbered[:10], numbered[10:], []):
        answer = api("tasks.get_all_ex", **PAGED, size=10, scroll_id=scroll_id)
        assert ids(answer["tasks"]) == expected
        scroll_id = answer["scroll_id"]
        assert scroll_id
    answer = api("tasks.get_all_ex", **PAGED, size=10, scroll_id=scroll_id, refresh_scroll=True)
    assert ids(answer["tasks"]) == numbered


def test_a_scroll_that_is_forgotten_starts_anew(api, numbered):
    answer = api("tasks.get_all_ex", **PAGED, size=10, scroll_id="forgotten")
    assert ids(answer["tasks"]) == numbered[:10]


def test_a_scroll_needs_a_size(api):
    assert refused(api.send("tasks.get_all_ex", size=0, scroll_id=None)) == 12


# Filters of lists


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ({"any": {"include": ["a", "b"]}}, {1, 2, 3, 4}),
        ({"any": {"exclude": ["c", "d"]}}, {0, 1, 2, 3}),
        ({"any": {"include": ["a", "b"], "exclude": ["c", "d"]}}, {0, 1, 2, 3, 4}),
        ({"all": {"include": ["a", "b"]}}, {2, 3, 4}),
        ({"all": {"exclude": ["c", "d"]}}, {0, 1, 2}),
        ({"all": {"include": ["a", "b"], "exclude": ["c", "d"]}}, {2}),
        ({"any": {"include": ["a", "b"]}, "all": {"exclude": ["c", "d"]}}, {1, 2}),
    ],
)
def test_filters_include_and_exclude_values_of_a_list(api, tasks_of, condition, expected):
    made = [api.new("task", tags=["a", "b", "c", "d"][:count]) for count in range(5)]
    assert set(tasks_of(id=made, filters={"tags": condition})) == {made[i] for i in expected}


@pytest.mark.parametrize(
    ("any_or_all", "action", "tags", "expected"),
    [
        ("any", "include", [None], {"none"}),
        ("any", "include", ["test"], {"test"}),
        ("any", "include", ["test", None], {"test", "none"}),
        ("any", "exclude", [None], {"test"}),
        ("any", "exclude", ["test"], {"none"}),
        ("any", "exclude", ["test", None], {"test", "none"}),
        ("all", "include", [None], {"none"}),
        ("all", "include", ["test"], {"test"}),
        ("all", "include", ["test", None], set()),
        ("all", "exclude", [None], {"test"}),
        ("all", "exclude", ["test"], {"none"}),
        ("all", "exclude", ["test", None], set()),
    ],
)
def test_null_in_a_filter_stands_for_no_values(api, tasks_of, any_or_all, action, tags, expected):
    made = {api.new("task", tags=["test"]): "test", api.new("task"): "none"}
    found = tasks_of(id=list(made), filters={"tags": {any_or_all: {action: tags}}})
    assert {made[task] for task in found} == expected


def test_an_unknown_condition_is_refused(api):
    assert refused(api.send("tasks.get_all_ex", filters={"tags": {"test": ["1"]}})) == 12


# The fields of the answer


def test_fields_whose_names_begin_alike_are_both_answered(api):
    task = api.new("task")
    api("tasks.started", task=task, status_message="task started")
    (found,) = api("tasks.get_all_ex", id=[task], only_fields=["status", "status_message"])["tasks"]
    assert found == {"id": task, "status": "in_progress", "status_message": "task started"}


def test_names_of_other_documents_are_looked_up(api):
    project = api.new("project", name="Test projection")
    first, second = (api.new("task", project=project) for _ in range(2))
    api("tasks.started", task=second, status_message="Started")
    found = api(
        "tasks.get_all_ex",
        project=[project],
        only_fields=["system_tags", "company", "type", "name", "project.name", "user.name", "started"],
        order_by=["-started"],
        page=0,
        page_size=15,
        system_tags=["-archived"],
        type=["__$not", "annotation_manual", "__$not", "annotation", "__$not", "dataset_import"],
    )["tasks"]
    assert ids(found) == [second, first]
    assert found[0]["project"] == {"id": project, "name": "Test projection"}
    assert found[0]["user"]["name"]


def test_a_field_may_be_left_out(api):
    task = api.new("task", name="without a name")
    (found,) = api("tasks.get_all_ex", id=[task], only_fields=["-name"])["tasks"]
    assert "name" not in found
    assert found["type"] == "custom"


# Ranges


def after(api, *calls: str) -> tuple[list[str], str, str]:
    """Return tasks, the moment after which the calls changed them, and a minute before it."""
    made = [api.new("task") for _ in range(5)]
    now = datetime.now(UTC).replace(tzinfo=None)
    for task in made:
        for call in calls:
            api(call, task=task)
    return made, now.isoformat(), (now - timedelta(seconds=60)).isoformat()


@pytest.mark.parametrize(("field", "call"), [("last_update", "tasks.ping"), ("started", "tasks.started")])
def test_moments_are_compared_in_every_form(api, tasks_of, field, call):
    made, now, before = after(api, call)
    for since in (f">={now}", [f">={now}"], [now, None]):
        assert set(tasks_of(**{field: since})) == set(made)
    for between in ([f">={before}", f"<={now}"], [before, now]):
        assert tasks_of(**{field: between}) == []


def test_moments_are_compared_in_several_fields(api, tasks_of):
    made, now, _ = after(api, "tasks.ping")
    for since in (f">={now}", [f">={now}"], [now, None]):
        fields = {"datetime": since, "fields": ["last_update", "status_changed"]}
        assert set(tasks_of(_any_=fields)) == set(made)
        assert tasks_of(_all_=fields) == []


def test_numbers_are_compared_as_a_range(api, tasks_of):
    made = [api.new("task") for _ in range(4)]
    for number, task in enumerate(made):
        event = {"type": "training_stats_scalar", "task": task, "metric": "m", "variant": "v"}
        api.events({**event, "iter": 2 * number, "value": 1})
    assert set(tasks_of(last_iteration=[2, 4])) == set(made[1:3])
    assert set(tasks_of(last_iteration=[4, None])) == set(made[2:])
    assert set(tasks_of(last_iteration=[None, 2])) == set(made[:2])


# Subprojects


def test_projects_are_searched_with_what_is_below_them_on_request(api):
    project = api.new("project", name="upper")
    lower = api.new("project", name="upper/lower")
    for kind in ("task", "model"):
        for where in (project, lower):
            api.new(kind, project=where)
        for name in ("get_all", "get_all_ex"):
            call = f"{kind}s.{name}"
            assert len(api(call, project=project)[f"{kind}s"]) == 1
            assert len(api(call, project=[project], include_subprojects=True)[f"{kind}s"]) == 2


# Tags


@pytest.mark.parametrize("kind", ["project", "model", "task", "queue"])
def test_system_tags_are_searched_and_taken_away(api, kind):
    key = api.new(kind, name="Test tags", system_tags=["marked"])

    def found(tag: str) -> list[str]:
        return ids(api(f"{kind}s.get_all_ex", name="Test tags", system_tags=[tag])[f"{kind}s"])

    assert (found("marked"), found("-marked")) == ([key], [])
    api(f"{kind}s.update", **{kind: key}, system_tags=[])
    assert (found("marked"), found("-marked")) == ([], [key])


@pytest.mark.parametrize(
    ("kind", "system_tag"), [("model", "archived"), ("project", "public"), ("task", "development")]
)
def test_clients_of_before_2_3_have_all_tags_in_one_field(api, kind, system_tag):
    key = api(
        f"{kind}s.create", "v2.2", name="Test tags", tags=[system_tag, "test"],
        **{"model": {"uri": "file:///a"}, "task": {"type": "testing"}}.get(kind, {}),
    )["id"]  # fmt: skip
    assert set(api.get(kind, key, "v2.2")["tags"]) == {system_tag, "test"}
    assert api(f"{kind}s.get_all", "v2.2", name="Test tags", tags=[f"-{system_tag}"])[f"{kind}s"] == []
    found = api.get(kind, key, "v2.4")
    assert (found["tags"], found["system_tags"]) == (["test"], [system_tag])
    api(f"{kind}s.update", "v2.2", tags=["test"], **{kind: key})
    assert api.get(kind, key, "v2.2")["tags"] == ["test"]
