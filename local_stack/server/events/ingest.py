"""Taking events in, and keeping what the task itself shows of them."""

import hashlib
import json
import time
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from ..errors import ApiError, missing_field, model_is_published, validation_error, wrong_type
from ..models.endpoints import required_model
from ..registry import endpoint
from ..store import Document, Store, now
from ..tasks.endpoints import required_task
from .state import LOG, SCALAR, TYPES, delete_all

MONITOR_PREFIX = ":monitor:"  # machine statistics: their iterations are seconds, not the task's own

INSERT = """
INSERT INTO events (task, type, metric, variant, iter, timestamp, value, body) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (task, type, metric, variant, iter) WHERE type != 'log' DO UPDATE
SET timestamp = excluded.timestamp, value = excluded.value, body = excluded.body
"""


def _owner(store: Store, event: dict) -> Document:
    """The task, or for model events the model, that the event belongs to, if it may still take events."""
    locked = not event.get("allow_locked")
    if event.get("model_event"):
        model = required_model(store, event["task"])
        if model["ready"] and locked:
            raise model_is_published(model["id"])
        return model
    task = required_task(store, event["task"])
    if task["status"] in ("publishing", "published") and locked:
        raise ApiError(
            400, 110, f"Invalid task status: task {task['id']} is published and takes no more events"
        )
    return task


def _text(event: dict, field: str) -> str:
    value = event.get(field)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise wrong_type(field, "a string")
    value.encode()  # half a surrogate pair is no text
    return value


def _integer(event: dict, field: str, default: int) -> int:
    value = event.get(field)
    if value is None:
        return default
    if not isinstance(value, int | float) or isinstance(value, bool) or not -(2**63) <= value < 2**63:
        raise wrong_type(field, "an integer of 64 bits")
    return int(value)


def _row(event: Any, present: int) -> tuple:
    """The event as a row of the table: (task, type, metric, variant, iteration, timestamp, value, body)."""
    if not isinstance(event, dict):
        raise wrong_type("event", "an object")
    kind = _text(event, "type")
    if kind not in TYPES:
        raise validation_error(f"{kind!r} is no type of event; the types are {', '.join(sorted(TYPES))}")
    task = _text(event, "task")
    if not task:
        raise missing_field("task")
    body, value = None, None
    if kind == SCALAR:
        value = event.get("value")
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise wrong_type("value", "a number")
        value = float(value)
    else:
        body = json.dumps(event)
    iteration, timestamp = _integer(event, "iter", 0), _integer(event, "timestamp", present)
    return task, kind, _text(event, "metric"), _text(event, "variant"), iteration, timestamp, value, body


@endpoint("events.add", key=str)
def add(store: Store, request: dict) -> dict:
    add_batch(store, {"batch": [request]})
    return {}


@endpoint("events.add_batch", "batch", batch=[object])
def add_batch(store: Store, request: dict) -> dict:
    """Take what can be taken, count the rest: one bad event must not lose its neighbours."""
    rows: list[tuple] = []
    refusals: dict[tuple, ApiError | None] = {}
    errors: dict[str, int] = {}
    present = int(time.time() * 1000)
    for event in request["batch"]:
        try:
            row = _row(event, present)
            owner = (row[0], bool(event.get("model_event")), bool(event.get("allow_locked")))
            if owner not in refusals:
                refusals[owner] = _refusal(store, event)
            if refusals[owner]:
                raise refusals[owner]
            rows.append(row)
        except (ApiError, OverflowError, UnicodeEncodeError) as error:
            errors[str(error)] = errors.get(str(error), 0) + 1
    if errors and not rows:
        raise ApiError(400, 131, f"Events not added: {'; '.join(errors)}")
    store.db.executemany(INSERT, rows)
    by_task: dict[str, list[tuple]] = {}
    for row in rows:
        by_task.setdefault(row[0], []).append(row)
    for task_id, its_rows in by_task.items():
        if store.get("task", task_id):
            _touch_task(store, task_id, its_rows)
    return {"added": len(rows), "errors": sum(errors.values()), "errors_info": errors}


def _refusal(store: Store, event: dict) -> ApiError | None:
    try:
        _owner(store, event)
    except ApiError as error:
        return error


def _touch_task(store: Store, task_id: str, rows: Iterable[tuple]) -> None:
    """Keep what the task itself shows of its events: last iteration, last metrics, last update."""
    task = store.get("task", task_id)
    last_iteration = task["last_iteration"]
    metrics: dict[str, dict] = dict(task["last_metrics"])
    copied = set()
    for _, kind, metric, variant, iteration, _, value, _ in rows:
        if kind != LOG and iteration > last_iteration and not metric.startswith(MONITOR_PREFIX):
            last_iteration = iteration
        if kind == SCALAR:
            key, variant_key = _md5(metric), _md5(variant)
            if key not in copied:
                metrics[key] = dict(metrics.get(key, {}))
                copied.add(key)
            last = metrics[key].get(variant_key)
            metrics[key][variant_key] = _last_metric(last, metric, variant, iteration, value)
    store.patch("task", task_id, last_iteration=last_iteration, last_metrics=metrics, last_update=now())


@lru_cache(maxsize=4096)
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
    # Summed like this, means of the largest numbers stay numbers.
    changed = {"count": count, "mean_value": last["mean_value"] * ((count - 1) / count) + value / count}
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
