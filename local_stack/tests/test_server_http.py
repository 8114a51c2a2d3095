"""The local server as HTTP: who may call it, and how it answers invalid calls."""

import asyncio
import base64
import json
import random
import re
import time
from typing import Any

import httpx
import jwt
import pytest

from local_stack.server import json_bodies
from local_stack.server.app import create_app
from local_stack.server.auth import Credentials
from local_stack.server.errors import ApiError
from local_stack.tests.api import Api, InProcess, scalar


def call(api: Api, name: str, body: bytes = b"{}", **options) -> httpx.Response:
    return api.request("POST", f"/{name}", content=body, **options)


def meta(response: httpx.Response) -> dict:
    """Return the envelope's meta, whose code is the HTTP status."""
    found = response.json()["meta"]
    assert found["result_code"] == response.status_code
    return found


# Envelope and versions


def test_an_answer_names_the_call_and_its_result(api):
    answer = api.send("tasks.get_types").json()
    assert answer["data"] == {"types": answer["data"]["types"]}
    assert re.fullmatch("[0-9a-f]{32}", answer["meta"].pop("id"))
    assert re.fullmatch("[0-9a-f]{32}", answer["meta"].pop("trx"))
    assert answer["meta"] == {
        "endpoint": {"name": "tasks.get_types", "requested_version": "2.23", "actual_version": "2.23"},
        "result_code": 200,
        "result_subcode": 0,
        "result_msg": "OK",
        "error_stack": None,
        "error_data": {},
    }


