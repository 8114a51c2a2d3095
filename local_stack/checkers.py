"""What Prometheus's own programs say of a configuration, before anything runs with it."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

from .errors import StackError


def check(command: Sequence[str | Path], refused: str) -> None:
    """Raise StackError if promtool or amtool refuses a file: `refused`, and its own words in one line."""
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    if done.returncode:
        told, _, _ = done.stdout.rpartition("amtool: error:")  # which counts the files that failed
        told = told or done.stdout
        lines = (told.partition("FAILED:")[2] or told).splitlines()
        reason = " ".join(" ".join(dict.fromkeys(lines)).split())  # promtool says some of them twice
        raise StackError(f"{refused}: {reason}")
