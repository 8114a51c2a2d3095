"""The parts of the ClearML SDK that are used here although ClearML's documentation does not describe them.

They may change with any version of the SDK. They are imported here and nowhere else, and
tests/unit/test_sdk_internals.py has a test for each of them that fails when the SDK has changed.
"""

from pathlib import Path

import clearml.config
from clearml import Dataset, Task
from clearml.backend_api import Session
from clearml.backend_api.session.client import APIClient
from clearml.backend_api.session.client.client import APIError
from clearml.backend_api.session.defs import (
    ENV_ACCESS_KEY,
    ENV_AUTH_TOKEN,
    ENV_ENABLE_ENV_CONFIG_SECTION,
    MissingConfigError,
)
from clearml.backend_api.session.session import LoginError
from clearml.backend_api.utils import get_http_session_with_retry
from clearml.backend_config.defs import LOCAL_CONFIG_FILE_OVERRIDE_VAR, get_config_file
from clearml.backend_interface.session import SendError
from clearml.config import config_obj, get_cache_dir, get_remote_task_id
from clearml.config.defs import DEV_DEFAULT_OUTPUT_URI

# For connection.py, checkout.py and datasets.py:
# - the environment variables as the SDK reads them (ENV_…, …_VAR, DEV_DEFAULT_OUTPUT_URI)
# - clearml.conf, to read and to add settings to (config_obj), and its path (get_config_file)
# - the servers' addresses, as the SDK finds them there (Session)
# - HTTP with the user's settings for certificates (get_http_session_with_retry)
# - the folder where all processes of a machine keep copies of datasets, and their locks (get_cache_dir)
# - errors that can be explained to whoever runs a script (…Error)
# APIClient is documented, the module that it is imported from is not.
__all__ = [
    "DEV_DEFAULT_OUTPUT_URI",
    "ENV_ACCESS_KEY",
    "ENV_AUTH_TOKEN",
    "ENV_ENABLE_ENV_CONFIG_SECTION",
    "LOCAL_CONFIG_FILE_OVERRIDE_VAR",
    "NOISE",
    "NOT_RESPONDING",
    "SDK_DEFAULTS",
    "APIClient",
    "APIError",
    "LoginError",
    "MissingConfigError",
    "SendError",
    "Session",
    "config_obj",
    "executed_task",
    "get_cache_dir",
    "get_config_file",
    "get_http_session_with_retry",
    "stop_reporting",
]

# What the SDK says, by its logger and beginning, that looks like trouble and is none.
NOISE = [
    # The SDK says so of datasets that it looks up itself. The scripts give an alias.
    ("clearml", "Dataset.get() did not specify alias"),
    # There need not be a remote: pipeline.py says so where it matters. checkout.py reads the edits itself.
    ("clearml.Repository Detection", "Can't get url information"),
    ("clearml.Repository Detection", "Can't get diff information"),
]

# A task's status message, in lower case, when the server has not heard of it for too long.
NOT_RESPONDING = "forced stop (non-responsive)"

# The SDK's default settings. `clearml-init` copies them into clearml.conf.
SDK_DEFAULTS = Path(clearml.config.__file__).with_name("default") / "sdk.conf"


def executed_task() -> Task:
    """Return the task that an agent, or a pipeline on this machine, executes with this process; else None.

    Task.current_task() does not know it before Task.init.
    """
    task_id = get_remote_task_id()
    return Task.get_task(task_id=task_id) if task_id else None


def stop_reporting(dataset: Dataset) -> None:
    """Stop the threads that report on a dataset version which is not finished, before it is deleted.

    The SDK itself stops them in Dataset.finalize() alone. They would go on reporting on what is gone.
    """
    if dataset._task_pinger:
        dataset._task_pinger.unregister()
        dataset._task.close()
