"""Steps of a pipeline that run on this machine, as processes of the controller's: how to stop them."""

import signal
import sys
from contextlib import suppress
from pathlib import Path

import psutil
from clearml import PipelineController
from clearml.automation.job import LocalClearmlJob

GRACE_SECONDS = 5  # for a step to end when the pipeline is interrupted


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
