"""Chain the three tracked scripts into a ClearML pipeline, and promote the best model if it is no worse.

    python pipeline.py                            # on ClearML agents: controller and steps are enqueued
    python pipeline.py --local                    # the same on this machine, no agent needed
    python pipeline.py --training-seeds 1 2 3 4 --query-date 2010-01-01

get_data -> preprocess_data -> model_training_0, 1, … (one for each seed, in parallel) -> select_best_model.
Each step gets the id of the dataset that the step before it made, so that two pipelines at once never mix.
A run can be cloned in the ClearML UI and its parameters edited: more seeds make more training steps.
"""

import argparse
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from clearml import PipelineController, Task
from clearml.automation.job import LocalClearmlJob
from clearml.backend_api.session.client import APIClient
from clearml.config import get_remote_task_id

from global_config import (
    CHAMPION_TAG,
    CONTROLLER_QUEUE,
    LABEL_COLUMN,
    MODEL_NAME,
    PIPELINE_NAME,
    PROJECT_NAME,
    STEP_QUEUE,
    TEST_SET_ARTIFACT,
)
from tracking import (
    DATASET_ID_ARTIFACT,
    ERROR_PROPERTY,
    InputError,
    check_local_server,
    delayed_interrupt,
    report_errors_in_one_line,
)

# How often the controller looks at its steps. ClearML's own 12 s would be most of the time that the pipeline
# takes; a request a second is little even for a server that many share.
POLL_SECONDS = 1.0

# How often a step whose agent died is put back into its queue. A step that failed by itself is not tried
# again: the same code on the same data would fail the same way.
REVIVALS = 2

GRACE_SECONDS = 5  # for a step to end when the pipeline is interrupted

LARGEST_DIFF = 500_000  # characters: ClearML stores a remark in place of a larger one

# What ClearML says of a task that has not been heard of for too long.
NOT_RESPONDING = "forced stop (non-responsive)"

# Options that say how to launch a run. They are no parameters of it, for a clone to take over.
LAUNCH_OPTIONS = ("local", "require_agents", "controller_queue")


def compare(winner: dict[str, float], champion: dict[str, float] | None) -> tuple[bool, str]:
    """Whether the winner may take the champion's place, and why: on the test set it must be no worse."""
    if champion is None:
        return True, "there is no champion yet"
    told, worse = [], []
    for name in ("PR-AUC", "F1"):
        new, old, digits = winner[name], champion[name], 4
        while new != old and digits < 17 and f"{new:.{digits}f}" == f"{old:.{digits}f}":
            digits += 1  # as many as it takes to see which one is greater
        told.append(f"{name} {new:.{digits}f} against {old:.{digits}f}")
        worse += [name] if new < old else []
    reason = f"{', '.join(told)} on the test set"
    return not worse, f"{reason}: worse in {' and '.join(worse)}" if worse else reason


def find_champions(project: str, model_name: str, champion_tag: str) -> list:
    """The published models with the champion's tag, the true one at the end; one, as a rule (see `crown`)."""
    from clearml import Model

    def rank(model: Model) -> tuple:
        number, score = (model.get_metadata(f"{champion_tag} {what}") or 0 for what in ("number", "PR-AUC"))
        return int(number), float(score), model.id

    wanted = {"project_name": project, "model_name": model_name, "tags": [champion_tag]}
    return sorted(Model.query_models(**wanted, only_published=True), key=rank)


def crown(winner_id: str, judged_id: str | None, score: float, *names: str) -> str:
    """Publish a model and hand it the champion's tag; returns the id of the champion that there is then.

    `judged_id` is the champion that it was compared with, `score` its PR-AUC on the test set, and `names`
    are what `find_champions` takes. ClearML cannot do that in one step, so pipelines that promote at the
    same moment do not see each other's winner. Each winner is numbered one above the champion that it was
    judged against, and whoever comes to see several takes the tag from all but the highest: of two that
    were judged against the same one, the better. One is left, the same one for all.
    """
    from clearml import Model

    tag = names[-1]
    judged = int(Model(judged_id).get_metadata(f"{tag} number") or 0) if judged_id else 0
    winner, former = Model(winner_id), f"former {tag}"
    winner.set_metadata(f"{tag} number", str(judged + 1), "int")
    winner.set_metadata(f"{tag} PR-AUC", str(score), "float")
    winner.publish()
    winner.tags = [*(each for each in winner.tags or [] if each != former), tag]
    *others, champion = find_champions(*names)
    for old in others:  # another tag takes its place, as the SDK cannot take away a model's last one
        old.tags = [former, *(each for each in old.tags if each != tag)]
    return champion.id


