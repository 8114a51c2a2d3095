"""What happens to tasks later: queries, clones, resets, archives, deletions."""

import sys
from unittest import TestCase

import requests
import sdk_schemas

sdk_schemas.record(sys.argv[1])

from clearml import Task  # noqa: E402
from clearml.backend_api.session.client import APIClient  # noqa: E402

PROJECT = "sdk tests/lifecycle"
equal = TestCase().assertEqual

for number in range(3):
    made = Task.create(PROJECT, f"made {number}", task_type="data_processing")
    made.set_tags(["even" if number % 2 == 0 else "odd", f"n{number}"])
    made.set_parameters({"General/number": number, "Args/keep": "yes"})


# Queries
def names(**wanted) -> list[str]:
    return [task.name for task in Task.get_tasks(project_name=PROJECT, **wanted)]


equal(names(task_name="^made [01]$"), ["made 0", "made 1"])
equal(sorted(names(tags=["even"])), ["made 0", "made 2"])
equal(names(tags=["__$all", "even", "__$not", "n0"]), ["made 2"])
equal(names(task_filter={"order_by": ["-name"], "status": ["created"]}), ["made 2", "made 1", "made 0"])
equal(len(Task.query_tasks(project_name=PROJECT)), 3)
(found,) = Task.query_tasks(
    project_name=PROJECT, task_name="made 1", additional_return_fields=["type", "tags"]
)
equal(found["tags"], ["n1", "odd"])
equal(Task.get_task(project_name=PROJECT, task_name="nobody"), None)

# A clone is a draft of its own
template = Task.get_task(project_name=PROJECT, task_name="made 0")
clone = Task.clone(template, name="cloned", parent=template.id)
clone.set_parameter("General/number", 9)
equal((clone.get_status(), clone.parent), ("created", template.id))
equal(clone.get_parameters(), {"General/number": "9", "Args/keep": "yes"})
equal(template.get_parameters(), {"General/number": "0", "Args/keep": "yes"})

# A deleted artifact is gone; a reset task keeps its parameters and nothing of its run
clone.mark_started()
clone.get_logger().report_scalar("m", "v", 1.0, 1)
clone.upload_artifact("result", {"a": 1}, wait_on_upload=True)
clone.upload_artifact("mistake", {"a": 2}, wait_on_upload=True)
clone.delete_artifacts(["mistake"])
equal(list(clone.artifacts), ["result"])
clone.flush(wait_for_uploads=True)
clone.mark_completed()
equal(clone.get_status(), "completed")
clone.reset(set_started_on_success=False, force=True)
clone.reload()
equal((clone.get_status(), clone.get_reported_scalars(), dict(clone.artifacts)), ("created", {}, {}))
equal(clone.get_parameters(), {"General/number": "9", "Args/keep": "yes"})

# Renamed, moved, archived
clone.delete_parameter("General/number")
clone.rename("renamed by the sdk")
clone.move_to_project(new_project_name="sdk tests/elsewhere")
clone.set_archived(True)
equal(clone.get_parameters(), {"Args/keep": "yes"})
equal((clone.name, clone.get_project_name()), ("renamed by the sdk", "sdk tests/elsewhere"))
equal(clone.get_archived(), True)
equal(len(Task.get_tasks(task_name="^renamed by the sdk$", allow_archived=False)), 0)
equal(len(Task.get_tasks(task_name="^renamed by the sdk$")), 1)
clone.set_archived(False)
equal(clone.get_archived(), False)

# Through its states
client = APIClient()
client.queues.create(name="sdk tests queue")
Task.enqueue(clone, queue_name="sdk tests queue")
equal((clone.get_status(), Task.get_num_enqueued_tasks(queue_name="sdk tests queue")), ("queued", 1))
Task.dequeue(clone)
clone.reload()
equal(clone.get_status(), "created")
template.mark_started()
template.mark_failed(status_reason="out of luck", status_message="no luck left")
equal((template.get_status(), template.get_status_message()[1]), ("failed", "no luck left"))
template.mark_started(force=True)
template.mark_stopped(force=True)
equal(template.get_status(), "stopped")
template.mark_completed(force=True)
template.publish()
equal(template.get_status(), "published")

# A deleted task takes its files along
second = Task.get_task(project_name=PROJECT, task_name="made 1")
second.mark_started()
second.upload_artifact("result", {"a": 1}, wait_on_upload=True)
second.flush(wait_for_uploads=True)
second.mark_completed()
url, headers = second.artifacts["result"].url, {"Authorization": f"Bearer {second.session.token}"}
equal(requests.get(url, headers=headers, timeout=10).status_code, 200)
equal(bool(second.delete(delete_artifacts_and_models=True, raise_on_error=True)), True)
equal(requests.get(url, headers=headers, timeout=10).status_code, 404)
equal(Task.get_task(project_name=PROJECT, task_name="made 1"), None)

# The SDK's API client
equal(len(client.tasks.get_all(project=[template.project], only_fields=["id", "name"])), 2)
equal([project.name for project in client.projects.get_all(name="^sdk tests/lifecycle$")], [PROJECT])
equal([queue.name for queue in client.queues.get_all(name="sdk tests")], ["sdk tests queue"])
client.workers.get_all()
