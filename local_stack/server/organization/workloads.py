"""How long tasks ran on each day, by project, queue and user."""

from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta, timezone

from ..documents import Document
from ..errors import validation_error
from ..projects.state import ancestors
from ..registry import Service
from ..store import Store
from ..users.state import find_user

EXCLUDED_TAGS = {"dataset", "reports", "hidden"}
EXCLUDED_TYPES = {"dataset_import", "annotation", "annotation_manual", "report", "controller"}
USAGES = {"duration", "cpu_usage", "gpu_usage"}
BREAKDOWNS = ("project", "queue", "user")
OTHER_QUEUE = {"id": "_other_", "name": "other"}
MOST_DAYS = 1000

Days = dict[date, int]

service = Service()


@service.endpoint(
    "organization.get_project_workloads",
    "projects",
    "from_date",
    "to_date",
    from_date=str,
    to_date=str,
    include_development=bool,
    breakdown_keys=[set(BREAKDOWNS)],
    usage_fields=[USAGES],
)
def get_project_workloads(store: Store, request: Document) -> Document:
    """Return, for each breakdown, the seconds that tasks ran: per day, and in all.

    One project is broken down into those below it, several into themselves. Days are those of the time zone
    in which the request writes its first date.
    """
    first, last = (_moment(request[name]) for name in ("from_date", "to_date"))
    if first > last:
        raise validation_error("from_date cannot be later than to_date")
    if not request["projects"]:
        raise validation_error("projects should name at least one")
    zone = timezone(first.utcoffset() or timedelta())
    start = datetime.combine(first.date(), time.min, zone)
    days = [start.date() + timedelta(days=i) for i in range((last.date() - first.date()).days + 1)]
    if len(days) > MOST_DAYS:
        raise validation_error(f"{len(days)} days are more than {MOST_DAYS}")
    end = start + timedelta(days=len(days))
    groups = _groups(store, request["projects"])
    keys = {
        "project": lambda task: groups[task["project"]],
        "queue": lambda task: _queue_of(store, task),
        "user": lambda task: task["user"],
    }
    breakdowns = request.get("breakdown_keys") or BREAKDOWNS
    usages = request.get("usage_fields") or ["duration", "gpu_usage"]
    seconds: dict[str, dict[str | None, Days]] = {name: defaultdict(Days) for name in breakdowns}
    for task in store.all("task"):
        if task.get("project") in groups and _counts(task, bool(request.get("include_development"))):
            for day, ran in _seconds_by_day(task, start, end, zone).items():
                for name in breakdowns:
                    by_day = seconds[name][keys[name](task)]
                    by_day[day] = by_day.get(day, 0) + ran
    midnights = [datetime.combine(day, time.min, zone).timestamp() for day in days]
    return {f"{name}s": _answer(store, name, seconds[name], days, midnights, usages) for name in breakdowns}


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise validation_error(f"{text!r} is not a date such as 2026-01-31T12:00:00+00:00") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _groups(store: Store, named: list[str]) -> dict[str, str]:
    """Return, for each project that counts, the id of the one under which it does."""
    heads = set(named)
    if len(named) == 1:
        heads |= {project["id"] for project in store.all("project") if project["parent"] == named[0]}
    groups = {}
    for project in store.all("project"):
        line = (project["id"], *ancestors(store, project["id"]))
        if head := next((key for key in line if key in heads), None):
            groups[project["id"]] = head
    return groups


def _queue_of(store: Store, task: Document) -> str | None:
    queue: str | None = task["execution"].get("queue")
    return queue if queue is None or store.get("queue", queue) else OTHER_QUEUE["id"]


def _counts(task: Document, development: bool) -> bool:
    tags = set(task["system_tags"])
    if not task.get("started") or tags & EXCLUDED_TAGS or task["type"] in EXCLUDED_TYPES:
        return False
    return development or bool("development" not in tags and task["execution"].get("queue"))


def _seconds_by_day(task: Document, start: datetime, end: datetime, zone: timezone) -> Days:
    """Return how many seconds of each day the task ran, between the two moments."""
    if task["status"] == "in_progress":
        stopped = datetime.now(UTC)
    else:
        stopped = datetime.fromisoformat(task.get("completed") or task["status_changed"])
    begun = max(datetime.fromisoformat(task["started"]), start).astimezone(zone)
    stopped = min(stopped, end).astimezone(zone)
    found = {}
    while begun < stopped:
        midnight = datetime.combine(begun.date() + timedelta(days=1), time.min, zone)
        found[begun.date()] = int((min(stopped, midnight) - begun).total_seconds())
        begun = midnight
    return found


def _answer(
    store: Store,
    name: str,
    seconds: dict[str | None, Days],
    days: list[date],
    midnights: list[float],
    usages: list[str],
) -> Document:
    user = find_user(store)
    names: dict[str, Callable[[str | None], str | None]] = {
        "project": lambda key: (store.get("project", key) or {}).get("name", key),
        "queue": lambda key: (store.get("queue", key) or OTHER_QUEUE)["name"] if key else None,
        "user": lambda key: user["name"] if key == user["id"] else key,
    }
    total, series = [], []
    for key, by_day in seconds.items():
        named: Document = {"id": key, "name": names[name](key)}
        # No queue here says how much of a machine it stands for: each counts as one, and the answer says so.
        artificial = {
            f"{u.removesuffix('_usage')}_artificial_weights": True for u in usages if u != "duration"
        }
        daily = {usage: [by_day.get(day, 0) for day in days] for usage in usages}
        series.append({**named, "dates": midnights, **daily, **artificial})
        total.append({**named, **{usage: sum(values) for usage, values in daily.items()}, **artificial})
    return {"total": total, "series": series}
