"""Events on the local server: what comes in once stays once, and comes back as the clients ask for it."""

import hashlib
import json
import time
from itertools import chain, pairwise

import pytest

from local_stack.server.events import state
from local_stack.tests.api import refused

SINGLE_VALUE = -(2**31)


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
    assert refused(api.send_events()) == 17


def test_reasons_for_refusing_events_are_counted_in_bounded_memory(api, task):
    good = {"task": task, **line("hello", 1)}
    answer = api.events(good, *({"task": task, "type": f"gossip {n}" * 1000} for n in range(150)))
    assert (answer["added"], answer["errors"], answer["errors_info"]["other errors"]) == (1, 150, 50)
    assert max(map(len, answer["errors_info"])) < 500


def test_events_come_one_by_one_as_well(api, task):
    api("events.add", task=task, **scalar("m", "v", 1, 2.5))
    api("events.add", task=task, **image("i", "v", 1), key="a/key")
    events = api("events.get_task_events", task=task)["events"]
    assert [event.get("value") or event["key"] for event in events] == [2.5, "a/key"]
    assert api("events.add", task=task, **line("hello", 1))["added"] == 1
    assert api.send("events.add", task=task, type="gossip").status_code == 400


def test_spaces_in_the_name_of_a_type_are_no_mistake(api, task, report):
    report({**scalar("m", "v", 1, 2.5), "type": "training stats scalar"})
    report({**plot("p", "v", 2), "type": "training stats vector", "values": [1, 2]})
    events = api("events.get_task_events", task=task)["events"]
    assert [event["type"] for event in events] == ["training_stats_scalar", "training_stats_vector"]


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
    report(scalar("m", "v", 2, value), scalar("m", "v", 3, value))
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


def test_the_last_value_is_of_the_newest_iteration_of_the_newest_batch(api, task, report):
    report(scalar("loss", "train", 10, 0.1), scalar("loss", "train", 3, 0.9))
    last = last_of(api, task, "loss", "train")
    assert (last["value"], last["iteration"], last["max_value"]) == (0.1, 10, 0.9)
    assert (last["first_value"], last["first_value_iteration"]) == (0.9, 3)
    report(scalar("loss", "train", 4, 0.5))
    last = last_of(api, task, "loss", "train")
    assert (last["value"], last["iteration"], last["count"]) == (0.5, 4, 3)
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


@pytest.mark.parametrize(
    ("first", "samples", "x", "y"),
    [
        # One interval for each sample. They begin at multiples of their length, so there may be one more.
        (1, 5, [0, 2, 4, 6, 8, 10], [0.0, 1.5, 3.5, 5.5, 7.5, 9.0]),
        (0, 5, [0, 2, 4, 6, 8], [0.5, 2.5, 4.5, 6.5, 8.5]),
        (-5, 5, [-6, -4, -2, 0, 2, 4], [0.0, 1.5, 3.5, 5.5, 7.5, 9.0]),
        (0, 3, [0, 4, 8], [1.5, 5.5, 8.5]),
        (0, 1, [0], [4.5]),
        (0, 10, list(range(10)), [float(n) for n in range(10)]),
        (3, None, list(range(3, 13)), [float(n) for n in range(10)]),
    ],
)
def test_a_long_series_is_averaged_over_intervals(api, task, report, first, samples, x, y):
    report(*(scalar("m", "v", first + n, float(n)) for n in range(10)))
    series = api("events.scalar_metrics_iter_histogram", task=task, samples=samples)["m"]["v"]
    assert series == {"name": "v", "x": x, "y": y}


def test_without_a_number_of_samples_there_are_about_two_thousand(api, task, report):
    report(*(scalar("m", "v", n, 1.0) for n in range(6000)))
    assert len(api("events.scalar_metrics_iter_histogram", task=task)["m"]["v"]["x"]) == 2000
    assert len(api("events.scalar_metrics_iter_histogram", task=task, samples=6000)["m"]["v"]["x"]) == 6000
    for samples in (0, -1, 6001):
        answer = api.send("events.scalar_metrics_iter_histogram", task=task, samples=samples)
        assert refused(answer) == 12


def test_points_of_one_time_are_one_sample(api, task, report):
    report(*(scalar("m", "v", n, float(n), timestamp=5000) for n in range(4)))
    series = api("events.scalar_metrics_iter_histogram", task=task, key="timestamp")["m"]["v"]
    assert (series["x"], series["y"]) == ([5000], [1.5])


