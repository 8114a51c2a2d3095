"""HTML from templates, and how times, sizes and links are written in them."""

import hashlib
import importlib.metadata
import re
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from jinja2 import Environment, FileSystemLoader, pass_context
from jinja2.filters import do_filesizeformat
from jinja2.runtime import Context
from markupsafe import Markup

from ..access import HEADERS

HERE = Path(__file__).parent
STATIC = HERE / "static"
PICTURES = (".png", ".jpg", ".jpeg", ".gif", ".webp", ".bmp", ".svg")
ID = re.compile(r"(?<![0-9a-zA-Z])([0-9a-f]{32})(?![0-9a-zA-Z])")
MOST_IDS = 500  # looked up in one text
NAMING_FIELD = re.compile(r"(queue|worker)(_?name|_?id)?$", re.IGNORECASE)
# plotly.js writes style attributes into its drawings. Only pages with charts allow them, and no page allows
# inline style sheets.
CHART_HEADERS = {
    **HEADERS,
    "Content-Security-Policy": HEADERS["Content-Security-Policy"] + "; style-src-attr 'unsafe-inline'",
}


def number(value: Any) -> float | None:
    """Return a number that a client stored, or None if it is something else or too large for a float."""
    try:
        return float(value) if isinstance(value, int | float) else None
    except OverflowError:
        return None


def text_size(value: Any) -> str:
    """Return a number of bytes with its unit."""
    size = number(value)
    return "" if size is None or size < 0 else do_filesizeformat(size)


def text_duration(value: Any) -> str:
    seconds = number(value)
    if seconds is None:
        return ""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02} min"
    return f"{minutes} min {rest:02} s" if minutes else f"{rest} s"


def text_number(value: Any) -> str:
    return f"{value:.5g}" if isinstance(value, float) else str(value)


def moment(value: Any) -> datetime | None:
    """Return the time of an ISO text, or of a number of seconds since 1970."""
    try:
        if isinstance(value, int | float):
            return datetime.fromtimestamp(value, UTC)
        found = datetime.fromisoformat(value)
        return found if found.tzinfo else found.replace(tzinfo=UTC)
    except (TypeError, ValueError, OverflowError, OSError):
        return None


def text_moment(value: Any) -> str:
    """Return the time in this machine's time zone: who reads the pages uses this machine."""
    found = moment(value)
    try:
        return found.astimezone().strftime("%Y-%m-%d %H:%M:%S") if found else ""
    except (OverflowError, ValueError):  # in this time zone it is the year 10000
        return ""


def own_path(url: str, files: str) -> str | None:
    """Return the path of a file on this server, whose addresses begin with `files`."""
    return "/files/" + url.removeprefix(files) if url.startswith(files) else None


def safe_link(url: Any, files: str) -> str | None:
    """Return an address that may be linked to: a file of this server, or http(s)."""
    if not isinstance(url, str):
        return None
    return own_path(url, files) or (url if scheme_of(url) in ("http", "https") else None)


def picture(url: Any, files: str) -> str | None:
    """Return the address of a picture that a page shows: a file of this server, or a data: address.

    Pictures on other servers are not shown, as those servers would learn who looks at the page.
    """
    if not isinstance(url, str):
        return None
    if url.startswith("data:image/"):
        return url
    path = own_path(url, files)
    return path if path and path.lower().endswith(PICTURES) else None


def scheme_of(url: str) -> str:
    try:
        return urlsplit(url).scheme
    except ValueError:  # such as http://[
        return ""


@pass_context
def link(context: Context, url: Any) -> str | None:
    return safe_link(url, context["files"])


@pass_context
def linked(context: Context, value: Any, field: str = "") -> Markup:
    """Return a text as HTML in which ids are links, and so is what a field of a queue or worker names."""
    try:
        text = "" if value is None else str(value)
    except RecursionError:  # lists within lists, hundreds deep
        text = "…"
    named = NAMING_FIELD.search(field)
    if named and (path := context["path_of"](text, named[1].lower())):
        return _anchor(path, text)
    parts = enumerate(ID.split(text, MOST_IDS))  # every second one is an id
    paths = ((part, context["path_of"](part) if i % 2 else None) for i, part in parts)
    return Markup("").join(_anchor(path, part) if path else part for part, path in paths)


def _anchor(path: str, text: str) -> Markup:
    return Markup('<a href="{}">{}</a>').format(path, text)


@pass_context
def with_query(context: Context, **changes: Any) -> str:
    """Return this page's address with some of its query changed; None removes a key, a list repeats it."""
    query = context["query"]
    kept = {key: query.getlist(key) for key in query} | changes
    left = {key: value for key, value in kept.items() if value is not None}
    return context["path"] + "?" + urlencode(left, doseq=True, safe="/:", errors="replace")


@cache
def asset(name: str) -> str:
    """Return the address of a static file. It changes with the content, so browsers may keep the file."""
    digest = hashlib.sha256((STATIC / name).read_bytes()).hexdigest()[:12]
    return f"/static/{digest}/{name}"


@cache
def plotly_file() -> Path:
    # Importing plotly would take longer than the server's own start.
    return Path(
        str(importlib.metadata.distribution("plotly").locate_file("plotly/package_data/plotly.min.js"))
    )


@cache
def plotly_asset() -> str:
    return f"/static/{importlib.metadata.version('plotly')}/plotly.min.js"


@cache
def plotly_style_marker() -> str | None:
    """Return the id of the style sheet for maps that plotly.js adds to a page without an element of that id.

    The pages show no maps, and their security policy forbids such a sheet.
    """
    found = re.search(r'getElementById\("([0-9a-f]{40,})"\)', plotly_file().read_text("utf-8"))
    return found and found[1]


environment = Environment(
    loader=FileSystemLoader(HERE / "templates"),
    autoescape=True,
    trim_blocks=True,
    lstrip_blocks=True,
    auto_reload=False,
)
environment.filters |= {
    "duration": text_duration,
    "link": link,
    "linked": linked,
    "moment": text_moment,
    "number": text_number,
    "size": text_size,
}
environment.globals |= {
    "asset": asset,
    "plotly_asset": plotly_asset,
    "plotly_style_marker": plotly_style_marker,
    "with_query": with_query,
}


def render(template: str, **context: Any) -> str:
    return environment.get_template(template).render(context)
