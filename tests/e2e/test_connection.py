"""connection.py: the settings of the SDK, and servers that do not answer or are none of ClearML's."""

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import clearml
import pytest

from local_stack import waiting
from local_stack.stack import Stack
from local_stack.waiting import wait_until
from tests.support.checkouts import REPOSITORY

pytestmark = pytest.mark.e2e

# Prints the settings that are in effect once a script is connected.
SETTINGS = """
import json
from clearml_tools.connection import connect
connect()
from clearml.config import config
names = ["report_use_subprocess", "vcs_repo_detect_async"]
print(json.dumps([config.get("development." + name) for name in names]))
"""


SDK_DEFAULTS = Path(clearml.__file__).with_name("config") / "default" / "sdk.conf"


@pytest.fixture
def web_server() -> Iterator[str]:
    """The address of a server that answers everything with a web page."""

    class Pages(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"<html>A web page</html>")

        def log_message(self, *_: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Pages) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def configuration(url: str, more: str = "") -> str:
    """A clearml.conf of servers and credentials, and what is added to it."""
    hosts = f'api_server: "{url}", web_server: "{url}", files_server: "{url}/files"'
    return f'api {{ {hosts}, credentials {{ access_key: "key", secret_key: "secret" }} }}\n{more}'


@pytest.fixture
def run(tmp_path):
    """A function that runs code with a clearml.conf and a script's error messages."""

    def run_code(code: str, configuration: str, **environment: str) -> subprocess.CompletedProcess:
        (tmp_path / "clearml.conf").write_text(configuration)
        kept = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}
        settings = {**kept, "CLEARML_CONFIG_FILE": str(tmp_path / "clearml.conf"), **environment}
        code = f"from clearml_tools import errors; errors.report_errors_in_one_line()\n{code}"
        return waiting.run([sys.executable, "-c", code], cwd=REPOSITORY, env=settings)

    return run_code


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ("", [False, False]),
        ("sdk.development { report_use_subprocess: true, vcs_repo_detect_async: true }", [True, True]),
        ("sdk.development.vcs_repo_detect_async: true", [False, True]),
        ("# sdk.development.report_use_subprocess: true", [False, False]),
        (f"sdk {SDK_DEFAULTS.read_text()}", [False, False]),  # as `clearml-init` writes it
    ],
)
def test_a_clearml_conf_of_servers_and_credentials_is_enough_and_what_it_sets_wins(
    run, stack, more, expected
):
    done = run(SETTINGS, configuration(stack.url, more))
    assert json.loads(done.stdout) == expected, done.stderr


def test_variables_of_clearml_conf_are_set_without_a_word(run, stack):
    more = 'sdk.apply_environment: true\nenvironment { OF_THE_FILE: "set" }'
    code = (
        "import os\nfrom clearml_tools.connection import connect\nconnect()\nprint(os.environ['OF_THE_FILE'])"
    )
    done = run(f"{code}\nfrom clearml.backend_api import Session\nSession", configuration(stack.url, more))
    assert done.stdout == "set\n"


CONNECT = "from clearml_tools.connection import connect; connect()"


def error_of(done: subprocess.CompletedProcess) -> str:
    """The one line that a script ends with."""
    assert done.returncode == 1
    assert done.stderr.startswith("-c: error: ") and done.stderr.count("\n") == 1
    return done.stderr.removeprefix("-c: error: ").rstrip()


def test_a_local_server_that_does_not_run_is_named_with_the_remedy(run):
    error = error_of(run(CONNECT, configuration("http://127.0.0.1:1")))
    assert "http://127.0.0.1:1:" in error and "`python -m local_stack up`" in error


def test_a_server_elsewhere_that_does_not_answer_is_named_with_the_proxy_on_the_way(run):
    server = configuration("http://clearml.invalid:8008")
    error = error_of(run(CONNECT, server, http_proxy="http://me:secret@127.0.0.1:1"))
    for part in ("http://clearml.invalid:8008:", "proxy 127.0.0.1, Connection refused", "api_server in"):
        assert part in error
    assert "secret" not in error


def test_a_server_on_this_machine_is_never_asked_through_a_proxy(run, stack):
    proxies = dict.fromkeys(("http_proxy", "HTTP_PROXY", "all_proxy", "https_proxy"), "http://127.0.0.1:1")
    done = run(SETTINGS, configuration(stack.url), **proxies)
    assert done.returncode == 0, done.stderr


def test_what_is_no_clearml_server_is_named(run, web_server):
    error = error_of(run(CONNECT, configuration(web_server)))
    assert f"{web_server} is not a ClearML server" in error and "api_server in clearml.conf" in error


def test_offline_mode_is_refused(run, stack):
    done = run(CONNECT, configuration(stack.url), CLEARML_OFFLINE_MODE="1")
    assert "unset CLEARML_OFFLINE_MODE" in error_of(done)


def test_a_file_server_that_does_not_answer_is_named_before_there_is_a_task(run, stack):
    conf = configuration(stack.url).replace(f"{stack.url}/files", "http://127.0.0.1:1")
    error = error_of(run(CONNECT, conf))
    assert "http://127.0.0.1:1: Connection refused" in error and "files_server in clearml.conf" in error


def test_what_is_no_address_is_named(run):
    error = error_of(run(CONNECT, configuration("http://host:99999")))
    assert "'http://host:99999'" in error and "api_server in clearml.conf" in error


def test_a_clearml_conf_that_breaks_off_is_named_with_the_line(run):
    error = error_of(run(CONNECT, configuration("http://127.0.0.1:1", "sdk {\n{{")))
    assert "clearml.conf cannot be read" in error and "line 3" in error


def test_a_clearml_conf_that_is_not_there_is_named(run, tmp_path):
    environment = {"CLEARML_CONFIG_FILE": str(tmp_path / "none.conf"), "HOME": str(tmp_path)}
    error = error_of(run(CONNECT, "", **environment))
    assert f"CLEARML_CONFIG_FILE names '{tmp_path}/none.conf'" in error


def test_a_script_ends_when_its_server_is_gone(run, tmp_path):
    code = (
        "import pathlib, time\nfrom clearml_tools import connection\n"
        "connection.WATCH_SECONDS, connection.NOTICE_SECONDS, connection.PATIENCE_SECONDS = 0.2, 1, 3\n"
        "connection.connect(); connection.is_script = lambda: True; connection.watch_server()\n"
        f"pathlib.Path({str(tmp_path / 'connected')!r}).touch()\n"
        "time.sleep(100)\n"
    )
    with Stack(tmp_path / "stack", port=0) as stack:
        settings = stack.environment()
        streams = {"stderr": subprocess.PIPE, "text": True}
        script = subprocess.Popen([sys.executable, "-c", code], cwd=REPOSITORY, env=settings, **streams)
        wait_until((tmp_path / "connected").exists, "the connection")
    _, told = script.communicate(timeout=60)
    assert script.returncode == 1
    notice, error = told.splitlines()
    assert re.search(r"has not answered for \d s; giving up after 3 s$", notice)
    assert re.fullmatch(rf"-c: error: the server at {stack.url} has not answered for \d s", error)
