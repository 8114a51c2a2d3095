"""Send half an hour of real traffic with a drift and a deployment in it."""

import shlex
import sys

from demo.running import DemoRun, run_command, run_script, say
from global_config import CHAMPION_TAG, MODEL_NAME, SERVING_ENDPOINT

REQUESTS_A_SECOND = 5

# Of the first one the rules learn nothing, but a person what normal traffic looks like. Before the last one
# another model is deployed.
LEGS = (("normal", 6 * 60), ("major", 8 * 60), ("normal", 7 * 60), ("normal", 6.5 * 60))


def run_traffic(run: DemoRun) -> None:
    """Send the legs one after another to the service that serves the champion."""
    for number, (scenario, seconds) in enumerate(LEGS, 1):
        if number == len(LEGS):
            deploy_another(run)
        say(f"inference.py --scenario {scenario}: {seconds / 60:g} minutes")
        count = round(seconds * REQUESTS_A_SECOND)
        arguments = ["--scenario", scenario, "--rate", REQUESTS_A_SECOND, "--count", count, "--seed", number]
        run_script(run, "inference.py", "--url", run.endpoint_url, *map(str, arguments))


def deploy_another(run: DemoRun) -> None:
    """Serve a model that is not the champion in its place."""
    models = run.stack.call("models.get_all", name=MODEL_NAME, only_fields=["id", "tags"])["models"]
    other = next(model["id"] for model in models if CHAMPION_TAG not in model["tags"])
    say(f"clearml-serving model add: model {other} in the champion's place")
    line = (
        f"--id {run.serving.service_id} model add --engine xgboost --endpoint {SERVING_ENDPOINT} "
        f"--preprocess preprocess_serving.py --model-id {other}"
    )
    run_command(run, "deploy", [sys.executable, "-m", "clearml_serving", *shlex.split(line)])
