"""Models that go out and come in, with metadata, labels, queries and publishing."""

import sys
import tempfile
from pathlib import Path
from unittest import TestCase

import sdk_schemas

sdk_schemas.record(sys.argv[1])

from clearml import InputModel, Model, OutputModel, Task  # noqa: E402

PROJECT = "sdk tests/models"
equal = TestCase().assertEqual
task = Task.init(PROJECT, "trainer", auto_connect_frameworks=False, output_uri=True)

with tempfile.TemporaryDirectory() as temporary:
    weights = Path(temporary) / "best.bin"
    weights.write_bytes(b"the weights")
    best = OutputModel(
        task, name="best", framework="XGBoost", label_enumeration={"calm": 0, "stormy": 1}, tags=["c"]
    )
    kept = {"auto_delete_file": False, "async_enable": False}
    best.update_weights(str(weights), iteration=5, **kept)
    best.set_metadata("threshold", "0.4", v_type="float")
    best.set_all_metadata({"features": {"value": "a,b", "type": "str"}}, replace=False)
    best.update_design(config_dict={"depth": 3})
    best.comment = "the best one"
    spare = OutputModel(task, name="spare", framework="custom")
    spare.update_weights(str(weights), target_filename="spare.bin", **kept)
    spare.report_scalar("score", "AUC", 0.9, 1)
    spare.report_single_value("F1", 0.8)
    doomed = OutputModel(task, name="doomed", framework="custom")
    doomed.update_weights(str(weights), target_filename="doomed.bin", **kept)
    package = OutputModel(task, name="package", framework="custom")
    other = Path(temporary) / "other.txt"
    other.write_text("words")
    package.update_weights_package(weights_filenames=[str(weights), str(other)])

given = InputModel(model_id=best.id)
task.connect(given, name="given")
task.flush(wait_for_uploads=True)
task.close()

# Found by tag, by metadata and by being published; archived and removed
best = Model(best.id)
best.tags = [*best.tags, "winner"]
best.publish()


def names(**wanted) -> list[str]:
    return sorted(model.name for model in Model.query_models(project_name=PROJECT, **wanted))


spare = Model(spare.id)
spare.archive()
equal(names(model_name="spare", include_archived=False), [])
equal(names(model_name="spare", include_archived=True), ["spare"])
spare.unarchive()
equal(Model.remove(doomed.id, force=True), True)
equal(names(), ["best", "package", "spare"])
equal(names(tags=["winner"]), ["best"])
equal(names(metadata={"threshold": "0.4"}), ["best"])
equal(names(only_published=True), ["best"])

# All that was said of it comes back, and the weights, one file and several
read = Model(best.id)
equal((read.name, read.framework, read.labels), ("best", "XGBoost", {"calm": 0, "stormy": 1}))
equal((sorted(read.tags), read.comment), (["c", "winner"], "the best one"))
equal((read.published, read.task, read.config_dict), (True, task.id, {"depth": 3}))
equal(
    {key: read.get_metadata(key) for key in read.get_all_metadata()}, {"threshold": "0.4", "features": "a,b"}
)
equal(Path(read.get_weights(raise_on_error=True)).read_text(), "the weights")
equal(sorted(Path(path).name for path in Model(package.id).get_weights_package()), ["best.bin", "other.txt"])

# A task lists its models
trainer = Task.get_task(task_id=task.id)
equal([model.name for model in trainer.models["output"]], ["best", "spare", "package"])
equal([model.name for model in trainer.models["input"]], ["best"])
print(f"the model is {spare.id}", flush=True)
