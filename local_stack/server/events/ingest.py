"""Taking events in, and keeping on the task what it shows of them."""

import hashlib
import json
import math
import time
from collections import Counter
from functools import lru_cache
from operator import itemgetter
from typing import Any

from ..documents import Document
from ..errors import ApiError, missing_field, model_is_published, validation_error, wrong_type
from ..store import Store, now
from .state import LOG, MONITOR_PREFIX, SCALAR, TYPES, owner_of

INSERT_SCALAR = """
INSERT INTO scalars (task, metric, variant, iter, timestamp, value) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET timestamp = excluded.timestamp, value = excluded.value
"""
INSERT_OTHER = """
INSERT INTO events (task, metric, variant, iter, timestamp, type, body) VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (task, type, metric, variant, iter) WHERE type != 'log' DO UPDATE
SET timestamp = excluded.timestamp, body = excluded.body
"""

# task, metric, variant, iter and timestamp, and then the value of a scalar, or the type and body of another
# event. Not a NamedTuple: ingesting would be a tenth slower.
Row = tuple[Any, ...]
Point = tuple[int, int, float]  # iteration, timestamp, value
SCALAR_COLUMNS = 6
MOST_LAST_METRICS = 2000  # of a task, as on the real server: further ones are in its events alone
MOST_REASONS, OTHER_REASONS = 100, "other errors"  # of why events are refused, in one answer


def add_events(store: Store, events: list[Any]) -> Document:
    """Store the valid events and count the others: one bad event must not cost its neighbours."""
    rows: list[Row] = []
    refusals: dict[tuple[str, bool, bool], ApiError | None] = {}
    labels: dict[tuple[str, str, str], str] = {}
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
            if "x_axis_label" in event:
                labels[row[0], row[1], row[2]] = _text(event, "x_axis_label")
            rows.append(row)
        except (ApiError, OverflowError, UnicodeEncodeError) as error:
            reason = str(error)
            errors[reason if reason in errors or len(errors) < MOST_REASONS else OTHER_REASONS] += 1
    if errors and not rows:
        raise ApiError(400, 131, f"Events not added: {'; '.join(errors)}")
    store.db.executemany(INSERT_SCALAR, [row for row in rows if len(row) == SCALAR_COLUMNS])
    store.db.executemany(INSERT_OTHER, [row for row in rows if len(row) != SCALAR_COLUMNS])
    by_owner: dict[str, list[Row]] = {}
    for row in rows:
        by_owner.setdefault(row[0], []).append(row)
    for owner_id, its_rows in by_owner.items():
        _update_owner(store, owner_id, its_rows, labels)
    return {"added": len(rows), "errors": errors.total(), "errors_info": dict(errors)}


def _refusal(store: Store, owner_id: str, is_model: bool, allow_locked: bool) -> ApiError | None:
    """Return why the task or model takes no events, or None if it does."""
    try:
        owner = owner_of(store, {"task": owner_id, "model_events": is_model})
        store.check_changeable("model" if is_model else "task", owner_id)
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
    kind = _text(event, "type").replace(" ", "_")
    if kind not in TYPES:
        raise validation_error(
            f"{kind[:100]!r} is not a type of event; the types are {', '.join(sorted(TYPES))}"
        )
    task = _text(event, "task")
    if event.get("model_event"):
        task = _text(event, "model") or task
        if kind == LOG:
            raise validation_error("models have no console lines")
    if not task:
        raise missing_field("task")
    metric, variant = _text(event, "metric"), _text(event, "variant")
    iteration, timestamp = _integer(event, "iter", 0), _integer(event, "timestamp", present)
    if kind != SCALAR:
        return task, metric, variant, iteration, timestamp, kind, json.dumps({**event, "type": kind})
    value = event.get("value")
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise wrong_type("value", "a number")
    return task, metric, variant, iteration, timestamp, float(value)


def _update_owner(
    store: Store, owner_id: str, rows: list[Row], labels: dict[tuple[str, str, str], str]
) -> None:
    """Keep what the task or model itself shows of its events: last iteration, last metrics, last update."""
    kind = "task" if store.get("task", owner_id) else "model"
    owner = store.get_required(kind, owner_id)
    last_iteration = owner.get("last_iteration") or 0
    points: dict[tuple[str, str], list[Point]] = {}
    for row in rows:
        _, metric, variant, iteration, timestamp, value = row[:SCALAR_COLUMNS]
        if value != LOG and iteration > last_iteration and not metric.startswith(MONITOR_PREFIX):
            last_iteration = iteration
        if len(row) == SCALAR_COLUMNS:
            points.setdefault((metric, variant), []).append((iteration, timestamp, value))
    metrics: dict[str, Document] = dict(owner.get("last_metrics") or {})
    room = MOST_LAST_METRICS - sum(map(len, metrics.values()))
    for (metric, variant), reported in points.items():
        key, variant_key = metric_key(metric), metric_key(variant)
        if variant_key not in metrics.get(key, {}):
            if room <= 0:
                continue
            room -= 1
        last = _last_metric(metrics.get(key, {}).get(variant_key), metric, variant, reported)
        if label := labels.get((owner_id, metric, variant)):
            last["x_axis_label"] = label
        metrics[key] = {**metrics.get(key, {}), variant_key: last}
    store.patch(kind, owner_id, last_iteration=last_iteration, last_metrics=metrics, last_update=now())


@lru_cache(maxsize=4096)
def metric_key(text: str) -> str:
    """Return the key in `last_metrics` of a metric or variant."""
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def _last_metric(last: Document | None, metric: str, variant: str, points: list[Point]) -> Document:
    """Return what is kept of a metric after the points of one batch.

    The last value is that of the newest iteration in the newest batch, as on the real server: a single value
    that is reported anew, for one, is the last one though its iteration is below all others.
    """
    iteration, _, value = max(reversed(points), key=itemgetter(0, 1))  # of equals, the last one that came
    first, lowest, highest = (
        min(points, key=itemgetter(0)), min(points, key=itemgetter(2)), max(points, key=itemgetter(2)),
    )  # fmt: skip
    if last is None:
        last = {"metric": metric, "variant": variant, "count": 0, "mean_value": 0.0}
        last |= _extreme("first", first) | _extreme("min", lowest) | _extreme("max", highest)
    count = last["count"] + len(points)
    share = sum(value for _, _, value in points) / count
    if not math.isfinite(share):  # the sum of the largest numbers, not the numbers
        share = sum(value / count for _, _, value in points)
    changed = {"count": count, "value": value, "iteration": iteration}
    changed["mean_value"] = last["mean_value"] * (last["count"] / count) + share
    if lowest[2] < last["min_value"]:
        changed |= _extreme("min", lowest)
    if highest[2] > last["max_value"]:
        changed |= _extreme("max", highest)
    return {**last, **changed}


def _extreme(name: str, point: Point) -> Document:
    iteration, _, value = point
    return {f"{name}_value": value, f"{name}_value_iteration": iteration}
