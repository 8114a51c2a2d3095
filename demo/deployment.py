"""Let clearml-serving count what the alert rules need, and print the command that deploys the champion.

    CLEARML_SERVING_TASK_ID=ID python -m demo.deployment

`python -m local_stack up --serving` runs this when a model was published or tagged, see pyproject.toml.
"""

import os
import shlex
import subprocess
import sys

from clearml_tools.errors import UserError, report_errors_in_one_line

from clearml import Model, Task

from asteroids.drift import counted_variables
from clearml_tools.shell_commands import metrics_add_command, model_add_command
from global_config import CHAMPION_TAG, MODEL_NAME, PROJECT_NAME, SERVING_ENDPOINT
from local_stack.serving import SYNC_SECONDS


def deploy_command(service_id: str) -> str:
    """Return the command that deploys the champion."""
    return model_add_command(
        service_id,
        SERVING_ENDPOINT,
        engine="xgboost",
        preprocess="preprocess_serving.py",
        model=MODEL_NAME,
        project=PROJECT_NAME,
        tag=CHAMPION_TAG,
    )


def watch_command(service_id: str, endpoint: str = SERVING_ENDPOINT) -> str:
    """Return the command that watches an endpoint, whichever model answers there."""
    return metrics_add_command(service_id, endpoint, *counted_variables())


def is_watched(service_id: str, endpoint: str = SERVING_ENDPOINT) -> bool:
    """Return whether the service counts all that the rules need at an endpoint."""
    counted = Task.get_task(service_id).get_configuration_object_as_dict("metric_logging") or {}
    buckets, values = counted_variables()
    return {*buckets, *values} <= counted.get(endpoint, {}).get("metrics", {}).keys()


def main() -> None:
    report_errors_in_one_line()
    service_id = os.environ["CLEARML_SERVING_TASK_ID"]
    if not is_watched(service_id):
        _, *arguments = shlex.split(watch_command(service_id))
        done = subprocess.run(
            [sys.executable, "-m", "clearml_serving", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        if done.returncode:
            raise UserError(f"clearml-serving metrics add failed:\n{done.stdout}")
        print("Requests are watched for drift from now on. This was run, and need not be again:\n")
        print(f"    {watch_command(service_id)}\n")
    if Model.query_models(PROJECT_NAME, MODEL_NAME, tags=[CHAMPION_TAG], only_published=True):
        print(f"To deploy the champion, which takes effect within {SYNC_SECONDS} s:\n")
        print(f"    {deploy_command(service_id)}")


if __name__ == "__main__":
    main()