def select_best_model(
    project: str,
    model_name: str,
    champion_tag: str,
    test_set_artifact: str,
    label_column: str,
    **candidates: str,
) -> str:
    """Choose the candidate with the best validation PR-AUC; promote it if it is no worse than the champion.

    `candidates` are the ids of the training tasks. The champion is the published model with the champion's
    tag; both are judged on the test set of this run. Returns the decision in words.

    ClearML makes a task of this function alone, so it gets what it needs as arguments and imports.
    """
    import pandas as pd
    import xgboost
    from clearml import Model, Task
    from sklearn.metrics import average_precision_score, f1_score

    def judge(model: Model, test_set: pd.DataFrame) -> dict[str, float]:
        booster = xgboost.Booster(model_file=model.get_local_copy(raise_on_error=True))
        labels = test_set[label_column]
        probabilities = booster.predict(xgboost.DMatrix(test_set[booster.feature_names]))
        answers = probabilities >= float(booster.attr("threshold"))
        return {"PR-AUC": average_precision_score(labels, probabilities), "F1": f1_score(labels, answers)}

    # A clone with fewer seeds still names the trainings it no longer has, by references that lead nowhere.
    steps = {name: task_id for name, task_id in candidates.items() if not task_id.startswith("$")}
    tasks = [Task.get_task(task_id) for task_id in steps.values()]
    values = [task.get_reported_single_values() for task in tasks]
    best = max(range(len(tasks)), key=lambda i: values[i]["validation PR-AUC"])
    winner = tasks[best].models["output"][-1]
    test_set = tasks[best].artifacts[test_set_artifact].get()

    champion = next(reversed(find_champions(project, model_name, champion_tag)), None)
    winner_scores = judge(winner, test_set)
    champion_scores = None
    try:
        champion_scores = judge(champion, test_set) if champion else None
        promote, reason = compare(winner_scores, champion_scores)
    except (KeyError, TypeError, ValueError) as error:
        promote = False
        reason = (
            f"it cannot be judged on this test set ({error}); take its tag away to replace it all the same"
        )

    if champion and champion.id == winner.id:
        decision = f"Model {winner.id} stays the champion: no candidate is better than it was"
    elif promote:
        judged, score = champion and champion.id, winner_scores["PR-AUC"]
        crowned = crown(winner.id, judged, score, project, model_name, champion_tag)
        if crowned == winner.id:
            decision = f"Model {winner.id} is the new champion: {reason}"
        else:
            decision = f"Model {crowned} is the champion: it was promoted at the same moment as {winner.id}"
    else:
        decision = f"Model {champion.id} stays the champion, {winner.id} is not promoted: {reason}"

    names = ["validation PR-AUC", "accuracy", "recall", "precision", "F1", "PR-AUC", "Brier"]
    rows = {
        f"{step} ({task.models['output'][-1].id[:8]})": {name: found.get(name) for name in names}
        for step, task, found in zip(steps, tasks, values, strict=True)  # a reused task may have another name
    }
    if champion:
        rows[f"champion until now ({champion.id[:8]})"] = champion_scores
    for baseline in ("rule", "majority class"):
        rows[baseline] = {name: values[best].get(f"{name} of the {baseline}") for name in names}
    table = pd.DataFrame(rows).T[names].map(lambda value: "" if pd.isna(value) else f"{value:.4f}")
    print(table.to_string())
    print(decision)
    pipeline = Task.get_task(Task.current_task().parent)
    logger = pipeline.get_logger()
    logger.report_table("Model selection", "candidates", iteration=0, table_plot=table)
    logger.report_text(decision, print_console=False)  # this step's own log has it already
    logger.flush(wait=True)
    return decision


def build_pipeline(arguments: argparse.Namespace, reuse: bool) -> PipelineController:
    """The pipeline as a graph of steps; nothing runs yet.

    `reuse` lets steps that would only repeat an earlier one take its results. ClearML knows the code by its
    repository, commit and uncommitted changes, so where there is no repository it must not.
    """
    with delayed_interrupt():
        pipeline = PipelineController(
            name=PIPELINE_NAME,
            project=PROJECT_NAME,
            pool_frequency=POLL_SECONDS / 60,
            output_uri=True,  # models go to the file server
            skip_global_imports=True,
        )
    pipeline.set_default_execution_queue(arguments.step_queue)
    for name, value in vars(arguments).items():
        if name in LAUNCH_OPTIONS:
            pipeline.task.delete_parameter(f"Args/{name}")
        else:
            pipeline.add_parameter(name, value)

    def add_script(name: str, script: str, kind: str, parents: list[str], parameters: dict) -> None:
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
    pipeline.add_function_step(
        "select_best_model",
        select_best_model,
        function_kwargs={
            "project": PROJECT_NAME,
            "model_name": MODEL_NAME,
            "champion_tag": CHAMPION_TAG,
            "test_set_artifact": TEST_SET_ARTIFACT,
            "label_column": LABEL_COLUMN,
            **{name: f"${{{name}.id}}" for name in trainings},
        },
        function_return=["decision"],
        helper_functions=[compare, find_champions, crown],
        parents=trainings,
        packages=["clearml", "pandas", "scikit-learn", "xgboost<3.1"],
        status_change_callback=on_status_change,
    )
    return pipeline


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
        code["requirements"] = {}  # agents take them from the repository's requirements.txt
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
    for process in processes:
        process.send_signal(signal.SIGINT)  # does nothing to one that has ended
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
    failed = [n for n in nodes.values() if n.job and n.status not in ("completed", "cached")]
    for node in failed:
        print(f"Pipeline failed in step {node.name}: {reason(node.job.task)}")
    selection = nodes["select_best_model"].job
    if failed or not selection:
        if not failed:
            print("The pipeline was stopped before it selected a model")
        return 1
    selection.task.reload()
    print(selection.task.get_parameter("return/decision"))
    return 0