@pytest.mark.parametrize("key", ["iter", "timestamp", "iso_time"])
@pytest.mark.parametrize("samples", [1, 2, 6000])
def test_series_over_all_numbers_that_there_are_can_be_read(api, task, report, key, samples):
    ends = (2**63 - 1, 2**62 + 1, 1, 0, -1, -(2**31) + 1)
    report(
        *(scalar("m", "v", end, 1.0, timestamp=end) for end in ends),
        scalar("m", "v", 7, 1.0, timestamp=-(2**63)),
    )
    series = api("events.scalar_metrics_iter_histogram", task=task, key=key, samples=samples)["m"]["v"]
    assert 1 <= len(series["x"]) == len(series["y"]) <= 7
    assert set(series["y"]) == {1.0}
    kind = str if key == "iso_time" else int
    assert all(type(x) is kind for x in series["x"])


def test_a_series_keeps_the_name_of_its_axis(api, task, report):
    report(
        scalar("m", "v", 1, 1.0, x_axis_label="epochs"), scalar("m", "v", 2, 1.0), scalar("m", "w", 1, 1.0)
    )
    series = api("events.scalar_metrics_iter_histogram", task=task)["m"]
    assert (series["v"]["x_axis_label"], "x_axis_label" in series["w"]) == ("epochs", False)
    assert last_of(api, task, "m", "v")["x_axis_label"] == "epochs"


def test_many_metrics_and_variants_are_read_in_bounded_time(api, task, report):
    report(*(scalar(f"m{n}", "v", 1, 1.0) for n in range(1100)))
    report(*(scalar("one", f"v{n}", 1, 1.0) for n in range(10_000)))
    began = time.process_time()
    every = [{"metric": f"m{n}"} for n in range(1100)]
    assert len(api("events.scalar_metrics_iter_histogram", task=task, metrics=every)) == 1100
    variants = [{"metric": "one", "variants": [f"v{n}" for n in range(10_000)]}]
    assert len(api("events.scalar_metrics_iter_histogram", task=task, metrics=variants)["one"]) == 10_000
    for metrics in (every, variants):
        answer = api("events.get_task_events", task=task, metrics=metrics, batch_size=10)
        assert answer["total"] == (1100 if metrics is every else 10_000)
        for name in ("events.get_task_plots", "events.get_task_log"):
            assert api(name, task=task, metrics=metrics)["returned"] == 0
    assert time.process_time() - began < 10
    assert refused(api.send("events.get_task_log", task=task, metrics=[*every, *variants])) == 12


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
    assert found == {"metrics": {"m": {"v": by_task}}}
    assert api("events.multi_task_scalar_metrics_iter_histogram", tasks=[task, task])["metrics"]["m"][
        "v"
    ].keys() == {task}


@pytest.mark.parametrize(("tasks", "subcode"), [([], 12), (["nobody"] * 101, 12), (["nobody"], 101)])
def test_from_one_to_a_hundred_tasks_are_compared(api, tasks, subcode):
    assert refused(api.send("events.multi_task_scalar_metrics_iter_histogram", tasks=tasks)) == subcode


def test_single_values_come_for_themselves(api, task, other, report):
    report(scalar("Summary", "F1", SINGLE_VALUE, 0.5, timestamp=7), scalar("loss", "train", 1, 1.0))
    found = api("events.get_task_single_value_metrics", tasks=[task, other])["tasks"]
    value = {"metric": "Summary", "variant": "F1", "value": 0.5, "timestamp": 7}
    assert found == [{"task": task, "task_name": "reporter", "values": [value]}]
    report(scalar("Summary", "AUC", SINGLE_VALUE, 0.6, timestamp=7))
    one = [{"metric": "Summary", "variants": ["AUC"]}]
    (values,) = api("events.get_task_single_value_metrics", tasks=[task], metrics=one)["tasks"]
    assert [value["variant"] for value in values["values"]] == ["AUC"]


def test_the_latest_values_come_with_the_mean_of_the_last_hundred(api, task, report):
    report(*(scalar("m", "v", n, float(n)) for n in range(1, 201)))
    report(line("hello", 5, iter=300))
    answer = api("events.get_task_latest_scalar_values", task=task)
    assert (answer["last_iter"], answer["name"], answer["status"]) == (300, "reporter", "created")
    assert answer["last_timestamp"] > 10**12
    (metric,) = answer["metrics"]
    assert metric["name"] == "m"
    last = {"last_value": 200.0, "last_10_value": 200.0, "last_100_value": pytest.approx(150.5)}
    assert metric["variants"] == [{"name": "v", **last}]


