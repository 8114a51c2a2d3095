"""Measure the local server and print the figures.

    python -m local_stack.tests.benchmark_server

Starts a stack of its own in a temporary folder. What is measured: the time from starting to answering, calls
of the kinds that clients make most, ingesting scalars, large lists, a large file's way in and out, forked
clients at once, and pages of a project of many tasks.
"""

import argparse
import hashlib
import itertools
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import psutil

from local_stack.stack import Stack
from local_stack.tests.api import Api, scalar

MEGABYTE = 2**20
CALLS = 200
TASKS = 2_000
MANY_TASKS, PAGE = 20_000, 50
METRICS, PARAMETERS = 30, 10  # of each of the many tasks
FORKED_CLIENTS = 8
POINTS, BATCH = 50_000, 500
MANY_POINTS = 500_000
FILE_MEGABYTES = 1024


class UncheckedApi(Api):
    """Calls whose answers are not checked against a schema, as that takes longer than the call."""

    def send(self, name: str, /, version: str = "v2.23", **parameters: object) -> httpx.Response:
        return self.request("GET", f"/{version}/{name}", json=parameters)


def show(what: str, value: str) -> None:
    print(f"{what:<58} {value:>12}", flush=True)


def measure(what: str, act: Callable[[int], object], count: int = CALLS) -> None:
    """Show how long one call takes: the median of several, each given its number."""
    took = []
    for number in range(count):
        start = time.perf_counter()
        act(number)
        took.append(time.perf_counter() - start)
    show(what, f"{statistics.median(took) * 1000:.1f} ms")


