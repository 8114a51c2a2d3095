"""Hyperparameters and configurations of tasks, for present clients and for those of before API 2.9."""

import pytest

from local_stack.tests.api import refused

FLAT = {"flat$1": "val1", "flat2/name": "val2"}
PARAMETERS = [
    {"section": "1/1", "name": "param1/1", "type": "type1", "value": "10"},
    {"section": "1/1", "name": "param2", "type": "type1", "value": "20"},
    {"section": "2", "name": "param2", "type": "type2", "value": "xxx"},
]
FROM_FLAT = [
    {"section": "Args", "name": name, "value": value, "type": "legacy"} for name, value in FLAT.items()
]
DESIGN = {"name": "design", "value": "hello", "type": "legacy"}
CONFIGURATION = [
    {"name": "param$1", "type": "type1", "value": "10"},
    {"name": "param/2", "type": "type1", "value": "20"},
    {"name": "param_empty", "type": "type1", "value": ""},
]


@pytest.fixture
def project(api) -> str:
    return api.new("project", name="parameters")


def by_section(*items: dict) -> dict:
    sections: dict[str, dict] = {}
    for item in items:
        sections.setdefault(item["section"], {})[item["name"]] = item
    return sections


def by_name(items: list[dict]) -> dict:
    return {item["name"]: item for item in items}


def without(item: dict, *keys: str) -> dict:
    return {key: value for key, value in item.items() if key not in keys}


def test_hyperparameters_are_replaced_edited_and_deleted(api, project):
    task = api.new(
        "task", project=project, hyperparams=by_section(*PARAMETERS), execution={"parameters": FLAT}
    )
    assert api.get("task", task)["hyperparams"] == by_section(*PARAMETERS, *FROM_FLAT)

    def held(of: str = task) -> list[dict]:
        return api("tasks.get_hyper_params", tasks=[of])["params"][0]["hyperparams"]

    def edit(*items: dict, **request: object) -> None:
        api("tasks.edit_hyper_params", task=task, hyperparams=list(items), **request)

    assert held() == PARAMETERS + FROM_FLAT
    sections = [
        {"section": "1/1", "name": "param1", "type": "type1", "value": "40"},
        {"section": "2", "name": "param5", "type": "type1", "value": "11"},
    ]
    edit(*sections, replace_hyperparams="section")
    assert held() == sections + FROM_FLAT
    edit(PARAMETERS[0], FROM_FLAT[0], replace_hyperparams="all")
    assert held() == [PARAMETERS[0], FROM_FLAT[0]]
    edit(*PARAMETERS, *FROM_FLAT)
    assert held() == PARAMETERS + FROM_FLAT

    gone = [without(item, "type", "value") for item in (*PARAMETERS[1:], FROM_FLAT[0])]
    api("tasks.delete_hyper_params", task=task, hyperparams=gone)
    assert held() == [PARAMETERS[0], FROM_FLAT[1]]
    api("tasks.delete_hyper_params", task=task, hyperparams=[{"section": "1/1"}, {"section": "2"}])
    assert held() == [FROM_FLAT[1]]
    listed = api("projects.get_hyper_parameters", project=project)["parameters"]
    assert listed == [without(FROM_FLAT[1], "type", "value")]
    clone = api("tasks.clone", task=task, new_task_hyperparams=by_section(*PARAMETERS))["id"]
    assert held(clone) == PARAMETERS


def test_hyperparameters_of_a_task_that_has_begun_need_force(api):
    task = api.new("task")
    api("tasks.started", task=task)
    edit = {"task": task, "hyperparams": [{"section": "test", "name": "x", "value": "123"}]}
    delete = {"task": task, "hyperparams": [{"section": "test"}]}
    for name, request in (("edit_hyper_params", edit), ("delete_hyper_params", delete)):
        assert refused(api.send(f"tasks.{name}", **request)) == 110
        api(f"tasks.{name}", **request, force=True)
    # Properties describe a task: they may change whatever it does.
    properties = [{"section": "properties", "name": "x", "value": "123"}]
    api("tasks.edit_hyper_params", task=task, hyperparams=properties)
    api("tasks.delete_hyper_params", task=task, hyperparams=[{"section": "properties"}])


