"""The schemas of the values in requests. Endpoints rely on them: every request is validated first.

A schema is one of these:

    str, int, float, bool, dict    a value of this type (int for float is fine, bool for int is not)
    [schema]                       a list of such items
    {"name": …, "key!": …}         an object of schemas; "!" marks required fields, others may hold anything
    Map(schema)                    an object with any keys, each with such a value
    {"input", "output"}            one of these strings
    range(10)                      an integer in this range
    (schema, schema)               one of several schemas

A field that is null counts as absent, as clients send null for what is not set.
"""

from dataclasses import dataclass
from typing import Any

from .documents import Document
from .errors import missing_field, validation_error, wrong_type

NAMES = {str: "a string", int: "an integer", float: "a number", bool: "true or false", dict: "an object"}


@dataclass(frozen=True)
class Map:
    values: Any


NATURAL = range(2**63)
SECONDS = range(10**10)  # larger numbers are not dates
SCALAR = (str, float, bool)
DESCRIBED_VALUE = {"value": SCALAR, "type": str, "description": str}
PARAMETER = {"section!": str, "name!": str, **DESCRIBED_VALUE}
PARAMETERS = Map(Map(DESCRIBED_VALUE))
CONFIGURATION = {"name!": str, **DESCRIBED_VALUE}
CONFIGURATIONS = Map(DESCRIBED_VALUE)
CONTAINER = Map(str)
METADATA = ([{"key!": str, "type": str, "value": str}], Map({"key": str, "type": str, "value": str}))
ARTIFACT = {
    "key!": str, "type!": str, "mode": {"input", "output"}, "uri": str, "hash": str, "content_size": int,
    "timestamp": int, "type_data": {"preview": str, "content_type": str, "data_hash": str},
    "display_data": [[str]],
}  # fmt: skip
TASK_MODELS = [{"name!": str, "model!": str}]
EXECUTION = {
    "artifacts": [ARTIFACT], "queue": str, "framework": str, "model": str, "model_desc": dict,
    "model_labels": Map(int), "docker_cmd": str, "parameters": dict, "test_split": int,
}  # fmt: skip
SCRIPT = {
    "binary": str, "branch": str, "diff": str, "entry_point": str, "repository": str, "requirements": dict,
    "tag": str, "version_num": str, "working_dir": str,
}  # fmt: skip
METRIC = {"metric!": str, "variants": [str]}
METRICS_OF_TASKS = [{"task!": str, "metric": str, "variants": [str]}]

TEXTS = (
    "access_key", "comment", "created", "default_output_destination", "description", "destination_project",
    "event_type", "framework", "label", "line_format", "line_type", "metric", "model", "name",
    "new_location", "new_project_name", "new_task_comment", "new_task_name", "new_task_parent",
    "new_task_project", "output__error", "output_dest", "override_model_id", "parent", "project",
    "project_name", "queue", "queue_name", "role", "scroll_id", "section", "status_message", "status_reason",
    "task", "tasks_state", "type", "uri", "user", "variant", "worker",
)  # fmt: skip
FLAGS = (
    "allow_locked", "allow_public", "clear_all", "count_total", "delete_contents",
    "delete_external_artifacts", "delete_output_models", "force", "force_publish_task", "get_task_info",
    "include_subprojects", "include_system", "model_event", "model_events", "move_to_trash",
    "navigate_current_metric", "navigate_earlier", "next_iteration", "no_scroll", "public", "publish",
    "publish_model", "publish_task", "publish_tasks", "ready", "refresh", "replace_configuration",
    "replace_metadata", "return_file_urls", "share", "skip_empty", "split_by_variant", "validate_references",
    "validate_tasks", "verify_watched_queue",
)  # fmt: skip
NUMBERS = ("batch_size", "count", "interval", "iters", "max_task_entries", "page", "page_size", "samples")
TEXT_LISTS = (
    "ids", "keys", "names", "new_task_system_tags", "new_task_tags", "projects", "queue_ids", "queues",
    "system_tags", "tags", "tasks", "worker_ids",
)  # fmt: skip
OBJECTS = ("design", "filter", "input", "machine_stats", "requirements", "runtime", "ui_cache")

