"""The names that lead to this server, and the origins of pages."""

import re
from urllib.parse import urlsplit

# The names by which this machine reaches the server, and containers on it. With any other name, a foreign
# site may be behind the request: it can make its own name lead here.
OWN_NAMES = {"127.0.0.1", "localhost", "[::1]", "host.docker.internal", "host.containers.internal"}
HOST_NAME = re.compile(r"^([a-z0-9._-]+|[0-9a-f:.]+)$")
USUAL_PORTS = {"http": 80, "https": 443}
HOST = re.compile(r"^(\[[0-9a-f:.]+\]|[^:/@\[\]]+)(?::\d{1,5})?$")


def origin_of(url: str) -> str:
    """Return the origin of a web address as browsers write it; ValueError if it is no address."""
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port
    known = parts.scheme in USUAL_PORTS and HOST_NAME.match(host) and parts.username is None
    if not known or parts.query or not url.isprintable():
        raise ValueError(f"{url!r} is not an address such as http://127.0.0.1:8080")
    host = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{host}" + (f":{port}" if port not in (None, USUAL_PORTS[parts.scheme]) else "")


def name_in(host: str) -> str:
    """Return the name in a Host header, which may have a port; "" for what is none."""
    found = HOST.match(host.lower())
    return found[1] if found else ""
