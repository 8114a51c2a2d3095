"""The shapes that values in requests must have, so that handlers may rely on them.

A shape is one of these:

    str, int, float, bool, dict    a value of this type (int for float is fine, bool for int is not)
    [shape]                        a list of such items
    {"name": shape, "key!": shape} an object; "!" marks what must be there, other fields may hold anything
    Map(shape)                     an object with any keys, each with such a value
    {"input", "output"}            one of these strings
    range(10)                      an integer in this range
    (shape, shape)                 one of several shapes

A field that is null counts as absent, as clients send null for what is not set.
"""

from dataclasses import dataclass
from typing import Any

from .errors import missing_field, validation_error, wrong_type

NAMES = {str: "a string", int: "an integer", float: "a number", bool: "true or false", dict: "an object"}


@dataclass(frozen=True)
class Map:
    values: Any


NATURAL = range(2**63)
SECONDS = range(10**10)  # more would be no date
SCALAR = (str, float, bool)
DESCRIBED_VALUE = {"value": SCALAR, "type": str, "description": str}
PARAMETER = {"section!": str, "name!": str, **DESCRIBED_VALUE}
PARAMETERS = Map(Map(DESCRIBED_VALUE))
CONFIGURATION = {"name!": str, **DESCRIBED_VALUE}
CONFIGURATIONS = Map(DESCRIBED_VALUE)
CONTAINER = Map(str)
METADATA = [{"key!": str, "type": str, "value": str}]
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
    "comment", "default_output_destination", "description", "destination_project", "event_type", "framework",
    "metric", "model", "name", "new_location", "new_project_name", "new_task_comment", "new_task_name",
    "new_task_parent", "new_task_project", "output__error", "output_dest", "override_model_id", "parent",
    "project", "project_name", "queue", "queue_name", "scroll_id", "status_message", "status_reason", "task",
    "type", "uri", "variant", "worker",
)  # fmt: skip
FLAGS = (
    "allow_locked", "clear_all", "count_total", "delete_contents", "delete_output_models", "force",
    "force_publish_task", "get_task_info", "include_subprojects", "include_system", "model_events",
    "navigate_earlier", "publish", "publish_model", "publish_task", "publish_tasks", "ready",
    "replace_configuration", "replace_metadata", "skip_empty", "verify_watched_queue",
)  # fmt: skip
NUMBERS = ("batch_size", "count", "iters", "max_task_entries", "page", "page_size", "samples")
TEXT_LISTS = (
    "ids", "keys", "names", "new_task_system_tags", "new_task_tags", "projects", "queues", "system_tags",
    "tags", "tasks",
)  # fmt: skip
OBJECTS = ("design", "machine_stats", "requirements", "runtime")

# What a field is wherever a request holds it; an endpoint names its exceptions where it is registered.
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
    "from_timestamp": float,
    "hyperparams": PARAMETERS,
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
}

# What the get_all calls take: any field of the documents may be one value or a list of them, null included.
FILTER = (SCALAR, [(SCALAR, type(None))])
SEVERAL_FIELDS = {"fields!": [str], "pattern": str, "datetime": [str]}
LISTING: dict[str, Any] = {
    "_all_": SEVERAL_FIELDS,
    "_any_": SEVERAL_FIELDS,
    **dict.fromkeys(("only_fields", "order_by"), (str, [str])),
    **dict.fromkeys(("max_task_entries", "page", "page_size", "size"), NATURAL),
    **dict.fromkeys(("scroll_id", "search_text"), str),
    **dict.fromkeys(("search_hidden", "shallow_search"), bool),
    "last_seen": SECONDS,
    "system_tags": [(str, type(None))],
    "tags": [(str, type(None))],
}


def conform(value: Any, shape: Any, path: str) -> Any:
    """The value without its null fields, if it has the shape; the API's error for `path` if it has not."""
    match shape:
        case list():
            _require(isinstance(value, list), path, describe(shape))
            return [conform(item, shape[0], f"{path}[{i}]") for i, item in enumerate(value)]
        case dict():
            _require(isinstance(value, dict), path, describe(shape))
            return _object(value, shape, path)
        case Map():
            _require(isinstance(value, dict), path, describe(shape))
            return {k: conform(v, shape.values, f"{path}.{k}") for k, v in value.items() if v is not None}
        case set() | range():
            if not isinstance(value, str if isinstance(shape, set) else int) or value not in shape:
                raise validation_error(f"{path} should be {describe(shape)}")
            return value
        case tuple():
            for choice in shape:
                if _fits(value, choice):
                    return conform(value, choice, path)
            raise wrong_type(path, describe(shape))
        case _:
            _require(_fits(value, shape), path, describe(shape))
            return value


def _object(value: dict, shape: dict, path: str) -> dict:
    found = {}
    shapes = {name.rstrip("!"): inner for name, inner in shape.items()}
    for key, item in value.items():
        if item is not None:
            found[key] = conform(item, shapes[key], f"{path}.{key}") if key in shapes else item
    for name in shape:
        if name.endswith("!") and found.get(name[:-1]) in (None, ""):
            raise missing_field(f"{path}.{name[:-1]}")
    return found


def _fits(value: Any, shape: Any) -> bool:
    """Whether the value is of the kind that the shape asks for, whatever may be inside it."""
    match shape:
        case list():
            return isinstance(value, list)
        case dict() | Map():
            return isinstance(value, dict)
        case tuple():
            return any(_fits(value, choice) for choice in shape)
        case type() if shape in (int, float):
            return isinstance(value, int if shape is int else (int, float)) and not isinstance(value, bool)
        case _:
            return isinstance(value, shape)


def _require(fits: bool, path: str, expected: str) -> None:
    if not fits:
        raise wrong_type(path, expected)


def describe(shape: Any) -> str:
    match shape:
        case list():
            return f"a list, each item {describe(shape[0])}"
        case dict() | Map():
            return "an object"
        case set():
            return " or ".join(sorted(shape))
        case range():
            return f"an integer from {shape[0]} to {shape[-1]}"
        case tuple():
            return " or ".join(describe(choice) for choice in shape)
        case _:
            return NAMES.get(shape, "null")
