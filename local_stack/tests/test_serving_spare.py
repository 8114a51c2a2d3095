"""local_stack.serving_spare: it begins when it is wanted, and ends when nobody is left who could want it."""

import io
import multiprocessing
import sys
from pathlib import Path

import pytest

from local_stack import serving_spare
from local_stack.processes import PACKAGE_PARENT
from local_stack.waiting import run

pytestmark = pytest.mark.e2e


@pytest.mark.parametrize(("line", "begun"), [("\n", 1), ("", 0)])
def test_it_begins_at_a_line_on_standard_input_with_the_engines_imported(line, begun, monkeypatch):
    done = []
    monkeypatch.setattr(serving_spare, "MODULES", ())
    monkeypatch.setattr(serving_spare.BasePreprocessRequest, "load_modules", lambda: done.append("import"))
    monkeypatch.setattr(serving_spare.uvicorn, "main", lambda words: done.append(words[-1]))
    monkeypatch.setattr(serving_spare.uvicorn._subprocess, "spawn", multiprocessing.get_context("spawn"))
    monkeypatch.setattr(serving_spare, "list_as_serving", lambda: None)
    monkeypatch.setattr("sys.argv", ["serving_spare", "inference_to_come", "--workers=2"])
    monkeypatch.setattr("sys.stdin", io.StringIO(line))
    serving_spare.main()
    assert done == ["import", "--workers=2"][: 1 + begun]


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="Linux lists it so")
def test_it_is_listed_as_what_it_has_become():
    code = "import psutil\nfrom local_stack import serving_spare\nserving_spare.list_as_serving()\n"
    code += "print(psutil.Process().cmdline()[-3:])"
    done = run([sys.executable, "-c", code, "inference_to_come", "--port", "1"], cwd=PACKAGE_PARENT)
    assert (done.stdout, done.stderr) == ("['serving_inference', '--port', '1']\n", "")


def test_uvicorn_makes_its_workers_by_what_is_replaced_here():
    assert isinstance(serving_spare.uvicorn._subprocess.spawn, multiprocessing.context.BaseContext)
