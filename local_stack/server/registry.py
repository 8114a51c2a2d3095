"""Which function answers which endpoint, and the checks that every request passes first."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .errors import ApiError, missing_field, wrong_type
from .store import Store

Handler = Callable[[Store, dict], dict]

# A field has one type wherever a request holds it; the get_all calls, which take lists where others take
# one value, check their own.
FIELD_TYPES: dict[str, type | tuple[type, ...]] = {
    "artifacts": list, "batch_size": int, "comment": str, "configuration": (dict, list), "container": dict,
    "count": int, "default_output_destination": str, "delete_contents": bool, "delete_output_models": bool,
    "description": str, "design": dict, "execution": dict, "force": bool, "framework": str,
    "hyperparams": (dict, list), "ids": list, "iteration": int, "iters": int, "keys": list, "labels": dict,
    "metadata": list, "metrics": list, "model": str, "models": (dict, list), "name": str, "names": list,
    "order": str, "parent": str, "project": str, "project_name": str, "public": bool, "publish": bool,
    "queue": str, "queue_name": str, "queues": list, "ready": bool, "requirements": (dict, str),
    "runtime": dict, "samples": int, "script": dict, "status_message": str, "status_reason": str,
    "system_tags": list, "tags": list, "task": str, "tasks": list, "type": str, "uri": str, "worker": str,
}  # fmt: skip


@dataclass(frozen=True)
class Endpoint:
    name: str
    handler: Handler
    required: tuple[str, ...]

    def check(self, request: dict) -> None:
        for field in self.required:
            if request.get(field) is None:
                raise missing_field(field)
        if self.name.endswith(".get_all"):
            return
        for field, value in request.items():
            expected = FIELD_TYPES.get(field)
            if expected is None or value is None:
                continue
            if not isinstance(value, expected) or (expected is int and isinstance(value, bool)):
                names = expected if isinstance(expected, tuple) else (expected,)
                raise wrong_type(field, " or ".join(kind.__name__ for kind in names))


ENDPOINTS: dict[str, Endpoint] = {}


def endpoint(name: str, *required: str) -> Callable[[Handler], Handler]:
    """Register the decorated function for `service.action`; `required` fields must be in the request."""

    def register(handler: Handler) -> Handler:
        ENDPOINTS[name] = Endpoint(name, handler, required)
        return handler

    return register


def each(request: dict, act: Callable[[str], dict[str, Any]]) -> dict:
    """The answer of the `…_many` calls: `act` on every id, the failures listed beside the successes."""
    succeeded, failed = [], []
    for key in request["ids"]:
        try:
            succeeded.append({"id": key, **act(key)})
        except ApiError as error:
            reason = {"codes": [error.code, error.subcode], "msg": str(error)}
            failed.append({"id": key, "error": reason})
    return {"succeeded": succeeded, "failed": failed}
