"""Run the user's deployment command when models or endpoints have changed, and show what it prints.

One that fails runs again after a pause: what it needs may have been missing only for a moment.
"""

import math
import os
import shlex
import subprocess
import sys
import time
from pathlib import Path

from .endpoint_names import configured_endpoints, service_configuration
from .serving import Serving

NAME = "deployment-command"  # of its process and its log
RETRY_SECONDS = 30
# clearml-serving's commands read a service's configuration and write all of it: of two at once, one is lost.
# So the command, which may be one of them, waits until a person seems to have ended theirs.
SETTLE_SECONDS = 10


class DeploymentCommand:
    """The setting deployment_command: to be polled now and then, it never waits for the command."""

    def __init__(self, command: str, serving: Serving, folder: Path) -> None:
        """`folder` is where the command runs. It gets the service's id as CLEARML_SERVING_TASK_ID."""
        self._command, self._serving, self._folder = command, serving, folder
        self._processes = serving.stack.processes
        self._seen: tuple[dict[str, list[str]], set[str]] = ({}, set())
        self._configuration: dict[str, str] | None = None
        self._settled_at = -math.inf
        self._running: subprocess.Popen[bytes] | None = None
        self._log_start = 0
        self._shown = ""
        self._retry_at = math.inf

    def poll(self) -> None:
        """Start the command if published models or endpoints have changed; show its output afterwards."""
        if self._running:
            if self._running.poll() is not None:
                self._show(self._running.returncode)
                self._running = None
            return
        try:
            models, configuration = published_models(self._serving), service_configuration(self._serving)
        except OSError:  # the server has just died, which is reported elsewhere
            return
        if configuration != self._configuration:
            if self._configuration is not None:
                self._settled_at = time.monotonic() + SETTLE_SECONDS
            self._configuration = configuration
        if time.monotonic() < self._settled_at:
            return
        state = models, configured_endpoints(configuration)
        if state != self._seen or time.monotonic() >= self._retry_at:
            self._seen, self._retry_at = state, math.inf
            self._start()

    def _start(self) -> None:
        # A `python` in the command is the one that runs this.
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
        environment = {
            **self._serving.stack.environment(),
            "CLEARML_SERVING_TASK_ID": self._serving.service_id,
            "PATH": path,
        }
        log = self._processes.log(NAME)
        self._log_start = log.stat().st_size if log.exists() else 0
        try:
            command = shlex.split(self._command)
            self._running = self._processes.spawn(NAME, command, env=environment, cwd=self._folder)
        except (OSError, ValueError) as error:  # which does not pass by itself
            print(f"The deployment_command cannot be run ({error}): {self._command}", flush=True)

    def _show(self, code: int) -> None:
        text = self._processes.log(NAME).read_bytes()[self._log_start :].decode(errors="replace").rstrip()
        if code:
            self._retry_at = time.monotonic() + RETRY_SECONDS
            retry = f"it runs again every {RETRY_SECONDS} s"
            text = f"The deployment_command failed with code {code}, {retry}: {self._command}\n{text}"
        if text and text != self._shown:
            self._shown = text
            print(f"{text}\n", flush=True)


def published_models(serving: Serving) -> dict[str, list[str]]:
    """Return the published models' ids, each with its tags."""
    models = serving.stack.call("models.get_all", ready=True, only_fields=["id", "tags"])["models"]
    return {model["id"]: sorted(model.get("tags") or []) for model in models}
