"""The names in global_config.py are text, whatever it means in a regular expression or to a shell."""

import re
import subprocess
import uuid
from urllib.parse import unquote, urlsplit

import pytest
from clearml.utilities.config import text_to_config_dict

import global_config
from clearml_tools.name_limits import NAMES
from clearml_tools.shell_commands import shell_quoted
from local_stack.stack import Stack
from tests.support.checkouts import Checkout
from tests.support.deployment import clean_environment

pytestmark = pytest.mark.e2e

# Every one of ()[]{}|?*+.^$\ and blank, a "/" where no blank is before it, and what a shell would expand.
ODD = r"()[]{}|?*+.^$ \x/y" + ' it\'s a ${HOME} $(id) `id` "q" 100 %s; & <é> a+!'

# What ClearML does not take besides, see LIMITS.
LEFT_OUT = {
    "MODEL_FILE_STEM": r"[/\\]",
    "SERVING_ENDPOINT": r"""[(){|\\%"'~;,<>]|[^ -~]""",
    **{name: "/" for name in vars(global_config) if name.endswith("_FILE_NAME")},
}


def odd_names() -> dict[str, str]:
    """A value with ODD in it for every name in ClearML."""
    names = {name for name in vars(global_config) if re.fullmatch(NAMES, name)} - {"MODEL_NAME"}
    odd = {name: f"{name.lower()} {re.sub(LEFT_OUT.get(name, '$^'), '', ODD)}" for name in names}
    return odd | {"PROJECT_NAME": f"{uuid.uuid4().hex[:8]} {ODD}"}


def champions(stack: Stack, names: dict[str, str]) -> list[str]:
    """The ids of the published models that serving would find by their name and tag."""
    model_name = f"{names['TRAINING_TASK_NAME']} - {names['MODEL_FILE_STEM']}"
    wanted = {"name": f"^{re.escape(model_name)}$", "tags": [names["CHAMPION_TAG"]], "ready": True}
    return [model["id"] for model in stack.call("models.get_all", **wanted)["models"]]


def test_odd_names_go_all_the_way_from_the_table_to_the_served_champion(stack, tmp_path):
    names = odd_names()
    checkout = Checkout(tmp_path / "asteroids", stack.environment(), names=names)
    few = ["--num-boost-round", "5"]
    options = ["--local", "--query-date", "2000-01-01", "--training-seeds", "1"]
    done = checkout.run("pipeline.py", *options, *few)
    checkout.run("preprocessing.py")  # finds the newest version by its name, unlike a step
    told = checkout.run("model_training.py", *few).stdout.splitlines()[-1]
    (champion,) = champions(stack, names)
    assert f"Model {champion} is the new champion: there is no champion yet" in done.stdout.splitlines()

    def run_in_shell(*lines: str) -> str:
        """Run lines as if they were pasted into a terminal."""
        config = {"CLEARML_CONFIG_FILE": checkout.environment["CLEARML_CONFIG_FILE"]}
        settings = {"cwd": checkout.folder, "env": {**clean_environment(), **config}, "timeout": 200}
        command = ["bash", "-e", "-c", "\n".join(lines)]
        return subprocess.run(command, check=True, capture_output=True, text=True, **settings).stdout

    created = run_in_shell(f"clearml-serving create --name {shell_quoted(names['SERVING_NAME'])}")
    service = re.search(r"New Serving Service created: id=(\w+)", created)[1]
    of_service = {**checkout.environment, "CLEARML_SERVING_TASK_ID": service}

    def deployment_command() -> str:
        printed = checkout.run("-m", "demo.deployment", environment=of_service).stdout.splitlines()
        (line,) = [line.strip() for line in printed if line.startswith("    clearml-serving")]
        return line

    run_in_shell(deployment_command())
    assert deployment_command() == told.replace("ID", service, 1)  # it was run, to watch what is deployed
    (task,) = stack.call("tasks.get_all", id=[service])["tasks"]
    endpoints, metrics = (
        text_to_config_dict(task["configuration"][name]["value"]) for name in ("endpoints", "metric_logging")
    )
    assert {name: endpoint["model_id"] for name, endpoint in endpoints.items()} == {
        names["SERVING_ENDPOINT"]: champion
    }
    assert set(metrics) == set(endpoints)
    address = checkout.run("-c", "import inference; print(inference.URL)").stdout.strip()
    assert unquote(urlsplit(address).path) == f"/serve/{names['SERVING_ENDPOINT']}"
