"""Chain the tracked scripts into a ClearML pipeline, and promote the best model if it is no worse.

    python pipeline.py                            # on ClearML agents: controller and steps are enqueued
    python pipeline.py --wait                     # the same, and follow the run to its end
    python pipeline.py --local                    # on this machine, no agent needed
    python pipeline.py --training-seeds 1 2 3 4 --query-date 2010-01-01

get_data -> preprocess_data -> model_training_0, 1, … (one for each seed, in parallel) -> select_best_model.
Each step gets the id of the dataset that the step before it made, so that two pipelines at once never mix.
A run can be cloned in the ClearML UI and its parameters edited: more seeds make more training steps.
"""

import argparse
import atexit
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from clearml_tools.errors import UserError, report_errors_in_one_line, shell_quoted

from clearml import PipelineController, Task
from clearml.automation.job import LocalClearmlJob
from clearml.backend_api.session.client import APIClient
from clearml.config import get_remote_task_id

from clearml_tools.checkout import check_for_agents, record_edits, uncommitted_edits, why_unreachable
from clearml_tools.connection import connect, watch_server
from clearml_tools.datasets import DATASET_ID_ARTIFACT
from clearml_tools.interrupts import delayed_interrupt, finish_first
from clearml_tools.name_limits import wrong_name
from clearml_tools.tasks import ENDED, ERROR_PROPERTY, FINISHED, REQUIREMENTS, keep_reason
from global_config import CONTROLLER_QUEUE, PIPELINE_NAME, PROJECT_NAME, STEP_QUEUE

# How often the controller looks at its steps. ClearML's own 12 s would be most of the time that the pipeline
# takes; a request a second is little even for a server that many share.
POLL_SECONDS = 1.0

# How often a step whose agent died is put back into its queue. A step that failed by itself is not tried
# again: the same code on the same data would fail the same way.
REVIVALS = 2

SILENCE_SECONDS = 9  # with --wait, until a line says that the run goes on

GRACE_SECONDS = 5  # for a step to end when the pipeline is interrupted

# What ClearML says of a task that has not been heard of for too long.
NOT_RESPONDING = "forced stop (non-responsive)"

# Options that say how to launch a run. They are no parameters of it, for a clone to take over.
LAUNCH_OPTIONS = ("local", "wait", "require_agents", "controller_queue")

SELECTION = "select_best_model"  # the last step


def build_pipeline(arguments: argparse.Namespace, reuse: bool) -> PipelineController:
    """The pipeline as a graph of steps; nothing runs yet.

    `reuse` lets steps that would only repeat an earlier one take its results. ClearML knows the code by its
    repository, commit and uncommitted changes, so where there is no repository it must not.
    """
    Task.force_requirements_env_freeze(requirements_file=REQUIREMENTS)
    with delayed_interrupt():
        pipeline = PipelineController(
            name=PIPELINE_NAME,
            project=PROJECT_NAME,
            pool_frequency=POLL_SECONDS / 60,
            output_uri=True,  # models go to the file server
            add_run_number=False,  # it takes the name for a regular expression
        )
        if Task.running_locally():
            number_run(pipeline.task)
        atexit.register(finish_first)  # called before what ClearML has registered
    pipeline.set_default_execution_queue(arguments.step_queue)
    for name, value in vars(arguments).items():
        if name in LAUNCH_OPTIONS:
            pipeline.task.delete_parameter(f"Args/{name}", force=True)  # its task is running already
        else:
            pipeline.add_parameter(name, value)

    def add_script(
        name: str, script: str, kind: str, parents: list[str], parameters: dict, reuse: bool = reuse
    ) -> None:
        pipeline.add_step(
            name,
            base_task_factory=task_factory(script, kind),
            parents=parents,
            parameter_override={f"Args/{key}": value for key, value in parameters.items()},
            cache_executed_step=reuse,
            status_change_callback=on_status_change,
        )

    def dataset_of(step: str) -> str:
        return f"${{{step}.artifacts.{DATASET_ID_ARTIFACT}.preview}}"

    data = {"query_date": arguments.query_date}
    add_script("get_data", "get_data.py", "data_processing", [], data)
    raw = {"dataset_id": dataset_of("get_data")}
    add_script("preprocess_data", "preprocessing.py", "data_processing", ["get_data"], raw)
    trainings = [f"model_training_{number}" for number in range(len(arguments.training_seeds))]
    for name, seed in zip(trainings, arguments.training_seeds, strict=True):
        parameters = {
            "dataset_id": dataset_of("preprocess_data"),
            "random_state": seed,
            "num_boost_round": arguments.num_boost_round,
        }
        add_script(name, "model_training.py", "training", ["preprocess_data"], parameters)
    candidates = {"candidates": ",".join(f"${{{name}.id}}" for name in trainings)}
    add_script(SELECTION, "model_selection.py", "qc", trainings, candidates, reuse=False)
    return pipeline


