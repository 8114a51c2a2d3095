"""The whole life of the model on a fresh local ClearML, step by step, as a user would run it."""

import itertools
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from clearml_tools.shell_commands import auto_update_commands
from demo.running import (
    REPOSITORY,
    BackgroundScript,
    DemoRun,
    console,
    count_sent,
    deployment_commands,
    pulse,
    run_script,
    run_serving_command,
    say,
    show_line,
    wait_until,
    watch_endpoints,
)
from demo.summary import keep_open, summarize, tell_what_next
from global_config import (
    CHAMPION_TAG,
    CONTROLLER_QUEUE,
    MODEL_NAME,
    PROJECT_NAME,
    SELECTION_STEP,
    SERVING_ENDPOINT,
    STEP_QUEUE,
)
from local_stack import prometheus
from local_stack.endpoint_names import metric_name
from local_stack.errors import HomeInUse, ProcessError, ProgramsNotFound
from local_stack.serving import SYNC_SECONDS
from local_stack.serving_programs import check_packages, find_broker
from local_stack.settings import HOME_NAME
from local_stack.stack import Stack, display_path
from preprocess_serving import AUTO_UPDATE, STABLE

AGENTS = 2
SERVING_SECONDS = 60
REFUSAL = "Invalid request: "  # so preprocess_serving.py begins what it says to a row that it refuses
TRAFFIC = {"normal": (1000, 100), "drifted": (2500, 50)}  # requests, and how many of them in a second
ENDPOINT = metric_name(SERVING_ENDPOINT)
# As the rules have it, but of all that was ever counted: increase() leaves out what a new counter begins
# with, and here that is a good part of the normal traffic.
COUNTED = f'endpoint_variable:observations{{endpoint="{ENDPOINT}", variable!="y"}}'
SHARE = f"""((sum without (le) (endpoint_variable_le:bucket{{endpoint="{ENDPOINT}", variable!="y"}}) + 0.5)
    / ignoring (tenth) group_left () ({COUNTED} + 5))"""
PSI = {
    "normal": f"""clamp_min(sum without (tenth) (({SHARE} - 0.1) * ln({SHARE} / 0.1)) - 9 / ({COUNTED} + 5)
        - on (endpoint) group_left () 9 / endpoint:rows_trained_on, 0)""",
    "drifted": f'endpoint_variable:psi{{endpoint="{ENDPOINT}", window="2m"}}',
}
DRIFT_ALERT = "MajorDrift"  # as deploy/asteroid_alerts.yml has it
COUNTING_SECONDS = 60  # clearml-serving hands its counts on every 10 s or so, and Prometheus collects every 5
ALARM_SECONDS = 60
EARLY = "2012-01-01"  # the first pipeline takes the rows up to this day: the others are new to retrain.py
SEEDS = ["42", "420"]  # as many trainings as there are agents
AUTO, LATEST = SERVING_ENDPOINT + AUTO_UPDATE, SERVING_ENDPOINT + STABLE
STEADY_RATE = 10  # requests a second while retrain.py is at work
RETRAINING_SECONDS = 300


def run_demo(home: Path | None, keep: bool = False) -> int:
    """Run all steps and return 0; StackError says which step failed and where its log is.

    To `keep` it is to go on after that until Ctrl-C, and to return the code for what ended it.
    """
    began, took, code = time.monotonic(), {}, 0
    say(f"Starting a fresh local ClearML, with {AGENTS} agents and one for controllers")
    check_packages()
    find_broker()
    with ThreadPoolExecutor() as background, ExitStack() as running:
        with pulse:
            stack = running.enter_context(fresh_stack(home))
            run = DemoRun(stack, background.submit(fetch_programs, stack))
            say(f"It is running at {stack.url}")
            for number, (name, purpose, step) in enumerate(STEPS, 1):
                console.print(f"\n[bold]\\[{number}/{len(STEPS)}] {name}[/bold]: {purpose}")
                started = time.monotonic()
                run.has_programs()  # fail now, not minutes later, if it cannot be fetched
                with console.status(f"{name} …"):  # on a terminal alone
                    step(run) if step else run_script(run, name)
                took[name] = time.monotonic() - started
        summarize(run, {**took, "all": time.monotonic() - began})
        if keep:
            code = keep_open(run)
    say("Everything that was started has been stopped.")
    tell_what_next(run)
    return code


def fetch_programs(stack: Stack) -> None:
    """Fetch Prometheus and Alertmanager, if need be, meanwhile; ProgramsNotFound says why they cannot be."""
    printed = [""]

    def show(line: str) -> None:
        printed.append(line)
        show_line(line)

    command = [sys.executable, "-m", "local_stack.serving_programs"]
    if stack.processes.run("fetch", command, env=os.environ, each_line=show, cwd=REPOSITORY):
        raise ProgramsNotFound(printed[-1])


