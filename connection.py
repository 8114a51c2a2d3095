"""The connection to a ClearML server, with the settings of the SDK that the scripts need wherever they run.

A clearml.conf as `clearml-init` writes it holds servers, credentials and the SDK's own defaults. With those a
script takes up to 25 times as long, and fails now and then: `python -m tests.benchmark_scripts` measures it.
"""

import logging
import os
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import requests
from clearml import Task
from clearml.backend_api import Session
from clearml.backend_api.session.defs import (
    ENV_ACCESS_KEY,
    ENV_AUTH_TOKEN,
    ENV_ENABLE_ENV_CONFIG_SECTION,
    MissingConfigError,
)
from clearml.backend_api.session.session import LoginError
from clearml.backend_config.defs import get_active_config_file
from clearml.config import config_obj

from errors import EXPLANATIONS, InputError
from network import LOOPBACK_HOSTS, connection_error_text, exempt_loopback_from_proxies

DEVELOPMENT_SETTINGS = {
    # Report from a thread. The SDK's reporting process is a fork. It holds the pipes of its parent's
    # children, reads answers that were meant for its parent, and is left behind by a Ctrl-C.
    "report_use_subprocess": False,
    # Look at git before the script goes on, so that no task is stored without its code.
    "vcs_repo_detect_async": False,
}

# What the SDK says, by its logger and beginning, that looks like trouble and is none.
NOISE = [
    # Of its own calls: the scripts give an alias.
    ("clearml", "Dataset.get() did not specify alias"),
    # There need not be a remote: pipeline.py says so where it matters. checkout.py reads the edits itself.
    ("clearml.Repository Detection", "Can't get url information"),
    ("clearml.Repository Detection", "Can't get diff information"),
]

ATTEMPTS, ATTEMPT_SECONDS = 3, 10  # a server elsewhere may be busy for a moment

EXPLANATIONS[MissingConfigError] = lambda _: (
    "no ClearML server is configured: run `python -m local_stack up` and the export line that it prints, or "
    "`clearml-init` for a server of your own"
)
EXPLANATIONS[LoginError] = lambda error: (
    "the ClearML server refused the credentials: run the export line of `python -m local_stack up` again, or "
    f"`clearml-init` with new ones ({error})"
)


def connect() -> None:
    """Bring the settings into effect, and see that the ClearML server answers; to be called before Task.init.

    InputError if it does not: the client itself would try again, silently, for ever.
    """
    if Task.is_offline():
        raise InputError(
            "ClearML's offline mode is on, and datasets, models and pipelines need a server: "
            "unset CLEARML_OFFLINE_MODE"
        )
    if not (
        ENV_ACCESS_KEY.get() or ENV_AUTH_TOKEN.get() or config_obj.get("api.credentials.access_key", None)
    ):
        raise MissingConfigError()  # or the SDK's default server, elsewhere, would be asked
    use_sdk_settings()
    for name, beginning in NOISE:
        logging.getLogger(name).addFilter(
            lambda record, noise=beginning: not record.getMessage().startswith(noise)
        )
    exempt_loopback_from_proxies()
    check_server(Session.get_api_server_host().rstrip("/"))


def use_sdk_settings() -> None:
    """Set what the user's own clearml.conf does not set, and the environment variables that it sets."""
    file = get_active_config_file()
    text = Path(os.path.expandvars(file)).expanduser().read_text(errors="replace") if file else ""
    development = config_obj.get("sdk.development")
    for name, value in DEVELOPMENT_SETTINGS.items():
        if name not in text:
            development.put(name, value)
    if ENV_ENABLE_ENV_CONFIG_SECTION.get(default=config_obj.get("sdk.apply_environment", False)):
        # The SDK would do so for each connection, and print a line about it.
        variables = config_obj.get("environment", None) or {}
        os.environ.update({name: str(value or "") for name, value in dict(variables).items()})
        config_obj.get("sdk").put("apply_environment", False)


def check_server(url: str) -> None:
    """InputError if no ClearML server answers at this address, with the reason as far as it is known."""
    here = urlsplit(url).hostname in LOOPBACK_HOSTS
    verify = config_obj.get("api.verify_certificate", True)
    for _ in range(1 if here else ATTEMPTS):
        try:
            answer = requests.get(f"{url}/debug.ping", timeout=ATTEMPT_SECONDS, verify=verify)
            break
        except requests.RequestException as error:
            failure = error
    else:
        raise InputError(
            f"no ClearML server answers at {url}: "
            + (
                "`python -m local_stack up` starts the local one"
                if here
                else f"{way_to(url)}{connection_error_text(failure)}; see api_server in clearml.conf"
            )
        ) from failure
    try:
        is_clearml = "meta" in answer.json()
    except ValueError:
        is_clearml = False
    if not is_clearml:
        raise InputError(
            f"what answers at {url} is no ClearML server's API: give api_server in clearml.conf its address, "
            "which is not that of the web pages"
        )


def way_to(url: str) -> str:
    """Say through which proxy of the environment a request goes, if it goes through one."""
    parts = urlsplit(url)
    proxies = {} if proxy_bypass(parts.hostname) else getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    return f"through the proxy {urlsplit(proxy).hostname or proxy}, " if proxy else ""
