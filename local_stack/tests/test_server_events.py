"""Events on the local server: what comes in once stays once, and comes back as the clients ask for it."""

import hashlib
import time

import pytest

from local_stack.tests.api import refused

SINGLE_VALUE = -(2**31)


@pytest.fixture
def task(api) -> str:
    return api.new("task", name="reporter")


@pytest.fixture
def other(api) -> str:
    return api.new("task", name="another reporter")


@pytest.fixture
def report(api, task):
    """Report events of the task, which need not name it."""
    return lambda *events: api.events(*({"task": task, **event} if event else event for event in events))


def scalar(metric: str, variant: str, iteration: int, value: float, **more) -> dict:
    kind = "training_stats_scalar"
    return {"type": kind, "metric": metric, "variant": variant, "iter": iteration, "value": value, **more}


def plot(metric: str, variant: str, iteration: int, content: str = "{}") -> dict:
    return {"type": "plot", "metric": metric, "variant": variant, "iter": iteration, "plot_str": content}


def image(metric: str, variant: str, iteration: int, url: str = "http://files/i.png") -> dict:
    kind = "training_debug_image"
    return {"type": kind, "metric": metric, "variant": variant, "iter": iteration, "url": url}


def line(message: str, timestamp: int, **more) -> dict:
    return {"type": "log", "msg": message, "timestamp": timestamp, "level": "info", "worker": "w", **more}


def last_of(api, task: str, *names: str) -> dict:
    """Return what the task keeps of the metric and variant of these names."""
    found = api.get("task", task)["last_metrics"]
    for name in names:
        found = found[hashlib.md5(name.encode()).hexdigest()]
    return found


# Taking in


def test_what_is_reported_again_takes_the_place_of_the_first(api, task, report):
    for value, text in ((5.0, "old"), (4.0, "new")):
        report(scalar("loss", "train", 1, value), plot("curve", "a", 1, text), image("cat", "a", 1, text))
    events = api("events.get_task_events", task=task)["events"]
    assert [e.get("value") or e.get("plot_str") or e.get("url") for e in events] == [4.0, "new", "new"]


def test_points_differ_by_task_type_iteration_metric_and_variant(api, task, other, report):
    same = scalar("m", "v", 1, 1)
    changes = {"task": other, "type": "training_stats_vector", "iter": 2, "metric": "n", "variant": "w"}
    report(same, *({**same, field: value} for field, value in changes.items()))
    assert api("events.get_task_events", task=task)["total"] == 5
    assert api("events.get_task_events", task=other)["total"] == 1


def test_equal_console_lines_all_stay(api, task, report):
    report(line("again", 5), line("again", 5), line("again", 5))
    assert [event["msg"] for event in api("events.get_task_log", task=task)["events"]] == ["again"] * 3


def test_one_bad_event_does_not_lose_its_neighbours(api, task, report):
    bad = [
        ({"type": "gossip"}, "'gossip' is not a type of event"),
        ({"task": None}, "Missing required fields: task"),
        ({"task": "nobody"}, "Invalid task id: id=nobody"),
        ({"task": ["x"]}, "task should be a string"),
        ({"value": "5"}, "value should be a number"),
        ({"value": True}, "value should be a number"),
        ({"value": None}, "value should be a number"),
        ({"iter": "one"}, "iter should be an integer of 64 bits"),
        ({"iter": 2**63}, "iter should be an integer of 64 bits"),
        ({"timestamp": "now"}, "timestamp should be an integer of 64 bits"),
        ({"metric": 5}, "metric should be a string"),
        ({"variant": {}}, "variant should be a string"),
        ({"metric": "\ud800"}, "surrogates not allowed"),
    ]
    good = scalar("m", "v", 1, 1.0)
    events = [{**good, "iter": number, **change} for number, (change, _) in enumerate(bad, 2)]
    answer = report(good, *events, [], 0, None)
    assert (answer["added"], answer["errors"]) == (1, len(bad) + 3)
    for _, reason in bad:
        assert any(reason in error for error in answer["errors_info"]), reason
    assert answer["errors_info"]["Invalid type for fields: event should be an object"] == 3
    assert api("events.get_task_events", task=task)["total"] == 1


def test_a_batch_of_bad_events_only_is_an_error(api, task):
    answer = api.send_events({"task": "nobody", **line("hello", 1)}, {"task": task, "type": "gossip"})
    assert answer.status_code == 400
    assert answer.json()["meta"]["result_subcode"] == 131
    assert "id=nobody" in answer.text
    assert "gossip" in answer.text
    assert api.events() == {"added": 0, "errors": 0, "errors_info": {}}


