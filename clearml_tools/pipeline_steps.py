"""A ClearML pipeline whose steps are scripts: each runs the very code that the pipeline was started with.

How such a pipeline is made, takes parameters that were edited, and is stopped where its steps run here.
"""

import argparse
import atexit
import math
import re
import signal
import sys
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from itertools import product
from pathlib import Path, PurePosixPath
from typing import Any

from clearml_tools.errors import UserError

import psutil
from clearml import PipelineController, Task
from clearml.automation.job import LocalClearmlJob

from clearml_tools.checkout import FOLDER
from clearml_tools.interrupts import delayed_interrupt, finish_first
from clearml_tools.requeue_steps import on_status_change
from clearml_tools.tasks import REQUIREMENTS
from global_config import PIPELINE_NAME, PROJECT_NAME

# How often the controller looks at its steps. ClearML's own 12 s would be most of the time that the pipeline
# takes; a request a second is little even for a server that many share.
POLL_SECONDS = 1.0

GRACE_SECONDS = 5  # for a step on this machine to end when the pipeline is interrupted

MOST_COMBINATIONS = 50  # of a grid, which soon has more than one thinks


class ScriptPipeline:
    """PIPELINE_NAME as a graph of scripts; nothing runs yet."""

    def __init__(
        self, parameters: Mapping[str, object], step_queue: str, reuse: bool, forget: Iterable[str] = ()
    ) -> None:
        """Create the controller. Its `parameters` can be edited in a clone; those in `forget` are deleted.

        `reuse` lets steps that would only repeat an earlier one take its results. ClearML knows the code by
        its repository, commit and uncommitted edits. Where it cannot know them, nothing must be reused, and
        the steps run on this machine, from this folder.
        """
        self.step_queue, self.reuse = step_queue, reuse
        Task.force_requirements_env_freeze(requirements_file=REQUIREMENTS)
        with delayed_interrupt():
            self.controller = PipelineController(
                name=PIPELINE_NAME,
                project=PROJECT_NAME,
                pool_frequency=POLL_SECONDS / 60,
                output_uri=True,  # models go to the file server
                add_run_number=False,  # it takes the name for a regular expression
            )
            if Task.running_locally():
                number_run(self.controller.task)
            atexit.register(finish_first)  # called before what ClearML has registered
        self.controller.set_default_execution_queue(step_queue)
        for name, value in parameters.items():
            self.controller.add_parameter(name, value)
        for name in forget:
            self.controller.task.delete_parameter(f"Args/{name}", force=True)  # its task is running already

    def add_script(
        self,
        name: str,
        script: str,
        kind: Task.TaskTypes,
        parents: Sequence[str],
        parameters: Mapping[str, object],
        reuse: bool = True,
    ) -> None:
        """Add a step that runs a script of this folder with these arguments."""
        self.controller.add_step(
            name,
            base_task_factory=task_factory(script, kind, self.reuse),
            parents=list(parents),
            parameter_override={f"Args/{key}": value for key, value in parameters.items()},
            cache_executed_step=self.reuse and reuse,
            status_change_callback=partial(on_status_change, self.step_queue),
        )


def task_factory(
    script: str, kind: Task.TaskTypes, is_known: bool
) -> Callable[[PipelineController.Node], Task]:
    """Return what makes a step's task: it has the code of the controller's task, and begins at `script`.

    So no script needs to have run before, and every step runs the very code that the pipeline was started
    with, uncommitted edits included. If ClearML cannot know them, that is the code in this folder.
    """

    def make(node: PipelineController.Node) -> Task:
        code: dict[str, Any] = Task.current_task().export_task()["script"]
        if is_known:
            code["entry_point"] = str(PurePosixPath(code["entry_point"]).with_name(script))
        else:
            # In place of the edits ClearML has stored a remark, or this one file as if it were a diff.
            code.update(repository="", version_num="", diff="", entry_point=str(FOLDER / script))
        task: Task = Task.create(project_name=PROJECT_NAME, task_name=node.name, task_type=kind)
        task.update_task({"script": code})
        return task

    return make


