"""A real Prometheus that scrapes clearml-serving's statistics and evaluates the alert rules.

    python -m local_stack.prometheus        # fetches it if need be

It is taken from PATH. Otherwise the package of Debian or Ubuntu is unpacked into a cache. This needs no root,
installs nothing and starts no service.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import urllib.error
import urllib.parse
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from .errors import PrometheusNotFound
from .interrupts import take_signals
from .loopback import HOST, open_loopback
from .settings import default_home

# clearml-serving's own prometheus.yml calls it so, and the rules rely on it.
STATISTICS_JOB = "clearml-inference-stats"

# As often as the dashboard refreshes, and as clearml-serving's own prometheus.yml has it.
INTERVAL_SECONDS = 5

REFUSALS = (400, 422)  # of a query; other errors say that Prometheus is not up to it now

PACKAGE = "prometheus"

# Fetch only the lists that are needed, and give up early on a mirror that does not answer: the defaults are
# four attempts of a minute each.
APT_GET = [
    "apt-get",
    *("-o", "Acquire::Languages=none"),
    *("-o", "Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled=false"),
    *("-o", "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false"),
    *("-o", "Acquire::IndexTargets::deb-src::Sources::DefaultEnabled=false"),
    *("-o", "Acquire::Retries=1"),
    *("-o", "Acquire::http::Timeout=10"),
    *("-o", "Acquire::https::Timeout=10"),
]

INSTALL = (
    "apt install prometheus (Debian, Ubuntu), brew install prometheus (macOS), "
    "or put prometheus and promtool on PATH"
)


class Tools(NamedTuple):
    """The two programs: the server, and the checker of its rules."""

    prometheus: Path
    promtool: Path


def find_tools(cache: Path | None = None, say: Callable[[str], object] = print) -> Tools:
    """Return the two programs: those on PATH, else those of Debian's package, fetched the first time.

    It is unpacked into `cache`, by default a folder that all stacks of the current folder's project share.
    `say` is called with what is fetched and how large it is. PrometheusNotFound if there are none.
    """
    on_path = [Path(found) for name in Tools._fields if (found := shutil.which(name))]
    if len(on_path) == len(Tools._fields):
        return Tools(*on_path)
    cache = (cache or default_home() / "tools").resolve()
    folder = cache / PACKAGE
    if not folder.exists():
        if not (shutil.which("apt-get") and shutil.which("dpkg")):
            raise PrometheusNotFound(f"No Prometheus was found: {INSTALL}.")
        try:
            unpack_package(folder, say)
        except subprocess.CalledProcessError as error:
            reason = (error.stdout.strip().splitlines() or ["no reason given"])[-1]
            raise PrometheusNotFound(
                f"No Prometheus was found, and its package cannot be fetched ({reason}): {INSTALL}."
            ) from error
        except OSError as error:
            raise PrometheusNotFound(
                f"Prometheus's package cannot be unpacked into {cache} ({error.strerror}): "
                f"correct that, or {INSTALL}."
            ) from error
    return Tools(*(folder / "usr" / "bin" / name for name in Tools._fields))


def unpack_package(folder: Path, say: Callable[[str], object]) -> None:
    """Unpack Debian's package into a folder, which appears whole or not at all."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f"{PACKAGE}-") as work:
        archive, unpacked = download_package(Path(work), say), Path(work, "unpacked")
        run(["dpkg", "-x", str(archive), str(unpacked)], work)
        try:
            unpacked.rename(folder)
            folder.with_name(".gitignore").write_text("*\n")  # a stack's home may be elsewhere
        except OSError:  # another process was faster
            if not folder.exists():
                raise


def download_package(work: Path, say: Callable[[str], object]) -> Path:
    """Return the package's file, downloaded into a folder; CalledProcessError if that fails."""

    def download(apt_get: list[str]) -> None:
        listed = run([*apt_get, "--print-uris", "download", PACKAGE], work)
        found = re.search(r"^'.+' \S+ (\d+) ", listed, re.MULTILINE)  # 'URI' file bytes hash
        size = f", {int(found[1]) / 1e6:.0f} MB" if found else ""
        where = os.path.relpath(work.parent)
        say(f"Fetching Prometheus (Debian's package{size}) into {where}, this once")
        run([*apt_get, "download", PACKAGE], work)

    try:
        download(APT_GET)
    except subprocess.CalledProcessError:
        # The system's lists of packages may be empty or old, and only root may fetch new ones: fetch
        # them into a folder of our own.
        say("Fetching the lists of Debian's packages, to fetch Prometheus: some 10 to 30 MB")
        apt_get = [*APT_GET, *own_lists(work / "apt")]
        run([*apt_get, "update"], work)
        download(apt_get)
    return next(work.glob("*.deb"))


