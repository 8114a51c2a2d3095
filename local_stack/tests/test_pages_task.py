"""What the pages of tasks and pipelines say, without a browser: links, reused steps, axes, lines found."""

import json
import re
from datetime import datetime

import httpx
import pytest

from local_stack.server.pages import console
from local_stack.server.pages.rendering import linked
from local_stack.tests.api import Api, scalar

PIPELINE = {"type": "controller", "system_tags": ["pipeline"]}
HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture
def visitor(api: Api) -> httpx.Client:
    """A client that came in by the link, with the cookie that it got."""
    return api.visit()


def page_of(visitor: httpx.Client, path: str, **query: str) -> str:
    answer = visitor.get(path, params=query or None)
    assert answer.status_code == 200, answer.text
    return answer.text


def json_of(visitor: httpx.Client, path: str, **query: str) -> dict:
    return json.loads(page_of(visitor, path, **query))


# Ids are links


def test_ids_within_values_are_links_and_those_that_nothing_has_are_text(api, visitor):
    model, gone = api.new("model"), "0" * 32
    value = f"['{model}', '{gone}', {HOSTILE}]"
    artifacts = [{"key": "a", "type": "t", "uri": "x", "type_data": {"preview": f"made by {model}"}}]
    fields = {"comment": value, "runtime": {"used": value}, "execution": {"artifacts": artifacts}}
    task = api.new("task", hyperparams={"Args": {"models": {"value": value}}}, **fields)
    link = f'<a href="/projects/*/models/{model}">{model}</a>'
    shown = f"[&#39;{link}&#39;, &#39;{gone}&#39;, &lt;img src=x onerror=alert(1)&gt;]"
    assert page_of(visitor, f"/projects/*/tasks/{task}").count(shown) == 2
    assert shown in page_of(visitor, f"/projects/*/tasks/{task}/configuration")
    assert f"made by {link}" in page_of(visitor, f"/projects/*/tasks/{task}/artifacts")


def test_queues_and_workers_are_linked_by_their_names_where_the_field_says_so(api, visitor):
    queue = api("queues.create", name="named queue")["id"]
    worker = "host name:gpu0"
    api("workers.register", worker=worker, queues=[queue])
    values = {"execution_queue": "named queue", "note": "named queue", "worker": worker}
    task = api.new("task", hyperparams={"Args": {key: {"value": value} for key, value in values.items()}})
    api("tasks.started", task=task)
    api("workers.status_report", worker=worker, task=task)
    page = page_of(visitor, f"/projects/*/tasks/{task}/configuration")
    assert re.findall(r'<a href="/workers-and-queues#(.*?)">', page) == [
        f"queue-{queue}",
        "worker-host%20name%3Agpu0",
    ]
    assert '<a href="/workers-and-queues#worker-host%20name%3Agpu0">host name:gpu0</a>' in page_of(
        visitor, f"/projects/*/tasks/{task}"
    )
    anchors = page_of(visitor, "/workers-and-queues")
    assert f'id="queue-{queue}"' in anchors
    assert 'id="worker-host%20name%3Agpu0"' in anchors
    api("workers.unregister", worker=worker)


def test_a_value_that_is_too_deep_for_a_text_is_shown_as_left_out():
    deep: list = []
    for _ in range(10_000):
        deep = [deep]
    assert linked({"path_of": None}, deep) == "…"


# Pipelines


def pipeline(api: Api, name: str, steps: dict[str, dict], started: bool = True) -> str:
    configuration = {"Pipeline": {"name": "Pipeline", "value": json.dumps(steps)}}
    made = api.new("task", name=name, configuration=configuration, **PIPELINE)
    if started:
        api("tasks.started", task=made)
    return made


def edit_steps(api: Api, controller: str, steps: dict[str, dict]) -> None:
    item = {"name": "Pipeline", "value": json.dumps(steps)}
    api("tasks.edit_configuration", task=controller, configuration=[item], force=True)


@pytest.fixture
def first_run(api) -> tuple[str, str]:
    """A pipeline and its step, which took some time."""
    controller = pipeline(api, "first run", {})
    step = api.new("task", name="step of the first run", parent=controller)
    api("tasks.started", task=step)
    api("tasks.completed", task=step)
    edit_steps(api, controller, {"train": {"job_id": step, "status": "completed", "job_started": 1.5}})
    return controller, step


def states(page: str) -> list[tuple[str, str]]:
    """Name, and status with what follows it, of each box of the graph."""
    text = r'class="label">(.*)</text>\s*<text.*?><tspan class="state">(.*)</text>'
    return [(name, rest.replace("</tspan>", "")) for name, rest in re.findall(text, page)]


