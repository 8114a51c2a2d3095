"""`python -m local_stack`: starting, stopping, and saying in one line why it cannot."""

import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
import requests

from local_stack import waiting
from local_stack.__main__ import introduce_serving, introduce_stack, look_around, main, proxy_exemption
from local_stack.errors import StackError
from local_stack.processes import PACKAGE_PARENT, is_alive
from local_stack.stack import Stack, call
from local_stack.supervision import Part
from local_stack.waiting import Child

pytestmark = pytest.mark.e2e

COMMAND = [sys.executable, "-m", "local_stack"]


def run(*arguments: object, **options) -> subprocess.CompletedProcess:
    return waiting.run([*COMMAND, *arguments], cwd=PACKAGE_PARENT, **options)


def start(*arguments: object, before: Sequence[str] = (), apart: bool = False) -> Child:
    return Child([*before, *COMMAND, *arguments], apart=apart, cwd=PACKAGE_PARENT)


def refusal(*arguments: object) -> str:
    """Return the one line with which `up` says why it does not start."""
    done = run("up", *arguments)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    return done.stderr


def server_of(up: Child) -> psutil.Process:
    return next(p for p in psutil.Process(up.pid).children() if "local_stack.server" in p.cmdline())


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Child]:
    """`python -m local_stack up` on a free port, past the line that says it is running."""
    with start("up", "--home", tmp_path / "home", "--port", "0", apart=True) as process:
        process.wait_for("Ctrl-C stops it")
        yield process


def test_up_prints_the_line_to_paste_and_a_link_that_opens_the_pages(up):
    (line,) = [line.strip() for line in up.printed.lines if "export" in line]
    variable, _, path = line.removeprefix("export ").partition("=")
    assert variable == "CLEARML_CONFIG_FILE"
    url = re.search(r'api_server: "(.+)"', Path(path).read_text())[1]
    assert url in up.printed.lines[0]
    (link,) = [line.split()[1] for line in up.printed.lines if "Pages:" in line]
    with requests.Session() as browser:
        answer = browser.get(link, timeout=waiting.SECONDS)
    assert (answer.status_code, answer.url) == (200, link.partition("?")[0])


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_up_stops_cleanly_and_leaves_no_process(up, name):
    children = psutil.Process(up.pid).children(recursive=True)
    assert len(children) >= 2  # the server and the guardian
    up.send_signal(getattr(signal, name))
    assert (up.wait_for_end(), str(up.errors)) == (0, "")
    assert not [child for child in children if is_alive(child)]


def test_up_ends_with_an_explanation_when_the_server_dies(up):
    server = server_of(up)
    server.kill()
    assert up.wait_for_end() == 1
    assert "The server process ended by itself with code -9" in str(up.errors)


def test_up_under_nohup_outlives_its_terminal(tmp_path):
    with start("up", "--home", tmp_path / "home", "--port", "0", before=["nohup"]) as process:
        process.wait_for("Ctrl-C stops it")
        process.send_signal(signal.SIGHUP)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(1)
        process.terminate()
        assert process.wait_for_end() == 0


def test_a_start_after_a_crash_waits_until_all_that_was_running_is_gone(up, tmp_path):
    server = server_of(up)
    server.suspend()  # so that it takes long to end
    up.kill()
    up.wait()
    with Stack(tmp_path / "home", port=0) as stack:
        assert not is_alive(server)
        assert "tasks" in stack.call("tasks.get_all")


