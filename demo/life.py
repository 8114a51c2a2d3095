"""The whole life of the model on a fresh local ClearML, step by step, as a user would run it."""

import itertools
import json
import shlex
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from urllib.parse import quote

from rich.console import Console
from rich.table import Table

from demo.pulse import Pulse
from global_config import SERVING_ENDPOINT
from local_stack import prometheus
from local_stack.processes import REPOSITORY, ProcessError
from local_stack.prometheus import Fetch
from local_stack.serving import SYNC_SECONDS, Ports, Serving, fetch_prometheus
from local_stack.stack import DEFAULT_HOME, HomeInUse, Stack, shown

AGENTS = 2
POLL_SECONDS = 0.5
SERVING_SECONDS = 60
ENDED = ("completed", "failed", "stopped", "published", "closed")
TRAFFIC = {"normal": (500, 100), "drifted": (2500, 50)}  # requests, and how many of them in a second
# As the rules have it, but of all that was ever counted: increase() leaves out what a new counter begins
# with, and here that is a good part of the normal traffic.
SHARE = """((endpoint_variable_le:bucket{variable!="y"} + 0.5)
    / ignoring (le) group_left () (endpoint_variable:observations + 5))"""
PSI = {
    "normal": f"sum without (le) (({SHARE} - 0.1) * ln({SHARE} / 0.1))",
    "drifted": "endpoint_variable:psi:2m",
}
COUNTING_SECONDS = 60  # clearml-serving hands its counts on every 10 s or so, and Prometheus collects every 5
ALARM_SECONDS = 120  # the rule wants to see a drift for a minute before it fires

# Plain lines where the output is no terminal, and wide enough there for the table of the candidates.
console = Console(highlight=False, width=None if sys.stdout.isatty() else 110)
pulse = Pulse(partial(console.out, highlight=False), "the local ClearML is starting")


@dataclass
class Life:
    """The stack that it is lived on, and what is told of it in the end."""

    stack: Stack
    prometheus: Fetch | None = None  # None: it is fetched when serving starts
    serving: Serving | None = None
    candidates: list[list[str]] = field(default_factory=list)  # rows, the first one is the header
    decision: str = ""
    psi: dict[str, dict[str, float]] = field(default_factory=dict)  # {variable: {kind of traffic: PSI}}
    alarms: dict[str, str] = field(default_factory=dict)  # {variable: "pending" or "firing"}


def run(home: Path | None) -> int:
    """Live it; ProcessError says which step failed and where its log is."""
    began, took = time.monotonic(), {}
    say(f"Starting a fresh local ClearML, with {AGENTS} agents and one for controllers")
    with pulse, fetch_prometheus(lambda line: say(f"    {line}")) as fetch, fresh_stack(home) as stack:
        life = Life(stack, fetch)
        say(f"It is running at {stack.url}")
        for number, (name, purpose, step) in enumerate(STEPS, 1):
            console.print(f"\n[bold]\\[{number}/{len(STEPS)}] {name}[/bold]: {purpose}")
            started = time.monotonic()
            fetch.tools()  # rather now than minutes later, if they cannot be had
            with console.status(f"{name} …"):  # on a terminal alone
                step(life)
            took[name] = time.monotonic() - started
    say("\nDone. Everything that was started has been stopped.")
    summarize(life, {**took, "all": time.monotonic() - began})
    return 0


def run_script(life: Life, script: str, *arguments: str) -> None:
    """Run a script of the example to its end, showing what it prints."""
    run_command(life, script, [sys.executable, str(REPOSITORY / script), *arguments])


def run_command(life: Life, name: str, command: list[str]) -> None:
    """Run a command to its end, showing what it prints; ProcessError if it fails."""
    processes = life.stack.processes
    environment = life.stack.environment()
    pulse.doing = f"{name} is running"
    if processes.run(name, command, env=environment, each_line=lambda line: say(f"    {line}")):
        raise ProcessError(f"{name} failed. Its log is {shown(processes.log(name))}.")