def number_run(task: Task) -> None:
    """Add " #2" and so on to the name of a pipeline's further runs, as ClearML itself does."""
    runs = Task.query_tasks(
        task_name=rf"^{re.escape(task.name)}( #\d+)?$",
        task_filter={"project": [task.project], "system_tags": ["pipeline"]},
    )
    if len(runs) > 1:
        task.set_name(f"{task.name} #{len(runs)}")


def task_factory(script: str, kind: str) -> Callable[[PipelineController.Node], Task]:
    """What makes a step's task: the code of the controller's own task, with another script to begin at.

    So no script needs to have run before, and every step runs the very code that the pipeline was started
    with, uncommitted edits included.
    """

    def make(node: PipelineController.Node) -> Task:
        code = Task.current_task().export_task()["script"]
        if code.get("repository"):
            code["entry_point"] = str(PurePosixPath(code["entry_point"]).with_name(script))
        else:
            # No repository, so ClearML stored this one file as if it were a diff: run the script from here.
            code.update(diff="", entry_point=str(Path(__file__).resolve().with_name(script)))
        task = Task.create(project_name=PROJECT_NAME, task_name=node.name, task_type=kind)
        task.update_task({"script": code})
        return task

    return make


def on_status_change(pipeline: PipelineController, node: PipelineController.Node, previous: str) -> None:
    """Say why a step failed; put a step whose agent died back into its queue.

    ClearML itself leaves the latter to an autoscaler, and would wait for it for ever.
    """
    if node.job is None:  # it was skipped, as a step before it failed
        return
    task = node.job.task
    task.reload()  # the controller looks at many tasks at once and gets their status alone
    if node.status == "failed":
        print(f"Step {node.name} failed: {reason(task)}")
    elif node.status == "aborted" and str(task.data.status_message).lower() == NOT_RESPONDING:
        if isinstance(node.job, LocalClearmlJob):  # its process may only have slept, with the whole machine
            return
        revivals = int(task.get_user_properties().get("revivals", {}).get("value", 0))
        if revivals >= REVIVALS:
            task.mark_failed(force=True, status_message=f"its agents died {revivals + 1} times")
            return
        print(f"Step {node.name} stopped responding, its agent seems to be gone: queueing it again")
        task.set_user_properties(revivals=revivals + 1)
        task._set_runtime_properties({ERROR_PROPERTY: ""})  # what the lost attempt said, if anything
        Task.enqueue(task, queue_name=pipeline.get_parameters()["step_queue"])


def reason(task: Task) -> str:
    """Why a task failed, as well as it can be told: what the script said, or the end of its log."""
    task.reload()
    if error := (task.data.runtime or {}).get(ERROR_PROPERTY):
        return error
    lines = [line for report in task.get_reported_console_output(5) for line in report.splitlines()]
    told = [line for line in lines if line.strip() and not line.startswith("Process failed, exit code")]
    return told[-1] if told else task.data.status_message or task.data.status_reason or "no reason given"