@pytest.mark.parametrize("status", ["cached", "completed"])  # before and after a restart of the controller
def test_a_reused_step_says_from_which_run_and_has_no_duration(api, visitor, first_run, status):
    first, step = first_run
    stored = {"job_id": step, "executed": step, "status": status, "job_started": None}
    second = pipeline(api, "second run", {"train": stored, "select": {"parents": ["train"]}})
    page = page_of(visitor, f"/pipelines/*/experiments/{second}", step="train")
    assert states(page) == [("train", "reused"), ("select", "pending")]
    link = f'<a href="/pipelines/*/experiments/{first}">first run</a>'
    assert f"1 of 2 steps reused from {link}" in page
    assert f'<th scope="row">Reused from</th><td>{link}' in re.sub(r">\s+<", "><", page)
    assert "Duration" not in page
    assert states(page_of(visitor, f"/pipelines/*/experiments/{first}")) == [("train", "completed · 0 s")]


def test_a_reused_step_whose_run_is_gone_leads_to_its_task(api, visitor):
    step = api.new("task", name="kept step")
    run = pipeline(api, "later run", {"train": {"job_id": step, "status": "cached"}})
    page = page_of(visitor, f"/pipelines/*/experiments/{run}")
    assert states(page) == [("train", "reused")]
    assert f'1 of 1 steps reused from <a href="/projects/*/tasks/{step}">kept step</a>' in page


@pytest.mark.parametrize("status", ["completed", "cached"])
def test_a_clone_that_has_not_run_shows_none_of_its_original_s_steps_as_its_own(
    api, visitor, first_run, status
):
    first, step = first_run
    edit_steps(api, first, {"train": {"job_id": step, "status": status}})
    clone = api("tasks.clone", task=first)["id"]
    address = f"/pipelines/*/experiments/{clone}"
    assert states(page_of(visitor, address)) == [("train", "pending")]
    api("tasks.started", task=clone)  # the controller has stored nothing yet
    assert states(page_of(visitor, address)) == [("train", "pending")]


def test_a_task_that_has_run_for_long_is_looked_at_as_often_as_any_other(api, visitor):
    task = api.new("task", name="long run")
    api("tasks.started", task=task)
    api("tasks.edit", task=task, started="2026-01-01T00:00:00+00:00", force=True)
    page = page_of(visitor, f"/projects/*/tasks/{task}")
    assert "data-live" in page
    assert "data-seconds" not in page


def test_a_step_opens_beside_the_graph_with_its_values_parameters_and_last_lines(api, visitor, first_run):
    first, step = first_run
    given = {"Args/seed": "${pipeline.seed}"}
    steps = {"a/b&c": {"job_id": step, "parameters": given}, "later": {"parameters": given}}
    edit_steps(api, first, steps)
    api("tasks.edit", task=step, force=True, hyperparams={"Args": {"seed": {"value": "7"}, "other": {}}})
    api.events(scalar(step, "loss", "", 1, 0.25), {"type": "log", "task": step, "msg": f"last {HOSTILE}"})
    page = page_of(visitor, f"/pipelines/*/experiments/{first}")
    (_, link), _ = re.findall(r'<a href="(\?step=(.*?)#step)" class="node', page)
    assert "<aside" not in page
    opened = page_of(visitor, f"/pipelines/*/experiments/{first}?step={link}").partition("<aside")[2]
    panel = opened.partition("</aside>")[0]
    assert re.findall('<th scope="row">(.*?)</th><td.*?>(.*?)</td>', panel)[3:] == [
        ("seed", "7"),
        ("loss", "0.25"),
    ]
    assert f'href="/projects/*/tasks/{step}/output/log"' in panel
    assert "last &lt;img src=x onerror=alert(1)&gt;" in panel
    waiting = page_of(visitor, f"/pipelines/*/experiments/{first}", step="later")
    assert "${pipeline.seed}" in waiting
    assert "This run has no such step." in page_of(visitor, f"/pipelines/*/experiments/{first}", step="x")


@pytest.mark.parametrize("name", [HOSTILE, "half \ud83d of it", "a/b&c=d#e"])
@pytest.mark.parametrize("value", [HOSTILE, 10**400, None])
def test_odd_names_and_values_of_steps_break_no_page(api, visitor, name, value):
    made = pipeline(api, "odd steps", {name: {"parameters": {"Args/seed": value}, "parents": 5}})
    page = page_of(visitor, f"/pipelines/*/experiments/{made}")
    (link,) = re.findall(r'<a href="(\?step=.*?)#step" class="node', page)
    opened = page_of(visitor, f"/pipelines/*/experiments/{made}{link}")
    assert "<aside" in opened
    assert "<img" not in opened.partition("<main")[2]


# Scalars


