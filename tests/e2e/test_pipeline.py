"""pipeline.py: whole runs, on real agents and without any."""

import csv
import json
import os
import re
import signal
import sys
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock

import pytest
from clearml.automation.job import LocalClearmlJob

from clearml_tools.pipeline_steps import number_run
from clearml_tools.requeue_steps import on_status_change
from clearml_tools.tasks import ENDED, failure_reason, set_failure_reason
from local_stack.processes import Processes
from local_stack.waiting import Child, wait_until
from tests.support.agents import start_agent
from tests.support.checkouts import Checkout

pytestmark = pytest.mark.e2e


# Why a step failed


def failed_step(sdk) -> SimpleNamespace:
    """A step of a pipeline whose agent died just when the script had said what is wrong."""
    task = sdk.Task.create(project_name="Steps that fail", task_name="a step")
    set_failure_reason(task, "no asteroids")
    task.mark_started(force=True)
    task.mark_stopped(force=True, status_message="Forced stop (non-responsive)")
    return SimpleNamespace(name="a step", status="aborted", job=SimpleNamespace(task=task))


def test_a_step_that_is_queued_again_no_longer_shows_why_it_failed(sdk):
    node, queue = failed_step(sdk), f"steps {uuid.uuid4().hex[:8]}"
    assert failure_reason(node.job.task) == "no asteroids"
    sdk.backend_api.session.client.APIClient().queues.create(name=queue)
    on_status_change(queue, Mock(), node, "running")
    assert node.job.task.status == "queued"
    assert "no asteroids" not in failure_reason(node.job.task)


def test_a_step_on_this_machine_that_fell_silent_is_not_given_to_agents(sdk):
    node = failed_step(sdk)
    node.job = Mock(spec=LocalClearmlJob, task=node.job.task)
    on_status_change("no queue", Mock(), node, "running")
    assert node.job.task.status == "stopped"


# Launching


def test_runs_are_numbered_whatever_the_pipelines_name(sdk):
    """ClearML's own numbering takes the name for a regular expression."""
    project, names = f"Numbers {uuid.uuid4().hex[:8]}", []
    for name in ["a pipeline", "a (pipeline) [", "a (pipeline) [", "a (pipeline) ["]:
        task = sdk.Task.create(project, name)
        task.set_system_tags(["pipeline"])
        number_run(task)
        names.append(task.name)
    assert names == ["a pipeline", "a (pipeline) [", "a (pipeline) [ #2", "a (pipeline) [ #3"]


def test_queues_that_no_agent_listens_to_are_named_with_the_commands(checkout):
    done = checkout.run("pipeline.py", "--require-agents", "--step-queue", "no one here", check=False)
    assert done.returncode == 1
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("No agent listens to")]
    assert 'clearml-agent daemon --queue "no one here"' in line
    assert "created new task" not in done.stdout


def test_code_without_a_remote_is_enqueued_where_clearml_conf_tells_git_of_one(checkout, tmp_path):
    environment, git = {}, {}
    for name, value in checkout.environment.items():
        (git if name.startswith("GIT_CONFIG_") else environment)[name] = value
    told = ", ".join(f"{name}: {json.dumps(value)}" for name, value in git.items())
    text = Path(environment["CLEARML_CONFIG_FILE"]).read_text()
    (tmp_path / "clearml.conf").write_text(f"{text}\nsdk.apply_environment: true\nenvironment {{ {told} }}\n")
    environment["CLEARML_CONFIG_FILE"] = str(tmp_path / "clearml.conf")
    options = ["--require-agents", "--step-queue", "no one here"]
    done = checkout.run("pipeline.py", *options, check=False, environment=environment)
    assert done.returncode == 1
    assert "No agent listens to" in done.stdout


