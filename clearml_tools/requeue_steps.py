"""Steps of a pipeline whose agent died: they go back into their queue, for another agent."""

from clearml import PipelineController, Task
from clearml.automation.job import LocalClearmlJob

from clearml_tools.sdk_internals import NOT_RESPONDING
from clearml_tools.tasks import failure_reason, set_failure_reason

# How often a step whose agent died is put back into its queue. A step that failed by itself is not tried
# again: the same code on the same data would fail the same way.
MOST_REQUEUES = 2

REQUEUES_PROPERTY = "requeues"  # of the step's task, shown on its page


def on_status_change(
    queue: str, pipeline: PipelineController, node: PipelineController.Node, previous_status: str
) -> None:
    """Print why a step failed; put a step whose agent died back into `queue`.

    ClearML itself leaves the latter to an autoscaler, and would wait for it without end.
    """
    if node.job is None:  # it was skipped, as a step before it failed
        return
    task = node.job.task
    task.reload()  # the controller looks at many tasks at once and gets their status alone
    if node.status == "failed":
        print(f"Step {node.name} failed: {failure_reason(task)}")
    elif (
        node.status == "aborted"
        and str(task.data.status_message).lower() == NOT_RESPONDING
        # Its process on this machine may only have slept, with the whole machine.
        and not isinstance(node.job, LocalClearmlJob)
    ):
        requeue(task, node.name, queue)


def requeue(task: Task, step: str, queue: str) -> None:
    """Put the task of a step into the queue again, or mark it as failed if it was there often enough."""
    requeues = int(task.get_user_properties().get(REQUEUES_PROPERTY, {}).get("value", 0))
    if requeues >= MOST_REQUEUES:
        task.mark_failed(force=True, status_message=f"its agents died {requeues + 1} times")
        return
    print(f"Step {step} stopped responding, its agent seems to be gone: queueing it again")
    task.set_user_properties(**{REQUEUES_PROPERTY: requeues + 1})
    set_failure_reason(task, "")  # what the lost attempt said, if anything
    Task.enqueue(task, queue_name=queue)
