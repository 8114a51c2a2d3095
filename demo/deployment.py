"""Print the commands that deploy the champion and watch it, if there is one.

    CLEARML_SERVING_TASK_ID=ID python -m demo.deployment

`python -m local_stack up --serving` runs this when a model was published, see pyproject.toml.
"""

import os

from clearml import Model

from asteroids.drift import EDGES
from clearml_tools.shell_commands import metrics_add_command, model_add_command
from global_config import CHAMPION_TAG, MODEL_NAME, PROJECT_NAME, SERVING_ENDPOINT
from local_stack.serving import SYNC_SECONDS


def deployment_commands(service_id: str, edges: dict[str, str]) -> list[str]:
    """Return the two commands for a service; `edges` are those of the champion's buckets."""
    model = model_add_command(
        service_id,
        SERVING_ENDPOINT,
        engine="xgboost",
        preprocess="preprocess_serving.py",
        model=MODEL_NAME,
        project=PROJECT_NAME,
        tag=CHAMPION_TAG,
    )
    return [model, metrics_add_command(service_id, SERVING_ENDPOINT, edges)]


def champion_edges() -> dict[str, str] | None:
    """Return the champion's bucket edges by variable; None if there is no champion."""
    champions = Model.query_models(  # the newest one first, as `model add` takes it
        PROJECT_NAME, MODEL_NAME, tags=[CHAMPION_TAG], only_published=True
    )
    if not champions:
        return None
    metadata = champions[0].get_all_metadata()
    return {
        key.removeprefix(EDGES): found["value"] for key, found in metadata.items() if key.startswith(EDGES)
    }


def main() -> None:
    edges = champion_edges()
    if edges is None:
        return
    print(f"To deploy the champion and to watch it, which takes effect within {SYNC_SECONDS} s:\n")
    for command in deployment_commands(os.environ["CLEARML_SERVING_TASK_ID"], edges):
        print(f"    {command}")


if __name__ == "__main__":
    main()
