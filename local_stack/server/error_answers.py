"""HTTP: the answers to requests that fail. People get a page, and clients of the API an envelope."""

from collections.abc import Mapping
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from .access import PageForbidden
from .api import NEWEST, Call, call_at, envelope, not_found
from .errors import ApiError
from .pages.routes import error_page, forbidden_page, wants_page
from .services import log


def on_api_error(request: Request, error: ApiError) -> Response:
    call = call_at(request.url.path)
    if call is None and wants_page(request):
        if isinstance(error, PageForbidden):
            return forbidden_page(request, error)
        return error_page(request, error)
    name = call.name if call else request.url.path
    return envelope(Call(name, NEWEST), {}, error)


def on_http_error(request: Request, error: HTTPException) -> Response:
    known = ApiError(error.status_code, 0, error.detail)
    return on_api_error(request, not_found(request) if error.status_code == 404 else known)


def on_other_error(request: Request, error: Exception) -> Response:
    return on_api_error(request, ApiError(500, 0, f"General server error: {type(error).__name__}"))


def on_disconnect(request: Request, error: ClientDisconnect) -> Response:
    log.info("%s: the client went away before its request was complete", request.url.path)
    return Response(status_code=400)


ERROR_ANSWERS: Mapping[Any, Any] = {
    ApiError: on_api_error,
    ClientDisconnect: on_disconnect,
    HTTPException: on_http_error,
    Exception: on_other_error,
}
