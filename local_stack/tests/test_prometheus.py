"""local_stack.prometheus: its configuration, and what is asked of it."""

import json
from email.message import Message
from http.client import IncompleteRead
from io import BytesIO
from pathlib import Path
from urllib.error import HTTPError

import pytest

from local_stack import prometheus
from local_stack.errors import StackError
from local_stack.prometheus import Tools, check_rules, find_tools, prometheus_command
from local_stack.tests.programs import skip_outside_ci


def test_prometheus_listens_on_the_loopback_address_and_keeps_its_files_at_home(tmp_path):
    home = tmp_path / "home"
    tools = Tools(Path("prometheus"), Path("promtool"))
    command = prometheus_command(
        tools,
        home,
        1234,
        ["127.0.0.1:9999"],
        tmp_path / "rules.yml",
        alertmanagers=["127.0.0.1:9998"],
        repository=tmp_path / "a project",
    )
    assert "--web.listen-address=127.0.0.1:1234" in command
    assert f"--storage.tsdb.path={home / 'data'}" in command
    configuration = json.loads((home / "prometheus.yml").read_text())
    assert configuration["alerting"] == {
        "alertmanagers": [{"static_configs": [{"targets": ["127.0.0.1:9998"]}]}]
    }
    address = f"file://{tmp_path}/a%20project"
    assert configuration["global"]["external_labels"] == {"repository": address}
    assert configuration["rule_files"] == [str(tmp_path / "rules.yml")]
    assert configuration["scrape_configs"] == [
        {"job_name": "clearml-inference-stats", "static_configs": [{"targets": ["127.0.0.1:9999"]}]}
    ]


@pytest.mark.e2e
@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("groups: [", r"\S+/rules\.yml: yaml: line 1: did not find expected node content"),
        (
            'groups: [{name: x, rules: [{alert: A, expr: "sum("}]}]',
            r'\S+/rules\.yml: .*group "x", rule 1, "A": could not parse expression: .*',
        ),
    ],
    ids=["no YAML", "no expression"],
)
def test_wrong_rules_are_one_line_with_promtools_own_words(tmp_path, text, reason):
    try:
        tools = find_tools()
    except StackError as error:
        skip_outside_ci(str(error))
    rules = tmp_path / "rules.yml"
    rules.write_text(text)
    with pytest.raises(StackError, match=rf"^Prometheus refuses the rules: {reason}$"):
        check_rules(tools, rules)


def test_nobody_at_the_address_is_not_ready():
    assert not prometheus.is_ready("http://127.0.0.1:9")


@pytest.mark.parametrize("status", [200, 400, 422])
@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b"7", b"\xff", b'{"data": ', b"[" * 100_000])
def test_an_answer_that_is_none_is_a_value_error(monkeypatch, body, status):
    def answer(url: str, *_: object, **__: object) -> BytesIO:
        if status == 200:
            return BytesIO(body)
        raise HTTPError(url, status, "", Message(), BytesIO(body))

    monkeypatch.setattr(prometheus, "open_loopback", answer)
    with pytest.raises(ValueError, match=f"^{prometheus.UNKNOWN}$"):
        prometheus.ask("http://127.0.0.1:9", "query")


@pytest.mark.parametrize("status", [200, 400])
def test_an_answer_that_ends_early_or_never_is_an_error_that_is_expected(monkeypatch, status):
    class Broken(BytesIO):
        def read(self, *_: object) -> bytes:
            raise IncompleteRead(b"")

    def answer(url: str, *_: object, **__: object) -> BytesIO:
        if status == 200:
            return Broken()
        raise HTTPError(url, status, "", Message(), Broken())

    monkeypatch.setattr(prometheus, "open_loopback", answer)
    with pytest.raises(OSError, match="IncompleteRead"):
        prometheus.ask("http://127.0.0.1:9", "query")


def test_an_answer_that_is_too_long_is_not_read_to_its_end(monkeypatch):
    monkeypatch.setattr(prometheus, "LARGEST_ANSWER", 10)
    monkeypatch.setattr(prometheus, "open_loopback", lambda *_, **__: BytesIO(b'{"data": 12345}'))
    with pytest.raises(ValueError, match="more than 0 MB: ask for less"):
        prometheus.ask("http://127.0.0.1:9", "query")


def test_a_query_that_is_refused_is_told_with_the_reason(monkeypatch):
    def refuse(url: str, *_: object, **__: object) -> None:
        raise HTTPError(url, 400, "Bad Request", Message(), BytesIO(b'{"error": "unclosed parenthesis"}'))

    monkeypatch.setattr(prometheus, "open_loopback", refuse)
    with pytest.raises(ValueError, match=r"^Prometheus refuses 'sum\(': unclosed parenthesis$"):
        prometheus.query("http://127.0.0.1:9", "sum(")
