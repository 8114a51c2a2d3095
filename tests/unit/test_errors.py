"""errors.py, interrupts.py and network.py: errors in one line, interrupts that wait, no passwords."""

import errno
import os
import signal
import sys
import time

from clearml_tools.errors import (
    UserError,
    explanation,
    report_errors_in_one_line,
    storage_errors,
)

import pytest

from clearml_tools import errors
from clearml_tools.interrupts import PRINTS, SIGNALS, delayed_interrupt, raise_outside_prints
from clearml_tools.network import connection_error_text, without_password
from clearml_tools.shell_commands import shell_quoted
from local_stack.waiting import run
from tests.support.checkouts import REPOSITORY


def told_of(error: BaseException, monkeypatch, capsys) -> str:
    """What a script that ends with this error leaves on the terminal."""
    monkeypatch.setattr(sys, "argv", ["/somewhere/script.py"])
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)  # or the next line would set it for good
    handlers = {number: signal.getsignal(number) for number in SIGNALS}
    report_errors_in_one_line()
    try:
        raise error
    except BaseException:
        sys.excepthook(*sys.exc_info())
    for number, handler in handlers.items():
        signal.signal(number, handler)
    return capsys.readouterr().err


def test_an_input_error_is_one_line(monkeypatch, capsys):
    error = UserError("the sky is not blue: wait for day")
    assert told_of(error, monkeypatch, capsys) == "script.py: error: the sky is not blue: wait for day\n"


def test_an_error_of_the_program_itself_keeps_its_traceback(monkeypatch, capsys):
    told = told_of(ValueError("a bug"), monkeypatch, capsys)
    assert explanation(ValueError("a bug")) is None
    assert told.startswith("Traceback") and told.endswith("ValueError: a bug\n")


def test_ctrl_c_is_one_line_and_the_end_by_that_signal(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "from clearml_tools import errors\nerrors.report_errors_in_one_line()\nraise KeyboardInterrupt\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    done = run([sys.executable, script], env=environment)
    assert done.returncode == -signal.SIGINT
    assert done.stderr == "script.py: interrupted\n"


def test_an_interrupt_waits_for_the_end_of_the_block():
    reached = []
    with pytest.raises(KeyboardInterrupt), delayed_interrupt():
        os.kill(os.getpid(), signal.SIGINT)
        reached.append("the end")
    assert reached == ["the end"]


def test_an_interrupt_waits_for_the_end_of_what_clearml_does_with_a_print():
    places = []
    printing = compile(
        "signal.raise_signal(signal.SIGINT); places.append('printed')", f"/any/{PRINTS}", "exec"
    )
    former = signal.signal(signal.SIGINT, raise_outside_prints)
    try:
        with pytest.raises(KeyboardInterrupt):
            exec(printing)
            places.append("after it")
            time.sleep(60)
    finally:
        signal.signal(signal.SIGINT, former)
    assert places == ["printed", "after it"]


def test_an_interrupt_after_the_block_comes_at_once():
    with delayed_interrupt():
        pass
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)


def test_names_are_quoted_as_a_shell_takes_them():
    names = ["CPU Queue", "a (b) [c] {d}|?*+.^", "$HOME", "a `b`", 'a "b"', "a\\b", "a'b", "what!"]
    done = run(["bash", "-c", f"printf '%s\\n' {' '.join(map(shell_quoted, names))}"])
    assert done.stdout.splitlines() == names


def test_no_password_of_an_address_is_ever_printed():
    text = "no answer at 'http://user:secret@host:8080/path' by socks5://user:p@ss@10.0.0.1:1"
    assert without_password(text) == "no answer at 'http://host:8080/path' by socks5://10.0.0.1:1"
    assert explanation(UserError("at http://user:secret@host")) == "at http://host"


def test_an_answer_of_many_lines_is_one_line_with_an_end():
    text = explanation(UserError("<html>\n  busy\n" + "x" * 10_000))
    assert text.startswith("<html> busy xxx") and text.endswith(" …")
    assert len(text) < 700


def test_a_clearml_server_is_quoted_with_its_reason_alone():
    answer = '{"meta": {"id": "1", "result_msg": "Nothing is served here", "error_stack": null}, "data": {}}'
    assert explanation(UserError(f"Failed uploading (404): {answer}")) == (
        "Failed uploading (404): Nothing is served here"
    )


def test_a_full_disk_is_named_whatever_library_met_it():
    with pytest.raises(UserError) as caught, storage_errors("a version"):
        try:
            raise OSError(errno.ENOSPC, "No space left on device", "/mnt/table.csv")
        except OSError as error:
            raise ValueError("cannot write") from error
    assert explanation(caught.value).startswith("No space left on device (/mnt/table.csv): make room there")


def test_a_full_disk_that_was_only_logged_is_named_too(monkeypatch):
    monkeypatch.setattr(errors, "logged_full_disks", ["No space left on device"])
    assert explanation(UserError("Could not load it")) == "Could not load it (No space left on device)"


def test_a_server_that_is_silent_did_not_answer_in_time():
    assert connection_error_text(TimeoutError("timed out")) == "no answer in time"
