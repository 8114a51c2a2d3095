"""Say it when tasks wait in a queue where nothing may ever happen to them."""

import shlex
import time

from .settings import Settings
from .stack import Stack

POLL_SECONDS = 5
LOOKS = 2  # that find a queue so: an agent may be on its way
LOOKS_AT_BUSY_AGENTS = 12


class UnheardQueues:
    """To be polled now and then, it prints one line for each queue with tasks and no agent, once.

    And for the queue of controllers where all its agents are busy for long: schedulers never end.
    """

    def __init__(self, stack: Stack, settings: Settings) -> None:
        self._stack, self._settings = stack, settings
        self._looks: dict[str, int] = {}  # in a row that found the queue so
        self._told: set[str] = set()
        self._next_look = 0.0

    def poll(self) -> None:
        if time.monotonic() < self._next_look:
            return
        self._next_look = time.monotonic() + POLL_SECONDS
        try:
            waiting = self._unheard()
        except OSError:  # the server has just died, which is reported elsewhere
            return
        self._looks = {name: self._looks.get(name, 0) + 1 for name in waiting}
        for name, (count, busy) in sorted(waiting.items()):
            looks = LOOKS_AT_BUSY_AGENTS if busy else LOOKS
            if self._looks[name] >= looks and name not in self._told:
                self._told.add(name)
                print(self._line(name, count, busy), flush=True)

    def _unheard(self) -> dict[str, tuple[int, int]]:
        """Return how many tasks wait in each such queue, and how many agents are busy there."""
        queues = self._stack.call("queues.get_all", only_fields=["id", "name", "entries"])["queues"]
        waiting = [queue for queue in queues if queue.get("entries")]
        if not waiting:
            return {}
        workers = self._stack.call("workers.get_all")["workers"]
        found = {}
        for queue in waiting:
            there = [w for w in workers if any(heard["id"] == queue["id"] for heard in w.get("queues") or [])]
            is_controllers = queue["name"] == self._settings.controller_queue
            if not there or (is_controllers and all(worker.get("task") for worker in there)):
                found[queue["name"]] = (len(queue["entries"]), len(there))
        return found

    def _line(self, name: str, count: int, busy: int) -> str:
        tasks = "1 task waits" if count == 1 else f"{count} tasks wait"
        if busy:
            return (
                f"{tasks} in the queue {name!r}, and all its agents are busy, perhaps for good: start `up` "
                f"again with --controller-agents {busy + 1}."
            )
        remedy = "--agents 1"
        if name not in (*self._settings.agent_queues, self._settings.controller_queue):
            remedy += " --agent-queues " + shlex.join([*self._settings.agent_queues, name])
        return (
            f"{tasks} in the queue {name!r}, and no agent listens to it: start `up` again with {remedy}, or "
            f"run `clearml-agent daemon --foreground --queue {shlex.quote(name)}` in another terminal."
        )
