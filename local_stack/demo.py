"""The whole life of the model on a fresh local ClearML, step by step, as a user would run it."""

import itertools
import shlex
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from global_config import SERVING_ENDPOINT

from . import prometheus
from .processes import REPOSITORY
from .serving import POLL_SECONDS as SERVING_POLL_SECONDS
from .serving import Ports, Serving
from .stack import DEFAULT_HOME, HomeInUse, Stack, shown

STEPS = (
    ("get_data.py", "query the asteroid table and version the rows as a dataset"),
    ("preprocessing.py", "turn the rows into features and labels, a dataset of their own"),
    ("model_training.py", "train the classifier and judge it on the frozen test set"),
    ("pipeline.py", "all of it as a pipeline on ClearML agents, three trainings in parallel"),
    ("clearml-serving", "deploy the champion on real clearml-serving processes, and watch it"),
    ("inference.py", "normal traffic, then drifted, and what Prometheus makes of both"),
)
AGENTS = 2
POLL_SECONDS = 0.5
ENDED = ("completed", "failed", "stopped", "published", "closed")
REQUESTS_A_SECOND = 50
NORMAL_REQUESTS, DRIFTED_REQUESTS = 1000, 2500
METRICS_DELAY_SECONDS = 15  # clearml-serving hands its counts on in batches of up to 10 s


def run(home: Path | None) -> int:
    began = time.monotonic()
    with fresh_stack(home) as stack:
        say(f"A fresh local ClearML is running at {stack.url}, with {AGENTS} agents and one for controllers")
        took = []
        for number, (name, purpose) in enumerate(STEPS, 1):
            say(f"\n[{number}/{len(STEPS)}] {name}: {purpose}")
            started = time.monotonic()
            if name == "clearml-serving":
                serving = deploy(stack)
                succeeded = serving is not None
            elif name == "inference.py":
                succeeded = show_drift(stack, serving)
            else:
                succeeded = run_script(stack, name) and (name != "pipeline.py" or follow_pipeline(stack))
            took.append((name, time.monotonic() - started))
            if not succeeded:
                print(f"\n{name} failed. Its log is in {shown(stack.processes.logs)}.", file=sys.stderr)
                return 1
    say("\nDone. Everything that was started has been stopped.\n")
    for what, seconds in [*took, ("all", time.monotonic() - began)]:
        say(f"    {what:<20} {seconds:5.1f} s")
    say("\nWhat to try next:")
    say(f"    python -m local_stack up --home {shown(stack.home)}    # keep the ClearML of this demo running")
    say("    python -m local_stack up --serving    # or start an empty one with all parts")
    return 0


def run_script(stack: Stack, script: str, *arguments: str) -> bool:
    """Run a script of the example to its end, showing what it prints; whether it succeeded."""
    command = [sys.executable, str(REPOSITORY / script), *arguments]
    return run_command(stack, Path(script).stem, command)


def run_command(stack: Stack, name: str, command: list[str]) -> bool:
    """Run a command to its end, showing what it prints; whether it succeeded."""
    environment = stack.environment()
    code = stack.processes.run(name, command, env=environment, each_line=lambda line: say(f"    {line}"))
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


def deploy(stack: Stack) -> Serving | None:
    """Serve the champion, by the commands that a user would type; None if one of them failed."""
    serving = Serving(stack, Ports(inference=0, prometheus=0, grafana=0))
    say(f"    clearml-serving answers at {serving.url}, Prometheus at {serving.prometheus_url}")
    for command in serving.deployment():
        say(f"    {command}")
        _, *arguments = shlex.split(command)
        if not run_command(stack, "deploy", [sys.executable, "-m", "clearml_serving", *arguments]):
            return None
    time.sleep(2 * SERVING_POLL_SECONDS)  # until inference has looked for its new model
    return serving


def show_drift(stack: Stack, serving: Serving) -> bool:
    """Send both kinds of traffic, and show the stability index of each feature after either."""
    url = f"{serving.url}/{SERVING_ENDPOINT}"
    for kind, count in (("normal", NORMAL_REQUESTS), ("drifted", DRIFTED_REQUESTS)):
        drift = ["--drift"] if kind == "drifted" else []
        rate = ["--rate", str(REQUESTS_A_SECOND), "--count", str(count)]
        say(f"    python inference.py {' '.join([*drift, *rate])}")
        if not run_script(stack, "inference.py", "--url", url, *rate, *drift):
            return False
        time.sleep(METRICS_DELAY_SECONDS)
        say(f"    Population stability index over 2 minutes, after {kind} traffic (0.1 and more is drift):")
        for labels, value in prometheus.query(serving.prometheus_url, "endpoint_variable:psi:2m"):
            say(f"        {labels['variable']:<28} {value:.3f}")
    alarms = prometheus.query(serving.prometheus_url, 'ALERTS{alertname="AsteroidDrift"}')
    for labels, _ in alarms:
        say(f"    Alarm {labels['alertname']} for {labels.get('variable', '')}: {labels['alertstate']}")
    return bool(alarms)


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
