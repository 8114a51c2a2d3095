"""A task with something for each section of its page, and with names that would be scripts if they could.

It runs until its standard input ends, and prints each line that comes in there on its own console.
"""

import sys

import matplotlib
import numpy as np
import pandas as pd

matplotlib.use("agg")

import matplotlib.pyplot as plt
from clearml import OutputModel, Task

PROJECT, HOSTILE = sys.argv[1:]

task = Task.init(PROJECT, f"training {HOSTILE}", tags=[HOSTILE], task_type="training")
task.set_comment(f"why {HOSTILE}")
task.connect({"depth": 3, f"name {HOSTILE}": f"value {HOSTILE}"}, name="General")
task.set_configuration_object(f"settings {HOSTILE}", config_text=f"key = {HOSTILE}")
logger = task.get_logger()
for iteration in range(5):
    logger.report_scalar("loss", "train", 1 / (iteration + 1), iteration)
    logger.report_scalar("loss", HOSTILE, 2 / (iteration + 1), iteration)
logger.report_single_value("accuracy", 0.875)
table = pd.DataFrame({"name": ["a", HOSTILE], "value": [1.5, 2.5]})
logger.report_table(f"table {HOSTILE}", "rows", iteration=0, table_plot=table)
logger.report_histogram("histogram", HOSTILE, values=[1, 2, 3], iteration=0, xlabels=["x", HOSTILE, "z"])
logger.report_confusion_matrix("confusion", "matrix", matrix=[[5, 1], [2, 7]], iteration=0)
figure, axes = plt.subplots()
axes.plot([1, 2, 3])
logger.report_matplotlib_figure("drawing", "by matplotlib", figure=figure, iteration=0)
logger.report_matplotlib_figure("picture", "by matplotlib", figure=figure, iteration=0, report_image=True)
logger.report_image("sample", HOSTILE.replace("/", "|"), image=np.full((8, 8, 3), 200, np.uint8), iteration=0)
task.upload_artifact("table", table, preview=f"preview {HOSTILE}")
task.upload_artifact("page", f"<html><script>alert(1)</script>{HOSTILE}</html>", extension_name=".html")
model = OutputModel(
    task, name=f"model {HOSTILE}", framework="XGBoost", tags=[HOSTILE], label_enumeration={"a": 0}
)
model.update_weights(register_uri="http://127.0.0.1:9/elsewhere/weights.bin")
model.set_metadata("threshold", f"0.4 {HOSTILE}")
model.publish()
logger.flush(wait=True)
print(f"ready {model.id}", flush=True)
for line in sys.stdin:
    print(line, end="", flush=True)
    logger.flush(wait=True)
