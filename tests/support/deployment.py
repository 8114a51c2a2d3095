"""The shared deployment: `python -m local_stack up --serving`, with the champion deployed on it.

Everything is done as a user would: the scripts make the models, and the clearml-serving commands are the
very lines that `up` and model_training.py print.
"""

import json
import os
import re
import shlex
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pandas as pd
import psutil
import requests
import xgboost

from global_config import CHAMPION_TAG, MODEL_NAME, PROJECT_NAME
from local_stack import prometheus, waiting
from local_stack.processes import is_alive
from local_stack.serving import SYNC_SECONDS
from local_stack.waiting import Child, wait_until
from preprocess_serving import build_features
from tests.support.checkouts import REPOSITORY

# Moves the champion's tag to a model, as pipeline.py does, and prints where every model's file is.
PROMOTE = f"""
import json, sys
from clearml import Model
models = Model.query_models({PROJECT_NAME!r}, {MODEL_NAME!r})
for model in models:
    if model.id == sys.argv[1]:
        model.publish()
        model.tags = [{CHAMPION_TAG!r}]
    elif {CHAMPION_TAG!r} in model.tags:
        model.tags = ["former"]
print(json.dumps({{model.id: model.get_local_copy() for model in models}}))
"""

# clearml-serving's command line, several times in one process: its imports take most of a call's time.
COMMANDS = """
import shlex, sys
from clearml_serving.__main__ import main
for line in sys.argv[1:]:
    sys.argv = shlex.split(line)
    main()
"""

STATE = re.compile(r"syncing model endpoint configuration, state hash=(\w+)")

ADD_VERSION = (
    'clearml-serving --id ID model add --engine xgboost --endpoint "asteroid" --version {version} '
    '--model-id {model} --preprocess "preprocess_serving.py"'
)
AUTO_UPDATE = (
    'clearml-serving --id ID model auto-update --engine xgboost --endpoint "asteroid_auto" '
    f'--preprocess "preprocess_serving.py" --name "{MODEL_NAME}" '
    f'--project "{PROJECT_NAME}" --published --tags "{CHAMPION_TAG}" --max-versions 1'
)
# The version is part of an auto-updated model's address. This one is always the newest version's. What is
# counted needs an endpoint of its name, though no request reaches that one.
NAME_LATEST = (
    'clearml-serving --id ID model add --engine xgboost --endpoint "asteroid_latest" '
    f'--preprocess "preprocess_serving.py" --name "{MODEL_NAME}" '
    f'--project "{PROJECT_NAME}" --published --tags "{CHAMPION_TAG}"'
)
ADD_LATEST = (
    'clearml-serving --id ID model canary --endpoint "asteroid_latest" --weights 1 '
    '--input-endpoint-prefix "asteroid_auto/"'
)
ADD_CANARY = (
    'clearml-serving --id ID model canary --endpoint "asteroid_canary" --weights 0.75 0.25 '
    '--input-endpoints "asteroid/1" "asteroid/2"'
)


@dataclass
class Deployment:
    """A running `up --serving` whose endpoint "asteroid" serves the champion; clients of all its parts."""

    process: Child
    environment: dict[str, str]
    logs: Path  # the folder of the parts' logs
    service_id: str
    url: str  # of the endpoints, without the last part
    prometheus_url: str
    alertmanager_url: str
    add_command: str = ""  # the two that it printed for the champion
    watch_command: str = ""
    model_files: dict[str, Path] = field(default_factory=dict)  # of both models, by id: champion, challenger
    answered: dict[str, list[dict]] = field(default_factory=dict)  # requests with status 200, by endpoint

    def post(self, body: object, endpoint: str = "asteroid", **options) -> requests.Response:
        """Send one request: a row, or bytes as they are."""
        body = {"data": body} if isinstance(body, bytes) else {"json": body}
        response = requests.post(f"{self.url}/{endpoint}", **body, timeout=waiting.SECONDS, **options)
        if response.status_code == 200 and "json" in body:
            self.answered.setdefault(endpoint, []).append(body["json"])
        return response

    def query(self, expression: str) -> list[tuple[dict[str, str], float]]:
        return prometheus.query(self.prometheus_url, expression)

    def value(self, expression: str) -> float:
        """The value of an expression's only series; 0 where there is none."""
        return sum(value for _, value in self.query(expression))

    def run(self, *arguments: object) -> str:
        """What a script of this repository prints."""
        return run([sys.executable, *arguments], self.environment)

    def command(self, *lines: str) -> None:
        """Run lines of clearml-serving and wait until they have taken effect; ID stands for the service's."""
        # Each part names the state that it takes up, by a hash. So does whatever reads it, as a list does.
        lines = [
            line.replace("ID", self.service_id, 1) for line in (*lines, "clearml-serving --id ID model list")
        ]
        *_, wanted = STATE.findall(run([sys.executable, "-c", COMMANDS, *lines], self.environment))
        for part in ("inference", "statistics"):
            log = self.logs / f"{part}.log"
            wait_until(
                lambda log=log: STATE.findall(log.read_text())[-1:] == [wanted], f"state {wanted}", log
            )
        time.sleep(SYNC_SECONDS)  # it is named when they begin to take it up

    def promote(self, model_id: str) -> dict[str, Path]:
        """Make a model the champion; files of all models by their id."""
        printed = self.run("-c", PROMOTE, model_id).splitlines()[-1]
        return {name: Path(path) for name, path in json.loads(printed).items()}

    def part(self, command_word: str) -> psutil.Process:
        """The process of the stack with a certain word in its command."""
        children = psutil.Process(self.process.pid).children()
        (found,) = [child for child in children if any(command_word in word for word in child.cmdline())]
        return found

    def inference(self) -> psutil.Process:
        """The process that listens where requests are sent. Its spare has the same command."""
        port = urlsplit(self.url).port
        children = psutil.Process(self.process.pid).children()
        (found,) = [child for child in children if listens(child, port)]
        return found

    @contextmanager
    def traffic(self, row: dict, endpoint: str = "asteroid") -> Iterator[list[tuple[int, dict]]]:
        """Within the block the row is sent again and again; collects status and answer of each request."""
        answers, done = [], threading.Event()

        def send() -> None:
            while not done.is_set():
                response = self.post(row, endpoint)
                answers.append((response.status_code, response.json()))
                done.wait(0.01)  # leave something of the machine to the others

        with ThreadPoolExecutor() as pool:
            sending = pool.submit(send)
            try:
                yield answers
            finally:
                done.set()
            sending.result()


