"""HTTP: routes, ClearML's envelope, authentication. The API's handlers know nothing of it."""

import errno
import json
import logging
import os
import re
import sqlite3
from collections.abc import Iterable
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from . import auth, emptying, publishing  # noqa: F401  (import registers endpoints)
from .access import Access, Refused
from .auth import API_VERSION, COMPANY, SERVER_VERSION, USER, Credentials
from .documents import parse_json
from .errors import ApiError, validation_error
from .events import console, ingest, plots, raw, scalars  # noqa: F401
from .files import endpoints as files
from .files.endpoints import FileStore
from .pages import routes as pages
from .queues import endpoints as queues
from .registry import ENDPOINTS
from .store import Store, new_id
from .tasks import edit_endpoints, parameter_endpoints, status_endpoints  # noqa: F401
from .tasks import endpoints as documents
from .workers import endpoints as workers

log = logging.getLogger("local_stack.server")

CALL = re.compile(r"^/(?:v(?P<major>\d{1,4})\.(?P<minor>\d{1,4})/)?(?P<name>[a-z_]+\.[a-z_0-9]+)/?$")
LARGEST_BODY = 64 * 2**20
DEEPEST_BODY = 100  # levels of nesting: far more than anything has, and far less than what Python can handle
NEWEST = tuple(int(part) for part in API_VERSION.split("."))


def create_app(store: Store, credentials: Credentials, file_store: FileStore) -> Starlette:
    """The server over its store. Handlers run one at a time, on the event loop, each in one transaction."""
    access = Access(credentials)
    with store.transaction():
        queues.get_or_create(store, "default", system_tags=["default"])
        workers.forget_all(store)

    async def api(request: Request) -> Response:
        call = CALL.match(request.url.path)
        if not call:
            raise not_found(request)
        name = call["name"]
        version = (int(call["major"]), int(call["minor"])) if call["major"] else NEWEST
        authorization = request.headers.get("authorization")
        if name == "auth.login":
            data: Any = {"token": credentials.login(authorization, lifetime(request))}
        else:
            if name != "debug.ping":
                credentials.check(authorization)
            data = run(store, name, await parameters_of(request, name))
        if name == "tasks.get_by_id":
            data = {"task": documents.for_version(data["task"], version)}
        elif name == "tasks.get_all":
            data = {**data, "tasks": [documents.for_version(task, version) for task in data["tasks"]]}
        return envelope(name, version, data)

    async def file(request: Request) -> Response:
        # Browsers send the cookie along with whatever any page makes them ask for: it is good for reading.
        if request.method in ("GET", "HEAD") and "authorization" not in request.headers:
            if opened := access.check(request):
                return opened
        else:
            credentials.check(request.headers.get("authorization"))
        path = request.path_params.get("path", "")
        match request.method:
            case "POST":
                if path:
                    raise ApiError(405, 0, "Files are posted to /files; the name of each part is its path")
                return await files.upload(file_store, request)
            case "DELETE":
                return files.delete(file_store, path)
            case _:
                return files.download(file_store, path)

    def on_api_error(request: Request, error: ApiError) -> Response:
        call = CALL.match(request.url.path)
        if not call and pages.wants_page(request):
            if isinstance(error, Refused):
                return pages.refusal(request, error)
            return pages.failure(request, error)
        return envelope(call["name"] if call else request.url.path, NEWEST, {}, error)

    def on_http_error(request: Request, error: HTTPException) -> Response:
        known = ApiError(error.status_code, 0, error.detail)
        return on_api_error(request, not_found(request) if error.status_code == 404 else known)

    def on_any_error(request: Request, error: Exception) -> Response:
        return on_api_error(request, ApiError(500, 0, f"General server error: {type(error).__name__}"))

    def on_disconnect(request: Request, error: ClientDisconnect) -> Response:
        log.info("%s: the client went away before its request was complete", request.url.path)
        return Response(status_code=400)

    routes = [
        *pages.page_routes(store, access),
        Route("/", file, methods=["POST"]),
        Route("/files", file, methods=["POST"]),
        Route("/files/{path:path}", file, methods=["GET", "POST", "DELETE"]),
        Route("/{call:path}", api, methods=["GET", "POST", "PUT", "DELETE"]),
    ]
    handlers = {
        ApiError: on_api_error,
        ClientDisconnect: on_disconnect,
        HTTPException: on_http_error,
        Exception: on_any_error,
    }
    return Starlette(routes=routes, exception_handlers=handlers)


