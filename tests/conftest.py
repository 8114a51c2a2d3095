"""What the tests share: one local ClearML for the whole run, and clients of it.

`pytest --clearml-config PATH` runs the end-to-end tests against the ClearML server of that clearml.conf
instead. The tests of the local server itself always run on a local one.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pytest
import requests
import sdk_schemas
from waiting import SECONDS, run

import global_config
from local_stack.checkout import git_environment
from local_stack.loopback import without_proxies
from local_stack.server.auth import Credentials
from local_stack.stack import Stack

REPOSITORY = Path(__file__).resolve().parent.parent


# Run in the background or under nohup, this process ignores signals, and all that it starts would, too.
for _name in (signal.SIGINT, signal.SIGHUP):
    if signal.getsignal(_name) == signal.SIG_IGN:
        signal.signal(_name, signal.default_int_handler if _name == signal.SIGINT else signal.SIG_DFL)

# Nor may a proxy be asked for what runs on this machine.
os.environ.update(without_proxies())


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--clearml-config",
        type=Path,
        help="clearml.conf of the server to run the end-to-end tests against (default: a local stack)",
    )


# The files that take longest. Begun first, none of them is left to one process in the end.
LONGEST = ["test_serving", "test_pipeline", "test_scripts", "test_pipeline_revival", "test_inference"]
LONGEST += ["test_pages", "test_container", "test_alerts", "test_dashboard", "test_command_line"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    ranks = {name: rank for rank, name in enumerate(LONGEST)}
    items.sort(key=lambda item: ranks.get(item.path.stem, len(ranks)))


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A running local stack, shared by all tests that leave it as usable as they found it."""
    with Stack(tmp_path_factory.mktemp("stack"), port=0) as running:
        yield running


@dataclass
class Api:
    """Calls of a ClearML server's API as plain HTTP, for tests of the API itself.

    Every answer is checked against the SDK's own schema.
    """

    url: str
    credentials: Credentials
    token: str = ""

    def login(self) -> "Api":
        keys = (self.credentials.access_key, self.credentials.secret_key)
        answer = requests.get(f"{self.url}/auth.login", auth=keys, timeout=SECONDS)
        self.token = answer.json()["data"]["token"]
        return self

    def send(self, name: str, /, version: str = "v2.23", **parameters) -> requests.Response:
        response = requests.get(
            f"{self.url}/{version}/{name}", json=parameters, headers=self.headers, timeout=SECONDS
        )
        if response.ok:
            assert sdk_schemas.problems("response", name, response.json()["data"]) == []
        return response

    def __call__(self, name: str, /, version: str = "v2.23", **parameters) -> dict:
        """The data of a call that succeeds."""
        response = self.send(name, version, **parameters)
        assert response.status_code == 200, response.text
        return response.json()["data"]

    def send_events(self, *events: dict) -> requests.Response:
        """Report events in one batch: JSON lines, as the SDK sends them."""
        body = "\n".join(json.dumps(event) for event in events)
        return requests.post(f"{self.url}/events.add_batch", body, headers=self.headers, timeout=SECONDS)

    def events(self, *events: dict) -> dict:
        """The data of a report of events that succeeds."""
        response = self.send_events(*events)
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
def sdk(clearml_environment: dict[str, str]) -> ModuleType:
    """The ClearML SDK in this process, to read results back with."""
    os.environ["CLEARML_CONFIG_FILE"] = clearml_environment["CLEARML_CONFIG_FILE"]
    import clearml
    from clearml.config import config, config_obj

    # What an earlier test of this process made it read, when there was no clearml.conf yet, it would keep.
    config_obj.set_config_impl(None)
    config.clear_config_impl()
    return clearml


class Checkout:
    """A copy of this code in a state that clones are in: all committed but one edit, and nothing pushed.

    The edit gives it a ClearML project of its own, so that runs in it meet no others on the same server.
    """

    def __init__(
        self,
        folder: Path,
        environment: dict[str, str],
        remote: str | None = None,
        committed: bool = False,
        names: dict[str, str] | None = None,
    ) -> None:
        """`names` are those of global_config.py to replace, besides the project's."""
        self.folder = folder
        names = {"PROJECT_NAME": f"Asteroid tests {uuid.uuid4().hex[:8]}", **(names or {})}
        self.project = names["PROJECT_NAME"]
        copy_repository(folder)
        self.git("init", "--quiet", "--initial-branch", "main")
        if committed:
            self.rename(names)
        self.git("add", "--all")
        identity = ["-c", "user.name=test", "-c", "user.email=test@example.com", "-c", "commit.gpgsign=false"]
        self.git(*identity, "commit", "--quiet", "--message", "All of it")
        if remote:
            self.git("remote", "add", "origin", remote)
        if not committed:
            self.rename(names)
        settings = folder.with_name(folder.name + "-settings")
        settings.mkdir()
        self.environment = {**environment, **(git_environment(folder, settings) or {})}

    def rename(self, names: dict[str, str]) -> None:
        """Give names of global_config.py other values."""
        config = self.folder / "global_config.py"
        text = config.read_text()
        for name, value in names.items():
            text = text.replace(f'{name} = "{getattr(global_config, name)}"', f"{name} = {value!r}", 1)
        config.write_text(text)

    def git(self, *arguments: str) -> None:
        done = run(["git", *arguments], cwd=self.folder)
        assert done.returncode == 0, f"git {' '.join(arguments)} failed:\n{done.stderr}"

    def run(
        self, *arguments: object, check: bool = True, environment: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess:
        """Run Python on a script of the checkout or, with `-c`, on code, as a user would."""
        command = [sys.executable, *map(str, arguments)]
        done = run(command, cwd=self.folder, env=environment or self.environment)
        assert not check or done.returncode == 0, f"{command} failed:\n{done.stdout}\n{done.stderr}"
        return done


def copy_repository(folder: Path) -> None:
    """Copy what git tracks, and what it would track, into a new folder."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout
    for name in filter(None, listed.split("\0")):
        if (REPOSITORY / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(REPOSITORY / name, folder / name)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory, clearml_environment: dict[str, str]) -> Checkout:
    """Code with uncommitted edits and without a remote, in a ClearML project that nothing has run in."""
    return Checkout(tmp_path_factory.mktemp("checkout") / "asteroids", clearml_environment)