def test_all_points_of_one_metric_come_raw(api, task, report):
    points = [scalar("m", variant, n, float(n), timestamp=n + 10) for n in range(3) for variant in "vw"]
    report(*points, scalar("other", "v", 1, 1.0))
    ask = {"task": task, "metric": {"metric": "m", "variants": ["v"]}}
    answer = api("events.scalar_metrics_iter_raw", count_total=True, **ask)
    assert answer["variants"] == {"v": {"iter": [0, 1, 2], "y": [0.0, 1.0, 2.0]}}
    assert (answer["returned"], answer["total"]) == (3, 3)
    rest = api("events.scalar_metrics_iter_raw", scroll_id=answer["scroll_id"], **ask)
    assert (rest["returned"], rest["total"], rest["variants"]) == (0, 3, {})
    assert api("events.scalar_metrics_iter_raw", **ask)["total"] is None
    for key in ("timestamp", "iso_time"):
        points = api("events.scalar_metrics_iter_raw", key=key, **ask)["variants"]["v"]
        assert points == {key: [10, 11, 12], "y": [0.0, 1.0, 2.0]}


def test_raw_points_come_in_pages_that_split_no_iteration(api, task, report):
    report(*(scalar("m", variant, n, float(n)) for n in range(4) for variant in "uvw"))
    ask = {"task": task, "metric": {"metric": "m"}, "batch_size": 4}
    pages = [api("events.scalar_metrics_iter_raw", **ask)]
    while pages[-1]["returned"]:
        pages.append(api("events.scalar_metrics_iter_raw", scroll_id=pages[-1]["scroll_id"], **ask))
    assert [page["variants"].get("w", {}).get("iter") for page in pages] == [[0, 1], [2, 3], None]
    assert [page["returned"] for page in pages] == [6, 6, 0]
    assert refused(api.send("events.scalar_metrics_iter_raw", scroll_id="x", **ask)) == 1104


def test_the_names_of_metrics_are_listed_by_type(api, task, report):
    report(scalar("b", "y", 1, 1.0), scalar("a", "x", 1, 1.0), plot("p", "x", 1))
    report({"type": "training_stats_vector", "metric": "vec", "variant": "x", "values": [1, 2]})
    assert api("events.get_scalar_metrics_and_variants", task=task) == {"metrics": {"a": ["x"], "b": ["y"]}}
    vectors = api("events.get_vector_metrics_and_variants", task=task)["metrics"]
    assert vectors == [{"metric": "vec", "variants": ["x"]}]
    for kind, metrics in ((None, ["a", "b"]), ("plot", ["p"]), ("training_debug_image", [])):
        found = api("events.get_task_metrics", tasks=[task], event_type=kind)["metrics"]
        assert found == [{"task": task, "metrics": metrics}]
    assert refused(api.send("events.get_task_metrics", tasks=[task], event_type="gossip")) == 12


def test_metrics_with_nothing_but_single_values_are_not_among_those_of_a_task(api, task, report):
    report(scalar("Summary", "F1", SINGLE_VALUE, 0.5), scalar("loss", "train", 1, 1.0), line("hello", 1))
    assert api("events.get_task_metrics", tasks=[task])["metrics"][0]["metrics"] == ["loss"]
    both = {"Summary": ["F1"], "loss": ["train"]}
    assert api("events.get_scalar_metrics_and_variants", task=task)["metrics"] == both


def test_the_metrics_of_several_tasks_come_together(api, task, other, report):
    report(scalar("m", "v", 1, 1.0), {**scalar("m", "w", 1, 1.0), "task": other}, plot("p", "v", 1))
    ask = {"tasks": [task, other]}
    scalars = [{"metric": "m", "variants": ["v", "w"]}]
    assert (
        api("events.get_multi_task_metrics", event_type="training_stats_scalar", **ask)["metrics"] == scalars
    )
    assert api("events.get_multi_task_metrics", **ask)["metrics"] == [
        *scalars,
        {"metric": "p", "variants": ["v"]},
    ]
    assert refused(api.send("events.get_multi_task_metrics", tasks=[task, "nobody"])) == 101
    assert refused(api.send("events.get_multi_task_metrics", tasks=[task], model_events=True)) == 201


