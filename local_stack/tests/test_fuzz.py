"""No request makes the local server fail, stall or grow: hypothesis draws them from the SDK's own schemas.

    LOCAL_STACK_FUZZ=20 pytest local_stack/tests/test_fuzz.py    # 20 times as many requests, each time others

Without the variable they are the same each time, some 3,700. Each example is a handful of requests to a new
server, which has a few documents. Where one fails, hypothesis prints the fewest that still fail. In them
"<task 0>" stands for a document's id, and "<1 MB>" for what is too long to print.
"""

import inspect
import json
import logging
import os
import re
import resource
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from functools import cache
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import quote, urlencode

import httpx
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from local_stack.server.app import create_app
from local_stack.server.auth import Credentials
from local_stack.server.files.state import FileStore
from local_stack.server.pages.routes import DATA, PAGES
from local_stack.server.schemas import Map
from local_stack.server.services import ENDPOINTS, answer_call
from local_stack.server.store import KINDS, Store
from local_stack.tests import sdk_schemas
from local_stack.tests.api import Api, InProcess

TIMES = int(os.environ.get("LOCAL_STACK_FUZZ", "1"))
MOST_SECONDS = 2.0  # of computing for one answer: other processes on the machine do not count
MOST_GROWTH = 200 * 2**20  # of this process's memory, tests and all

SCHEMAS = {name: schema for (side, name), schema in sdk_schemas.schemas().items() if side == "request"}
NAMES = sorted({*ENDPOINTS, "auth.login", "debug.ping", "nobody.knows"})
LISTING_FIELDS = ("_any_", "_all_", "order_by", "only_fields", "search_text", "size", "scroll_id")
VERSIONS = ("v2.23/", "v2.23/", "v2.1/", "v2.8/", "v999.0/", "")
KNOWN_IDS = [f"<{kind} {number}>" for kind in KINDS for number in range(3)]
WORDS = [
    "", "x", "name", "metric", "variant", "null", "12", "-2", "1_1", "1e999", "(", ".", "..", "-",
    "a.b", "a" * 3000, "$where", "a.$b.c", "__$all", "__$any", "__$or", "__$not", "__$nop", "-tag",
    "archived", "created", "queued", "2026-01-01", ">=2026-01-01", ">=never",
    "9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00+14:00", "completed", "training_stats_scalar",
    "training_debug_image", "plot", "log", "input", "output", "asc", "desc", "iso_time",
    "execution.queue.name", "last_metrics.x.y.value", "-hyperparams.a.b.value", "hyperparams",
    "properties", "top/.hidden/name", "/", "a/" * 60, "../..", "%00", "\x00", "\ud800", "\udfff\ud800",
    "\U0001f600", "\u202e", "(a{1,2}){11,}b", "(a|a)*b", "(x+x+)+y", "(?=a)", r"(a)\1", "a{1000}{1000}",
    ".*" * 200,
]  # fmt: skip
NUMBERS = [
    0, 1, 2, 5, -1, 0.5, 2**31, -(2**31), 2**53 + 1, 2**62, 2**62 + 1, 2**63 - 1, 2**63, -(2**63),
    -(2**63) - 1, 2**200, 1e308, -1e308, 5e-324, float("nan"), float("inf"), 10**15, 253402300800000,
    -62135596800001,
]  # fmt: skip
# What stands in a request's text for something longer than anybody could read.
LONG: dict[str, str] = {
    "<1 MB>": json.dumps("x" * 2**20),
    "<5,000 dots>": json.dumps("." * 5000),
    "<50,000 slashes>": json.dumps("a/" * 50_000),
    "<brackets>": json.dumps("[(" * 5000),
    "<90 lists>": "[" * 90 + "]" * 90,
    "<90 objects>": '{"a":' * 90 + "1" + "}" * 90,
    "<5,000 lists>": "[" * 5000 + "]" * 5000,
    "<5,000 digits>": "9" * 5000,
    "<10,000 items>": json.dumps(["x"] * 10_000),
    "<10,000 numbers>": json.dumps([*range(10_000)]),
    "<10,000 keys>": json.dumps({f"k{n}": "v" for n in range(10_000)}),
    "<1,100 metrics>": json.dumps([{"metric": f"m{n}", "variants": ["v"], "task": "x"} for n in range(1100)]),
    "<40,000 variants>": json.dumps([{"metric": "m", "variants": [f"v{n}" for n in range(40_000)]}]),
    "<operators>": json.dumps(["__$all", "__$not", "x"] * 3000),
}
LONG_TEXTS = [name for name, text in LONG.items() if text[0] == '"']
LONG_LISTS = [name for name, text in LONG.items() if text[0] == "["]


