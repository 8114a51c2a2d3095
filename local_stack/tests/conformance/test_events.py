"""Events, as the ClearML server has them: scalars, plots, debug images and console lines."""

import pytest

from local_stack.tests.api import refused

SINGLE_VALUE = -(2**31)
SCALAR, PLOT, IMAGE, LOG = "training_stats_scalar", "plot", "training_debug_image", "log"


def event(kind: str, task: str, iteration: int, metric: str = "Metric1", variant: str = "Variant1", **more):
    place = {"type": kind, "task": task, "iter": iteration, "worker": "test", "timestamp": 1_700_000_000_000}
    return {**place, "metric": metric, "variant": variant, **more}


@pytest.fixture
def task(api) -> str:
    return api.new("task", name="with events")


# Which metrics there are


def test_metrics_are_listed_by_the_type_of_their_events(api):
    first, second = api.new("task"), api.new("task")
    reported = {
        first: {"Metric1": [IMAGE], "Metric2": [IMAGE, LOG]},
        second: {"Metric3": [IMAGE]},
    }
    api.events(
        *(
            event(kind, task, 1, metric, "a variant")
            for task, metrics in reported.items()
            for metric, kinds in metrics.items()
            for kind in kinds
        )
    )
    for kind in (IMAGE, LOG, SCALAR):
        answer = api("events.get_task_metrics", tasks=[first, second], event_type=kind)["metrics"]
        found = {item["task"]: set(item["metrics"]) for item in answer if item["metrics"]}
        expected = {
            t: {m for m, kinds in metrics.items() if kind in kinds} for t, metrics in reported.items()
        }
        assert found == {t: metrics for t, metrics in expected.items() if metrics}

    def multi(**request: object) -> list[tuple[str, list[str]]]:
        found = api("events.get_multi_task_metrics", tasks=[first, second], **request)["metrics"]
        return [(item["metric"], item["variants"]) for item in found]

    everything = [(f"Metric{i}", ["a variant"]) for i in (1, 2, 3)]
    assert multi() == multi(event_type=IMAGE) == everything
    assert multi(event_type=PLOT) == []


# Scalars


def test_a_single_value_is_raw_data_and_no_point_of_a_chart(api, task):
    metric = {"metric": "Metric1", "variants": ["Variant1"]}

    def report(iteration: int, value: float) -> dict:
        return event(SCALAR, task, iteration, value=value)

    def raw() -> dict:
        request = {"task": task, "batch_size": 100, "metric": metric, "count_total": True}
        return api("events.scalar_metrics_iter_raw", **request)

    def single(**request: object) -> list[dict]:
        return api("events.get_task_single_value_metrics", tasks=[task], **request)["tasks"]

    def last_value() -> float:
        ((last,),) = (list(v.values()) for v in api.get("task", task)["last_metrics"].values())
        return last["value"]

    api.events(report(SINGLE_VALUE, 0), *(report(i, i) for i in range(1, 10)))
    answer = raw()
    assert (answer["returned"], answer["total"]) == (10, 10)
    assert answer["variants"]["Variant1"]["iter"] == [SINGLE_VALUE, *range(1, 10)]
    assert answer["variants"]["Variant1"]["y"] == list(range(10))
    chart = api("events.scalar_metrics_iter_histogram", task=task)["Metric1"]["Variant1"]
    assert chart["x"] == list(range(1, 10))

    ((found),) = single()
    assert (found["task"], found["task_name"]) == (task, "with events")
    values = [(value["metric"], value["variant"], value["value"]) for value in found["values"]]
    assert values == [("Metric1", "Variant1", 0)]
    assert len(single(metrics=[metric])) == 1
    assert single(metrics=[{"metric": "another", "variants": ["Variant1"]}]) == []

    assert last_value() == 9
    api("events.add", **report(SINGLE_VALUE, 1000))
    assert raw()["variants"]["Variant1"]["y"] == [1000, *range(1, 10)]
    assert last_value() == 1000
    assert [value["value"] for value in single()[0]["values"]] == [1000]