def test_events_come_one_by_one_as_well(api, task):
    api("events.add", task=task, **scalar("m", "v", 1, 2.5))
    api("events.add", task=task, **image("i", "v", 1), key="a/key")
    events = api("events.get_task_events", task=task)["events"]
    assert [event.get("value") or event["key"] for event in events] == [2.5, "a/key"]
    assert api.send("events.add", task=task, type="gossip").status_code == 400


def test_a_published_task_takes_no_more_events(api, task, report):
    report(line("before", 1))
    api("tasks.publish", task=task, force=True)
    answer = api.send_events({"task": task, **line("after", 2)})
    assert (answer.status_code, "is published" in answer.text) == (400, True)
    report({**line("by force", 3), "allow_locked": True})
    events = api("events.get_task_log", task=task)["events"]
    assert [event["msg"] for event in events] == ["by force", "before"]


@pytest.mark.parametrize("value", [1e308, -1e308, 2.3e-308, 0.0, 2**53 + 1, 10**308])
def test_extreme_numbers_come_back_as_they_are(api, task, report, value):
    report(scalar("m", "v", 1, value), scalar("m", "v", 2, value))
    assert api("events.scalar_metrics_iter_histogram", task=task)["m"]["v"]["y"] == [float(value)] * 2
    assert api("events.scalar_metrics_iter_histogram", task=task, samples=1)["m"]["v"]["y"] == [float(value)]


# What the task shows


def test_the_task_keeps_the_last_the_least_and_the_greatest_of_every_metric(api, task, report):
    report(*(scalar("loss", "train", n, value) for n, value in enumerate([4.0, 1.0, 9.0, 6.0], 1)))
    last = last_of(api, task, "loss", "train")
    assert last.pop("mean_value") == pytest.approx(5.0)
    assert last == {
        "metric": "loss", "variant": "train", "count": 4,
        "value": 6.0, "iteration": 4,
        "first_value": 4.0, "first_value_iteration": 1,
        "min_value": 1.0, "min_value_iteration": 2,
        "max_value": 9.0, "max_value_iteration": 3,
    }  # fmt: skip


def test_a_point_that_comes_late_is_not_the_last(api, task, report):
    report(scalar("loss", "train", 10, 0.1))
    report(scalar("loss", "train", 3, 0.9))
    last = last_of(api, task, "loss", "train")
    assert (last["value"], last["iteration"], last["max_value"]) == (0.1, 10, 0.9)
    assert api.get("task", task)["last_iteration"] == 10


def test_machine_statistics_console_lines_and_single_values_are_no_iterations(api, task, report):
    report(
        scalar(":monitor:machine", "cpu", 900, 1.0),
        line("hello", 1, iter=800),
        scalar("Summary", "accuracy", SINGLE_VALUE, 0.9),
        plot("curve", "a", 7),
    )
    assert api.get("task", task)["last_iteration"] == 7
    assert len(api.get("task", task)["last_metrics"]) == 2
    assert last_of(api, task, "Summary", "accuracy")["value"] == 0.9


def test_reporting_shows_that_the_task_is_alive(api, task, report):
    before = api.get("task", task)
    report(line("hello", 1))
    after = api.get("task", task)
    assert after.pop("last_update") > before.pop("last_update")
    assert after == before


# Scalars


def test_series_come_by_metric_and_variant_ordered_by_iteration(api, task, report):
    points = [("b", "y", 3, 3.0), ("a", "x", 2, 2.0), ("a", "x", 1, 1.0), ("a", "w", 5, 5.0)]
    report(*(scalar(*point) for point in points), scalar("a", "x", SINGLE_VALUE, 9.0))
    assert api("events.scalar_metrics_iter_histogram", task=task) == {
        "a": {"w": {"name": "w", "x": [5], "y": [5.0]}, "x": {"name": "x", "x": [1, 2], "y": [1.0, 2.0]}},
        "b": {"y": {"name": "y", "x": [3], "y": [3.0]}},
    }