@pytest.mark.parametrize(
    ("length", "shown", "unit"), [(90, 90, "seconds"), (600, 10, "minutes"), (9000, 2.5, "hours")]
)
def test_scalars_come_over_iterations_or_over_the_time_since_the_start(api, visitor, length, shown, unit):
    task = api.new("task")
    api("tasks.started", task=task)
    start = datetime.fromisoformat(api.get("task", task)["started"]).timestamp()
    for iteration, seconds in ((3, 0), (5, length)):
        timestamp = round((start + seconds) * 1000)
        api.events(scalar(task, "loss", "", iteration, 1, timestamp=timestamp))
    found = json_of(visitor, f"/pages/scalars/{task}", metric="loss")
    assert found["figure"]["data"][0]["x"] == [3, 5]
    # They are sent, though no value is new.
    again = json_of(visitor, f"/pages/scalars/{task}", metric="loss", known=found["version"], x="time")
    assert again["figure"]["data"][0]["x"] == pytest.approx([0, shown], abs=0.001)
    assert again["figure"]["layout"]["xaxis"]["title"]["text"] == f"{unit} since the start"


def test_very_many_series_come_in_fewer_points_each(api, visitor):
    task = api.new("task")
    for variant in range(50):
        api.events(*(scalar(task, "loss", str(variant), i, i) for i in range(400)))
    traces = json_of(visitor, f"/pages/scalars/{task}", metric="loss")["figure"]["data"]
    assert [len(trace["x"]) for trace in traces] == [200] * 50


# Lines of the console


def log(api, task: str, *messages: str, timestamp: int = 1) -> None:
    api.events(*({"type": "log", "task": task, "timestamp": timestamp, "msg": text} for text in messages))


def found_lines(visitor, task: str, text: str) -> list[dict]:
    """All that the searches find, each where the one before it ended."""
    found, answer = [], {"before": ""}
    while answer["before"] is not None:
        answer = json_of(visitor, f"/pages/log/{task}", find=text, before=answer["before"])
        assert len(answer["found"]) <= console.MOST_FOUND
        found += answer["found"]
    return found


@pytest.mark.parametrize("per_event", [1, 7, 100_000])
@pytest.mark.parametrize("characters", [500, 10**9])  # searched for one answer
def test_every_line_with_the_text_is_found_and_its_place_leads_to_it(
    api, visitor, task, monkeypatch, per_event, characters
):
    monkeypatch.setattr(console, "MOST_READ", characters)
    lines = [f"\x1b[1m{'Loss' if i % 3 else 'gain'}\x1b[0m of {i}" for i in range(700)]
    log(api, task, *("\n".join(lines[i : i + per_event]) for i in range(0, 700, per_event)))
    found = found_lines(visitor, task, "loss of")
    assert ["".join(each["pieces"]) for each in found] == [f"Loss of {i}" for i in range(700) if i % 3][::-1]
    plain = [f"{'Loss' if i % 3 else 'gain'} of {i}" for i in range(700)]
    for each in found[::37]:
        end = plain.index("".join(each["pieces"])) + each["after"] + 1
        around = json_of(visitor, f"/pages/log/{task}", before=each["place"])["lines"]
        assert around == plain[:end][-len(around) :]
        assert around[-1 - each["after"]] == "".join(each["pieces"])
        assert characters < 10**9 or len(around) == min(end, console.LINES)
    assert max(each["after"] for each in found) <= console.LINES_AFTER


def test_what_is_found_comes_with_some_of_its_line_and_as_plain_text(api, visitor, task):
    log(api, task, "x" * 6000 + "A.b*" + "y" * 6000, "aXbb")
    (found,) = found_lines(visitor, task, "a.B*")
    assert found["pieces"] == ["x" * console.AROUND, "A.b*", "y" * console.AROUND]


def test_a_search_takes_case_as_one_and_a_text_that_is_not_too_long(api, visitor, task):
    log(api, task, "İ: LOSS of ß", "LOS")
    assert [each["pieces"] for each in found_lines(visitor, task, "i: lOss")] == [["", "İ: LOSS", " of ß"]]
    assert found_lines(visitor, task, "a" * 200) == []
    refused = visitor.get(f"/pages/log/{task}", params={"find": "a" * 201})
    assert (refused.status_code, "more than 200 characters" in refused.text) == (400, True)


def test_of_very_many_ids_in_the_console_the_last_are_looked_up(api, visitor, task, monkeypatch):
    monkeypatch.setattr(console, "MOST_IDS", 2)
    others = [api.new("task") for _ in range(3)]
    log(api, task, " ".join(others))
    assert list(json_of(visitor, f"/pages/log/{task}")["ids"]) == others[1:]


def test_ids_in_the_console_come_with_the_pages_that_they_lead_to(api, visitor, task):
    log(api, task, f"made {task} of {'0' * 32} ({task}0)")
    assert json_of(visitor, f"/pages/log/{task}")["ids"] == {task: f"/projects/*/tasks/{task}"}
