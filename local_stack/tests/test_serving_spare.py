"""local_stack.serving_spare: it begins when it is wanted, and ends when nobody is left who could want it."""

import io
import multiprocessing

import pytest

from local_stack import serving_spare

pytestmark = pytest.mark.e2e


@pytest.mark.parametrize(("line", "begun"), [("\n", 1), ("", 0)])
def test_it_begins_at_a_line_on_standard_input_with_the_engines_imported(line, begun, monkeypatch):
    done = []
    monkeypatch.setattr(serving_spare, "MODULES", ())
    monkeypatch.setattr(serving_spare.BasePreprocessRequest, "load_modules", lambda: done.append("import"))
    monkeypatch.setattr(serving_spare.uvicorn, "main", lambda words: done.append(words[-1]))
    monkeypatch.setattr(serving_spare.uvicorn._subprocess, "spawn", multiprocessing.get_context("spawn"))
    monkeypatch.setattr("sys.argv", ["serving_spare", "--workers=2"])
    monkeypatch.setattr("sys.stdin", io.StringIO(line))
    serving_spare.main()
    assert done == ["import", "--workers=2"][: 1 + begun]


def test_uvicorn_makes_its_workers_by_what_is_replaced_here():
    assert isinstance(serving_spare.uvicorn._subprocess.spawn, multiprocessing.context.BaseContext)
