"""Taking events in, and keeping what the task itself shows of them."""

import hashlib
import json
import time

from ..errors import ApiError, missing_field, model_is_published, validation_error, wrong_type
from ..models import required_model
from ..registry import endpoint
from ..store import Document, Store, now
from ..tasks.documents import required_task
from .storage import LOG, SCALAR, TYPES, delete_all

MONITOR_PREFIX = ":monitor:"  # machine statistics: their iterations are seconds, not the task's own

INSERT = """
INSERT INTO events (task, type, metric, variant, iter, timestamp, value, body) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (task, type, metric, variant, iter) WHERE type != 'log' DO UPDATE
SET timestamp = excluded.timestamp, value = excluded.value, body = excluded.body
"""


def _owner(store: Store, event: dict) -> Document:
    """The task, or for model events the model, that the event belongs to, if it may still take events."""
    if event.get("model_event"):
        model = required_model(store, event["task"])
        if model["ready"] and not event.get("allow_locked"):
            raise model_is_published(model["id"])
        return model
    return required_task(store, event["task"])


def _row(event: dict) -> tuple:
    kind = event.get("type")
    if kind not in TYPES:
        raise validation_error(f"{kind!r} is no type of event; the types are {', '.join(sorted(TYPES))}")
    if not event.get("task"):
        raise missing_field("task")
    iteration = event.get("iter") or 0
    value = event.get("value")
    if not isinstance(iteration, int):
        raise wrong_type("iter", "an integer")
    if kind == SCALAR and (isinstance(value, bool) or not isinstance(value, int | float | None)):
        raise wrong_type("value", "a number")
    timestamp = event.get("timestamp") or time.time() * 1000
    metric, variant = str(event.get("metric") or ""), str(event.get("variant") or "")
    body = None if kind == SCALAR else json.dumps(event)
    return event["task"], kind, metric, variant, iteration, int(timestamp), value, body


@endpoint("events.add")
def add(store: Store, request: dict) -> dict:
    answer = add_batch(store, {"batch": [request]})
    if answer["errors"]:
        raise ApiError(400, 131, f"Events not added: {next(iter(answer['errors_info']))}")
    return {}


@endpoint("events.add_batch", "batch")
def add_batch(store: Store, request: dict) -> dict:
    """Take what can be taken, count the rest: one bad event must not lose its neighbours."""
    rows: list[tuple] = []
    owners: dict[tuple, Document | ApiError] = {}
    errors: dict[str, int] = {}
    for event in request["batch"]:
        try:
            if not isinstance(event, dict):
                raise wrong_type("event", "an object")
            row = _row(event)
            owner_key = (event["task"], bool(event.get("model_event")), bool(event.get("allow_locked")))
            if owner_key not in owners:
                owners[owner_key] = _owner(store, event)
            rows.append(row)
        except ApiError as error:
            errors[str(error)] = errors.get(str(error), 0) + 1
    if errors and not rows:
        raise ApiError(400, 131, f"Events not added: {'; '.join(errors)}")
    store.db.executemany(INSERT, rows)
    for task_id in {row[0] for row in rows}:
        if store.get("task", task_id):
            _touch_task(store, task_id, [row for row in rows if row[0] == task_id])
    return {"added": len(rows), "errors": sum(errors.values()), "errors_info": errors}


def _touch_task(store: Store, task_id: str, rows: list[tuple]) -> None:
    """Keep what the task itself shows of its events: last iteration, last metrics, last update."""
    task = store.edit("task", task_id)
    iterations = [
        row[4] for row in rows if row[1] != LOG and row[4] > 0 and not row[2].startswith(MONITOR_PREFIX)
    ]
    task["last_iteration"] = max([task["last_iteration"], *iterations])
    for _, kind, metric, variant, iteration, _, value, _ in rows:
        if kind == SCALAR and value is not None:
            variants = task["last_metrics"].setdefault(_md5(metric), {})
            key = _md5(variant)
            variants[key] = _last_metric(variants.get(key), metric, variant, iteration, value)
    task["last_update"] = now()
    store.put("task", task)


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def _last_metric(last: dict | None, metric: str, variant: str, iteration: int, value: float) -> dict:
    if last is None:
        last = {
            "metric": metric, "variant": variant, "count": 0, "mean_value": 0.0,
            "first_value": value, "first_value_iteration": iteration, "iteration": iteration,
            "min_value": value, "min_value_iteration": iteration,
            "max_value": value, "max_value_iteration": iteration,
        }  # fmt: skip
    count = last["count"] + 1
    changed = {"count": count, "mean_value": last["mean_value"] + (value - last["mean_value"]) / count}
    # Points may arrive out of order after a client was cut off: the newest iteration is the last value.
    if iteration >= last["iteration"]:
        changed |= {"value": value, "iteration": iteration}
    if value < last["min_value"]:
        changed |= {"min_value": value, "min_value_iteration": iteration}
    if value > last["max_value"]:
        changed |= {"max_value": value, "max_value_iteration": iteration}
    return {**last, **changed}


@endpoint("events.delete_for_task", "task")
def delete_for_task(store: Store, request: dict) -> dict:
    delete_all(store, required_task(store, request["task"])["id"])
    return {"deleted": True}


@endpoint("events.delete_for_model", "model")
def delete_for_model(store: Store, request: dict) -> dict:
    delete_all(store, required_model(store, request["model"])["id"])
    return {"deleted": True}
