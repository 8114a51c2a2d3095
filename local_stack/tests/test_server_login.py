"""Who may call the local server: tokens, key pairs and their end, the session of the web UI, users."""

import base64
import time
from collections.abc import Iterator
from contextlib import closing

import httpx
import jwt
import pytest

from local_stack.server.app import create_app
from local_stack.server.auth import PAGES, SESSION, Credentials
from local_stack.server.files.state import FileStore
from local_stack.server.login.state import keep_own_key_pair
from local_stack.server.store import Store
from local_stack.tests.api import Api, InProcess, refused

WEB_UI = "http://127.0.0.1:8080"
FROM_UI = {"Origin": WEB_UI}
COOKIE = "clearml_token_basic"


@pytest.fixture(scope="module")
def ui(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """The API of a server whose web UI was named."""
    home = tmp_path_factory.mktemp("server")
    credentials = Credentials.make()
    with closing(Store(":memory:")) as store:
        application = create_app(store, credentials, FileStore(home / "files"), WEB_UI)
        with InProcess(application) as transport, Api("http://127.0.0.1:8008", credentials, transport) as ui:
            yield ui


@pytest.fixture
def session(ui: Api) -> httpx.Client:
    """A browser in which a person has logged in to the web UI."""
    browser = ui.connect()
    answer = browser.post("/auth.login", auth=("local_user", ui.credentials.password), headers=FROM_UI)
    assert answer.status_code == 200
    return browser


def claims(token: str) -> dict:
    return jwt.decode(token, options={"verify_signature": False})


def status(api: Api, authorization: str | tuple[str, str]) -> int:
    if isinstance(authorization, tuple):
        return api.client.get("/tasks.get_types", auth=authorization).status_code
    return api.client.get("/tasks.get_types", headers={"Authorization": authorization}).status_code


def new_pair(api: Api, label: str | None = None) -> tuple[str, str]:
    made = api("auth.create_credentials", label=label)["credentials"]
    return made["access_key"], made["secret_key"]


# Tokens


@pytest.mark.parametrize("asked", ["", "?expiration_sec=31536000"])
def test_a_token_that_is_exchanged_ends_when_the_first_one_does(api, asked):
    short = api.client.get("/auth.login?expiration_sec=60", auth=api.keys).json()["data"]["token"]
    first, token = claims(short)["exp"], short
    for _ in range(3):
        answer = api.client.get(f"/auth.login{asked}", headers={"Authorization": f"Bearer {token}"})
        token = answer.json()["data"]["token"]
        assert claims(token)["exp"] == first
        assert claims(answer.cookies[COOKIE])["exp"] == first
    page = api.client.get("/", params={"token": token})
    (cookie,) = page.cookies.values()
    assert claims(cookie)["exp"] == first


def test_a_token_may_be_asked_to_end_sooner_in_the_body_as_well(api):
    now = int(time.time())
    for token in (
        api("auth.login", expiration_sec=60)["token"],
        api("auth.login", expiration_sec="60")["token"],
    ):
        assert 0 <= claims(token)["exp"] - now - 60 < 5


def test_a_token_without_an_end_is_refused(api):
    endless = jwt.encode({"identity": {}}, api.credentials.token_secret, "HS256")
    assert status(api, f"Bearer {endless}") == 401


def test_a_token_can_be_validated(api):
    assert api("auth.validate_token", token=api.token)["valid"]
    assert not api("auth.validate_token", token="a.b.c")["valid"]
    assert not api("auth.validate_token", token=api.credentials.token(audience=PAGES))["valid"]
    assert refused(api.send("auth.validate_token")) == 11


# Key pairs


def test_a_new_key_pair_works_and_its_secret_is_shown_once(api):
    pair = new_pair(api, "laptop")
    assert status(api, pair) == 200
    listed = api.send("auth.get_credentials")
    assert pair[1] not in listed.text
    (found,) = [each for each in listed.json()["data"]["credentials"] if each["access_key"] == pair[0]]
    assert (found["label"], found["last_used_from"]) == ("laptop", "127.0.0.1")
    assert found["last_used"]
    assert status(api, (pair[0], "")) == status(api, (pair[0], api.keys[1])) == 401


def test_the_key_pair_of_clearml_conf_is_listed_and_never_revoked(api):
    assert api("auth.get_credentials")["credentials"][0]["access_key"] == api.keys[0]
    assert refused(api.send("auth.revoke_credentials", access_key=api.keys[0])) == 301
    assert status(api, api.keys) == 200


def test_the_label_of_a_key_pair_can_be_changed(api):
    key, _ = new_pair(api)
    assert api("auth.edit_credentials", access_key=key, label="server") == {"updated": 1}
    labels = {each["access_key"]: each["label"] for each in api("auth.get_credentials")["credentials"]}
    assert labels[key] == "server"


def test_what_was_revoked_stops_at_once_with_all_that_it_brought(api):
    pair = new_pair(api)
    answer = api.client.get("/auth.login", auth=pair)
    token, browser = answer.json()["data"]["token"], api.connect()
    exchanged = api.client.get("/auth.login", headers={"Authorization": f"Bearer {token}"}).json()["data"][
        "token"
    ]
    assert browser.get("/", params={"token": token}, follow_redirects=True).status_code == 200
    assert status(api, f"Bearer {exchanged}") == 200
    assert api("auth.revoke_credentials", access_key=pair[0]) == {"revoked": 1}
    assert [status(api, found) for found in (pair, f"Bearer {token}", f"Bearer {exchanged}")] == [401] * 3
    assert browser.get("/").status_code == 401
    assert api.client.get("/", params={"token": token}).status_code == 401
    assert not api("auth.validate_token", token=exchanged)["valid"]
    cookie = {"Cookie": f"{COOKIE}={answer.cookies[COOKIE]}"}
    assert api.client.post("/tasks.get_types", headers=cookie).status_code == 401


@pytest.mark.parametrize("call", ["auth.revoke_credentials", "auth.edit_credentials"])
def test_a_key_pair_that_is_not_there_is_refused(api, call):
    assert refused(api.send(call, access_key="nobody")) == 300
    assert refused(api.send(call)) == 11


def test_a_new_credentials_file_ends_the_key_pair_of_the_old_one_and_keeps_the_others(store):
    for credentials in (old := Credentials.make(), new := Credentials.make()):
        keep_own_key_pair(store, credentials)
        store.put("key_pair", {"id": f"made with {credentials.access_key}", "secret_sha256": "0"})
    keys = [pair["id"] for pair in store.all("key_pair")]
    assert keys == [f"made with {old.access_key}", new.access_key, f"made with {new.access_key}"]


def test_a_secret_is_not_stored(ui):
    _, secret = new_pair(ui)
    assert secret not in ui.send("auth.get_credentials").text


# The session of the web UI


def test_a_stranger_is_told_that_name_and_password_are_needed(ui):
    modes = ui.connect().post("/v999.0/login.supported_modes", json={"state": "x"}).json()["data"]
    assert modes["basic"] == {"enabled": True, "guest": {"enabled": False}}
    assert (modes["sso"], modes["sso_providers"], modes["authenticated"]) == ({}, [], False)
    assert not any(modes["server_errors"].values())
    for pair in (
        ("local_user", ""),
        ("local_user", "wrong"),
        ("local user", ui.credentials.password),
        ("", ""),
    ):
        answer = ui.connect().post("/auth.login", auth=pair, headers=FROM_UI)
        assert (answer.status_code, "Set-Cookie" in answer.headers) == (401, False)


def test_a_name_and_a_password_or_a_key_pair_begin_a_session_which_a_logout_ends(ui):
    for pair in (("local_user", ui.credentials.password), ui.keys, new_pair(ui)):
        browser = ui.connect(headers=FROM_UI)
        answer = browser.post("/v999.0/auth.login", auth=pair)
        assert f"{COOKIE}=" in answer.headers["Set-Cookie"]
        assert "HttpOnly; Path=/; SameSite=strict" in answer.headers["Set-Cookie"]
        assert browser.post("/login.supported_modes").json()["data"]["authenticated"]
        user = browser.post("/users.get_current_user").json()["data"]
        assert (user["user"]["id"], user["user"]["company"]["name"]) == ("local_user", "local stack")
        assert browser.post("/login.logout", json={"redirect_url": WEB_UI}).json()["data"] == {}
        assert not browser.cookies
        assert browser.post("/users.get_current_user").status_code == 401


@pytest.mark.parametrize(
    ("method", "headers", "code"),
    [
        ("POST", FROM_UI, 200),
        ("POST", {"Origin": "http://127.0.0.1:8008"}, 200),
        ("POST", {"Origin": "http://127.0.0.1:8888"}, 403),
        ("POST", {"Origin": "null"}, 403),
        ("POST", {}, 200),
        ("GET", {"Sec-Fetch-Site": "same-origin"}, 200),
        ("GET", {"Sec-Fetch-Site": "same-site"}, 401),
        ("GET", {"Sec-Fetch-Site": "cross-site"}, 401),
        ("GET", {"Sec-Fetch-Site": "none"}, 401),
        ("GET", {}, 401),
        ("DELETE", {}, 401),
    ],
)
def test_the_cookie_counts_only_where_no_foreign_page_can_have_sent_it(session, method, headers, code):
    assert session.request(method, "/tasks.get_types", headers=headers).status_code == code


def test_the_cookie_is_no_token_and_a_token_is_no_cookie(ui, session):
    (cookie,) = session.cookies.values()
    assert status(ui, f"Bearer {cookie}") == 401
    for token in (ui.token, ui.credentials.token(audience=PAGES), "nonsense"):
        answer = ui.client.post("/tasks.get_types", headers={"Cookie": f"{COOKIE}={token}"})
        assert answer.status_code == 401
    wrong = {"Authorization": "Bearer nonsense"}  # a header counts before a cookie
    assert session.post("/tasks.get_types", headers=wrong).status_code == 401


def test_the_session_ends_with_its_token(ui):
    cookie = {"Cookie": f"{COOKIE}={ui.credentials.token(60, SESSION, until=int(time.time()) - 1)}"}
    assert ui.client.post("/tasks.get_types", headers=cookie).status_code == 401


def test_files_are_read_by_the_session_and_not_changed(ui, session):
    ui.client.post("/files", files={"project/a task/seen.png": b"image"}, headers=ui.headers)
    path = "/project/a%20task/seen.png"
    same_site = {"Sec-Fetch-Site": "same-site"}  # as for an image on a page of another port
    answer = session.get(f"/files{path}", headers=same_site)
    assert (answer.content, answer.headers["Cross-Origin-Resource-Policy"]) == (b"image", "same-site")
    assert session.delete(f"/files{path}").status_code == 401
    # The proxy of the web UI takes /files off, and tells the address of the browser.
    by_proxy = {"X-Real-IP": "127.0.0.1", "Host": "127.0.0.1"}
    assert session.get(path, headers=by_proxy).content == b"image"
    assert session.get(path).status_code == 404  # without the proxy, there is nothing
    assert session.get("/nothing/here.png", headers=by_proxy).status_code == 404
    assert session.post("/tasks.get_types", headers=by_proxy | FROM_UI).status_code == 200
    assert ui.connect().get(path, headers=by_proxy).status_code == 401


def test_a_prepared_table_is_fetched_by_a_link(ui, session):
    table = {"entity_type": "task", "only_fields": ["name"], "field_mappings": [{"field": "name"}]}
    prepared = session.post("/organization.prepare_download_for_get_all", json=table, headers=FROM_UI).json()
    link = f"/organization.download_for_get_all?prepare_id={prepared['data']['prepare_id']}"
    assert session.get(link).text.splitlines()[0].endswith('"name"')
    assert session.delete(link).status_code == 401
    assert ui.connect().get(link).status_code == 401


def test_a_session_that_has_ended_does_not_stand_in_the_way_of_the_pages_cookie(ui):
    ui.client.post("/files", files={"seen.txt": b"text"}, headers=ui.headers)
    browser = ui.connect(cookies={COOKIE: "ended"}, follow_redirects=True)
    assert browser.get("/files/seen.txt").status_code == 401
    assert browser.get("/files/seen.txt", params={"token": ui.token}).content == b"text"
    assert browser.get("/files/seen.txt").content == b"text"


def test_only_the_named_web_ui_may_read_answers_from_another_origin(ui, api):
    wanted = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
    for server, headers, allowed in (
        (ui, FROM_UI, True),
        (ui, {"Origin": "http://127.0.0.1:9999"}, False),
        (ui, {"Origin": f"{WEB_UI}0"}, False),
        (api, FROM_UI, False),
    ):
        asked = server.client.options("/v999.0/tasks.get_all", headers=headers | wanted)
        called = server.client.post("/tasks.get_types", headers=headers | server.headers)
        unknown = server.client.post("/tasks.nothing", headers=headers | server.headers)
        assert [each.headers.get("Access-Control-Allow-Origin") for each in (asked, called, unknown)] == [
            WEB_UI if allowed else None
        ] * 3
        assert (asked.status_code, called.status_code) == ((204, 200) if allowed else (403, 403))
        if allowed:
            assert asked.headers["Access-Control-Allow-Headers"] == "content-type"
            assert called.headers["Access-Control-Allow-Credentials"] == "true"
            assert "Origin" in called.headers["Vary"]


def test_the_host_of_the_named_web_ui_is_one_of_the_server_s_names(tmp_path, store):
    application = create_app(
        store, Credentials.make(), FileStore(tmp_path / "files"), "https://ui.example/clearml"
    )
    with InProcess(application) as transport, httpx.Client(transport=transport) as client:
        hosts = ("ui.example", "ui.example:443", "other.example")
        codes = [
            client.get("http://127.0.0.1/debug.ping", headers={"Host": host}).status_code for host in hosts
        ]
        assert codes == [200, 200, 403]
        from_ui = {"Origin": "https://ui.example", "Host": "127.0.0.1:8008"}
        assert client.get("http://127.0.0.1/debug.ping", headers=from_ui).status_code == 200


@pytest.mark.parametrize("name", ["server.config", "server.endpoints", "server.get_stats"])
def test_what_only_the_system_may_ask_is_refused(ui, name):
    answer = ui.send(name)
    assert (answer.status_code, answer.json()["meta"]["result_subcode"]) == (403, 20)


def test_the_server_reports_no_statistics_and_says_so(ui):
    assert ui("server.report_stats_option") == {"supported": False}
    assert ui("auth.fixed_users_mode")["enabled"]
    assert ui("server.info")["api_version"] == "2.31"


def test_a_password_in_the_clear_is_not_in_any_answer(ui):
    answers = [
        ui.send(name).text for name in ("auth.get_credentials", "users.get_current_user", "server.info")
    ]
    assert not any(ui.credentials.password in text or ui.keys[1] in text for text in answers)
    encoded = base64.b64encode(f"local_user:{ui.credentials.password}".encode()).decode()
    assert status(ui, f"Basic {encoded}") == 200


# Users


def test_the_user_is_described_as_the_web_ui_reads_it(ui):
    found = ui("users.get_current_user")
    assert {"id", "name", "company", "role", "created", "preferences"} <= found["user"].keys()
    assert found["getting_started"]["configure"] == "clearml-init"
    assert found["settings"]["max_download_items"] == 1000
    by_id = ui("users.get_by_id", user="local_user")["user"]
    assert (by_id["company"], "preferences" in by_id) == ("local", False)
    assert refused(ui.send("users.get_by_id", user="nobody")) == 301


def test_users_are_listed_filtered_and_cut_down(api):
    for name in ("users.get_all", "users.get_all_ex"):
        assert [user["name"] for user in api(name)["users"]] == ["local user"]
        assert api(name, id=["nobody"])["users"] == []
        assert api(name, name="^local", only_fields=["name"])["users"] == [
            {"id": "local_user", "name": "local user"}
        ]


def test_the_user_is_active_where_it_has_made_something(store, tmp_path):
    application = create_app(store, credentials := Credentials.make(), FileStore(tmp_path / "files"))
    with InProcess(application) as transport, Api("http://127.0.0.1:8008", credentials, transport) as api:

        def active(*projects: str) -> bool:
            return bool(api("users.get_all_ex", active_in_projects=list(projects))["users"])

        assert not active()
        top, other = (api.new("project", name=name, description="") for name in ("top", "topple"))
        child = api.new("project", name="top/child", description="")
        api.new("task", project=child)
        assert [active(), active(child), active(top), active(other), active("nobody")] == [
            True, True, True, True, False,
        ]  # fmt: skip


def test_the_user_can_be_renamed(ui):
    assert ui("users.update", user="local_user", name="Ada", role="x") == {
        "updated": 1,
        "fields": {"name": "Ada"},
    }
    assert ui("users.update", user="local_user", name="Ada")["updated"] == 0
    assert ui("users.get_current_user")["user"]["name"] == "Ada"
    assert refused(ui.send("users.update", user="nobody", name="Ada")) == 301
    assert refused(ui.send("users.update", user="local_user", name=3)) == 20


def test_preferences_are_kept_key_by_key(ui):
    first = {"view": {"theme": "dark", "columns": ["a", {"b": 1}]}, "version": 1}
    assert ui("users.set_preferences", preferences=first) == {"updated": 1, "fields": {"preferences": first}}
    assert ui("users.set_preferences", preferences={"version": 1}) == {"updated": 0, "fields": {}}
    ui("users.set_preferences", preferences={"view": {"theme": "light"}})
    assert ui("users.get_preferences")["preferences"] == {"view": {"theme": "light"}, "version": 1}


@pytest.mark.parametrize("wrong", [{"a.b": 1}, {"$a": 1}, {"a": {"b.c": 1}}, {"a": [{"$set": 1}]}])
def test_preferences_with_keys_that_clearml_s_database_refuses_are_refused(ui, wrong):
    before = ui("users.get_preferences")
    assert refused(ui.send("users.set_preferences", preferences=wrong)) == 16
    assert ui("users.get_preferences") == before
    assert refused(ui.send("users.set_preferences")) == 11