@pytest.mark.parametrize("to", ["all of them", "the pipeline alone"])
def test_ctrl_c_ends_the_steps_on_this_machine_as_well(checkout, sdk, to):
    command = [sys.executable, "pipeline.py", "--local", "--query-date", "2004-01-01"]
    settings = {"cwd": checkout.folder, "env": checkout.environment, "start_new_session": True}
    with Child(command, **settings) as process:
        steps = wait_until(lambda: running_steps(checkout, sdk), "a step that runs", process.output)
        time.sleep(1)  # its process has started, and its own part in ClearML not yet
        if to == "all of them":  # as a terminal does
            os.killpg(process.pid, signal.SIGINT)
        else:
            process.send_signal(signal.SIGINT)
        assert process.wait_for_end() == -signal.SIGINT, process.output()
        with pytest.raises(ProcessLookupError):
            os.killpg(process.pid, 0)
    assert "pipeline.py: interrupted" in process.output().splitlines()
    assert sdk.Task.get_task(steps[0]).status in ("stopped", "failed")  # whoever is first to say so
    assert running_steps(checkout, sdk) == []


def running_steps(checkout: Checkout, sdk) -> list[str]:
    """The ids of the running tasks of the checkout's project."""
    return sdk.Task.query_tasks(
        project_name=checkout.project, task_filter={"status": ["in_progress"], "search_hidden": True}
    )


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ("without a remote", "git knows no remote here: running on this machine"),
        ("no git checkout", "it is in no git checkout: running on this machine"),
        ("edits too large", "ClearML keeps 500,000: commit them"),
    ],
)
def test_code_that_clearml_cannot_keep_runs_where_it_is_and_says_why(checkout, state, words, tmp_path):
    environment = {k: v for k, v in checkout.environment.items() if not k.startswith("GIT_CONFIG")}
    options = ["--query-date", "soon"]
    if state == "no git checkout":
        environment["GIT_DIR"] = str(tmp_path / "nothing here")
    if state == "edits too large":
        checkout = Checkout(tmp_path / "large", environment, remote="https://git.invalid/asteroids.git")
        (checkout.folder / "LICENSE").write_text("long\n" * 200_000)
        environment, options = checkout.environment, [*options, "--local"]
    done = checkout.run("pipeline.py", *options, check=False, environment=environment)
    assert words in done.stdout
    assert done.returncode == 1
    assert done.stdout.splitlines()[-1] == (
        "Pipeline failed in step get_data: "
        "--query-date 'soon' is not a date: give one as YYYY-MM-DD, such as 2010-01-01"
    )


# On agents


class Pipelines:
    """Pipelines started from checkouts, on queues that only this test's agents listen to."""

    def __init__(self, sdk, mark: str) -> None:
        self.sdk = sdk
        # As odd as can be: a name is neither a regular expression nor a reference to a step.
        odd = rf"()[]{{}}|?*+.^$ \/ ${{x}} {mark}"
        self.step_queue, self.controller_queue = f"steps {odd}", f"controllers {odd}"

    def launch(self, checkout: Checkout, *arguments: object) -> str:
        queues = ["--step-queue", self.step_queue, "--controller-queue", self.controller_queue]
        done = checkout.run("pipeline.py", *queues, *arguments)
        return re.search(r"created new task id=(\w+)", done.stdout)[1]

    def wait(self, controller: str):
        """The controller's task when it has ended."""
        task = self.sdk.Task.get_task(controller)

        def has_ended() -> bool:
            task.reload()
            return task.status in ENDED

        # Longer than other waits, as it is for four processes one after another, each with much to import.
        wait_until(has_ended, f"the end of the pipeline {controller}", lambda: console(task), seconds=600)
        return task

    def steps(self, controller: str) -> dict:
        """The tasks that the pipeline made, by the names of their steps."""
        found = self.sdk.Task.get_tasks(task_filter={"parent": controller, "search_hidden": True})
        return {task.name: task for task in found}


def console(task) -> str:
    return "".join(task.get_reported_console_output(100))


