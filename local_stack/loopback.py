"""Requests to processes of this machine, past any HTTP proxy that the environment names."""

import os
import urllib.request

HOST = "127.0.0.1"

# Takes a URL or a Request, and a timeout in seconds.
open_loopback = urllib.request.build_opener(urllib.request.ProxyHandler({})).open


def without_proxies() -> dict[str, str]:
    """Return environment variables that keep a child's requests to this machine from going to a proxy."""
    exempt = os.environ.get("no_proxy") or os.environ.get("NO_PROXY")
    value = "*" if exempt == "*" else ",".join(filter(None, [exempt, HOST, "localhost"]))
    return {"no_proxy": value, "NO_PROXY": value}
