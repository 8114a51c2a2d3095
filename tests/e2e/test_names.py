"""The names in global_config.py are text, whatever it means in a regular expression or to a shell."""

import re
import subprocess
import sys
import uuid
from urllib.parse import unquote, urlsplit

from clearml_tools.errors import UserError, shell_quoted

import pytest
from clearml import Task
from clearml.utilities.config import text_to_config_dict

import global_config
import pipeline
from clearml_tools.name_limits import wrong_name
from clearml_tools.tasks import start_task
from local_stack.stack import Stack
from tests.support.checkouts import Checkout
from tests.support.deployment import clean_environment

# Every one of ()[]{}|?*+.^$\ and blank, and a "/" where no blank is before it.
OF_REGULAR_EXPRESSIONS = r"()[]{}|?*+.^$ \x/y"
OF_SHELLS = 'it\'s a ${HOME} $(id) `id` "q" 100 %s; & <é> a+!'

# What ClearML does not take besides, see LIMITS.
LEFT_OUT = {
    "MODEL_FILE_STEM": r"[/\\]",
    "SERVING_ENDPOINT": r"""[(){|\\%"'~;,<>]|[^ -~]""",
    **{name: "/" for name in vars(global_config) if name.endswith("_FILE_NAME")},
}


def odd_names(text: str) -> dict[str, str]:
    """A value with the text in it for every name, but for the table's columns."""
    texts = {name: value for name, value in vars(global_config).items() if isinstance(value, str)}
    names = {name for name in texts if name.isupper() and not name.endswith("_COLUMN")} - {"MODEL_NAME"}
    odd = {name: f"{name.lower()} {re.sub(LEFT_OUT.get(name, '$^'), '', text)}" for name in names}
    return odd | {"PROJECT_NAME": f"{uuid.uuid4().hex[:8]} {text}"}


def champions(stack: Stack, names: dict[str, str]) -> list[str]:
    """The ids of the published models that serving would find by their name and tag."""
    model_name = f"{names['TRAINING_TASK_NAME']} - {names['MODEL_FILE_STEM']}"
    wanted = {"name": f"^{re.escape(model_name)}$", "tags": [names["CHAMPION_TAG"]], "ready": True}
    return [model["id"] for model in stack.call("models.get_all", **wanted)["models"]]


@pytest.mark.parametrize("text", [OF_REGULAR_EXPRESSIONS, OF_SHELLS])
def test_odd_names_go_all_the_way_from_the_table_to_the_served_champion(text, stack, tmp_path):
    names = odd_names(text)
    checkout = Checkout(tmp_path / "asteroids", stack.environment(), names=names)
    few = ["--num-boost-round", "5"]
    if text == OF_REGULAR_EXPRESSIONS:
        options = ["--local", "--query-date", "2000-01-01", "--training-seeds", "1"]
        done = checkout.run("pipeline.py", *options, *few)
    else:  # the pipeline takes the longest, and a shell sees nothing of what it does
        checkout.run("get_data.py", "--query-date", "2000-01-01")
    checkout.run("preprocessing.py")  # finds the newest version by its name, unlike a step
    told = checkout.run("model_training.py", *few).stdout.splitlines()[-1]
    if text != OF_REGULAR_EXPRESSIONS:
        (task,) = stack.call("tasks.get_all", name=f"^{re.escape(names['TRAINING_TASK_NAME'])}$")["tasks"]
        done = checkout.run("model_selection.py", "--candidates", task["id"])
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
    printed = checkout.run(
        "-m", "demo.deployment", environment={**checkout.environment, "CLEARML_SERVING_TASK_ID": service}
    ).stdout
    lines = [line.strip() for line in printed.splitlines() if line.startswith("    clearml-serving")]
    assert lines[1] == told.replace("ID", service, 1)
    run_in_shell(*lines)
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


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("PROJECT_NAME", "two\nlines", "one line of text"),
        ("STEP_QUEUE", "CP", "three characters"),
        ("RAW_DATASET_NAME", " raw", "blanks at both ends"),
        ("PROJECT_NAME", "asteroids//hazards", "needs a name"),
        ("PIPELINE_NAME", "asteroids /hazards", "needs a name without a blank"),
        ("PREPROCESSED_DATASET_NAME", "../asteroids", "needs a name"),
        ("PROJECT_NAME", "asteroids/.hazards", "hides what begins with '.'"),
        ("PROJECT_NAME", "us/asteroids", "three characters before the first '/'"),
        ("LABELS_FILE_NAME", "labels/y.csv", "not of a folder"),
        ("MODEL_FILE_STEM", "best\\model", "a backslash"),
        ("CHAMPION_TAG", "__$not", "an operator on tags"),
        ("SERVING_ENDPOINT", "asteroid (new)", "cannot store"),
        ("SERVING_ENDPOINT", "astéroïde", "beyond ASCII"),
        ("SERVING_ENDPOINT", "asteroid/new/1", "NAME/VERSION"),
        ("SERVING_ENDPOINT", "2nd asteroid", "a digit"),
        ("CHAMPION_TAG", "-champion", "an option"),
    ],
)
def test_what_clearml_does_not_take_is_named_with_the_reason(name, text, told, monkeypatch):
    monkeypatch.setattr(global_config, name, text)
    assert wrong_name().startswith(f"global_config.py: {name} cannot be {text!r}: ")
    assert told in wrong_name()


def test_names_as_they_are_shipped_are_right():
    assert wrong_name() is None


def test_a_wrong_name_is_told_before_anything_is_begun(monkeypatch):
    monkeypatch.setattr(global_config, "CHAMPION_TAG", "-champion")
    monkeypatch.setattr(sys, "argv", ["pipeline.py", "--local"])
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)  # main() sets another
    told = "global_config.py: CHAMPION_TAG cannot be '-champion'"
    with pytest.raises(UserError, match=told):
        start_task("a task", Task.TaskTypes.training)
    with pytest.raises(UserError, match=told):
        pipeline.main()
