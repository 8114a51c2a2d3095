"""Tests of parts that may be missing on a machine: skipped there, but not in CI."""

import os
import shutil

import pytest

from local_stack.errors import StackError
from local_stack.serving_programs import find_programs


def skip_outside_ci(reason: str) -> None:
    """Skip the test, but let it fail in CI, where every part has to be there."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


def require_programs() -> None:
    """Skip the test where something is missing that `up --serving` needs."""
    try:
        find_programs()
    except StackError as error:
        skip_outside_ci(str(error))


def find_chromium() -> str | None:
    """Return the browser on PATH, if there is one."""
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
