"""Clients that stop in the middle of a request: nobody waits for them for ever."""

import asyncio

import pytest
import uvicorn
from starlette.requests import Request
from uvicorn.server import ServerState

from local_stack.server import __main__ as process
from local_stack.server import json_bodies
from local_stack.server.errors import ApiError


async def listen() -> asyncio.Server:
    config = uvicorn.Config(app=lambda *_: None, http=process.PatientProtocol, lifespan="off")
    config.load()
    loop = asyncio.get_running_loop()
    return await loop.create_server(
        lambda: process.PatientProtocol(config, ServerState(), {}), "127.0.0.1", 0
    )


async def connect_and_wait(sent: bytes) -> bytes:
    """Send the beginning of a request, and return all that comes until the server closes the connection."""
    async with await listen() as server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(sent)
        received = await asyncio.wait_for(reader.read(), 60)
        writer.close()
    return received


@pytest.mark.parametrize("sent", [b"", b"GET / HTT", b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n"])
def test_a_connection_that_brings_no_request_is_closed(monkeypatch, sent):
    monkeypatch.setattr(process, "HEADER_SECONDS", 0.05)
    assert asyncio.run(connect_and_wait(sent)) == b""


async def connect_many(count: int) -> int:
    """Open connections that bring nothing, and return how many of them the server has closed."""
    async with await listen() as server:
        address = server.sockets[0].getsockname()
        streams = [await asyncio.open_connection(*address) for _ in range(count)]
        ended = [asyncio.create_task(reader.read()) for reader, _ in streams]
        await asyncio.wait(ended, timeout=1)
        first_to_go = [task.done() for task in ended]
        for _, writer in streams:
            writer.close()
    assert first_to_go == sorted(first_to_go, reverse=True)
    return sum(first_to_go)


def test_of_too_many_connections_the_first_that_ask_nothing_are_closed(monkeypatch):
    monkeypatch.setattr(process, "MOST_CONNECTIONS", 5)
    assert asyncio.run(connect_many(8)) == 3


def test_a_body_that_stops_coming_is_refused(monkeypatch):
    monkeypatch.setattr(json_bodies, "SILENT_SECONDS", 0.05)
    parts = iter([{"type": "http.request", "body": b'{"a', "more_body": True}])

    async def receive() -> dict:
        return next(parts, None) or await asyncio.sleep(60)

    request = Request({"type": "http", "method": "POST", "headers": []}, receive)
    with pytest.raises(ApiError, match="Nothing of the body has come") as refusal:
        asyncio.run(json_bodies.read_body(request))
    assert refusal.value.status == 408
