"""HTTP: which names lead here, and whose pages may ask. All else is refused before anything is read."""

from urllib.parse import urlsplit

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .access import PageForbidden
from .addresses import OWN_NAMES, name_in, origin_of
from .api import call_at
from .error_answers import on_api_error
from .login.callers import FROM_WEB_UI
from .services import log

# The header by which the proxy of ClearML's own web UI can be known. It passes /files/… on without /files.
BY_PROXY = "x-real-ip"
ALLOWED_METHODS = "GET, HEAD, POST, PUT, DELETE"


def _origin_or_none(url: str) -> str | None:
    try:
        return origin_of(urlsplit(url)._replace(query="").geturl())
    except ValueError:
        return None


class Guard:
    """Refuses requests of foreign names and origins; lets the pages of the web UI read the answers."""

    def __init__(self, app: ASGIApp, web_url: str = "") -> None:
        self._app = app
        self._web_origin = origin_of(web_url) if web_url else None
        self._names = OWN_NAMES | ({name_in(self._web_origin.split("/")[2])} if self._web_origin else set())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        request = Request(scope)
        path = scope["path"]
        if BY_PROXY in request.headers and not call_at(path) and path != "/files" and path[:7] != "/files/":
            scope["path"] = "/files" + path
        if reason := self._why_refused(request):
            log.warning("refused: %.300s", reason)
            return await on_api_error(request, PageForbidden(403, reason))(scope, receive, send)
        if self._web_origin is None:
            return await self._app(scope, receive, send)
        is_file = scope["path"].startswith("/files/")
        by_web_ui = request.headers.get("origin") == self._web_origin
        # A link on a page has no Origin; without the proxy, it leads from the UI's port to another.
        scope[FROM_WEB_UI] = _origin_or_none(request.headers.get("referer", "")) == self._web_origin

        async def send_with_permission(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                if is_file:  # the UI shows pictures; on another port, it is the same site and not the origin
                    headers["Cross-Origin-Resource-Policy"] = "same-site"
                if by_web_ui:
                    headers["Access-Control-Allow-Origin"] = str(self._web_origin)
                    headers["Access-Control-Allow-Credentials"] = "true"
                headers.add_vary_header("Origin")
            await send(message)

        if by_web_ui and request.method == "OPTIONS":
            answer = Response(status_code=204, headers={"Access-Control-Allow-Methods": ALLOWED_METHODS})
            if wanted := request.headers.get("access-control-request-headers"):
                answer.headers["Access-Control-Allow-Headers"] = wanted
            return await answer(scope, receive, send_with_permission)
        await self._app(scope, receive, send_with_permission)

    def _why_refused(self, request: Request) -> str | None:
        host, origin = request.headers.get("host", ""), request.headers.get("origin")
        if host and name_in(host) not in self._names:
            return (
                "This server is for this machine: it is reached at 127.0.0.1 or localhost, "
                f"and {host[:100]!r} is neither."
            )
        if origin is None or origin == self._web_origin or origin in (f"http://{host}", f"https://{host}"):
            return None
        return (
            f"Pages of {origin[:100]!r} may not use this server. "
            "If ClearML's own web UI is there, name it with `up --web-url`."
        )
