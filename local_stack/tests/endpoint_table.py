"""The README's table of endpoints: which of the ClearML server's the local server answers.

    python -m local_stack.tests.endpoint_table     # write it anew

The names are those of the SDK's schemas, those below, and what the local server has besides. Each is called.
"""

import tempfile
from itertools import groupby
from pathlib import Path

from local_stack.server.services import ENDPOINTS
from local_stack.stack import Stack
from local_stack.tests import sdk_schemas
from local_stack.tests.api import Api

README = Path(__file__).parents[1] / "README.md"
BEGIN = "<!-- endpoints: made by python -m local_stack.tests.endpoint_table -->\n"
END = "<!-- /endpoints -->\n"

# What the open ClearML server has (apiserver/services/ of its source) and the SDK has no schema for.
BEYOND_THE_SDK = {
    "auth": "create_user fixed_users_mode get_token_for_user login logout validate_token",
    "debug": "ping",
    "events": "add_batch get_multi_task_metrics",
    "login": "logout supported_modes",
    "models": "get_all_ex get_by_id_ex update_tags",
    "organization": "download_for_get_all get_entities_count get_project_workloads get_user_companies "
    "prepare_download_for_get_all",
    "pipelines": "check_new_run delete_runs start_pipeline",
    "projects": "get_all_ex get_user_names",
    "queues": "get_all_ex",
    "reports": "archive create delete get_all_ex get_tags get_task_data move publish unarchive update",
    "server": "config endpoints get_stats info report_stats_option",
    "serving": "container_status_report get_endpoint_details get_endpoint_metrics_history get_endpoints "
    "get_loading_instances register_container unregister_container",
    "storage": "get_settings reset_settings set_settings",
    "tasks": "get_all_ex get_by_id_ex make_private make_public update_tags",
    "users": "create delete get_all get_all_ex get_by_id get_current_user get_preferences set_preferences "
    "update",
    "workers": "get_count get_runtime_properties set_runtime_properties",
}


def names() -> list[str]:
    """List the names of all endpoints, in order."""
    of_sdk = {name for side, name in sdk_schemas.schemas() if side == "request"}
    beyond = {
        f"{service}.{name}" for service, all_names in BEYOND_THE_SDK.items() for name in all_names.split()
    }
    return sorted({*of_sdk, *beyond, *ENDPOINTS})


def table(api: Api) -> str:
    """Return the table of what the server answers, as the README has it."""
    lines = ["| service | answered | refused by name (404) |", "|---|---|---|"]
    for service, members in groupby(names(), key=lambda name: name.split(".")[0]):
        answered: dict[bool, list[str]] = {True: [], False: []}
        for name in members:
            known = api.request("POST", f"/{name}").status_code != 404
            answered[known].append(name.split(".")[1])
        lines.append(f"| {service} | {', '.join(answered[True])} | {', '.join(answered[False])} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Put the table into the README."""
    with tempfile.TemporaryDirectory() as home, Stack(Path(home), port=0) as stack, Api.of(stack) as api:
        before, rest = README.read_text().split(BEGIN)
        README.write_text(before + BEGIN + table(api) + END + rest.split(END)[1])


if __name__ == "__main__":
    main()