# What is drawn

Request = tuple[str, str, dict[str, Any]]  # method, path, options of httpx
Draw = Callable[[Random, str], Request]


class Drawer:
    """Draws values. hypothesis gives the seed: drawn one by one by itself, most of them would be alike."""

    def __init__(self, random: Random, service: str = "", hostile: float = 0.05) -> None:
        self.random = random
        self.hostile_share = hostile
        self.ids = {"ids": service.removesuffix("s"), "id": service.removesuffix("s"), "parent": "task"}

    def hostile(self) -> Any:
        """Draw a value of any kind."""
        pick = self.random.choice
        word, number, known = pick(WORDS), pick(NUMBERS), pick(KNOWN_IDS)
        empty = pick((None, True, False, [], {}, [None], [[]], {"": 1}))
        character, bits = chr(self.random.randrange(0x110000)), self.random.getrandbits(pick((8, 64)))
        objects = {word: number}, {word: known, pick(WORDS): empty}
        return pick((word, number, known, empty, pick([*LONG]), character, bits, [word, number], *objects))

    def text(self, field: str) -> str:
        kind = self.ids.get(field, field.removeprefix("new_task_").removesuffix("s"))
        known = [key for key in KNOWN_IDS if key[1:-3] == kind]
        return self.random.choice(known if known and self.random.random() < 0.95 else WORDS)

    def value(self, schema: dict, field: str, definitions: dict) -> Any:
        """Draw a value of a JSON schema, which may make no sense, or, now and then, a hostile one."""
        if self.random.random() < self.hostile_share:
            return self.hostile()
        if "$ref" in schema:
            return self.value(definitions.get(schema["$ref"].rsplit("/", 1)[1], {}), field, definitions)
        for choices in ("anyOf", "oneOf", "allOf"):
            if choices in schema:
                return self.value(self.random.choice(schema[choices]), field, definitions)
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return self.random.choice(schema["enum"])
        kinds = schema.get("type")
        match self.random.choice(kinds) if isinstance(kinds, list) else kinds:
            case "string":
                return self.text(field)
            case "integer" | "number":
                return self.random.choice(NUMBERS if self.random.random() < 0.4 else (0, 1, 2, 5))
            case "boolean":
                return self.random.random() < 0.5
            case "array":
                count = self.random.randrange(4)
                return [self.value(schema.get("items", {}), field, definitions) for _ in range(count)]
            case "object":
                return self.object(schema, definitions)
        return self.hostile()

    def object(self, schema: dict, definitions: dict) -> dict:
        """Draw an object with nearly all fields that the schema requires, and some of the others."""
        properties, required = schema.get("properties", {}), schema.get("required", [])
        optional = sorted({*properties} - {*required})
        chosen = self.random.sample(optional, min(len(optional), self.random.randrange(5)))
        kept = [field for field in required if self.random.random() < 0.97]
        found = {
            field: self.value(properties.get(field, {}), field, definitions) for field in (*kept, *chosen)
        }
        others = schema.get("additionalProperties")
        if others or not properties:
            others = others if isinstance(others, dict) else {}
            for _ in range(self.random.randrange(3)):
                found[self.random.choice(WORDS)] = self.value(others, "", definitions)
        return found


@cache
def schema_of(name: str) -> dict:
    """Return the SDK's schema of a request or, for what it does not call, one of what the endpoint reads."""
    name = "events.add" if name == "events.add_batch" else name
    base = SCHEMAS.get(name) or SCHEMAS.get(name.removesuffix("_ex"), {})
    if endpoint := ENDPOINTS.get(name):
        source = inspect.getsource(getattr(endpoint.handler, "func", endpoint.handler))
        read = re.findall(r'request(?:\.get\(|\[)"(\w+)"', source)
        fields = (*endpoint.required, *(endpoint.schemas or ()), *read)
        own = {field: json_schema(endpoint.schema(field)) for field in fields}
        required = [*dict.fromkeys((*base.get("required", []), *endpoint.required))]
        base = {**base, "properties": {**own, **base.get("properties", {})}, "required": required}
    return {"properties": {}, "required": [], "definitions": {}, **base}


