"""Command lines that the scripts print for a shell: those that deploy a model and let it be watched."""

import re
import shlex
from collections.abc import Mapping


def shell_quoted(text: str) -> str:
    """Return the text in quotes, as a shell takes it."""
    return shlex.quote(text) if re.search(r'[$`"\\!]', text) else f'"{text}"'


def model_add_command(
    service_id: str, endpoint: str, *, engine: str, preprocess: str, model: str, project: str, tag: str
) -> str:
    """Return the command that serves the newest published model with this name and tag at an endpoint."""
    return (
        f"clearml-serving --id {service_id} model add --engine {engine} --endpoint {shell_quoted(endpoint)} "
        f"--preprocess {shell_quoted(preprocess)} --name {shell_quoted(model)} "
        f"--project {shell_quoted(project)} --published --tags {shell_quoted(tag)}"
    )


def metrics_add_command(service_id: str, endpoint: str, buckets: Mapping[str, str]) -> str:
    """Return the command that counts an endpoint's features and its answer `y`, which is 0 or 1.

    `buckets` has the text of each feature's edges.
    """
    counted = {**buckets, "y": "0,1"}
    variables = " ".join(shell_quoted(f"{name}={edges}") for name, edges in counted.items())
    return (
        f"clearml-serving --id {service_id} metrics add --endpoint {shell_quoted(endpoint)} "
        f"--variable-scalar {variables}"
    )


def auto_update_commands(
    service_id: str,
    endpoint: str,
    latest: str,
    *,
    engine: str,
    preprocess: str,
    model: str,
    project: str,
    tag: str,
) -> list[str]:
    """Return the commands that serve each newest published model with this name and tag by itself.

    It is a version of `endpoint`; `latest` is the address that stays.
    """
    return [
        f"clearml-serving --id {service_id} model auto-update --engine {engine} "
        f"--endpoint {shell_quoted(endpoint)} --preprocess {shell_quoted(preprocess)} "
        f"--name {shell_quoted(model)} --project {shell_quoted(project)} --published "
        f"--tags {shell_quoted(tag)} --max-versions 1",
        f"clearml-serving --id {service_id} model canary --endpoint {shell_quoted(latest)} --weights 1 "
        f"--input-endpoint-prefix {shell_quoted(f'{endpoint}/')}",
    ]
