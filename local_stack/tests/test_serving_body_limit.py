"""Bodies that are too large never reach clearml-serving, however small they are made."""

import gzip
import tracemalloc
from collections.abc import Iterator

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from local_stack.serving_body_limit import LARGEST_BODY, BodyLimit
from local_stack.tests.api import InProcess

GZIP = {"Content-Encoding": "gzip"}


@pytest.fixture
def client() -> Iterator[httpx.Client]:
    """A client of an application that answers with the body it was sent, and whether it was packed."""

    async def echo(request: Request) -> Response:
        return Response(await request.body(), headers={"packed": request.headers.get("content-encoding", "")})

    application = Starlette(routes=[Route("/", echo, methods=["GET", "POST"])])
    application.add_middleware(BodyLimit)
    with (
        InProcess(application) as transport,
        httpx.Client(transport=transport, base_url="http://x") as client,
    ):
        yield client


@pytest.mark.parametrize("headers", [{}, GZIP])
@pytest.mark.parametrize("size", [0, 1, LARGEST_BODY])
def test_a_body_arrives_unpacked(client, size, headers):
    body = b"x" * size
    answer = client.post("/", content=gzip.compress(body) if headers else body, headers=headers)
    assert (answer.status_code, answer.content == body, answer.headers["packed"]) == (200, True, "")


def test_a_body_of_several_packed_parts_arrives_whole(client):
    body = gzip.compress(b"one ") + gzip.compress(b"two")
    assert client.post("/", content=body, headers=GZIP).content == b"one two"


@pytest.mark.parametrize("headers", [{}, GZIP])
def test_a_body_that_is_too_large_is_refused(client, headers):
    body = b"x" * (LARGEST_BODY + 1)
    answer = client.post("/", content=gzip.compress(body) if headers else body, headers=headers)
    assert answer.status_code == 413
    assert answer.json()["detail"] == "Invalid request: the body, unpacked, is larger than 10 MB"


def test_a_body_that_would_unpack_to_a_gigabyte_takes_little_memory(client):
    piece = gzip.compress(bytes(2**24))
    tracemalloc.start()
    try:
        assert client.post("/", content=piece * 64, headers=GZIP).status_code == 413
        assert tracemalloc.get_traced_memory()[1] < 5 * LARGEST_BODY
    finally:
        tracemalloc.stop()


PACKED = gzip.compress(b"{}", mtime=0)


@pytest.mark.parametrize("body", [b"", b"{}", PACKED[:-9], PACKED + b"more"], ids=repr)
def test_a_body_that_is_not_gzip_is_refused(client, body):
    answer = client.post("/", content=body, headers=GZIP)
    expected = (
        (200, b"")
        if not body
        else (400, b'{"detail":"Invalid request: the body is not gzip, as its header says"}')
    )
    assert (answer.status_code, answer.content) == expected
