"""A real Prometheus that scrapes clearml-serving's statistics and evaluates the alert rules."""

import http.client
import json
import urllib.error
import urllib.parse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple

from .checkers import check
from .debian_programs import Package, find_programs
from .loopback import HOST, open_loopback

# clearml-serving's own prometheus.yml calls it so, and the rules rely on it.
STATISTICS_JOB = "clearml-inference-stats"

# As often as the dashboard refreshes, and as clearml-serving's own prometheus.yml has it.
INTERVAL_SECONDS = 5

REFUSALS = (400, 422)  # of a query; other errors say that Prometheus is not up to it now
BY_POST = ("query", "query_range", "series")  # whose questions may be long
LARGEST_ANSWER = 32 * 2**20  # bytes
UNKNOWN = "Prometheus answers in a form that is not known here."

PACKAGE = Package(
    "prometheus",
    "Prometheus",
    (("prometheus",), ("promtool",)),
    "apt install prometheus (Debian, Ubuntu), brew install prometheus (macOS), "
    "or put prometheus and promtool on PATH",
)


class Tools(NamedTuple):
    """The two programs: the server, and the checker of its rules."""

    prometheus: Path
    promtool: Path


def find_tools(cache: Path | None = None, say: Callable[[str], object] = print) -> Tools:
    """Return the two programs, as debian_programs.py finds them; ProgramsNotFound if there are none."""
    (programs,) = find_programs([PACKAGE], cache, say)
    return Tools(*programs)


def check_rules(tools: Tools, rules: Path) -> None:
    """Raise StackError, with promtool's own words in one line, if Prometheus would refuse the rules."""
    check([tools.promtool, "check", "rules", rules], "Prometheus refuses the rules")


def prometheus_command(
    tools: Tools,
    home: Path,
    port: int,
    targets: Sequence[str],
    rules: Path | None,
    interval_seconds: int = INTERVAL_SECONDS,
    alertmanagers: Sequence[str] = (),
    repository: Path | None = None,
) -> list[str]:
    """Return the command that runs Prometheus on a loopback port, with all its files in `home`.

    Writes its configuration: scrape `targets`, the "host:port" of statistics processes, and evaluate
    `rules`, if any, both every `interval_seconds`; send what fires to `alertmanagers`, each a
    "host:port". Rules find the folder of their project, as an address, in the external label `repository`.
    """
    home = home.resolve()
    home.mkdir(parents=True, exist_ok=True)
    interval = f"{interval_seconds}s"
    configuration = {
        "global": {
            "scrape_interval": interval,
            "evaluation_interval": interval,
            "scrape_timeout": interval,
            "external_labels": {"repository": repository.resolve().as_uri()} if repository else {},
        },
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": list(alertmanagers)}]}]},
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
        f"--web.external-url=http://{HOST}:{port}",  # in the links of alerts
        # Tell what goes on firing again soon, not after a minute: an Alertmanager that was just started, or
        # that Prometheus did not know yet when the alert began to fire, has not heard of it.
        f"--rules.alert.resend-delay={2 * interval_seconds}s",
        "--log.level=warn",
    ]


def is_ready(url: str) -> bool:
    """Return whether a Prometheus, or an Alertmanager, has read its configuration and data, and answers."""
    try:
        with open_loopback(f"{url}/-/ready", timeout=1) as answer:
            return answer.status == 200
    except OSError:  # URLError is one
        return False


def query(url: str, expression: str) -> list[tuple[dict[str, str], float]]:
    """Return labels and value of each series of an expression; ValueError if Prometheus refuses it."""
    result = ask(url, "query", query=expression)["result"]
    return [(series["metric"], float(series["value"][1])) for series in result]


def query_range(
    url: str, expression: str, start: float, end: float, step: float = INTERVAL_SECONDS
) -> list[tuple[dict[str, str], list[tuple[float, float]]]]:
    """Return labels and (time, value) pairs of each series between two times, both included.

    Times are in seconds since 1970. A series has no pair for the times at which it had no value. ValueError
    if Prometheus refuses the query.
    """
    result = ask(url, "query_range", query=expression, start=start, end=end, step=step)["result"]
    return [
        (series["metric"], [(time, float(value)) for time, value in series["values"]]) for series in result
    ]


def ask(url: str, kind: str, *, timeout: float = 30, **parameters: object) -> Any:
    """Return the data that Prometheus's API answers to a question of some kind, such as "query".

    ValueError, with its reason, if Prometheus refuses it; OSError if it cannot answer now.
    """
    text = urllib.parse.urlencode(parameters, doseq=True, errors="replace")
    address, body = f"{url}/api/v1/{kind}", text.encode()
    try:
        by_post = kind in BY_POST
        asked = open_loopback(address if by_post else f"{address}?{text}", body if by_post else None, timeout)
        with asked as answer:
            return _field(answer, "data")
    except urllib.error.HTTPError as error:
        if error.code not in REFUSALS:
            raise
        about = parameters.get("query") or kind
        raise ValueError(f"Prometheus refuses {about!r}: {_field(error, 'error')}") from error
    except http.client.HTTPException as error:  # what answers does not speak HTTP
        raise OSError(str(error)) from error


def _field(answer: IO[bytes], name: str) -> Any:
    """Return a field of an answer; ValueError if it has none or is too long, OSError if it ends early."""
    try:
        content = answer.read(LARGEST_ANSWER + 1)
    except http.client.HTTPException as error:  # it died while it answered
        raise OSError(str(error)) from error
    if len(content) > LARGEST_ANSWER:
        raise ValueError(f"Prometheus answers with more than {LARGEST_ANSWER // 2**20} MB: ask for less.")
    try:
        return json.loads(content)[name]
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise ValueError(UNKNOWN) from error
