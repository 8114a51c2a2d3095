"""HTTP: the addresses of the pages, and what all their answers have in common."""

import json
from collections.abc import Callable
from functools import partial
from typing import Any

from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from ..access import HEADERS, NO_STORE, PageAccess, PageForbidden
from ..documents import Document
from ..errors import ApiError
from ..store import Store
from . import charts, console, datasets, listings, models, pipelines, tasks
from .rendering import CHART_HEADERS, STATIC, asset, plotly_asset, plotly_file, render

Page = Callable[[Store, Document], Document]

# The system may have other types for these names, and then browsers would not run the scripts.
TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
KEEP_FOREVER = {"Cache-Control": "public, max-age=31536000, immutable"}

# (address, template, handler). The SDK prints these addresses, and ClearML's own pages have them.
PAGES: list[tuple[str, str, Page]] = [
    ("/", "front.html", listings.front_page),
    ("/projects", "front.html", listings.front_page),
    ("/dashboard", "front.html", listings.front_page),
    ("/projects/{project}", "project.html", listings.project_page),
    *(
        (f"/projects/{{project}}/{word}{tail}", template, handler)
        for word in ("tasks", "experiments")
        for tail, template, handler in (
            ("", "project.html", listings.project_page),
            ("/{task}", "task.html", tasks.task_page),
            ("/{task}/{tail:path}", "task.html", tasks.task_page),
        )
    ),
    ("/models", "models.html", listings.models_page),
    ("/projects/{project}/models", "models.html", listings.models_page),
    ("/projects/{project}/models/{model}", "model.html", models.model_page),
    ("/projects/{project}/models/{model}/{tail:path}", "model.html", models.model_page),
    ("/datasets", "datasets.html", listings.datasets_page),
    ("/datasets/simple/{project}", "datasets.html", listings.datasets_page),
    ("/datasets/simple/{project}/experiments/{task}", "dataset.html", datasets.dataset_page),
    ("/datasets/simple/{project}/experiments/{task}/{tail:path}", "dataset.html", datasets.dataset_page),
    ("/pipelines", "pipelines.html", listings.pipelines_page),
    ("/pipelines/{project}", "pipelines.html", listings.pipelines_page),
    ("/pipelines/{project}/experiments/{task}", "pipeline.html", pipelines.pipeline_page),
    ("/pipelines/{project}/experiments/{task}/{tail:path}", "pipeline.html", pipelines.pipeline_page),
    ("/workers-and-queues", "queues.html", listings.queues_page),
    ("/workers-and-queues/{tail:path}", "queues.html", listings.queues_page),
    ("/settings/{tail:path}", "settings.html", lambda store, request: {}),
]
# The addresses that the pages' scripts ask for.
DATA: list[tuple[str, Page]] = [
    ("/pages/log/{task}", console.console_data),
    ("/pages/scalars/{task}", charts.scalars_data),
    ("/pages/plot/{task}", charts.plot_data),
]


def page_routes(store: Store, access: PageAccess) -> list[Route]:
    return [
        *(Route(path, partial(_page, store, access, handler, name)) for path, name, handler in PAGES),
        *(Route(path, partial(_page, store, access, handler, None)) for path, handler in DATA),
        Route("/static/{version}/{name}", _static),
    ]


async def _page(
    store: Store, access: PageAccess, handler: Page, template: str | None, request: Request
) -> Response:
    """Return the answer of a handler as HTML or, without a template, as JSON."""
    try:
        if redirect := access.check(request):
            return redirect
        with store.transaction():
            found = handler(store, _page_request(request))
    except PageForbidden as error:
        return forbidden_page(request, error)
    except ApiError as error:  # what the address names does not exist
        return error_page(request, error)
    if "redirect" in found:
        return RedirectResponse(found["redirect"], status_code=302, headers={**HEADERS, **NO_STORE})
    if template is None:
        # Names may hold half a surrogate pair, which UTF-8 does not have: json.dumps writes it as ASCII.
        text = json.dumps(found)
        return Response(text, headers={**HEADERS, **NO_STORE}, media_type="application/json")
    return _html(request, template, found)


def _page_request(request: Request) -> Document:
    """Return what handlers read: the query, the parts of the path, and where this server's files are."""
    port = request.scope["server"][1]
    return {**request.query_params, **request.path_params, "files": f"http://127.0.0.1:{port}/files/"}


def _html(request: Request, template: str, context: dict[str, Any], status: int = 200) -> Response:
    given = {
        "files": _page_request(request)["files"],
        "path": request.url.path,
        "query": dict(request.query_params),
    }
    headers = CHART_HEADERS if context.get("charts") else HEADERS
    page = render(template, **given, **context).encode(errors="replace")
    return HTMLResponse(page, status, {**headers, **NO_STORE})


def forbidden_page(request: Request, error: PageForbidden) -> Response:
    """Return a page that says how to get the cookie, and shows no data."""
    return _html(request, "forbidden.html", {"reason": error.reason, "status": error.status}, error.status)


def error_page(request: Request, error: ApiError) -> Response:
    return _html(request, "error.html", {"message": str(error), "status": error.status}, error.status)


def wants_page(request: Request) -> bool:
    """Return whether a browser asks for a page, and not a client of the API."""
    return (
        request.method in ("GET", "HEAD")
        and "text/html" in request.headers.get("accept", "")
        and "authorization" not in request.headers
    )


async def _static(request: Request) -> Response:
    """Return a static file, if the address is the one of its present content."""
    known = {plotly_asset(): plotly_file(), **{asset(file.name): file for file in STATIC.iterdir()}}
    file = known.get(request.url.path)
    if file is None:
        return error_page(request, ApiError(404, 0, f"No such file: {request.url.path}"))
    return FileResponse(file, headers={**HEADERS, **KEEP_FOREVER}, media_type=TYPES[file.suffix])
