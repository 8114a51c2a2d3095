"""The command line: `python -m local_stack up`, or `local-stack up` where it is installed."""

from .interrupts import INTERRUPTED, end_at_once, ignore_signals, take_signals

if __name__ == "__main__":
    end_at_once()  # the imports below take a while

import argparse
import io
import os
import shlex
import sys
import time
import urllib.request
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path

from rich.console import Console

from .beginning import holds_stack
from .deployment import NAME as DEPLOYMENT
from .deployment import DeploymentCommand, published_models
from .endpoint_names import NameClashes
from .errors import StackError
from .loopback import HOST, without_proxies
from .queue_watch import UnheardQueues
from .server.auth import USER
from .serving import Ports, Serving
from .serving_programs import find_programs
from .settings import Settings
from .stack import UP_IN_HOME, Stack, display_path

POLL_SECONDS = 0.5


def main(arguments: list[str] | None = None) -> int:
    def command() -> int:
        settings = Settings.load()
        options = parser(settings).parse_args(arguments)
        return run_up(settings.with_options(options), options.serving)

    return run_in_terminal(command)


def run_in_terminal(command: Callable[[], int]) -> int:
    """Return a command's exit code; a StackError or Ctrl-C ends it with one line."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)  # lines come as they are printed, into a pipe as well
    try:
        return command()
    except StackError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        ignore_signals()
        print("\nStopped.", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # whoever read the lines is gone, such as a tee that got the same Ctrl-C
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what is still in the buffer
        return 1


def parser(settings: Settings) -> argparse.ArgumentParser:
    """Return the parser, whose defaults are the project's settings."""
    top = argparse.ArgumentParser(
        prog="python -m local_stack",
        description="A throwaway ClearML on this machine, for learning, demos and tests.",
    )
    commands = top.add_subparsers(required=True, metavar="COMMAND")
    up = commands.add_parser(
        "up",
        help="run a local ClearML until Ctrl-C",
        description="Run a local ClearML until Ctrl-C. Each option but --serving is a key of "
        "[tool.local_stack] in pyproject.toml, too.",
    )
    up.add_argument("--serving", action="store_true", help="run clearml-serving and its monitoring as well")
    settings.add_options(up)
    return top


def run_up(settings: Settings, with_serving: bool) -> int:
    if with_serving:
        find_programs(partial(print, flush=True))  # says what it fetches the first time
    with ExitStack() as running:
        with Console(stderr=True).status("Starting …"):  # on a terminal alone
            stack = running.enter_context(start_stack(settings, with_serving))
            stack.tell_pages(settings.dashboard)
            serving = start_serving(settings, stack) if with_serving else None
        return keep_running(settings, stack, serving, partial(tell_of_other, settings.begin_with))


def keep_running(
    settings: Settings, stack: Stack, serving: Serving | None, tell_more: Callable[[], None]
) -> int:
    """Print where all parts are, look after them until Ctrl-C, and return the exit code."""
    try:
        introduce_stack(stack)
        if serving:
            introduce_serving(settings, serving)
        tell_more()
        looks = [UnheardQueues(stack, settings).poll, stack.restart_dead_agents]
        if serving:
            looks += [NameClashes(serving).poll, serving.restart_dead_processes]
            if settings.deployment_command:
                looks.append(DeploymentCommand(settings.deployment_command, serving, settings.project).poll)
        print(f"Its files and logs are in {display_path(stack.home)}. Ctrl-C stops it.")
        restarted = [*stack.restarted(), *(serving.names() if serving else []), DEPLOYMENT]
        told: set[str] = set()
        while not (report := stack.processes.unexpected_end(restarted)):
            look_around(looks, told)
            time.sleep(POLL_SECONDS)
    except KeyboardInterrupt:  # the way to stop it
        ignore_signals()
        print("\nStopping.")
        return 0
    print(report, file=sys.stderr)
    return 1


