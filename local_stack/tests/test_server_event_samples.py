"""Plots and debug images on the local server: pages of them, and from one to the next."""

import pytest

from local_stack.server.events import sample_endpoints, scrolls
from local_stack.tests.api import refused


def plot(task: str, metric: str, variant: str, iteration: int, content: str = "{}") -> dict:
    kind = {"type": "plot", "plot_str": content}
    return {"task": task, "metric": metric, "variant": variant, "iter": iteration, **kind}


def image(task: str, metric: str, variant: str, iteration: int, file: str | None = None) -> dict:
    """Report an image in a file of its own, or in a named one."""
    url = f"http://files/{file or f'{metric}{variant}{iteration}'}.png"
    kind = {"type": "training_debug_image", "url": url}
    return {"task": task, "metric": metric, "variant": variant, "iter": iteration, **kind}


# Plots


def test_the_plots_of_the_last_iterations_come_for_every_variant(api, task):
    api.events(
        *(plot(task, "p", variant, n) for variant, count in (("v", 3), ("w", 1)) for n in range(count))
    )

    def found(**options) -> list[tuple]:
        answer = api("events.get_task_plots", task=task, **options)
        assert answer["returned"] == answer["total"] == len(answer["plots"])
        return [(event["variant"], event["iter"]) for event in answer["plots"]]

    assert found() == [("v", 2), ("w", 0)]
    assert found(iters=2) == [("v", 2), ("v", 1), ("w", 0)]
    assert found(metrics=[{"metric": "p", "variants": ["w"]}]) == [("w", 0)]
    assert found(metrics=[{"metric": "none"}]) == []


def of_several(answer: dict) -> list[tuple[str, str, str, str]]:
    """The metric, variant, task and iteration of each plot of several tasks."""
    return sorted(
        (metric, variant, task, iteration)
        for metric, variants in answer["plots"].items()
        for variant, tasks in variants.items()
        for task, iterations in tasks.items()
        for iteration, group in iterations.items()
        for _ in group["plots"]
    )


def test_the_plots_of_several_tasks_come_side_by_side(api, task, other):
    api.events(plot(task, "p", "v", 3, "mine"), plot(other, "p", "v", 4, "theirs"))
    answer = api("events.get_multi_task_plots", tasks=[task, other])
    variants = answer["plots"]["p"]["v"]
    assert [variants[task]["3"]["name"], variants[other]["4"]["name"]] == ["reporter", "another reporter"]
    assert variants[other]["4"]["plots"][0]["plot_str"] == "theirs"
    assert answer["total"] == 2
    last = api("events.get_multi_task_plots", tasks=[task, other], scroll_id=answer["scroll_id"])
    assert (last["plots"], last["returned"]) == ({}, 0)


def test_plots_of_several_tasks_are_those_of_the_last_iterations_of_each_metric_or_task(api, task):
    api.events(*(plot(task, "p", "v", n) for n in (1, 2)), plot(task, "p", "w", 2), plot(task, "q", "v", 1))
    last = [("p", "v", task, "2"), ("p", "w", task, "2")]

    def found(**options) -> list[tuple]:
        return of_several(api("events.get_multi_task_plots", tasks=[task], **options))

    assert found() == [*last, ("q", "v", task, "1")]
    assert found(last_iters_per_task_metric=False) == last
    assert found(last_iters_per_task_metric=False, iters=2) == sorted([*found(), ("p", "v", task, "1")])
    assert found(metrics=[{"metric": "p", "variants": ["w"]}]) == [("p", "w", task, "2")]
    assert found(metrics=[{"metric": "q"}]) == [("q", "v", task, "1")]


def test_many_plots_of_several_tasks_come_in_pages(api, task, other, monkeypatch):
    monkeypatch.setattr(sample_endpoints, "MOST_PLOTS", 2)
    monkeypatch.setattr(sample_endpoints, "MOST_CHARACTERS", 1000)
    api.events(*(plot(key, "p", variant, 1) for key in (task, other) for variant in "vw"))
    api.events(plot(task, "large", "v", 9, "x" * 2000))
    pages = [api("events.get_multi_task_plots", tasks=[task, other])]
    while pages[-1]["returned"]:
        scroll = pages[-1]["scroll_id"]
        pages.append(api("events.get_multi_task_plots", tasks=[task, other], scroll_id=scroll))
    assert [len(of_several(page)) for page in pages] == [1, 2, 2, 0]
    assert of_several(pages[0]) == [("large", "v", task, "9")]
    assert len({found for page in pages for found in of_several(page)}) == pages[0]["total"] == 5


# By iteration


def found_in(answer: dict) -> list[tuple[int, str]]:
    """The iterations of the first task, each with its variants."""
    groups = answer["metrics"][0]["iterations"]
    return [(group["iter"], "".join(event["variant"] for event in group["events"])) for group in groups]