def test_series_may_run_over_time(api, task, report):
    times = [1_700_000_000_000, 1_700_000_001_500]
    report(*(scalar("m", "v", 2 - n, n + 1.0, timestamp=time) for n, time in enumerate(times)))
    texts = ["2023-11-14T22:13:20.000Z", "2023-11-14T22:13:21.500Z"]
    for key, expected in (("timestamp", times), ("iso_time", texts)):
        series = api("events.scalar_metrics_iter_histogram", task=task, key=key)["m"]["v"]
        assert (series["x"], series["y"]) == (expected, [1.0, 2.0])


def test_a_long_series_is_averaged_between_its_samples(api, task, report):
    report(*(scalar("m", "v", n, float(n)) for n in range(1, 11)))
    series = api("events.scalar_metrics_iter_histogram", task=task, samples=5)["m"]["v"]
    assert series == {"name": "v", "x": [2, 4, 6, 8, 10], "y": [1.5, 3.5, 5.5, 7.5, 9.5]}
    whole = api("events.scalar_metrics_iter_histogram", task=task, samples=10)["m"]["v"]
    assert whole["x"] == list(range(1, 11))


def test_only_the_metrics_asked_for_come(api, task, report):
    report(*(scalar(metric, variant, 1, 1.0) for metric in "abc" for variant in "xyz"))
    wanted = [{"metric": "a"}, {"metric": "b", "variants": ["x", "z"]}]
    found = api("events.scalar_metrics_iter_histogram", task=task, metrics=wanted)
    assert {metric: "".join(variants) for metric, variants in found.items()} == {"a": "xyz", "b": "xz"}


def test_the_series_of_several_tasks_come_side_by_side(api, task, other, report):
    report(scalar("m", "v", 1, 1.0), {**scalar("m", "v", 1, 2.0), "task": other})
    found = api("events.multi_task_scalar_metrics_iter_histogram", tasks=[task, other])
    by_task = {
        task: {"name": "reporter", "x": [1], "y": [1.0]},
        other: {"name": "another reporter", "x": [1], "y": [2.0]},
    }
    assert found == {"m": {"v": by_task}}


def test_single_values_come_for_themselves(api, task, other, report):
    report(scalar("Summary", "F1", SINGLE_VALUE, 0.5, timestamp=7), scalar("loss", "train", 1, 1.0))
    found = api("events.get_task_single_value_metrics", tasks=[task, other])["tasks"]
    value = {"metric": "Summary", "variant": "F1", "value": 0.5, "timestamp": 7}
    assert found == [{"task": task, "values": [value]}]


def test_the_latest_values_come_with_the_mean_of_the_last_hundred(api, task, report):
    report(*(scalar("m", "v", n, float(n)) for n in range(1, 201)))
    (metric,) = api("events.get_task_latest_scalar_values", task=task)["metrics"]
    assert metric["name"] == "m"
    assert metric["variants"] == [{"name": "v", "last_value": 200.0, "last_100_value": pytest.approx(150.5)}]


def test_all_points_of_one_metric_come_raw(api, task, report):
    points = [scalar("m", variant, n, float(n)) for n in range(3) for variant in "vw"]
    report(*points, scalar("other", "v", 1, 1.0))
    ask = {"task": task, "metric": {"metric": "m", "variants": ["v"]}}
    answer = api("events.scalar_metrics_iter_raw", count_total=True, **ask)
    assert answer["variants"] == {"v": {"name": "v", "x": [0, 1, 2], "y": [0.0, 1.0, 2.0]}}
    assert (answer["returned"], answer["total"]) == (3, 3)
    assert api("events.scalar_metrics_iter_raw", scroll_id=answer["scroll_id"], **ask)["returned"] == 0


def test_the_names_of_metrics_are_listed_by_type(api, task, report):
    report(scalar("b", "y", 1, 1.0), scalar("a", "x", 1, 1.0), plot("p", "x", 1))
    report({"type": "training_stats_vector", "metric": "vec", "variant": "x", "values": [1, 2]})
    assert api("events.get_scalar_metrics_and_variants", task=task) == {"metrics": {"a": ["x"], "b": ["y"]}}
    vectors = api("events.get_vector_metrics_and_variants", task=task)["metrics"]
    assert vectors == [{"metric": "vec", "variants": ["x"]}]
    for kind, metrics in ((None, ["a", "b"]), ("plot", ["p"]), ("training_debug_image", [])):
        found = api("events.get_task_metrics", tasks=[task], event_type=kind)["metrics"]
        assert found == [{"task": task, "metrics": metrics}]


# Plots and images