@pytest.mark.parametrize("path", ["tasks.get_types", "v2.5/tasks.get_types", "v2.31/tasks.get_types/"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_calls_come_with_and_without_a_version_as_get_and_as_post(api, path, method):
    answer = api.request(method, f"/{path}", json={})
    assert (answer.status_code, meta(answer)["endpoint"]["name"]) == (200, "tasks.get_types")


def test_a_call_needs_no_body_and_parameters_that_no_handler_knows_are_ignored(api):
    assert api.client.get("/debug.ping").json()["data"] == {"msg": "ClearML local stack"}
    assert api("tasks.get_types", method="get", banana=[1]) == api("tasks.get_types")


# Who may call


def test_the_token_tells_clients_what_they_ask_it(api):
    claims = jwt.decode(api.token, options={"verify_signature": False})
    assert claims["feature_set"] == "basic"
    assert claims["api_version"] == "2.31"
    assert claims["server_version"]
    assert claims["identity"]["user"] == "local_user"
    assert claims["exp"] - claims["iat"] == 30 * 24 * 3600


@pytest.mark.parametrize(
    ("asked", "given"),
    [("60", 60), ("0", 30 * 24 * 3600), ("9" * 5000, 365 * 24 * 3600), ("soon", None)],
)
def test_a_token_lasts_as_long_as_was_asked_within_reason(api, asked, given):
    answer = api.client.get(f"/auth.login?expiration_sec={asked}", auth=api.keys)
    claims = jwt.decode(answer.json()["data"]["token"], options={"verify_signature": False})
    assert claims["exp"] - claims["iat"] == given or (given is None and answer.is_success)


def test_the_access_keys_are_as_good_as_a_token_which_can_be_exchanged_for_a_fresh_one(api):
    assert api.client.get("/tasks.get_types", auth=api.keys).status_code == 200
    assert api("auth.login")["token"]


def forged(secret: str, algorithm: str = "HS256", **claims) -> str:
    return "Bearer " + jwt.encode({"exp": time.time() + 60, **claims}, secret, algorithm=algorithm)


def basic(text: bytes) -> str:
    return "Basic " + base64.b64encode(text).decode()


def invalid_credentials(credentials: Credentials) -> dict[str, str]:
    signed = forged(credentials.token_secret)
    return {
        "nothing": "",
        "a word": "Bearer",
        "an empty token": "Bearer ",
        "no token": "Bearer abc.def.ghi",
        "an unknown scheme": "Digest abc",
        "an expired token": forged(credentials.token_secret, exp=time.time() - 1),
        "a token of another server": forged("another secret that is long enough for HS256"),
        "an unsigned token": forged("", "none"),
        "a token signed otherwise": forged(credentials.token_secret, "HS512"),
        "a changed token": signed[:-2] + ("AA" if signed[-2:] != "AA" else "BB"),
        "a wrong secret": basic(f"{credentials.access_key}:wrong".encode()),
        "a wrong key": basic(f"wrong:{credentials.secret_key}".encode()),
        "keys without a colon": basic(b"keys"),
        "keys that are no text": basic(b"\xff\xfe:\x00"),
        "keys that are not encoded": "Basic %%%",
    }


@pytest.mark.parametrize(
    ("method", "path"),
    [
        *(("GET", path) for path in ("tasks.get_types", "auth.login", "no.such_thing", "files/a")),
        *((method, "files/a") for method in ("POST", "DELETE")),
    ],
)
def test_calls_without_valid_credentials_are_refused(api, method, path):
    for who, authorization in invalid_credentials(api.credentials).items():
        headers = {"Authorization": authorization} if authorization else {}
        answer = api.client.request(method, f"/{path}", headers=headers)
        assert answer.status_code == 401, who
        assert answer.json()["data"] == {}
        assert api.credentials.secret_key not in answer.text


# What strangers send


@pytest.mark.parametrize("authorization", [b"", b"Bearer a.b.c", b"Basic YTpi"])
@pytest.mark.parametrize(
    "path", ["tasks.get_all", "events.add_batch", "auth.login", "files", "no.such_thing"]
)
def test_of_what_a_stranger_sends_nothing_is_read(api, path, authorization):
    async def receive() -> dict:
        raise AssertionError("the body was asked for")

    async def send(message: dict) -> None:
        sent.append(message)

    sent: list[dict] = []
    headers = [(b"host", b"127.0.0.1"), (b"authorization", authorization), (b"content-length", b"60000000")]
    scope = {"type": "http", "method": "POST", "path": f"/{path}", "query_string": b"", "headers": headers}
    asyncio.run(api.transport.application(scope, receive, send))
    assert sent[0]["status"] == 401


@pytest.mark.parametrize(
    "name", ["debug.ping", "login.supported_modes", "server.info", "auth.fixed_users_mode"]
)
def test_calls_that_need_no_credentials_take_small_bodies_only(api, name):
    bodies = (b'{"state": "abc"}', b'{"state": "' + b"x" * 10_000 + b'"}')
    assert [api.client.post(f"/{name}", content=body).status_code for body in bodies] == [200, 413]
    assert api.client.post("/auth.login", content=bodies[1], auth=api.keys).status_code == 413


HOSTS = {
    "127.0.0.1": 200,
    "localhost:1234": 200,
    "LOCALHOST:8008": 200,
    "[::1]:8008": 200,
    "host.docker.internal:8008": 200,
    "evil.example": 403,
    "evil.example:8008": 403,
    "127.0.0.1.evil.example": 403,
    "localhost.": 403,
    "localhost@evil.example": 403,
    "0.0.0.0:8008": 403,
    "[::2]:8008": 403,
}


@pytest.mark.parametrize("host", HOSTS)
def test_a_foreign_host_is_refused_everywhere(api, host):
    """A foreign site can make its own name lead here: its pages would be of one origin with the server."""
    api.client.post("/files", files={"hosted.txt": b"1"}, headers=api.headers)
    paths = ("/tasks.get_types", "/debug.ping", "/files/hosted.txt", f"/?token={api.token}")
    codes = [api.request("GET", path, headers={"Host": host}).status_code for path in paths]
    assert [{303: 200}.get(code, code) for code in codes] == [HOSTS[host]] * 4


ORIGINS = {
    "http://127.0.0.1:8008": 200,
    "https://127.0.0.1:8008": 200,
    "http://127.0.0.1:8888": 403,
    "http://127.0.0.1": 403,
    "http://localhost:8008": 403,
    "http://evil.example": 403,
    "http://127.0.0.1:8008.evil.example": 403,
    "null": 403,
    "": 403,
}


@pytest.mark.parametrize("origin", ORIGINS)
def test_pages_of_a_foreign_origin_are_refused_everywhere_and_may_read_no_answer(api, origin):
    api.client.post("/files", files={"origin.txt": b"1"}, headers=api.headers)
    for path in ("/tasks.get_types", "/debug.ping", "/files/origin.txt"):
        answer = api.request("GET", path, headers={"Origin": origin})
        assert (answer.status_code, "Access-Control-Allow-Origin" in answer.headers) == (
            ORIGINS[origin],
            False,
        )
    assert api.request("OPTIONS", "/tasks.get_types", headers={"Origin": origin}).status_code in (403, 405)


def test_a_refused_origin_is_told_the_remedy_and_so_is_the_log_in_one_line(api, caplog):
    answer = api.request("POST", "/tasks.get_types", headers={"Origin": "http://localhost:8080"})
    assert "name it with `up --web-url`" in meta(answer)["result_msg"]
    (message,) = caplog.messages
    assert message == f"refused: {meta(answer)['result_msg']}"


# Bodies


BODIES = (b"no json", b"{", b'{"a":}', b"\xff\xfe\x00", b"[1]", b'"text"', b"3", b"1" * 5000, b"{} {}")


@pytest.mark.parametrize(
    ("name", "body"),
    [*(("tasks.get_types", body) for body in BODIES), ("events.add_batch", b'{"task": "a"}\nnonsense\n')],
)
def test_a_body_that_is_no_json_object_is_refused_with_a_reason(api, name, body):
    answer = call(api, name, body)
    assert answer.status_code == 400
    assert "Validation error: the body " in meta(answer)["result_msg"]


@pytest.mark.parametrize("opening", ['{"a":', "["])
@pytest.mark.parametrize("levels", [101, 5_000, 500_000])
def test_a_body_that_is_nested_too_deep_is_refused(api, opening, levels):
    body = '{"runtime": ' + opening * levels + "1" + {"[": "]", '{"a":': "}"}[opening] * levels + "}"
    assert call(api, "tasks.get_types", body.encode()).status_code == 400


@pytest.mark.parametrize("name", ["tasks.get_types", "events.add_batch"])
@pytest.mark.parametrize("item", [b"[],", b'{"a":1},', b'"",', b"1,", b'{"b":[{}]},'])
def test_a_body_of_too_many_values_is_refused_before_it_is_parsed(api, name, item, monkeypatch):
    monkeypatch.setattr(json_bodies, "parse_json", None)
    answer = call(api, name, b'{"a": [' + item * (json_bodies.MOST_VALUES + 1) + b"1]}")
    assert (answer.status_code, f"more than {json_bodies.MOST_VALUES} values" in answer.text) == (413, True)


@pytest.mark.parametrize("line", [b"", b"1", b"{}"])
def test_a_batch_of_too_many_lines_is_refused_before_it_is_parsed(api, line, monkeypatch):
    monkeypatch.setattr(json_bodies, "parse_json", None)
    assert call(api, "events.add_batch", (line + b"\n") * (json_bodies.MOST_VALUES + 1)).status_code == 413


BRACKETS = "[1, {}], " * 300_000  # as the JSON of a plot, which is text to the API, may have them


@pytest.mark.parametrize("text", [BRACKETS, '\\" [[' * 100_000, "\\" * 99_999 + '"' + "{" * 1000])
def test_text_may_hold_any_number_of_brackets(api, text):
    task = api.new("task", comment=text)
    assert api.get("task", task)["comment"] == text


@pytest.mark.parametrize("chunk", [1, 2, 3, 5, 64])
def test_levels_are_counted_as_the_parser_sees_them(monkeypatch, chunk):
    monkeypatch.setattr(json_bodies, "CHUNK", chunk)
    monkeypatch.setattr(json_bodies, "MOST_LEVELS", 4)
    texts = ("\\", '"', '\\"', '\\\\"[', "[[[", '{"', "a", "", "]]")
    choose = random.Random(chunk)

    def value(levels: int) -> Any:
        if not levels:
            return choose.choice(texts)
        inner = value(levels - 1)
        return [choose.choice(texts), inner] if choose.random() < 0.5 else {choose.choice(texts): inner}

    for levels in (1, 3, 4, 5, 6) * 40:
        body = json.dumps([value(levels - 1)]).encode()
        try:
            assert json_bodies.parse_body(body)
            deep = False
        except ApiError:
            deep = True
        assert deep == (levels > 4), body


def test_a_body_that_is_too_large_is_refused_and_the_server_goes_on(api):
    answer = call(api, "tasks.get_types", b'{"a": "' + b"x" * (64 * 2**20) + b'"}')
    assert answer.status_code == 413
    assert "larger than 64 MB" in meta(answer)["result_msg"]
    assert api("tasks.get_types")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_json_may_come_in_any_of_its_encodings(api, encoding):
    body = json.dumps({"name": "größe ✓"}, ensure_ascii=False).encode(encoding)
    headers = {"Content-Type": f"application/json; charset={encoding}"}
    answer = call(api, "projects.get_all", body, headers=headers)
    assert answer.json()["data"]["projects"] == []


def test_numbers_that_json_does_not_have_are_stored_as_null(api):
    body = b'{"name": "no numbers", "type": "custom", "runtime": {"a": NaN, "b": -Infinity, "c": 1e999}}'
    task = call(api, "tasks.create", body).json()["data"]["id"]
    assert api("tasks.get_by_id", task=task)["task"]["runtime"] == {"a": None, "b": None, "c": None}


def test_the_web_ui_asks_for_a_version_that_is_never_reached_and_gets_the_newest(api):
    endpoint = meta(call(api, "v999.0/tasks.get_types"))["endpoint"]
    assert (endpoint["requested_version"], endpoint["actual_version"]) == ("999.0", "2.31")


# Calls that cannot be answered


def test_an_unknown_endpoint_is_named_in_the_answer_and_in_the_log(api, caplog):
    answer = call(api, "v2.23/reports.share")
    assert answer.status_code == 404
    assert "reports.share" in meta(answer)["result_msg"]
    assert caplog.messages == ["unknown endpoint reports.share"]


@pytest.mark.parametrize(
    "path", ["nothing/here", "v2.23/", "v99999.1/tasks.get_types", "tasks", "%0aERROR fake"]
)
def test_an_unknown_path_is_named_in_the_answer_and_in_one_line_of_the_log(api, caplog, path):
    answer = api.request("GET", f"/{path}")
    assert answer.status_code == 404
    assert "Nothing is served at" in meta(answer)["result_msg"]
    assert [len(message.splitlines()) for message in caplog.messages] == [1]


@pytest.mark.parametrize("method", ["PATCH", "OPTIONS", "TRACE", "BREW"])
def test_an_unknown_method_is_refused_in_the_envelope(api, method):
    answer = api.request(method, "/tasks.get_types")
    assert (answer.status_code, meta(answer)["result_msg"]) == (405, "Method Not Allowed")


@pytest.mark.parametrize(
    ("name", "parameters", "message"),
    [
        ("tasks.get_by_id", {}, "Missing required fields: task"),
        ("tasks.get_by_id", {"task": None}, "Missing required fields: task"),
        ("tasks.get_by_id", {"task": 3}, "Invalid type for fields: task should be a string"),
        ("tasks.create", {"name": "task", "type": "nap"}, "'nap' is not a type of task; the types are"),
        ("tasks.create", {"name": "ab", "type": "custom"}, "a task's name needs at least 3 characters"),
        ("tasks.get_all", {"page": -1}, "page should be an integer from 0 to"),
        ("tasks.get_all", {"name": "("}, "Malformed regular expression: '('"),
        ("tasks.get_all", {"created": ">=soon"}, "'soon' is not a date such as 2026-01-31T12:00:00"),
        ("tasks.archive", {"tasks": "x"}, "tasks should be a list, each item a string"),
        ("tasks.archive", {"tasks": [["x"]]}, "tasks[0] should be a string"),
        ("models.add_or_update_metadata", {"model": "m", "metadata": [{}]}, "fields: metadata[0].key"),
        ("models.edit", {"model": "m", "labels": {"cat": "1"}}, "labels.cat should be an integer"),
        ("events.debug_images", {"metrics": [{"task": 1}]}, "metrics[0].task should be a string"),
        ("tasks.dequeue", {"task": "x", "new_status": "nap"}, "new_status should be closed or completed"),
    ],
)
def test_the_answer_to_an_invalid_call_says_what_is_wrong(api, name, parameters, message):
    answer = api.send(name, **parameters)
    assert answer.status_code == 400
    assert message in meta(answer)["result_msg"]


# What it says of itself


def test_what_breaks_outside_of_a_call_answers_no_more_than_its_kind(store, api):
    class BrokenFiles:
        def find(self, path: str) -> None:
            raise ZeroDivisionError("a secret")

    application = create_app(store, api.credentials, BrokenFiles())
    with InProcess(application) as transport, Api(api.url, api.credentials, transport) as broken:
        answer = broken.request("GET", "/files/a")
    assert answer.status_code == 500
    assert meta(answer)["result_msg"] == "General server error: ZeroDivisionError"


HOSTILE = [
    "'; DROP TABLE events; --",
    "<script>alert(1)</script>",
    "{{7*7}} ${jndi:ldap://x} %s %n",
    "../../etc/passwd\x00.txt",
    "\u202e\u0000\ufeff\U0001f600",
    "line\r\nSet-Cookie: a=b",
    "\ud800 half a pair",
    "__proto__",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_stored_as_it_is(api, text):
    task = api.new("task", name=f"abc{text}", comment=text, tags=[text])
    stored = api.get("task", task)
    assert (stored["name"], stored["comment"], stored["tags"]) == (f"abc{text}", text, [text])
    if "\ud800" not in text:  # which no database takes
        api.events(scalar(task, text, text, 1, 2), {"type": "log", "task": task, "msg": text})
        series = api("events.scalar_metrics_iter_histogram", task=task)
        assert series == {text: {text: {"name": text, "x": [1], "y": [2.0]}}}
        assert [event["msg"] for event in api("events.get_task_log", task=task)["events"]] == [text]
