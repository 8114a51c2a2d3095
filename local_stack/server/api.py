"""HTTP: calls of the API, their parameters, and ClearML's envelope around the answers."""

import json
import re
from typing import Any, NamedTuple
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from .auth import API_VERSION
from .documents import Document
from .errors import ApiError, validation_error
from .events.download import log_download
from .json_bodies import LARGEST_BODY, parse_body, parse_lines, read_body
from .login.callers import SESSION_COOKIE, Caller, Callers
from .services import answer_call, find_endpoint, log
from .store import Store, new_id
from .versions import Version, answer_for, request_of

CALL_PATH = re.compile(r"^/(?:v(?P<major>\d{1,4})\.(?P<minor>\d{1,4})/)?(?P<name>[a-z_]+\.[a-z_0-9]+)/?$")

# Calls that strangers may make: as little as possible is done for them.
OPEN_CALLS = {
    "auth.fixed_users_mode", "auth.logout", "debug.ping", "login.logout", "login.supported_modes",
    "server.info",
}  # fmt: skip
TABLE = "organization.download_for_get_all"  # answers with a file
SMALL_BODY = 8 * 2**10  # for those, and for logging in

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


def api_routes(store: Store, callers: Callers) -> list[Route]:
    async def answer(request: Request) -> Response:
        call = call_at(request.url.path)
        if not call:
            raise not_found(request)
        # Who calls comes first: for strangers, nothing is read and nothing is parsed.
        is_open = call.name in OPEN_CALLS
        # A browser follows a link to a file, which may not say from which page.
        is_link = request.method == "GET" and call.name == TABLE
        caller = callers.find(request) if is_open else callers.identify(request, only_reads=is_link)
        find_endpoint(call.name)
        limit = SMALL_BODY if is_open or call.name == "auth.login" else LARGEST_BODY
        parameters = _parameters(request, call.name, await read_body(request, limit))
        data = answer_call(store, call.name, request_of(*call, parameters), caller)
        if call.name == "events.download_task_log":
            return log_download(store, data["task"], data["line_format"])
        if call.name == TABLE:
            return _file(data)
        response = envelope(call, answer_for(*call, data))
        _set_cookie(response, caller)
        return response

    return [Route("/{call:path}", answer, methods=["GET", "POST", "PUT", "DELETE"])]


def _parameters(request: Request, name: str, body: bytes) -> Document:
    """Return the parameters: the query, updated by the JSON body; of a batch, the lines of JSON."""
    if name == "events.add_batch":
        return {"batch": parse_lines(body)}
    parsed: Any = parse_body(body) if body.strip() else {}
    if not isinstance(parsed, dict):
        raise validation_error(f"the body should be a JSON object, not a {type(parsed).__name__}")
    return {**request.query_params, **parsed}


def _set_cookie(response: Response, caller: Caller) -> None:
    """Begin or end the session of ClearML's own web UI. Its scripts cannot read the cookie."""
    if caller.cookie:
        response.set_cookie(SESSION_COOKIE, caller.cookie, httponly=True, samesite="strict")
    elif caller.cookie == "":
        response.delete_cookie(SESSION_COOKIE, httponly=True, samesite="strict")


def _file(data: Document) -> Response:
    """Return a file, which the browser stores."""
    # The name may hold any character, of which headers take few.
    headers = {"Content-Disposition": f"attachment; filename*=UTF-8''{quote(data['filename'], safe='')}"}
    return Response(data["text"], media_type="text/csv", headers=headers)


def not_found(request: Request) -> ApiError:
    log.warning("unknown path %.200r", request.url.path)
    return ApiError(404, 0, f"Nothing is served at {request.url.path}")


def envelope(call: Call, data: Document, error: ApiError | None = None) -> Response:
    """Return ClearML's envelope around an answer or an error."""
    status = error.status if error else 200
    call_id = new_id()
    meta = {
        "id": call_id,
        "trx": call_id,
        "endpoint": {
            "name": call.name,
            "requested_version": _text(call.version),
            # The web UI asks for 999.0 and takes the newest.
            "actual_version": _text(min(call.version, NEWEST)),
        },
        "result_code": status,
        "result_subcode": error.subcode if error else 0,
        "result_msg": str(error) if error else "OK",
        "error_stack": None,
        "error_data": {},
    }
    return Response(json.dumps({"meta": meta, "data": data}), status, media_type="application/json")


def _text(version: Version) -> str:
    return ".".join(map(str, version))