def run(command: list[str], folder: str | Path) -> str:
    """Return what a command prints; CalledProcessError if it fails."""
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "LC_ALL": "C"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=True,
    )
    return done.stdout


def own_lists(folder: Path) -> list[str]:
    """Return options with which apt-get keeps its lists of packages in this folder, and needs no root."""
    lists, cache = folder / "lists", folder / "cache"
    (lists / "partial").mkdir(parents=True)
    (cache / "archives" / "partial").mkdir(parents=True)
    return ["-o", f"Dir::State::Lists={lists}", "-o", f"Dir::Cache={cache}"]


def prometheus_command(
    tools: Tools,
    home: Path,
    port: int,
    targets: Sequence[str],
    rules: Path | None,
    interval_seconds: int = INTERVAL_SECONDS,
) -> list[str]:
    """Return the command that runs Prometheus on a loopback port, with all its files in `home`.

    Writes its configuration: scrape `targets`, the "host:port" of statistics processes, and evaluate
    `rules`, if any, both every `interval_seconds`.
    """
    home = home.resolve()
    home.mkdir(parents=True, exist_ok=True)
    interval = f"{interval_seconds}s"
    configuration = {
        "global": {"scrape_interval": interval, "evaluation_interval": interval, "scrape_timeout": interval},
        "rule_files": [str(rules.resolve())] if rules else [],
        "scrape_configs": [
            {"job_name": STATISTICS_JOB, "static_configs": [{"targets": list(targets)}]},
        ],
    }
    file = home / "prometheus.yml"
    file.write_text(json.dumps(configuration, indent=2))  # JSON is YAML, too
    return [
        str(tools.prometheus),
        f"--config.file={file}",
        f"--storage.tsdb.path={home / 'data'}",
        f"--web.listen-address={HOST}:{port}",
        "--log.level=warn",
    ]


def is_ready(url: str) -> bool:
    """Return whether Prometheus answers, has read its configuration and data, and serves queries."""
    try:
        with open_loopback(f"{url}/-/ready", timeout=1) as answer:
            return answer.status == 200
    except OSError:  # URLError is one
        return False


def query(url: str, expression: str) -> list[tuple[dict[str, str], float]]:
    """Return labels and value of each series of an expression; ValueError if Prometheus refuses it."""
    result = ask(url, "query", query=expression)
    return [(series["metric"], float(series["value"][1])) for series in result]


def query_range(
    url: str, expression: str, start: float, end: float, step: float = INTERVAL_SECONDS
) -> list[tuple[dict[str, str], list[tuple[float, float]]]]:
    """Return labels and (time, value) pairs of each series between two times, both included.

    Times are in seconds since 1970. A series has no pair for the times at which it had no value. ValueError
    if Prometheus refuses the query.
    """
    result = ask(url, "query_range", query=expression, start=start, end=end, step=step)
    return [
        (series["metric"], [(time, float(value)) for time, value in series["values"]]) for series in result
    ]


def ask(url: str, kind: str, **parameters: object) -> list[dict[str, Any]]:
    """Return the result of a query of Prometheus's API.

    ValueError, with its reason, if Prometheus refuses the query; OSError if it cannot answer now.
    """
    body = urllib.parse.urlencode(parameters).encode()
    try:
        with open_loopback(f"{url}/api/v1/{kind}", body, timeout=30) as answer:
            return json.load(answer)["data"]["result"]
    except urllib.error.HTTPError as error:
        if error.code not in REFUSALS:
            raise
        raise ValueError(
            f"Prometheus refuses {parameters['query']!r}: {json.load(error)['error']}"
        ) from error


if __name__ == "__main__":
    take_signals()
    try:
        find_tools(say=partial(print, flush=True))
    except KeyboardInterrupt:
        sys.exit(130)
    except PrometheusNotFound as error:
        sys.exit(str(error))
