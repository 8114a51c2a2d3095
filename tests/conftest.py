"""What the tests share: a ClearML to run against, and checkouts of this code that run there.

`pytest --clearml-config PATH` runs the end-to-end tests against the ClearML server of that clearml.conf
instead. The tests of the local server itself always run on a local one.
"""

import os
import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import pytest

from local_stack.loopback import without_proxies
from local_stack.waiting import be_interruptible
from tests.support.checkouts import Checkout

if TYPE_CHECKING:  # it needs a POSIX system, and the unit tests do not
    from local_stack.stack import Stack


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--clearml-config",
        type=Path,
        help="clearml.conf of the server to run the end-to-end tests against (default: a local stack)",
    )


def pytest_configure() -> None:
    """Let what the tests start be interrupted, and reach this machine without a proxy."""
    if sys.platform != "win32":
        be_interruptible()
    os.environ.update(without_proxies())


@pytest.fixture(scope="session")
def stack(clearml_stack: "Stack") -> "Stack":
    """The running local stack, shared by all tests that leave it as usable as they found it."""
    return clearml_stack


# The files that take longest. Begun first, none of them is left to one process in the end.
LONGEST = ["test_names", "test_pipeline", "test_serving", "test_evaluate", "test_scripts"]
LONGEST += ["test_requeue_steps", "test_server_sdk", "test_container", "test_connection", "test_install"]
LONGEST += ["test_pages", "test_alerts", "test_real_agents", "test_retraining", "test_second_example"]
LONGEST += ["test_data"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    ranks = {name: rank for rank, name in enumerate(LONGEST)}
    items.sort(key=lambda item: ranks.get(item.path.stem, len(ranks)))


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


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory, clearml_environment: dict[str, str]) -> Checkout:
    """Code with uncommitted edits and without a remote, in a ClearML project that nothing has run in."""
    return Checkout(tmp_path_factory.mktemp("checkout") / "asteroids", clearml_environment)
