"""A server for every test, as empty as a new one, so that tests may count what it lists."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from local_stack.server.app import create_app
from local_stack.server.auth import Credentials
from local_stack.server.files.state import FileStore
from local_stack.server.store import Store
from local_stack.tests.api import Api, InProcess


@pytest.fixture(scope="session")
def credentials(tmp_path_factory: pytest.TempPathFactory) -> Credentials:
    return Credentials.load_or_make(tmp_path_factory.mktemp("server") / "credentials.json")


@pytest.fixture
def api(store: Store, credentials: Credentials, tmp_path: Path) -> Iterator[Api]:
    """The API of a new server in this process."""
    application = create_app(store, credentials, FileStore(tmp_path))
    with InProcess(application) as transport, Api("http://127.0.0.1:8008", credentials, transport) as api:
        yield api
