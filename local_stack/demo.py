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
    ("get_data.py", "query the asteroid table and version the rows as a dataset"),
    ("preprocessing.py", "turn the rows into features and labels, a dataset of their own"),
    ("model_training.py", "train the classifier and judge it on the frozen test set"),
    ("pipeline.py", "all of it as a pipeline on ClearML agents, three trainings in parallel"),
)
AGENTS = 2
POLL_SECONDS = 0.5
ENDED = ("completed", "failed", "stopped", "published", "closed")


def run(home: Path | None) -> int:
    began = time.monotonic()
    with fresh_stack(home) as stack:
        say(f"A fresh local ClearML is running at {stack.url}, with {AGENTS} agents and one for controllers")
        took = []
        for number, (script, purpose) in enumerate(STEPS, 1):
            say(f"\n[{number}/{len(STEPS)}] {script}: {purpose}")
            started = time.monotonic()
            succeeded = run_script(stack, script)
            if script == "pipeline.py":
                succeeded = succeeded and follow_pipeline(stack)
            took.append((script, time.monotonic() - started))
            if not succeeded:
                print(f"\n{script} failed. Its log is in {shown(stack.processes.logs)}.", file=sys.stderr)
                return 1
    say("\nDone. Everything that was started has been stopped.\n")
    for what, seconds in [*took, ("all", time.monotonic() - began)]:
        say(f"    {what:<20} {seconds:5.1f} s")
    say("\nWhat to try next:")
    say(f"    python -m local_stack up --home {shown(stack.home)}    # keep the ClearML of this demo running")
    say("    python -m local_stack up --agents 2    # or start an empty one, and run the scripts by hand")
    return 0


def run_script(stack: Stack, script: str) -> bool:
    """Run a script of the example to its end, showing what it prints; whether it succeeded."""
    code = stack.processes.run(
        Path(script).stem,
        [sys.executable, str(REPOSITORY / script)],
        env=stack.environment(),
        each_line=lambda line: say(f"    {line}"),
    )
    return code == 0


def follow_pipeline(stack: Stack) -> bool:
    """Show what becomes of the pipeline's steps until it ends; whether it succeeded."""
    fields = ["name", "status", "last_worker", "hyperparams.return", "status_reason", "comment"]
    hidden = {"search_hidden": True, "only_fields": fields}
    (controller,) = stack.call("tasks.get_all", type=["controller"], **hidden)["tasks"]
    steps_of = {"parent": controller["id"], "order_by": ["created"], **hidden}
    seen: dict[str, str] = {}
    decision = ""
    while True:
        (state,) = stack.call("tasks.get_all", id=[controller["id"]], **hidden)["tasks"]
        for step in stack.call("tasks.get_all", **steps_of)["tasks"]:
            if seen.get(step["id"]) != step["status"]:
                seen[step["id"]] = step["status"]
                worker = step.get("last_worker", "").partition(":")[2].rpartition("-")[0]
                say(f"    {step['name']:<20} {step['status']:<12} {worker}")
            decision = step.get("hyperparams", {}).get("return", {}).get("decision", {}).get("value")
        if state["status"] in ENDED:
            break
        time.sleep(POLL_SECONDS)
    if state["status"] == "completed":
        say(f"    {decision}")
    return state["status"] == "completed"


@contextmanager
def fresh_stack(home: Path | None) -> Iterator[Stack]:
    """An empty stack on a free port, in `home` or in the first demo folder that no other demo is using."""
    numbered = (DEFAULT_HOME / (f"demo-{n}" if n > 1 else "demo") for n in itertools.count(1))
    with ExitStack() as running:
        for candidate in [home] if home else numbered:
            try:
                stack = running.enter_context(Stack(candidate, port=0, fresh=True, agents=AGENTS))
                break
            except HomeInUse:
                if home:
                    raise
        yield stack


def say(text: str) -> None:
    """Print at once, whatever the output goes to."""
    print(text, flush=True)
