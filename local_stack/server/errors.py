"""The errors of the API: an HTTP status and ClearML's own subcode, which clients act on."""

from typing import Any


class ApiError(Exception):
    """An error that an endpoint raises: the HTTP status, and ClearML's number for the cause."""

    def __init__(self, status: int, subcode: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.subcode = subcode


INVALID_ID = {"task": 101, "model": 201, "project": 401, "queue": 701, "user": 301}


def invalid_id(kind: str, key: object) -> ApiError:
    return ApiError(400, INVALID_ID[kind], f"Invalid {kind} id: id={key}")


def no_write_permission(kind: str, key: object) -> ApiError:
    """Return the error for a change of a public document. Who changes public models does not find them."""
    if kind == "model":
        return invalid_id(kind, key)
    return ApiError(403, 21, f"Modification not allowed: {kind} {key} is public; see {kind}s.make_private")


def missing_field(name: str) -> ApiError:
    return ApiError(400, 11, f"Missing required fields: {name}")


def wrong_type(name: str, expected: str) -> ApiError:
    return ApiError(400, 20, f"Invalid type for fields: {name} should be {expected}")


def fields_value_error(reason: str) -> ApiError:
    return ApiError(400, 16, f"Invalid value for fields: {reason}")


def validation_error(reason: str) -> ApiError:
    return ApiError(400, 12, f"Validation error: {reason}")


def field_value_error(reason: str) -> ApiError:
    return ApiError(400, 16, f"Invalid value for fields: {reason}")


def check_not_empty(request: dict[str, Any], name: str) -> None:
    """Raise the API's error if a list that should have items has none."""
    if not request[name]:
        raise validation_error(f"{name} should have at least one item")


def check_name(kind: str, name: str) -> str:
    """Return the name without white space around it, or raise the API's error if it is too short."""
    name = name.strip()
    if len(name) < 3:
        raise validation_error(f"a {kind}'s name needs at least 3 characters, and {name!r} has fewer")
    return name


def invalid_task_status(reason: str) -> ApiError:
    return ApiError(400, 110, f"Invalid task status: {reason}")


def task_cannot_be_deleted(task_id: str, reason: str) -> ApiError:
    return ApiError(400, 123, f"Task cannot be deleted: {task_id} {reason}; use force=true")


def model_is_published(model_id: object) -> ApiError:
    return ApiError(400, 203, f"Model is ready: id={model_id} is published already")


def task_already_queued(task_id: str, queue_name: str) -> ApiError:
    return ApiError(400, 706, f"Task already queued: {task_id} in {queue_name}")


def task_not_in_queue(task_id: str) -> ApiError:
    return ApiError(400, 703, f"Invalid queue id or task not in queue: {task_id}")


def invalid_scroll_id(scroll_id: str) -> ApiError:
    return ApiError(400, 1104, f"Invalid scroll id: {scroll_id!r}")


def already_exists(kind: str, name: str) -> ApiError:
    return ApiError(400, 801, f"Value combination already exists: {kind} name={name}")