def points(task: str, count: int, variants: int) -> list[dict]:
    numbers = range(count)
    return [scalar(task, "loss", f"v{n % variants}", n // variants, n / 7, timestamp=n) for n in numbers]


def measure_start(home: Path, state: str) -> None:
    start = time.perf_counter()
    with Stack(home, port=0):
        took = time.perf_counter() - start
    show(f"from starting the stack to its first answer, {state}", f"{took:.2f} s")


def measure_calls(api: Api) -> None:
    task = api.new("task", project=api.new("project", name="benchmark/calls"))
    api("tasks.started", task=task)
    parameter = {"section": "Args", "name": "depth", "value": "3"}
    calls = {
        "tasks.get_by_id": {"task": task},
        "tasks.create": {"name": "a task", "type": "training"},
        "tasks.edit": {"task": task, "comment": "a comment", "force": True},
        "tasks.edit_hyper_params": {"task": task, "hyperparams": [parameter], "force": True},
        "tasks.ping": {"task": task},
        "queues.get_all": {"name": "^default$"},
    }
    for name, parameters in calls.items():
        measure(name, lambda n, name=name, parameters=parameters: api(name, **parameters))
    measure("events.add_batch, 10 scalars", lambda n: api.events(*points(task, 10, 1)))

    large = {"net": {"name": "net", "value": "x" * MEGABYTE}}
    api("tasks.edit", task=task, configuration=large, force=True)
    measure("a task with a configuration of 1 MB: tasks.ping", lambda n: api("tasks.ping", task=task))
    measure("  events.add_batch, 10 scalars", lambda n: api.events(*points(task, 10, 1)))
    measure("  tasks.get_by_id", lambda n: api("tasks.get_by_id", task=task), 20)


def measure_lists(api: Api) -> None:
    project = api.new("project", name="benchmark/lists")
    new = {"project": project, "hyperparams": {"Args": {f"p{n}": {"value": str(n)} for n in range(50)}}}
    for number in range(TASKS):
        api.new("task", name=f"task {number}", **new)
        api.new("project", name=f"benchmark/many/{number}")

    here = {"project": [project]}
    newest = {"order_by": ["-last_update"], "page_size": 10, "only_fields": ["id", "name"]}
    measure(f"among {TASKS} such and as many projects: tasks.create", lambda n: api.new("task", **new))
    measure("  tasks.get_all, the one of a name", lambda n: api("tasks.get_all", name=f"^task {n}$", **here))
    measure("  tasks.get_all, two fields of the 10 newest", lambda n: api("tasks.get_all", **newest, **here))
    measure("  tasks.get_all, 500 whole tasks", lambda n: api("tasks.get_all", **here), 10)
    name = "^benchmark/many/{}$".format
    measure("  projects.get_all, the one of a name", lambda n: api("projects.get_all", name=name(n)))


def measure_scalars(api: Api) -> None:
    task = api.new("task")
    every = points(task, POINTS, 10)
    batches = [every[first : first + BATCH] for first in range(0, POINTS, BATCH)]
    start = time.perf_counter()
    for batch in batches:
        api.events(*batch)
    rate = POINTS / (time.perf_counter() - start)
    show(f"ingesting {POINTS} scalars in batches of {BATCH}", f"{rate:,.0f} /s")
    series = "events.scalar_metrics_iter_histogram"
    page = {"event_type": "training_stats_scalar", "batch_size": 1000}
    measure("  reading them all", lambda n: api(series, task=task), 5)
    measure("  reading 100 samples of each of the 10", lambda n: api(series, task=task, samples=100), 5)
    measure("  reading a page of 1000", lambda n: api("events.get_task_events", task=task, **page), 5)


def measure_many_scalars(api: Api, server: psutil.Process) -> None:
    task = api.new("task")
    every = points(task, MANY_POINTS, 10)
    for first in range(0, MANY_POINTS, 10_000):
        api.events(*every[first : first + 10_000])
    before = server.memory_info().rss
    series = "events.scalar_metrics_iter_histogram"
    measure(f"reading {MANY_POINTS} scalars of a task, down-sampled", lambda n: api(series, task=task), 5)
    measure("  over time", lambda n: api(series, task=task, key="timestamp"), 5)
    page = {"event_type": "training_stats_scalar", "batch_size": 1000}
    measure("  reading a page of 1000", lambda n: api("events.get_task_events", task=task, **page), 5)
    show("  memory that this added", f"{(server.memory_info().rss - before) / MEGABYTE:.0f} MB")


def measure_file(api: Api, server: psutil.Process) -> None:
    before = server.memory_info().rss
    name = b'--b\r\nContent-Disposition: form-data; name="large"; filename="f"\r\n\r\n'
    chunks = itertools.repeat(bytes(MEGABYTE), FILE_MEGABYTES)
    body = itertools.chain([name], chunks, [b"\r\n--b--\r\n"])
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    start = time.perf_counter()
    api.request("POST", "/files", content=body, headers=headers).raise_for_status()
    show(f"a file of {FILE_MEGABYTES} MB in", f"{FILE_MEGABYTES / (time.perf_counter() - start):,.0f} MB/s")
    start = time.perf_counter()
    with api.client.stream("GET", "/files/large", headers=api.headers) as answer:
        size = sum(map(len, answer.iter_bytes(MEGABYTE)))
    assert size == FILE_MEGABYTES * MEGABYTE
    show("  and out", f"{FILE_MEGABYTES / (time.perf_counter() - start):,.0f} MB/s")
    show("  memory of the server afterwards", f"{server.memory_info().rss / MEGABYTE:.0f} MB")
    show("  of which the file's way added", f"{(server.memory_info().rss - before) / MEGABYTE:.0f} MB")


def measure_forked_clients(api: Api) -> None:
    """Fork clients that inherit an open one, as the SDK does; all ask at once, each for a task of its own."""
    fork = multiprocessing.get_context("fork")
    tasks = [api.new("task", name=f"the task of client {n}") for n in range(FORKED_CLIENTS)]
    answers: multiprocessing.SimpleQueue[tuple[list[float], int]] = fork.SimpleQueue()

    def ask(task: str) -> None:
        took, wrong = [], 0
        for _ in range(CALLS):
            start = time.perf_counter()
            wrong += api.get("task", task)["id"] != task
            took.append(time.perf_counter() - start)
        answers.put((took, wrong))

    clients = [fork.Process(target=ask, args=(task,)) for task in tasks]
    for client in clients:
        client.start()
    found = [answers.get() for _ in clients]
    for client in clients:
        client.join()
    median = statistics.median(itertools.chain.from_iterable(took for took, _ in found))
    show(f"{FORKED_CLIENTS} forked clients at once: tasks.get_by_id", f"{median * 1000:.1f} ms")
    show("  answers that were another client's", str(sum(wrong for _, wrong in found)))


def measure_many_tasks(api: Api, server: psutil.Process) -> None:
    project = api.new("project", name="benchmark/many tasks")
    for first in range(0, MANY_TASKS, BATCH):
        scalars = []
        for number in range(first, first + BATCH):
            values = {f"p{n}": {"value": str((number + n) % 89)} for n in range(1, PARAMETERS)}
            parameters = {"Args": {"depth": {"value": str(number % 97)}, **values}}
            tags = [f"tag {number % 7}"]
            task = api.new("task", name=f"task {number}", project=project, hyperparams=parameters, tags=tags)
            if number % 10:  # the others have failed before they reported
                point = number % 100, number * 7919 % MANY_TASKS
                scalars.append(scalar(task, "loss", "total", *point))
                scalars += [scalar(task, f"metric {n}", "total", *point) for n in range(1, METRICS)]
        api.events(*scalars)
    show(f"memory of the server with {MANY_TASKS} tasks", f"{server.memory_info().rss / MEGABYTE:.0f} MB")
    metric, variant = (hashlib.md5(name.encode()).hexdigest() for name in ("loss", "total"))
    loss = f"last_metrics.{metric}.{variant}.value"
    here = {"project": [project], "page_size": PAGE, "system_tags": ["-archived"]}
    newest = {**here, "order_by": ["-last_update"]}
    pages = {
        f"a page of {PAGE} of them: tasks.get_all_ex, the newest": newest,
        "  the 100th page": {**newest, "page": 99},
        "  the best by a metric": {**here, "order_by": [loss]},
        "  by a hyperparameter": {**here, "order_by": ["-hyperparams.Args.depth.value"]},
        "  of a range of a metric": {**newest, loss: [100, 5000]},
        "  of a status and a hyperparameter": {
            **newest, "status": ["created"], "hyperparams.Args.depth.value": ["7", "8"],
        },
        "  with a word in the name or id": {
            **newest, "_any_": {"fields": ["name", "id"], "pattern": "task 19"},
        },
        "  with a name that matches an expression": {**newest, "name": r"^task \d+9$"},
    }  # fmt: skip
    names = ["name", "status", "user.name", "project.name", loss, "hyperparams.Args.depth.value"]
    for what, parameters in pages.items():
        measure(what, lambda n, p=parameters: api("tasks.get_all_ex", only_fields=names, **p), 20)
    measure_tables(api, project)


def measure_tables(api: Api, project: str) -> None:
    """Measure the project's table of all these tasks, as a browser asks for it."""
    browser = api.visit()
    metric = "metric:metric 7 / total"
    tables: dict[str, dict[str, object]] = {
        "the table of them in a browser: the newest": {},
        "  the last page": {"page": MANY_TASKS},
        "  sorted by a metric": {"sort": metric},
        "  sorted by a parameter": {"sort": "-parameter:Args/depth"},
        "  sorted by name": {"sort": "name"},
        "  sorted by the last update": {"sort": "-updated"},
        "  of a status, a type and a tag": {"status": "created", "type": "custom", "tag": "tag 3"},
        "  with a word in the name, sorted by a metric": {"name": "19", "sort": f"-{metric}"},
        "  with all metrics as columns": {"column": [f"metric:metric {n} / total" for n in range(METRICS)]},
        "  with the choice of columns": {"choose": "columns"},
        "  with that, sorted by a metric": {"choose": "columns", "sort": metric},
    }

    def read(query: dict[str, object]) -> None:
        browser.get(f"/projects/{project}", params=query).raise_for_status()

    for what, query in tables.items():
        measure(what, lambda n, query=query: read(query), 20)


def main() -> None:
    argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0]).parse_args()  # --help alone
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        measure_start(home, "empty")
        with Stack(home, port=0) as stack:
            api = UncheckedApi.of(stack)
            server = psutil.Process(stack.processes.running["server"].pid)
            show("memory of the server, empty", f"{server.memory_info().rss / MEGABYTE:.0f} MB")
            measure_calls(api)
            measure_scalars(api)
            measure_many_scalars(api, server)
            measure_lists(api)
            measure_file(api, server)
        measure_start(home, "with all this")
        with Stack(Path(folder) / "another home", port=0) as stack:
            api = UncheckedApi.of(stack)
            measure_forked_clients(api)
            measure_many_tasks(api, psutil.Process(stack.processes.running["server"].pid))


if __name__ == "__main__":
    main()