def test_configurations_are_replaced_edited_and_deleted(api):
    task = api.new(
        "task", configuration=by_name(CONFIGURATION), execution={"model_desc": {"design": "hello"}}
    )
    assert api.get("task", task)["configuration"] == by_name([*CONFIGURATION, DESIGN])

    def held(of: str = task, **request: object) -> list[dict]:
        return api("tasks.get_configurations", tasks=[of], **request)["configurations"][0]["configuration"]

    def names(**request: object) -> list[str]:
        (found,) = api("tasks.get_configuration_names", tasks=[task], **request)["configurations"]
        assert found["task"] == task
        return found["names"]

    assert held() == [DESIGN, *CONFIGURATION]
    assert names() == ["design", "param$1", "param/2"]
    assert names(skip_empty=False) == ["design", "param$1", "param/2", "param_empty"]
    assert held(names=["param/2"]) == [CONFIGURATION[1]]
    replaced = [{**DESIGN, "value": "123"}, {**CONFIGURATION[1], "value": "30"}]
    api("tasks.edit_configuration", task=task, configuration=replaced, replace_configuration=True)
    assert held() == replaced
    api("tasks.edit_configuration", task=task, configuration=[*CONFIGURATION, DESIGN])
    assert held() == [DESIGN, *CONFIGURATION]
    api("tasks.delete_configuration", task=task, configuration=["param/2", "param_empty"])
    assert held() == [DESIGN, CONFIGURATION[0]]
    clone = api("tasks.clone", task=task, new_task_configuration=by_name(CONFIGURATION))["id"]
    assert held(clone) == CONFIGURATION


def test_configurations_of_a_task_that_has_begun_need_force(api):
    task = api.new("task", configuration=by_name(CONFIGURATION))
    api("tasks.started", task=task)
    edit = {"task": task, "configuration": CONFIGURATION}
    delete = {"task": task, "configuration": ["param/2"]}
    for name, request in (("edit_configuration", edit), ("delete_configuration", delete)):
        assert refused(api.send(f"tasks.{name}", **request)) == 110
        api(f"tasks.{name}", **request, force=True)


def test_one_section_with_a_dot_in_its_name_is_asked_for_and_sorted_by(api, project):
    for value in ("10", "20"):
        item = {"section": "sec.tion1", "name": "param1", "type": "type1", "value": value}
        api.new("task", project=project, hyperparams=by_section(item))
    path = "hyperparams.sec%2Etion1"
    found = api("tasks.get_all_ex", project=[project], only_fields=[path], order_by=[f"-{path}"])["tasks"]
    assert found[0]["hyperparams"] == by_section(item)


def test_parameters_sort_by_their_numbers(api):
    tasks = []
    for value in ("1", "2", "11"):
        item = {"section": "section1", "name": "param1", "type": "type1", "value": value}
        tasks.append(api.new("task", hyperparams=by_section(item)))
    for order, expected in (("", tasks), ("-", tasks[::-1])):
        request = {"id": tasks, "order_by": [f"{order}hyperparams.section1.param1"]}
        assert [task["id"] for task in api("tasks.get_all_ex", **request)["tasks"]] == expected


def test_clients_of_before_2_9_read_and_edit_flat_parameters(api):
    flat = {"flat.1": "val1", "TF_DEFINE/param2": "val2"}
    execution = {"parameters": flat, "model_desc": {"design": "hello"}}
    task = api.new("task", execution=execution)
    (found,) = api("tasks.get_all_ex", "v2.8", id=[task])["tasks"]
    assert found["execution"]["parameters"] == flat
    assert found["execution"]["model_desc"] == {"design": "hello"}
    assert found["hyperparams"] == by_section(
        {"section": "Args", "name": "flat.1", "value": "val1", "type": "legacy"},
        {"section": "TF_DEFINE", "name": "param2", "value": "val2", "type": "legacy"},
    )
    assert found["configuration"] == {"design": DESIGN}
    changed = {"parameters": {"flat.2": "val2"}, "model_desc": {"design": "by"}}
    api("tasks.edit", "v2.8", task=task, execution=changed)
    (found,) = api("tasks.get_all_ex", "v2.8", id=[task])["tasks"]
    assert found["execution"]["parameters"] == {"flat.2": "val2"}
    assert found["execution"]["model_desc"] == {"design": "by"}