def json_schema(schema: Any) -> dict:
    """Return what a schema of the server's own says, roughly, as a JSON schema."""
    match schema:
        case list():
            return {"type": "array", "items": json_schema(schema[0])}
        case dict():
            properties = {name.rstrip("!"): json_schema(inner) for name, inner in schema.items()}
            return {"type": "object", "properties": properties, "required": [*properties]}
        case set():
            return {"enum": sorted(schema)}
        case tuple():
            return {"anyOf": [json_schema(inner) for inner in schema]}
        case range():
            return {"type": "integer"}
    kinds = {str: "string", int: "integer", float: "number", bool: "boolean", dict: "object", Map: "object"}
    return {"type": kinds.get(schema if isinstance(schema, type) else type(schema))}


def draw_call(random: Random, service: str) -> Request:
    """Draw a call, mostly of the service."""
    name = random.choice([name for name in NAMES if name.startswith(service) or random.random() < 0.2])
    path = f"/{random.choice(VERSIONS)}{name}"
    draw, schema = Drawer(random, name.split(".")[0]), schema_of(name)
    definitions = schema["definitions"]
    if name == "events.add_batch":
        events = [draw.value(schema, "", definitions) for _ in range(random.randint(1, 3))]
        return "POST", path, {"content": "\n".join(map(json.dumps, events))}
    whole = "anyOf" in schema or random.random() < 0.02
    request = draw.value(schema, "", definitions) if whole else draw.object(schema, definitions)
    if ".get_all" in name and not whole and random.random() < 0.7:
        long = random.random() < 0.2
        match random.choice(LISTING_FIELDS):
            case ("_any_" | "_all_") as field:
                how = random.choice(("pattern", "datetime"))
                request[field] = {"fields": random.sample(WORDS, 2), how: draw.hostile()}
            case field:
                request[field] = random.choice(LONG_TEXTS) if long else draw.hostile()
    return "POST", path, {"content": json.dumps(request)}


def handfuls(draw: Draw) -> st.SearchStrategy[list[Request]]:
    """Return a strategy of 20 requests, of which hypothesis leaves out as many as it can."""

    def several(random: Random, kept: list[int]) -> list[Request]:
        service = random.choice(NAMES).split(".")[0]  # what a call has changed, the next ones should read
        requests = [draw(random, service) for _ in kept]
        return [request for request, number in zip(requests, kept, strict=True) if number]

    numbers = st.lists(st.integers(0, 20), min_size=20, max_size=20)
    return st.builds(several, st.randoms(use_true_random=True), numbers)


# The server


def populate(store: Store) -> dict[str, str]:
    """Make three documents of each kind, and events; return {placeholder: id}."""
    ids = {}
    last = "report" if "reports.create" in ENDPOINTS else "custom"
    for number, type in enumerate(("training", "controller", last)):
        made = {
            "project": {"name": f"a project/child {number}"},
            "task": {"name": f"a task {number}" + "a" * 40, "type": type, "tags": ["x"]},
            "model": {"name": "a model", "uri": "u", "ready": False},
            "queue": {"name": f"queue {number}"},
        }
        for kind, fields in made.items():
            ids[f"<{kind} {number}>"] = answer_call(store, f"{kind}s.create", fields)["id"]
        ids[f"<worker {number}>"] = f"worker {number}"
        queues = [ids[f"<queue {number}>"]]
        answer_call(store, "workers.register", {"worker": f"worker {number}", "queues": queues})
        task, model = ids[f"<task {number}>"], ids[f"<model {number}>"]
        common = {"metric": "metric", "variant": "variant", "iter": number}
        events = [
            {"task": task, "type": "training_stats_scalar", "value": 1.5, **common},
            {"task": task, "type": "training_debug_image", "url": "u", **common},
            {"task": task, "type": "plot", "plot_str": "{}", **common},
            {"task": task, "type": "log", "msg": "a line"},
        ]
        answer_call(store, "events.add_batch", {"batch": events})
        answer_call(store, "models.edit", {"model": model, "task": task, "project": ids["<project 0>"]})
    answer_call(store, "tasks.enqueue", {"task": ids["<task 1>"], "queue": ids["<queue 1>"]})
    answer_call(store, "tasks.started", {"task": ids["<task 0>"]})
    return ids