@pytest.mark.parametrize(("name", "report"), [("events.debug_images", image), ("events.plots", plot)])
def test_samples_come_by_iteration_newest_first_and_scroll_back(api, task, name, report):
    api.events(
        *(report(task, "i", variant, n) for n in range(5) for variant in "vw"), report(task, "j", "v", 9)
    )
    ask = {"metrics": [{"task": task, "metric": "i"}], "iters": 2}
    first = api(name, **ask)
    scroll = {"scroll_id": first["scroll_id"]}
    pages = [first, *(api(name, **scroll, **ask) for _ in range(3))]
    assert [found_in(page) for page in pages] == [
        [(4, "vw"), (3, "vw")],
        [(2, "vw"), (1, "vw")],
        [(0, "vw")],
        [],
    ]
    assert {page["scroll_id"] for page in pages} == {first["scroll_id"]}
    back = api(name, navigate_earlier=False, **scroll, **ask)
    assert found_in(back) == [(2, "vw"), (1, "vw")]
    api.events(report(task, "i", "v", 5))
    newer = [api(name, navigate_earlier=False, **scroll, **ask) for _ in range(3)]
    assert [found_in(page) for page in newer] == [[(4, "vw"), (3, "vw")], [(5, "v")], []]
    assert found_in(api(name, refresh=True, **scroll, **ask)) == [(5, "v"), (4, "vw")]


def test_a_scroll_id_that_is_not_known_begins_anew(api, task):
    api.events(image(task, "i", "v", 1))
    ask = {"metrics": [{"task": task}]}
    for scroll_id in ("x", "9" * 5000, ""):
        answer = api("events.debug_images", scroll_id=scroll_id, **ask)
        assert found_in(answer) == [(1, "v")]
        assert answer["scroll_id"] != scroll_id


def test_images_of_all_metrics_and_of_one_variant_may_be_asked_for(api, task, other):
    api.events(
        image(task, "i", "v", 1),
        image(task, "i", "w", 1),
        image(task, "j", "v", 1),
        image(other, "i", "u", 2),
    )
    assert found_in(api("events.debug_images", metrics=[{"task": task}])) == [(1, "vwv")]
    both = [{"task": task, "metric": "j"}, {"task": task}]
    assert found_in(api("events.debug_images", metrics=both)) == [(1, "vwv")]
    one = api(
        "events.debug_images", metrics=[{"task": task, "metric": "i", "variants": ["w"]}, {"task": other}]
    )
    assert found_in(one) == [(1, "w")]
    assert [found["task"] for found in one["metrics"]] == [task, other]
    assert found_in(api("events.plots", metrics=[{"task": task}])) == []
    assert refused(api.send("events.debug_images", metrics=[{"task": "nobody"}])) == 101


def test_a_file_that_was_used_again_shows_its_last_iteration_only(api, task):
    """The SDK writes files in turns, so iteration 3 overwrote the file of iteration 0, and so on."""
    api.events(*(image(task, "i", "v", n, f"i_v_{n % 3}") for n in range(5)), image(task, "i", "w", 0))
    api.events({**image(task, "i", "v", 6), "url": None})
    everything = api("events.debug_images", metrics=[{"task": task}], iters=9)
    assert found_in(everything) == [(4, "v"), (3, "v"), (2, "v"), (0, "w")]
    sample = api("events.get_debug_image_sample", task=task, metric="i", variant="v", iteration=1)
    assert (sample["event"], sample["min_iteration"], sample["max_iteration"]) == (None, 2, 4)


def test_the_places_of_the_newest_scrolls_are_kept(store, monkeypatch):
    monkeypatch.setattr(scrolls, "MOST_SCROLLS", 2)
    first, second = (scrolls.begin_scroll(store, {"at": n})["id"] for n in range(2))
    assert scrolls.find_scroll(store, first)["at"] == 0
    third = scrolls.begin_scroll(store, {"at": 2})["id"]
    assert [scrolls.find_scroll(store, key) is not None for key in (first, second, third)] == [
        True,
        False,
        True,
    ]
    assert scrolls.find_scroll(store, None) is None


# One sample, and the next


def test_one_image_comes_of_the_iteration_asked_for_or_the_last_before(api, task):
    api.events(*(image(task, "i", "v", n) for n in (2, 5)), image(task, "i", "w", 9))
    ask = {"task": task, "metric": "i", "variant": "v"}
    for iteration, found in ((None, 5), (5, 5), (9, 5), (4, 2), (2, 2)):
        sample = api("events.get_debug_image_sample", iteration=iteration, **ask)
        assert sample["event"]["iter"] == found
        assert (sample["min_iteration"], sample["max_iteration"]) == (2, 5)
    before = api("events.get_debug_image_sample", iteration=1, **ask)
    assert (before["event"], before["min_iteration"], before["max_iteration"]) == (None, 2, 5)
    nothing = api("events.get_debug_image_sample", task=task, metric="i", variant="none")
    assert (nothing["event"], nothing["min_iteration"]) == (None, None)
    assert api("events.next_debug_image_sample", task=task, scroll_id=nothing["scroll_id"])["event"] is None


