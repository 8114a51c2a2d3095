"""Fixtures for pytest: a running local stack, for tests of whatever uses ClearML."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:  # pytest imports this in every run, and the stack takes time, and a POSIX system
    from .stack import Stack


@pytest.fixture(scope="session")
def clearml_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator["Stack"]:
    """Run a local stack for all tests: a ClearML server, no agents."""
    from .stack import Stack

    with Stack(tmp_path_factory.mktemp("clearml"), port=0) as stack:
        yield stack


@pytest.fixture(scope="session")
def clearml_stack_with_agents(
    tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config
) -> Iterator["Stack"]:
    """Run another local stack for all tests, with agents on the queues that pyproject.toml names."""
    from .settings import Settings
    from .stack import Stack

    settings = Settings.load(pytestconfig.rootpath)
    with Stack(
        tmp_path_factory.mktemp("clearml"),
        port=0,
        agents=settings.agents or 1,
        agent_queues=settings.agent_queues,
        controller_queue=settings.controller_queue,
        project=settings.project,
    ) as stack:
        yield stack


@pytest.fixture(scope="session")
def clearml_environment(clearml_stack: "Stack") -> dict[str, str]:
    """Return the environment in which a child process finds the stack."""
    return clearml_stack.environment()