def test_the_plots_of_the_last_iterations_come_for_every_variant(api, task, report):
    report(*(plot("p", variant, n) for variant, count in (("v", 3), ("w", 1)) for n in range(count)))

    def found(**options) -> list[tuple]:
        answer = api("events.get_task_plots", task=task, **options)
        assert answer["returned"] == answer["total"] == len(answer["plots"])
        return [(event["variant"], event["iter"]) for event in answer["plots"]]

    assert found() == [("v", 2), ("w", 0)]
    assert found(iters=2) == [("v", 1), ("v", 2), ("w", 0)]
    assert found(metrics=[{"metric": "p", "variants": ["w"]}]) == [("w", 0)]
    assert found(metrics=[{"metric": "none"}]) == []
    scroll = api("events.get_task_plots", task=task)["scroll_id"]
    assert api("events.get_task_plots", task=task, scroll_id=scroll)["plots"] == []


def test_the_plots_of_several_tasks_come_side_by_side(api, task, other, report):
    report(plot("p", "v", 3, "mine"), {**plot("p", "v", 4, "theirs"), "task": other})
    answer = api("events.get_multi_task_plots", tasks=[task, other])
    variants = answer["plots"]["p"]["v"]
    assert [variants[task]["3"]["name"], variants[other]["4"]["name"]] == ["reporter", "another reporter"]
    assert variants[other]["4"]["plots"][0]["plot_str"] == "theirs"
    assert answer["returned"] == 2


def images_of(answer: dict) -> list[tuple[int, list[str]]]:
    """The iterations of the first task, each with its variants."""
    groups = answer["metrics"][0]["iterations"]
    return [(group["iter"], [event["variant"] for event in group["events"]]) for group in groups]


def test_images_come_by_iteration_newest_first_and_scroll_back(api, task, report):
    report(*(image("i", variant, n) for n in range(5) for variant in "vw"), image("other", "v", 9))
    ask = {"metrics": [{"task": task, "metric": "i"}], "iters": 2}
    first = api("events.debug_images", **ask)
    second = api("events.debug_images", scroll_id=first["scroll_id"], **ask)
    third = api("events.debug_images", scroll_id=second["scroll_id"], **ask)
    assert [images_of(answer) for answer in (first, second, third)] == [
        [(4, ["v", "w"]), (3, ["v", "w"])],
        [(2, ["v", "w"]), (1, ["v", "w"])],
        [(0, ["v", "w"])],
    ]
    back = api("events.debug_images", scroll_id=third["scroll_id"], navigate_earlier=False, **ask)
    assert images_of(back) == images_of(second)


def test_an_invalid_scroll_id_of_images_is_refused(api, task):
    for scroll_id in ("x", "9" * 5000):
        assert refused(api.send("events.debug_images", scroll_id=scroll_id, metrics=[{"task": task}])) == 1104


def test_images_of_all_metrics_and_of_one_variant_may_be_asked_for(api, task, report):
    report(image("i", "v", 1), image("i", "w", 1), image("j", "v", 1))
    assert images_of(api("events.debug_images", metrics=[{"task": task}])) == [(1, ["v", "w", "v"])]
    one = api("events.debug_images", metrics=[{"task": task, "metric": "i", "variants": ["w"]}])
    assert images_of(one) == [(1, ["w"])]
    plots = api("events.plots", metrics=[{"task": task}])
    assert images_of(plots) == []


def test_one_image_comes_of_the_iteration_asked_for_or_the_last(api, task, report):
    report(*(image("i", "v", n, f"http://files/{n}.png") for n in (2, 5)))
    ask = {"task": task, "metric": "i", "variant": "v"}
    last = api("events.get_debug_image_sample", **ask)
    assert last["event"]["url"] == "http://files/5.png"
    assert (last["min_iteration"], last["max_iteration"]) == (2, 5)
    assert api("events.get_debug_image_sample", iteration=2, **ask)["event"]["url"] == "http://files/2.png"
    assert api("events.get_debug_image_sample", iteration=3, **ask)["event"] is None


# Console lines


@pytest.fixture
def talkative(report) -> None:
    """Ten console lines, one a millisecond, reported out of order."""
    report(*(line(f"line {n}", 1000 + n) for n in (3, 1, 2, 0, 4)))
    report(*(line(f"line {n}", 1000 + n) for n in (9, 8, 7, 6, 5)))


