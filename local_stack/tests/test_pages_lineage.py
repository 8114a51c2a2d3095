"""Lineage and metrics on the pages, without a browser: what leads to a model, and from it."""

import json
import re
import time

import pytest

from local_stack.server.events.state import LARGEST_NAMING
from local_stack.server.pages.lineage import MOST_BRANCHES, MOST_CANARIES, endpoints_of
from local_stack.tests.api import Api, scalar
from local_stack.tests.test_pages_http import DATASET, PIPELINE, text_of
from local_stack.tests.test_pages_http import browser as browser

SERVING = {"type": "service", "system_tags": ["serving-control-plane"]}


def new_dataset(api: Api, name: str, *parents: str, **fields: object) -> str:
    """Make a dataset whose structure names its parents, as the SDK stores it."""
    dataset = api.new("task", name=name, **DATASET, **fields)
    items = [{"job_id": key, "parents": []} for key in parents]
    items.append({"job_id": dataset, "parents": [str(number) for number in range(len(parents))]})
    structure = {str(number): item for number, item in enumerate(items)}
    configuration = [{"name": "Dataset Struct", "value": json.dumps(structure)}]
    api("tasks.edit_configuration", task=dataset, configuration=configuration)
    return dataset


def named_in(section: str, value: str) -> dict:
    return {"hyperparams": {section: {"any name": {"value": value}}}}


def new_model(api: Api, name: str, task: str, **fields: object) -> str:
    return api.new("model", name=name, task=task, uri="http://files/m.bin", **fields)


def serve(api: Api, **configuration: str) -> str:
    stored = {name: {"value": text} for name, text in configuration.items()}
    return api.new("task", name="serving", **SERVING, configuration=stored)


def endpoint(url: str, model: str) -> str:
    return f'{url} {{\n  serving_url = "{url}"\n  model_id = "{model}"\n}}\n'


CANARY = """auto {
  endpoint = "auto"
  weights = [0.9, 0.1]
  load_endpoints = []
  load_endpoint_prefix = "auto/"
}
"""


@pytest.fixture(scope="module")
def chain(api) -> dict[str, str]:
    """From raw data to an endpoint, and the address of each page."""
    raw = new_dataset(api, "raw data")
    preparing = api.new("task", name="preparing", **named_in("Datasets", raw))
    clean = new_dataset(api, "clean data", parent=preparing)
    training = api.new("task", name="training", **named_in("Args", f"['{clean}', 'else']"))
    model = new_model(api, "the model", training)
    monitored = endpoint("auto/1", "0" * 32) + endpoint("auto/2-b", model)
    serve(api, endpoints=endpoint("fixed", model), model_monitoring_eps=monitored, canary=CANARY)
    addresses = {key: f"/datasets/simple/*/experiments/{key}" for key in (raw, clean)}
    addresses |= {key: f"/projects/*/tasks/{key}" for key in (preparing, training)}
    names = ("raw data", "preparing", "clean data", "training")
    pages = dict(zip(names, map(addresses.get, (raw, preparing, clean, training)), strict=True))
    return {**pages, "the model": f"/projects/*/models/{model}"}


def boxes(page: str) -> dict[str, str]:
    """Return the boxes of the lineage, from left to right: what they are, and where they lead."""
    found = re.findall(r'<a href="([^"]+)" class="node[^>]*\((\S+) .*?<title>([^<]*):', page, re.DOTALL)
    found.sort(key=lambda box: float(box[1]))
    return {title: path for path, _, title in found}


def current(page: str) -> str:
    (title,) = re.findall(r'class="node \S+ current".*?<title>([^<]*):', page, re.DOTALL)
    return title


def test_every_page_of_the_chain_shows_it_whole_and_marks_itself(api, browser, chain):
    whole = ["dataset raw data", "dataset clean data", "task training", "model the model"]
    endpoints = {"endpoint fixed", "endpoint auto/2-b", "endpoint auto"}
    for name, address in chain.items():
        page = text_of(browser.get(address))
        found = boxes(page)
        expected = [*whole[:1], "task preparing", *whole[1:]] if name == "preparing" else whole
        assert list(found)[: len(expected)] == expected
        assert set(list(found)[len(expected) :]) == endpoints
        assert current(page).endswith(f" {name}")
        assert all(
            found[f"{kind} {other}"] == chain[other] for kind, other in (b.split(" ", 1) for b in expected)
        )
        assert found["endpoint auto/2-b"] == "/monitoring?var-endpoint=auto_2_b"


def test_requests_of_a_canary_go_to_its_endpoints_and_not_to_a_model_of_its_own():
    service = {"configuration": {"endpoints": {"value": endpoint("auto", "m")}, "canary": {"value": CANARY}}}
    assert endpoints_of(service) == {"auto": {"model": "m", "sends_to": {}}}
    versions = "".join(endpoint(f"auto/{number}", "m") for number in (9, 10, 8))
    service["configuration"]["model_monitoring_eps"] = {"value": versions}
    assert endpoints_of(service)["auto"] == {"model": None, "sends_to": {"auto/10": 0.9, "auto/9": 0.1}}
    named = CANARY.replace("[]", '["auto/8", "gone"]')
    service["configuration"]["canary"] = {"value": named}
    assert endpoints_of(service)["auto"]["sends_to"] == {"auto/8": 0.9}


def test_the_canaries_of_a_service_are_bounded():
    models = "".join(endpoint(f"auto/{number}", "m") for number in range(3000))
    canaries = "".join(CANARY.replace("auto {", f"canary{number} {{") for number in range(3000))
    service = {"configuration": {"endpoints": {"value": models}, "canary": {"value": canaries}}}
    begun = time.thread_time()
    found = endpoints_of(service)
    assert time.thread_time() - begun < 1
    sending = [each["sends_to"] for each in found.values() if each["sends_to"]]
    assert sending == [{"auto/2999": 0.9, "auto/2998": 0.1}] * MOST_CANARIES