@pytest.mark.parametrize("variant", ["Variant1", None])
def test_the_task_keeps_what_lists_show_of_a_metric(api, task, variant):
    points = [event(SCALAR, task, i, variant=variant, value=i) for i in range(100)]
    api.events(*points[:50])
    api.events(*points[50:])
    ((last,),) = (list(v.values()) for v in api.get("task", task)["last_metrics"].values())
    expected = {
        "value": 99, "max_value": 99, "max_value_iteration": 99, "min_value": 0, "min_value_iteration": 0,
        "first_value": 0, "first_value_iteration": 0, "count": 100, "mean_value": 49.5,
    }  # fmt: skip
    assert {key: last.get(key) for key in expected} == expected
    assert api("events.get_task_latest_scalar_values", task=task)["last_iter"] == 99


def test_raw_scalars_come_in_batches(api, task):
    api.events(*(event(SCALAR, task, i, value=i) for i in range(100)))
    metric = {"metric": "Metric1", "variants": ["Variant1"]}
    answer = api("events.scalar_metrics_iter_raw", task=task, batch_size=15, metric=metric, count_total=True)
    assert answer["total"] == 100
    sizes, iterations, values = [], [], []
    while answer["returned"]:
        sizes.append(answer["returned"])
        iterations += answer["variants"]["Variant1"]["iter"]
        values += answer["variants"]["Variant1"]["y"]
        answer = api(
            "events.scalar_metrics_iter_raw", task=task, metric=metric, scroll_id=answer["scroll_id"]
        )
    assert sizes == [15] * 6 + [10]
    assert iterations == values == list(range(100))


@pytest.mark.parametrize("key", [None, "iter", "timestamp", "iso_time"])
def test_scalars_have_several_axes(api, task, key):
    api.events(*(event(SCALAR, task, i, value=i, timestamp=1_700_000_000_000 + i) for i in range(100)))
    request = {"key": key} if key else {}
    series = api("events.scalar_metrics_iter_histogram", task=task, **request)["Metric1"]["Variant1"]
    assert len(series["x"]) == len(series["y"]) == 100


@pytest.mark.parametrize(("request_", "samples"), [({}, 100), ({"samples": 100}, 100), ({"samples": 10}, 10)])
def test_samples_are_means_of_equal_intervals(api, task, request_, samples):
    api.events(*(event(SCALAR, task, i, value=i) for i in range(100)))
    series = api("events.scalar_metrics_iter_histogram", task=task, **request_)["Metric1"]["Variant1"]
    width = 100 // samples
    assert series["x"] == list(range(0, 100, width))
    assert series["y"] == [first + (width - 1) / 2 for first in range(0, 100, width)]


def test_scalars_of_several_tasks_are_compared(api):
    tasks = [api.new("task") for _ in range(2)]
    api.events(
        *(
            event(SCALAR, task, iteration, f"Metric{m}", f"Variant{v}", value=iteration)
            for iteration in range(10)
            for task in tasks
            for m in range(10)
            for v in range(10)
        )
    )

    def sizes(**request: object) -> list[int]:
        answer = api("events.multi_task_scalar_metrics_iter_histogram", tasks=tasks, **request)["metrics"]
        series = [
            s for variants in answer.values() for by_task in variants.values() for s in by_task.values()
        ]
        assert {len(s["x"]) for s in series} == {len(s["y"]) for s in series} == {10}
        return [len(answer), sum(map(len, answer.values())), len(series)]

    assert sizes() == [10, 100, 200]
    variants = [f"Variant{v}" for v in range(4)]
    chosen = [{"metric": f"Metric{m}", "variants": variants} for m in range(2)]
    assert sizes(metrics=chosen) == [2, 8, 16]


# Models


