"""sdk_internals.py: what is used of the ClearML SDK beyond its documentation is still as it is expected."""

import inspect
import logging
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import clearml
import pytest
from clearml import Dataset
from clearml.backend_interface.logger import PrintPatchLogger

from clearml_tools import sdk_internals
from clearml_tools.connection import DEVELOPMENT_SETTINGS, is_no_noise
from clearml_tools.interrupts import PRINTS
from local_stack.waiting import run
from tests.support.checkouts import REPOSITORY

SDK = Path(clearml.__file__).parent


def source(path: str) -> str:
    return (SDK / path).read_text()


def test_what_is_not_documented_is_imported_in_one_place_alone():
    undocumented = re.compile(
        r"^\s*(from|import) clearml\.(?!automation\b)|\b(task|dataset|job|node)\._[a-z]", re.M
    )
    files = [*REPOSITORY.glob("*.py"), *(REPOSITORY / "clearml_tools").glob("*.py")]
    users = [path.name for path in files if undocumented.search(path.read_text())]
    assert users == ["sdk_internals.py"]


def test_what_is_printed_passes_through_where_interrupts_wait():
    assert str(Path(sys.modules[PrintPatchLogger.__module__].__file__)).endswith(PRINTS)
    assert "_console(" in inspect.getsource(PrintPatchLogger.write)


@pytest.mark.parametrize(
    ("variable", "name"),
    [
        ("ENV_ACCESS_KEY", "CLEARML_API_ACCESS_KEY"),
        ("ENV_AUTH_TOKEN", "CLEARML_AUTH_TOKEN"),
        ("ENV_ENABLE_ENV_CONFIG_SECTION", "CLEARML_ENABLE_ENV_CONFIG_SECTION"),
        ("LOCAL_CONFIG_FILE_OVERRIDE_VAR", "CLEARML_CONFIG_FILE"),
        ("DEV_DEFAULT_OUTPUT_URI", "CLEARML_DEFAULT_OUTPUT_URI"),
    ],
)
def test_environment_variables_are_read_as_the_sdk_reads_them(monkeypatch, variable, name):
    monkeypatch.setenv(name, "1")
    assert getattr(sdk_internals, variable).get() in ("1", True)


USE_CONFIGURATION = """
from clearml.config import config
from clearml_tools import sdk_internals as sdk
sdk.config_obj.get("sdk.development").put("vcs_repo_detect_async", "added")
print(config.get("development.vcs_repo_detect_async"), sdk.config_obj.get("api.x"), sdk.get_config_file())
print(sdk.config_obj.get("api.y", None), sdk.get_cache_dir(), sdk.get_remote_task_id())
print(sdk.Session.get_api_server_host(), sdk.Session.get_files_server_host())
"""


def test_a_clearml_conf_is_read_and_added_to_and_an_agents_task_is_known(tmp_path):
    hosts = 'api_server: "http://api.invalid", files_server: "http://files.invalid"'
    (tmp_path / "clearml.conf").write_text(f"api {{ {hosts}, x: 1 }}")
    environment = {"CLEARML_CONFIG_FILE": f"{tmp_path}/clearml.conf", "CLEARML_CACHE_DIR": str(tmp_path)}
    environment["CLEARML_TASK_ID"] = "1d"
    done = run([sys.executable, "-c", USE_CONFIGURATION], cwd=REPOSITORY, env=environment)
    assert done.stdout.split() == [
        *("added", "1", f"{tmp_path}/clearml.conf", "None", str(tmp_path), "1d"),
        *("http://api.invalid", "http://files.invalid"),
    ], done.stderr


def test_the_settings_that_are_changed_and_the_file_of_defaults_are_the_sdks():
    assert "vcs_repo_detect_async: true" in sdk_internals.SDK_DEFAULTS.read_text()
    everything = "".join(path.read_text() for path in SDK.rglob("*.py"))
    assert all(f'deferred_config("development.{name}"' in everything for name in DEVELOPMENT_SETTINGS)


@pytest.mark.parametrize(
    ("number", "file", "text"),
    [
        (0, "datasets/dataset.py", "Dataset.get() did not specify alias"),
        (1, "backend_interface/task/repo/detectors.py", "Can't get {name} information"),
        (2, "backend_interface/task/repo/detectors.py", "Can't get {name} information"),
    ],
)
def test_the_sdk_says_what_is_kept_from_the_terminal(number, file, text):
    assert text in source(file)
    name, beginning = sdk_internals.NOISE[number]
    record = logging.LogRecord(name, logging.WARNING, "", 0, f"{beginning} more", None, None)
    assert not is_no_noise(record)
    record.name = "another"
    assert is_no_noise(record)


def test_the_words_that_are_looked_for_are_the_sdks():
    """Those of a step that the server has stopped, and those of errors that are explained."""
    assert f'"{sdk_internals.NOT_RESPONDING}"' in source("automation/job.py")
    login_error = 'raise LoginError(f"Failed getting token (error {res.status_code} '
    assert login_error in source("backend_api/session/session.py")
    assert 'error_msg = "Action failed %s (%s)" % (\n' in source("backend_interface/base.py")
    assert str(sdk_internals.SendError(None, "Action failed <400: no> (more)")).endswith("> (more)")
    meta = SimpleNamespace(result_code=400, result_subcode=1, result_msg="no such task")
    result = SimpleNamespace(meta=meta, response_data={})
    assert "no such task" in str(sdk_internals.APIError(result))


def test_http_is_done_with_the_users_settings_and_the_api_by_services():
    assert {"queues", "tasks", "workers"} <= vars(sdk_internals.APIClient).keys()
    assert "config" in inspect.signature(sdk_internals.get_http_session_with_retry).parameters


def test_a_dataset_keeps_the_threads_that_report_on_it():
    made, ended = inspect.getsource(Dataset.__init__), inspect.getsource(Dataset.finalize)
    assert "self._task_pinger = DevWorker()" in made and "self._task = task" in made
    assert "self._task_pinger.unregister()" in ended and "self._task.close()" in ended


def test_the_schedulers_keep_their_state_under_one_name_in_the_functions_that_are_replaced():
    """If they took two names, StatelessScheduler could go."""
    base = sdk_internals.BaseScheduler
    for name in ("_serialize", "_serialize_state", "_deserialize_state", "_log", "_step"):
        assert inspect.isfunction(getattr(base, name)), name
    assert '.upload_artifact(name="state"' in source("automation/scheduler.py")
    assert sdk_internals.TriggerScheduler._state_section == "state"
