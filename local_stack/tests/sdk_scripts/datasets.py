"""Datasets with parents, changed and removed files, versions and lists."""

import sys
import tempfile
from pathlib import Path
from unittest import TestCase

import numpy as np
import pandas as pd
import sdk_schemas

sdk_schemas.record(sys.argv[1])

from clearml import Dataset  # noqa: E402

PROJECT, NAME = "sdk tests/data", "rows & columns"
equal = TestCase().assertEqual


def contents(dataset: Dataset) -> dict[str, str]:
    folder = Path(Dataset.get(dataset_id=dataset.id).get_local_copy())
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

# Versions count up by themselves
equal([dataset._dataset_version for dataset in (first, second, third)], ["1.0.0", "1.0.1", "7.0.0"])
same = {"dataset_project": PROJECT, "dataset_name": NAME}
equal(Dataset.get(**same).id, second.id)
equal(Dataset.get(**same, dataset_version="1.0.0").id, first.id)
equal(Dataset.get(**same, dataset_tags=["raw"]).id, first.id)

# A local copy holds what the version held
equal(contents(first), {"change.txt": "first", "keep.txt": "kept", "sub/remove.txt": "removed later"})
equal(contents(second), {"change.txt": "second", "deep/new.txt": "new", "keep.txt": "kept"})
equal(contents(third), {"change.txt": "second", "deep/new.txt": "newer"})

# A child tells what it changed in its parent
read = Dataset.get(dataset_id=second.id)
writable = Path(read.get_mutable_local_copy(tempfile.mkdtemp()))
equal(sorted(path.name for path in writable.iterdir()), ["change.txt", "deep", "keep.txt"])
equal(read.get_dependency_graph()[second.id], [first.id])
equal(sorted(read.list_files()), ["change.txt", "deep/new.txt", "keep.txt"])
equal(read.list_added_files(first.id), ["deep/new.txt"])
equal(read.list_modified_files(first.id), ["change.txt"])
equal(read.list_removed_files(first.id), ["sub/remove.txt"])

# Plots, metadata, states, lists
parent = Dataset.get(dataset_id=first.id)
assert {"balance", "preview"} <= {plot["metric"] for plot in parent._task.get_reported_plots()}
equal(parent.get_metadata("counts"), {"rows": 3})
equal((read.is_final(), Dataset.get(dataset_id=third.id)._task.get_status()), (True, "published"))
listed = sorted((d["name"], d["version"]) for d in Dataset.list_datasets(dataset_project=PROJECT))
equal(listed, [("features", "7.0.0"), (NAME, "1.0.0"), (NAME, "1.0.1")])

# Squashed and deleted
squashed = Dataset.squash("squashed", dataset_ids=[first.id, second.id], output_url=None)
files = Dataset.get(dataset_id=squashed.id).list_files()
equal(sorted(files), ["change.txt", "deep/new.txt", "keep.txt", "sub/remove.txt"])
Dataset.delete(dataset_id=squashed.id, force=True)
with TestCase().assertRaisesRegex(ValueError, "could not be found"):
    Dataset.get(dataset_id=squashed.id)