def test_vectors_come_by_iteration(api, task, report):
    kind = {"type": "training_stats_vector", "metric": "vec", "variant": "x"}
    report(*({**kind, "iter": n, "values": [n, n]} for n in (2, 1)), {**kind, "iter": 1, "variant": "y"})
    found = api("events.vector_metrics_iter_histogram", task=task, metric="vec", variant="x")
    assert (found["iterations"], found["vectors"]) == ([1, 2], [[1, 1], [2, 2]])


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
        ({"from_timestamp": 0, "batch_size": 2}, "98"),
        ({"from_timestamp": 1008.5, "batch_size": 1}, "8"),
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


def test_console_lines_are_read_and_cleared_by_their_metrics(api, task, report):
    report(*(line(name, 1, metric=name) for name in "abcd"), line("none", 1))

    def lines(**options) -> list[str]:
        return [
            event["msg"] for event in api("events.get_task_log", task=task, order="asc", **options)["events"]
        ]

    assert lines(metrics=[{"metric": "a"}, {"metric": "c"}]) == ["a", "c"]
    assert api("events.clear_task_log", task=task, exclude_metrics=["a", "b", "c"]) == {"deleted": 2}
    assert lines() == ["a", "b", "c"]
    assert api("events.clear_task_log", task=task, include_metrics=["a", "b"], exclude_metrics=["b"]) == {
        "deleted": 1
    }
    assert lines() == ["b", "c"]
    assert api("events.clear_task_log", task=task, exclude_metrics=[]) == {"deleted": 2}


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ("line_type=text", "5 w info hello\n6  warn {again}\n"),
        ("line_type=text&line_format={{{msg}}}{level}%0A", "{hello}info\n{{again}}warn\n"),
        ("line_type=TEXT&line_format=line", "line\nline\n"),
        ("", '{"msg": "hello", "level": "info", "worker": "w", "asctime": 5}\n'
             '{"msg": "{again}", "level": "warn", "asctime": 6}\n'),
    ],
)  # fmt: skip
def test_the_console_can_be_downloaded(api, task, report, options, text):
    report(line("{again}", 6, worker=None, level="warn"), line("hello", 5))
    answer = api.request("GET", f"/events.download_task_log?task={task}&{options}")
    assert answer.headers["content-type"].startswith("text/plain")
    assert f"task_{task}.log" in answer.headers["content-disposition"]
    assert answer.text.replace('"worker": null, ', "") == text


