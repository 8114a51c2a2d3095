"""All services of the API, and how one call is answered: as a transaction, whatever brought the request."""

import errno
import logging
import os
import sqlite3

from .auth import COMPANY, SERVER_VERSION, USER
from .documents import Document
from .errors import ApiError, validation_error
from .events.endpoints import service as events
from .models.endpoints import service as models
from .projects.endpoints import service as projects
from .queues.endpoints import service as queues
from .registry import Endpoint
from .store import Store
from .tasks.endpoints import service as tasks
from .tasks.parameter_endpoints import service as task_parameters
from .tasks.status_endpoints import service as task_status
from .workers.endpoints import service as workers

log = logging.getLogger("local_stack.server")

SERVICES = (projects, tasks, task_parameters, task_status, models, queues, workers, events)
ENDPOINTS: dict[str, Endpoint] = {name: found for service in SERVICES for name, found in service.items()}

# Calls that need no store: they say who is asking and who answers.
SESSION_ANSWERS: dict[str, Document] = {
    "debug.ping": {"msg": "ClearML local stack"},
    "auth.validate_token": {"valid": True, "user": USER["id"], "company": COMPANY["id"]},
    "users.get_current_user": {"user": {**USER, "company": COMPANY, "role": "admin"}},
    "users.get_all": {"users": [{**USER, "company": COMPANY["id"]}]},
    "server.info": {"version": SERVER_VERSION, "build": "local-stack", "uid": "local-stack"},
}


def answer_call(store: Store, name: str, request: Document) -> Document:
    """Return the answer of one call. All that it changes is committed before."""
    if name in SESSION_ANSWERS:
        return SESSION_ANSWERS[name]
    endpoint = ENDPOINTS.get(name)
    if endpoint is None:
        log.warning("unknown endpoint %s", name)
        raise ApiError(404, 0, f"Unable to find endpoint {name}: the local stack does not have it")
    validated = endpoint.validated(request)
    try:
        with store.transaction():
            return endpoint.handler(store, validated)
    except ApiError:
        raise
    except (OverflowError, UnicodeEncodeError) as error:
        raise validation_error(f"a value cannot be stored: {error}") from error
    except Exception as error:
        log.exception("%s failed", name)
        if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
            raise ApiError(507, 0, f"{os.strerror(errno.ENOSPC)} where the server keeps its data") from error
        raise ApiError(500, 0, f"General server error in {name}: {type(error).__name__}") from error
