"""What the local server acknowledged survives a kill -9, and clients carry on while it is away."""

import itertools
import socket
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from local_stack.stack import Stack
from local_stack.tests.api import Api, scalar
from local_stack.waiting import Child, wait_until

pytestmark = pytest.mark.e2e

POINTS_IN_A_BATCH = 20


@pytest.fixture(scope="module")
def api(stack_api: Api) -> Api:
    return stack_api


def kill_server(stack: Stack) -> None:
    server = stack.processes.running["server"]
    server.kill()
    server.wait()


class Writer:
    """Does one thing over and over, each time with the next number, until the server is gone."""

    def __init__(self, write: Callable[[int], object]) -> None:
        self.write = write
        self.acknowledged: list[int] = []
        self.tried = 0
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self) -> None:
        for self.tried in itertools.count(1):
            try:
                self.write(self.tried)
            except httpx.TransportError:
                return
            self.acknowledged.append(self.tried)


def content(number: int) -> bytes:
    """The content of the file with that number: 300 KB that show when a byte is missing."""
    return f"{number:05}".encode() * 60_000


def test_what_was_acknowledged_survives_kill_9_and_nothing_is_half_written(tmp_path):
    home = tmp_path / "home"
    with Stack(home, port=0) as stack:
        api = Api.of(stack)
        shared, reporter = api.new("task"), api.new("task", name="reporter")
        api("tasks.enqueue", task=shared, queue_name="survivors")
        made: dict[int, str] = {}

        def make(number: int) -> None:
            made[number] = api.new("task", name=f"task {number}", comment="x" * 500)

        def tag(number: int) -> None:
            api("tasks.update", task=shared, tags=[f"tag {number}"], comment=f"comment {number}")

        def report(number: int) -> None:
            api.events(*(scalar(reporter, "m", str(number), n, number) for n in range(POINTS_IN_A_BATCH)))

        def store(number: int) -> None:
            parts = {f"folder {number}/file": ("name", content(number))}
            api.request("POST", "/files", files=parts).raise_for_status()

        writers = {write.__name__: Writer(write) for write in (make, tag, report, store)}

        def have_written() -> bool:
            assert all(writer.thread.is_alive() for writer in writers.values())
            return min(len(writer.acknowledged) for writer in writers.values()) >= 15

        wait_until(have_written, "fifteen things of each writer", stack.processes.log("server"))
        kill_server(stack)
        for writer in writers.values():
            writer.thread.join()

    with Stack(home) as stack:
        assert stack.url == api.url
        # The token of before still holds.
        names = {task["id"]: task["name"] for task in api("tasks.get_all", name="^task ")["tasks"]}
        assert {number: names[task] for number, task in made.items()} == {n: f"task {n}" for n in made}
        assert len(names) <= writers["make"].tried

        document = api.get("task", shared)
        last = int(document["comment"].split()[1])
        assert document["tags"] == [f"tag {last}"]
        assert last in (writers["tag"].acknowledged[-1], writers["tag"].tried)
        (queue,) = api("queues.get_all", name="^survivors$")["queues"]
        assert [entry["task"] for entry in queue["entries"]] == [shared]

        series = api("events.scalar_metrics_iter_histogram", task=reporter)["m"]
        assert {len(points["x"]) for points in series.values()} == {POINTS_IN_A_BATCH}
        assert {int(variant) for variant in series} >= set(writers["report"].acknowledged)
        (metrics,) = api.get("task", reporter)["last_metrics"].values()
        assert {last["variant"] for last in metrics.values()} == set(series)

        files = home / "server" / "files"
        stored = [int(folder.name.split()[1]) for folder in files.iterdir()]
        assert set(stored) >= set(writers["store"].acknowledged)
        for number in stored:
            answer = api.request("GET", f"/files/folder {number}/file")
            assert answer.content == content(number)
        assert list((home / "server" / "uploads").iterdir()) == []