def stop_here(pipeline: PipelineController) -> None:
    """Stop a pipeline whose steps run on this machine, and their processes.

    ClearML leaves the processes alone: one that is just starting would call its task running again, and
    nobody would ever say otherwise.
    """
    if pipeline.is_running():  # not while it is still being made
        pipeline.stop(mark_aborted=True)
    jobs = [
        node.job for node in pipeline.get_pipeline_dag().values() if isinstance(node.job, LocalClearmlJob)
    ]
    processes = [job._job_process for job in jobs if job._job_process]
    for process in processes:  # both do nothing to one that has ended
        process.terminate() if sys.platform == "win32" else process.send_signal(signal.SIGINT)
    for process in processes:
        try:
            process.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    for job in jobs:
        job.task.reload()
        if job.task.status == "in_progress":
            job.task.mark_stopped(force=True)


def outcome(pipeline: PipelineController) -> int:
    """Print how a finished pipeline went, in its last lines, and return the exit code."""
    nodes = pipeline.get_pipeline_dag()
    failed = {n.name: n.job.task for n in nodes.values() if n.job and n.status not in ("completed", "cached")}
    selection = nodes[SELECTION].job
    return report_outcome(failed, selection.task if selection else None)


def report_outcome(failed: dict[str, Task], selection: Task | None) -> int:
    """Print why steps failed, or what the selection decided, and return the exit code."""
    for name, task in failed.items():
        print(f"Pipeline failed in step {name}: {reason(task)}")
    if failed or not selection:
        if not failed:
            print("The pipeline was stopped before it selected a model")
        return 1
    selection.reload()
    print(selection.get_parameter("return/decision"))
    return 0


def follow(controller: Task) -> int:
    """Print what becomes of an enqueued pipeline's steps until it ends; return the exit code."""
    shown: dict[str, str] = {}
    told = began = time.monotonic()
    while True:
        controller.reload()
        state = controller.status  # asked before the steps, so that it is never ahead of them
        wanted = {"parent": controller.id, "search_hidden": True}
        found = Task.query_tasks(task_filter=wanted, additional_return_fields=["name", "status"])
        for name, status in [("the pipeline", state), *((step["name"], step["status"]) for step in found)]:
            if shown.get(name) != status:
                shown[name], told = status, time.monotonic()
                print(f"{name}: {status}", flush=True)
        if state in (*ENDED, "created"):  # the latter if somebody took it out of its queue
            break
        if time.monotonic() - told > SILENCE_SECONDS:
            told = time.monotonic()
            unfinished = [f"{name} is {status}" for name, status in shown.items() if status not in ENDED]
            print(f"… {told - began:.0f} s: {', '.join(unfinished)}", flush=True)
        time.sleep(POLL_SECONDS)
    steps = Task.get_tasks(task_filter=wanted)
    failed = {step.name: step for step in steps if step.status not in FINISHED}
    selection = next((step for step in steps if step.name == SELECTION), None)
    code = report_outcome(failed, selection)
    if code == 0 and state not in FINISHED:
        print(f"Pipeline failed: {reason(controller)}")
        return 1
    return code


def unwatched(queues: list[str]) -> list[str]:
    """Those of the queues that no agent listens to; queues that do not exist yet are made."""
    client = APIClient()
    known = {queue.name for queue in client.queues.get_all()}
    for name in dict.fromkeys(queues):
        if name not in known:
            client.queues.create(name=name)
    watched = {queue.name for worker in client.workers.get_all() for queue in worker.queues or []}
    return [name for name in dict.fromkeys(queues) if name not in watched]


def take_parameters(arguments: argparse.Namespace, edited: dict[str, str]) -> None:
    """Put a run's parameters, as somebody may have edited them, in the place of the arguments.

    ClearML does that, too, but takes the default, without a word, where it cannot read what was typed.
    UserError names it.
    """
    for name in list(vars(arguments)):
        text = edited.get(f"Args/{name}")
        if text is None or name in LAUNCH_OPTIONS:
            continue
        read = whole_numbers if name == "training_seeds" else type(getattr(arguments, name))
        try:
            setattr(arguments, name, read(text))
        except ValueError as error:
            wanted = "whole numbers, such as 41 42" if read is whole_numbers else "a whole number"
            raise UserError(f"the parameter {name} of this run is '{text}': give {wanted}") from error


