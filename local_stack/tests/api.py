"""Calls of a ClearML server's API as plain HTTP, for tests of the API itself."""

import asyncio
import json
from http.cookiejar import CookieJar, DefaultCookiePolicy
from types import TracebackType
from typing import Any, Self

import httpx
from starlette.applications import Starlette

from local_stack.server.auth import PAGES, Credentials
from local_stack.server.documents import Document
from local_stack.stack import Stack
from local_stack.tests import sdk_schemas
from local_stack.waiting import SECONDS

DEFAULTS = {
    "task": {"name": "a task", "type": "custom"},
    "model": {"name": "a model", "uri": "http://files/m.bin", "ready": False},
}


class InProcess(httpx.BaseTransport):
    """Let an application answer in this process and on this thread: no socket, no server."""

    def __init__(self, application: Starlette) -> None:
        self.application = application
        self._transport = httpx.ASGITransport(application, raise_app_exceptions=False)
        self._runner = asyncio.Runner()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        request.read()
        return self._runner.run(self._answer(request))

    async def _answer(self, request: httpx.Request) -> httpx.Response:
        answer = await self._transport.handle_async_request(request)
        return httpx.Response(answer.status_code, headers=answer.headers, content=await answer.aread())

    def __exit__(
        self,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        self._runner.close()


class Api:
    """Calls of the API. Each answer is checked against the SDK's own schema."""

    def __init__(
        self, url: str, credentials: Credentials, transport: httpx.BaseTransport | None = None
    ) -> None:
        self.url = url
        self.credentials = credentials
        self.transport = transport
        no_cookies = CookieJar(DefaultCookiePolicy(allowed_domains=[]))
        self.client = self.connect(cookies=no_cookies)
        self.keys = (credentials.access_key, credentials.secret_key)
        self.token = self.client.get("/auth.login", auth=self.keys).json()["data"]["token"]
        self.headers = {"Authorization": f"Bearer {self.token}"}

    @classmethod
    def of(cls, stack: Stack) -> Self:
        """Return the API of a running stack."""
        return cls(stack.url, Credentials.load_or_make(stack.home / "server" / "credentials.json"))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()

    def connect(self, **options: Any) -> httpx.Client:
        """Return another client of this server, which has no token."""
        return httpx.Client(base_url=self.url, transport=self.transport, timeout=SECONDS, **options)

    def visit(self, **claims: Any) -> httpx.Client:
        """Return a browser without scripts that came in by a link with these claims in its token."""
        client = self.connect(headers={"Accept": "text/html,*/*;q=0.8"}, follow_redirects=True)
        token = self.credentials.token(audience=PAGES, **claims)
        assert client.get("/", params={"token": token}).status_code == 200
        return client

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Send a request with the token."""
        headers = {**self.headers, **options.pop("headers", {})}
        return self.client.request(method, path, headers=headers, **options)

    def send(self, name: str, /, version: str = "v2.23", **parameters: Any) -> httpx.Response:
        """Return the answer to a call, which may be an error."""
        response = self.request("GET", f"/{version}/{name}", content=json.dumps(parameters))
        if response.is_success:
            assert sdk_schemas.problems(name, response.json()["data"]) == []
        return response

    def __call__(self, name: str, /, version: str = "v2.23", **parameters: Any) -> Document:
        """Return the data of a call that succeeds."""
        return data_of(self.send(name, version, **parameters))

    def new(self, kind: str, **fields: Any) -> str:
        """Make a document of the kind and return its id."""
        return self(f"{kind}s.create", **{**DEFAULTS.get(kind, {}), **fields})["id"]

    def get(self, kind: str, key: str, version: str = "v2.23") -> Document:
        """Return the document of the kind with the id."""
        return self(f"{kind}s.get_by_id", version, **{kind: key})[kind]

    def send_events(self, *events: Any) -> httpx.Response:
        """Report events in one batch: JSON lines, as the SDK sends them."""
        return self.request("POST", "/events.add_batch", content="\n".join(map(json.dumps, events)))

    def events(self, *events: Any) -> Document:
        """Return the data of a report of events that succeeds."""
        return data_of(self.send_events(*events))


def scalar(task: str, metric: str, variant: str, iteration: int, value: float, **more: Any) -> Document:
    """Return the event of one point of a scalar."""
    point = {"task": task, "metric": metric, "variant": variant, "iter": iteration, "value": value}
    return {"type": "training_stats_scalar", **point, **more}


def data_of(response: httpx.Response) -> Document:
    assert response.status_code == 200, response.text
    return response.json()["data"]


def refused(response: httpx.Response) -> int:
    """Return ClearML's subcode for why the call was refused."""
    assert response.status_code == 400, response.text
    return response.json()["meta"]["result_subcode"]
