"""send_requests.py and inference.py: requests leave when they are due, and the figures are honest."""

import itertools
import json
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from clearml_tools.errors import UserError

import pytest

import inference
from asteroids.traffic import SCENARIOS, mock_rows, read_rows
from clearml_tools import send_requests
from clearml_tools.send_requests import Result, Tally, send
from inference import show_progress
from local_stack.waiting import Child, run, wait_until
from tests.support.checkouts import REPOSITORY

pytestmark = pytest.mark.e2e

NASA_TABLE = REPOSITORY / "data" / "nasa.csv"


@pytest.fixture(scope="module")
def table() -> list[dict]:
    return read_rows(NASA_TABLE)


# Figures


def test_the_table_counts_by_class_and_status_and_leaves_no_one_out():
    tally = Tally()
    kinds = ["hazardous"] * 2 + ["not hazardous"] * 6 + ["status 500"] + [send_requests.NO_CONNECTION]
    for number, kind in enumerate(kinds, 1):
        tally.add(Result(kind, number / 1000, f"the details of {kind}"))
    lines = [line.split() for line in tally.table(rate=10).splitlines()[1:]]
    assert lines[:4] == [
        ["hazardous", "2", "20.0%"],
        ["not", "hazardous", "6", "60.0%"],
        ["no", "connection", "1", "10.0%"],
        ["status", "500", "1", "10.0%"],
    ]
    assert " ".join(lines[4]) == "latency p50 5.0 ms p95 9.0 ms p99 9.0 ms"
    assert tally.failed == 2
    assert tally.failure_text.startswith("2 of 10 requests failed: the details of status 500")


# Sending. The servers here are stand-ins for clearml-serving that behave well or badly on purpose.


Answer = tuple[int, bytes | Iterator[bytes]]  # the status, and the body at once or bit by bit


class StandIn(ThreadingHTTPServer):
    """An HTTP server on a free port that answers every request as it is told to, and remembers them."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, answer: Callable[[int], Answer]) -> None:
        """`answer` gets the number of the request, from 0, and gives status and body."""
        self.answer = answer
        self.rows: list[dict] = []
        self.times: list[float] = []
        self.connections: set[tuple] = set()
        self.lock = threading.Lock()
        super().__init__(("127.0.0.1", 0), StandInHandler)
        self.url = f"http://127.0.0.1:{self.server_port}/serve/asteroid"

    def handle_error(self, *_: object) -> None:
        """A client that went away is nothing to tell of."""


class StandInHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: StandIn

    def do_POST(self) -> None:
        row = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.server.lock:
            number = len(self.server.rows)
            self.server.rows.append(row)
            self.server.times.append(time.monotonic())
            self.server.connections.add(self.client_address)
        status, body = self.server.answer(number)
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)) if isinstance(body, bytes) else "1000")
        self.end_headers()
        for part in [body] if isinstance(body, bytes) else body:
            self.wfile.write(part)

    def log_message(self, *_: object) -> None:
        """Standard error is the tests' own."""


@pytest.fixture
def stand_in() -> Iterator[Callable[..., StandIn]]:
    """Start a stand-in that answers with what a function gives, or always with the same."""
    servers = []

    def start(answer: Callable[[int], Answer] | Answer) -> StandIn:
        server = StandIn(answer if callable(answer) else lambda _: answer)
        servers.append(server)
        threading.Thread(target=server.serve_forever, args=[0.05]).start()
        return server

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


HAZARDOUS = (200, b'{"y": 1, "y_raw": 0.98}')
HARMLESS = (200, b'{"y": 0, "y_raw": 0.01}')


def test_requests_leave_on_time_however_long_the_answers_take(stand_in, table):
    all_are_there = threading.Event()

    def answer_none_before_all_are_there(number: int) -> tuple[int, bytes]:
        if number == 39:
            all_are_there.set()
        return HARMLESS if all_are_there.wait(110) else (500, b"")

    server = stand_in(answer_none_before_all_are_there)
    start = time.monotonic()
    answers = list(send(server.url, table[:40], rate=50, concurrency=40, timeout=120))
    assert [answer.kind for answer in answers] == ["not hazardous"] * 40
    assert all(due / 50 <= time - start for due, time in enumerate(server.times))


def test_waiting_for_a_stalled_server_counts_as_latency(stand_in, table):
    server = stand_in(lambda number: time.sleep(0.5 if number == 0 else 0) or HARMLESS)
    answers = list(send(server.url, table[:20], rate=50, concurrency=1))
    # The first took 0.5 s. The tenth could not leave before that, though it was due after 0.18 s.
    assert answers[9].seconds > 0.25
    assert sum(answer.seconds > 0.2 for answer in answers) >= 10


