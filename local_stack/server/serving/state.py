"""Serving containers: which of them are alive, what endpoints they make up, and what these did over time."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from ..documents import Document, present_fields
from ..measurements import (
    chart_dates,
    chart_interval,
    machine_statistics,
    measurements,
    number,
    record_measurement,
    whole_intervals,
)
from ..store import Store, now

CONTAINER = "container"
DEFAULT_TIMEOUT_SECONDS = 600
DESCRIPTION = (
    "endpoint_name", "endpoint_url", "model_name", "model_source", "model_version", "preprocess_artifact",
    "input_type", "input_size", "tags", "system_tags", "reference",
)  # fmt: skip
REPORTED = ("uptime_sec", "requests_num", "requests_min", "latency_ms")
# What a container is called in requests, and what it is called in answers.
SHOWN = {
    "endpoint": "endpoint_name", "model": "model_name", "url": "endpoint_url", "model_source": "model_source",
    "model_version": "model_version", "preprocess_artifact": "preprocess_artifact",
    "input_type": "input_type", "input_size": "input_size",
}  # fmt: skip


class Chart(NamedTuple):
    """How one kind of measurement is shown: those of all containers are added up, or averaged."""

    field: str
    title: str
    averaged: bool = False
    factor: float = 1


GIGABYTES = 1 / 1024  # of megabytes
CHARTS = {
    "requests": Chart("requests_num", "Number of Requests"),
    "requests_min": Chart("requests_min", "Requests per Minute"),
    "latency_ms": Chart("latency_ms", "Average Latency (ms)", averaged=True),
    "cpu_count": Chart("cpu_num", "CPU Count"),
    "gpu_count": Chart("gpu_num", "GPU Count"),
    "cpu_util": Chart("cpu_usage", "Average CPU Load (%)", averaged=True),
    "gpu_util": Chart("gpu_usage", "Average GPU Utilization (%)", averaged=True),
    "ram_total": Chart("memory_total", "RAM Total (GB)", factor=GIGABYTES),
    "ram_used": Chart("memory_used", "RAM Used (GB)", factor=GIGABYTES),
    "ram_free": Chart("memory_free", "RAM Free (GB)", factor=GIGABYTES),
    "gpu_ram_total": Chart("gpu_memory_total", "GPU RAM Total (GB)", factor=GIGABYTES),
    "gpu_ram_used": Chart("gpu_memory_used", "GPU RAM Used (GB)", factor=GIGABYTES),
    "gpu_ram_free": Chart("gpu_memory_free", "GPU RAM Free (GB)", factor=GIGABYTES),
    "network_rx": Chart("network_rx", "Network Throughput RX (MBps)"),
    "network_tx": Chart("network_tx", "Network Throughput TX (MBps)"),
}


def save_container(store: Store, request: Document, timeout: int | None = None) -> None:
    """Keep what a container says of itself; one that reports without having registered is new."""
    alive = {container["id"]: container for container in alive_containers(store)}
    known = alive.get(request["container_id"], {"register_time": now(), "timeout": DEFAULT_TIMEOUT_SECONDS})
    if timeout is not None:
        known = {"register_time": now(), "timeout": timeout}
    container = {
        **present_fields((*DESCRIPTION, *REPORTED), request),
        "id": request["container_id"],
        "register_time": known["register_time"],
        "timeout": known["timeout"],
        "last_activity_time": now(),
        "machine_stats": machine_statistics(request.get("machine_stats") or {}),
    }
    store.put(CONTAINER, container)


def alive_containers(store: Store) -> list[Document]:
    """Return the containers that have been heard of lately, and forget the others."""
    present = datetime.now(UTC)
    alive = []
    for container in store.all(CONTAINER):
        silence = present - datetime.fromisoformat(container["last_activity_time"])
        if silence > timedelta(seconds=container["timeout"]):
            store.delete(CONTAINER, container["id"])
        else:
            alive.append(container)
    return alive


def containers_at(store: Store, url: str | None) -> list[Document]:
    return [container for container in alive_containers(store) if container.get("endpoint_url") == url]


def described(container: Document) -> Document:
    return {name: container.get(field) for name, field in SHOWN.items()}


def endpoint_summaries(store: Store) -> list[Document]:
    """Return what each endpoint is and does: its containers together."""
    by_url: dict[str, list[Document]] = defaultdict(list)
    for container in alive_containers(store):
        if container.get("endpoint_url"):
            by_url[container["endpoint_url"]].append(container)
    return [_summary(containers) for containers in by_url.values()]


def _summary(containers: list[Document]) -> Document:
    def values(field: str) -> list[Any]:
        return [container[field] for container in containers if container.get(field) is not None]

    rates, latencies = values("requests_min"), values("latency_ms")
    return {
        **present_fields(("endpoint", "model", "url"), described(containers[0])),
        "instances": len(containers),
        "uptime_sec": max(values("uptime_sec"), default=None),
        "requests": sum(values("requests_num")),
        "requests_min": round(sum(rates) / len(rates), 2) if rates else None,
        "latency_ms": round(sum(latencies) / len(latencies)) if latencies else None,
        "last_update": max(values("last_activity_time")),
    }


def record_container(store: Store, request: Document) -> None:
    """Keep what a container reports of its requests and its machine, for charts."""
    statistics = machine_statistics(request.get("machine_stats") or {})
    body: Document = present_fields(("endpoint_url", *REPORTED), request)
    for part in ("cpu", "gpu"):
        body[f"{part}_usage"], body[f"{part}_num"] = _mean(statistics.get(f"{part}_usage"))
    for part in ("memory", "gpu_memory"):
        free, used = (_mean(statistics.get(f"{part}_{state}"))[0] for state in ("free", "used"))
        body |= {f"{part}_free": free, f"{part}_used": used, f"{part}_total": (free or 0) + (used or 0)}
    body |= present_fields(("network_rx", "network_tx"), statistics)
    record_measurement(store, CONTAINER, request["container_id"], body)


def _mean(value: Any) -> tuple[float | None, int | None]:
    """Return the mean of a statistic, and of how many devices it is."""
    if isinstance(value, list):
        return sum(value) / len(value), len(value)
    return (None, None) if value is None else (value, 1)


def device_counts(container: Document) -> Document:
    usage = ((part, container["machine_stats"].get(f"{part}_usage")) for part in ("cpu", "gpu"))
    return {f"{part}_count": _mean(value)[1] or 0 for part, value in usage}


def endpoint_history(store: Store, request: Document) -> Document:
    """Return what the containers of an endpoint measured over time: each of them, and in total."""
    chart = CHARTS[request.get("metric_type", "requests")]
    dates = chart_dates(request)
    counts_requests = chart.field == "requests_num"
    # {date: {container: what it measured in this interval}}
    found: dict[int, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    containers = set()
    for each in measurements(store, CONTAINER, request["from_date"], request["to_date"]):
        if each.body.get("endpoint_url") == request["endpoint_url"]:
            containers.add(each.source)
            value = number(each.body.get(chart.field))
            date = each.timestamp // dates.step * dates.step
            found[date][each.source] += [] if value is None else [value]
    answer = {"computed_interval": chart_interval(request)}
    shown = whole_intervals(request, dates) if containers else []
    if counts_requests:  # a count that is not reported is not 0
        shown = [date for date in shown if date in found]

    def sample(values: list[float]) -> float:
        if not values:
            return 0
        return max(values) if counts_requests else sum(values) / len(values)

    def series(title: str, values: Iterable[float]) -> Document:
        rounded = [round(value * chart.factor, 2) if value else 0 for value in values]
        return {"title": title, "dates": shown, "values": rounded}

    samples = {date: {key: sample(values) for key, values in found[date].items()} for date in shown}
    totals = []
    for date in shown:
        values = samples[date].values()
        totals.append(sum(values) / (len(values) if chart.averaged and values else 1))
    instances = {}
    if request.get("instance_charts", True):
        for key in sorted(containers):
            instances[key] = series(key, [samples[date].get(key, 0) for date in shown])
    return {**answer, "total": series(chart.title, totals), "instances": instances}
