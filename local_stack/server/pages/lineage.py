"""Lineage: what a dataset, task or model was made from, and the models and endpoints made from it."""

import json
import re
from collections.abc import Callable
from itertools import islice
from urllib.parse import urlencode

from ...endpoint_names import metric_name
from ..documents import Document
from ..references import CONTROL_PLANE, ENDPOINTS, named_ids, structure_of
from ..store import Store
from . import views
from .graph import WIDE, Node, draw_graph
from .rendering import number

MOST_BRANCHES = 8  # of one box, the newest ones
MOST_USERS = 200  # of one box, the newest ones: where branches are looked for
MOST_BOXES = 24  # before it, and as many after it
ROOM = 1200  # pixels: the boxes of a wider drawing are narrower
MOST_CANARIES = 100  # of a service
LISTED = "load_endpoints"
FIELD = re.compile(r"  (\w+) = (.*)")


def lineage(store: Store, document: Document) -> Document | None:
    """Draw the lineage of a dataset, task or model; None if nothing is known of it."""
    found = _Lineage(store, document["id"])
    found.walk(found.sources, upstream=True)
    found.walk(found.products, upstream=False)
    nodes = list(found.nodes.values())
    if len(nodes) == 1:
        return None
    drawing = draw_graph(nodes, WIDE)
    if drawing["width"] > ROOM:
        drawing = draw_graph(nodes)
    return {**drawing, "more": found.left_out}


def users_of(store: Store, key: str) -> list[Document]:
    """Return the tasks that have a task or model as an input, or name it in a parameter; newest first."""
    found = (*store.referring("task", "named", key), *store.referring("task", "input", key))
    by_id = {task["id"]: task for task in found}
    return sorted(by_id.values(), key=lambda task: task["created"], reverse=True)


def endpoints_of(service: Document) -> dict[str, Document]:
    """Return the endpoints of a serving service, by address: its model, or the shares that it sends on."""
    fixed = {url: block for name in ENDPOINTS for url, block in blocks_of(service, name).items()}
    found: dict[str, Document] = {
        url: {"model": block.get("model_id"), "sends_to": {}} for url, block in fixed.items()
    }
    newest = sorted(fixed, key=lambda other: other.rpartition("/")[2].zfill(9), reverse=True)
    for url, canary in islice(blocks_of(service, "canary").items(), MOST_CANARIES):
        prefix, weights, named = (canary.get(name) for name in ("load_endpoint_prefix", "weights", LISTED))
        versions = [other for other in newest if isinstance(prefix, str) and other.startswith(prefix)]
        named, weights = (each if isinstance(each, list) else [] for each in (named or versions, weights))
        shares = [number(weight) or 0.0 for weight in weights]
        parts = zip(named, (share / (sum(shares) or 1) for share in shares), strict=False)
        if sends_to := {other: part for other, part in parts if isinstance(other, str) and other in fixed}:
            found[url] = {"model": None, "sends_to": sends_to}  # requests do not reach its own model
    return found


def blocks_of(task: Document, name: str) -> dict[str, Document]:
    """Read a configuration object as the SDK writes it: lines of `name {`, `  key = value` and `}`."""
    blocks: dict[str, Document] = {}
    inner: Document = {}
    text = (task["configuration"].get(name) or {}).get("value") or ""
    for line in views.shortened(text).split("\n"):
        if line.endswith(" {") and not line.startswith(" "):
            inner = blocks.setdefault(line[:-2].strip('"'), {})
        elif match := FIELD.fullmatch(line):
            try:
                inner[match[1]] = json.loads(match[2])
            except (ValueError, RecursionError):
                continue
    return blocks