def test_models_have_events_but_no_console(api, task):
    model = api.new("model", ready=False)
    line = event(LOG, model, 0, msg="a line", model_event=True)
    assert refused(api.send("events.add", **line)) == 131
    points = [
        event(
            SCALAR, model, iteration, f"Metric{m}", f"Variant{v}",
            value=iteration, model_event=True, x_axis_label=f"Label_{m}_{v}",
        )
        for iteration in range(2)
        for m in range(5)
        for v in range(5)
    ]  # fmt: skip
    api.events(*points, event(LOG, task, 0, msg="a line", allow_locked=True))
    chart = api("events.scalar_metrics_iter_histogram", task=model, model_events=True)
    assert list(chart) == [f"Metric{i}" for i in range(5)]
    assert list(chart["Metric0"]) == [f"Variant{i}" for i in range(5)]
    series = chart["Metric0"]["Variant0"]
    assert (series["x"], series["y"], series["x_axis_label"]) == ([0, 1], [0, 1], "Label_0_0")
    fields = ["last_metrics", "last_iteration"]
    (found,) = api("models.get_all_ex", id=[model], only_fields=fields)["models"]
    assert found["last_iteration"] == 1
    lasts = [last for variants in found["last_metrics"].values() for last in variants.values()]
    assert len(lasts) == 25
    (last,) = (last for last in lasts if (last["metric"], last["variant"]) == ("Metric4", "Variant4"))
    expected = {
        "value": 1, "max_value": 1, "max_value_iteration": 1, "min_value": 0, "min_value_iteration": 0,
        "x_axis_label": "Label_4_4",
    }  # fmt: skip
    assert {key: last[key] for key in expected} == expected
    assert api("events.get_task_log", task=task)["total"] == 1
    request = {"tasks": [model], "event_type": SCALAR, "model_events": True}
    metrics = api("events.get_multi_task_metrics", **request)["metrics"]
    variants = [f"Variant{i}" for i in range(5)]
    assert [(m["metric"], m["variants"]) for m in metrics] == [(f"Metric{i}", variants) for i in range(5)]


# What is refused


def test_events_that_are_wrong_do_not_cost_the_others(api, task):
    wrong = [event("unknown type", task, 1), event(IMAGE, None, 1), event(IMAGE, "Invalid task", 1)]
    assert refused(api.send_events(*wrong)) == 131
    answer = api.events(*wrong, event(IMAGE, task, 1))
    assert (answer["added"], answer["errors"], len(answer["errors_info"])) == (1, 3, 3)
    assert len(api("events.get_task_events", task=task)["events"]) == 1


# The console


