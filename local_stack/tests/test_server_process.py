"""The local server as a process: where it listens, raw connections, large files, a full disk."""

import itertools
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from local_stack.stack import Stack
from local_stack.tests.api import Api
from local_stack.waiting import wait_until

pytestmark = pytest.mark.e2e

MEGABYTE = 2**20
MULTIPART = {"Content-Type": "multipart/form-data; boundary=b"}


@pytest.fixture
def wire(stack: Stack) -> Iterator[socket.socket]:
    """A raw connection to the server."""
    with socket.create_connection(("127.0.0.1", stack.port), timeout=10) as connection:
        yield connection


@pytest.fixture
def server(stack: Stack) -> psutil.Process:
    return psutil.Process(stack.processes.running["server"].pid)


@pytest.fixture
def stored(stack: Stack) -> Callable[[], list[Path]]:
    """List all files that the server keeps, and what is left of unfinished uploads."""
    folders = (stack.home / "server" / "files", stack.home / "server" / "uploads")
    return lambda: [path for folder in folders for path in folder.rglob("*") if path.is_file()]


def request_of(api: Api, path: str, body: str = "{}", verb: str = "GET") -> bytes:
    head = f"{verb} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {api.token}\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode()


def beginning_of_upload(api: Api, name: str) -> bytes:
    """Return the head of an upload of a megabyte, and the head of its part."""
    return (
        f"POST /files HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {api.token}\r\n"
        "Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 1000000\r\n\r\n"
        f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n'
    ).encode()


# The process


def test_it_listens_on_the_loopback_address_only(stack, server):
    listening = [c.laddr for c in server.net_connections("inet") if c.status == psutil.CONN_LISTEN]
    assert listening == [("127.0.0.1", stack.port)]


# Connections


def test_every_answer_closes_its_connection_as_the_clearml_server_does(stack_api):
    """The SDK forks: processes that share a connection would read each other's answers."""
    paths = ("/debug.ping", "/tasks.nothing", "/")
    answers = [stack_api.request("GET", path) for path in paths]
    assert [answer.headers["Connection"] for answer in answers] == ["close"] * 3


@pytest.mark.parametrize("follower", ["another request", "a body that no one read"])
def test_what_follows_the_first_request_of_a_connection_is_not_executed(stack_api, wire, follower):
    hidden = request_of(stack_api, "/tasks.get_types")
    if follower == "another request":
        wire.sendall(request_of(stack_api, "/debug.ping") + hidden)
    else:
        wire.sendall(request_of(stack_api, "/nothing/here", hidden.decode()))
    answers = wire.makefile("rb").read()  # until the server closes the connection
    assert answers.count(b"HTTP/1.1 ") == 1


def test_a_request_that_is_not_http_or_is_cut_off_ends_its_own_connection_only(stack_api, stack, wire):
    with socket.create_connection(("127.0.0.1", stack.port), timeout=10) as cut_off:
        cut_off.sendall(request_of(stack_api, "/tasks.get_types")[:-1])
    wire.sendall(b"\x16\x03\x01 hello\r\n\r\n")
    assert wire.recv(100).startswith(b"HTTP/1.1 400")
    assert stack_api("tasks.get_types")


@pytest.mark.parametrize("verb", ["GET", "DELETE", "HEAD"])
@pytest.mark.parametrize("dots", ["..", "%2e%2e", ".%2E"])
@pytest.mark.parametrize("slash", ["/", "%2f", "%2F"])
def test_a_url_that_climbs_out_is_refused_however_it_is_written(stack, stack_api, wire, verb, dots, slash):
    path = f"/files/a{slash}{dots}{slash}{dots}{slash}credentials.json"
    wire.sendall(request_of(stack_api, path, "", verb))
    answer = wire.makefile("rb").read()
    assert answer.startswith(b"HTTP/1.1 400")
    assert b"secret" not in answer
    assert (stack.home / "server" / "credentials.json").exists()


