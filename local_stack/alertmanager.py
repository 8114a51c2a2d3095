"""A real Alertmanager: it gets the alerts of Prometheus, groups and silences them, and tells receivers.

Its configuration is the user's, or a minimal one. A webhook, of a local program that waits for alerts, can be
added to the receiver that gets what no other route takes.
"""

from pathlib import Path
from typing import Any, NamedTuple

import yaml

from .checkers import check
from .debian_programs import Package
from .loopback import HOST

PACKAGE = Package(
    "prometheus-alertmanager",
    "Alertmanager",
    (("prometheus-alertmanager", "alertmanager"), ("amtool",)),
    "apt install prometheus-alertmanager (Debian, Ubuntu), "
    "or put alertmanager and amtool on PATH (prometheus.io/download has them)",
    data="/usr/share/prometheus/alertmanager",
)

# Each alert is told by itself, and soon: a person waits for it here.
MINIMAL: dict[str, Any] = {
    "route": {"receiver": "default", "group_by": ["..."], "group_wait": "1s"},
    "receivers": [{"name": "default"}],
}


class Tools(NamedTuple):
    """The two programs: the server, and the checker of its configuration."""

    alertmanager: Path
    amtool: Path


def alertmanager_command(tools: Tools, home: Path, port: int, configuration: Path) -> list[str]:
    """Return the command that runs Alertmanager on a loopback port, with all its data in `home`."""
    return [
        str(tools.alertmanager),
        f"--config.file={configuration.resolve()}",
        f"--storage.path={home.resolve() / 'data'}",
        f"--web.listen-address={HOST}:{port}",
        f"--web.external-url=http://{HOST}:{port}",  # in the links of notifications
        "--cluster.listen-address=",  # there is no other to gossip with, and it would listen on all addresses
        "--log.level=warn",
    ]


def write_configuration(
    tools: Tools, home: Path, file: Path | None = None, webhook: str | None = None
) -> Path:
    """Return the configuration to run with: `file`, or one written below `home`; StackError for a wrong one.

    `webhook` is a URL that is added to the receiver of the file's top route. Without `file` there is one
    receiver, which tells nobody else.
    """
    if file:
        check_configuration(tools, file, str(file))
        if not webhook:
            return file.resolve()
    configuration = absolute(yaml.safe_load(file.read_text()), file.parent) if file else dict(MINIMAL)
    if webhook:
        default = configuration["route"]["receiver"]
        configuration["receivers"] = [
            add_webhook(receiver, webhook) if receiver["name"] == default else receiver
            for receiver in configuration["receivers"]
        ]
    home.mkdir(parents=True, exist_ok=True)
    written = home.resolve() / "alertmanager.yml"
    written.write_text(yaml.safe_dump(configuration, sort_keys=False))
    check_configuration(tools, written, f"the webhook {webhook!r}")
    return written


def add_webhook(receiver: dict[str, Any], url: str) -> dict[str, Any]:
    return {**receiver, "webhook_configs": [*(receiver.get("webhook_configs") or []), {"url": url}]}


def absolute(value: Any, folder: Path, key: str = "") -> Any:
    """Return a configuration for a file that lies elsewhere: the paths in it are relative to `folder`."""
    if isinstance(value, dict):
        return {name: absolute(each, folder, name) for name, each in value.items()}
    if isinstance(value, list):
        return [absolute(each, folder, key) for each in value]
    is_path = isinstance(value, str) and value and (key == "templates" or key.endswith("_file"))
    return str(folder.resolve() / value) if is_path else value


def check_configuration(tools: Tools, file: Path, name: str) -> None:
    """Raise StackError, with amtool's own words in one line, if Alertmanager would refuse the file."""
    check([tools.amtool, "check-config", file], f"Alertmanager refuses {name}")