def test_connections_are_kept_open_but_not_for_long_without_a_request(stand_in, table, monkeypatch):
    server = stand_in(HARMLESS)
    list(send(server.url, table[:60], rate=200, concurrency=4))
    assert len(server.connections) <= 4
    monkeypatch.setattr(send_requests, "IDLE_SECONDS", 0)  # any pause is too long
    server = stand_in(HARMLESS)
    answers = list(send(server.url, table[:3], rate=5, concurrency=1))
    assert [answer.kind for answer in answers] == ["not hazardous"] * 3
    assert len(server.connections) == 3


def test_a_proxy_is_asked_the_way_to_other_machines_alone(stand_in, table, monkeypatch):
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, stand_in(HAZARDOUS).url)
    here = stand_in(HARMLESS).url
    for url, kind in [
        (here, "not hazardous"),
        (here.replace("127.0.0.1", "localhost"), "not hazardous"),
        ("http://serving.invalid/serve/asteroid", "hazardous"),
    ]:
        assert [answer.kind for answer in send(url, table[:1], rate=50)] == [kind]


def test_leaving_the_loop_ends_the_sending(stand_in, table):
    server, before = stand_in(HARMLESS), set(threading.enumerate())
    for _ in send(server.url, itertools.cycle(table), rate=50):
        break
    # Whatever began to send ends. The threads that are left answer: none before its connection is closed.
    wait_until(lambda: not set(threading.enumerate()) - before, "the end of all that sends")
    sent = len(server.rows)
    time.sleep(0.3)
    assert len(server.rows) == sent


def test_answers_that_begin_and_never_end_are_given_up(stand_in, table):
    # A byte now and then, so that no read ever times out.
    server = stand_in(lambda _: (200, (time.sleep(0.1) or b" " for _ in range(50))))
    answers = list(send(server.url, table[:3], rate=50, timeout=0.3))
    assert [answer.kind for answer in answers] == [send_requests.TOO_LATE] * 3


@pytest.mark.parametrize(
    ("first", "counts"),
    [("status 500", {"status 500": 10}), ("hazardous", {"hazardous": 1, "status 500": 99})],
)
def test_a_run_is_ended_early_unless_there_was_a_good_answer(first, counts):
    tally = Tally()
    show_progress([Result(kind, 0.01, kind) for kind in [first] + ["status 500"] * 99], tally, 100)
    assert tally.counts == counts


def test_progress_is_a_bar_on_a_terminal_and_else_plain_lines(capsys, monkeypatch):
    results = [Result(kind, 0.01, kind) for kind in ("hazardous", "status 500")]
    monkeypatch.setattr(inference, "PROGRESS_SECONDS", 0)
    show_progress(results, Tally(), 2)
    expected = "1 of 2 requests answered, 0 failed\n2 of 2 requests answered, 1 failed\n"
    assert capsys.readouterr().err == expected
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    show_progress(results, Tally(), 2)
    last = capsys.readouterr().err.split("\r")[-1]
    assert "100%" in last and "failed=1" in last


# The script


def test_traffic_is_sent_and_summed_up_without_pandas(stand_in):
    server = stand_in(lambda number: HAZARDOUS if number % 4 == 0 else HARMLESS)
    code = "import sys; sys.modules['pandas'] = None; import inference; sys.exit(inference.main())"
    command = [sys.executable, "-c", code, "--url", server.url, "--count", "40", "--rate", "100", "--drift"]
    done = run(command, cwd=REPOSITORY)
    assert (done.returncode, done.stderr) == (0, "")
    assert re.search(r"^40 requests in \d+\.\d s, \d+\.\d a second$", done.stdout, re.MULTILINE)
    assert re.search(r"^  hazardous +10 +25\.0%$", done.stdout, re.MULTILINE)
    assert re.search(r"^  not hazardous +30 +75\.0%$", done.stdout, re.MULTILINE)
    assert re.search(r"^  latency  p50 \S+ ms  p95 \S+ ms  p99 \S+ ms$", done.stdout, re.MULTILINE)
    expected = itertools.islice(mock_rows(read_rows(NASA_TABLE), SCENARIOS["major"]), 40)
    assert sorted(map(json.dumps, server.rows)) == sorted(map(json.dumps, expected))


def test_a_server_that_is_down_is_one_line_with_the_remedy(stand_in, monkeypatch, capsys):
    server = stand_in(HARMLESS)
    server.shutdown()
    server.server_close()
    assert run_here(monkeypatch, "--url", server.url, "--rate", 100) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "10 of 10 requests failed: no connection (Connection refused)" in line
    assert "local_stack up --serving" in line


BAD_ANSWERS = {
    "slow": (lambda _: time.sleep(2) or HARMLESS, "no answer within 0.3 s; wait longer with --timeout"),
    "broken": ((500, b'{"detail": "boom"}'), 'status 500, {"detail": "boom"}'),
    "refusing": ((422, b'{"detail": "Invalid request"}'), 'status 422, {"detail": "Invalid request"}'),
    "not deployed": ((404, b""), "status 404, empty; deploy it with"),
    "another service": (
        (200, b"<html>\x1b[31m hello\n</html>"),
        "no answer of this model: <html> [31m hello",
    ),
    "another model": ((200, b'{"y": [0.3]}'), 'no answer of this model: {"y": [0.3]}'),
    "nonsense": ((200, b"[" * 100_000), "no answer of this model: [[["),
    "moved": ((307, b""), "status 307, empty"),
}