def whole_numbers(text: str) -> list[int]:
    """One or more numbers in a line, with or without commas and brackets; ValueError if they are none."""
    numbers = [int(part) for part in text.strip().strip("[]").replace(",", " ").split()]
    if not numbers:
        raise ValueError(text)
    return numbers


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    add = parser.add_argument
    add("--query-date", default="2022-01-01", help="close approaches up to this day (%(default)s)")
    add(
        "--training-seeds",
        type=int,
        nargs="+",
        default=[42, 420, 500],
        help="one step each (%(default)s)",
    )
    add("--num-boost-round", type=int, default=1000, help="most trees that a model may have (%(default)s)")
    add("--step-queue", default=STEP_QUEUE, help="queue of the steps (%(default)s)")
    add("--controller-queue", default=CONTROLLER_QUEUE, help="queue of the controller (%(default)s)")
    add("--local", action="store_true", help="run controller and steps on this machine, without agents")
    add("--wait", action="store_true", help="follow the enqueued run, and end with its outcome and exit code")
    add("--require-agents", action="store_true", help="refuse to enqueue what no agent listens for")
    return parser.parse_args()


def run_here(arguments: argparse.Namespace, edits: str | None) -> int:
    """Run controller and steps on this machine. Without `edits`, ClearML does not know the code."""
    pipeline = build_pipeline(arguments, reuse=edits is not None)
    try:
        if edits is not None:
            record_edits(pipeline.task, edits)
        pipeline.start_locally(run_pipeline_steps_locally=True)
    except KeyboardInterrupt:
        with delayed_interrupt():
            stop_here(pipeline)
        raise
    return outcome(pipeline)


def enqueue(arguments: argparse.Namespace, edits: str) -> int:
    """Hand the pipeline to agents; with --wait, follow it to its end."""
    check_for_agents(edits)
    queues = unwatched([arguments.controller_queue, arguments.step_queue])
    if queues:
        told = " and ".join(f"'{name}'" for name in queues)
        commands = "; ".join(
            f"clearml-agent daemon --queue {shell_quoted(name)} --detached" for name in queues
        )
        print(f"No agent listens to {told}. On any machine, run: {commands}")
        if arguments.require_agents:
            return 1
    pipeline = build_pipeline(arguments, reuse=True)
    record_edits(pipeline.task, edits)
    pipeline.create_draft()
    Task.enqueue(pipeline.task, queue_name=arguments.controller_queue)
    print("The pipeline is enqueued for agents: its page tells when it has completed", flush=True)
    if not arguments.wait:
        return 0
    try:
        return follow(pipeline.task)
    except KeyboardInterrupt:
        print("The pipeline goes on: its page can abort it")
        raise


def main() -> int:
    report_errors_in_one_line(record=keep_reason)
    arguments = parse_arguments()
    sys.stdout.reconfigure(line_buffering=True)  # it tells of steps as they come, through a pipe as well
    if wrong := wrong_name():
        raise UserError(wrong)
    connect()
    watch_server()
    if not Task.running_locally():  # an agent executes this
        take_parameters(arguments, Task.get_task(task_id=get_remote_task_id()).get_parameters())
        pipeline = build_pipeline(arguments, reuse=True)
        pipeline.start()
        return outcome(pipeline)

    why = why_unreachable()
    if why and not arguments.local:
        if arguments.require_agents:
            raise UserError(f"agents could not get this code, as {why}: push it to a remote")
        print(f"Agents could not get this code, as {why}: running on this machine")
    if not (why or arguments.local):
        return enqueue(arguments, uncommitted_edits())
    edits = None
    if not why:
        try:
            edits = uncommitted_edits()
        except UserError as error:
            print(f"No step is reused, as ClearML cannot know this code: {error}")
    return run_here(arguments, edits)


if __name__ == "__main__":
    sys.exit(main())
