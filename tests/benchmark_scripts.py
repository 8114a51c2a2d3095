"""How long the tracked scripts take, on other people's settings and on those of the local stack.

    python -m tests.benchmark_scripts

"default" is a clearml.conf of servers and credentials, "clearml-init" one as that command writes it, "local
stack" the local stack's own. In "the SDK's own" the SDK's defaults are chosen, and the scripts leave them as
they are. Medians of several runs, one after the other on one server; then how long the largest imports take.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import clearml

from local_stack.server.auth import Credentials
from local_stack.stack import Stack
from tests.support.checkouts import REPOSITORY

RUNS = 3
SCRIPTS = ["get_data.py", "preprocessing.py", "model_training.py"]
MODULES = ["clearml", "xgboost", "pandas", "duckdb", "sklearn.metrics"]
SDK_DEFAULTS = "sdk.development { report_use_subprocess: true, vcs_repo_detect_async: true }"


def configurations(stack: Stack, folder: Path) -> dict[str, Path]:
    """The clearml.conf of each row of the table."""
    keys = Credentials.load_or_make(stack.home / "server" / "credentials.json")
    hosts = f'api_server: "{stack.url}", web_server: "{stack.url}", files_server: "{stack.url}/files"'
    credentials = f'credentials {{ access_key: "{keys.access_key}", secret_key: "{keys.secret_key}" }}'
    api = f"api {{ {hosts}, {credentials} }}\n"
    shipped = Path(clearml.__file__).with_name("config") / "default" / "sdk.conf"
    texts = {
        "default": api,
        "clearml-init": f"{api}sdk {shipped.read_text()}",
        "local stack": stack.config_file.read_text(),
        "the SDK's own": f"{api}{SDK_DEFAULTS}\n",
    }
    for name, text in texts.items():
        (folder / f"{name}.conf").write_text(text)
    return {name: folder / f"{name}.conf" for name in texts}


def seconds(command: list[str], environment: dict[str, str]) -> float:
    """How long a command takes; it must succeed."""
    began = time.monotonic()
    subprocess.run(command, cwd=REPOSITORY, env=environment, check=True, capture_output=True, timeout=600)
    return time.monotonic() - began


def main() -> None:
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, Python {sys.version.split()[0]}")
    with tempfile.TemporaryDirectory() as folder, Stack(Path(folder, "stack"), port=0) as stack:
        print(f"seconds, median of {RUNS} (slowest)" + "".join(f"{script:>21}" for script in SCRIPTS))
        for name, file in configurations(stack, Path(folder)).items():
            environment = {**stack.environment(), "CLEARML_CONFIG_FILE": str(file)}
            row = []
            for script in SCRIPTS:
                took = [seconds([sys.executable, script], environment) for _ in range(RUNS)]
                row.append(f"{statistics.median(took):.1f} ({max(took):.1f})")
            print(f"{name:<35}" + "".join(f"{cell:>21}" for cell in row), flush=True)
    environment = {**os.environ}
    nothing = statistics.median(seconds([sys.executable, "-c", ""], environment) for _ in range(RUNS))
    for module in MODULES:
        command = [sys.executable, "-c", f"import {module}"]
        took = statistics.median(seconds(command, environment) for _ in range(RUNS))
        print(f"import {module:<28}{took - nothing:>21.2f}")


if __name__ == "__main__":
    main()
