"""A real Prometheus that scrapes clearml-serving's statistics and evaluates the alert rules.

It is taken from PATH. On Debian and its relatives the distribution's own package is unpacked into a cache
otherwise: that takes no root, installs nothing and starts no service.
"""

import json
import os
import shutil
import subprocess
import tempfile
import urllib.error
import urllib.parse
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from .loopback import HOST, open_loopback

# clearml-serving's own prometheus.yml calls it so, and the rules rely on it.
STATISTICS_JOB = "clearml-inference-stats"

# As often as the dashboard refreshes, and as clearml-serving's own prometheus.yml has it.
INTERVAL_SECONDS = 5

REFUSALS = (400, 422)  # of a query; other errors say that Prometheus is not up to it now

INSTALL = (
    "apt install prometheus (Debian, Ubuntu), brew install prometheus (macOS), "
    "or put prometheus and promtool on PATH"
)


class PrometheusNotFound(Exception):
    """There is no Prometheus and none can be fetched. The message is one line with cause and remedy."""


class Tools(NamedTuple):
    """The two programs: the server, and the checker of its rules."""

    prometheus: Path
    promtool: Path


def find_tools(cache: Path) -> Tools:
    """Prometheus from PATH, else from Debian's package, which is unpacked into `cache` the first time."""
    on_path = [shutil.which(name) for name in Tools._fields]
    if all(on_path):
        return Tools(*map(Path, on_path))
    cache = cache.resolve()
    folder = cache / "prometheus"
    if not folder.exists():
        unpack_package("prometheus", folder)
    return Tools(*(folder / "usr" / "bin" / name for name in Tools._fields))


def unpack_package(package: str, folder: Path) -> None:
    """Unpack a Debian package into a folder that appears whole or not at all. PrometheusNotFound if not."""
    if not (shutil.which("apt-get") and shutil.which("dpkg")):
        raise PrometheusNotFound(f"No Prometheus was found: {INSTALL}.")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f"{package}-") as work:
        try:
            archive, unpacked = download_package(package, Path(work)), Path(work, "unpacked")
            run(["dpkg", "-x", str(archive), str(unpacked)], work)
        except subprocess.CalledProcessError as error:
            reason = (error.stdout.strip().splitlines() or ["no reason given"])[-1]
            raise PrometheusNotFound(
                f"No Prometheus was found, and its package cannot be fetched ({reason}): {INSTALL}."
            ) from error
        try:
            unpacked.rename(folder)
        except OSError:  # another process was faster
            if not folder.exists():
                raise


def download_package(package: str, folder: Path) -> Path:
    """The file of a Debian package, downloaded into a folder; CalledProcessError if it is not to be had."""
    try:
        run(["apt-get", "download", package], folder)
    except subprocess.CalledProcessError:
        # The system's lists of packages may be empty or old, and only root may fetch new ones: fetch them
        # into a folder of our own.
        options = own_lists(folder / "apt")
        run(["apt-get", *options, "update"], folder)
        run(["apt-get", *options, "download", package], folder)
    return next(folder.glob("*.deb"))


def own_lists(folder: Path) -> list[str]:
    """Options with which apt-get keeps its lists of packages in a folder, made here, and needs no root."""
    lists, cache = folder / "lists", folder / "cache"
    (lists / "partial").mkdir(parents=True)
    (cache / "archives" / "partial").mkdir(parents=True)
    return ["-o", f"Dir::State::Lists={lists}", "-o", f"Dir::Cache={cache}"]


def run(command: list[str], folder: str | Path) -> None:
    subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "LC_ALL": "C"},
        check=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def prometheus_command(
    tools: Tools,
    home: Path,
    port: int,
    targets: Sequence[str],
    rules: Path,
    interval_seconds: int = INTERVAL_SECONDS,
) -> list[str]:
    """The command that runs Prometheus on a port of the loopback address, with all its files in `home`.

    Writes its configuration: scrape `targets`, the "host:port" of statistics processes, and evaluate
    `rules`, both every `interval_seconds`.
    """
    home = home.resolve()
    home.mkdir(parents=True, exist_ok=True)
    interval = f"{interval_seconds}s"
    configuration = {
        "global": {"scrape_interval": interval, "evaluation_interval": interval, "scrape_timeout": interval},
        "rule_files": [str(rules.resolve())],
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
    """Whether Prometheus answers, has read its configuration and data, and serves queries."""
    try:
        with open_loopback(f"{url}/-/ready", timeout=1) as answer:
            return answer.status == 200
    except OSError:  # URLError is one
        return False


def query(url: str, expression: str) -> list[tuple[dict[str, str], float]]:
    """Labels and value of each series that an expression has now; ValueError if Prometheus refuses it."""
    result = ask(url, "query", query=expression)
    return [(series["metric"], float(series["value"][1])) for series in result]


def query_range(
    url: str, expression: str, start: float, end: float, step: float = INTERVAL_SECONDS
) -> list[tuple[dict[str, str], list[tuple[float, float]]]]:
    """Labels and (time, value) pairs of each series between two times, in seconds since 1970, both included.

    A series has no pair for the times at which it had no value. ValueError if Prometheus refuses the query.
    """
    result = ask(url, "query_range", query=expression, start=start, end=end, step=step)
    return [
        (series["metric"], [(time, float(value)) for time, value in series["values"]]) for series in result
    ]


def ask(url: str, kind: str, **parameters: object) -> list[dict]:
    """The result of a query of Prometheus's API.

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
