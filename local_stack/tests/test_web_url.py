"""`--web-url`: ClearML's own web UI in front of a stack."""

import httpx
import pytest
from clearml.utilities.pyhocon import ConfigFactory

from local_stack.__main__ import introduce_stack
from local_stack.errors import StackError
from local_stack.server.addresses import name_in, origin_of
from local_stack.stack import Stack


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("http://localhost", "http://localhost"),
        ("http://localhost:80/", "http://localhost"),
        ("HTTP://LocalHost:8080/clearml/", "http://localhost:8080"),
        ("https://ui.example:443", "https://ui.example"),
        ("https://ui.example:80", "https://ui.example:80"),
        ("http://[::1]:8080", "http://[::1]:8080"),
    ],
)
def test_the_origin_of_an_address_is_what_browsers_send(url, origin):
    assert origin_of(url) == origin


WRONG = [
    "localhost:8080", "127.0.0.1", "ftp://localhost", "http://", "http://:80", "http://a:99999", "http://a@b",
    "http://[::1", "http://a b", "http://*", "http://a\nb", "http://a/?b=c", 'http://a"', "http://a,b",
]  # fmt: skip


@pytest.mark.parametrize("url", WRONG)
def test_what_is_no_address_is_refused_with_the_option_s_name(tmp_path, url):
    with pytest.raises(StackError, match="--web-url: "):
        Stack(tmp_path, web_url=url)


@pytest.mark.parametrize("host", ["", "a:b", "a:1:2", "[::1", "::1", "a@b", "a:999999"])
def test_a_host_that_is_none_has_no_name(host):
    assert name_in(host) == ""


@pytest.mark.e2e
def test_clients_print_the_address_of_the_web_ui_and_a_person_logs_in_with_what_is_printed(tmp_path, capsys):
    address = 'http://127.0.0.1:8080/ui"'
    with Stack(tmp_path / "home", port=0, web_url=address) as stack:
        assert ConfigFactory.parse_file(str(stack.config_file))["api.web_server"] == address
        introduce_stack(stack)
        printed = capsys.readouterr().out
        assert f"ClearML's web UI: {address}\n" in printed
        (line,) = [line.split() for line in printed.splitlines() if "Log in as" in line]
        pair, origin = (line[3], line[-1]), {"Origin": "http://127.0.0.1:8080"}
        with httpx.Client(base_url=stack.url, headers=origin) as browser:
            answer = browser.post("/v999.0/auth.login", auth=pair)
            assert answer.headers["Access-Control-Allow-Origin"] == origin["Origin"]
            assert browser.post("/v999.0/users.get_current_user").status_code == 200


def test_without_a_web_ui_no_password_is_printed(tmp_path, capsys):
    (tmp_path / "server").mkdir()
    stack = Stack(tmp_path)
    stack.url, stack.port, stack.last_port = "http://127.0.0.1:2", 2, 2
    introduce_stack(stack)
    assert stack.credentials().password not in capsys.readouterr().out
