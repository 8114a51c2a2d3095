"""HTTP: the addresses of the pages, and what all their answers have in common."""

import json
from collections import defaultdict
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any
from urllib.parse import parse_qsl, quote, unquote

from anyio import CapacityLimiter, to_thread
from starlette.datastructures import ImmutableMultiDict, QueryParams
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from ..access import HEADERS, NO_STORE, PageAccess, PageForbidden, cookie_name, page_token
from ..documents import Document
from ..errors import ApiError, validation_error
from ..json_bodies import read_body
from ..login.callers import Caller
from ..store import Store
from . import (
    acting,
    charts,
    compare,
    console,
    dataset_tables,
    datasets,
    drafts,
    front,
    listings,
    models,
    monitoring,
    panels,
    pipelines,
    tasks,
)
from .rendering import CHART_HEADERS, STATIC, asset, plotly_asset, plotly_file, render
from .views import Form, path_of

Page = Callable[[Store, Document], Document]
Act = Callable[[Store, Form, Caller], Document]

# The system may have other types for these names, and then browsers would not run the scripts.
TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
VISITOR = "local_stack.visitor"  # in the scope of requests that may see pages
KEEP_FOREVER = {"Cache-Control": "public, max-age=31536000, immutable"}

DATASET = "/datasets/simple/{project}/experiments/{task}"
# (address, template, handler). The SDK prints these addresses, and ClearML's own pages have them.
PAGES: list[tuple[str, str, Page]] = [
    ("/", "front.html", front.front_page),
    ("/projects", "front.html", front.front_page),
    ("/dashboard", "front.html", front.front_page),
    ("/projects/{project}", "project.html", listings.project_page),
    *(
        (f"/projects/{{project}}/{word}{tail}", template, handler)
        for word in ("tasks", "experiments")
        for tail, template, handler in (
            ("", "project.html", listings.project_page),
            ("/{task}", "task.html", tasks.task_page),
            ("/{task}/edit", "edit.html", drafts.edit_page),
            ("/{task}/{tail:path}", "task.html", tasks.task_page),
        )
    ),
    ("/compare", "compare.html", compare.compare_page),
    ("/models", "listing.html", listings.models_page),
    ("/projects/{project}/models", "listing.html", listings.models_page),
    ("/projects/{project}/models/{model}", "model.html", models.model_page),
    ("/projects/{project}/models/{model}/{tail:path}", "model.html", models.model_page),
    ("/datasets", "listing.html", listings.datasets_page),
    ("/datasets/simple/{project}", "listing.html", listings.datasets_page),
    (DATASET, "dataset.html", datasets.dataset_page),
    (f"{DATASET}/changes", "dataset_changes.html", dataset_tables.changes_page),
    (f"{DATASET}/preview", "dataset_preview.html", dataset_tables.preview_page),
    (f"{DATASET}/{{tail:path}}", "dataset.html", datasets.dataset_page),
    ("/pipelines", "listing.html", listings.pipelines_page),
    ("/pipelines/{project}", "listing.html", listings.pipelines_page),
    ("/pipelines/{project}/experiments/{task}", "pipeline.html", pipelines.pipeline_page),
    ("/pipelines/{project}/experiments/{task}/new-run", "edit.html", drafts.new_run_page),
    ("/pipelines/{project}/experiments/{task}/{tail:path}", "pipeline.html", pipelines.pipeline_page),
    ("/workers-and-queues", "queues.html", listings.queues_page),
    ("/workers-and-queues/{tail:path}", "queues.html", listings.queues_page),
    ("/monitoring", "monitoring.html", monitoring.monitoring_page),
    ("/settings", "settings.html", lambda store, request: {}),
    ("/settings/{tail:path}", "settings.html", lambda store, request: {}),
]
# The addresses that the pages' scripts ask for.
DATA: list[tuple[str, Page]] = [
    ("/pages/log/{task}", console.console_data),
    ("/pages/scalars/{task}", charts.scalars_data),
    ("/pages/plot/{task}", charts.plot_data),
    ("/pages/overlay", compare.overlay_data),
    ("/pages/panel/{number}", panels.panel_data),
]
# What the forms of the pages do, each at /pages/act/<name>. The answer has a `redirect`, the page to open,
# with what is `said` there; or it has a `template`, which asks once more.
ACTS: dict[str, Act] = {
    **acting.ACTS,
    **drafts.ACTS,
    "link": lambda store, form, caller: {"template": "settings.html", "link": page_token(caller, True)},
}
LARGEST_FORM, MOST_FIELDS = 2 * 2**20, 5000
MOST_AT_ONCE = 4  # of what takes long, for the pages of each module: the others wait without a thread

Limits = Mapping[str, CapacityLimiter]