def run_pipeline(life: Life) -> None:
    """Enqueue the pipeline, show what becomes of its steps until it ends, and start serving meanwhile."""
    run_script(life, "pipeline.py")
    pulse.doing = "the pipeline is running"
    call = life.stack.call
    fields = ["name", "status", "last_worker", "hyperparams.return"]
    hidden = {"search_hidden": True, "only_fields": fields}
    (controller,) = call("tasks.get_all", type=["controller"], **hidden)["tasks"]
    steps_of = {"parent": controller["id"], "order_by": ["created"], **hidden}
    seen: dict[str, str] = {}
    selecting = False
    while True:
        if story := life.stack.processes.ended():
            raise ProcessError(story)
        ready = life.prometheus and life.prometheus.tools()
        if ready and selecting and not life.serving:  # the trainings are done: a core is idle
            life.serving = start_serving(life)
        (state,) = call("tasks.get_all", id=[controller["id"]], **hidden)["tasks"]
        for step in call("tasks.get_all", **steps_of)["tasks"]:
            if seen.get(step["id"]) != step["status"]:
                seen[step["id"]] = step["status"]
                selecting |= step["name"] == "select_best_model"
                worker = step.get("last_worker", "").partition(":")[2].rpartition("-")[0]
                say(f"    {step['name']:<20} {step['status']:<12} {worker}")
            if decision := step.get("hyperparams", {}).get("return", {}).get("decision"):
                life.decision = decision["value"]
        if state["status"] in ENDED:
            break
        time.sleep(POLL_SECONDS)
    if state["status"] != "completed":
        events = call("events.get_task_log", task=controller["id"])["events"]
        log = [line for event in events for line in event["msg"].splitlines()]
        told = [line for line in log if line.startswith("Pipeline failed")]
        raise ProcessError("\n".join([f"The pipeline ended as {state['status']}.", *told]))
    say(f"    {life.decision}")
    life.candidates = reported_table(life.stack, controller["id"], "Model selection")


def reported_table(stack: Stack, task: str, metric: str) -> list[list[str]]:
    """The rows of a table that a task reported, the first of them the header."""
    plots = stack.call("events.get_task_plots", task=task, iters=1)["plots"]
    (text,) = [plot["plot_str"] for plot in plots if plot["metric"] == metric]
    table = json.loads(text)["data"][0]
    header = ["".join(name) for name in table["header"]["values"]]  # each is a text, or a list of one
    return [header, *map(list, zip(*table["cells"]["values"], strict=True))]


def start_serving(life: Life) -> Serving:
    """Start clearml-serving and its monitoring, without waiting until they are ready."""
    say("    Starting clearml-serving and its monitoring")
    return Serving(life.stack, Ports(inference=0, prometheus=0, grafana=0))


def deploy(life: Life) -> None:
    """Serve the champion, by the commands that a user would type."""
    if life.prometheus and not life.prometheus.tools():
        say("    Waiting for Prometheus, which is still being fetched")
        pulse.doing = "Prometheus is being fetched"
        life.prometheus.wait()
    if not life.serving:
        life.serving = start_serving(life)
    pulse.doing = "clearml-serving is starting"
    serving = life.serving
    serving.wait()
    say(f"    clearml-serving answers at {serving.url}, Prometheus at {serving.prometheus_url}")
    for command in serving.deployment():
        say(f"    {command}")
        _, *arguments = shlex.split(command)
        run_command(life, "deploy", [sys.executable, "-m", "clearml_serving", *arguments])
    say("    Waiting until clearml-serving has taken up both, which takes some seconds")
    pulse.doing = "waiting for clearml-serving"
    failure = "clearml-serving did not take up the model"
    wait_until(life, lambda: serving.serves(SERVING_ENDPOINT), SERVING_SECONDS, failure)
    time.sleep(2 * SYNC_SECONDS)  # until all parts have looked for the metrics


def show_drift(life: Life) -> None:
    """Send both kinds of traffic, and show what Prometheus makes of either."""
    url, sent = f"{life.serving.url}/{quote(SERVING_ENDPOINT)}", 0
    for kind, (count, rate) in TRAFFIC.items():
        drift = ["--drift"] if kind == "drifted" else []
        options = ["--url", url, *drift, "--rate", str(rate), "--count", str(count)]
        say(f"    python inference.py {' '.join(options)}")
        run_script(life, "inference.py", *options)
        sent += count
        say("    Waiting until Prometheus has counted all of them, which takes up to 15 s")
        pulse.doing = "waiting for Prometheus"
        all_counted = partial(has_counted, life, sent)
        wait_until(life, all_counted, COUNTING_SECONDS, "Prometheus did not count all requests")
        of = "over 2 minutes, after drifted traffic" if drift else "of normal traffic"
        say(f"    Population stability index {of} (0.1 and more is drift):")
        for labels, value in prometheus.query(life.serving.prometheus_url, PSI[kind]):
            say(f"        {labels['variable']:<28} {value:.3f}")
            life.psi.setdefault(labels["variable"], {})[kind] = value
        if kind == "normal" and (alarms := drift_alarms(life)):
            raise ProcessError(f"Normal traffic set off the alarm for drift: {alarms}")
    say("    The rule waits for a minute of drift before it raises the alarm: some 20 s are left of it")
    pulse.doing = "waiting for the alarm"
    wait_until(life, lambda: is_raised(life), ALARM_SECONDS, "No alarm was raised")
    life.alarms = drift_alarms(life)
    for variable, state in sorted(life.alarms.items()):
        say(f"    Alarm AsteroidDrift for {variable}: {state}")


