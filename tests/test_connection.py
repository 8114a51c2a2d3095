"""connection.py: the settings of the SDK, and servers that do not answer or are none of ClearML's."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from conftest import REPOSITORY

# Prints the settings that are in effect once a script is connected.
SETTINGS = """
import json
from connection import connect
connect()
from clearml.config import config
names = ["report_use_subprocess", "vcs_repo_detect_async"]
print(json.dumps([config.get("development." + name) for name in names]))
"""


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
        code = f"import errors; errors.report_errors_in_one_line()\n{code}"
        command = [sys.executable, "-c", code]
        return subprocess.run(
            command, cwd=REPOSITORY, env=settings, capture_output=True, text=True, timeout=200
        )

    return run_code


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ("", [False, False]),
        ("sdk.development { report_use_subprocess: true, vcs_repo_detect_async: true }", [True, True]),
        ("sdk.development.vcs_repo_detect_async: true", [False, True]),
    ],
)
def test_a_clearml_conf_of_servers_and_credentials_is_enough_and_what_it_sets_wins(
    run, stack, more, expected
):
    done = run(SETTINGS, configuration(stack.url, more))
    assert json.loads(done.stdout) == expected, done.stderr


def test_variables_of_clearml_conf_are_set_without_a_word(run, stack):
    more = 'sdk.apply_environment: true\nenvironment { OF_THE_FILE: "set" }'
    code = "import os\nfrom connection import connect\nconnect()\nprint(os.environ['OF_THE_FILE'])"
    done = run(f"{code}\nfrom clearml.backend_api import Session\nSession", configuration(stack.url, more))
    assert done.stdout == "set\n"


CONNECT = "from connection import connect; connect()"


def test_a_local_server_that_does_not_run_is_named_with_the_remedy(run):
    done = run(CONNECT, configuration("http://127.0.0.1:1"))
    assert done.returncode == 1
    assert done.stderr == (
        "-c: error: no ClearML server answers at http://127.0.0.1:1: "
        "`python -m local_stack up` starts the local one\n"
    )


def test_a_server_elsewhere_that_does_not_answer_is_named_with_the_proxy_on_the_way(run):
    done = run(CONNECT, configuration("http://clearml.invalid:8008"), http_proxy="http://127.0.0.1:1")
    assert done.returncode == 1
    assert done.stderr == (
        "-c: error: no ClearML server answers at http://clearml.invalid:8008: through the proxy 127.0.0.1, "
        "Connection refused; see api_server in clearml.conf\n"
    )


def test_a_server_on_this_machine_is_never_asked_through_a_proxy(run, stack):
    proxies = dict.fromkeys(("http_proxy", "HTTP_PROXY", "all_proxy", "https_proxy"), "http://127.0.0.1:1")
    done = run(SETTINGS, configuration(stack.url), **proxies)
    assert done.returncode == 0, done.stderr


def test_what_is_no_clearml_server_is_named(run, web_server):
    done = run(CONNECT, configuration(web_server))
    assert done.returncode == 1
    assert done.stderr == (
        f"-c: error: what answers at {web_server} is no ClearML server's API: give api_server in "
        "clearml.conf its address, which is not that of the web pages\n"
    )


def test_offline_mode_is_refused(run, stack):
    done = run(CONNECT, configuration(stack.url), CLEARML_OFFLINE_MODE="1")
    assert done.returncode == 1
    assert "error: ClearML's offline mode is on" in done.stderr
    assert done.stderr.count("\n") == 1
