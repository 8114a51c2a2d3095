"""The pages' addresses, and what every answer of theirs has in common."""

import json
from collections.abc import Callable
from functools import partial
from typing import Any

from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from ..access import Access, Refused
from ..errors import ApiError
from ..store import Store
from . import charts, console, datasets, listings, models, pipelines, tasks
from .rendering import ALWAYS_NEW, CHART_HEADERS, HEADERS, STATIC, asset, plotly_asset, plotly_file, render

Page = Callable[[Store, dict], dict]

# Said here, since a system may hold other types for these names, and browsers would not run the scripts.
TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
FOR_EVER = {"Cache-Control": "public, max-age=31536000, immutable"}

# (address, template, handler). What the SDK prints, and what people who know ClearML's own pages type.
PAGES: list[tuple[str, str, Page]] = [
    ("/", "front.html", listings.front),
    ("/projects", "front.html", listings.front),
    ("/dashboard", "front.html", listings.front),
    ("/projects/{project}", "project.html", listings.project),
    *(
        (f"/projects/{{project}}/{word}{tail}", template, handler)
        for word in ("tasks", "experiments")
        for tail, template, handler in (
            ("", "project.html", listings.project),
            ("/{task}", "task.html", tasks.page),
            ("/{task}/{tail:path}", "task.html", tasks.page),
        )
    ),
    ("/models", "models.html", listings.models),
    ("/projects/{project}/models", "models.html", listings.models),
    ("/projects/{project}/models/{model}", "model.html", models.page),
    ("/projects/{project}/models/{model}/{tail:path}", "model.html", models.page),
    ("/datasets", "datasets.html", listings.datasets),
    ("/datasets/simple/{project}", "datasets.html", listings.datasets),
    ("/datasets/simple/{project}/experiments/{task}", "dataset.html", datasets.page),
    ("/datasets/simple/{project}/experiments/{task}/{tail:path}", "dataset.html", datasets.page),
    ("/pipelines", "pipelines.html", listings.pipelines),
    ("/pipelines/{project}", "pipelines.html", listings.pipelines),
    ("/pipelines/{project}/experiments/{task}", "pipeline.html", pipelines.page),
    ("/pipelines/{project}/experiments/{task}/{tail:path}", "pipeline.html", pipelines.page),
    ("/workers-and-queues", "queues.html", listings.queues),
    ("/workers-and-queues/{tail:path}", "queues.html", listings.queues),
    ("/settings/{tail:path}", "settings.html", lambda store, request: {}),
]
# What the pages' scripts ask for.
DATA: list[tuple[str, Page]] = [
    ("/pages/log/{task}", console.lines),
    ("/pages/scalars/{task}", charts.scalars),
    ("/pages/plot/{task}", charts.plot),
]


def page_routes(store: Store, access: Access) -> list[Route]:
    return [
        *(Route(path, partial(_page, store, access, handler, name)) for path, name, handler in PAGES),
        *(Route(path, partial(_page, store, access, handler, None)) for path, handler in DATA),
        Route("/static/{version}/{name}", _static),
    ]


async def _page(
    store: Store, access: Access, handler: Page, template: str | None, request: Request
) -> Response:
    """The answer of a handler as HTML or, where there is no template, as JSON."""
    try:
        opened = access.check(request)
        if opened:
            return opened
        with store.transaction():
            found = handler(store, _asked(request))
    except Refused as refused:
        return refusal(request, refused)
    except ApiError as error:  # what the address names is not there
        return failure(request, error)
    if "elsewhere" in found:
        return RedirectResponse(found["elsewhere"], status_code=302, headers={**HEADERS, **ALWAYS_NEW})
    if template is None:
        # Half a surrogate pair, which users may name things, is no UTF-8: json.dumps writes it as ASCII.
        text = json.dumps(found)
        return Response(text, headers={**HEADERS, **ALWAYS_NEW}, media_type="application/json")
    return _html(request, template, found)


def _asked(request: Request) -> dict:
    """What handlers know of a request: its query, the parts of its path, where this server keeps files."""
    port = request.scope["server"][1]
    return {
        **request.query_params,
        **request.path_params,
        "files": f"http://127.0.0.1:{port}/files/",
    }


def _html(request: Request, template: str, context: dict[str, Any], status: int = 200) -> Response:
    given = {
        "files": _asked(request)["files"],
        "path": request.url.path,
        "query": dict(request.query_params),
    }
    headers = CHART_HEADERS if context.get("charts") else HEADERS
    page = render(template, **given, **context).encode(errors="replace")
    return HTMLResponse(page, status, {**headers, **ALWAYS_NEW})


def refusal(request: Request, refused: Refused) -> Response:
    """What whoever has no cookie sees: how to get one, and nothing of the data."""
    return _html(request, "refused.html", {"why": refused.why, "status": refused.code}, refused.code)


def failure(request: Request, error: ApiError) -> Response:
    return _html(request, "error.html", {"message": str(error), "code": error.code}, error.code)


def wants_page(request: Request) -> bool:
    """Whether a person looks at the answer, and not a client of the API."""
    return (
        request.method in ("GET", "HEAD")
        and "text/html" in request.headers.get("accept", "")
        and "authorization" not in request.headers
    )


async def _static(request: Request) -> Response:
    """One of our files, at the address of what is in it now."""
    known = {plotly_asset(): plotly_file(), **{asset(file.name): file for file in STATIC.iterdir()}}
    file = known.get(request.url.path)
    if file is None:
        return failure(request, ApiError(404, 0, f"No such file: {request.url.path}"))
    return FileResponse(file, headers={**HEADERS, **FOR_EVER}, media_type=TYPES[file.suffix])