@pytest.fixture(scope="module")
def pipelines(checkout, sdk, tmp_path_factory) -> Iterator[Pipelines]:
    """Two agents for steps and three for controllers, so that three pipelines can run at once."""
    with Processes(tmp_path_factory.mktemp("agents")) as processes:
        made = Pipelines(sdk, processes.mark[:8])
        for number in (1, 2):
            start_agent(processes, f"steps-{number}", [made.step_queue], checkout.environment)
        for number in (1, 2, 3):
            start_agent(processes, f"controllers-{number}", [made.controller_queue], checkout.environment)
        yield made


@pytest.fixture(scope="module")
def first_run(pipelines, checkout) -> str:
    """A whole pipeline of three trainings, in a project where no script has ever run; its controller's id."""
    controller = pipelines.launch(checkout, "--query-date", "2008-01-01")
    task = pipelines.wait(controller)
    assert task.status == "completed", console(task)
    return controller


def test_six_steps_complete_with_the_uncommitted_code_and_trainings_at_once(pipelines, first_run, checkout):
    steps = pipelines.steps(first_run)
    trainings = ["model_training_0", "model_training_1", "model_training_2"]
    assert sorted(steps) == ["get_data", *trainings, "preprocess_data", "select_best_model"]
    assert {step.status for step in steps.values()} == {"completed"}
    # The edit is the project's name: a step that ran the committed code would have worked in another one.
    assert all(checkout.project in step.data.script.diff for step in steps.values())
    runs = sorted((steps[name].data for name in trainings), key=lambda training: training.started)
    assert len({training.last_worker for training in runs}) == 2
    assert runs[1].started < runs[0].completed


def test_the_winner_is_published_as_champion_with_its_name_and_lineage(pipelines, first_run, checkout, sdk):
    (champion_id,) = champions(sdk, checkout)
    champion = sdk.Model(champion_id)
    assert champion.published
    assert champion.name == "model training - best_model"
    trainings = {step.id for name, step in pipelines.steps(first_run).items() if "training" in name}
    assert champion.task in trainings


def test_the_decision_and_its_table_are_reported_on_the_pipeline(first_run, sdk):
    task = sdk.Task.get_task(first_run)
    assert "is the new champion: there is no champion yet" in console(task)
    (table,) = [plot for plot in task.get_reported_plots() if plot["metric"] == "Model selection"]
    for row in ("model_training_0", "model_training_1", "model_training_2", "rule", "majority class"):
        assert row in table["plot_str"]


def test_a_clone_with_other_seeds_reuses_what_it_can_and_trains_the_rest(pipelines, first_run, sdk):
    clone = sdk.Task.clone(first_run, name="a clone")
    clone.set_parameter("Args/training_seeds", "[42, 7]")
    sdk.Task.enqueue(clone, queue_name=pipelines.controller_queue)
    task = pipelines.wait(clone.id)
    assert task.status == "completed", console(task)
    new_steps = ["model_training_1", "select_best_model"]
    assert sorted(pipelines.steps(clone.id)) == new_steps


def test_a_clone_with_a_grid_trains_with_each_of_its_values(pipelines, first_run, sdk):
    clone = sdk.Task.clone(first_run, name="a clone with a grid")
    clone.update_parameters({"Args/training_seeds": "[42]", "Args/grid": "max_depth=3,2"})
    sdk.Task.enqueue(clone, queue_name=pipelines.controller_queue)
    task = pipelines.wait(clone.id)
    assert task.status == "completed", console(task)
    steps = pipelines.steps(clone.id)
    depths = {name: step.get_parameter("Args/max_depth") for name, step in steps.items()}
    assert depths == {"model_training_0": "3", "model_training_1": "2", "select_best_model": None}


