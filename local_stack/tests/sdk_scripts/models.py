"""Models that go out and come in, with metadata, labels, queries and publishing. Prints what came of it."""

import json
import sys
import tempfile
from pathlib import Path

import sdk_schemas

sdk_schemas.record(sys.argv[1])

from clearml import InputModel, Model, OutputModel, Task  # noqa: E402

PROJECT = "sdk tests/models"
task = Task.init(PROJECT, "trainer", auto_connect_frameworks=False, output_uri=True)

with tempfile.TemporaryDirectory() as temporary:
    weights = Path(temporary) / "best.bin"
    weights.write_bytes(b"the weights")
    best = OutputModel(
        task, name="best", framework="XGBoost", label_enumeration={"calm": 0, "stormy": 1}, tags=["c"]
    )
    best.update_weights(str(weights), iteration=5, auto_delete_file=False, async_enable=False)
    best.set_metadata("threshold", "0.4", v_type="float")
    best.set_all_metadata({"features": {"value": "a,b", "type": "str"}}, replace=False)
    best.update_design(config_dict={"depth": 3})
    best.comment = "the best one"
    spare = OutputModel(task, name="spare", framework="custom")
    spare.update_weights(
        str(weights), target_filename="spare.bin", auto_delete_file=False, async_enable=False
    )
    spare.report_scalar("score", "AUC", 0.9, 1)
    spare.report_single_value("F1", 0.8)
    doomed = OutputModel(task, name="doomed", framework="custom")
    doomed.update_weights(
        str(weights), target_filename="doomed.bin", auto_delete_file=False, async_enable=False
    )
    package = OutputModel(task, name="package", framework="custom")
    other = Path(temporary) / "other.txt"
    other.write_text("words")
    package.update_weights_package(weights_filenames=[str(weights), str(other)])

given = InputModel(model_id=best.id)
task.connect(given, name="given")
task.flush(wait_for_uploads=True)
task.close()

best = Model(best.id)
best.tags = [*best.tags, "winner"]
best.publish()
spare = Model(spare.id)
spare.archive()
spares = {"project_name": PROJECT, "model_name": "spare"}
shown = len(Model.query_models(include_archived=False, **spares))
shown_with_archived = len(Model.query_models(include_archived=True, **spares))
spare.unarchive()
removed = Model.remove(doomed.id, force=True)

trainer = Task.get_task(task_id=task.id)
read = Model(best.id)
found = {
    "name": read.name,
    "framework": read.framework,
    "labels": read.labels,
    "tags": sorted(read.tags),
    "comment": read.comment,
    "published": read.published,
    "task": read.task == task.id,
    "metadata": {key: read.get_metadata(key) for key in read.get_all_metadata()},
    "design": read.config_dict,
    "weights": Path(read.get_weights(raise_on_error=True)).read_text(),
    "package": sorted(Path(path).name for path in Model(package.id).get_weights_package()),
    "spare": spare.id,
    "outputs": [model.name for model in trainer.models["output"]],
    "inputs": [model.name for model in trainer.models["input"]],
    "by tag": [model.id == best.id for model in Model.query_models(project_name=PROJECT, tags=["winner"])],
    "published only": [m.name for m in Model.query_models(project_name=PROJECT, only_published=True)],
    "by metadata": [m.name for m in Model.query_models(project_name=PROJECT, metadata={"threshold": "0.4"})],
    "archived": [shown, shown_with_archived],
    "removed": removed,
    "left": sorted(model.name for model in Model.query_models(project_name=PROJECT)),
}
print(json.dumps(found, default=str))