def run_early_pipeline(run: DemoRun) -> None:
    """Run the pipeline on the rows that there were some years ago."""
    options = ["--query-date", EARLY, "--training-seeds", *SEEDS]
    say(f"    python pipeline.py --wait {' '.join(options)}")
    run_pipeline(run, *options)


def run_pipeline(run: DemoRun, *options: str) -> None:
    """Run the pipeline on agents to its end, and start serving while its last step runs."""
    printed = []

    def each_line(line: str) -> None:
        show_line(line)
        printed.append(line)
        if report := run.stack.processes.unexpected_end():
            raise ProcessError(report)
        if line.startswith(f"{SELECTION_STEP}:") and "serving" not in vars(run) and run.has_programs():
            say("    Meanwhile, for the next step, as the trainings have ended and a core is free:")
            _ = run.serving

    run_script(run, "pipeline.py", "--wait", *options, each_line=each_line)
    run.decision = printed[-1]
    wanted = {"type": ["controller"], "search_hidden": True, "only_fields": ["id"]}
    (controller,) = run.stack.call("tasks.get_all", **wanted)["tasks"]
    run.candidates = reported_table(run.stack, controller["id"], "Model selection")


def reported_table(stack: Stack, task: str, metric: str) -> list[list[str]]:
    """Return the rows of a table that a task reported, the first of them the header."""
    plots = stack.call("events.get_task_plots", task=task, iters=1)["plots"]
    (text,) = [plot["plot_str"] for plot in plots if plot["metric"] == metric]
    table = json.loads(text)["data"][0]
    header = ["".join(name) for name in table["header"]["values"]]  # each is a text, or a list of one
    return [header, *map(list, zip(*table["cells"]["values"], strict=True))]


def deploy(run: DemoRun) -> None:
    """Serve the champion, by the commands that a user would type."""
    if run.fetching and not run.has_programs():
        say("    Waiting for Prometheus and Alertmanager, which are still being fetched")
        pulse.doing = "Prometheus and Alertmanager are being fetched"
        run.fetching.result()
    serving = run.serving
    pulse.doing = "clearml-serving is starting"
    serving.wait()
    say(f"    clearml-serving answers at {serving.url}, Prometheus at {serving.prometheus_url}")
    (command,) = deployment_commands(run)
    run_serving_command(run, command)
    watch_endpoints(run)
    say("    Waiting until clearml-serving has taken up both commands, which takes some seconds")
    pulse.doing = "waiting for clearml-serving"
    failure = "clearml-serving did not take up the model"
    wait_until(run, lambda: serving.serves(SERVING_ENDPOINT, REFUSAL), SERVING_SECONDS, failure)
    time.sleep(2 * SYNC_SECONDS)  # until all parts have looked for the metrics


def show_drift(run: DemoRun) -> None:
    """Send both kinds of traffic, and show what Prometheus computes from each."""
    sent = 0
    for kind, (count, rate) in TRAFFIC.items():
        drift = ["--drift"] if kind == "drifted" else []
        options = ["--url", run.endpoint_url, *drift, "--rate", str(rate), "--count", str(count)]
        say(f"    python inference.py {' '.join(options)}")
        run_script(run, "inference.py", *options)
        sent += count
        say("    Waiting until Prometheus has counted all of them, which takes up to 15 s")
        pulse.doing = "waiting for Prometheus"
        all_counted = partial(has_counted, run, sent)
        wait_until(run, all_counted, COUNTING_SECONDS, "Prometheus did not count all requests")
        of = "over 2 minutes, after drifted traffic" if drift else "of normal traffic"
        say(f"    Population stability index {of} (0.04 and more is a major drift):")
        for labels, value in prometheus.query(run.serving.prometheus_url, PSI[kind]):
            say(f"        {labels['variable']:<28} {value:.3f}")
            run.psi.setdefault(labels["variable"], {})[kind] = value
        if kind == "normal" and (alarms := drift_alarms(run)):
            raise ProcessError(f"Normal traffic set off the alarm for drift: {alarms}")
    pulse.doing = "waiting for the alarm"
    wait_until(
        run, lambda: set(drift_alarms(run).values()) == {"firing"}, ALARM_SECONDS, "No alarm was raised"
    )
    run.alarms = drift_alarms(run)
    for variable, state in sorted(run.alarms.items()):
        say(f"    Alarm {DRIFT_ALERT} for {variable}: {state}")


