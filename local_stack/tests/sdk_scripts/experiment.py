"""One experiment that uses all that the SDK can record. Prints the task's id."""

import io
import sys
import tempfile
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
import sdk_schemas
from PIL import Image

sdk_schemas.record(sys.argv[1])
matplotlib.use("agg")

import matplotlib.pyplot as plt  # noqa: E402
from clearml import Task  # noqa: E402

task = Task.init("sdk tests/experiments", "all of it", tags=["first", "größe"], task_type="testing")
task.add_tags(["second"])
task.set_comment("what it is for")

# Parameters and configuration
task.connect({"depth": 3, "rate": 0.5, "name": "grün", "flags": [1, 2], "none": None}, name="General")
task.connect({"layers": {"hidden": 4}}, name="Net")
task.set_parameter("Args/late", "yes")
task.set_user_properties({"name": "grade", "value": "A", "description": "by hand"}, reviewer="Ann")
task.connect_configuration({"window": [1, 2], "nested": {"a": "b"}}, name="as a dictionary")
task.set_configuration_object("as text", config_text="key = value\nother = größe")
with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "settings.yaml"
    path.write_text("a: 1\n")
    task.connect_configuration(path, name="as a file")

# Console, scalars, single values
print("a line on the console: größe ✓")
print("a line on stderr", file=sys.stderr)
logger = task.get_logger()
logger.report_text("a reported line")
for iteration in range(5):
    logger.report_scalar("loss", "train", 1 / (iteration + 1), iteration)
    logger.report_scalar("loss", "validation", 2 / (iteration + 1), iteration)
logger.report_single_value("accuracy", 0.875)

# Plots
frame = pd.DataFrame({"name": ["a", "b"], "value": [1.5, 2.5]})
logger.report_table("table", "preview", iteration=0, table_plot=frame)
logger.report_histogram("histogram", "series", values=[1, 2, 3], iteration=0, xlabels=["x", "y", "z"])
logger.report_confusion_matrix("confusion", "matrix", matrix=[[5, 1], [2, 7]], iteration=0)
logger.report_scatter2d("scatter", "points", scatter=[(0, 1), (1, 2)], iteration=0)
logger.report_line_plot("lines", series=[], iteration=0, xaxis="x", yaxis="y")
figure, axes = plt.subplots()
axes.plot([1, 2, 3])
logger.report_matplotlib_figure("figure", "drawn", figure=figure, iteration=0)
logger.report_matplotlib_figure("figure", "as an image", figure=figure, iteration=0, report_image=True)
plt.close(figure)

# Debug samples
pixels = np.zeros((8, 8, 3), dtype=np.uint8)
for iteration in range(3):
    pixels[iteration] = 255
    logger.report_image("image", "pixels", image=pixels.copy(), iteration=iteration)
logger.report_media("media", "text", stream=io.StringIO("media text"), file_extension="txt", iteration=0)

# Artifacts
task.upload_artifact("dictionary", {"a": [1, 2, {"b": None}]}, metadata={"made": "by a test"})
task.upload_artifact("frame", frame)
task.upload_artifact("array", np.arange(6).reshape(2, 3))
task.upload_artifact("image", Image.fromarray(pixels))
task.upload_artifact("text", "plain text, größe")
task.upload_artifact("object", {1, 2, 3}, auto_pickle=True)
with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "a file with spaces & signs #1?.txt"
    path.write_text("content of the file")
    task.upload_artifact("file", path, wait_on_upload=True)
    inner = Path(folder) / "inner"
    inner.mkdir()
    (inner / "one.txt").write_text("1")
    (inner / "two.txt").write_text("2")
    task.upload_artifact("folder", inner, wait_on_upload=True)
task.upload_artifact("name/with: signs #%?", {"odd": True}, wait_on_upload=True)
task.register_artifact("registered", frame)
task.flush(wait_for_uploads=True)
task.close()
print(f"the task is {task.id}", flush=True)