@pytest.mark.parametrize("name", BAD_ANSWERS)
def test_a_server_that_gives_no_good_answer_is_one_line_that_says_so(stand_in, name, monkeypatch, capsys):
    answer, words = BAD_ANSWERS[name]
    server = stand_in(answer)
    patience = "0.3" if name == "slow" else "60"
    arguments = ["--url", server.url, "--rate", "200", "--count", "20", "--timeout", patience]
    assert run_here(monkeypatch, *arguments) == 1
    printed = capsys.readouterr()
    assert printed.err.count("\n") == 1
    assert words in printed.err
    assert "10 requests in" in printed.out


def test_a_server_that_fails_now_and_then_gets_all_requests(stand_in, monkeypatch, capsys):
    server = stand_in(lambda number: (500, b"boom") if number % 3 == 2 else HARMLESS)
    assert run_here(monkeypatch, "--url", server.url, "--count", 30, "--rate", 100) == 1
    printed = capsys.readouterr()
    assert "10 of 30 requests failed: status 500, boom" in printed.err
    assert len(server.rows) == 30
    assert re.search(r"not hazardous +20 +66\.7%\n  status 500 +10 +33\.3%", printed.out)


def test_ctrl_c_ends_with_the_table(stand_in):
    server = stand_in(HARMLESS)
    command = [sys.executable, "inference.py", "--url", server.url, "--rate", "100"]
    with Child(command, cwd=REPOSITORY, apart=True) as process:
        process.wait_for(r"http://.*, until Ctrl-C\n")
        # More than the 16 that are under way at most: the others have been answered, and counted.
        wait_until(lambda: len(server.rows) >= 50, "fifty requests", process.output)
        process.send_signal(signal.SIGINT)
        assert process.wait_for_end() == 0, process.told()
    # A machine that is busy for five seconds may have shown the progress.
    assert re.sub(r".* requests answered, 0 failed\n", "", str(process.errors)) == ""
    assert re.search(r"^  not hazardous +\d+ +100\.0%$", str(process.printed), re.MULTILINE)


def test_ctrl_c_before_the_last_of_a_given_number_is_no_success(stand_in, monkeypatch, capsys):
    def interrupt(number: int) -> tuple[int, bytes]:
        if number == 50:  # more than are under way at most: the others have been answered, and counted
            os.kill(os.getpid(), signal.SIGINT)
        return HARMLESS

    server = stand_in(interrupt)
    assert run_here(monkeypatch, "--url", server.url, "--count", 1000, "--rate", 100) == 130
    assert re.search(r"^  not hazardous +\d+ +100\.0%$", capsys.readouterr().out, re.MULTILINE)


def run_here(monkeypatch, *arguments: object) -> int:
    """main() in this process, to save the seconds that a new one takes to import everything."""
    monkeypatch.setattr(sys, "argv", ["inference.py", *map(str, arguments)])
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)  # main() sets another
    return inference.main()


WRONG = {
    "--rate": ["0", "nan", "inf", "1e-308"],
    "--count": ["-1", "1.5", "many"],
    "--concurrency": ["0", "100000"],
    "--timeout": ["-3", "1e308"],
    "--url": ["foo", "ftp://127.0.0.1/serve", "http://127.0.0.1:99999/serve", "http://[::1"],
    "--scenario": ["comet"],
}
TOGETHER = [["--drift", "--scenario", "ramp"], ["--dataset", "--csv", "table.csv"]]


@pytest.mark.parametrize(
    "arguments", [*([name, value] for name, values in WRONG.items() for value in values), *TOGETHER]
)
def test_impossible_arguments_are_refused(monkeypatch, capsys, arguments):
    with pytest.raises(SystemExit) as end:
        run_here(monkeypatch, *arguments)
    assert end.value.code == 2
    told = capsys.readouterr().err
    assert arguments[-2] in told
    assert "invalid" not in told or "choice" in told  # that would name a function of ours


def test_save_writes_both_files_and_sends_nothing(monkeypatch, tmp_path, table, capsys):
    monkeypatch.setattr(inference, "DATA", tmp_path)
    code = run_here(monkeypatch, "--save", "--count", 50, "--csv", NASA_TABLE, "--url", "http://127.0.0.1:1/")
    assert code == 0
    for name, scenario in {"synthetic.csv": "normal", "synthetic_drift.csv": "major"}.items():
        drawn = itertools.islice(mock_rows(table, SCENARIOS[scenario]), 50)
        assert read_rows(tmp_path / name) == list(drawn)
    assert "requests" not in capsys.readouterr().out
    monkeypatch.setattr(inference, "DATA", tmp_path / "nowhere")
    with pytest.raises(UserError, match=r"synthetic.csv cannot be written"):
        run_here(monkeypatch, "--save", "--csv", NASA_TABLE)
