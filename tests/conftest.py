"""What the tests share: one local ClearML for the whole run, and clients of it.

`pytest --clearml-config PATH` runs the end-to-end tests against the ClearML server of that clearml.conf
instead. The tests of the local server itself always run on a local one.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

from local_stack.server.auth import Credentials
from local_stack.stack import Stack

REPOSITORY = Path(__file__).resolve().parent.parent


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--clearml-config",
        type=Path,
        help="clearml.conf of the server to run the end-to-end tests against (default: a local stack)",
    )


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A running local stack, shared by all tests that leave it as usable as they found it."""
    with Stack(tmp_path_factory.mktemp("stack"), port=0) as running:
        yield running


@dataclass
class Api:
    """Calls of a ClearML server's API as plain HTTP, for tests of the API itself."""

    url: str
    credentials: Credentials
    token: str = ""

    def login(self) -> "Api":
        keys = (self.credentials.access_key, self.credentials.secret_key)
        self.token = requests.get(f"{self.url}/auth.login", auth=keys, timeout=10).json()["data"]["token"]
        return self

    def send(self, name: str, version: str = "v2.23", **parameters) -> requests.Response:
        return requests.get(f"{self.url}/{version}/{name}", json=parameters, headers=self.headers, timeout=30)

    def __call__(self, name: str, version: str = "v2.23", **parameters) -> dict:
        """The data of a call that succeeds."""
        response = self.send(name, version, **parameters)
        assert response.status_code == 200, response.text
        return response.json()["data"]

    def events(self, *events: dict) -> dict:
        """Report events in one batch: JSON lines, as the SDK sends them."""
        body = "\n".join(json.dumps(event) for event in events)
        response = requests.post(f"{self.url}/events.add_batch", body, headers=self.headers, timeout=30)
        assert response.status_code == 200, response.text
        return response.json()["data"]

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}


@pytest.fixture(scope="session")
def api(stack: Stack) -> Api:
    """The API of the shared local stack."""
    return api_of(stack)


def api_of(stack: Stack) -> Api:
    return Api(stack.url, Credentials.load_or_make(stack.home / "server" / "credentials.json")).login()


@pytest.fixture(scope="session")
def clearml_environment(request: pytest.FixtureRequest) -> dict[str, str]:
    """The environment in which a ClearML client reaches the server under test."""
    config = request.config.getoption("--clearml-config")
    if config is None:
        return request.getfixturevalue("stack").environment()
    return {**os.environ, "CLEARML_CONFIG_FILE": str(config.resolve())}


@pytest.fixture(scope="session")
def run_python(clearml_environment: dict[str, str]) -> Callable[..., subprocess.CompletedProcess]:
    """Run Python on a script of this repository or, with `-c`, on code, as a user would."""

    def run(*arguments: str | Path, check: bool = True, **options) -> subprocess.CompletedProcess:
        settings = {"cwd": REPOSITORY, "env": clearml_environment, "timeout": 120, **options}
        command = [sys.executable, *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, **settings)
        assert not check or done.returncode == 0, f"{command} failed:\n{done.stdout}\n{done.stderr}"
        return done

    return run