def number_run(task: Task) -> None:
    """Add " #2" and so on to the name of a pipeline's further runs, as ClearML itself does."""
    runs = Task.query_tasks(
        task_name=rf"^{re.escape(task.name)}( #\d+)?$",
        task_filter={"project": [task.project], "system_tags": ["pipeline"]},
    )
    if len(runs) > 1:
        task.set_name(f"{task.name} #{len(runs)}")


def apply_edited_parameters(
    arguments: argparse.Namespace, edited: Mapping[str, str], skip: Collection[str] = ()
) -> None:
    """Replace the arguments, but for those in `skip`, by the parameters "Args/…" of a run.

    ClearML does that, too, but takes the default, without a word, where it cannot read what was typed.
    UserError names it.
    """
    for name, value in list(vars(arguments).items()):
        text = edited.get(f"Args/{name}")
        if text is None or name in skip:
            continue
        try:
            if isinstance(value, list):
                wanted = "whole numbers, such as 41 42"
                setattr(arguments, name, parse_int_list(text))
            else:
                wanted = "a whole number"
                setattr(arguments, name, int(text) if isinstance(value, int) else text)
        except ValueError as error:
            raise UserError(f"the parameter {name} of this run is '{text}': give {wanted}") from error


def parse_int_list(text: str) -> list[int]:
    """Return the whole numbers in a line, with or without commas and brackets; ValueError if it has none."""
    numbers = [int(part) for part in text.strip().strip("[]").replace(",", " ").split()]
    if not numbers:
        raise ValueError(text)
    return numbers


def parse_grid(text: str, types: Mapping[str, type[float]]) -> list[dict[str, float]]:
    """Return the combinations of values in a line such as "max_depth=2,3 eta=0.1,0.2", the first ones first.

    An empty line has one combination, of nothing. UserError for a parameter that `types` does not have, for
    one that comes twice, for values that come twice or are of another type, and for too many combinations.
    """
    grid: dict[str, list[float]] = {}
    for part in text.split():
        name, _, listed = part.partition("=")
        name = name.replace("-", "_")  # as options are written
        if name not in types:
            raise UserError(f"--grid has the parameter '{name}': choose from {', '.join(types)}")
        if name in grid:
            raise UserError(f"--grid has '{name}' twice: write it once, with all its values: {name}=1,2")
        try:
            values = [types[name](value) for value in listed.split(",")]
        except ValueError as error:
            wanted = "whole numbers" if types[name] is int else "numbers"
            raise UserError(f"--grid has '{part}': give {wanted} after '=', such as {name}=1,2") from error
        if len(set(values)) < len(values):
            raise UserError(f"--grid has '{part}': give each value once")
        grid[name] = values
    count = math.prod(map(len, grid.values()))
    if count > MOST_COMBINATIONS:
        raise UserError(f"--grid has {count} combinations, and {MOST_COMBINATIONS} are the most: give fewer")
    return [dict(zip(grid, values, strict=True)) for values in product(*grid.values())]


def stop_local_steps(pipeline: PipelineController) -> None:
    """Stop a pipeline whose steps run on this machine, and their processes.

    ClearML leaves the processes alone: one that is just starting would call its task running again, and
    nobody would ever say otherwise.
    """
    if pipeline.is_running():  # not while it is still being made
        pipeline.stop(mark_aborted=True)
    nodes = pipeline.get_pipeline_dag().values()
    jobs = [node.job for node in nodes if isinstance(node.job, LocalClearmlJob)]
    processes = step_processes({Path(job.task.data.script.entry_point).name for job in jobs})
    for process in processes:
        with suppress(psutil.Error):  # it has ended
            process.terminate() if sys.platform == "win32" else process.send_signal(signal.SIGINT)
    codes = [job.wait_for_process(timeout=GRACE_SECONDS) for job in jobs]
    for process in processes:
        with suppress(psutil.Error):
            process.kill()
    for job, code in zip(jobs, codes, strict=True):
        was_interrupted = code or job.wait_for_process()
        job.task.reload()
        if was_interrupted or job.task.status == "in_progress":
            job.task.mark_stopped(force=True)  # ClearML may have called it failed


def step_processes(scripts: set[str]) -> list[psutil.Process]:
    """Return the child processes that run one of these scripts."""
    found = []
    for process in psutil.Process().children():
        with suppress(psutil.Error):
            if scripts.intersection(Path(argument).name for argument in process.cmdline()):
                found.append(process)
    return found
