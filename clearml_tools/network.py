"""Requests to this machine: its names, how to keep them from a proxy, and why a connection failed."""

import os
import re
from urllib.parse import urlsplit
from urllib.request import getproxies_environment

# The names of this machine for itself.
LOOPBACK_HOSTS = ("127.0.0.1", "localhost", "::1")


def exempt_loopback_from_proxies() -> None:
    """Send no request to this machine through a proxy, in this process and in its children."""
    if not getproxies_environment():
        return  # and no_proxy alone would switch off the proxy of the system's settings
    exempt = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    if exempt != "*":
        exempt = ",".join(dict.fromkeys([*filter(None, exempt.split(",")), *LOOPBACK_HOSTS]))
    os.environ.update(no_proxy=exempt, NO_PROXY=exempt)


def connection_error_text(error: BaseException | None) -> str:
    """Return the operating system's words for a failed connection, from below the libraries' own."""
    if isinstance(error, ValueError):  # requests cannot use the address, or the proxy's
        return without_password(str(error)).rstrip(".")
    while error:
        if isinstance(error, OSError) and error.strerror:
            return error.strerror
        if isinstance(error, TimeoutError):
            return "no answer in time"
        error = error.__context__
    return "the connection ended"


def is_http_address(text: str) -> bool:
    """Return whether requests can be sent to it."""
    try:
        parts = urlsplit(text)
        return bool(parts.scheme in ("http", "https") and parts.hostname and parts.port != 0)
    except ValueError:  # an impossible port, for example
        return False


def without_password(text: str) -> str:
    """Return the text without the user and password of any address in it."""
    return re.sub(r"(?<=://)[^\s/'\"]*@", "", text)
