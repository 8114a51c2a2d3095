"""The SDK's own JSON schemas of the API's requests and responses, as an oracle for tests.

The `api` fixture checks every answer it gets. For the SDK itself, `record` makes a process write down its
API calls, and what is wrong with the answers.
"""

import importlib
import inspect
import json
import re
from datetime import datetime
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

import jsonschema

SERVICES = ("auth", "events", "models", "organization", "projects", "queues", "tasks", "workers")
CALL = re.compile(r"^/(?:v[\d.]+/)?([a-z]+\.[a-z_]+)$")

# Fields of real answers that the SDK's schemas do not list; None where the keys are names of metrics.
BEYOND_THE_SCHEMA = {
    "events.get_task_latest_scalar_values": {"last_iter", "last_timestamp", "name", "status"},
    "events.scalar_metrics_iter_histogram": None,
    "events.vector_metrics_iter_histogram": {"metric", "variant", "vectors", "iterations"},
    "tasks.delete": {"deleted_models"},
    "projects.validate_delete": {"datasets", "pipelines", "reports", "non_archived_reports"},
}

# The SDK's generated schema is wrong here. The server answers as ClearML's documentation says.
WRONG_SCHEMAS = {
    "tasks.get_configuration_names",  # a list of objects, not one object
    "events.download_task_log",  # HTTP sends the text, and handlers say which
}

LATER_TYPE = "report"  # a type of task that the SDK's schemas do not have
WRONG_FIELDS = {"last_task_run"}  # of a project's statistics: a date, as in ClearML's own server, no number

FORMATS = jsonschema.FormatChecker(formats=())
FORMATS.checks("date-time", raises=ValueError)(
    lambda value: not isinstance(value, str) or bool(datetime.fromisoformat(value))
)


@cache
def schemas() -> dict[tuple[str, str], dict]:
    """Return {("request" or "response", "service.action"): JSON schema}."""
    from clearml.backend_api.session import Request, Response

    found = {}
    for service in SERVICES:
        module = importlib.import_module(f"clearml.backend_api.services.v2_23.{service}")
        members = inspect.getmembers(module, inspect.isclass)
        classes = [kind for _, kind in members if getattr(kind, "_schema", None)]
        # Some schemas refer to what only a class of the module defines.
        defined = {snake_case(kind.__name__): kind._schema for kind in classes}
        for kind in classes:
            if issubclass(kind, Request | Response):
                side = "request" if issubclass(kind, Request) else "response"
                definitions = {**defined, **kind._schema.get("definitions", {})}
                found[side, f"{kind._service}.{kind._action}"] = {**kind._schema, "definitions": definitions}
    return found


def snake_case(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


@cache
def _validator(name: str) -> jsonschema.Draft7Validator | None:
    schema = None if name in WRONG_SCHEMAS else schemas().get(("response", name))
    return schema and jsonschema.Draft7Validator(schema, format_checker=FORMATS)


def problems(name: str, data: dict) -> list[str]:
    """Return how an answer differs from the SDK's schema; nothing if the SDK has no schema for it."""
    validator = _validator(name)
    if validator is None:
        return []
    found = []
    for error in validator.iter_errors(data):
        while error.context:  # of several alternatives, the error that went deepest says most
            error = max(error.context, key=lambda inner: len(inner.absolute_path))
        if error.instance == LATER_TYPE or WRONG_FIELDS & {*list(error.absolute_path)[-1:]}:
            continue
        found.append(f"{name} at {'/'.join(map(str, error.absolute_path))}: {error.message[:300]}")
    known, beyond = validator.schema.get("properties"), BEYOND_THE_SCHEMA.get(name, set())
    if known and beyond is not None and not validator.schema.get("additionalProperties"):
        unknown = data.keys() - known - beyond
        found += [f"{name} has {key}, which the schema does not list" for key in sorted(unknown)]
    return found


def record(path: Path | str) -> None:
    """Write down the name of every API call that this process makes from now on, and its problems."""
    import requests

    send = requests.Session.send

    def recording(session, request, **options):
        response = send(session, request, **options)
        call = CALL.match(urlsplit(request.url).path)
        if call:
            found = ["it is unknown"] if response.status_code == 404 else []
            if response.status_code == 200:
                found = problems(call[1], response.json()["data"])
            with open(path, "a") as file:
                file.write(json.dumps([call[1], found]) + "\n")
        return response

    requests.Session.send = recording
