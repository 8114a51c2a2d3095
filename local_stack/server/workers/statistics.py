"""What workers reported of their machines over time, and how many of them were at work."""

from collections import defaultdict
from collections.abc import Callable
from statistics import fmean

from ..documents import Document
from ..measurements import (
    chart_dates,
    machine_statistics,
    measurements,
    record_measurement,
    whole_intervals,
)
from ..store import Store

WORKER = "worker"


AGGREGATIONS: dict[str, Callable[[list[float]], float]] = {"avg": fmean, "min": min, "max": max}


def record_machine(store: Store, worker_id: str, request: Document) -> None:
    """Keep the statistics of the machine in a status report."""
    statistics = machine_statistics(request.get("machine_stats") or {})
    if statistics:
        body = {"task": request.get("task"), "statistics": statistics}
        record_measurement(store, WORKER, worker_id, body, request.get("timestamp", 0))


def metric_categories(store: Store, worker_ids: list[str]) -> dict[str, list[str]]:
    """Return the names of the statistics that were reported, by the part of the machine that they measure."""
    names = {
        name
        for measured in measurements(store, WORKER, 0, 2**50, worker_ids)
        for name in measured.body["statistics"]
    }
    categories: dict[str, list[str]] = defaultdict(list)
    for name in sorted(names):
        categories[name.partition("_")[0]].append(name)
    return categories


def worker_series(store: Store, request: Document) -> dict[str, list[Document]]:
    """Return, for each worker, the series of its statistics that the request asks for."""
    aggregations: dict[str, dict[str, None]] = {}
    for item in request["items"]:
        aggregations.setdefault(item["key"], {})[item.get("aggregation", "avg")] = None
    dates = chart_dates(request)
    found: dict[str, dict[tuple[str, str | None], dict[int, list[float]]]] = {}
    for timestamp, worker_id, body in measurements(
        store, WORKER, request["from_date"], request["to_date"], request.get("worker_ids")
    ):
        for name, value in body["statistics"].items():
            if name not in aggregations:
                continue
            values = enumerate(value) if isinstance(value, list) else [("total", value)]
            for variant, each in values:
                key = (name, str(variant) if request.get("split_by_variant") else None)
                series = found.setdefault(worker_id, {}).setdefault(key, {})
                series.setdefault(timestamp // dates.step * dates.step, []).append(each)
    shown = whole_intervals(request, dates)
    return {
        worker_id: [
            _series(name, variant, shown, series, list(aggregations[name]))
            for (name, variant), series in by_name.items()
        ]
        for worker_id, by_name in found.items()
    }


def _series(
    name: str, variant: str | None, dates: list[int], series: dict[int, list[float]], aggregations: list[str]
) -> Document:
    stats = [
        {
            "aggregation": how,
            "values": [AGGREGATIONS[how](series[date]) if date in series else 0.0 for date in dates],
        }
        for how in aggregations
    ]
    answer = {"metric": name, "dates": dates, "stats": stats}
    return answer if variant is None else {**answer, "variant": variant}


def worker_counts(store: Store, request: Document) -> tuple[Document, Document]:
    """Return how many workers reported in each interval, and how many of them had a task."""
    dates = chart_dates(request)
    total: dict[int, set[str]] = defaultdict(set)
    active: dict[int, set[str]] = defaultdict(set)
    for timestamp, worker_id, body in measurements(store, WORKER, request["from_date"], request["to_date"]):
        date = timestamp // dates.step * dates.step
        total[date].add(worker_id)
        if body["task"]:
            active[date].add(worker_id)
    shown = list(dates[:-1])  # the last interval may not be over, and ClearML's server never counts it
    total_counts, active_counts = ([len(workers[date]) for date in shown] for workers in (total, active))
    return {"dates": shown, "counts": total_counts}, {"dates": shown, "counts": active_counts}
