"""A ClearML pipeline whose steps are scripts: each runs the very code that the pipeline was started with."""

import atexit
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import PurePosixPath
from typing import Any

from clearml import PipelineController, Task

from clearml_tools.checkout import FOLDER
from clearml_tools.dead_agents import on_status_change
from clearml_tools.interrupts import delayed_interrupt, finish_first
from clearml_tools.tasks import REQUIREMENTS
from global_config import PIPELINE_NAME, PROJECT_NAME

# How often the controller looks at its steps. ClearML's own 12 s would be most of the time that the pipeline
# takes; a request a second is little even for a server that many share.
POLL_SECONDS = 1.0


class ScriptPipeline:
    """PIPELINE_NAME as a graph of scripts; nothing runs yet."""

    def __init__(
        self, parameters: Mapping[str, object], step_queue: str, reuse: bool, forget: Iterable[str] = ()
    ) -> None:
        """Create the controller. Its `parameters` can be edited in a clone; those in `forget` are deleted.

        `reuse` lets steps that would only repeat an earlier one take its results. ClearML knows the code by
        its repository, commit and uncommitted changes, so where there is no repository it must not.
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
            base_task_factory=task_factory(script, kind),
            parents=list(parents),
            parameter_override={f"Args/{key}": value for key, value in parameters.items()},
            cache_executed_step=self.reuse and reuse,
            status_change_callback=partial(on_status_change, self.step_queue),
        )


def task_factory(script: str, kind: Task.TaskTypes) -> Callable[[PipelineController.Node], Task]:
    """Return what makes a step's task: it has the code of the controller's task, and begins at `script`.

    So no script needs to have run before, and every step runs the very code that the pipeline was started
    with, uncommitted edits included.
    """

    def make(node: PipelineController.Node) -> Task:
        code: dict[str, Any] = Task.current_task().export_task()["script"]
        if code.get("repository"):
            code["entry_point"] = str(PurePosixPath(code["entry_point"]).with_name(script))
        else:
            # No repository, so ClearML stored this one file as if it were a diff: run the script from here.
            code.update(diff="", entry_point=str(FOLDER / script))
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
