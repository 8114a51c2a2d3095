"""pipeline.py: the choice of a champion, and whole runs on real agents and without any."""

import csv
import re
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from conftest import Checkout

from local_stack.agents import start_agent
from local_stack.processes import Processes
from local_stack.stack import Stack
from pipeline import compare

ENDED = ("completed", "failed", "stopped", "published", "closed")
STEPS_BEFORE_TRAINING = ["get_data", "preprocess_data"]


# The choice


def test_the_first_winner_becomes_champion():
    assert compare({"PR-AUC": 0.5, "F1": 0.5}, None) == (True, "there is no champion yet")


@pytest.mark.parametrize(
    ("winner", "promoted"),
    [
        ({"PR-AUC": 0.99, "F1": 0.98}, True),  # the same is no worse
        ({"PR-AUC": 0.995, "F1": 0.98}, True),
        ({"PR-AUC": 0.995, "F1": 0.979}, False),
        ({"PR-AUC": 0.989, "F1": 0.99}, False),
    ],
)
def test_a_winner_replaces_the_champion_only_if_it_is_worse_in_nothing(winner, promoted):
    assert compare(winner, {"PR-AUC": 0.99, "F1": 0.98})[0] is promoted


def test_a_refusal_says_in_what_the_winner_is_worse():
    _, reason = compare({"PR-AUC": 0.9, "F1": 0.99}, {"PR-AUC": 0.95, "F1": 0.98})
    assert reason == "PR-AUC 0.9000 against 0.9500, F1 0.9900 against 0.9800 on the test set: worse in PR-AUC"


# Launching


def test_queues_that_no_agent_listens_to_are_named_with_the_commands(checkout):
    done = checkout.run("pipeline.py", "--require-agents", "--step-queue", "no one here", check=False)
    assert done.returncode == 1
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("No agent listens to")]
    assert 'clearml-agent daemon --queue "no one here"' in line
    assert "created new task" not in done.stdout


@pytest.mark.parametrize("state", ["without a remote", "no git checkout"])
def test_code_that_agents_could_not_get_runs_where_it_is_and_says_why(checkout, state, tmp_path):
    environment = {k: v for k, v in checkout.environment.items() if not k.startswith("GIT_CONFIG")}
    if state == "no git checkout":
        environment["GIT_DIR"] = str(tmp_path / "nothing here")
    done = checkout.run("pipeline.py", "--query-date", "soon", check=False, environment=environment)
    assert "git knows no remote here: running on this machine" in done.stdout
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
        self.step_queue, self.controller_queue = f"steps {mark}", f"controllers {mark}"

    def launch(self, checkout: Checkout, *arguments: object) -> str:
        queues = ["--step-queue", self.step_queue, "--controller-queue", self.controller_queue]
        done = checkout.run("pipeline.py", *queues, *arguments)
        return re.search(r"created new task id=(\w+)", done.stdout)[1]

    def wait(self, controller: str, seconds: float = 150):
        """The controller's task when it has ended."""
        deadline = time.monotonic() + seconds
        while (task := self.sdk.Task.get_task(controller)).status not in ENDED:
            assert time.monotonic() < deadline, f"the pipeline is still {task.status}\n{console(task)}"
            time.sleep(0.5)
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
            start_agent(processes, f"steps-{number}", made.step_queue, checkout.environment)
        for number in (1, 2, 3):
            start_agent(processes, f"controllers-{number}", made.controller_queue, checkout.environment)
        yield made


@pytest.fixture(scope="module")
def first_run(pipelines, checkout) -> str:
    """A whole pipeline of three trainings, in a project where no script has ever run; its controller's id."""
    controller = pipelines.launch(checkout, "--query-date", "2008-01-01")
    task = pipelines.wait(controller)
    assert task.status == "completed", console(task)
    return controller


def test_a_pipeline_has_six_steps_that_all_complete(pipelines, first_run):
    steps = pipelines.steps(first_run)
    trainings = ["model_training_0", "model_training_1", "model_training_2"]
    assert sorted(steps) == sorted([*STEPS_BEFORE_TRAINING, *trainings, "select_best_model"])
    assert {step.status for step in steps.values()} == {"completed"}


def test_trainings_overlap_in_time_on_two_agents(pipelines, first_run):
    trainings = [step.data for name, step in pipelines.steps(first_run).items() if "training" in name]
    assert len({training.last_worker for training in trainings}) == 2
    trainings.sort(key=lambda training: training.started)
    assert trainings[1].started < trainings[0].completed


def test_every_step_ran_the_uncommitted_code(pipelines, first_run, checkout):
    # The edit is the project's name: a step that ran the committed code would have worked in another one.
    assert all(checkout.project in step.data.script.diff for name, step in pipelines.steps(first_run).items()
               if name != "select_best_model")  # fmt: skip


def test_the_winner_is_published_as_champion_with_its_name_and_lineage(pipelines, first_run, checkout, sdk):
    (champion,) = champions(sdk, checkout)
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