def documents(store: Store) -> dict[str, dict]:
    return {kind: {document["id"]: document for document in store.all(kind)} for kind in KINDS}


class Servers:
    """Servers, one for each example, which all begin with the same documents."""

    def __init__(self, home: Path) -> None:
        self.credentials = Credentials.load_or_make(home / "credentials.json")
        self.files = FileStore(home / "files")
        self.template, self.path = home / "template.sqlite", home / "clearml.sqlite"
        with closing(Store(self.template)) as store:
            self.ids = populate(store)

    def real(self, text: str) -> str:
        """Return the text with what the names in angle brackets stand for."""
        for placeholder, found in LONG.items():
            text = text.replace(f'"{placeholder}":', f"{json.dumps(found[:9])}:").replace(
                f'"{placeholder}"', found
            )
        return re.sub(r"<[a-z]+ \d>", lambda found: self.ids.get(found[0], found[0]), text)

    def answers(self, requests: Iterable[Request]) -> Iterator[httpx.Response]:
        """Yield a new server's answers to the requests, once they are checked."""
        for suffix in ("", "-wal", "-shm"):
            self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)
        shutil.copyfile(self.template, self.path)
        address = "http://127.0.0.1:8008"
        with closing(Store(self.path)) as store:
            application = create_app(store, self.credentials, self.files)
            with InProcess(application) as transport, Api(address, self.credentials, transport) as api:
                cookie = api.client.get("/", params={"token": api.token}).headers["Set-Cookie"].split(";")[0]
                for method, path, options in requests:
                    headers = {"Cookie": cookie, **options.get("headers", {})}
                    content = options.get("content", "")
                    content = self.real(content) if isinstance(content, str) else content
                    before, began = documents(store), time.process_time()
                    response = api.request(method, self.real(path), content=content, headers=headers)
                    seconds = time.process_time() - began
                    request = f"{method} {path[:500]} {str(options)[:1000]}"
                    assert response.status_code < 500, f"{request}: {response.text[:500]}"
                    assert seconds < MOST_SECONDS, f"{request}: {seconds:.1f} s"
                    if response.status_code >= 400:
                        assert documents(store) == before, f"{request} failed, and has changed something"
                    yield response
                assert api("tasks.get_types")
                kept = documents(store)
        with closing(Store(self.path)) as store:
            assert documents(store) == kept, "the store holds something else than the server had"


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """Servers with a few documents; at the end, the process must not have grown by more than it may."""
    log = logging.getLogger("local_stack.server")
    log.setLevel(logging.ERROR)  # every second call is an unknown one
    before = peak_memory()
    yield Servers(tmp_path_factory.mktemp("fuzz"))
    log.setLevel(logging.NOTSET)
    assert peak_memory() - before < MOST_GROWTH


