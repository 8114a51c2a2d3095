"""Print the command that deploys the champion, and let clearml-serving watch what is deployed.

    CLEARML_SERVING_TASK_ID=ID python -m demo.deployment

`python -m local_stack up --serving` runs this when a model was published or tagged, and when endpoints have
changed, see pyproject.toml.
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


def unwatched_endpoints(service_id: str) -> list[str]:
    """Return the service's endpoints for which `metrics add` was never run."""
    service = Task.get_task(service_id)
    endpoints, watched = (
        service.get_configuration_object_as_dict(name) or {} for name in ("endpoints", "metric_logging")
    )
    return sorted(endpoints.keys() - watched.keys())


def watch(service_id: str, endpoint: str) -> None:
    """Run and print the command that watches an endpoint; UserError with what it printed if it fails."""
    command = metrics_add_command(service_id, endpoint, *counted_variables())
    done = subprocess.run(
        [sys.executable, "-m", "clearml_serving", *shlex.split(command)[1:]],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode:
        raise UserError(f"clearml-serving metrics add failed:\n{done.stdout}")
    print(
        f"Requests to '{endpoint}' are watched from now on, by this command, which was run:\n\n    {command}"
    )


def main() -> None:
    report_errors_in_one_line()
    service_id = os.environ["CLEARML_SERVING_TASK_ID"]
    unwatched = unwatched_endpoints(service_id)
    for endpoint in unwatched:
        watch(service_id, endpoint)
    if not unwatched and Model.query_models(
        PROJECT_NAME, MODEL_NAME, tags=[CHAMPION_TAG], only_published=True
    ):
        print(f"To deploy the champion, which takes effect within {SYNC_SECONDS} s:\n")
        print(f"    {deploy_command(service_id)}")


if __name__ == "__main__":
    main()
