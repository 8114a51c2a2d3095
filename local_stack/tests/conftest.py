"""What the tests of the local stack share."""

import pytest

from local_stack.stack import Stack
from local_stack.tests.api import Api, api_of


@pytest.fixture(scope="session")
def api(stack: Stack) -> Api:
    """The API of the shared local stack."""
    return api_of(stack)