def peak_memory() -> int:
    """Return the most bytes that this process has had in memory so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def drawn(examples: int) -> settings:
    return settings(
        max_examples=examples * TIMES,
        derandomize=TIMES == 1,
        database=None,
        deadline=None,  # the servers have their own
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=[*HealthCheck],
    )


# The API


def test_no_call_fails_stalls_or_breaks_its_schema(servers):
    @drawn(110)
    @given(handfuls(draw_call))
    def check(requests: list[Request]) -> None:
        for (_, path, options), answer in zip(requests, servers.answers(requests), strict=True):
            name = path.rsplit("/", 1)[1]
            assert answer.status_code != 404 or name not in ENDPOINTS
            if "json" in answer.headers["Content-Type"]:
                data = json.loads(answer.text, parse_constant=pytest.fail)["data"]
                if answer.status_code == 200:
                    answered.add(name)
                    assert sdk_schemas.problems(name, data) == [], options

    answered: set[str] = set()
    check()
    assert len(answered) > 0.4 * len(ENDPOINTS)


def long_requests() -> Iterator[Request]:
    """Every field of every call once with a long value, or with each of them, beside sound values."""
    for name in NAMES:
        draw, schema = Drawer(Random(1), name.split(".")[0], hostile=0), schema_of(name)
        properties, definitions = schema.get("properties", {}), schema["definitions"]
        for field in [*properties, *(LISTING_FIELDS if ".get_all" in name else ())]:
            fitting = LONG_LISTS if "array" in str(properties.get(field)) else LONG_TEXTS
            for long in LONG if TIMES > 1 else [draw.random.choice(fitting)]:
                request = {
                    key: draw.value(properties.get(key, {}), key, definitions) for key in schema["required"]
                }
                request[field] = (
                    {"fields": ["name"], "pattern": long} if field in ("_any_", "_all_") else long
                )
                yield "POST", f"/{name}", {"content": json.dumps(request)}


def test_no_long_value_of_any_field_fails_or_stalls(servers):
    assert {answer.status_code for answer in servers.answers(long_requests())} >= {200, 400}


# Pages and files

PLACES = [*WORDS, *KNOWN_IDS, "a/" * 1500, "x" * 300, "a/b.bin", "a", "file.js", 'a"b', "a%22b", "\r\nX: y"]
QUERY = (
    "metric",
    "variant",
    "known",
    "after",
    "before",
    "file",
    "name",
    "from",
    "page",
    "token",
    "project",
    "task",
)
PARTS = (
    'name="{}"', 'name="{}"; filename="x"', "name*=utf-8''{}", "name*=undefined''{}", "name*0=a; name*1*={}",
    "name={}",    "name*={}", "filename={}", "name*0*=''{}; name*9={}", "",
)  # fmt: skip
BODIES = (
    "--b\r\n{}\r\n\r\nbytes\r\n--b--\r\n",
    "--b\r\n{}\r\n\r\nbytes",
    "--b\r\n{}\r\n--b--\r\n",
    "{}",
    "--b--",
)


def url_text(text: str) -> str:
    return quote(text, errors="surrogatepass")


def draw_page(random: Random, service: str) -> Request:
    """Draw an address of a page or of its data, with a query."""
    path = random.choice([path for path, *_ in (*PAGES, *DATA)]).replace(":path", "")
    for kind in re.findall(r"{(\w+)}", path):
        known = [key for key in KNOWN_IDS if key[1:-3] == kind]
        place = random.choice(known if known and random.random() < 0.8 else PLACES)
        path = path.replace(f"{{{kind}}}", place if place in known else url_text(place))
    query = {
        key: random.choice((*WORDS, *NUMBERS, *KNOWN_IDS))
        for key in random.sample(QUERY, random.randrange(4))
    }
    return "GET", f"{path}?{urlencode(query, errors='surrogatepass')}", {"headers": {"Accept": "text/html"}}


def draw_file(random: Random, service: str) -> Request:
    """Draw an upload, download or deletion of a file."""
    place = random.choice(PLACES)
    if random.random() < 0.4:
        return random.choice(("GET", "DELETE", "POST")), f"/files/{url_text(place)}", {}
    disposition = "Content-Disposition: form-data; " + random.choice(PARTS).replace("{}", place)
    body = random.choice(BODIES[:1] * 5 + BODIES[1:]).replace("{}", disposition)
    kind = "multipart/form-data; boundary=" + random.choice(("b", "b", "b", "b", "", "c", "b" * 300))
    return (
        "POST",
        "/files",
        {"content": body.encode(errors="surrogatepass"), "headers": {"Content-Type": kind}},
    )


@pytest.mark.parametrize(("draw", "codes"), [(draw_page, {200, 404}), (draw_file, {200, 400, 404})])
def test_no_page_or_file_fails_or_stalls(servers, draw, codes):
    @drawn(20)
    @given(handfuls(draw))
    def check(requests: list[Request]) -> None:
        answered.update(answer.status_code for answer in servers.answers(requests))

    answered: set[int] = set()
    check()
    assert answered >= codes
    assert not any(servers.files.uploads.iterdir())