def unwatched(queues: list[str]) -> list[str]:
    """Those of the queues that no agent listens to; queues that do not exist yet are made."""
    client = APIClient()
    known = {queue.name for queue in client.queues.get_all()}
    for name in dict.fromkeys(queues):
        if name not in known:
            client.queues.create(name=name)
    watched = {queue.name for worker in client.workers.get_all() for queue in worker.queues or []}
    return [name for name in dict.fromkeys(queues) if name not in watched]


def git(*arguments: str) -> str:
    """What git prints of the repository of this file; nothing where there is none, or no git."""
    command = ["git", "-C", str(Path(__file__).resolve().parent), *arguments]
    try:
        return subprocess.run(command, capture_output=True, text=True, errors="replace", check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return ""


def unreachable() -> str | None:
    """Why agents could not get this code, or None: git has to know it, and an address to clone it from."""
    if not git("ls-files", Path(__file__).name):  # a repository around this folder may be of something else
        return "it is in no git checkout"
    if git("ls-remote", "--get-url").strip() in ("", "origin"):  # the latter where there is none
        return "git knows no remote here"
    return None


def check_changes() -> None:
    """InputError if ClearML would leave out the uncommitted changes, and all steps run without them."""
    size = len(git("diff", "HEAD"))
    if size > LARGEST_DIFF:
        raise InputError(
            f"the uncommitted changes have {size:,} characters, ClearML keeps {LARGEST_DIFF:,}: commit them"
        )


def take_parameters(arguments: argparse.Namespace, edited: dict[str, str]) -> None:
    """Put a run's parameters, as somebody may have edited them, in the place of the arguments.

    ClearML does that, too, but takes the default, without a word, where it cannot read what was typed.
    InputError names it.
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
            raise InputError(f"the parameter {name} of this run is '{text}': give {wanted}") from error


def whole_numbers(text: str) -> list[int]:
    """One or more numbers in a line, with or without commas and brackets; ValueError if they are none."""
    numbers = [int(part) for part in text.strip().strip("[]").replace(",", " ").split()]
    if not numbers:
        raise ValueError(text)
    return numbers


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    add = parser.add_argument
    add("--query-date", default="2022-01-01", help="close approaches up to this day (%(default)s)")
    add("--training-seeds", type=int, nargs="+", default=[42, 420, 500], help="one training step each")
    add("--num-boost-round", type=int, default=1000, help="most trees that a model may have (%(default)s)")
    add("--step-queue", default=STEP_QUEUE, help="queue of the steps (%(default)s)")
    add("--controller-queue", default=CONTROLLER_QUEUE, help="queue of the controller (%(default)s)")
    add("--local", action="store_true", help="run controller and steps on this machine, without agents")
    add("--require-agents", action="store_true", help="refuse to enqueue what no agent listens for")
    return parser.parse_args()


def main() -> int:
    report_errors_in_one_line()
    arguments = parse_arguments()
    sys.stdout.reconfigure(line_buffering=True)  # it tells of steps as they come, through a pipe as well
    if not Task.running_locally():  # an agent executes this
        take_parameters(arguments, Task.get_task(task_id=get_remote_task_id()).get_parameters())
        pipeline = build_pipeline(arguments, reuse=True)
        pipeline.start()
        return outcome(pipeline)

    check_local_server()
    check_changes()
    APIClient()  # takes over the environment in clearml.conf: the local stack's tells git of a remote
    why = unreachable()
    if why and not arguments.local:
        if arguments.require_agents:
            raise InputError(f"agents could not get this code, as {why}: push it to a remote")
        print(f"Agents could not get this code, as {why}: running on this machine")
    if why or arguments.local:
        pipeline = build_pipeline(arguments, reuse=not why)
        try:
            pipeline.start_locally(run_pipeline_steps_locally=True)
        except KeyboardInterrupt:
            with delayed_interrupt():
                stop_here(pipeline)
            raise
        return outcome(pipeline)

    queues = unwatched([arguments.controller_queue, arguments.step_queue])
    if queues:
        commands = "; ".join(f'clearml-agent daemon --queue "{name}"' for name in queues)
        print(f"No agent listens to {' and '.join(map(repr, queues))}. On any machine, run: {commands}")
        if arguments.require_agents:
            return 1
    pipeline = build_pipeline(arguments, reuse=True)
    print("Enqueueing the pipeline for agents: its page tells when it has completed")
    pipeline.start(queue=arguments.controller_queue)
    raise AssertionError("start() ends the process once the pipeline is enqueued")


if __name__ == "__main__":
    sys.exit(main())
