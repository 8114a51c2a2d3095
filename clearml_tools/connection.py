"""The connection to a ClearML server, with the settings of the SDK that the scripts need wherever they run.

A clearml.conf as `clearml-init` writes it holds servers, credentials and the SDK's own defaults. With those a
script takes up to 25 times as long, and fails now and then: `python -m tests.benchmark_scripts` measures it.
"""

import logging
import os
import re
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from clearml_tools.errors import EXPLANATIONS, UserError, note_full_disks

import requests
from clearml import Task

from clearml_tools import network
from clearml_tools import sdk_internals as sdk
from clearml_tools.interrupts import is_script, print_line, raise_interrupts

DEVELOPMENT_SETTINGS = {
    # Report from a thread. The SDK's reporting process is a fork. It holds the pipes of its parent's
    # children, reads answers that were meant for its parent, and is left behind by a Ctrl-C.
    "report_use_subprocess": False,
    # Look at git before the script goes on, so that no task is stored without its code.
    "vcs_repo_detect_async": False,
}

ATTEMPTS, ATTEMPT_SECONDS, PAUSE_SECONDS = 3, 10, 3  # a server elsewhere may be busy for a moment

# When a server stops answering, the client tries again for hours. That is right for one elsewhere, which may
# be starting again. One on this machine has been stopped.
WATCH_SECONDS, NOTICE_SECONDS, PATIENCE_SECONDS = 10, 30, 600

EXPLANATIONS[sdk.MissingConfigError] = lambda _: (
    "no ClearML server is configured: run `python -m local_stack up` and the export line that it prints, or "
    "`clearml-init` for a server of your own"
)
EXPLANATIONS[sdk.LoginError] = lambda error: (
    "the ClearML server refused the credentials: run the export line of `python -m local_stack up` again, or "
    f"`clearml-init` with new ones ({error})"
    if "error 401 " in str(error)
    else f"the ClearML server does not let this script log in: {error}"
)
EXPLANATIONS[sdk.SendError] = lambda error: (
    f"the ClearML server refused a request: {str(error).partition('> (')[0]}"
)
EXPLANATIONS[sdk.APIError] = lambda error: f"the ClearML server refused a request: {error}"
EXPLANATIONS[requests.RequestException] = lambda error: (
    f"the connection to the ClearML server failed: {network.connection_error_text(error)}"
)


def connect() -> None:
    """Bring the settings into effect, and see that the ClearML servers answer; to be called before Task.init.

    UserError if they do not: the client itself would try again, silently, for hours.
    """
    if Task.is_offline():
        raise UserError(
            "ClearML's offline mode is on, and datasets, models and pipelines need a server: "
            "unset CLEARML_OFFLINE_MODE"
        )
    if not (sdk.ENV_ACCESS_KEY.get() or sdk.ENV_AUTH_TOKEN.get() or read_configuration()):
        file = sdk.LOCAL_CONFIG_FILE_OVERRIDE_VAR.get()
        if file and not Path(sdk.get_config_file()).is_file():
            raise UserError(f"CLEARML_CONFIG_FILE names '{file}', and there is no such file")
        raise sdk.MissingConfigError()  # or the SDK's default server, elsewhere, would be asked
    use_sdk_settings()
    for name in {name for name, _ in sdk.NOISE}:
        logging.getLogger(name).addFilter(is_no_noise)
    note_full_disks()
    network.exempt_loopback_from_proxies()
    api_server, files_server = sdk.Session.get_api_server_host(), sdk.Session.get_files_server_host()
    if Task.running_locally():  # an agent has just talked to them
        check_api_server(api_server, require_answer("api_server", api_server, "/debug.ping"))
        elsewhere = sdk.DEV_DEFAULT_OUTPUT_URI.get() or sdk.config_obj.get(
            "sdk.development.default_output_uri", None
        )
        # Others than these are storages with clients of their own.
        if not elsewhere and urlsplit(files_server).scheme in ("http", "https"):
            require_answer("files_server", files_server)
    raise_interrupts()  # not before: pyparsing, which reads clearml.conf, swallows exceptions


def is_no_noise(record: logging.LogRecord) -> bool:
    """Return whether a log message is none of NOISE."""
    return not any(
        record.name == name and record.getMessage().startswith(beginning) for name, beginning in sdk.NOISE
    )


def read_configuration() -> str | None:
    """Return the access key that clearml.conf holds; UserError if the file cannot be read."""
    try:
        return sdk.config_obj.get("api.credentials.access_key", None)
    except Exception as error:
        line = getattr(error.__cause__, "lineno", None)
        reason = f"it breaks off in line {line}" if line else getattr(error, "strerror", None) or error
        raise UserError(f"{sdk.get_config_file()} cannot be read ({reason})") from error


