"""Chain the tracked scripts into a ClearML pipeline, and promote the best model if it beats the champion.

    python pipeline.py                            # on ClearML agents: controller and steps are enqueued
    python pipeline.py --wait                     # the same, and follow the run to its end
    python pipeline.py --local                    # on this machine, no agent needed
    python pipeline.py --training-seeds 1 2 3 4 --query-date 2010-01-01
    python pipeline.py --training-seeds 42 --grid max_depth=3,4 eta=0.2,0.1

get_data -> preprocess_data -> model_training_0, 1, … (in parallel) -> select_best_model. There is a training
for each combination of the grid's values and each seed, the first with the first of them all.
Each step gets the id of the dataset that the step before it made, so that two pipelines at once never mix.
A run can be cloned in the ClearML UI and its parameters edited: more seeds make more training steps.
"""

import argparse
import sys
from io import TextIOWrapper
from itertools import product

from clearml_tools.errors import UserError, report_errors_in_one_line

from clearml import PipelineController, Task

from asteroids.configuration import check_configuration
from clearml_tools.checkout import check_for_agents, record_edits, uncommitted_edits, why_unreachable
from clearml_tools.connection import connect, watch_server
from clearml_tools.datasets import dataset_id_of_step
from clearml_tools.interrupts import delayed_interrupt
from clearml_tools.name_limits import check_names
from clearml_tools.pipeline_progress import follow, print_outcome_of
from clearml_tools.pipeline_steps import ScriptPipeline, apply_edited_parameters, parse_grid, stop_local_steps
from clearml_tools.queues import print_agent_commands, queues_without_agent
from clearml_tools.sdk_internals import executed_task
from clearml_tools.tasks import keep_reason
from global_config import CONTROLLER_QUEUE, SELECTION_STEP, STEP_QUEUE

# Options that say how to launch a run. A clone does not get them as parameters.
LAUNCH_OPTIONS = ("local", "wait", "require_agents", "controller_queue")

# What --grid may vary: the arguments of model_training.py that are XGBoost's own.
GRID_PARAMETERS = dict.fromkeys(
    ["eta", "max_depth", "min_child_weight", "subsample", "colsample_bytree", "reg_lambda", "gamma"], float
) | {"max_depth": int}


def build_pipeline(arguments: argparse.Namespace, reuse: bool) -> PipelineController:
    """Return the graph of steps; nothing runs yet. `reuse` lets steps take the results of earlier runs."""
    editable = {name: value for name, value in vars(arguments).items() if name not in LAUNCH_OPTIONS}
    pipeline = ScriptPipeline(editable, arguments.step_queue, reuse, forget=LAUNCH_OPTIONS)
    kinds, add_script = Task.TaskTypes, pipeline.add_script
    query = {"query_date": arguments.query_date, "csv": arguments.csv}
    # A table elsewhere may have got new rows since an earlier run.
    add_script("get_data", "get_data.py", kinds.data_processing, [], query, reuse=not arguments.csv)
    raw = {"dataset_id": dataset_id_of_step("get_data")}
    add_script("preprocess_data", "preprocessing.py", kinds.data_processing, ["get_data"], raw)
    grid, seeds = parse_grid(arguments.grid, GRID_PARAMETERS), arguments.training_seeds
    trainings: list[str] = []
    for combination, seed in product(grid, seeds):
        parameters = {
            "dataset_id": dataset_id_of_step("preprocess_data"),
            "random_state": seed,
            "num_boost_round": arguments.num_boost_round,
            **combination,
        }
        trainings.append(f"model_training_{len(trainings)}")
        add_script(trainings[-1], "model_training.py", kinds.training, ["preprocess_data"], parameters)
    candidates = {"candidates": ",".join(f"${{{name}.id}}" for name in trainings)}
    # Never reused: the champion may be another one by now.
    add_script(SELECTION_STEP, "model_selection.py", kinds.qc, trainings, candidates, reuse=False)
    return pipeline.controller


