"""Print the progress of a pipeline, and how it ended, for a terminal."""

import time

from clearml import PipelineController, Task

from clearml_tools.tasks import ENDED, FINISHED, failure_reason

# The parameter in which the last step of a pipeline keeps what it decided, in a sentence. Its section is
# not "Args": the decision is no argument of a clone.
DECISION_PARAMETER = "return/decision"

POLL_SECONDS = 1
SILENCE_SECONDS = 9  # until a line says that the run goes on


def follow(controller: Task, last_step: str, only_ends: bool = False) -> int:
    """Print what becomes of an enqueued pipeline's steps, or how each ends; return the exit code."""
    printed: dict[str, str] = {}
    last_print = began = time.monotonic()
    while True:
        states = current_states(controller)
        for name, status in states.items():
            if printed.get(name) != status and (status in ENDED or not only_ends):
                printed[name], last_print = status, time.monotonic()
                print(f"{name}: {status}", flush=True)
        if states["the pipeline"] in (*ENDED, "created"):  # the latter if somebody took it out of its queue
            break
        if not only_ends and time.monotonic() - last_print > SILENCE_SECONDS:
            last_print = time.monotonic()
            unfinished = [f"{name} is {status}" for name, status in states.items() if status not in ENDED]
            print(f"… {last_print - began:.0f} s: {', '.join(unfinished)}", flush=True)
        time.sleep(POLL_SECONDS)
    return outcome(controller, last_step)


def outcome(controller: Task, last_step: str) -> int:
    """Print how a pipeline that agents have run has ended, and return the exit code."""
    steps = {step.name: step for step in Task.get_tasks(task_filter=steps_filter(controller))}
    failed = {name: step for name, step in steps.items() if step.status not in FINISHED}
    code = print_outcome(failed, steps.get(last_step))
    controller.reload()
    if code == 0 and controller.status not in FINISHED:
        print(f"Pipeline failed: {failure_reason(controller)}")
        return 1
    return code


def current_states(controller: Task) -> dict[str, str]:
    """Return the states of a pipeline and of its steps, by name."""
    controller.reload()
    states = {"the pipeline": str(controller.status)}  # asked before the steps, so that it is never ahead
    wanted = {"task_filter": steps_filter(controller), "additional_return_fields": ["name", "status"]}
    return states | {step["name"]: str(step["status"]) for step in Task.query_tasks(**wanted)}


def steps_filter(controller: Task) -> dict[str, object]:
    """Return the filter that finds the tasks of a pipeline's steps."""
    return {"parent": controller.id, "search_hidden": True}


def print_outcome_of(pipeline: PipelineController, last_step: str) -> int:
    """Print how a pipeline of this process ended, in its last lines, and return the exit code."""
    nodes = pipeline.get_pipeline_dag()
    failed = {n.name: n.job.task for n in nodes.values() if n.job and n.status not in ("completed", "cached")}
    job = nodes[last_step].job
    return print_outcome(failed, job.task if job else None)


def print_outcome(failed: dict[str, Task], decisive: Task | None) -> int:
    """Print why steps failed, or what the decisive step decided, and return the exit code."""
    for name, task in failed.items():
        print(f"Pipeline failed in step {name}: {failure_reason(task)}")
    if failed:
        return 1
    if not decisive:
        print("The pipeline was stopped before it selected a model")
        return 1
    decisive.reload()
    print(decisive.get_parameter(DECISION_PARAMETER))
    return 0
