"""Datasets with parents, changed and removed files, versions and lists. Prints what came of it."""

import json
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import sdk_schemas

sdk_schemas.record(sys.argv[1])

from clearml import Dataset  # noqa: E402

PROJECT, NAME = "sdk tests/data", "rows & columns"
found: dict = {}


def contents(dataset: Dataset) -> dict[str, str]:
    folder = Path(dataset.get_local_copy())
    return {
        str(path.relative_to(folder)): path.read_text()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


with tempfile.TemporaryDirectory() as temporary:
    folder = Path(temporary)
    (folder / "sub").mkdir()
    (folder / "keep.txt").write_text("kept")
    (folder / "change.txt").write_text("first")
    (folder / "sub" / "remove.txt").write_text("removed later")
    first = Dataset.create(
        dataset_project=PROJECT, dataset_name=NAME, description="the rows", dataset_tags=["raw"]
    )
    first.add_files(folder)
    first.get_logger().report_table("preview", "head", table_plot=pd.DataFrame({"a": [1]}), iteration=0)
    first.get_logger().report_histogram("balance", "classes", values=np.array([1, 2]), iteration=0)
    first.set_metadata({"rows": 3}, metadata_name="counts")
    first.upload()
    first.finalize()

    (folder / "change.txt").write_text("second")
    (folder / "deep").mkdir()
    (folder / "deep" / "new.txt").write_text("new")
    second = Dataset.create(dataset_project=PROJECT, dataset_name=NAME, parent_datasets=[first.id])
    second.remove_files("sub/*")
    second.add_files(folder / "change.txt")
    second.add_files(folder / "deep", dataset_path="deep")
    second.upload()
    second.finalize()

    (folder / "deep" / "new.txt").write_text("newer")
    third = Dataset.create(
        dataset_project=PROJECT, dataset_name="features", parent_datasets=[second.id], dataset_version="7.0.0"
    )
    third.sync_folder(folder / "deep", dataset_path="deep")
    third.remove_files("keep.txt")
    third.upload()
    third.finalize()
    third.publish()

read = Dataset.get(dataset_id=second.id)
newest = Dataset.get(dataset_project=PROJECT, dataset_name=NAME)
found = {
    "versions": [dataset._dataset_version for dataset in (first, second, third)],
    "newest": newest.id == second.id,
    "by version": Dataset.get(dataset_project=PROJECT, dataset_name=NAME, dataset_version="1.0.0").id
    == first.id,
    "by tag": Dataset.get(dataset_project=PROJECT, dataset_name=NAME, dataset_tags=["raw"]).id == first.id,
    "first": contents(Dataset.get(dataset_id=first.id)),
    "second": contents(read),
    "third": contents(Dataset.get(dataset_id=third.id)),
    "files": sorted(read.list_files()),
    "added": sorted(read.list_added_files(first.id)),
    "modified": sorted(read.list_modified_files(first.id)),
    "removed": sorted(read.list_removed_files(first.id)),
    "parents": read.get_dependency_graph()[second.id] == [first.id],
    "metadata": Dataset.get(dataset_id=first.id).get_metadata("counts"),
    "plots": sorted(p["metric"] for p in Dataset.get(dataset_id=first.id)._task.get_reported_plots()),
    "final": read.is_final(),
    "status": Dataset.get(dataset_id=third.id)._task.get_status(),
    "writable": sorted(path.name for path in Path(read.get_mutable_local_copy(tempfile.mkdtemp())).iterdir()),
    "listed": sorted((d["name"], d["version"]) for d in Dataset.list_datasets(dataset_project=PROJECT)),
}
squashed = Dataset.squash("squashed", dataset_ids=[first.id, second.id], output_url=None)
found["squashed"] = sorted(Dataset.get(dataset_id=squashed.id).list_files())
Dataset.delete(dataset_id=squashed.id, force=True)
try:
    Dataset.get(dataset_id=squashed.id)
except ValueError as error:
    found["gone"] = str(error)
print(json.dumps(found, default=str))
