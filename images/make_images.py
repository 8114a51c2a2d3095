"""Make the pictures of the README anew, from a real run on the local stack.

    python -m images.make_images                         # all four, in about 35 minutes
    python -m images.make_images diagram                 # one, as fast as it can be had
    python -m images.make_images dashboard alert --record FILE

With --record, the measurements are kept in a file, or taken from it if it is there: to change a drawing
takes no new run. `make images` does the first.
"""

import argparse
import sys
from pathlib import Path

from images.traffic import Traffic, run_traffic
from local_stack import demo

FOLDER = Path(__file__).resolve().parent
SCRIPTS = ("get_data.py", "preprocessing.py", "model_training.py", "pipeline.py")


def run(pictures, record):
    with demo.fresh_stack(None) as stack:
        if not (all(demo.run_script(stack, script) for script in SCRIPTS) and demo.follow_pipeline(stack)):
            return None
        serving = demo.deploy(stack)
        print("PROM", serving.prometheus_url, stack.url, stack.home, flush=True)
        traffic = run_traffic(stack, serving)
        traffic.save(record)
        return traffic

if __name__ == "__main__":
    run([], Path(sys.argv[1]))
