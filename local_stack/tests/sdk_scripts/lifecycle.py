"""What happens to tasks later: queries, clones, resets, archives, deletions. Prints what came of it."""

import json
import sys

import requests
import sdk_schemas

sdk_schemas.record(sys.argv[1])

from clearml import Task  # noqa: E402
from clearml.backend_api.session.client import APIClient  # noqa: E402

PROJECT = "sdk tests/lifecycle"
found: dict = {}

for number in range(3):
    made = Task.create(PROJECT, f"made {number}", task_type="data_processing")
    made.set_tags(["even" if number % 2 == 0 else "odd", f"n{number}"])
    made.set_parameters({"General/number": number, "Args/keep": "yes"})

template = Task.get_task(project_name=PROJECT, task_name="made 0")
found["queries"] = {
    "by name": [task.name for task in Task.get_tasks(project_name=PROJECT, task_name="^made [01]$")],
    "by tag": sorted(task.name for task in Task.get_tasks(project_name=PROJECT, tags=["even"])),
    "by tags": [
        task.name for task in Task.get_tasks(project_name=PROJECT, tags=["__$all", "even", "__$not", "n0"])
    ],
    "ordered": [
        task.name
        for task in Task.get_tasks(
            project_name=PROJECT, task_filter={"order_by": ["-name"], "status": ["created"]}
        )
    ],
    "ids": len(Task.query_tasks(project_name=PROJECT)),
    "fields": Task.query_tasks(
        project_name=PROJECT, task_name="made 1", additional_return_fields=["type", "tags"]
    )[0]["tags"],
    "nobody": Task.get_task(project_name=PROJECT, task_name="nobody"),
}

clone = Task.clone(template, name="cloned", parent=template.id)
clone.set_parameter("General/number", 9)
found["clone"] = {
    "status": clone.get_status(),
    "parent": clone.parent == template.id,
    "parameters": clone.get_parameters(),
    "of the template": template.get_parameters(),
}

clone.mark_started()
clone.get_logger().report_scalar("m", "v", 1.0, 1)
clone.upload_artifact("result", {"a": 1}, wait_on_upload=True)
clone.upload_artifact("mistake", {"a": 2}, wait_on_upload=True)
clone.delete_artifacts(["mistake"])
found["artifacts"] = sorted(clone.artifacts)
clone.flush(wait_for_uploads=True)
clone.mark_completed()
found["completed"] = clone.get_status()
clone.reset(set_started_on_success=False, force=True)
clone.reload()
found["reset"] = {
    "status": clone.get_status(),
    "scalars": clone.get_reported_scalars(),
    "artifacts": dict(clone.artifacts),
    "parameters": clone.get_parameters(),
}

clone.delete_parameter("General/number")
clone.rename("renamed by the sdk")
clone.move_to_project(new_project_name="sdk tests/elsewhere")
clone.set_archived(True)
found["changed"] = {
    "parameters": clone.get_parameters(),
    "name": clone.name,
    "project": clone.get_project_name(),
    "archived": clone.get_archived(),
    "listed": len(Task.get_tasks(task_name="^renamed by the sdk$", allow_archived=False)),
    "listed with archived": len(Task.get_tasks(task_name="^renamed by the sdk$")),
}
clone.set_archived(False)
found["unarchived"] = clone.get_archived()

client = APIClient()
client.queues.create(name="sdk tests queue")
Task.enqueue(clone, queue_name="sdk tests queue")
found["queued"] = clone.get_status()
found["in the queue"] = Task.get_num_enqueued_tasks(queue_name="sdk tests queue")
Task.dequeue(clone)
clone.reload()
found["dequeued"] = clone.get_status()

template.mark_started()
template.mark_failed(status_reason="out of luck", status_message="no luck left")
found["failed"] = [template.get_status(), template.get_status_message()]
template.mark_started(force=True)
template.mark_stopped(force=True)
found["stopped"] = template.get_status()
template.mark_completed(force=True)
template.publish()
found["published"] = template.get_status()

second = Task.get_task(project_name=PROJECT, task_name="made 1")
second.mark_started()
second.upload_artifact("result", {"a": 1}, wait_on_upload=True)
second.flush(wait_for_uploads=True)
second.mark_completed()
url = second.artifacts["result"].url
token = second.session.token
found["file before"] = requests.get(url, headers={"Authorization": f"Bearer {token}"}, timeout=10).status_code
found["deleted"] = bool(second.delete(delete_artifacts_and_models=True, raise_on_error=True))
found["file after"] = requests.get(url, headers={"Authorization": f"Bearer {token}"}, timeout=10).status_code
found["gone"] = Task.get_task(project_name=PROJECT, task_name="made 1")

found["client"] = {
    "tasks": len(client.tasks.get_all(project=[template.project], only_fields=["id", "name"])),
    "projects": [project.name for project in client.projects.get_all(name="^sdk tests/lifecycle$")],
    "queues": [queue.name for queue in client.queues.get_all(name="sdk tests")],
    "workers": isinstance(client.workers.get_all(), list) or "rows",
}
print(json.dumps(found, default=str))
