"""Fixtures for pytest: a running local stack, for tests of whatever uses ClearML."""

import os
import signal
from collections.abc import Iterator

import pytest

from local_stack.loopback import without_proxies
from local_stack.stack import Stack


def pytest_configure() -> None:
    """Let what the tests start be interrupted, and reach this machine without a proxy."""
    # Run in the background or under nohup, this process ignores signals, and all that it starts would, too.
    for name in (signal.SIGINT, signal.SIGHUP):
        if signal.getsignal(name) == signal.SIG_IGN:
            signal.signal(name, signal.default_int_handler if name == signal.SIGINT else signal.SIG_DFL)
    os.environ.update(without_proxies())


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A running local stack, shared by all tests that leave it as usable as they found it."""
    with Stack(tmp_path_factory.mktemp("stack"), port=0) as running:
        yield running
