"""How the demo runs the scripts of the example and waits for things, and what it keeps of a run."""

import re
import shlex
import sys
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from urllib.parse import quote

from rich.console import Console

from demo.pulse import Pulse
from global_config import SERVING_ENDPOINT, SERVING_NAME
from local_stack.errors import ProcessError
from local_stack.processes import stop
from local_stack.serving import Ports, Serving
from local_stack.stack import Stack, display_path

REPOSITORY = Path(__file__).resolve().parent.parent
POLL_SECONDS = 0.5
SHOWN = 104  # characters of a command: with its indentation it fits the console below

# Plain lines where the output is no terminal, and wide enough there for the table of the candidates.
console = Console(highlight=False, width=None if sys.stdout.isatty() else 110)
pulse = Pulse(partial(console.out, highlight=False), "the local ClearML is starting")


@dataclass
class DemoRun:
    """One run of the demo: the stack that it runs on, and what its summary shows."""

    stack: Stack
    fetching: "Future[None] | None" = None  # of programs; None: they are fetched when serving starts
    candidates: list[list[str]] = field(default_factory=list)  # rows, the first one is the header
    decision: str = ""
    retrained: str = ""  # what the pipeline decided that retrain.py had started
    meanwhile: str = ""  # what became of the requests while it was at work
    psi: dict[str, dict[str, float]] = field(default_factory=dict)  # {variable: {kind of traffic: PSI}}
    alarms: dict[str, str] = field(default_factory=dict)  # {variable: "pending" or "firing"}

    @cached_property
    def serving(self) -> Serving:
        """Serving and its monitoring, started at first use; it may take a while until they are ready."""
        say("    Starting clearml-serving and its monitoring")
        return Serving(
            self.stack,
            Ports(inference=0, prometheus=0, grafana=0, alertmanager=0),
            name=SERVING_NAME,
            rules=REPOSITORY / "deploy" / "asteroid_alerts.yml",
            alertmanager=REPOSITORY / "deploy" / "alertmanager.yml",
            project=REPOSITORY,
            dashboard=REPOSITORY / "asteroid.json",
        )

    def has_programs(self) -> bool:
        """Return whether Prometheus and the like have been fetched; ProgramsNotFound if that failed."""
        if not (self.fetching and self.fetching.done()):
            return False
        self.fetching.result()
        return True

    @property
    def endpoint_url(self) -> str:
        return self.url_of(SERVING_ENDPOINT)

    def url_of(self, endpoint: str) -> str:
        return f"{self.serving.url}/{quote(endpoint)}"


def show_line(line: str) -> None:
    say(f"    {line}")


def run_script(
    run: DemoRun, script: str, *arguments: str, each_line: Callable[[str], None] = show_line
) -> None:
    """Run a script of the example to its end; `each_line` gets what it prints."""
    run_command(run, script, [sys.executable, str(REPOSITORY / script), *arguments], each_line)


def run_command(
    run: DemoRun,
    name: str,
    command: list[str],
    each_line: Callable[[str], None] = show_line,
    **variables: str,
) -> None:
    """Run a command to its end, with further variables of the environment; ProcessError if it fails."""
    processes, environment = run.stack.processes, run.stack.environment() | variables
    pulse.doing = f"{name} is running"
    if processes.run(name, command, env=environment, each_line=each_line, cwd=REPOSITORY):
        raise ProcessError(f"{name} failed. Its log is {display_path(processes.log(name))}.")


def run_serving_command(run: DemoRun, command: str) -> None:
    """Show a command of clearml-serving, and run it as a user would by typing it."""
    say(f"    {shortened(command)}")
    _, *arguments = shlex.split(command)
    run_command(run, "deploy", [sys.executable, "-m", "clearml_serving", *arguments])


def deployment_commands(run: DemoRun) -> list[str]:
    """Run what `up --serving` would run now, and return the commands that it would show."""
    printed: list[str] = []
    command, service_id = [sys.executable, "-m", "demo.deployment"], run.serving.service_id
    run_command(run, "deployment", command, printed.append, CLEARML_SERVING_TASK_ID=service_id)
    return [line.strip() for line in printed if line.startswith("    clearml-serving ")]


def watch_endpoints(run: DemoRun) -> None:
    """Let new endpoints be watched, as `up --serving` does by itself, and show by which commands."""
    for command in deployment_commands(run):
        say("    To watch the new endpoint, this was run by itself, as `up --serving` would:")
        say(f"    {shortened(command)}")


def shortened(command: str) -> str:
    """Return the beginning of a command of clearml-serving, with the beginning of the service's id."""
    text = re.sub(r"(--id \w{8})\w+", r"\1…", command)
    return text if len(text) <= SHOWN else text[:SHOWN] + " …"


class BackgroundScript:
    """A script of the example that goes on while the demo does something else, in a `with`."""

    def __init__(self, run: DemoRun, script: str, *arguments: str) -> None:
        processes = run.stack.processes
        self.run, self.script, self.log = run, script, processes.log(script)
        self.printed: list[str] = []  # as far as it was shown
        self._shown = len(self._lines())  # it may have run before
        command = [sys.executable, str(REPOSITORY / script), *arguments]
        self._process = processes.spawn(script, command, env=run.stack.environment(), cwd=REPOSITORY)

    def _lines(self) -> list[str]:
        return self.log.read_text(errors="replace").splitlines() if self.log.exists() else []

    def new_lines(self, hide: str = "$.") -> list[str]:
        """Show what it has printed since the last time but lines that match, and return all of it."""
        lines = self._lines()[self._shown :]
        self._shown += len(lines)
        self.printed += lines
        for line in lines:
            if not re.match(hide, line):
                show_line(line)
        return lines

    def wait_for(self, pattern: str, seconds: float) -> str:
        """Show what it prints, up to a line that matches, and return that line."""
        pulse.doing = f"{self.script} is running"
        found: list[str] = []

        def has_printed() -> bool:
            found.extend(line for line in self.new_lines() if re.match(pattern, line))
            return bool(found)

        wait_until(self.run, has_printed, seconds, f"{self.script} did not print what it should")
        return found[0]

    def end(self, hide: str = "$.") -> int:
        """Interrupt it, show what it has printed but lines that match, and return its exit code."""
        stop(self._process)
        del self.run.stack.processes.running[self.script]
        self.new_lines(hide)
        return int(self._process.returncode)


def count_sent(printed: list[str]) -> int:
    """Return how many requests inference.py has sent by what it printed; 0 if it does not say."""
    return max(
        (int(found[1]) for line in printed if (found := re.match(r"(\d+) requests? in ", line))), default=0
    )


def wait_until(run: DemoRun, condition: Callable[[], object], seconds: float, failure: str) -> None:
    """Wait until it is true; ProcessError if that takes too long, or if a process dies meanwhile."""
    deadline, trouble = time.monotonic() + seconds, ""
    while True:
        if report := run.stack.processes.unexpected_end():
            raise ProcessError(report)
        try:
            if condition():
                return
        except OSError as error:  # what was asked is busy, or dying
            trouble = f" ({error})"
        if time.monotonic() > deadline:
            raise ProcessError(f"{failure} within {seconds} s{trouble}.")
        time.sleep(POLL_SECONDS)


def say(text: str) -> None:
    """Print the text as it is, whatever brackets are in it."""
    console.out(text, highlight=False)
    pulse.printed()
