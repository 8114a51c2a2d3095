"""Read back, in a process of its own, what experiment.py recorded."""

import json
import sys
from pathlib import Path
from unittest import TestCase

import sdk_schemas

sdk_schemas.record(sys.argv[1])

from clearml import StorageManager, Task  # noqa: E402

equal = TestCase().assertEqual
task = Task.get_task(task_id=sys.argv[2])

# What it is
equal((task.name, task.get_project_name()), ("all of it", "sdk tests/experiments"))
equal((str(task.task_type), str(task.status)), ("testing", "completed"))
equal(sorted(task.get_tags()), ["first", "größe", "second"])
equal(task.comment, "what it is for")
equal(Path(task.get_script()["entry_point"]).name, "experiment.py")
equal(task.get_last_iteration(), 4)
assert "/projects/" in task.get_output_log_web_page()

# Parameters and configuration
parameters, cast = task.get_parameters(), task.get_parameters(cast=True)
general = {"depth": "3", "rate": "0.5", "name": "grün", "flags": "[1, 2]"}
equal({name: parameters[f"General/{name}"] for name in general}, general)
equal((parameters["Net/layers/hidden"], parameters["Args/late"]), ("4", "yes"))
equal((cast["General/rate"], cast["General/flags"]), (0.5, [1, 2]))
equal(task.get_parameters_as_dict()["General"]["depth"], "3")
equal(task.get_user_properties(value_only=True), {"grade": "A", "reviewer": "Ann"})
equal(task.get_configuration_object_as_dict("as a dictionary"), {"window": [1, 2], "nested": {"a": "b"}})
equal(task.get_configuration_object("as text"), "key = value\nother = größe")
equal(task.get_configuration_object("as a file"), "a: 1\n")

# Console, scalars, single values
console = "".join(task.get_reported_console_output(number_of_reports=100))
for line in ("a line on the console: größe ✓", "a line on stderr", "a reported line"):
    assert line in console, console
for reported in (task.get_reported_scalars(), task.get_all_reported_scalars()):
    series = {name: (points["x"], points["y"]) for name, points in reported["loss"].items()}
    over = list(range(5))
    equal(
        series,
        {"train": (over, [1 / (n + 1) for n in over]), "validation": (over, [2 / (n + 1) for n in over])},
    )
equal(task.get_last_scalar_metrics()["loss"]["train"], {"last": 0.2, "min": 0.2, "max": 1.0})
equal(task.get_reported_single_values(), {"accuracy": 0.875})
equal(task.get_reported_single_value("accuracy"), 0.875)

# Plots
plots = {f"{plot['metric']}/{plot['variant']}": plot["plot_str"] for plot in task.get_reported_plots()}
traces = {
    "table/preview": "table",
    "histogram/series": "bar",
    "confusion/matrix": "heatmap",
    "scatter/points": "scatter",
    "figure/drawn": "scatter",
}
equal(
    {name: [trace["type"] for trace in json.loads(plots[name])["data"]] for name in traces},
    {name: [kind] for name, kind in traces.items()},
)

# Debug samples, the newest first, and their files
samples = task.get_debug_samples("image", "pixels")
equal([sample["iter"] for sample in samples], [2, 1, 0])
equal([s["iter"] for s in task.get_debug_samples("image", "pixels", n_last_iterations=2)], [2, 1])
equal(Path(StorageManager.get_local_copy(samples[0]["url"])).suffix, ".jpeg")

# Artifacts
artifacts = task.artifacts
equal(artifacts["dictionary"].get(), {"a": [1, 2, {"b": None}]})
equal(artifacts["dictionary"].metadata, {"made": "by a test"})
equal(artifacts["frame"].get().to_dict("list"), {"name": ["a", "b"], "value": [1.5, 2.5]})
equal(artifacts["array"].get().tolist(), [[0, 1, 2], [3, 4, 5]])
equal(artifacts["image"].get().size, (8, 8))
equal(artifacts["text"].get(), "plain text, größe")
equal(artifacts["object"].get(), {1, 2, 3})
equal(Path(artifacts["file"].get_local_copy()).read_text(), "content of the file")
equal(
    sorted(path.name for path in Path(artifacts["folder"].get_local_copy()).iterdir()), ["one.txt", "two.txt"]
)
equal(artifacts["name/with: signs #%?"].get(), {"odd": True})
assert "registered" in artifacts, artifacts  # it is stored when the task ends
