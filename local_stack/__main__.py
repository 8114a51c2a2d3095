"""The command line: `python -m local_stack up`."""

from .interrupts import ignore_signals, take_signals

if __name__ == "__main__":
    # Whatever ends this process ends it the same way, so that what it started is stopped. The imports below
    # take a while: this comes first.
    take_signals()

import argparse
import os
import shlex
import sys
import time
import urllib.request
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from rich.console import Console

from .loopback import HOST, without_proxies
from .processes import ProcessError
from .prometheus import PrometheusNotFound
from .serving import SYNC_SECONDS, Ports, Serving, find_programs
from .stack import DEFAULT_HOME, DEFAULT_PORT, SILENCE_SECONDS, Stack, StackError, shown


def main(arguments: list[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    return run_in_terminal(lambda: options.run(options))


def run_in_terminal(command: Callable[[], int]) -> int:
    """Return a command's exit code; what it cannot do, and Ctrl-C, end it in one line."""
    sys.stdout.reconfigure(line_buffering=True)  # lines come as they are printed, into a pipe as well
    try:
        return command()
    except (StackError, ProcessError, PrometheusNotFound) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        ignore_signals()
        print("\nStopped.", file=sys.stderr)
        return 130
    except BrokenPipeError:  # whoever read the lines is gone, such as a tee that got the same Ctrl-C
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what is still in the buffer
        return 1


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="python -m local_stack",
        description="A throwaway ClearML on this machine, for learning, demos and tests.",
    )
    commands = top.add_subparsers(required=True, metavar="COMMAND")

    up = commands.add_parser("up", help="run a local ClearML until Ctrl-C")
    up.add_argument("--home", type=Path, default=DEFAULT_HOME, help="folder for all its files (%(default)s)")
    up.add_argument(
        "--port",
        type=port,
        help=f"port of the server; 0 takes a free one (default: this home's last one, or {DEFAULT_PORT})",
    )
    up.add_argument(
        "--agents",
        type=natural,
        help="agents to run for the pipeline's steps (0, with --serving 2)",
    )
    up.add_argument("--serving", action="store_true", help="run clearml-serving and its monitoring as well")
    up.add_argument(
        "--workers",
        type=positive,
        default=1,
        help="with --serving: processes that answer requests (%(default)s)",
    )
    for name, default in vars(Ports()).items():
        option = "--serving-port" if name == "inference" else f"--{name}-port"
        up.add_argument(
            option,
            dest=name,
            type=port,
            default=default,
            help=f"with --serving: port of {name}; 0 takes a free one (%(default)s)",
        )
    up.add_argument(
        "--silence",
        type=positive,
        default=SILENCE_SECONDS,
        metavar="SECONDS",
        help="stop running tasks that were not heard of for so long (%(default)s, as ClearML does)",
    )
    up.set_defaults(run=run_up)

    return top


def port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text} is no port: 0 to 65535")
    return int(text)


def natural(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text} is no whole number from 0 up")
    return int(text)


def positive(text: str) -> int:
    if natural(text) == 0:
        raise argparse.ArgumentTypeError("it takes 1 at least")
    return int(text)


def run_up(options: argparse.Namespace) -> int:
    agents = (2 if options.serving else 0) if options.agents is None else options.agents
    if options.serving:
        find_programs(partial(print, flush=True))  # says what it fetches the first time
    with ExitStack() as running:
        with Console(stderr=True).status("Starting …"):  # on a terminal alone
            stack = running.enter_context(
                Stack(options.home, options.port, agents=agents, silence=options.silence)
            )
            serving = None
            if options.serving:
                ports = Ports(options.inference, options.prometheus, options.grafana)
                serving = Serving(stack, ports, options.workers)
                serving.wait()
        try:
            print(f"A local ClearML is running at {stack.url}. In another terminal:\n")
            print(f"    export CLEARML_CONFIG_FILE={shown(stack.config_file)}{exemption()}\n")
            print(f"    Pages: {stack.pages_link()}\n")
            if stack.last_port not in (None, stack.port):
                print(f"Files that were stored on port {stack.last_port} are found only on that port.\n")
            told = True
            if serving:
                introduce(serving)
                told = tell_commands(serving)
                if not told:
                    print("There is no champion to deploy yet: run pipeline.py. What to type when it has")
                    print("promoted one will stand here.\n")
            print(f"Its files and logs are in {shown(stack.home)}. Ctrl-C stops it.")
            tended = [*stack.agents, *(serving.names() if serving else [])]
            while not (story := stack.processes.ended(tended)):
                time.sleep(0.5)
                stack.tend()
                if serving:
                    serving.tend()
                told = told or tell_commands(serving)
        except KeyboardInterrupt:  # the way to stop it
            ignore_signals()
            print("\nStopping.")
            return 0
        print(story, file=sys.stderr)
        return 1


def exemption() -> str:
    """What the export line needs besides where HTTP goes through a proxy, this machine's own included."""
    if not {"http", "all"} & urllib.request.getproxies().keys() or urllib.request.proxy_bypass(HOST):
        return ""
    return "".join(f" {name}={shlex.quote(value)}" for name, value in without_proxies().items())


def introduce(serving: Serving) -> None:
    """Say where serving and its monitoring are."""
    print(f"clearml-serving answers at {serving.url}/<endpoint>, as service {serving.service_id}.")
    print(f"Prometheus is at {serving.prometheus_url}.")
    if serving.grafana_url:
        print(f"Grafana is at {serving.grafana_url} (admin / admin).")
    print()


def tell_commands(serving: Serving) -> bool:
    """Say what to type to deploy the champion and to watch it, once there is one; whether there is."""
    try:
        commands = serving.deployment()
    except OSError:  # the server has just died, which is told elsewhere
        return False
    if commands:
        print(f"To deploy the champion and to watch it, which takes effect within {SYNC_SECONDS} s:\n")
        for command in commands:
            print(f"    {command}")
        print()
    return bool(commands)


if __name__ == "__main__":
    code = main()
    ignore_signals()  # nothing is left to be stopped
    sys.exit(code)
