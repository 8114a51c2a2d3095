"""What the tests of the local stack share."""

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from local_stack.loopback import without_proxies
from local_stack.server.app import create_app
from local_stack.server.auth import Credentials
from local_stack.server.files.state import FileStore
from local_stack.server.store import Store
from local_stack.stack import Stack
from local_stack.tests.api import Api, InProcess
from local_stack.tests.browser import MILLISECONDS, Window
from local_stack.tests.programs import find_chromium, skip_outside_ci
from local_stack.waiting import be_interruptible


def pytest_configure() -> None:
    """Let what the tests start be interrupted, and reach this machine without a proxy."""
    be_interruptible()
    os.environ.update(without_proxies())


@pytest.fixture
def store() -> Iterator[Store]:
    """An empty store in memory."""
    with closing(Store(":memory:")) as store:
        yield store


@pytest.fixture(scope="module")
def server_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which the server of `api` keeps its files."""
    return tmp_path_factory.mktemp("server")


@pytest.fixture(scope="module")
def api(server_home: Path) -> Iterator[Api]:
    """The API of a server in this process, which the tests of a module share."""
    credentials = Credentials.load_or_make(server_home / "credentials.json")
    with closing(Store(":memory:")) as store:
        application = create_app(store, credentials, FileStore(server_home / "files"))
        with InProcess(application) as transport, Api("http://127.0.0.1:8008", credentials, transport) as api:
            yield api


@pytest.fixture
def task(api: Api) -> str:
    """A new task, for what a test reports."""
    return api.new("task", name="reporter")


@pytest.fixture
def other(api: Api) -> str:
    """Another one, which must not notice."""
    return api.new("task", name="another reporter")


@pytest.fixture(scope="session")
def stack(clearml_stack: Stack) -> Stack:
    """The running local stack, shared by all tests that leave it as usable as they found it."""
    return clearml_stack


@pytest.fixture(scope="session")
def stack_api(stack: Stack) -> Iterator[Api]:
    """The API of the shared local stack: a server process."""
    with Api.of(stack) as api:
        yield api


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A real Chromium."""
    chromium = find_chromium()
    if chromium is None:
        skip_outside_ci("no Chromium is installed (on Debian: apt install chromium)")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium, timeout=MILLISECONDS)
        yield started
        started.close()


@pytest.fixture
def window(browser: Browser, stack: Stack) -> Iterator[Window]:
    """A window that came in by the stack's link. Whatever goes wrong in it fails the test."""
    opened = Window(browser, stack)
    yield opened
    opened.context.close()
    assert opened.problems == []


@pytest.fixture
def plain(browser: Browser, stack: Stack) -> Iterator[Window]:
    """A window that runs no scripts."""
    opened = Window(browser, stack, java_script_enabled=False)
    yield opened
    opened.context.close()
    assert opened.problems == []
