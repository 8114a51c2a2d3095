"""Which function answers which endpoint, and the checks that every request passes first."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .errors import ApiError, missing_field
from .schemas import FIELDS, FILTER, LISTING, conform
from .store import Store

Handler = Callable[[Store, dict], dict]


@dataclass(frozen=True)
class Endpoint:
    name: str
    handler: Handler
    required: tuple[str, ...]
    shapes: dict[str, Any]

    def checked(self, request: dict) -> dict:
        """The request without its null fields, if all that is left has the shape that the handler expects."""
        for field in self.required:
            if request.get(field) is None:
                raise missing_field(field)
        return {
            field: conform(value, self.shape(field), field)
            for field, value in request.items()
            if value is not None
        }

    def shape(self, field: str) -> Any:
        """What the field should be in a request of this endpoint."""
        if field in self.shapes:
            return self.shapes[field]
        return LISTING.get(field, FILTER) if self.name.endswith(".get_all") else FIELDS.get(field, object)


ENDPOINTS: dict[str, Endpoint] = {}


def endpoint(name: str, *required: str, **shapes: Any) -> Callable[[Handler], Handler]:
    """Register the decorated function for `service.action`.

    `required` fields must be in the request. `shapes` are those of fields that differ from shapes.FIELDS.
    """

    def register(handler: Handler) -> Handler:
        ENDPOINTS[name] = Endpoint(name, handler, required, shapes)
        return handler

    return register


def each(store: Store, request: dict, act: Callable[[str], dict[str, Any]]) -> dict:
    """The answer of the `…_many` calls: `act` on every id, the failures listed beside the successes."""
    succeeded, failed = [], []
    for key in request["ids"]:
        try:
            with store.transaction():
                succeeded.append({"id": key, **act(key)})
        except ApiError as error:
            reason = {"codes": [error.code, error.subcode], "msg": str(error)}
            failed.append({"id": key, "error": reason})
    return {"succeeded": succeeded, "failed": failed}