# The schema of a field in any request. An endpoint names its exceptions where it is registered.
FIELDS: dict[str, Any] = {
    **dict.fromkeys(TEXTS, str),
    **dict.fromkeys(FLAGS, bool),
    **dict.fromkeys(NUMBERS, NATURAL),
    **{name: [str] for name in TEXT_LISTS},
    **dict.fromkeys(OBJECTS, dict),
    "artifacts": [ARTIFACT],
    "configuration": CONFIGURATIONS,
    "container": CONTAINER,
    "execution": EXECUTION,
    "execution_overrides": EXECUTION,
    "from_date": float,
    "from_timestamp": float,
    "hyperparams": PARAMETERS,
    "items": [dict],
    "iteration": int,
    "key": {"iter", "timestamp", "iso_time"},
    "labels": Map(int),
    "metadata": METADATA,
    "metrics": [METRIC],
    "models": {"input": TASK_MODELS, "output": TASK_MODELS},
    "new_task_configuration": CONFIGURATIONS,
    "new_task_container": CONTAINER,
    "new_task_hyperparams": PARAMETERS,
    "new_task_input_models": TASK_MODELS,
    "order": {"asc", "desc"},
    "replace_hyperparams": {"none", "section", "all"},
    "script": SCRIPT,
    "threshold_sec": float,
    "timeout": SECONDS,
    "timestamp": float,
    "to_date": float,
}

# The get_all calls: any field of the documents may be one value or a list of them, null included.
FILTER = (SCALAR, [(SCALAR, type(None))])
SEVERAL_FIELDS = {"fields!": [str], "pattern": str, "datetime": (str, [(str, type(None))])}
LISTING: dict[str, Any] = {
    "_all_": SEVERAL_FIELDS,
    "_and_": SEVERAL_FIELDS,
    "_any_": SEVERAL_FIELDS,
    "_or_": SEVERAL_FIELDS,
    **dict.fromkeys(("only_fields", "order_by"), (str, [str])),
    **dict.fromkeys(("max_task_entries", "page", "page_size", "size"), NATURAL),
    **dict.fromkeys(("scroll_id", "search_text"), str),
    **dict.fromkeys(("include_subprojects", "refresh_scroll", "search_hidden", "shallow_search"), bool),
    "filters": dict,
    "last_seen": SECONDS,
    "system_tags": [(str, type(None))],
    "tags": [(str, type(None))],
}


def validate(value: Any, schema: Any, path: str) -> Any:
    """Return the value without its null fields, or raise the API's error, which names `path`."""
    if isinstance(schema, set | range):
        if not isinstance(value, str if isinstance(schema, set) else int) or value not in schema:
            raise validation_error(f"{path} should be {describe(schema)}")
        return value
    if isinstance(schema, tuple):
        schema = next((choice for choice in schema if _fits(value, choice)), schema)
    if not _fits(value, schema):
        raise wrong_type(path, describe(schema))
    match schema:
        case list():
            return [validate(item, schema[0], f"{path}[{i}]") for i, item in enumerate(value)]
        case dict():
            return _object(value, schema, path)
        case Map():
            return {k: validate(v, schema.values, f"{path}.{k}") for k, v in value.items() if v is not None}
    return value


def _object(value: Document, schema: Document, path: str) -> Document:
    found = {}
    inner_schemas = {name.rstrip("!"): inner for name, inner in schema.items()}
    for key, item in value.items():
        if item is not None:
            found[key] = validate(item, inner_schemas[key], f"{path}.{key}") if key in inner_schemas else item
    for name in schema:
        if name.endswith("!") and found.get(name[:-1]) in (None, ""):
            raise missing_field(f"{path}.{name[:-1]}")
    return found


def _fits(value: Any, schema: Any) -> bool:
    """Return whether the value is of the schema's type, whatever may be inside it."""
    match schema:
        case list():
            return isinstance(value, list)
        case dict() | Map():
            return isinstance(value, dict)
        case tuple():
            return any(_fits(value, choice) for choice in schema)
        case type() if schema in (int, float):
            return isinstance(value, int if schema is int else (int, float)) and not isinstance(value, bool)
        case _:
            return isinstance(value, schema)


def describe(schema: Any) -> str:
    """Say in words what the schema asks for."""
    match schema:
        case list():
            return f"a list, each item {describe(schema[0])}"
        case dict() | Map():
            return "an object"
        case set():
            return " or ".join(sorted(schema))
        case range():
            return f"an integer from {schema[0]} to {schema[-1]}"
        case tuple():
            return " or ".join(describe(choice) for choice in schema)
        case _:
            return NAMES.get(schema, "null")
