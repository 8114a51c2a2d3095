"""The whole life of the model on a fresh local ClearML, step by step, as a user would run it."""

import itertools
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from .processes import REPOSITORY
from .stack import DEFAULT_HOME, HomeInUse, Stack, shown

STEPS = (
    ("get_data.py", "Query the asteroid table and version the rows as a dataset"),
    ("preprocessing.py", "Turn the rows into features and labels, a dataset of their own"),
    ("model_training.py", "Train the classifier and judge it on the frozen test set"),
)


def run(home: Path | None) -> int:
    began = time.monotonic()
    with fresh_stack(home) as stack:
        print(f"A fresh local ClearML is running at {stack.url}")
        took = []
        for number, (script, purpose) in enumerate(STEPS, 1):
            print(f"\n[{number}/{len(STEPS)}] {script}: {purpose}", flush=True)
            started = time.monotonic()
            code = stack.processes.run(
                Path(script).stem,
                [sys.executable, str(REPOSITORY / script)],
                env=stack.environment(),
                each_line=lambda line: print(f"    {line}", flush=True),
            )
            took.append((script, time.monotonic() - started))
            if code != 0:
                print(f"\n{script} failed with exit code {code}.", file=sys.stderr)
                return 1
    print("\nDone. Everything that was started has been stopped.\n")
    for script, seconds in took:
        print(f"    {script:<20} {seconds:5.1f} s")
    print(f"    {'all':<20} {time.monotonic() - began:5.1f} s")
    print("\nWhat to try next:")
    print(f"    python -m local_stack up --home {shown(stack.home)}    # keep this ClearML running")
    print("    python -m local_stack up                              # or start an empty one of your own")
    return 0


@contextmanager
def fresh_stack(home: Path | None) -> Iterator[Stack]:
    """An empty stack on a free port, in `home` or in the first demo folder that no other demo is using."""
    numbered = (DEFAULT_HOME / (f"demo-{n}" if n > 1 else "demo") for n in itertools.count(1))
    with ExitStack() as running:
        for candidate in [home] if home else numbered:
            try:
                stack = running.enter_context(Stack(candidate, port=0, fresh=True))
                break
            except HomeInUse:
                if home:
                    raise
        yield stack
