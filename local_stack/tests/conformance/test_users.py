"""The user, its company, and what is public, as the ClearML server has them."""

import pytest

from local_stack.tests.api import refused


def ids(documents: list[dict]) -> list[str]:
    return [document["id"] for document in documents]


# Users and the organization


def test_the_owners_of_the_company_are_listed(api):
    company = api("organization.get_user_companies")["companies"][0]
    assert len(company["owners"]) == company["allocated"] == 1
    (owner,) = company["owners"]
    assert owner["id"] and owner["name"] and "avatar" in owner


@pytest.mark.parametrize(
    "steps",
    [
        [
            ({"a": 0}, {"a": 0}),
            ({"b": 1}, {"a": 0, "b": 1}),
            ({"s": {"a": 2}}, {"a": 0, "b": 1, "s": {"a": 2}}),
        ],
        [
            ({"section": {"a": 0, "b": 1}}, {"section": {"a": 0, "b": 1}}),
            ({"section": {"a": None}}, {"section": {"a": None}}),
            ({"section": None}, {"section": None}),
        ],
    ],
)
def test_preferences_are_merged_by_their_first_keys(api, steps):
    assert api("users.get_preferences")["preferences"] == {}
    for update, expected in steps:
        api("users.set_preferences", preferences=update)
        assert api("users.get_preferences")["preferences"] == expected


# Public


@pytest.mark.parametrize(("kind", "subcode"), [("task", 101), ("model", 201), ("project", 401)])
def test_what_is_public_is_read_but_not_changed(api, kind, subcode):
    key = api.new(kind, name="not yet public")
    assert refused(api.send(f"{kind}s.make_private", ids=[key])) == subcode
    assert api(f"{kind}s.make_public", ids=[key])["updated"] == 1
    assert ids(api(f"{kind}s.get_all", id=[key])[f"{kind}s"]) == [key]
    change = {kind: key, "name": "another name"}
    answer = api.send(f"{kind}s.update", **change)
    expected = [400, 201] if kind == "model" else [403, 21]
    meta = answer.json()["meta"]
    assert [meta["result_code"], meta["result_subcode"]] == expected
    assert api(f"{kind}s.make_private", ids=[key])["updated"] == 1
    api(f"{kind}s.update", **change)


def test_a_public_project_keeps_its_name_and_what_is_below_it(api):
    public = api.new("project", name="examples")
    other = api.new("project", name="of my own")
    api("projects.make_public", ids=[public])
    for name in ("examples", "examples/mine"):
        assert refused(api.send("projects.create", name=name)) == 414
    assert refused(api.send("projects.move", project=other, new_location="examples")) == 414
    assert api.new("project", name="examples of mine")
