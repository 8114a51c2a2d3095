"""The errors of the API: an HTTP status and ClearML's own subcode, which clients act on."""


class ApiError(Exception):
    """What a handler raises. `code` becomes the HTTP status; `subcode` is ClearML's number for the cause."""

    def __init__(self, code: int, subcode: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.subcode = subcode


def missing_field(name: str) -> ApiError:
    return ApiError(400, 11, f"Missing required fields: {name}")


def wrong_type(name: str, expected: str) -> ApiError:
    return ApiError(400, 20, f"Invalid type for fields: {name} should be {expected}")


def validation_error(reason: str) -> ApiError:
    return ApiError(400, 12, f"Validation error: {reason}")


def check_name(kind: str, name: str) -> None:
    if len(name.strip()) < 3:
        raise validation_error(f"a {kind}'s name needs at least 3 characters, and {name!r} has fewer")


def invalid_task_id(task_id: object) -> ApiError:
    return ApiError(400, 101, f"Invalid task id: id={task_id}")


def invalid_task_status(reason: str) -> ApiError:
    return ApiError(400, 110, f"Invalid task status: {reason}")


def invalid_model_id(model_id: object) -> ApiError:
    return ApiError(400, 201, f"Invalid model id: id={model_id}")


def model_is_published(model_id: object) -> ApiError:
    return ApiError(400, 203, f"Model is ready: id={model_id} is published; its weights and lineage stay")


def invalid_project_id(project_id: object) -> ApiError:
    return ApiError(400, 401, f"Invalid project id: id={project_id}")


def invalid_queue_id(queue_id: object) -> ApiError:
    return ApiError(400, 701, f"Invalid queue id: id={queue_id}")


def invalid_scroll_id(scroll_id: str) -> ApiError:
    return ApiError(400, 1104, f"Invalid scroll id: {scroll_id!r}")


def already_exists(kind: str, name: str) -> ApiError:
    return ApiError(400, 801, f"Value combination already exists: {kind} name={name}")