class Reporter(Child):
    """A process of the SDK: the script reporter.py, running."""

    def __init__(self, stack: Stack, name: str, points: int, pause: float = 0) -> None:
        self.name, self.points = name, points
        script = Path(__file__).with_name("sdk_scripts") / "reporter.py"
        super().__init__([sys.executable, script, name, points, pause], env=stack.environment())

    def check_that_nothing_is_lost(self, api: Api) -> None:
        assert self.wait_for_end() == 0, self.output()
        (task,) = api("tasks.get_all", name=f"^{self.name}$")["tasks"]
        series = api("events.scalar_metrics_iter_histogram", task=task["id"])["m"]["v"]
        assert series["x"] == list(range(self.points))
        lines = api("events.get_task_log", task=task["id"], batch_size=5000)["events"]
        log = "".join(event["msg"] for event in lines)
        assert [n for n in range(self.points) if f"line {n} of {self.points}" not in log] == []
        assert task["status"] == "completed"
        assert [artifact["key"] for artifact in task["execution"]["artifacts"]] == ["result"]


@pytest.mark.parametrize(
    ("absence", "points"), [(2, 60), pytest.param(10, 300, marks=pytest.mark.slow)], ids=["2 s", "10 s"]
)
def test_a_client_that_loses_the_server_for_a_while_carries_on_and_loses_nothing(tmp_path, absence, points):
    home = tmp_path / "home"
    with ExitStack() as running:
        with Stack(home, port=0) as stack:
            client = running.enter_context(Reporter(stack, "reporter", points, pause=0.05))
            client.wait_for("(?m)^line 20 ")
            kill_server(stack)
        time.sleep(absence)
        with Stack(home) as stack:
            client.check_that_nothing_is_lost(Api.of(stack))


def test_a_server_that_is_asked_to_stop_does_so_though_clients_are_connected(tmp_path):
    home = tmp_path / "home"
    with Stack(home, port=0) as stack:
        api = Api.of(stack)
        with socket.create_connection(("127.0.0.1", stack.port), timeout=10) as uploading:
            head = (
                f"POST /files HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {api.token}\r\n"
                "Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 1000000\r\n\r\n"
                '--b\r\nContent-Disposition: form-data; name="cut off"\r\n\r\nsome of it'
            )
            uploading.sendall(head.encode())
            log = stack.processes.log("server")
            wait_until(lambda: list((home / "server" / "uploads").iterdir()), "the upload's beginning", log)
            server = stack.processes.running["server"]
            server.terminate()
            wait_until(lambda: server.poll() is not None, "the server's end", log)
            assert server.returncode == 0
    assert list((home / "server" / "uploads").iterdir()) == []


# Many at once, on the shared stack


def at_once(act: Callable[[int], object], count: int, threads: int = 8) -> list:
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(act, range(count)))


def test_what_many_clients_write_to_one_task_is_all_there(api):
    task = api.new("task")

    def write(number: int) -> None:
        artifact = {"key": f"artifact {number}", "type": "custom", "uri": f"http://files/{number}"}
        api("tasks.add_or_update_artifacts", task=task, artifacts=[artifact])
        item = {"section": f"s{number % 3}", "name": f"p{number}", "value": str(number)}
        api("tasks.edit_hyper_params", task=task, hyperparams=[item])
        api.events(*(scalar(task, "m", str(number), n, number) for n in (1, 2)))

    at_once(write, 80)
    document = api.get("task", task)
    assert len(document["execution"]["artifacts"]) == 80
    assert sum(len(section) for section in document["hyperparams"].values()) == 80
    assert api("events.get_task_events", task=task)["total"] == 160
    (metrics,) = document["last_metrics"].values()
    assert len(metrics) == 80


def test_each_task_of_a_queue_is_given_to_one_agent_only(api):
    queue = api.new("queue", name="contended")
    tasks = [api.new("task") for _ in range(40)]
    at_once(lambda number: api("tasks.enqueue", task=tasks[number], queue=queue), 40)
    answers = at_once(lambda _: api("queues.get_next_task", queue=queue), 60)
    given = [answer["entry"]["task"] for answer in answers if answer]
    assert sorted(given) == sorted(tasks)


def test_a_project_that_many_make_at_once_is_made_once(api):
    answers = at_once(lambda _: api.send("projects.create", name="wanted by many"), 16)
    assert sorted(answer.status_code for answer in answers) == [200] + [400] * 15
    assert len(api("projects.get_all", name="^wanted by many$")["projects"]) == 1


def test_several_processes_of_the_sdk_at_once_lose_nothing(stack, api):
    with ExitStack() as running:
        started = [running.enter_context(Reporter(stack, f"worker {n}", points=200)) for n in range(3)]
        for process in started:
            process.check_that_nothing_is_lost(api)
