"""What the tests of the local stack share."""

import os

import pytest

from local_stack.loopback import without_proxies
from local_stack.stack import Stack
from local_stack.tests.api import Api, api_of
from local_stack.waiting import be_interruptible


def pytest_configure() -> None:
    """Let what the tests start be interrupted, and reach this machine without a proxy."""
    be_interruptible()
    os.environ.update(without_proxies())


@pytest.fixture(scope="session")
def stack(clearml_stack: Stack) -> Stack:
    """The running local stack, shared by all tests that leave it as usable as they found it."""
    return clearml_stack


@pytest.fixture(scope="session")
def api(stack: Stack) -> Api:
    """The API of the shared local stack."""
    return api_of(stack)