def look_around(looks: Sequence[Callable[[], None]], told: set[str]) -> None:
    """Let each look after what is its own. None keeps another from it where a disk is full, say.

    What fails is told once, and noted in `told`: it may fail at every look.
    """
    for look in looks:
        try:
            look()
        except (BrokenPipeError, StackError):  # whoever read the lines is gone, or there is no going on
            raise
        except Exception as error:  # a server that dies while it answers leaves half of its JSON, say
            line = f"A look at the parts failed ({type(error).__name__}: {error}): it is tried again."
            if line not in told:
                told.add(line)
                with suppress(OSError):  # the disk that the lines go to may be the one
                    print(line, file=sys.stderr)


def start_stack(settings: Settings, with_serving: bool) -> Stack:
    agents = (2 if with_serving else 0) if settings.agents is None else settings.agents
    return Stack(
        settings.home,
        settings.port,
        agents=agents,
        agent_queues=settings.agent_queues,
        controller_queue=settings.controller_queue,
        controller_agents=settings.controller_agents,
        task_timeout=settings.task_timeout,
        web_url=settings.web_url,
        project=settings.project,
        begin_with=settings.begin_with,
    )


def start_serving(settings: Settings, stack: Stack) -> Serving:
    serving = Serving(
        stack,
        Ports(
            settings.serving_port,
            settings.prometheus_port,
            settings.grafana_port,
            settings.alertmanager_port,
        ),
        name=settings.serving_name,
        workers=settings.workers,
        rules=settings.rules,
        dashboard=settings.dashboard,
        alertmanager=settings.alertmanager,
        alert_webhook=settings.alert_webhook or None,
        project=settings.project,
    )
    serving.wait()
    return serving


def introduce_stack(stack: Stack) -> None:
    """Print how clients and browsers reach the stack."""
    print(f"A local ClearML is running at {stack.url}. In another terminal:\n")
    # The whole path: the other terminal may be in another folder. Without the file, clients use app.clear.ml.
    print(f"    export CLEARML_CONFIG_FILE={shlex.quote(str(stack.config_file))}{proxy_exemption()}\n")
    print(f"    Pages: {stack.pages_link()}\n")
    if stack.web_url:
        print(f"    ClearML's web UI: {stack.web_url}")
        print(f"    Log in as {USER['id']} with the password {stack.credentials().password}\n")
    if stack.last_port not in (None, stack.port) and stack.stores_files():
        print(f"Files that were stored on port {stack.last_port} are found only on that port.\n")


def tell_of_other(other: Path | None) -> None:
    """Print how to look at what is in the other home."""
    with suppress(OSError):  # of a home that may not be read
        if other and holds_stack(other):
            print(f"To see what is in {display_path(other)}: {UP_IN_HOME} {display_path(other)}\n")


def proxy_exemption() -> str:
    """Return what the export line needs besides where HTTP goes through a proxy, even to this machine."""
    if not {"http", "all"} & urllib.request.getproxies().keys() or urllib.request.proxy_bypass(HOST):
        return ""
    return "".join(f" {name}={shlex.quote(value)}" for name, value in without_proxies().items())


def introduce_serving(settings: Settings, serving: Serving) -> None:
    """Print where serving and its monitoring are."""
    print(f"clearml-serving answers at {serving.url}/<endpoint>, as service {serving.service_id}.")
    print(f"Prometheus is at {serving.prometheus_url}.")
    print(f"Alertmanager is at {serving.alertmanager_url}.")
    if serving.grafana_url:
        print(f"Grafana is at {serving.grafana_url} (admin / admin).")
    else:
        print("Grafana is not installed: the stack's pages show the dashboard, at /monitoring.")
    print()
    if settings.deployment_command and not published_models(serving):
        print("No model is published yet. When there is one, the command that deploys it appears here.\n")


def run() -> None:
    """Run the command line and end this process."""
    # Whatever ends this process ends it the same way, so that what it started is stopped.
    take_signals()
    code = main()
    ignore_signals()  # nothing is left to be stopped
    sys.exit(code)


if __name__ == "__main__":
    run()
