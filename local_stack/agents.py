"""Real clearml-agents that execute queued tasks in the environment that the stack itself runs in."""

import socket
import subprocess
import sys
import uuid
from collections.abc import Mapping, Sequence

from .processes import Processes

# The stack's environment has what tasks need: an agent does not make one of its own for every task.
SETTINGS = {
    "CLEARML_AGENT_SKIP_PIP_VENV_INSTALL": sys.executable,
    "CLEARML_AGENT_SKIP_PYTHON_ENV_INSTALL": "1",
    "CLEARML_AGENT_QUEUE_POLL_FREQ_SEC": "0.5",
}


def start_agent(
    processes: Processes, name: str, queues: Sequence[str], environment: Mapping[str, str]
) -> "subprocess.Popen[bytes]":
    """Start an agent on queues, which it makes if need be, and return when it has asked for a task."""
    log = processes.log(name)
    earlier = log.stat().st_size if log.exists() else 0  # what an agent of the same name wrote last time

    def has_asked() -> bool:
        printed = log.read_bytes()[earlier:]
        return b"No tasks in queue" in printed or b"pulled from" in printed

    # Told apart from the agents of other stacks on this machine, and from one of this name that died.
    worker = f"{socket.gethostname()}:{name}-{uuid.uuid4().hex[:8]}"
    command = [sys.executable, "-m", "clearml_agent", "daemon", "--foreground"]
    return processes.start(
        name,
        [*command, "--queue", *queues, "--create-queue"],
        env={**environment, **SETTINGS, "CLEARML_WORKER_ID": worker},
        ready=has_asked,
    )
