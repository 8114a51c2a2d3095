"""Taking events in, and keeping on the task what it shows of them."""

import hashlib
import json
import time
from collections import Counter
from functools import lru_cache
from typing import Any

from ..documents import Document
from ..errors import ApiError, missing_field, model_is_published, validation_error, wrong_type
from ..store import Store, now
from .state import LOG, MONITOR_PREFIX, SCALAR, TYPES, owner_of

INSERT = """
INSERT INTO events (task, type, metric, variant, iter, timestamp, value, body) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (task, type, metric, variant, iter) WHERE type != 'log' DO UPDATE
SET timestamp = excluded.timestamp, value = excluded.value, body = excluded.body
"""

# A row of the table of events, without its seq: task, type, metric, variant, iter, timestamp, value, body.
# Not a NamedTuple: ingesting would be a tenth slower.
Row = tuple[str, str, str, str, int, int, float | None, str | None]


def add_events(store: Store, events: list[Any]) -> Document:
    """Store the valid events and count the others: one bad event must not cost its neighbours."""
    rows: list[Row] = []
    refusals: dict[tuple[str, bool, bool], ApiError | None] = {}
    errors: Counter[str] = Counter()
    present = int(time.time() * 1000)
    for event in events:
        try:
            row = _row(event, present)
            owner = (row[0], bool(event.get("model_event")), bool(event.get("allow_locked")))
            if owner not in refusals:
                refusals[owner] = _refusal(store, *owner)
            if refusal := refusals[owner]:
                raise refusal
            rows.append(row)
        except (ApiError, OverflowError, UnicodeEncodeError) as error:
            errors[str(error)] += 1
    if errors and not rows:
        raise ApiError(400, 131, f"Events not added: {'; '.join(errors)}")
    store.db.executemany(INSERT, rows)
    by_task: dict[str, list[Row]] = {}
    for row in rows:
        by_task.setdefault(row[0], []).append(row)
    for task_id, its_rows in by_task.items():
        if task := store.get("task", task_id):
            _update_task(store, task, its_rows)
    return {"added": len(rows), "errors": errors.total(), "errors_info": dict(errors)}


def _refusal(store: Store, owner_id: str, is_model: bool, allow_locked: bool) -> ApiError | None:
    """Return why the task or model takes no events, or None if it does."""
    try:
        owner = owner_of(store, {"task": owner_id, "model_events": is_model})
    except ApiError as error:
        return error
    if allow_locked:
        return None
    if is_model:
        return model_is_published(owner_id) if owner["ready"] else None
    if owner["status"] not in ("publishing", "published"):
        return None
    return ApiError(400, 110, f"Invalid task status: task {owner_id} is published and takes no more events")


def _text(event: Document, field: str) -> str:
    value = event.get(field)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise wrong_type(field, "a string")
    value.encode()  # raises for half a surrogate pair, which cannot be stored
    return value


def _integer(event: Document, field: str, default: int) -> int:
    value = event.get(field)
    if value is None:
        return default
    if not isinstance(value, int | float) or isinstance(value, bool) or not -(2**63) <= value < 2**63:
        raise wrong_type(field, "an integer of 64 bits")
    return int(value)


def _row(event: Any, present: int) -> Row:
    """Return the event as a row of the table; `present` is its time if it has none."""
    if not isinstance(event, dict):
        raise wrong_type("event", "an object")
    kind = _text(event, "type")
    if kind not in TYPES:
        raise validation_error(f"{kind!r} is not a type of event; the types are {', '.join(sorted(TYPES))}")
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


def _update_task(store: Store, task: Document, rows: list[Row]) -> None:
    """Keep what the task itself shows of its events: last iteration, last metrics, last update."""
    last_iteration = task["last_iteration"]
    metrics: dict[str, Document] = dict(task["last_metrics"])
    copied = set()
    for _, kind, metric, variant, iteration, _, value, _ in rows:
        if kind != LOG and iteration > last_iteration and not metric.startswith(MONITOR_PREFIX):
            last_iteration = iteration
        if value is not None:
            key, variant_key = _md5(metric), _md5(variant)
            if key not in copied:
                metrics[key] = dict(metrics.get(key, {}))
                copied.add(key)
            last = metrics[key].get(variant_key)
            metrics[key][variant_key] = _last_metric(last, metric, variant, iteration, value)
    store.patch("task", task["id"], last_iteration=last_iteration, last_metrics=metrics, last_update=now())


@lru_cache(maxsize=4096)
def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def _last_metric(last: Document | None, metric: str, variant: str, iteration: int, value: float) -> Document:
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