def run_on_agent(arguments: argparse.Namespace) -> int:
    """Run the controller on the agent that executes this, with the parameters that its task has."""
    apply_edited_parameters(arguments, executed_task().get_parameters(), skip=LAUNCH_OPTIONS)
    pipeline = build_pipeline(arguments, reuse=True)
    pipeline.start()
    return print_outcome_of(pipeline, SELECTION_STEP)


def run_here(arguments: argparse.Namespace, edits: str | None) -> int:
    """Run controller and steps on this machine. Without `edits`, ClearML does not know the code."""
    pipeline = build_pipeline(arguments, reuse=edits is not None)
    try:
        if edits is not None:
            record_edits(pipeline.task, edits)
        pipeline.start_locally(run_pipeline_steps_locally=True)
    except KeyboardInterrupt:
        with delayed_interrupt():
            stop_local_steps(pipeline)
        raise
    return print_outcome_of(pipeline, SELECTION_STEP)


def enqueue(arguments: argparse.Namespace, edits: str) -> int:
    """Hand the pipeline to agents; with --wait, follow it to its end."""
    check_for_agents(edits)
    if queues := queues_without_agent([arguments.controller_queue, arguments.step_queue]):
        print_agent_commands(queues)
        if arguments.require_agents:
            return 1
    pipeline = build_pipeline(arguments, reuse=True)
    record_edits(pipeline.task, edits)
    pipeline.create_draft()
    Task.enqueue(pipeline.task, queue_name=arguments.controller_queue)
    print("The pipeline is enqueued for agents: its page shows when it has completed", flush=True)
    if not arguments.wait:
        return 0
    try:
        return follow(pipeline.task, SELECTION_STEP)
    except KeyboardInterrupt:
        print("The pipeline goes on: its page can abort it")
        raise


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    add = parser.add_argument
    # Empty, not None, which would reach a step as the text "None".
    add("--query-date", default="", help="keep rows up to this day, YYYY-MM-DD (all rows)")
    add("--csv", default="", help="table to take, an address that agents reach (the table in data/)")
    add("--training-seeds", type=int, nargs="+", default=[42, 420, 500], help="one step each (%(default)s)")
    grid = "values that model_training.py shall try, such as max_depth=3,4 eta=0.2,0.1 (its own)"
    add("--grid", nargs="+", default=[], metavar="NAME=VALUES", help=grid)
    add("--num-boost-round", type=int, default=1000, help="most trees that a model may have (%(default)s)")
    add("--step-queue", default=STEP_QUEUE, help="queue of the steps (%(default)s)")
    add("--controller-queue", default=CONTROLLER_QUEUE, help="queue of the controller (%(default)s)")
    add("--local", action="store_true", help="run controller and steps on this machine, without agents")
    add("--wait", action="store_true", help="follow the enqueued run, and end with its outcome and exit code")
    add("--require-agents", action="store_true", help="refuse to enqueue what no agent listens for")
    arguments = parser.parse_args()
    arguments.grid = " ".join(arguments.grid or [])  # one text, as the ClearML UI shows it
    return arguments


def main() -> int:
    report_errors_in_one_line(record=keep_reason)
    arguments = parse_arguments()
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)  # each line at once, through a pipe as well
    parse_grid(arguments.grid, GRID_PARAMETERS)  # refused before there is a task
    check_names()
    check_configuration()
    connect()
    watch_server()
    if not Task.running_locally():  # an agent executes this
        return run_on_agent(arguments)

    why = why_unreachable()
    if not (why or arguments.local):
        return enqueue(arguments, uncommitted_edits())
    if why and not arguments.local:
        if arguments.require_agents:
            raise UserError(f"agents could not get this code, as {why}: push it to a remote")
        print(f"Agents could not get this code, as {why}: running on this machine")
    edits = None
    if not why:
        try:
            edits = uncommitted_edits()
        except UserError as error:
            print(f"No step is reused, as ClearML cannot know this code: {error}")
    return run_here(arguments, edits)


if __name__ == "__main__":
    sys.exit(main())
