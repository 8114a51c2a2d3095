"""From what a handler found to HTML: the templates, and how times, sizes and links are written in them."""

import hashlib
import importlib.metadata
import importlib.util
import re
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from jinja2 import Environment, FileSystemLoader, pass_context
from jinja2.runtime import Context

HERE = Path(__file__).parent
STATIC = HERE / "static"
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
        "connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
# A browser that goes back should see what is, and the next user of a shared one nothing.
ALWAYS_NEW = {"Cache-Control": "no-store"}
PICTURES = (".png", ".jpg", ".jpeg", ".gif", ".webp", ".bmp", ".svg")
# plotly.js writes style attributes into its drawings, of heat maps for one. No other page allows them, and
# no page inline style sheets.
CHART_HEADERS = {
    **HEADERS,
    "Content-Security-Policy": HEADERS["Content-Security-Policy"] + "; style-src-attr 'unsafe-inline'",
}


def number(value: Any) -> float | None:
    """The number that a client stored, unless it is something else or beyond all that can be shown."""
    try:
        return float(value) if isinstance(value, int | float) else None
    except OverflowError:
        return None


def text_size(value: Any) -> str:
    """Bytes in words."""
    size = number(value)
    if size is None:
        return ""
    for unit in ("B", "kB", "MB", "GB"):
        if abs(size) < 1000:
            return f"{size:.0f} B" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


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
    """The time that a text (ISO) or a number (seconds since 1970) stands for."""
    try:
        if isinstance(value, int | float):
            return datetime.fromtimestamp(value, UTC)
        found = datetime.fromisoformat(value)
        return found if found.tzinfo else found.replace(tzinfo=UTC)
    except (TypeError, ValueError, OverflowError, OSError):
        return None


def text_moment(value: Any) -> str:
    """The time on this machine's clock, whose user is the one who looks."""
    found = moment(value)
    try:
        return found.astimezone().strftime("%Y-%m-%d %H:%M:%S") if found else ""
    except (OverflowError, ValueError):  # it is the year 10000 here already
        return ""


def own_path(url: str, files: str) -> str | None:
    """The path of a file of this server's, below `files`, wherever the browser reaches the server from."""
    return "/files/" + url.removeprefix(files) if url.startswith(files) else None


def safe_link(url: Any, files: str) -> str | None:
    """An address that may be linked to: a file of this server, or something of the web."""
    if not isinstance(url, str):
        return None
    return own_path(url, files) or (url if scheme_of(url) in ("http", "https") else None)


def picture(url: Any, files: str) -> str | None:
    """The address of a picture that a page shows: a file of ours, or one that the address holds whole.

    Others are not shown: it would tell their servers who looks.
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
def with_query(context: Context, **changes: Any) -> str:
    """This page's address with some of its query changed; what is None goes."""
    kept = {**context["query"], **changes}
    return context["path"] + "?" + urlencode({key: value for key, value in kept.items() if value is not None})


@cache
def asset(name: str) -> str:
    """The address of a file of ours, which changes with what is in it: browsers may keep it for ever."""
    digest = hashlib.sha256((STATIC / name).read_bytes()).hexdigest()[:12]
    return f"/static/{digest}/{name}"


@cache
def plotly_file() -> Path:
    # Found without importing it, which would take longer than the server's own start.
    package = importlib.util.find_spec("plotly")
    return Path(package.origin).parent / "package_data" / "plotly.min.js"


@cache
def plotly_asset() -> str:
    return f"/static/{importlib.metadata.version('plotly')}/plotly.min.js"


@cache
def plotly_style_marker() -> str | None:
    """The id of the style sheet for maps that plotly.js puts into every page that has none of that id.

    Our pages show no maps, and their security policy forbids such a sheet.
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