def wait_until(life: Life, condition: Callable[[], object], seconds: float, failure: str) -> None:
    """Wait until it is true; ProcessError if that takes too long, or if a process dies meanwhile."""
    deadline, trouble = time.monotonic() + seconds, ""
    while True:
        if story := life.stack.processes.ended():
            raise ProcessError(story)
        try:
            if condition():
                return
        except OSError as error:  # what was asked is busy, or dying
            trouble = f" ({error})"
        if time.monotonic() > deadline:
            raise ProcessError(f"{failure} within {seconds} s{trouble}.")
        time.sleep(POLL_SECONDS)


def has_counted(life: Life, requests: int) -> bool:
    """Whether Prometheus knows of so many requests."""
    found = prometheus.query(life.serving.prometheus_url, "endpoint:requests")
    return sum(value for _, value in found) == requests


def drift_alarms(life: Life) -> dict[str, str]:
    """The variables with a drift alarm, "pending" or "firing"."""
    found = prometheus.query(life.serving.prometheus_url, 'ALERTS{alertname="AsteroidDrift"}')
    return {labels["variable"]: labels["alertstate"] for labels, _ in found}


def is_raised(life: Life) -> bool:
    return "firing" in drift_alarms(life).values()


STEPS: tuple[tuple[str, str, Callable[[Life], None]], ...] = (
    (
        "get_data.py",
        "query the asteroid table and version the rows as a dataset",
        lambda life: run_script(life, "get_data.py"),
    ),
    (
        "preprocessing.py",
        "turn the rows into features and labels, a dataset of their own",
        lambda life: run_script(life, "preprocessing.py"),
    ),
    (
        "model_training.py",
        "train the classifier and judge it on the frozen test set",
        lambda life: run_script(life, "model_training.py"),
    ),
    (
        "pipeline.py",
        "all of it as a pipeline on ClearML agents, three trainings in parallel",
        run_pipeline,
    ),
    (
        "clearml-serving",
        "deploy the champion on real clearml-serving processes, and watch it",
        deploy,
    ),
    (
        "inference.py",
        "normal traffic, then drifted, and what Prometheus makes of both",
        show_drift,
    ),
)


def summarize(life: Life, took: dict[str, float]) -> None:
    """What ran and how long, the models, the drift, and what to try next."""
    console.print()
    show_table("What ran", ["step", "took"], [[name, f"{seconds:.1f} s"] for name, seconds in took.items()])
    header, *rows = life.candidates
    show_table("The models of the pipeline, on asteroids that none has seen", header, rows)
    say(f"{life.decision}\n")
    rows = [
        [
            variable,
            *(f"{psi[kind]:.3f}" for kind in ("normal", "drifted")),
            life.alarms.get(variable, "silent"),
        ]
        for variable, psi in sorted(life.psi.items())
    ]
    show_table("Population stability index", ["", "normal traffic", "drifted", "alarm"], rows)
    say("What to try next:")
    home = shown(life.stack.home)
    say(f"    python -m local_stack up --home {home}    # the ClearML of this demo, with its pages")
    say("    python -m local_stack up --serving    # an empty one with all parts")


def show_table(title: str, header: list[str], rows: list[list[str]]) -> None:
    table = Table(title=title, title_justify="left", box=None, title_style="bold", pad_edge=False)
    for number, name in enumerate(header):
        table.add_column(name, justify="right" if number else "left", overflow="fold")
    for row in rows:
        table.add_row(*row)
    console.print(table)
    console.print()


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
    """Print the text as it is, whatever brackets are in it."""
    console.out(text, highlight=False)
    pulse.told()
