"""A dataset with a parent, and a pipeline of three steps that somebody else has to run. Waits for its end."""

import sys
import tempfile
from pathlib import Path

import pandas as pd
from clearml import Dataset, PipelineController, Task

PROJECT, HOSTILE, QUEUE = sys.argv[1:]

with tempfile.TemporaryDirectory() as temporary:
    folder = Path(temporary)
    (folder / "rows.csv").write_text("a,b\n1,2\n")
    (folder / f"{HOSTILE.replace('/', '|')}.txt").write_text("a hostile name")
    parent = Dataset.create(dataset_project=PROJECT, dataset_name="rows", dataset_tags=[HOSTILE])
    parent.add_files(folder)
    parent.upload()
    parent.finalize()
    (folder / "more.csv").write_text("a,b\n3,4\n")
    child = Dataset.create(dataset_project=PROJECT, dataset_name="rows", parent_datasets=[parent.id])
    child.add_files(folder / "more.csv")
    table = pd.DataFrame({"column": [HOSTILE]})
    child.get_logger().report_table("preview", "head", iteration=0, table_plot=table)
    child.upload()
    child.finalize()

base = Task.create(PROJECT, "base of the steps", repo="https://example.com/repository.git", script="step.py")
pipeline = PipelineController(f"pipeline {HOSTILE}", PROJECT, pool_frequency=0.005)
pipeline.add_parameter("seeds", HOSTILE)
for name, parents in (("first", []), ("left", ["first"]), ("right", ["first"])):
    pipeline.add_step(name, base_task_id=base.id, parents=parents, execution_queue=QUEUE)
table = pd.DataFrame({"F1": ["0.9"]}, index=[f"candidate {HOSTILE}"])
pipeline.get_logger().report_table("Model selection", "candidates", iteration=0, table_plot=table)
pipeline.start_locally(run_pipeline_steps_locally=False)
