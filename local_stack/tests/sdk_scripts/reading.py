"""Read back, in a process of its own, what experiment.py recorded. Prints what the SDK gives."""

import json
import sys
from pathlib import Path

import sdk_schemas

sdk_schemas.record(sys.argv[1])

from clearml import StorageManager, Task  # noqa: E402

task = Task.get_task(task_id=sys.argv[2])
artifacts = task.artifacts
samples = task.get_debug_samples("image", "pixels")

found = {
    "name": task.name,
    "project": task.get_project_name(),
    "type": task.task_type,
    "status": task.get_status(),
    "tags": sorted(task.get_tags()),
    "comment": task.comment,
    "script": task.get_script()["entry_point"],
    "last_iteration": task.get_last_iteration(),
    "parameters": task.get_parameters(),
    "cast": task.get_parameters(cast=True),
    "dictionary": task.get_parameters_as_dict()["General"],
    "user_properties": task.get_user_properties(value_only=True),
    "configurations": {
        "dictionary": task.get_configuration_object_as_dict("as a dictionary"),
        "text": task.get_configuration_object("as text"),
        "file": task.get_configuration_object("as a file"),
    },
    "console": "".join(task.get_reported_console_output(number_of_reports=100)),
    "scalars": task.get_reported_scalars(),
    "all_scalars": task.get_all_reported_scalars(),
    "last_scalars": task.get_last_scalar_metrics()["loss"],
    "single_values": task.get_reported_single_values(),
    "single_value": task.get_reported_single_value("accuracy"),
    "plots": {f"{plot['metric']}/{plot['variant']}": plot["plot_str"] for plot in task.get_reported_plots()},
    "samples": [sample["iter"] for sample in samples],
    "last_samples": [s["iter"] for s in task.get_debug_samples("image", "pixels", n_last_iterations=2)],
    "sample_file": StorageManager.get_local_copy(samples[0]["url"])[-4:],
    "artifacts": sorted(artifacts),
    "contents": {
        "dictionary": artifacts["dictionary"].get(),
        "frame": artifacts["frame"].get().to_dict("list"),
        "array": artifacts["array"].get().tolist(),
        "image": list(artifacts["image"].get().size),
        "text": artifacts["text"].get(),
        "object": sorted(artifacts["object"].get()),
        "file": Path(artifacts["file"].get_local_copy()).read_text(),
        "folder": sorted(path.name for path in Path(artifacts["folder"].get_local_copy()).iterdir()),
        "odd": artifacts["name/with: signs #%?"].get(),
    },
    "metadata": artifacts["dictionary"].metadata,
    "link": task.get_output_log_web_page(),
}
print(json.dumps(found, default=str))
