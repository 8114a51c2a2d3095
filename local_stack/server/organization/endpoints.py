"""The endpoints of the organization: its tags and people, counts of what it has, and tables as CSV files."""

import csv
import io
import json
import time
from collections import OrderedDict
from typing import Any

from ..auth import COMPANY
from ..documents import Document, present_fields
from ..errors import ApiError, validation_error
from ..listing import find_documents, list_documents
from ..lists import as_list
from ..models.endpoints import service as models
from ..projects.endpoints import service as projects
from ..projects.query_endpoints import TAG_FILTER, tags_of
from ..projects.statistics import candidates
from ..query import HIDDEN
from ..registry import Endpoint, Service
from ..store import Store, new_id
from ..tasks.endpoints import service as tasks
from ..users.state import MOST_ROWS, find_user

# What is counted: the kind of document, and the type of the tasks among them.
COUNTED: dict[str, tuple[str, str | None]] = {
    "projects": ("project", None),
    "tasks": ("task", None),
    "models": ("model", None),
    "pipelines": ("project", None),
    "pipeline_runs": ("task", "controller"),
    "datasets": ("project", None),
    "dataset_versions": ("task", "data_processing"),
    "reports": ("task", "report"),
}
CONDITIONS: Document = dict.fromkeys(COUNTED, dict)
LISTS: dict[str, Endpoint] = {
    "project": projects["projects.get_all_ex"],
    "task": tasks["tasks.get_all_ex"],
    "model": models["models.get_all_ex"],
}
HIDING = ("projects", "tasks")  # whose hidden documents count on request only

service = Service()


@service.endpoint("organization.get_tags", filter=TAG_FILTER)
def get_organization_tags(store: Store, request: Document) -> Document:
    return tags_of(store.all("task") + store.all("model"), request)


@service.endpoint("organization.get_user_companies")
def get_user_companies(store: Store, request: Document) -> Document:
    user = find_user(store)
    owner = {"id": user["id"], "name": user["name"], "avatar": user.get("avatar")}
    return {"companies": [{**COMPANY, "allocated": 1, "owners": [owner]}]}


# Counts


@service.endpoint(
    "organization.get_entities_count",
    **CONDITIONS,
    active_users=[str],
    limit=int,
    search_hidden=bool,
)
def get_entities_count(store: Store, request: Document) -> Document:
    """Count what fits the conditions, which are those of a list. A bad one costs its own count alone."""
    answer: Document = {}
    errors = {}
    for name in COUNTED:
        if name in request:
            try:
                answer[name] = _count(store, name, request)
            except ApiError as error:
                errors[name] = str(error)
    return {**answer, **({"errors": errors} if errors else {})}


def _count(store: Store, name: str, request: Document) -> int:
    kind, task_type = COUNTED[name]
    wanted, users = LISTS[kind].validated(request[name]), request.get("active_users", [])
    documents = None
    if kind == "project":
        documents = candidates(store, {**present_fields(["id"], wanted), "active_users": users})
    elif users and not wanted.get("user"):
        wanted["user"] = users
    if task_type:
        wanted |= {"type": [task_type], "include_subprojects": True}
    found = find_documents(store, kind, {**wanted, "search_hidden": True}, documents)
    if name in HIDING and not request.get("search_hidden"):
        found = [document for document in found if HIDDEN not in document["system_tags"]]
    return min(len(found), request.get("limit") or len(found))


# Tables as files

PREPARED_SECONDS = 300
MOST_PREPARED = 32
LONGEST_PREPARED = 2**20  # characters
FORMULA_SIGNS = ("=", "+", "-", "@", "\t", "\r")  # with which a spreadsheet runs a text as a formula
OWN_FIELDS = {"entity_type", "field_mappings", "allow_public", "scroll_id", "size", "page", "page_size"}
ANY_VALUE = (str, float, bool, type(None))
MAPPINGS = [{"field!": str, "name": str, "values": [{"key": ANY_VALUE, "value": ANY_VALUE}]}]