@pytest.fixture(scope="module")
def crowd(pipelines, checkout, first_run, tmp_path_factory, clearml_environment) -> dict[str, str]:
    """Controllers of pipelines that ran at once: two of one project, and one that fails in its first step.

    "whole" takes all rows, and fails in its training. "bad date" is from a checkout whose commit no remote
    has, with a remote that cannot be reached.
    """
    cloned = tmp_path_factory.mktemp("cloned") / "asteroids"
    unreachable = Checkout(cloned, clearml_environment, remote="https://git.invalid/asteroids.git")
    seed = ["--training-seeds", "1"]
    launched = {
        "early": pipelines.launch(checkout, *seed, "--query-date", "1999-01-01"),
        "whole": pipelines.launch(checkout, *seed, "--num-boost-round", 0),
        "bad date": pipelines.launch(unreachable, *seed, "--query-date", "soon"),
    }
    for controller in launched.values():
        pipelines.wait(controller)
    return launched


def test_pipelines_that_run_at_once_never_mix(pipelines, crowd, sdk):
    early, whole = (sdk.Task.get_task(crowd[name]).data for name in ("early", "whole"))
    assert early.started < whole.completed and whole.started < early.completed
    for name, year in (("early", 1998), ("whole", 2016)):
        steps = pipelines.steps(crowd[name])
        raw = steps["get_data"].artifacts["dataset_id"].get()
        assert steps["preprocess_data"].get_parameter("Args/dataset_id") == raw
        preprocessed = steps["preprocess_data"].artifacts["dataset_id"].get()
        assert steps["model_training_0"].get_parameter("Args/dataset_id") == preprocessed
        with Path(sdk.Dataset.get(dataset_id=raw).get_local_copy(), "nasa.csv").open() as table:
            last_approach = max(row["Close Approach Date"] for row in csv.DictReader(table))
        assert last_approach.startswith(str(year))


@pytest.mark.parametrize(
    ("name", "step", "why"),
    [
        ("bad date", "get_data", "--query-date 'soon' is not a date: give one as YYYY-MM-DD"),
        ("whole", "model_training_0", "--num-boost-round and --early-stopping-rounds must be"),
    ],
)
def test_a_step_that_fails_tells_why_also_from_a_commit_that_was_not_pushed(
    pipelines, crowd, sdk, name, step, why
):
    task = sdk.Task.get_task(crowd[name])
    assert task.status == "failed"
    steps = pipelines.steps(crowd[name])
    assert {each for each, its in steps.items() if its.status != "completed"} == {step}
    told = f"Pipeline failed in step {step}: {why}"
    assert any(line.startswith(told) for line in console(task).splitlines()[-10:])


@dataclass
class Rerun:
    """What failed, started once more: with a training that works, but not well. On this machine."""

    controller: str
    lines: list[str]
    champions_before: list[str]


@pytest.fixture(scope="module")
def rerun(crowd, checkout, sdk) -> Rerun:
    before = champions(sdk, checkout)
    done = checkout.run("pipeline.py", "--local", "--training-seeds", "1", "--num-boost-round", "1")
    return Rerun(re.search(r"created new task id=(\w+)", done.stdout)[1], done.stdout.splitlines(), before)


def test_running_again_after_a_failure_does_not_repeat_what_succeeded(pipelines, rerun):
    assert sorted(pipelines.steps(rerun.controller)) == ["model_training_0", "select_best_model"]


def test_a_worse_candidate_does_not_replace_the_champion_and_both_lines_of_it_say_so(rerun, checkout, sdk):
    (champion,) = rerun.champions_before
    told = rf"Model {champion} stays the champion, \w+ is not promoted: it is worse: .* on \d+ asteroids.*"
    assert re.fullmatch(told, rerun.lines[-1])
    assert rerun.lines.count(rerun.lines[-1]) == 2  # printed by its step, and in the end
    assert champions(sdk, checkout) == [champion]


def champions(sdk, checkout: Checkout) -> list[str]:
    found = sdk.Model.query_models(project_name=checkout.project, tags=["champion"], only_published=True)
    return [model.id for model in found]
