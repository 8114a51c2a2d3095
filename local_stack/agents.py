"""Real clearml-agents that execute queued tasks in the environment that the stack itself runs in."""

import contextlib
import re
import socket
import sys
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import psutil

from .processes import Processes, marked
from .supervision import Part

# The stack's environment has what tasks need: an agent does not make one of its own for every task.
SETTINGS = {
    "CLEARML_AGENT_SKIP_PIP_VENV_INSTALL": sys.executable,
    "CLEARML_AGENT_SKIP_PYTHON_ENV_INSTALL": "1",
    "CLEARML_AGENT_QUEUE_POLL_FREQ_SEC": "0.5",
}


def agent_part(
    processes: Processes, name: str, queues: Sequence[str], environment: Mapping[str, str]
) -> Part:
    """Return an agent on queues, which it makes if need be. It is ready when it has asked for a task."""
    log = processes.log(name)
    earlier = log.stat().st_size if log.exists() else 0  # what an agent of the same name wrote last time

    def has_asked() -> bool:
        printed = log.read_bytes()[earlier:]
        return b"No tasks in queue" in printed or b"pulled from" in printed

    # Told apart from the agents of other stacks on this machine, and from one of this name that died.
    worker = f"{socket.gethostname()}:{name}-{uuid.uuid4().hex[:8]}"
    command = [sys.executable, "-m", "clearml_agent", "daemon", "--foreground"]
    command += ["--queue", *queues, "--create-queue"]
    settings = {**environment, **SETTINGS, "CLEARML_WORKER_ID": worker}
    return Part(name, command, settings, has_asked, orphans=True)


def take_up_again(processes: Processes, name: str, queue: str, call: Callable[..., dict[str, Any]]) -> None:
    """Put what an agent of this name ran when it died into the queue again, for the next one.

    Whatever ran there begins anew: a pipeline, a scheduler, an optimizer. The tasks that it started are
    stopped, but for those of its own type: they may be copies. Its process may have outlived the agent. That
    is killed: nobody would tell the server how it ended.
    """
    former = re.compile(re.escape(f"{socket.gethostname()}:{name}-") + "[0-9a-f]{8}")
    for worker in call("workers.get_all")["workers"]:
        if not former.fullmatch(worker["id"]):
            continue
        for process in marked(processes.mark):
            with contextlib.suppress(psutil.Error, OSError):
                if process.environ().get("CLEARML_WORKER_ID") == worker["id"]:
                    process.kill()  # not asked to end: it would tell the server that it was stopped
        task = worker.get("task", {"id": ""})["id"]
        for ran in call("tasks.get_all", id=[task], status=["in_progress"], search_hidden=True)["tasks"]:
            print(f"{name} ran {ran['name']!r} when it died: it is executed again.", flush=True)
            reason: dict[str, Any] = {"status_reason": f"{name} died", "force": True}
            unfinished = {"parent": [task], "status": ["queued", "in_progress"], "search_hidden": True}
            for step in call("tasks.get_all", **unfinished)["tasks"]:
                if step["type"] != ran["type"]:  # else it is a copy: another run
                    call("tasks.stop", task=step["id"], **reason)
            call("tasks.enqueue", task=task, queue_name=queue, **reason)
        call("workers.unregister", worker=worker["id"])  # the last: who fails above looks here again
