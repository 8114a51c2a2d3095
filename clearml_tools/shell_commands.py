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


def metrics_add_command(service_id: str, endpoint: str, buckets: Mapping[str, str], values: list[str]) -> str:
    """Return the command that counts what a hook reports at an endpoint, or at the versions behind it.

    `buckets` has the edges of each variable that is counted in buckets, and `values` names those of which the
    last value is kept.
    """
    counted = " ".join(shell_quoted(f"{name}={edges}") for name, edges in buckets.items())
    kept = " ".join(map(shell_quoted, values))
    return (
        f"clearml-serving --id {service_id} metrics add --endpoint {shell_quoted(endpoint)} "
        f"--variable-scalar {counted} --variable-value {kept}"
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

    It is a version of `endpoint`; `latest` is the address that stays. clearml-serving counts requests only
    under the name of an endpoint: so there is one of that name, too, which the canary hides.
    """
    names = {"engine": engine, "preprocess": preprocess, "model": model, "project": project, "tag": tag}
    return [
        f"clearml-serving --id {service_id} model auto-update --engine {engine} "
        f"--endpoint {shell_quoted(endpoint)} --preprocess {shell_quoted(preprocess)} "
        f"--name {shell_quoted(model)} --project {shell_quoted(project)} --published "
        f"--tags {shell_quoted(tag)} --max-versions 1",
        model_add_command(service_id, latest, **names),
        f"clearml-serving --id {service_id} model canary --endpoint {shell_quoted(latest)} --weights 1 "
        f"--input-endpoint-prefix {shell_quoted(f'{endpoint}/')}",
    ]
