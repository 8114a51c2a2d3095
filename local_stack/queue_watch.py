"""Say it when tasks wait in a queue that no agent listens to: nothing would ever happen to them."""

import shlex
import time

from .settings import Settings
from .stack import Stack

POLL_SECONDS = 5


class UnheardQueues:
    """To be polled now and then, it prints one line for each such queue, once."""

    def __init__(self, stack: Stack, settings: Settings) -> None:
        self._stack, self._settings = stack, settings
        self._suspects: set[str] = set()  # at the last look: an agent may have been on its way
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
        for name in sorted(waiting.keys() & self._suspects - self._told):
            self._told.add(name)
            print(self._line(name, waiting[name]), flush=True)
        self._suspects = set(waiting)

    def _unheard(self) -> dict[str, int]:
        """Return how many tasks wait in each queue that nobody listens to."""
        queues = self._stack.call("queues.get_all", only_fields=["id", "name", "entries"])["queues"]
        waiting = [queue for queue in queues if queue.get("entries")]
        if not waiting:
            return {}
        workers = self._stack.call("workers.get_all")["workers"]
        heard = {queue["id"] for worker in workers for queue in worker.get("queues") or []}
        return {queue["name"]: len(queue["entries"]) for queue in waiting if queue["id"] not in heard}

    def _line(self, name: str, count: int) -> str:
        tasks = "1 task waits" if count == 1 else f"{count} tasks wait"
        remedy = "--agents 1"
        if name not in (*self._settings.agent_queues, self._settings.controller_queue):
            remedy += " --agent-queues " + shlex.join([*self._settings.agent_queues, name])
        return (
            f"{tasks} in the queue {name!r}, and no agent listens to it: start `up` again with {remedy}, or "
            f"run `clearml-agent daemon --foreground --queue {shlex.quote(name)}` in another terminal."
        )