def listens(process: psutil.Process, port: int) -> bool:
    """Whether a process listens on a port; one that has just ended does not."""
    with suppress(psutil.NoSuchProcess):
        connections = process.net_connections("tcp")
        return any(each.status == psutil.CONN_LISTEN and each.laddr.port == port for each in connections)
    return False


def run(command: Sequence[object], environment: dict[str, str]) -> str:
    done = waiting.run(command, cwd=REPOSITORY, env=environment)
    assert done.returncode == 0, f"{command} failed:\n{done.stdout}\n{done.stderr}"
    return done.stdout


def predict(model_file: Path, rows: list[dict]) -> np.ndarray:
    """What a model itself says of rows: its probabilities."""
    features = np.array([build_features(row) for row in rows])
    booster = xgboost.Booster(model_file=model_file)
    return booster.predict(xgboost.DMatrix(features, feature_names=booster.feature_names))


def table_rows() -> list[dict]:
    """The table's rows as requests: all 40 columns, numbers as numbers."""
    table = pd.read_csv(REPOSITORY / "data" / "nasa.csv")
    return json.loads(table.to_json(orient="records"))


@contextmanager
def up(home: Path, *options: str, folder: Path = REPOSITORY) -> Iterator[Deployment]:
    """`up --serving` on free ports, stopped as a user would; all that it started must be gone then."""
    parts = ("serving", "prometheus", "grafana", "alertmanager")
    ports = [word for part in parts for word in (f"--{part}-port", "0")]
    if not home.exists():  # later it keeps its port, as the addresses of its files do
        ports += ["--port", "0"]
    command = [sys.executable, "-m", "local_stack", "up", "--serving", "--agents", "0", "--home", str(home)]
    with Child([*command, *ports, *options], cwd=folder) as process:
        process.wait_for("Ctrl-C stops it")
        yield Deployment(
            process,
            environment={**clean_environment(), "CLEARML_CONFIG_FILE": str(home / "clearml.conf")},
            logs=home / "logs",
            service_id=process.wait_for(r"as service (\w+)")[1],
            url=process.wait_for(r"answers at (\S+)/<endpoint>")[1],
            prometheus_url=process.wait_for(r"Prometheus is at (\S+)\.")[1],
            alertmanager_url=process.wait_for(r"Alertmanager is at (\S+)\.")[1],
        )
        children = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGINT)
        assert process.wait_for_end() == 0
        assert not [child for child in children if is_alive(child)]


def clean_environment() -> dict[str, str]:
    """The environment with the commands of this Python's environment, and no other ClearML server in it."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("CLEARML_")}
    return {**kept, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}


def deploy(running: Deployment) -> None:
    """Train a champion and a challenger, deploy the champion, and both side by side behind a canary."""
    running.run("get_data.py")
    running.run("preprocessing.py")
    trainings = (["model_training.py"], ["model_training.py", "--random-state", "7", "--max-depth", "2"])
    with ThreadPoolExecutor() as pool:
        printed = list(pool.map(lambda training: running.run(*training), trainings))
    champion, challenger = (re.search(r"best_model' \((\w+)\)", text)[1] for text in printed)
    files = running.promote(champion)
    running.model_files = {model: files[model] for model in (champion, challenger)}
    running.add_command = running.process.wait_for(r"(?m)^    (clearml-serving .*model add .*)$\n")[1]
    run(shlex.split(running.add_command), running.environment)
    # The stack itself runs this one, for each new endpoint, and prints it.
    running.watch_command = running.process.wait_for(r"(?m)^    (clearml-serving .*metrics add .*)$\n")[1]
    (told,) = [line for line in printed[0].splitlines() if line.startswith("clearml-serving")]
    assert running.watch_command == told.replace("ID", running.service_id)
    running.command(
        ADD_VERSION.format(version=1, model=champion),
        ADD_VERSION.format(version=2, model=challenger),
        ADD_CANARY,
    )
    for version in (1, 2):
        running.process.wait_for(rf'metrics add --endpoint "asteroid/{version}" ')
    running.command()  # until these have taken effect
