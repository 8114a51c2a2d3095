"""All services of the API, and how one call is answered: as a transaction, whatever brought the request."""

import errno
import logging
import os
import sqlite3

from .about import service as about
from .auth import Credentials
from .documents import Document
from .errors import ApiError, validation_error
from .events.endpoints import service as events
from .events.log_endpoints import service as event_logs
from .events.sample_endpoints import service as event_samples
from .login.callers import Caller
from .login.endpoints import service as login
from .models.endpoints import service as models
from .organization.endpoints import service as organization
from .organization.workloads import service as workloads
from .pipelines.endpoints import service as pipelines
from .projects.endpoints import service as projects
from .projects.query_endpoints import service as project_queries
from .public import service as public
from .queues.endpoints import service as queues
from .queues.metric_endpoints import service as queue_metrics
from .registry import Endpoint
from .reports.endpoints import service as reports
from .serving.endpoints import service as serving
from .store import Store
from .tasks.endpoints import service as tasks
from .tasks.parameter_endpoints import service as task_parameters
from .tasks.status_endpoints import service as task_status
from .users.endpoints import service as users
from .workers.endpoints import service as workers

log = logging.getLogger("local_stack.server")

SERVICES = (
    about, login, users, projects, project_queries, tasks, task_parameters, task_status, models, queues,
    workers, events, event_samples, event_logs, queue_metrics, serving, pipelines, reports, organization,
    workloads, public,
)  # fmt: skip
ENDPOINTS: dict[str, Endpoint] = {name: found for service in SERVICES for name, found in service.items()}


def find_endpoint(name: str) -> Endpoint:
    """Return the endpoint, or raise the API's 404, which names it."""
    if name not in ENDPOINTS:
        log.warning("unknown endpoint %.200s", name)
        raise ApiError(404, 0, f"Unable to find endpoint {name}: the local stack does not have it")
    return ENDPOINTS[name]


def answer_call(store: Store, name: str, request: Document, caller: Caller | None = None) -> Document:
    """Return the answer of one call. All that it changes is committed before."""
    endpoint = find_endpoint(name)
    validated = endpoint.validated(request)
    try:
        with store.transaction():
            if endpoint.with_caller:
                return endpoint.handler(store, validated, caller or Caller(Credentials.make()))
            return endpoint.handler(store, validated)
    except ApiError:
        raise
    except (OverflowError, UnicodeEncodeError) as error:
        raise validation_error(f"a value cannot be stored: {error}") from error
    except Exception as error:
        log.exception("%s failed", name)
        if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
            raise ApiError(
                507, 0, f"{os.strerror(errno.ENOSPC)} where the server keeps its data: make room there"
            ) from error
        raise ApiError(500, 0, f"General server error in {name}: {type(error).__name__}") from error
