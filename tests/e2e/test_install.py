"""`make install`: which Python it takes, which installer, and that it can be stopped and begun again."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from demo.pulse import Pulse
from local_stack.waiting import run, wait_until
from tests.support.checkouts import REPOSITORY

pytestmark = pytest.mark.e2e

UV = """#!/bin/sh
echo "uv $*"
"""
FAILING_UV = """#!/bin/sh
echo "error: no index"
exit 2
"""
ENDLESS_UV = """#!/bin/sh
echo "Downloading"
exec sleep 600
"""
OLD_OR_NEW_PYTHON = """#!/bin/sh
case "$1" in -c) echo {number} ;; --version) echo "Python {version}" ;; esac
"""
PIP = "import sys; print('pip', *sys.argv[1:])"


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder at the front of PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)
    return folder


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """What `make install` needs, in a folder without an environment."""
    folder = tmp_path / "checkout"
    for room in ("demo", "local_stack"):
        (folder / room).mkdir(parents=True)
    for name in ("Makefile", "demo/__init__.py", "demo/install.py", "demo/pulse.py"):
        shutil.copy(REPOSITORY / name, folder / name)
    for name in ("requirements", "requirements-steps", "local_stack/requirements", "constraints"):
        (folder / f"{name}.txt").touch()
    return folder


def make_program(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


def make(folder: Path, *arguments: str) -> subprocess.CompletedProcess:
    # Without what an outer `make PYTHON=… test` hands on to inner ones.
    outer = ("MAKEFLAGS", "MAKEOVERRIDES", "MAKELEVEL", "PYTHON")
    kept = {name: value for name, value in os.environ.items() if name not in outer}
    return run(["make", "install", *arguments], cwd=folder, env=kept)


@pytest.mark.parametrize("version", ["3.9.2", "3.10.13", "3.15.0"])
def test_a_python_that_is_too_old_or_too_new_is_refused_with_the_remedy(programs, checkout, version):
    major, minor, _ = version.split(".")
    text = OLD_OR_NEW_PYTHON.format(number=f"{major}.{minor:>02}", version=version)
    make_program(programs / "python3", text)
    done = make(checkout)
    assert done.returncode != 0
    assert f"Python 3.11 to 3.14 is needed, and python3 is Python {version}." in done.stderr
    assert "make PYTHON=python3.13 install" in done.stderr
    assert not (checkout / ".venv").exists()


def test_what_was_done_is_not_done_again_and_a_broken_environment_is_made_anew(programs, checkout):
    make_program(programs / "uv", UV)
    python = f"PYTHON={sys.executable}"
    first = make(checkout, python)
    assert first.returncode == 0, first.stderr
    assert "uv pip install --compile-bytecode" in first.stdout
    assert "Nothing to be done" in make(checkout, python).stdout
    (checkout / ".venv" / "bin" / "python").unlink()
    (checkout / ".venv" / "bin" / "python").symlink_to("/nowhere/python")  # as when a Python is removed
    again = make(checkout, python)
    assert again.returncode == 0, again.stderr
    assert "Making an environment" in again.stdout
    assert "uv pip install --compile-bytecode" in again.stdout


@pytest.fixture
def environment(checkout: Path) -> Path:
    """The Python of an environment whose pip only says what it was told to do."""
    command = [sys.executable, "-m", "venv", "--without-pip", str(checkout / ".venv")]
    subprocess.run(command, check=True, timeout=200)
    (packages,) = (checkout / ".venv" / "lib").glob("python*/site-packages")
    (packages / "pip.py").write_text(PIP)
    return checkout / ".venv" / "bin" / "python"


def install(environment: Path) -> subprocess.Popen:
    command = [environment, "-m", "demo.install", "-r", "requirements.txt"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return subprocess.Popen(command, cwd=environment.parents[2], **pipes)


def test_pip_installs_where_uv_cannot(programs, environment):
    make_program(programs / "uv", FAILING_UV)
    process = install(environment)
    told, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    uv, ours, pip = (told.index(text) for text in ("error: no index", "trying pip", "no-input install -r"))
    assert uv < ours < pip


def test_an_installation_that_was_stopped_is_done_anew(programs, environment):
    make_program(programs / "uv", ENDLESS_UV)
    process = install(environment)
    lines = iter(process.stdout.readline, "")
    assert any("Downloading" in line for line in lines)
    process.send_signal(signal.SIGINT)
    told, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in told
    make_program(programs / "uv", UV)
    again, _ = install(environment).communicate(timeout=60)
    assert "requirements.txt --reinstall" in again
    once_more, _ = install(environment).communicate(timeout=60)
    assert "--reinstall" not in once_more


def test_a_pulse_breaks_long_silence_and_no_other():
    told = []
    with Pulse(told.append, "uv is installing", silence=0.05):
        wait_until(lambda: told, "a pulse")
    assert told[0] == "    … uv is installing (0 s)"
    with Pulse(told.append, "silent", silence=60):
        pass
    assert "silent" not in "".join(told)