def test_the_console_is_read_both_ways_filtered_and_cleared(api, task):
    def line(number: int, **more: str) -> dict:
        moment = 1_700_000_000_000 + 1000 * number
        return {
            "type": LOG, "task": task, "iter": number, "worker": "test",
            "timestamp": moment, "msg": f"line {number}", **more,
        }  # fmt: skip

    def read(**request: object) -> list[int]:
        answer = api("events.get_task_log", task=task, batch_size=5, **request)
        assert (answer["total"], answer["returned"]) == (10, len(answer["events"]))
        return [(found["timestamp"] - 1_700_000_000_000) // 1000 for found in answer["events"]]

    def total(**request: object) -> int:
        return api("events.get_task_log", task=task, **request)["total"]

    api.events(*map(line, range(10)))
    assert read() == [9, 8, 7, 6, 5]
    assert read(from_timestamp=1_700_000_005_000) == [4, 3, 2, 1, 0]
    assert read(from_timestamp=1_700_000_004_000, navigate_earlier=False) == [5, 6, 7, 8, 9]
    assert read(order="asc") == [5, 6, 7, 8, 9]

    api.events(*(line(number, metric="metric", variant="variant") for number in range(2)))
    assert (total(), total(metrics=[{"metric": "metric"}])) == (12, 2)
    api("events.clear_task_log", task=task, exclude_metrics=["metric"])
    assert total() == 2
    api("events.clear_task_log", task=task)
    assert total() == 0


# Plots


def test_the_last_plots_are_shown_until_a_reset(api, task):
    texts = {"roc": '{"data": [{"x": [0, 1]}]}', "confusion": '{"data": [{"z": [[1, 2]]}]}'}
    for iteration, (metric, text) in enumerate(texts.items()):
        api("events.add", **event(PLOT, task, 100 * iteration, metric, plot_str=text))
    plots = api("events.get_task_plots", task=task)["plots"]
    assert {plot["metric"]: plot["plot_str"] for plot in plots} == texts
    api("tasks.reset", task=task)
    assert api("events.get_task_plots", task=task)["plots"] == []


def test_plots_of_several_tasks_are_compared(api):
    first, second = api.new("task"), api.new("task")
    reported = [
        (first, 1, "A", "AX"), (first, 2, "B", "BX"), (first, 3, "B", "BX"), (first, 3, "C", "CX"),
        (second, 1, "C", "CX"), (second, 2, "A", "AY"),
    ]  # fmt: skip
    text = "{} {} {} {}".format
    api.events(*(event(PLOT, t, i, m, v, plot_str=text(t, i, m, v)) for t, i, m, v in reported))

    def found(**request: object) -> dict:
        plots = api("events.get_multi_task_plots", tasks=[first, second], **request)["plots"]
        return {
            (task, int(iteration), metric, variant): [plot["plot_str"] for plot in shown["plots"]]
            for metric, variants in plots.items()
            for variant, tasks in variants.items()
            for task, iterations in tasks.items()
            for iteration, shown in iterations.items()
        }

    last = [place for place in reported if place != (first, 2, "B", "BX")]
    assert found() == {place: [text(*place)] for place in last}
    assert {place[2] for place in found(metrics=[{"metric": "A"}])} == {"A"}


# Samples of plots and debug images


def test_a_sample_of_a_plot_is_the_last_or_that_of_an_iteration(api, task):
    answer = api("events.get_plot_sample", task=task, metric="Metric1")
    assert (answer["min_iteration"], answer["max_iteration"], answer["events"]) == (None, None, [])
    names = ("Variant1", "Variant2")
    api.events(*(event(PLOT, task, i, variant=v, plot_str=f"{i} {v}") for i in range(5) for v in names))

    def sample(**request: object) -> tuple[dict, list[str]]:
        answer = api("events.get_plot_sample", task=task, metric="Metric1", **request)
        return answer, [plot["plot_str"] for plot in answer["events"]]

    answer, texts = sample()
    assert texts == ["4 Variant1", "4 Variant2"]
    assert (answer["min_iteration"], answer["max_iteration"]) == (0, 4)
    assert answer["scroll_id"]
    assert sample(iteration=3, scroll_id=answer["scroll_id"])[1] == ["3 Variant1", "3 Variant2"]


def test_samples_of_plots_follow_each_other(api, task):
    places = [("Metric1", "v1"), ("Metric1", "v2"), ("Metric2", "v3"), ("Metric2", "v4")]
    api.events(*(event(PLOT, task, i, m, v, plot_str=f"{i} {v}") for i in range(2) for m, v in places))
    earlier, later = {}, {"navigate_earlier": False}

    def walk(start: dict, *steps: tuple[dict, list[str]]) -> None:
        answer = api("events.get_plot_sample", task=task, metric="Metric1", **start)
        assert [plot["plot_str"] for plot in answer["events"]] == ["1 v1", "1 v2"]
        scroll_id = answer["scroll_id"]
        for request, expected in steps:
            answer = api("events.next_plot_sample", task=task, scroll_id=scroll_id, **request)
            assert [plot["plot_str"] for plot in answer["events"]] == expected
            scroll_id = answer["scroll_id"]

    walk({}, (later, []), (earlier, ["0 v1", "0 v2"]), (earlier, []))
    iteration = {"next_iteration": True}
    walk(
        {"navigate_current_metric": False},
        (later, ["1 v3", "1 v4"]),
        (earlier, ["1 v1", "1 v2"]),
        (earlier, ["0 v3", "0 v4"]),
        (iteration, []),
        ({**iteration, **later}, ["1 v1", "1 v2"]),
        ({**iteration, **later}, []),
    )


def test_a_sample_of_an_image_is_found_while_its_file_is_there(api, task):
    request = {"task": task, "metric": "Metric1", "variant": "Variant1"}
    answer = api("events.get_debug_image_sample", **request)
    keys = ("min_iteration", "max_iteration", "event")
    assert [answer[key] for key in keys] == [None, None, None]
    # Four files are written in turns: the earlier images are gone.
    api.events(*(event(IMAGE, task, i, url=f"image_{i % 4}") for i in range(10)))
    answer = api("events.get_debug_image_sample", **request)
    assert (answer["min_iteration"], answer["max_iteration"]) == (6, 9)
    assert (answer["event"]["iter"], answer["event"]["url"]) == (9, "image_1")
    answer = api("events.get_debug_image_sample", **request, iteration=8, scroll_id=answer["scroll_id"])
    assert (answer["event"]["iter"], answer["event"]["url"]) == (8, "image_0")


def test_samples_of_images_follow_each_other(api, task):
    names = ("Variant1", "Variant2")
    api.events(*(event(IMAGE, task, i, variant=v, url=f"{i} {v}") for i in range(2) for v in names))
    request = {"task": task, "metric": "Metric1", "variant": "Variant1"}
    answer = api("events.get_debug_image_sample", **request)
    assert answer["event"]["url"] == "1 Variant1"
    later = {"navigate_earlier": False}
    steps = [
        (later, "1 Variant2"), (later, None), ({}, "1 Variant1"), ({}, "0 Variant2"), ({}, "0 Variant1"),
        ({}, None),
    ]  # fmt: skip
    for step, expected in steps:
        answer = api("events.next_debug_image_sample", task=task, scroll_id=answer["scroll_id"], **step)
        assert (answer["event"] and answer["event"]["url"]) == expected


# Pages of iterations

KINDS = {"plots": (PLOT, "plot_str"), "debug_images": (IMAGE, "url")}


@pytest.mark.parametrize("call", KINDS)
def test_a_scroll_sees_new_events_after_a_refresh(api, task, call):
    kind, text = KINDS[call]
    scroll_id = None

    def read(**request: object) -> list[set[tuple[str, str]]]:
        nonlocal scroll_id
        request = {"metrics": [{"task": task}], "scroll_id": scroll_id, **request}
        answer = api(f"events.{call}", **request)
        scroll_id = answer["scroll_id"]
        (found,) = answer["metrics"]
        assert found["task"] == task
        return [{(e["metric"], e["variant"]) for e in page["events"]} for page in found["iterations"]]

    def report(iteration: int, *places: tuple[str, str]) -> set[tuple[str, str]]:
        api.events(*(event(kind, task, iteration, m, v, **{text: f"{m} {v} {iteration}"}) for m, v in places))
        return set(places)

    assert read(iters=5) == []
    assert read(iters=5, refresh=True) == []
    scroll_id = None
    first = report(1, ("Metric1", "v1"), ("Metric1", "v2"), ("Metric2", "v3"), ("Metric2", "v4"))
    assert read(iters=1) == [first]
    second = report(2, ("Metric2", "v3"), ("Metric2", "v5"), ("Metric3", "v6"))
    assert read(iters=1) == []
    assert read(iters=1, refresh=True) == [second]


@pytest.mark.parametrize(
    ("call", "files", "shown"),
    [
        ("plots", (10, 10), [(9, 2), (8, 2), (7, 2), (6, 2), (5, 2), (4, 2), (3, 2), (2, 2), (1, 2), (0, 2)]),
        ("debug_images", (7, 4), [(9, 2), (8, 2), (7, 2), (6, 2), (5, 1), (4, 1), (3, 1)]),
    ],
)
def test_iterations_are_read_page_by_page(api, task, call, files, shown):
    kind, text = KINDS[call]
    request = {"metrics": [{"task": task, "metric": "Metric1"}], "iters": 5}
    assert not api(f"events.{call}", **request)["metrics"][0]["iterations"]
    api.events(
        *(
            event(kind, task, i, variant=variant, **{text: f"{variant} {i % count}"})
            for i in range(10)
            for variant, count in zip(("Variant1", "Variant2"), files, strict=True)
        )
    )
    scroll_id = None

    def read(**more: object) -> list[tuple[int, int]]:
        nonlocal scroll_id
        answer = api(f"events.{call}", **request, scroll_id=scroll_id, **more)
        scroll_id = answer["scroll_id"]
        return [(page["iter"], len(page["events"])) for page in answer["metrics"][0]["iterations"]]

    assert [read() for _ in range(3)] == [shown[:5], shown[5:], []]
    assert read(navigate_earlier=False) == shown[:5]
    first = scroll_id
    assert read(navigate_earlier=False) == []
    # The scrolls of one kind of events say nothing to the other.
    (other,) = KINDS.keys() - {call}
    answer = api(f"events.{other}", **request, scroll_id=first, navigate_earlier=False)
    assert answer["metrics"][0]["iterations"] == []
    scroll_id = first
    assert read() == shown[5:]
    assert read(refresh=True) == shown[:5]