def has_counted(run: DemoRun, requests: int) -> bool:
    """Return whether Prometheus knows of so many requests."""
    found = prometheus.query(run.serving.prometheus_url, "endpoint:requests")
    return sum(value for _, value in found) == requests


def drift_alarms(run: DemoRun) -> dict[str, str]:
    """Return the variables with a drift alarm, "pending" or "firing"."""
    alerts = f'ALERTS{{alertname="{DRIFT_ALERT}", endpoint="{ENDPOINT}"}}'
    found = prometheus.query(run.serving.prometheus_url, alerts)
    return {labels["variable"]: labels["alertstate"] for labels, _ in found}


def retrain(run: DemoRun) -> None:
    """Let retrain.py start the pipeline, and the new champion be served by itself while requests go on."""
    say(f"    python retrain.py --local --now    # there are new rows, from after {EARLY}")
    scheduler = BackgroundScript(run, "retrain.py", "--local", "--now")
    say(f"    Meanwhile, let each champion be served by itself, at {LATEST}: model auto-update, and a canary")
    names = {"model": MODEL_NAME, "project": PROJECT_NAME, "tag": CHAMPION_TAG}
    hook, service_id = "preprocess_serving.py", run.serving.service_id
    for command in auto_update_commands(service_id, AUTO, LATEST, engine="xgboost", preprocess=hook, **names):
        run_serving_command(run, command)
    watch_endpoints(run)
    pulse.doing = "waiting for clearml-serving"
    wait_until(run, lambda: run.serving.serves(LATEST, REFUSAL), SERVING_SECONDS, f"{LATEST} did not answer")
    options = ["--url", run.url_of(LATEST), "--rate", str(STEADY_RATE)]
    say(f"    python inference.py {' '.join(options)}    # until the end of this step")
    requests = BackgroundScript(run, "inference.py", *options)
    run.retrained = scheduler.wait_for(r"Model \w+ (is the|stays the) |Pipeline failed", RETRAINING_SECONDS)
    scheduler.end(hide="retrain.py: interrupted")
    if run.retrained.startswith("Pipeline failed"):
        raise ProcessError(run.retrained)
    if "is the new champion" in run.retrained:
        pulse.doing = "waiting for Prometheus"
        failure = "Prometheus saw no answer of the new champion"
        wait_until(run, lambda: has_answered(run, version=2), COUNTING_SECONDS, failure)
        say(f"    Prometheus shows version 2 at {LATEST} (endpoint:version); the dashboard marks the change")
    say("    What became of the requests meanwhile:")
    failed = requests.end(hide=r"\s*\d+ requests answered, ")
    count = count_sent(requests.printed)
    if failed or not count:
        raise ProcessError(f"Requests failed while the champion changed: {display_path(requests.log)}")
    run.meanwhile = f"{count} requests, none failed"
    say(f"    While retrain.py was at work: {run.meanwhile}")


def has_answered(run: DemoRun, version: int) -> bool:
    """Return whether Prometheus knows of requests that this version of AUTO has answered."""
    told = f'endpoint:version{{endpoint="{metric_name(LATEST)}"}} == {version}'
    return bool(prometheus.query(run.serving.prometheus_url, told))


# What each shows as its name, what it is for, and what it does: None runs the script of this name.
STEPS: tuple[tuple[str, str, Callable[[DemoRun], None] | None], ...] = (
    ("get_data.py", "query the asteroid table and version the rows as a dataset", None),
    ("preprocessing.py", "turn the rows into features and labels, a dataset of their own", None),
    ("model_training.py", "train the classifier and score it on the frozen test set", None),
    (
        "pipeline.py",
        "all of it as a pipeline on agents, with the rows of some years ago",
        run_early_pipeline,
    ),
    ("clearml-serving", "deploy the champion on real clearml-serving processes, and watch it", deploy),
    ("inference.py", "normal traffic, then drifted, and what Prometheus computes from both", show_drift),
    ("retrain.py", "new rows: the pipeline runs by itself, and a better model takes over", retrain),
)


@contextmanager
def fresh_stack(home: Path | None) -> Iterator[Stack]:
    """Run an empty stack on a free port, in `home` or in the first demo folder that no other demo uses."""
    stacks = REPOSITORY / HOME_NAME
    numbered = (stacks / (f"demo-{n}" if n > 1 else "demo") for n in itertools.count(1))
    with ExitStack() as running:
        for candidate in [home] if home else numbered:
            stack = Stack(
                candidate,
                port=0,
                fresh=True,
                agents=AGENTS,
                agent_queues=[STEP_QUEUE],
                controller_queue=CONTROLLER_QUEUE,
                project=REPOSITORY,
            )
            try:
                running.enter_context(stack)
                break
            except HomeInUse:
                if home:
                    raise
        yield stack
