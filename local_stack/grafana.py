"""Grafana, where it is installed, with the data source and a dashboard already in it."""

import json
import shutil
from pathlib import Path

from .loopback import HOST

# Where Debian's and Grafana's own packages keep its pages; an unpacked archive has them beside its bin/.
PACKAGED_PAGES = Path("/usr/share/grafana")


def find_grafana() -> str | None:
    """Return the path of the server's program, or None where there is no Grafana."""
    return shutil.which("grafana") or shutil.which("grafana-server")


def grafana_command(program: str) -> list[str]:
    beside = Path(program).resolve().parent.parent
    pages = beside if (beside / "conf" / "defaults.ini").exists() else PACKAGED_PAGES
    server = [program, "server"] if Path(program).name == "grafana" else [program]
    return [*server, "--homepath", str(pages)]


def grafana_environment(home: Path, port: int, prometheus_url: str, dashboard: Path | None) -> dict[str, str]:
    """Return settings of a Grafana with all its files in `home`, where it writes what they lead to."""
    provisioning, dashboards = home / "provisioning", home / "dashboards"
    for folder in (provisioning / "datasources", provisioning / "dashboards", dashboards):
        folder.mkdir(parents=True, exist_ok=True)
    if dashboard:
        shutil.copy(dashboard, dashboards)
    source = {"name": "Prometheus", "type": "prometheus", "access": "proxy", "url": prometheus_url}
    provider = {"name": "local_stack", "type": "file", "options": {"path": str(dashboards)}}
    provisioned: dict[str, dict[str, object]] = {
        "datasources": {"datasources": [source | {"isDefault": True}]},
        "dashboards": {"providers": [provider]},
    }
    for kind, content in provisioned.items():  # JSON is YAML, too
        file = provisioning / kind / "local_stack.yaml"
        file.write_text(json.dumps({"apiVersion": 1, **content}, indent=2))
    return {
        "GF_PATHS_DATA": str(home / "data"),
        "GF_PATHS_LOGS": str(home / "logs"),
        "GF_PATHS_PLUGINS": str(home / "plugins"),
        "GF_PATHS_PROVISIONING": str(provisioning),
        "GF_SERVER_HTTP_ADDR": HOST,
        "GF_SERVER_HTTP_PORT": str(port),
        "GF_ANALYTICS_REPORTING_ENABLED": "false",
        "GF_ANALYTICS_CHECK_FOR_UPDATES": "false",
    }