def test_a_port_in_use_is_one_line_with_the_port_and_the_remedy(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        told = refusal("--home", tmp_path / "home", "--port", port)
    assert f"Port {port} cannot be used" in told
    assert "--port" in told


def test_a_home_in_use_is_one_line_with_the_remedy(up, tmp_path):
    told = refusal("--home", tmp_path / "home", "--port", 0)
    assert "is running in" in told
    assert "--home" in told


def test_an_impatient_second_ctrl_c_does_not_disturb_the_stopping(up):
    server = server_of(up)
    server.suspend()  # so that it takes long to end
    children = psutil.Process(up.pid).children(recursive=True)
    for name in (signal.SIGINT, signal.SIGINT, signal.SIGTERM):
        up.send_signal(name)
        time.sleep(0.2)
    assert (up.wait_for_end(), str(up.errors)) == (0, "")
    assert not [child for child in children if is_alive(child)]


def test_a_reader_that_ends_by_the_same_ctrl_c_as_up_is_no_error(tmp_path):
    """As in `make up | tee log`: what up says in the end has no reader any more."""
    up = f"{shlex.join(COMMAND)} up --home {shlex.quote(str(tmp_path / 'home'))} --port 0"
    # The reader ends with the last line of the start. The number of up's process is kept, for the signal.
    script = f"{{ sh -c 'echo $$ >pid; exec {up}'; echo $? >code; }} | sed '/Ctrl-C stops it/q'"
    environment = {**os.environ, "PYTHONPATH": str(PACKAGE_PARENT)}
    with Child(["sh", "-c", script], cwd=tmp_path, env=environment, apart=True) as shell:
        shell.wait_for("Ctrl-C stops it")
        process = psutil.Process(int((tmp_path / "pid").read_text()))
        children = process.children(recursive=True)
        process.send_signal(signal.SIGINT)
        shell.wait_for_end()
    assert (str(shell.errors), (tmp_path / "code").read_text()) == ("", "1\n")
    assert not [child for child in children if is_alive(child)]


def test_a_folder_of_somebody_elses_files_is_refused_and_stays_as_it_was(tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    assert "holds files that are no local stack's" in refusal("--home", tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_home_that_cannot_be_made_is_one_line_with_the_remedy(tmp_path):
    (tmp_path / "file").touch()
    told = refusal("--home", tmp_path / "file" / "home", "--port", 0)
    assert "cannot be used (Not a directory)" in told
    assert "--home" in told


def test_ctrl_c_during_the_imports_is_one_line_and_leaves_nothing(tmp_path):
    # Python tells of each import on the same stream.
    command = [
        sys.executable,
        "-X",
        "importtime",
        *COMMAND[1:],
        "up",
        "--home",
        tmp_path / "home",
        "--port",
        0,
    ]
    with Child(command, cwd=PACKAGE_PARENT) as up:
        up.wait_for(r"\| argparse\n")
        up.send_signal(signal.SIGINT)
        assert up.wait_for_end() == 130
        told = [line for line in up.printed.lines if not line.startswith("import time:")]
    assert "".join(told).strip() == "Stopped."
    assert not (tmp_path / "home").exists()


def test_a_home_with_something_wrong_in_it_is_one_line_with_the_remedy(tmp_path):
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "local_stack.lock").touch()
    (tmp_path / "home" / "logs").touch()
    assert "logs is a file, and a folder belongs there" in refusal("--home", tmp_path / "home", "--port", 0)


def test_a_disk_without_room_is_one_line_with_the_remedy(tmp_path):
    script = (
        f"ulimit -f 0; exec {shlex.join(COMMAND)} up --port 0 --home {shlex.quote(str(tmp_path / 'home'))}"
    )
    done = waiting.run(["sh", "-c", script], cwd=PACKAGE_PARENT)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "(File too large): free some space and start again" in done.stderr


def test_up_says_that_nobody_listens_to_a_queue(up, tmp_path):
    url = re.search(r"running at (\S+)\. ", str(up.printed))[1]
    home = tmp_path / "home"
    queue = call(url, home, "queues.get_all", name="^default$")["queues"][0]["id"]
    task = call(url, home, "tasks.create", name="waits", type="training")["id"]
    call(url, home, "tasks.enqueue", task=task, queue=queue)
    up.wait_for("1 task waits in the queue 'default', and no agent listens to it")


def test_a_look_that_fails_keeps_no_other_from_its_own(capsys):
    looked, told = [], set()

    def fail() -> None:
        raise OSError(28, "No space left on device")

    def read_half() -> None:
        json.loads('{"data": ')

    for _ in range(2):
        look_around([fail, read_half, lambda: looked.append(1)], told)
    assert looked == [1, 1]
    full, half = capsys.readouterr().err.splitlines()  # each is told once
    assert "No space left on device" in full
    assert "JSONDecodeError" in half


@pytest.mark.parametrize("error", [StackError("no going on"), BrokenPipeError()])
def test_an_error_that_ends_the_stack_leaves_the_look(error):
    def fail() -> None:
        raise error

    with pytest.raises(type(error)):
        look_around([fail], set())


def test_the_folder_of_all_stacks_may_be_a_home_and_is_never_emptied(tmp_path):
    home = tmp_path / ".local_stack"
    (home / "tools").mkdir(parents=True)
    link = tmp_path / "link"
    link.symlink_to(home)
    for folder in (home, link):
        with pytest.raises(StackError, match="more than one stack's files"), Stack(folder, fresh=True):
            pass
    with Stack(home, port=0) as running:
        assert "tasks" in running.call("tasks.get_all")
    assert (home / "tools").exists()


def test_a_proxy_in_the_environment_is_not_asked_for_this_machine(tmp_path, monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # nothing listens there
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.setenv("no_proxy", "example.org")
    with Stack(tmp_path / "home", port=0) as stack:
        assert "tasks" in stack.call("tasks.get_all")
        assert stack.environment()["no_proxy"] == "example.org,127.0.0.1,localhost"
    exempt = "example.org,127.0.0.1,localhost"
    assert proxy_exemption() == f" no_proxy={exempt} NO_PROXY={exempt}"
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    assert proxy_exemption() == ""


def test_a_second_start_keeps_the_port_and_the_credentials(tmp_path):
    configurations = []
    for port in (["--port", "0"], []):
        with start("up", "--home", tmp_path / "home", *port) as process:
            process.wait_for("Ctrl-C stops it")
            configurations.append((tmp_path / "home" / "clearml.conf").read_text())
            process.terminate()
            process.wait_for_end()
    assert configurations[0] == configurations[1]


def test_files_of_another_port_are_told_of_only_where_some_were_stored(tmp_path, capsys):
    stack = Stack(tmp_path)
    stack.url, stack.port, stack.last_port = "http://127.0.0.1:2", 2, 1
    files = tmp_path / "server" / "files"
    files.mkdir(parents=True)
    introduce_stack(stack)
    assert "port 1" not in capsys.readouterr().out
    (files / "model").touch()
    introduce_stack(stack)
    assert "Files that were stored on port 1 are found only on that port." in capsys.readouterr().out


def test_a_grafana_that_is_not_there_is_told_of(capsys):
    urls = dict.fromkeys(("url", "service_id", "prometheus_url", "alertmanager_url"), "")
    settings = SimpleNamespace(deployment_command="")
    introduce_serving(settings, SimpleNamespace(**urls, grafana_url=None))
    assert (
        "Grafana is not installed: the stack's pages show the dashboard, at /monitoring.\n"
        in capsys.readouterr().out
    )


def test_what_holds_the_credentials_is_for_its_owner_only_and_not_for_git(up, tmp_path):
    home = tmp_path / "home"
    secret = [home, home / "clearml.conf", home / "server" / "credentials.json"]
    assert [path.stat().st_mode & 0o077 for path in secret] == [0, 0, 0]
    waiting.run(["git", "init", "--quiet", tmp_path], check=True)
    assert waiting.run(["git", "status", "--porcelain"], cwd=tmp_path).stdout == ""


@pytest.mark.parametrize("arguments", [[], ["up"]])
def test_help_is_given_without_starting_anything(arguments):
    done = run(*arguments, "--help")
    assert done.returncode == 0
    assert "usage: python -m local_stack" in done.stdout


@pytest.mark.parametrize(
    ("option", "value", "told"),
    [
        ("--port", "70000", "70000 is not a whole number from 0 to 65535"),
        ("--port", "http", "'http' is not a whole number from 0 to 65535"),
        ("--agents", "-1", "'-1' is not a whole number from 0 up"),
        ("--workers", "0", "0 is not a whole number from 1 up"),
        ("--task-timeout", "1.5", "'1.5' is not a whole number from 1 up"),
    ],
)
def test_an_impossible_number_is_refused(option, value, told, capsys):
    with pytest.raises(SystemExit) as exit:
        main(["up", f"{option}={value}"])
    assert exit.value.code == 2
    assert told in capsys.readouterr().err


def test_agents_start_again_in_a_home_whose_path_has_blanks_and_letters_of_any_language(tmp_path):
    queues = {"agent_queues": ["default", "another"], "controller_queue": "pipelines"}
    for _ in range(2):
        with Stack(tmp_path / "a höme", port=0, agents=1, **queues) as stack:
            workers = stack.call("workers.get_all")["workers"]
            names = sorted(queue["name"] for worker in workers for queue in worker["queues"])
            assert names == ["another", "default", "pipelines"]
            assert exposed(stack) == []
            for name in stack.agents:  # held back, the line that tells that one is ready comes after 40 s
                assert psutil.Process(stack.processes.running[name].pid).environ()["PYTHONUNBUFFERED"] == "1"


def test_each_of_several_controller_agents_listens_to_the_controller_queue_alone(tmp_path, monkeypatch):
    started = {}
    monkeypatch.setattr(
        "local_stack.stack.agent_part",
        lambda _, name, queues, __: started.update({name: queues}) or Part(name, ["sleep", "9"], {}, bool),
    )
    monkeypatch.setattr("local_stack.stack.Supervisor.wait", lambda _: None)
    with Stack(tmp_path / "home", port=0, agents=1, controller_agents=2):
        pass
    services = ["services"]
    assert started == {"agent-1": ("default",), "agent-services": services, "agent-services-2": services}


def test_an_agent_that_dies_is_started_again_and_no_other(tmp_path, capsys):
    with Stack(tmp_path / "home", port=0, agents=1) as stack:
        dead, other = (stack.processes.running[name] for name in stack.agents)
        dead.kill()
        dead.wait()
        stack.restart_dead_agents()
        assert capsys.readouterr().out == "agent-1 died: starting it again. It was ended by SIGKILL.\n"
        assert stack.processes.running["agent-1"].poll() is None
        assert stack.processes.running["agent-services"] is other


def exposed(stack: Stack) -> list[Path]:
    """The files of agents in the folder that all users share, and that hold this stack's secret key."""
    secret = json.loads((stack.home / "server" / "credentials.json").read_text())["secret_key"]
    found = []
    for file in Path(tempfile.gettempdir()).glob(".clearml_agent*"):
        with suppress(OSError):  # it is gone, or another user's
            if secret in file.read_text(errors="replace"):
                found.append(file)
    return found