# Uploads


def test_an_upload_that_is_cut_off_leaves_nothing(stack, stack_api, wire, stored):
    before, log = stored(), stack.processes.log("server")
    wire.sendall(beginning_of_upload(stack_api, "cut off") + b"x" * 500_000)
    wait_until(lambda: len(stored()) == len(before) + 1, "the beginning of the file", log)
    wire.close()
    wait_until(lambda: stored() == before, "its end", log)
    assert stack_api.request("GET", "/files/cut off").status_code == 404


def test_while_a_file_comes_in_again_the_earlier_one_is_still_whole(stack, stack_api, wire, stored):
    stack_api.request("POST", "/files", files={"replaced": b"earlier"})
    before, log = stored(), stack.processes.log("server")
    wire.sendall(beginning_of_upload(stack_api, "replaced") + b"later")
    wait_until(lambda: stored() != before, "the beginning of the file", log)
    assert stack_api.request("GET", "/files/replaced").content == b"earlier"
    wire.close()
    wait_until(lambda: stored() == before, "the end of the upload", log)


@pytest.mark.skipif(not hasattr(psutil, "RLIMIT_FSIZE"), reason="the limit that plays a full disk is Linux's")
def test_an_upload_that_the_disk_has_no_room_for_says_so_and_leaves_nothing(stack_api, server, stored):
    before, limits = stored(), server.rlimit(psutil.RLIMIT_FSIZE)
    server.rlimit(psutil.RLIMIT_FSIZE, (MEGABYTE, limits[1]))
    try:
        answer = stack_api.request("POST", "/files", files={"too much": bytes(2 * MEGABYTE)})
    finally:
        server.rlimit(psutil.RLIMIT_FSIZE, limits)
    assert answer.status_code == 507
    assert (
        answer.json()["meta"]["result_msg"] == "The upload cannot be stored, make room for it: File too large"
    )
    assert stored() == before


@pytest.fixture
def memory_growth(server: psutil.Process) -> Callable[[], int]:
    """Return by how many bytes the server's memory has grown since the test began, at its highest."""
    before = server.memory_info().rss
    status = Path(f"/proc/{server.pid}/status")

    def growth() -> int:
        peak = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(peak.split()[1]) * 1024 - before

    if not status.exists():
        pytest.skip("peak memory is read from /proc")
    Path(f"/proc/{server.pid}/clear_refs").write_text("5")  # forget the peak of earlier tests
    return growth


def body_of(name: str, chunks: Iterator[bytes]) -> Iterator[bytes]:
    yield f'--b\r\nContent-Disposition: form-data; name="{name}"; filename="f"\r\n\r\n'.encode()
    yield from chunks
    yield b"\r\n--b--\r\n"


@pytest.mark.parametrize(
    ("size", "most"), [(64, 20), pytest.param(2048, 150, marks=pytest.mark.slow)], ids=["64 MB", "2 GB"]
)
def test_large_files_pass_through_without_being_held(stack_api, memory_growth, size, most):
    body = body_of("large", itertools.repeat(bytes(MEGABYTE), size))
    assert stack_api.request("POST", "/files", content=body, headers=MULTIPART).status_code == 200
    with stack_api.client.stream("GET", "/files/large", headers=stack_api.headers) as answer:
        assert sum(map(len, answer.iter_bytes(MEGABYTE))) == size * MEGABYTE
    stack_api.request("DELETE", "/files/large")
    assert memory_growth() < most * MEGABYTE


def test_other_calls_are_answered_while_a_large_file_comes_in(stack_api):
    """Each part of the file is sent only after another call is answered, so a blocked server would hang."""

    def chunks() -> Iterator[bytes]:
        for _ in range(10):
            yield bytes(MEGABYTE)
            assert stack_api("tasks.get_types")

    body = body_of("slow", chunks())
    assert stack_api.request("POST", "/files", content=body, headers=MULTIPART).status_code == 200
