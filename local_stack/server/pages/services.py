"""What services of clearml-serving serve: their endpoints, and the models behind each."""

from contextlib import suppress

from ..documents import Document, parse_json
from ..store import Store
from .grafana_variables import get
from .rendering import number
from .views import link_to, model_path

MOST_ENDPOINTS, MOST_LINES = 100, 5000
KINDS = ("endpoints", "model_monitoring_eps", "canary", "model_monitoring")  # of clearml-serving's own


def is_service(task: Document) -> bool:
    return "serving-control-plane" in task["system_tags"] and "archived" not in task["system_tags"]


def service_of(store: Store, task: Document) -> Document:
    """Return the endpoints of a service, each with the models that answer there and their shares."""
    parts = (_part(get(task, f"configuration.{kind}.value", "")) for kind in KINDS)
    plain, versions, canaries, followed = parts
    fixed = {**plain, **versions}
    rows: list[Document] = [
        {"name": name, "about": "", "routes": [_route(store, fixed, name, None)]}
        for name in fixed.keys() - canaries.keys()
    ]
    for name, canary in canaries.items():
        prefix, weights = get(canary, "load_endpoint_prefix", ""), get(canary, "weights", [])
        # Of a prefix, the newest version gets the first share.
        newest = sorted((each for each in fixed if prefix and each.startswith(prefix)), key=_version)[::-1]
        named = [each for each in get(canary, "load_endpoints", []) if isinstance(each, str)] or newest
        shares = [number(weight) or 0.0 for weight in weights[: len(named)]]
        whole = sum(shares) or 1
        pairs = zip(named, shares, strict=False)
        routes = [_route(store, fixed, each, share / whole) for each, share in pairs]
        rows.append({"name": name, "about": "canary", "routes": routes})
    for name, asked in followed.items():
        tags = ", ".join(str(tag) for tag in get(asked, "monitor_tags", []))
        name_, project = get(asked, "monitor_name", ""), get(asked, "monitor_project", "")
        about = ", ".join(filter(None, (f"follows {name_}", project, tags and f"tagged {tags}")))
        rows.append({"name": name, "about": about, "routes": []})
    rows.sort(key=lambda row: row["name"])
    return {"task": link_to(task), "rows": rows[:MOST_ENDPOINTS], "left_out": len(rows) - MOST_ENDPOINTS}


def _version(name: str) -> tuple[int, str]:
    last = name.rpartition("/")[2][:9]
    return int(last) if last.isdecimal() else -1, name


def _route(store: Store, endpoints: Document, name: str, share: float | None) -> Document:
    """Return the model that answers at an endpoint, and which share of a canary's requests."""
    model = store.get("model", get(endpoints.get(name), "model_id", ""))
    kept = model and {key: model[key] for key in ("id", "name", "tags")} | {"path": model_path(model)}
    return {"endpoint": name, "share": share, "model": kept}


def _part(text: str) -> Document:
    """Return a part of a service's configuration. clearml-serving writes it in a simple kind of HOCON."""
    levels: list[Document] = [{}]
    for line in map(str.strip, text.splitlines()[:MOST_LINES]):
        key, _, value = line.partition(" = ")
        if line.endswith("{"):
            inner: Document = {}
            levels[-1][line[:-1].strip().strip('"')] = inner
            levels.append(inner)
        elif line == "}" and len(levels) > 1:
            levels.pop()
        elif value:
            with suppress(ValueError, RecursionError):
                levels[-1][key] = parse_json(value)
    return {name: each for name, each in levels[0].items() if isinstance(each, dict)}
