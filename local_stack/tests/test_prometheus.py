"""local_stack.prometheus: where the programs come from, and what is said when there are none."""

import json
import os
import sys
from email.message import Message
from io import BytesIO
from pathlib import Path
from urllib.error import HTTPError

import psutil
import pytest

from local_stack import prometheus
from local_stack.processes import PACKAGE_PARENT, is_alive
from local_stack.prometheus import PrometheusNotFound, Tools, find_tools, prometheus_command
from local_stack.waiting import Child, wait_until

FAILING_APT = """#!/bin/sh
echo "E: Unable to locate package prometheus"
exit 100
"""

# Knows the package's size, and is never done with downloading it.
ENDLESS_APT = """#!/bin/sh
case "$*" in
    *--print-uris*) echo "'http://mirror/prometheus.deb' prometheus.deb 19257088 SHA256:ab" ;;
    *) echo $$ > "$APT_PID"; exec /bin/sleep 600 ;;
esac
"""


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that is the whole PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


def make_program(path: Path, text: str = "#!/bin/sh\n") -> Path:
    path.write_text(text)
    path.chmod(0o755)
    return path


def test_the_programs_on_path_come_first(programs, tmp_path):
    expected = Tools(make_program(programs / "prometheus"), make_program(programs / "promtool"))
    assert find_tools(tmp_path / "cache") == expected
    assert not (tmp_path / "cache").exists()


def test_where_one_is_missing_and_there_is_no_debian_the_error_says_how_to_install_it(programs, tmp_path):
    make_program(programs / "prometheus")
    with pytest.raises(PrometheusNotFound, match=r"^No Prometheus was found: .*brew install prometheus.*$"):
        find_tools(tmp_path / "cache")


def test_a_package_that_cannot_be_fetched_is_told_in_one_line_and_leaves_nothing(programs, tmp_path):
    make_program(programs / "apt-get", FAILING_APT)
    make_program(programs / "dpkg")
    message = r"^No Prometheus was found, .*\(E: Unable to locate package prometheus\): apt install .*$"
    with pytest.raises(PrometheusNotFound, match=message):
        find_tools(tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


@pytest.mark.e2e
def test_a_fetch_tells_the_size_and_leaves_nothing_when_it_is_stopped(programs, tmp_path):
    make_program(programs / "apt-get", ENDLESS_APT)
    make_program(programs / "dpkg")
    environment = {**os.environ, "APT_PID": str(tmp_path / "pid"), "PYTHONPATH": str(PACKAGE_PARENT)}
    with Child([sys.executable, "-m", "local_stack.prometheus"], cwd=tmp_path, env=environment) as process:
        process.wait_for("Fetching Prometheus .Debian's package, 19 MB")
        wait_until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text(), "apt-get")
        process.terminate()
        assert process.wait_for_end() == 130
    alive = {each.pid for each in psutil.process_iter() if is_alive(each)}
    assert int((tmp_path / "pid").read_text()) not in alive
    assert list((tmp_path / ".local_stack" / "tools").iterdir()) == []


def test_a_package_that_was_unpacked_before_is_used_again(programs, tmp_path):
    folder = tmp_path / "prometheus" / "usr" / "bin"
    folder.mkdir(parents=True)
    assert find_tools(tmp_path) == Tools(folder / "prometheus", folder / "promtool")


def test_prometheus_listens_on_the_loopback_address_and_keeps_its_files_at_home(tmp_path):
    home = tmp_path / "home"
    tools = Tools(Path("prometheus"), Path("promtool"))
    command = prometheus_command(tools, home, 1234, ["127.0.0.1:9999"], tmp_path / "rules.yml")
    assert "--web.listen-address=127.0.0.1:1234" in command
    assert f"--storage.tsdb.path={home / 'data'}" in command
    configuration = json.loads((home / "prometheus.yml").read_text())
    assert configuration["rule_files"] == [str(tmp_path / "rules.yml")]
    assert configuration["scrape_configs"] == [
        {"job_name": "clearml-inference-stats", "static_configs": [{"targets": ["127.0.0.1:9999"]}]}
    ]


def test_nobody_at_the_address_is_not_ready():
    assert not prometheus.is_ready("http://127.0.0.1:9")


def test_a_query_that_is_refused_is_told_with_the_reason(monkeypatch):
    def refuse(url: str, *_: object, **__: object) -> None:
        raise HTTPError(url, 400, "Bad Request", Message(), BytesIO(b'{"error": "unclosed parenthesis"}'))

    monkeypatch.setattr(prometheus, "open_loopback", refuse)
    with pytest.raises(ValueError, match=r"^Prometheus refuses 'sum\(': unclosed parenthesis$"):
        prometheus.query("http://127.0.0.1:9", "sum(")
