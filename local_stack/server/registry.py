"""Which function answers which endpoint, and the validation that every request passes first."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .documents import Document
from .errors import ApiError, fields_value_error, missing_field
from .schemas import FIELDS, FILTER, LISTING, validate
from .store import Store

# (store, request), and the caller as well where the endpoint asks for it.
Handler = Callable[..., Document]
# Calls that take the conditions of lists.
LISTING_CALLS = ("get_all", "get_all_ex", "get_by_id_ex", "reports.get_task_data")


@dataclass(frozen=True)
class Endpoint:
    name: str
    handler: Handler
    required: tuple[str, ...] = ()
    schemas: Document | None = None
    with_caller: bool = False

    def validated(self, request: Document) -> Document:
        """Return the request without its null fields, or raise the API's error for the first wrong one.

        A field that is null stays only where the endpoint's own schema of it says that it may be.
        """
        for field in self.required:
            if request.get(field) is None:
                raise missing_field(field)
        return {
            field: validate(value, self.schema(field), field)
            for field, value in request.items()
            if value is not None or _may_be_null(self.schema(field))
        }

    def schema(self, field: str) -> Any:
        """Return the schema of a field in requests of this endpoint."""
        if self.schemas and field in self.schemas:
            return self.schemas[field]
        if self.name.endswith(LISTING_CALLS):
            return LISTING.get(field, FILTER)
        return FIELDS.get(field, object)


def _may_be_null(schema: Any) -> bool:
    return isinstance(schema, tuple) and type(None) in schema


class Service(dict[str, Endpoint]):
    """The endpoints of a service, or of a part of it, by their names."""

    def endpoint(
        self, name: str, /, *required: str, with_caller: bool = False, **schemas: Any
    ) -> Callable[[Handler], Handler]:
        """Let the decorated function answer `service.action`.

        `required` fields must be in the request; `schemas` are those of fields that differ from
        schemas.FIELDS. `with_caller`: the function takes the Caller as its third argument.
        """

        def register(handler: Handler) -> Handler:
            self[name] = Endpoint(name, handler, required, schemas, with_caller)
            return handler

        return register


MOST_IDS = 2000  # in one call, which holds up all others


def for_each_id(store: Store, request: Document, act: Callable[[str], Document]) -> Document:
    """Answer a `…_many` call: `act` on every id, and list the failures beside the successes."""
    if len(request["ids"]) > MOST_IDS:
        raise fields_value_error(f"ids has more than {MOST_IDS} items: make several calls")
    succeeded, failed = [], []
    for key in request["ids"]:
        try:
            with store.transaction():
                succeeded.append({"id": key, **act(key)})
        except ApiError as error:
            reason = {"codes": [error.status, error.subcode], "msg": str(error)}
            failed.append({"id": key, "error": reason})
    return {"succeeded": succeeded, "failed": failed}
