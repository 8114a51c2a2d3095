"""One debug image, or the plots of one metric, and from there to the one before or after it.

Images go from variant to variant of an iteration, plots from metric to metric; then comes the next iteration.
"""

from typing import NamedTuple

from ..documents import Document
from ..errors import invalid_scroll_id
from ..store import Store
from .scrolls import begin_scroll, find_scroll
from .state import IMAGE, PLOT, events_of_seqs, of_type, select_events

MOST_PLOTS = 100  # of one metric in one iteration

# Names of files are used again, so the last iteration of each file is the one that it shows. The least of
# these is where the images of a variant begin: before it, files show something newer.
IMAGES = f"""
WITH files AS (SELECT seq, iter, metric, variant, json_extract(body, '$.url') AS url FROM events
    WHERE task = :task AND {of_type(IMAGE)} AND (:only IS NULL OR metric = :only)),
lasts AS (SELECT *, MAX(iter) OVER (PARTITION BY metric, variant, url) AS last FROM files
    WHERE url IS NOT NULL),
samples AS (SELECT *, MIN(last) OVER variants AS low, MAX(last) OVER variants AS high FROM lasts
    WINDOW variants AS (PARTITION BY metric, variant))
SELECT seq, iter, metric, variant, low, high FROM samples WHERE iter >= low
"""
PLOTS = f"""
WITH samples AS (SELECT seq, iter, metric, variant,
    MIN(iter) OVER metrics AS low, MAX(iter) OVER metrics AS high
    FROM events WHERE task = :task AND {of_type(PLOT)} AND (:only IS NULL OR metric = :only)
    WINDOW metrics AS (PARTITION BY metric))
SELECT seq, iter, metric, variant, low, high FROM samples WHERE 1
"""
COLUMNS = ("seq", "iter", "metric", "variant", "low", "high")


class Kind(NamedTuple):
    """How samples of a type of events are found, and by what they follow each other."""

    rows: str
    order: tuple[str, ...]


KINDS = {IMAGE: Kind(IMAGES, ("iter", "metric", "variant")), PLOT: Kind(PLOTS, ("iter", "metric"))}


def first_sample(store: Store, kind: str, owner_id: str, request: Document) -> Document:
    """Return the sample of the iteration in the request, or the last before it; and begin to scroll there."""
    only_metric = request.get("navigate_current_metric", True)
    scroll = find_scroll(store, request.get("scroll_id"))
    wanted = {"kind": kind, "task": owner_id, "only": request["metric"] if only_metric else None}
    if scroll is None:
        scroll = begin_scroll(store, {**wanted, "at": None})
    elif any(scroll.get(key) != value for key, value in wanted.items()):
        raise invalid_scroll_id(scroll["id"])
    condition = "AND metric = :metric"
    values = {"metric": request["metric"], "iteration": request.get("iteration")}
    if kind == IMAGE:
        condition += " AND variant = :variant"
        values["variant"] = request["variant"]
    last = found = _nearest(store, scroll, condition, values, "DESC")
    if values["iteration"] is not None:
        found = _nearest(store, scroll, f"{condition} AND iter <= :iteration", values, "DESC")
    # Without such an iteration, the answer still says between which ones there are samples.
    return _answer(store, scroll, found, last)


def next_sample(store: Store, kind: str, owner_id: str, request: Document) -> Document:
    """Return the sample after the last one that the scroll id brought, or the one before it."""
    scroll = find_scroll(store, request["scroll_id"])
    if scroll is None or scroll.get("task") != owner_id or scroll.get("kind") != kind:
        raise invalid_scroll_id(request["scroll_id"])
    if scroll["at"] is None:
        return _answer(store, scroll, None, None)
    compare, direction = ("<", "DESC") if request.get("navigate_earlier", True) else (">", "ASC")
    order = KINDS[kind].order[:1] if request.get("next_iteration") else KINDS[kind].order
    condition = f"AND ({', '.join(order)}) {compare} ({', '.join(f':at_{column}' for column in order)})"
    values = {f"at_{column}": scroll["at"][column] for column in order}
    found = _nearest(store, scroll, condition, values, direction)
    return _answer(store, scroll, found, found)


def _nearest(
    store: Store, scroll: Document, condition: str, values: Document, direction: str
) -> Document | None:
    """Return the first sample in this direction that meets the condition."""
    kind = KINDS[scroll["kind"]]
    order = ", ".join(f"{column} {direction}" for column in kind.order)
    values = {"task": scroll["task"], "only": scroll["only"], **values}
    row = store.db.execute(f"{kind.rows} {condition} ORDER BY {order} LIMIT 1", values).fetchone()
    return dict(zip(COLUMNS, row, strict=True)) if row else None


def _answer(store: Store, scroll: Document, found: Document | None, limits: Document | None) -> Document:
    answer = {
        "scroll_id": scroll["id"],
        "min_iteration": limits and limits["low"],
        "max_iteration": limits and limits["high"],
    }
    if found:
        scroll["at"] = found
    if scroll["kind"] == IMAGE:
        return {**answer, "event": events_of_seqs(store, [found["seq"]])[0] if found else None}
    if not found:
        return {**answer, "events": []}
    where = "task = ? AND type = ? AND metric = ? AND iter = ?"
    values = (scroll["task"], PLOT, found["metric"], found["iter"])
    return {**answer, "events": select_events(store, where, values, f"ORDER BY variant LIMIT {MOST_PLOTS}")}