def page_routes(store: Store, access: PageAccess, given: Document) -> list[Route]:
    """Return the routes; handlers find what is `given` in their requests."""
    limits: Limits = defaultdict(lambda: CapacityLimiter(MOST_AT_ONCE))
    answer = partial(_page, store, access, given, limits)
    return [
        *(Route(path, partial(answer, page, name)) for path, name, page in PAGES),
        *(Route(path, partial(answer, page, None)) for path, page in DATA),
        Route("/pages/act/{name}", partial(_act, store, access), methods=["POST"]),
        Route("/static/{version}/{name}", _static),
    ]


async def _page(
    store: Store,
    access: PageAccess,
    given: Document,
    limits: Limits,
    handler: Page,
    template: str | None,
    request: Request,
) -> Response:
    """Return the answer of a handler as HTML or, without a template, as JSON.

    What takes long a handler leaves to a function, `later`: it runs on a thread, beside other requests, may
    not use the store, and its answer is added to the handler's. Each module has a few threads of its own, so
    that a slow Prometheus, for example, delays no other pages.
    """
    try:
        if redirect := access.check(request):
            return redirect
        request.scope[VISITOR] = access.visitor(request)
        with store.transaction():
            found = handler(store, {**_page_request(request), **given})
        if "later" in found:
            found |= await to_thread.run_sync(found.pop("later"), limiter=limits[handler.__module__])
    except PageForbidden as error:
        return forbidden_page(request, error)
    except ApiError as error:  # what the address names does not exist
        return error_page(request, error)
    if "redirect" in found:
        return RedirectResponse(found["redirect"], status_code=302, headers={**HEADERS, **NO_STORE})
    if template is None:
        # Names may hold half a surrogate pair, which UTF-8 does not have: json.dumps writes it as ASCII.
        try:
            text = json.dumps(found, allow_nan=False)
        except ValueError:
            return error_page(request, ApiError(422, 0, "Its numbers are too large for a browser."))
        return Response(text, headers={**HEADERS, **NO_STORE}, media_type="application/json")
    return _html(request, template, {**found, "path_of": partial(path_of, store)})


async def _act(store: Store, access: PageAccess, request: Request) -> Response:
    """Do what a form asks for, and lead to the page that shows it."""
    try:
        visitor = request.scope[VISITOR] = access.visitor(request)
        form = _form(await read_body(request, LARGEST_FORM), request.query_params)
        access.check_form(request, visitor, form.get("key", ""))
        act = ACTS.get(request.path_params["name"])
        if act is None:
            raise ApiError(404, 0, f"No form does {request.path_params['name']!r}.")
        found = act(store, form, visitor)
    except PageForbidden as error:
        return forbidden_page(request, error)
    except ApiError as error:
        return error_page(request, error)
    if "template" in found:  # it asks before it acts
        return _html(request, found.pop("template"), {**found, "path_of": partial(path_of, store)})
    answer = RedirectResponse(found["redirect"], status_code=303, headers={**HEADERS, **NO_STORE})
    if said := quote(found.get("said", "")):
        answer.set_cookie(_said_name(request), said, max_age=60, httponly=True, samesite="strict")
    return answer


def _form(body: bytes, query: QueryParams) -> Form:
    """Return the fields of a form; a button that is all of its form has `back` in its address."""
    try:
        fields = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=MOST_FIELDS)
        return ImmutableMultiDict([("back", query.get("back", "")), *fields])
    except ValueError as error:
        raise validation_error(f"this is no form: {error}") from error


def _said_name(request: Request) -> str:
    return f"{cookie_name(request)}_said"


def _page_request(request: Request) -> Document:
    """Return what handlers read: the query, the parts of the path, and where this server's files are.

    `query` has fields that stand in the query several times.
    """
    port = request.scope["server"][1]
    return {
        **request.query_params,
        **request.path_params,
        "query": request.query_params,
        "files": f"http://127.0.0.1:{port}/files/",
    }


def _html(request: Request, template: str, context: dict[str, Any], status: int = 200) -> Response:
    visitor = request.scope.get(VISITOR)
    given: Mapping[str, Any] = {
        "files": _page_request(request)["files"],
        "path": request.url.path,
        "query": request.query_params,
        "key": visitor.form_key if visitor else "",
        "session": visitor,
        "said": unquote(request.cookies.get(_said_name(request), "")) if visitor else "",
    }
    headers = CHART_HEADERS if context.get("charts") else HEADERS
    page = render(template, **given, **context).encode(errors="replace")
    answer = HTMLResponse(page, status, {**headers, **NO_STORE})
    if given["said"]:
        answer.delete_cookie(_said_name(request), httponly=True, samesite="strict")
    return answer


def forbidden_page(request: Request, error: PageForbidden) -> Response:
    """Return a page that says how to get the cookie, and shows no data."""
    return _html(request, "forbidden.html", {"reason": error.reason, "status": error.status}, error.status)


def error_page(request: Request, error: ApiError) -> Response:
    return _html(request, "error.html", {"message": str(error), "status": error.status}, error.status)


def wants_page(request: Request) -> bool:
    """Return whether a browser asks for a page, and not a client of the API."""
    return (
        (request.method in ("GET", "HEAD") or request.url.path.startswith("/pages/act/"))
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