class _Lineage:
    """The boxes around one document. Their keys are ids, or `<id of the service> <address>` of endpoints."""

    def __init__(self, store: Store, focus: str) -> None:
        self.store = store
        self.focus = focus
        self.ancestors: dict[str, Document] = {}  # of datasets, as those made from them store them
        self.left_out = 0
        self.nodes = {focus: Node(focus, [], {**self._facts(focus), "current": True})}

    def walk(self, neighbours: Callable[[str], list[str]], upstream: bool) -> None:
        """Add what is found from box to box, and the arrows between them."""
        waiting = [self.focus]
        for key in waiting:
            found = neighbours(key)
            self.left_out += max(0, len(found) - MOST_BRANCHES)
            for other in found[:MOST_BRANCHES]:
                if other not in self.nodes:
                    if len(waiting) > MOST_BOXES:
                        self.left_out += 1
                        continue
                    self.nodes[other] = Node(other, [], self._facts(other))
                    waiting.append(other)
                child, parent = (key, other) if upstream else (other, key)
                if parent not in (child, *self.nodes[child].parents):
                    self.nodes[child].parents.append(parent)

    def sources(self, key: str) -> list[str]:
        """Return what it was made from."""
        if model := self.store.get("model", key):
            return [task["id"]] if (task := self.store.get("task", model.get("task"))) else []
        task = self.store.get("task", key)
        if task and not views.is_dataset(task):
            return self._inputs(task)
        self.ancestors |= structure_of(task) if task else {}
        parents: list[str] = self.ancestors.get(key, {}).get("parents", [])
        maker = self.store.get("task", task.get("parent") if task else None)
        inputs = self._inputs(maker) if maker and not views.is_dataset(maker) else []
        if maker and maker["id"] == self.focus:
            return [self.focus, *(parent for parent in parents if parent not in inputs)]
        return list(dict.fromkeys([*parents, *inputs]))

    def _inputs(self, task: Document) -> list[str]:
        """Return the datasets and models that a task took in, not what it made."""
        taken = {item["model"] for item in task["models"]["input"]} | named_ids(task)
        made = {*self._models_of(task["id"]), *self._datasets_of(task["id"])}
        return sorted(key for key in taken - made if self._is_model_or_dataset(key))

    def products(self, key: str) -> list[str]:
        """Return what was made from it: tasks only where they made a model, or are the one looked at."""
        if " " in key:
            service, _, url = key.partition(" ")
            found = endpoints_of(self.store.get_required("task", service))
            return [f"{service} {other}" for other, each in found.items() if url in each["sends_to"]]
        if not self._is_model_or_dataset(key) and self.store.get("task", key):
            return self._models_of(key) + (self._datasets_of(key) if key == self.focus else [])
        users = users_of(self.store, key)[:MOST_USERS]
        return list(dict.fromkeys(made for user in users for made in self._made_by(user, key)))

    def _made_by(self, user: Document, key: str) -> list[str]:
        """Return what a task that names a dataset or model made from it."""
        if CONTROL_PLANE in user["system_tags"]:
            return [f"{user['id']} {url}" for url, each in endpoints_of(user).items() if each["model"] == key]
        if views.is_dataset(user):
            return [user["id"]] if key in self.sources(user["id"]) else []
        if key not in self._inputs(user):
            return []
        maker = [user["id"]] if self._models_of(user["id"]) else []
        return maker + self._datasets_of(user["id"])

    def _is_model_or_dataset(self, key: str) -> bool:
        task = self.store.get("task", key)
        return views.is_dataset(task) if task else self.store.get("model", key) is not None

    def _models_of(self, key: str) -> list[str]:
        return [model["id"] for model in self.store.referring("model", "task", key)]

    def _datasets_of(self, key: str) -> list[str]:
        return [task["id"] for task in self.store.referring("task", "parent", key) if views.is_dataset(task)]

    def _facts(self, key: str) -> Document:
        """Return what a box says; of a deleted dataset, what its descendants stored."""
        if " " in key:
            url = key.partition(" ")[2]
            path = "/monitoring?" + urlencode({"var-endpoint": metric_name(url)}, errors="replace")
            return {"kind": "endpoint", "name": url, "status": "configured", "path": path}
        if model := self.store.get("model", key):
            status, note = "published" if model["ready"] else "created", ", ".join(model["tags"]) or key[:8]
            return {**views.model_row(self.store, model), "kind": "model", "status": status, "note": note}
        if task := self.store.get("task", key):
            version = str(task["runtime"].get("version") or "")
            if views.is_dataset(task):
                return {**views.link_to(task), "kind": "dataset", "version": version}
            return {**views.link_to(task), "kind": "task", "seconds": views.seconds_run(task)}
        name, version = (str(self.ancestors.get(key, {}).get(field) or "") for field in ("name", "version"))
        return {"kind": "dataset", "name": name or key, "version": version, "status": "deleted", "path": None}