@pytest.fixture(scope="module")
def crowd(pipelines, checkout, first_run, tmp_path_factory, clearml_environment) -> dict[str, str]:
    """Controllers of pipelines that ran at once: two of one project, and one that cannot succeed.

    The last is from a checkout whose commit no remote has, with a remote that cannot be reached.
    """
    cloned = tmp_path_factory.mktemp("cloned") / "asteroids"
    unreachable = Checkout(cloned, clearml_environment, remote="https://git.invalid/asteroids.git")
    seed = ["--training-seeds", "1"]
    launched = {
        "early": pipelines.launch(checkout, *seed, "--query-date", "1999-01-01"),
        "late": pipelines.launch(checkout, *seed, "--query-date", "2012-01-01"),
        "bad date": pipelines.launch(unreachable, *seed, "--query-date", "soon"),
    }
    for controller in launched.values():
        pipelines.wait(controller)
    return launched


def test_pipelines_that_run_at_once_never_mix(pipelines, crowd, sdk):
    for name, year in (("early", 1998), ("late", 2011)):
        steps = pipelines.steps(crowd[name])
        raw = steps["get_data"].artifacts["dataset_id"].get()
        assert steps["preprocess_data"].get_parameter("Args/dataset_id") == raw
        preprocessed = steps["preprocess_data"].artifacts["dataset_id"].get()
        assert steps["model_training_0"].get_parameter("Args/dataset_id") == preprocessed
        with Path(sdk.Dataset.get(dataset_id=raw).get_local_copy(), "nasa.csv").open() as table:
            last_approach = max(row["Close Approach Date"] for row in csv.DictReader(table))
        assert last_approach.startswith(str(year))


def test_there_is_one_champion_after_many_pipelines(crowd, checkout, sdk):
    assert len(champions(sdk, checkout)) == 1


def test_a_bad_date_fails_in_get_data_with_its_own_message_also_from_a_commit_that_was_not_pushed(
    pipelines, crowd, sdk
):
    task = sdk.Task.get_task(crowd["bad date"])
    assert task.status == "failed"
    assert list(pipelines.steps(crowd["bad date"])) == ["get_data"]
    last_lines = console(task).splitlines()[-4:]
    told = "Pipeline failed in step get_data: --query-date 'soon' is not a date: give one as YYYY-MM-DD"
    assert any(line.startswith(told) for line in last_lines)


def test_a_worse_candidate_does_not_replace_the_champion(crowd, checkout, sdk):
    (before,) = champions(sdk, checkout)
    worse = ["--training-seeds", "1", "--num-boost-round", "1", "--query-date", "2012-01-01"]
    done = checkout.run("pipeline.py", "--local", *worse)
    told = rf"Model {before.id} stays the champion, \w+ is not promoted: .*worse in .*PR-AUC.*"
    assert re.fullmatch(told, done.stdout.splitlines()[-1])
    assert [champion.id for champion in champions(sdk, checkout)] == [before.id]


def champions(sdk, checkout: Checkout) -> list:
    return sdk.Model.query_models(project_name=checkout.project, tags=["champion"], only_published=True)


# Agents that die


def test_a_step_whose_agent_is_killed_is_done_by_another(tmp_path):
    with Stack(tmp_path / "home", port=0, agents=2, silence=15) as stack:
        # Its clearml.conf leads git to the checkout that the stack itself runs in; this one is another.
        environment = {**stack.environment(), "CLEARML_ENABLE_ENV_CONFIG_SECTION": "0"}
        checkout = Checkout(tmp_path / "asteroids", environment)
        checkout.run("pipeline.py", "--training-seeds", "1", "--query-date", "1999-01-01")
        victim = running_step(stack)
        kill(stack, victim["last_worker"])
        controller = wait_for_end(stack)
        assert controller["status"] == "completed"
        (revived,) = stack.call("tasks.get_all", id=[victim["id"]], search_hidden=True)["tasks"]
        assert revived["status"] == "completed"
        assert revived["hyperparams"]["properties"]["revivals"]["value"] == "1"
        assert revived["last_worker"] != victim["last_worker"]


def running_step(stack: Stack) -> dict:
    """A step that an agent has begun to execute."""
    steps = {"name": "get_data", "status": ["in_progress"], "search_hidden": True}
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        for step in stack.call("tasks.get_all", **steps)["tasks"]:
            if step.get("last_worker"):
                return step
        time.sleep(0.05)
    raise AssertionError("no step was ever executed")


def kill(stack: Stack, worker: str) -> None:
    """Kill the agent and all that it runs, as a machine that loses its power."""
    name = worker.partition(":")[2].rpartition("-")[0]
    agent = psutil.Process(stack.processes.running[name].pid)
    family = [*agent.children(recursive=True), agent]
    for process in family:
        process.suspend()  # so that none has time to say good-bye
    for process in family:
        process.kill()


def wait_for_end(stack: Stack, seconds: float = 120) -> dict:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        (controller,) = stack.call("tasks.get_all", type=["controller"], search_hidden=True)["tasks"]
        if controller["status"] in ENDED:
            return controller
        time.sleep(0.5)
    raise AssertionError("the pipeline never ended")
