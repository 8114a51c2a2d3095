"""Queues of ClearML, and the agents that take tasks from them."""

from collections.abc import Iterable

from clearml_tools.sdk_internals import APIClient
from clearml_tools.shell_commands import shell_quoted


def queues_without_agent(queues: Iterable[str]) -> list[str]:
    """Return those of the queues that no agent listens to; create the queues that do not exist yet."""
    names = list(dict.fromkeys(queues))
    client = APIClient()
    existing = {queue.name for queue in client.queues.get_all()}
    for name in names:
        if name not in existing:
            client.queues.create(name=name)
    served = {queue.name for worker in client.workers.get_all() for queue in worker.queues or []}
    return [name for name in names if name not in served]


def count_agents(queue: str) -> int:
    """Return how many agents listen to a queue."""
    return sum(queue in {each.name for each in w.queues or []} for w in APIClient().workers.get_all())


def queues_without_free_agent(queues: Iterable[str]) -> list[str]:
    """Return those of the queues whose agents are all at work."""
    workers = APIClient().workers.get_all()
    free = {queue.name for worker in workers if not worker.task for queue in worker.queues or []}
    return [name for name in dict.fromkeys(queues) if name not in free]


def print_agent_commands(queues: list[str]) -> None:
    """Print that these queues have no agent, and the commands that start one for each."""
    listed = " and ".join(f"'{name}'" for name in queues)
    commands = "; ".join(f"clearml-agent daemon --queue {shell_quoted(name)} --detached" for name in queues)
    print(f"No agent listens to {listed}. On any machine, run: {commands}")