def run(store: Store, name: str, given: dict) -> dict:
    """The answer of one call; all that it changes is committed before it is given."""
    if name in SESSION_ANSWERS:
        return SESSION_ANSWERS[name]
    known = ENDPOINTS.get(name)
    if known is None:
        log.warning("unknown endpoint %s", name)
        raise ApiError(404, 0, f"Unable to find endpoint {name}: the local stack does not have it")
    request = known.checked(given)
    try:
        with store.transaction():
            return known.handler(store, request)
    except ApiError:
        raise
    except (OverflowError, UnicodeEncodeError) as error:
        raise validation_error(f"a value cannot be stored: {error}") from error
    except Exception as error:
        log.exception("%s failed", name)
        if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
            raise ApiError(507, 0, f"{os.strerror(errno.ENOSPC)} where the server keeps its data") from error
        raise ApiError(500, 0, f"General server error in {name}: {type(error).__name__}") from error


# Calls that need no store: who is asking, and who answers.
SESSION_ANSWERS: dict[str, dict] = {
    "debug.ping": {"msg": "ClearML local stack"},
    "auth.validate_token": {"valid": True, "user": USER["id"], "company": COMPANY["id"]},
    "users.get_current_user": {"user": {**USER, "company": COMPANY, "role": "admin"}},
    "users.get_all": {"users": [{**USER, "company": COMPANY["id"]}]},
    "server.info": {"version": SERVER_VERSION, "build": "local-stack", "uid": "local-stack"},
}


async def parameters_of(request: Request, name: str) -> dict:
    """The request's parameters: its JSON body, or JSON lines for a batch, over its query string."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > LARGEST_BODY:
            raise ApiError(413, 0, f"The request is larger than {LARGEST_BODY // 2**20} MB")
    if name == "events.add_batch":
        return {"batch": [parse(line) for line in body.splitlines() if line.strip()]}
    parsed = parse(body) if body.strip() else {}
    if not isinstance(parsed, dict):
        raise validation_error(f"the body should be a JSON object, not a {type(parsed).__name__}")
    return {**request.query_params, **parsed}


def parse(text: bytes) -> Any:
    try:
        parsed = parse_json(text)
    except (ValueError, RecursionError) as error:
        raise validation_error(f"the body is not JSON: {error}") from error
    # Counting brackets is quick, and spares nearly all bodies the walk.
    if text.count(b"[") + text.count(b"{") > DEEPEST_BODY and depth(parsed) > DEEPEST_BODY:
        raise validation_error(f"the body is nested more than {DEEPEST_BODY} levels deep")
    return parsed


def depth(value: Any) -> int:
    levels, inner = 0, [value]
    while inner:
        inner = [v for item in inner if isinstance(item, dict | list) for v in children(item)]
        levels += 1
    return levels


def children(item: dict | list) -> Iterable:
    return item.values() if isinstance(item, dict) else item


def lifetime(request: Request) -> int | None:
    text = request.query_params.get("expiration_sec", "")
    return min(int(text[:20]), auth.LONGEST_TOKEN_SECONDS) if text.isdecimal() else None


def not_found(request: Request) -> ApiError:
    log.warning("unknown path %r", request.url.path)
    return ApiError(404, 0, f"Nothing is served at {request.url.path}")


def envelope(name: str, version: tuple, data: Any, error: ApiError | None = None) -> Response:
    code = error.code if error else 200
    call_id = new_id()
    meta = {
        "id": call_id,
        "trx": call_id,
        "endpoint": {
            "name": name,
            "requested_version": ".".join(map(str, version)),
            "actual_version": ".".join(map(str, version)),
        },
        "result_code": code,
        "result_subcode": error.subcode if error else 0,
        "result_msg": str(error) if error else "OK",
        "error_stack": None,
        "error_data": {},
    }
    return Response(json.dumps({"meta": meta, "data": data}), status_code=code, media_type="application/json")