def walk(api, kind: str, task: str, scroll_id: str, **options) -> list[tuple]:
    """Go on from sample to sample until there is none."""
    found = []
    while True:
        answer = api(f"events.next_{kind}_sample", task=task, scroll_id=scroll_id, **options)
        assert answer["scroll_id"] == scroll_id
        events = answer["events"] if kind == "plot" else [answer["event"]] if answer["event"] else []
        if not events:
            return found
        assert answer["min_iteration"] <= events[0]["iter"] <= answer["max_iteration"]
        variants = "".join(event["variant"] for event in events)
        found.append((events[0]["iter"], events[0]["metric"], variants))


def test_the_next_image_is_of_the_next_variant_and_then_of_the_next_iteration(api, task):
    every = [(n, metric, variant) for n in (1, 2) for metric in "ij" for variant in "vw"]
    api.events(*(image(task, metric, variant, n) for n, metric, variant in every))

    def begin(**options) -> str:
        ask = {"metric": "i", "variant": "v", "iteration": 1}
        return api("events.get_debug_image_sample", task=task, **ask, **options)["scroll_id"]

    scroll = begin()
    assert walk(api, "debug_image", task, scroll, navigate_earlier=False) == [
        (1, "i", "w"), (2, "i", "v"), (2, "i", "w"),
    ]  # fmt: skip
    assert walk(api, "debug_image", task, scroll) == [(2, "i", "v"), (1, "i", "w"), (1, "i", "v")]
    scroll = begin(navigate_current_metric=False)
    assert walk(api, "debug_image", task, scroll, navigate_earlier=False) == every[1:]
    assert walk(api, "debug_image", task, scroll, next_iteration=True) == [(1, "j", "w")]


def test_the_next_plots_are_of_the_next_metric_and_then_of_the_next_iteration(api, task):
    api.events(*(plot(task, metric, variant, n) for n in (1, 2) for metric in "pq" for variant in "wv"))
    sample = api("events.get_plot_sample", task=task, metric="p", iteration=1, navigate_current_metric=False)
    assert [event["variant"] for event in sample["events"]] == ["v", "w"]
    assert (sample["min_iteration"], sample["max_iteration"]) == (1, 2)
    scroll = sample["scroll_id"]
    forward = walk(api, "plot", task, scroll, navigate_earlier=False)
    assert forward == [(1, "q", "vw"), (2, "p", "vw"), (2, "q", "vw")]
    assert walk(api, "plot", task, scroll) == [(2, "p", "vw"), (1, "q", "vw"), (1, "p", "vw")]
    only = api("events.get_plot_sample", task=task, metric="q")["scroll_id"]
    assert walk(api, "plot", task, only) == [(1, "q", "vw")]
    assert api("events.get_plot_sample", task=task, metric="none")["events"] == []


def test_a_scroll_id_of_something_else_is_refused(api, task, other):
    api.events(image(task, "i", "v", 1), plot(task, "p", "v", 1))
    ask = {"metric": "i", "variant": "v"}
    scroll = {"scroll_id": api("events.get_debug_image_sample", task=task, **ask)["scroll_id"]}
    plots = {"scroll_id": api("events.get_plot_sample", task=task, metric="p")["scroll_id"]}
    assert api("events.get_debug_image_sample", task=task, **ask, **scroll)["event"]["iter"] == 1
    for name, request in (
        ("get_debug_image_sample", {"task": other, **ask, **scroll}),
        ("get_debug_image_sample", {"task": task, **ask, "metric": "j", **scroll}),
        ("get_debug_image_sample", {"task": task, **ask, "navigate_current_metric": False, **scroll}),
        ("get_plot_sample", {"task": task, "metric": "i", **scroll}),
        ("next_debug_image_sample", {"task": other, **scroll}),
        ("next_debug_image_sample", {"task": task, **plots}),
        ("next_debug_image_sample", {"task": task, "scroll_id": "unknown"}),
        ("next_plot_sample", {"task": task, **scroll}),
    ):
        assert refused(api.send(f"events.{name}", **request)) == 1104, (name, request)


def test_the_samples_of_models_are_their_own(api, task):
    model = api.new("model")
    api.events(
        {**image(model, "i", "v", 1), "model_event": True}, {**plot(model, "p", "v", 1), "model_event": True}
    )
    ask = {"task": model, "model_events": True}
    assert api("events.get_debug_image_sample", metric="i", variant="v", **ask)["event"]["iter"] == 1
    assert len(api("events.get_plot_sample", metric="p", **ask)["events"]) == 1
    assert found_in(api("events.plots", metrics=[{"task": model}], model_events=True)) == [(1, "v")]
    assert refused(api.send("events.get_plot_sample", task=model, metric="p")) == 101