def use_sdk_settings() -> None:
    """Set what the user's own clearml.conf does not set, and the environment variables that it sets.

    `clearml-init` writes all of the SDK's defaults into that file, line by line. Those are nobody's choice.
    """
    file = Path(sdk.get_config_file())
    written = file.read_text(errors="replace").splitlines() if file.is_file() else []
    text = "\n".join(set(written).difference(sdk.SDK_DEFAULTS.read_text().splitlines()))
    development = sdk.config_obj.get("sdk.development")
    for name, value in DEVELOPMENT_SETTINGS.items():
        if not re.search(rf"^(?:(?!#|//).)*\b{name}\b", text, re.MULTILINE):  # comments do not count
            development.put(name, value)
    if sdk.ENV_ENABLE_ENV_CONFIG_SECTION.get(default=sdk.config_obj.get("sdk.apply_environment", False)):
        # The SDK would do so for each connection, and print a line about it.
        variables = sdk.config_obj.get("environment", None) or {}
        os.environ.update({name: str(value or "") for name, value in dict(variables).items()})
        sdk.config_obj.get("sdk").put("apply_environment", False)


def require_answer(setting: str, server: str, path: str = "") -> requests.Response:
    """Return what the server that `setting` of clearml.conf names answers; UserError if it does not."""
    address, place = network.without_password(server), f"see {setting} in clearml.conf"
    if not network.is_http_address(server):
        raise UserError(f"'{address}' is not an address such as http://127.0.0.1:8008: {place}")
    is_local = is_on_this_machine(server)
    what = "ClearML server" if setting == "api_server" else "ClearML file server"
    for attempt in range(1 if is_local else ATTEMPTS):
        if attempt:
            time.sleep(PAUSE_SECONDS)
        try:
            answer, failure = get(server.rstrip("/") + path), None
            if not has_failed(answer):
                return answer
        except OSError as error:  # those of requests are such
            failure = error
    if not failure:
        status = f"{answer.status_code} {answer.reason}"
        raise UserError(f"the {what} at {address} cannot be used now: {proxy_text(server)}{status}; {place}")
    if is_local and setting == "api_server":
        raise UserError(
            f"no {what} answers at {address}: `python -m local_stack up` starts the local one"
        ) from failure
    if isinstance(failure, requests.exceptions.SSLError):
        place = "see api.verify_certificate in clearml.conf, or name its certificate in REQUESTS_CA_BUNDLE"
    why = proxy_text(server) + network.connection_error_text(failure)
    raise UserError(f"no {what} answers at {address}: {why}; {place}") from failure


def get(url: str) -> requests.Response:
    """Ask as the SDK does, with its settings for certificates, but once."""
    return sdk.get_http_session_with_retry(config=sdk.config_obj).get(url, timeout=ATTEMPT_SECONDS)


def has_failed(answer: requests.Response) -> bool:
    """Return whether a server, or a proxy on the way to it, says that it cannot answer."""
    return answer.status_code >= 500 or answer.status_code == requests.codes.proxy_authentication_required


def check_api_server(url: str, answer: requests.Response) -> None:
    """UserError if it is not ClearML's API that gave this answer; a refusal is left to the SDK."""
    if not answer.ok:
        return
    try:
        is_clearml = isinstance(answer.json()["meta"], dict)
    except (ValueError, LookupError, TypeError):
        is_clearml = False
    if not is_clearml:
        raise UserError(
            f"what answers at {network.without_password(url)} is not a ClearML server's API: give api_server "
            "in clearml.conf its address, which is not that of the web pages"
        )


def is_on_this_machine(server: str) -> bool:
    """Return whether a server's address is one of this machine."""
    return urlsplit(server).hostname in network.LOOPBACK_HOSTS


def watch_server() -> None:
    """From now on, end the script when a server on this machine has not answered for PATIENCE_SECONDS."""
    server = sdk.Session.get_api_server_host()
    if is_script() and is_on_this_machine(server):
        threading.Thread(target=watch, args=[server], daemon=True).start()


def watch(server: str) -> None:
    """End the process when the server has not answered for PATIENCE_SECONDS.

    At once: whatever would be cleaned up or marked as failed is on the server.
    """
    heard, noticed = time.monotonic(), False
    while True:
        time.sleep(WATCH_SECONDS)
        if answers(f"{server.rstrip('/')}/debug.ping"):
            heard, noticed = time.monotonic(), False
            continue
        seconds = time.monotonic() - heard
        place = f"the server at {network.without_password(server)} has not answered for {seconds:.0f} s"
        if seconds >= PATIENCE_SECONDS:
            print_line(f"error: {place}")
            os._exit(1)
        if seconds >= NOTICE_SECONDS and not noticed:
            noticed = True
            print_line(f"{place}; giving up after {PATIENCE_SECONDS} s")


def answers(url: str) -> bool:
    """Return whether a server answers; a refusal is an answer, too."""
    try:
        return not has_failed(get(url))
    except OSError:
        return False


def proxy_text(url: str) -> str:
    """Say through which proxy of the environment a request goes, if it goes through one."""
    parts = urlsplit(url)
    proxies = {} if proxy_bypass(parts.hostname or "") else getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    return f"through the proxy {urlsplit(proxy).hostname or 'of the environment'}, " if proxy else ""