# Requests whose files are about to be fetched: by their ids, when they came and what they ask for.
_prepared: OrderedDict[str, tuple[float, str]] = OrderedDict()


@service.endpoint(
    "organization.prepare_download_for_get_all",
    "entity_type",
    "only_fields",
    "field_mappings",
    entity_type={"task", "model"},
    only_fields=[str],
    field_mappings=MAPPINGS,
)
def prepare_download(store: Store, request: Document) -> Document:
    """Check a request for a table, and keep it for the browser, which fetches the file by an address."""
    if not request["field_mappings"] or not request["only_fields"]:
        raise validation_error("only_fields and field_mappings need at least one entry each")
    _check_unique([_column(mapping) for mapping in request["field_mappings"]], "field_mappings name a column")
    for mapping in request["field_mappings"]:
        _check_unique([repr(item.get("key")) for item in mapping.get("values", [])], "values have a key")
    _rows(store, request, 1)  # so that a wrong condition is told now
    text = json.dumps(request)
    if len(text) > LONGEST_PREPARED:
        raise validation_error("the request is too long to be kept")
    key = new_id()
    _prepared[key] = (time.monotonic(), text)
    while len(_prepared) > MOST_PREPARED:
        _prepared.popitem(last=False)
    return {"prepare_id": key}


def _column(mapping: Document) -> str:
    return str(mapping.get("name") or mapping["field"])


def _check_unique(names: list[str], what: str) -> None:
    if len(set(names)) < len(names):
        raise validation_error(f"{what} more than once: {max(names, key=names.count)}")


def _rows(store: Store, request: Document, most: int) -> list[Document]:
    kind = request["entity_type"]
    wanted = {key: value for key, value in request.items() if key not in OWN_FIELDS}
    # A scroll has any size, and looks for its documents once.
    rows: list[Document] = list_documents(store, kind, {**wanted, "size": most}, join=True)[f"{kind}s"]
    return rows


@service.endpoint("organization.download_for_get_all", "prepare_id", prepare_id=str)
def download_table(store: Store, request: Document) -> Document:
    """Return the name of a prepared table's file and its text, which HTTP then sends as a file."""
    came, text = _prepared.get(request["prepare_id"], (0.0, ""))
    if not text or time.monotonic() - came > PREPARED_SECONDS:
        raise ApiError(
            400, 10, f"Invalid object id: prepare_id={request['prepare_id']} is not known, or too old"
        )
    wanted = json.loads(text)
    columns = {_column(mapping): mapping for mapping in wanted["field_mappings"]}
    out = io.StringIO()
    writer = csv.writer(out, quoting=csv.QUOTE_NONNUMERIC)
    out.write("\ufeff")  # by which spreadsheets know UTF-8
    writer.writerow(columns)
    for row in _rows(store, wanted, MOST_ROWS):
        writer.writerow([_cell(row, mapping) for mapping in columns.values()])
    return {"filename": _file_name(store, wanted), "text": out.getvalue()}


def _cell(row: Document, mapping: Document) -> str:
    value: Any = row
    for part in mapping["field"].split("."):
        # Clients write the dots and dollars in the names of parameters like this.
        name = part.replace("%2E", ".").replace("%24", "$")
        value = value.get(name) if isinstance(value, dict) else None
    if isinstance(value, dict):
        value = value.get("id", "")
    for item in mapping.get("values", []):
        if item.get("key") == value:
            value = item.get("value")
            break
    text = "" if value is None else str(value)
    return f"'{text}" if text.startswith(FORMULA_SIGNS) else text


def _file_name(store: Store, wanted: Document) -> str:
    """Name the file by the one project that the table is of; "root" stands for none."""
    asked = as_list(wanted.get("project", []))
    place = []
    if asked == [None]:
        place = ["root"]
    elif len(asked) == 1 and isinstance(asked[0], str) and (project := store.get("project", asked[0])):
        place = [project["basename"][:60]]
    return "-".join(["clearml", *place, f"{wanted['entity_type']}s.csv"])