def test_a_long_console_is_downloaded_whole(api, task, report):
    report(*(line(f"line {n}", n // 700) for n in range(2500)))
    answer = api.request("GET", f"/events.download_task_log?task={task}&line_type=text&line_format={{msg}}")
    assert answer.text.splitlines() == [f"line {n}" for n in range(2500)]


@pytest.mark.parametrize(
    ("line_format", "subcode"),
    [
        ("{msg.__class__}", 16), ("{msg:>1000000000}", 16), ("{msg!r}", 16), ("{", 16), ("}", 16), ("{}", 16),
        ("{0}", 16), ("{gossip}", 16), ("{msg}" * 201, 16), ("", 11),
    ],
)  # fmt: skip
def test_a_format_of_lines_that_is_more_than_names_is_refused(api, task, line_format, subcode):
    ask = {"task": task, "line_type": "text", "line_format": line_format}
    assert refused(api.request("POST", "/events.download_task_log", json=ask)) == subcode


# Raw


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("kind", [None, "training_stats_scalar", "*"])
def test_raw_events_scroll_by_iteration_until_nothing_is_left(api, task, report, order, kind):
    report(*(scalar("m", "v", n, float(n), timestamp=9000 - n) for n in (5, 3, 4, 1, 0, 2, 6)))
    report(*(scalar("m", variant, 3, 3.0) for variant in "abcde"))
    if kind != "training_stats_scalar":
        report(line("hello", 1), plot("p", "v", 3), line("of iteration 4", 2, iter=4))
    total = 12 if kind == "training_stats_scalar" else 15
    seen, pages, scroll = [], [], {}
    while True:
        ask = {"task": task, "batch_size": 2, "order": order, "event_type": kind}
        answer = api("events.get_task_events", **ask, **scroll)
        assert (answer["returned"], answer["total"]) == (len(answer["events"]), total)
        if not answer["events"]:
            break
        pages.append([event.get("iter", 0) for event in answer["events"]])
        seen += [json.dumps(event) for event in answer["events"]]
        scroll = {"scroll_id": answer["scroll_id"]}
    iterations = [*chain.from_iterable(pages)]
    assert iterations == sorted(iterations, reverse=order == "desc")
    assert len(set(seen)) == total
    assert all(first[-1] != second[0] for first, second in pairwise(pages))


def test_counting_raw_events_can_be_left_out(api, task, report):
    report(line("hello", 1))
    answer = api("events.get_task_events", task=task, count_total=False)
    assert (answer["returned"], answer["total"]) == (1, None)


def test_an_iteration_of_more_events_than_fit_on_a_page_is_still_read_whole(api, task, report, monkeypatch):
    monkeypatch.setattr(state, "LARGEST_PAGE", 4)
    report(*(line(f"{n}", n) for n in range(20)))
    seen, scroll = [], {}
    while events := (answer := api("events.get_task_events", task=task, **scroll))["events"]:
        assert len(events) <= 8
        seen += [int(event["msg"]) for event in events]
        scroll = {"scroll_id": answer["scroll_id"]}
    assert seen == list(range(20))


def test_the_points_of_one_metric_scroll_from_the_newest_iteration(api, task, report):
    report(*(scalar("m", variant, n, 1.0) for n in range(300) for variant in "vw"), scalar("n", "v", 1, 1.0))
    first = api("events.get_scalar_metric_data", task=task, metric="m")
    assert (first["returned"], first["total"], first["events"][0]["iter"]) == (500, 600, 299)
    rest = api("events.get_scalar_metric_data", task=task, metric="m", scroll_id=first["scroll_id"])
    assert (rest["returned"], rest["events"][-1]["iter"]) == (100, 0)
    assert api("events.clear_scroll", scroll_id=rest["scroll_id"]) == {}


def test_raw_events_of_one_type_and_one_metric_may_be_asked_for(api, task, report):
    report(scalar("m", "v", 1, 1.0), scalar("n", "v", 1, 2.0), plot("m", "v", 1), line("hello", 1))
    kind = "training_stats_scalar"
    events = api("events.get_task_events", task=task, event_type=kind)["events"]
    assert [event["type"] for event in events] == [kind] * 2
    metrics = [e["metric"] for e in api("events.get_scalar_metric_data", task=task, metric="n")["events"]]
    assert metrics == ["n"]


@pytest.mark.parametrize(
    "scroll_id",
    ["x", "1", "1_2", "1_2_3_4_5", "1_x_1", "²_1_1", "1_-1_1", "1_1_-1", f"{2**63}_1_1", "1" * 5000],
)
def test_an_invalid_scroll_id_is_refused(api, task, scroll_id):
    assert refused(api.send("events.get_task_events", task=task, scroll_id=scroll_id)) == 1104


def test_deleting_the_events_of_one_task_leaves_those_of_others(api, task, other, report):
    report(line("mine", 1), {**line("theirs", 1), "task": other})
    assert api("events.delete_for_task", task=task) == {"deleted": True}
    assert api("events.get_task_events", task=task)["total"] == 0
    assert api("events.get_task_events", task=other)["total"] == 1


def test_the_events_of_what_is_published_are_deleted_only_on_request(api, task, report):
    model = api.new("model", ready=True)
    report(line("hello", 1), scalar("m", "v", 1, 1.0))
    api("tasks.publish", task=task, force=True)
    for name in ("events.delete_for_task", "events.clear_task_log"):
        assert refused(api.send(name, task=task)) == 101
    assert api("events.clear_task_log", task=task, allow_locked=True) == {"deleted": 1}
    assert api("events.delete_for_task", task=task, allow_locked=True) == {"deleted": True}
    assert api("events.get_task_events", task=task)["total"] == 0
    assert refused(api.send("events.delete_for_model", model=model)) == 201
    assert api("events.delete_for_model", model=model, allow_locked=True) == {"deleted": True}


def test_the_events_of_models_are_their_own(api):
    model = api.new("model")
    api.events({"task": model, "model_event": True, **scalar("m", "v", 1, 1.0)})
    found = api("events.multi_task_scalar_metrics_iter_histogram", tasks=[model], model_events=True)
    assert found["metrics"]["m"]["v"][model] == {"name": "a model", "x": [1], "y": [1.0]}
    api.events({"model": model, "model_event": True, **scalar("m", "v", 5, 2.0)})
    document = api.get("model", model)
    assert document["last_iteration"] == 5
    assert [
        last["value"] for variants in document["last_metrics"].values() for last in variants.values()
    ] == [2.0]
    log = api.send_events({"task": model, "model_event": True, **line("hello", 1)})
    assert (refused(log), "models have no console lines" in log.text) == (131, True)
    assert api.send("events.get_task_events", task=model).status_code == 400
    assert api("events.delete_for_model", model=model) == {"deleted": True}
    assert api("events.get_task_events", task=model, model_events=True)["total"] == 0