@pytest.mark.parametrize(
    ("options", "lines"),
    [
        ({}, "9876543210"),
        ({"order": "asc"}, "0123456789"),
        ({"batch_size": 3}, "987"),
        ({"batch_size": 3, "order": "asc"}, "789"),
        ({"batch_size": 3, "navigate_earlier": False}, "012"),
        ({"batch_size": 3, "navigate_earlier": False, "order": "desc"}, "210"),
        ({"batch_size": 3, "from_timestamp": 1005}, "432"),
        ({"batch_size": 3, "from_timestamp": 1005, "order": "asc"}, "234"),
        ({"batch_size": 3, "from_timestamp": 1005, "navigate_earlier": False}, "678"),
        ({"from_timestamp": 1000}, ""),
        ({"from_timestamp": 1008.5, "navigate_earlier": False}, "9"),
    ],
)
def test_console_lines_come_a_page_at_a_time_in_either_direction(api, task, talkative, options, lines):
    answer = api("events.get_task_log", task=task, **options)
    assert "".join(event["msg"].removeprefix("line ") for event in answer["events"]) == lines
    assert (answer["returned"], answer["total"]) == (len(lines), 10)


def test_lines_of_one_millisecond_are_never_split_between_pages(api, task, report):
    report(line("a", 1), *(line(name, 2) for name in "bcd"), line("e", 3))
    page = api("events.get_task_log", task=task, batch_size=2)
    assert [event["msg"] for event in page["events"]] == ["e", "d", "c", "b"]
    rest = api("events.get_task_log", task=task, batch_size=2, from_timestamp=page["events"][-1]["timestamp"])
    assert [event["msg"] for event in rest["events"]] == ["a"]


def test_old_console_lines_can_be_cleared(api, task, report):
    report(line("old", 1000), line("new", int(time.time() * 1000)))
    assert api("events.clear_task_log", task=task, threshold_sec=3600) == {"deleted": 1}
    assert [event["msg"] for event in api("events.get_task_log", task=task)["events"]] == ["new"]
    assert api("events.clear_task_log", task=task) == {"deleted": 1}


# Raw


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_raw_events_scroll_by_their_time_until_nothing_is_left(api, task, report, order):
    report(*(scalar("m", "v", n, float(n), timestamp=1000 + n // 3) for n in (5, 3, 4, 1, 0, 2, 6)))
    seen, scroll = [], {}
    while True:
        answer = api("events.get_task_events", task=task, batch_size=2, order=order, **scroll)
        assert (answer["returned"], answer["total"]) == (len(answer["events"]), 7)
        if not answer["events"]:
            break
        seen += [event["iter"] for event in answer["events"]]
        scroll = {"scroll_id": answer["scroll_id"]}
    ascending = [1, 0, 2, 5, 3, 4, 6]
    assert seen == (ascending if order == "asc" else ascending[::-1])


def test_raw_events_of_one_type_and_one_metric_may_be_asked_for(api, task, report):
    report(scalar("m", "v", 1, 1.0), scalar("n", "v", 1, 2.0), plot("m", "v", 1), line("hello", 1))
    kind = "training_stats_scalar"
    events = api("events.get_task_events", task=task, event_type=kind)["events"]
    assert [event["type"] for event in events] == [kind] * 2
    metrics = [e["metric"] for e in api("events.get_scalar_metric_data", task=task, metric="n")["events"]]
    assert metrics == ["n"]


@pytest.mark.parametrize("scroll_id", ["x", "1", "1_2_3", "1_x", "²_1"])
def test_an_invalid_scroll_id_is_refused(api, task, scroll_id):
    assert refused(api.send("events.get_task_events", task=task, scroll_id=scroll_id)) == 1104


def test_deleting_the_events_of_one_task_leaves_those_of_others(api, task, other, report):
    report(line("mine", 1), {**line("theirs", 1), "task": other})
    assert api("events.delete_for_task", task=task) == {"deleted": True}
    assert api("events.get_task_events", task=task)["total"] == 0
    assert api("events.get_task_events", task=other)["total"] == 1


def test_the_events_of_models_are_their_own(api):
    model = api.new("model")
    api.events({"task": model, "model_event": True, **scalar("m", "v", 1, 1.0)})
    found = api("events.multi_task_scalar_metrics_iter_histogram", tasks=[model], model_events=True)
    assert found["m"]["v"][model] == {"name": "a model", "x": [1], "y": [1.0]}
    assert api.send("events.get_task_events", task=model).status_code == 400
    assert api("events.delete_for_model", model=model) == {"deleted": True}
    assert api("events.get_task_events", task=model, model_events=True)["total"] == 0
