"""Report points and lines, one by one, and an artifact in the end."""

import sys
import time

from clearml import Task

name, points, pause = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
task = Task.init("durability tests", name, auto_connect_frameworks=False)
for number in range(points):
    task.get_logger().report_scalar("m", "v", number, number)
    print(f"line {number} of {points}", flush=True)
    time.sleep(pause)
task.upload_artifact("result", {"points": points}, wait_on_upload=True)
task.close()