@pytest.mark.parametrize(
    "text", ["no blocks", "}\n}", "a {\n  model_id = " + "[" * 9000, "a {\n  b = {}\n" * 9]
)
def test_endpoints_that_are_stored_as_something_else_break_no_page(api, browser, text):
    task = api.new("task", name="training")
    model = new_model(api, "odd model", task)
    numbers = "a {\n  load_endpoints = 5\n  load_endpoint_prefix = 7\n  weights = {}\n}\n"
    serve(api, endpoints=f"{text}\n{endpoint('kept', model)}", canary=numbers)
    assert "endpoint kept" in boxes(text_of(browser.get(f"/projects/*/models/{model}")))


def test_a_task_is_part_of_the_lineage_of_what_it_took_in_only_if_it_made_something(api, browser):
    dataset = new_dataset(api, "used data")
    looking = api.new("task", name="only looking", **named_in("Args", dataset))
    address = f"/datasets/simple/*/experiments/{dataset}"
    assert "Lineage" not in text_of(browser.get(address))
    assert list(boxes(text_of(browser.get(f"/projects/*/tasks/{looking}")))) == [
        "dataset used data",
        "task only looking",
    ]
    new_model(api, "late model", looking)
    assert "model late model" in boxes(text_of(browser.get(address)))


def test_a_task_that_names_its_own_model_did_not_take_it_in(api, browser):
    task = api.new("task", name="returning")
    model = new_model(api, "returned", task)
    api(
        "tasks.edit_hyper_params", task=task, hyperparams=[{"section": "return", "name": "m", "value": model}]
    )
    assert list(boxes(text_of(browser.get(f"/projects/*/models/{model}")))) == [
        "task returning",
        "model returned",
    ]


def test_a_model_trained_from_another_one_comes_after_it(api, browser):
    base = new_model(api, "base model", api.new("task", name="training"))
    tuning = api.new("task", name="tuning", models={"input": [{"name": "base", "model": base}], "output": []})
    tuned = new_model(api, "tuned model", tuning)
    chain = ["task training", "model base model", "task tuning", "model tuned model"]
    for model in (base, tuned):
        assert list(boxes(text_of(browser.get(f"/projects/*/models/{model}")))) == chain


def test_of_many_models_the_newest_are_shown_and_the_others_counted(api, browser):
    dataset = new_dataset(api, "popular data")
    for number in range(MOST_BRANCHES + 3):
        new_model(api, f"model {number:02}", api.new("task", name="training", **named_in("Args", dataset)))
    page = text_of(browser.get(f"/datasets/simple/*/experiments/{dataset}"))
    models = [title for title in boxes(page) if title.startswith("model")]
    assert sorted(models) == [f"model model {number:02}" for number in range(3, MOST_BRANCHES + 3)]
    assert "At least 3 more are left out." in page


def test_a_parent_that_was_deleted_is_shown_as_its_children_stored_it(api, browser):
    structure = {
        "0": {"job_id": "gone", "name": "old data", "version": "1.2", "parents": []},
        "1": {"job_id": "", "parents": ["0", "7", None]},
    }
    dataset = api.new("task", name="young data", **DATASET)
    structure["1"]["job_id"] = dataset
    configuration = [{"name": "Dataset Struct", "value": json.dumps(structure)}]
    api("tasks.edit_configuration", task=dataset, configuration=configuration)
    page = text_of(browser.get(f"/datasets/simple/*/experiments/{dataset}"))
    assert "<title>dataset old data: deleted</title>" in page
    assert list(boxes(page)) == ["dataset young data"]  # the other leads nowhere


# What models were judged by


def judged(api: Api, name: str, **values: float) -> tuple[str, str]:
    """Return a training that reported the values, and its model."""
    training = api.new("task", name=name)
    api("tasks.started", task=training)
    api.events(*(scalar(training, "Summary", key, -(2**31), value) for key, value in values.items()))
    return training, new_model(api, f"model of {name}", training)


def test_a_model_shows_the_metrics_of_its_training_and_who_judged_it(api, browser):
    training, model = judged(api, "first training", accuracy=0.875)
    table = {
        "type": "plot",
        "iter": 0,
        "variant": "",
        "plot_str": json.dumps({"data": [f"it ({model[:8]})"]}),
    }
    pipeline = api.new("task", name="pipeline", **PIPELINE)
    judges = {
        "by itself": api.new("task", name="by itself", **named_in("Args", f"x,{training}")),
        "in a pipeline": api.new("task", name="in a pipeline", parent=pipeline, **named_in("Args", model)),
        "of others": api.new("task", name="of others", **named_in("Args", model)),
    }
    api.events(
        {**table, "task": judges["by itself"], "metric": "scores"},
        {**table, "task": pipeline, "metric": "selection"},
        {**table, "task": pipeline, "metric": "Pipeline Details"},
        {**table, "task": judges["of others"], "metric": "unrelated", "plot_str": '{"data": []}'},
        {**table, "task": judges["of others"], "metric": "large", "plot_str": model + "x" * LARGEST_NAMING},
    )
    page = text_of(browser.get(f"/projects/*/models/{model}"))
    assert re.search(r'accuracy</th><td class="figure">0.875<', page)
    (row,) = re.findall(r"Judged by</th><td>(.*?)</td>", page)
    links = re.findall(r'href="/projects/\*/tasks/(\w+)/plots">([^<]+)', row)
    assert sorted(links, key=lambda link: link[1]) == [
        (judges["by itself"], "scores"),
        (pipeline, "selection"),
    ]
    assert ">pipeline<" in row
