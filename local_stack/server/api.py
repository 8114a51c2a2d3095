"""HTTP: calls of the API, their parameters, and ClearML's envelope around the answers."""

import json
import re
from collections.abc import Iterable
from typing import Any, NamedTuple

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from .auth import API_VERSION, LONGEST_TOKEN_SECONDS, Credentials
from .documents import Document, parse_json
from .errors import ApiError, validation_error
from .services import answer_call, log
from .store import Store, new_id
from .tasks.endpoints import task_for_version

CALL_PATH = re.compile(r"^/(?:v(?P<major>\d{1,4})\.(?P<minor>\d{1,4})/)?(?P<name>[a-z_]+\.[a-z_0-9]+)/?$")
LARGEST_BODY = 64 * 2**20
MOST_LEVELS = 100  # of nesting in a body: far more than clients send, and far less than Python can handle

Version = tuple[int, int]
_major, _minor = API_VERSION.split(".")
NEWEST: Version = (int(_major), int(_minor))


class Call(NamedTuple):
    name: str
    version: Version


def call_at(path: str) -> Call | None:
    """Return the call that a path stands for, with or without a version of the API."""
    found = CALL_PATH.match(path)
    if not found:
        return None
    version = (int(found["major"]), int(found["minor"])) if found["major"] else NEWEST
    return Call(found["name"], version)


def api_routes(store: Store, credentials: Credentials) -> list[Route]:
    async def answer(request: Request) -> Response:
        call = call_at(request.url.path)
        if not call:
            raise not_found(request)
        authorization = request.headers.get("authorization")
        if call.name == "auth.login":
            return envelope(call, {"token": credentials.login(authorization, _token_seconds(request))})
        if call.name != "debug.ping":
            credentials.check(authorization)
        data = answer_call(store, call.name, await _parameters(request, call.name))
        if call.name == "tasks.get_by_id":
            data = {"task": task_for_version(data["task"], call.version)}
        elif call.name == "tasks.get_all":
            data = {**data, "tasks": [task_for_version(task, call.version) for task in data["tasks"]]}
        return envelope(call, data)

    return [Route("/{call:path}", answer, methods=["GET", "POST", "PUT", "DELETE"])]


async def _parameters(request: Request, name: str) -> Document:
    """Return the parameters: the query, updated by the JSON body; of a batch, the lines of JSON."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > LARGEST_BODY:
            raise ApiError(413, 0, f"The request is larger than {LARGEST_BODY // 2**20} MB")
    if name == "events.add_batch":
        return {"batch": [_parse(line) for line in body.splitlines() if line.strip()]}
    parsed = _parse(body) if body.strip() else {}
    if not isinstance(parsed, dict):
        raise validation_error(f"the body should be a JSON object, not a {type(parsed).__name__}")
    return {**request.query_params, **parsed}


def _parse(text: bytes | bytearray) -> Any:
    try:
        parsed = parse_json(text)
    except (ValueError, RecursionError) as error:
        raise validation_error(f"the body is not JSON: {error}") from error
    # Counting brackets is quick, and spares nearly all bodies the walk.
    if text.count(b"[") + text.count(b"{") > MOST_LEVELS and _levels(parsed) > MOST_LEVELS:
        raise validation_error(f"the body is nested more than {MOST_LEVELS} levels deep")
    return parsed


def _levels(value: Any) -> int:
    levels, inner = 0, [value]
    while inner:
        inner = [v for item in inner if isinstance(item, dict | list) for v in _children(item)]
        levels += 1
    return levels


def _children(item: dict[str, Any] | list[Any]) -> Iterable[Any]:
    return item.values() if isinstance(item, dict) else item


def _token_seconds(request: Request) -> int | None:
    text = request.query_params.get("expiration_sec", "")
    return min(int(text[:20]), LONGEST_TOKEN_SECONDS) if text.isdecimal() else None


def not_found(request: Request) -> ApiError:
    log.warning("unknown path %r", request.url.path)
    return ApiError(404, 0, f"Nothing is served at {request.url.path}")


def envelope(call: Call, data: Document, error: ApiError | None = None) -> Response:
    """Return ClearML's envelope around an answer or an error."""
    status = error.status if error else 200
    call_id = new_id()
    version = ".".join(map(str, call.version))
    meta = {
        "id": call_id,
        "trx": call_id,
        "endpoint": {"name": call.name, "requested_version": version, "actual_version": version},
        "result_code": status,
        "result_subcode": error.subcode if error else 0,
        "result_msg": str(error) if error else "OK",
        "error_stack": None,
        "error_data": {},
    }
    return Response(json.dumps({"meta": meta, "data": data}), status, media_type="application/json")
