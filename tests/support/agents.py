"""Agents of a test's own, besides those of its stack."""

from collections.abc import Mapping, Sequence

from local_stack.agents import agent_part
from local_stack.processes import Processes


def start_agent(
    processes: Processes, name: str, queues: Sequence[str], environment: Mapping[str, str]
) -> None:
    """Start an agent on queues, and return when it is ready."""
    part = agent_part(processes, name, queues, environment)
    processes.start(name, part.command, env=part.environment, ready=part.ready)
