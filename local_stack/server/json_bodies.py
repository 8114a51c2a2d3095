"""HTTP: bodies of JSON, read within limits. What could take long to parse is refused without parsing it."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from itertools import accumulate
from typing import Any

from starlette.requests import Request

from .documents import parse_json
from .errors import ApiError, validation_error

LARGEST_BODY = 64 * 2**20
MOST_LEVELS = 100  # of nesting in a body: far more than clients send, and far less than Python can handle
MOST_VALUES = 250_000  # in a body, so that reading it takes a second at most, and 200 MB

SILENT_SECONDS = 60  # after which who sends nothing has gone, or means no good
CHUNK = 2**16
STRUCTURE = b"[]{},"
NOT_STRUCTURE = bytes(set(range(256)) - set(STRUCTURE))
STEPS = {ord(sign): step for sign, step in {"[": 1, "{": 1, "]": -1, "}": -1, ",": 0}.items()}


async def read_body(request: Request, limit: int = LARGEST_BODY) -> bytes:
    """Return the body, or raise the API's 413: at once where the header says that it is too large."""
    too_large = ApiError(413, 0, f"The request is larger than {_size(limit)}")
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length[:20]) > limit:
        raise too_large
    body = bytearray()
    async for chunk in chunks(request):
        body += chunk
        if len(body) > limit:
            raise too_large
    return bytes(body)


async def chunks(request: Request) -> AsyncIterator[bytes]:
    """Give the body as it comes, or raise the API's 408 if nothing comes for a while."""
    stream = request.stream().__aiter__()
    while True:
        try:
            async with asyncio.timeout(SILENT_SECONDS):
                chunk = await anext(stream, None)
        except TimeoutError as error:
            raise ApiError(408, 0, f"Nothing of the body has come for {SILENT_SECONDS} s") from error
        if chunk is None:
            return
        yield chunk


def _size(limit: int) -> str:
    return f"{limit // 2**20} MB" if limit >= 2**20 else f"{limit // 2**10} kB"


def parse_body(body: bytes) -> Any:
    """Return what a body of JSON holds."""
    check_shape(body)
    return _parse(body)


def parse_lines(body: bytes) -> list[Any]:
    """Return what each line of a body of JSON lines holds."""
    check_shape(body, MOST_VALUES - body.count(b"\n"))
    return [_parse(line) for line in body.split(b"\n") if line.strip()]


def _parse(text: bytes) -> Any:
    try:
        return parse_json(text)
    except (ValueError, RecursionError) as error:
        raise validation_error(f"the body is not JSON: {error}") from error


def check_shape(body: bytes, most_values: int = MOST_VALUES) -> None:
    """Refuse JSON that has too many values or levels, looking no further than to the first too many.

    Up to the first mistake in the JSON, this sees it as the parser does, which looks no further either.
    """
    encoding = json.detect_encoding(body)
    if not encoding.startswith("utf-8"):
        body = body.decode(encoding, "replace").encode(errors="replace")
    brackets = body.count(b"[") + body.count(b"{")
    if brackets <= MOST_LEVELS and brackets + body.count(b",") <= most_values:
        return  # as nearly all bodies
    level = values = quotes = 0
    for structure, more_quotes in _structure(body):
        values, quotes = values + len(structure), quotes + more_quotes
        if values > most_values or quotes > 4 * most_values:  # a value has two, and so has its key
            raise ApiError(413, 0, f"The body has more than {MOST_VALUES} values")
        levels = [*accumulate(map(STEPS.__getitem__, structure), initial=level)]
        if max(levels) > MOST_LEVELS:
            raise validation_error(f"the body is nested more than {MOST_LEVELS} levels deep")
        level = levels[-1]


def _structure(body: bytes) -> Iterator[tuple[bytes, int]]:
    """Give the brackets and commas outside of strings, and how many quotation marks there are, in chunks."""
    inside, cut_off = False, b""
    for start in range(0, len(body), CHUNK):
        chunk = cut_off + body[start : start + CHUNK]
        # A backslash whose other half is in the next chunk belongs there.
        cut_off = b"\\" if (len(chunk) - len(chunk.rstrip(b"\\"))) % 2 else b""
        chunk = chunk.removesuffix(cut_off).replace(b"\\\\", b"").replace(b'\\"', b"")
        parts = chunk.split(b'"')
        yield b"".join(parts[inside::2]).translate(None, NOT_STRUCTURE), len(parts) - 1
        inside ^= len(parts) % 2 == 0
