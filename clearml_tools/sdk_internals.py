"""The parts of the ClearML SDK that are used here although ClearML's documentation does not describe them.

They may change with any version of the SDK. They are imported here and nowhere else, and
tests/unit/test_sdk_internals.py has a test for each of them that fails when the SDK has changed.
"""

import logging
from datetime import UTC, datetime
from pathlib import Path

import clearml.config
from clearml import Dataset, Task

# Both are documented; what they are made of is not.
from clearml.automation import TaskScheduler, TriggerScheduler
from clearml.automation.scheduler import BaseScheduler

# The servers' addresses, as the SDK finds them in clearml.conf and the environment.
from clearml.backend_api import Session

# Documented, but for the module that it is imported from.
from clearml.backend_api.session.client import APIClient

# Errors that can be explained to the user.
from clearml.backend_api.session.client.client import APIError

# Environment variables, read as the SDK reads them.
from clearml.backend_api.session.defs import (
    ENV_ACCESS_KEY,
    ENV_AUTH_TOKEN,
    ENV_ENABLE_ENV_CONFIG_SECTION,
    MissingConfigError,
)
from clearml.backend_api.session.session import LoginError

# HTTP with the user's settings for certificates.
from clearml.backend_api.utils import get_http_session_with_retry

# Where clearml.conf is.
from clearml.backend_config.defs import LOCAL_CONFIG_FILE_OVERRIDE_VAR, get_config_file
from clearml.backend_interface.session import SendError

# clearml.conf, to read and to add settings to; where all processes of a machine keep copies of datasets.
from clearml.config import config_obj, get_cache_dir, get_remote_task_id
from clearml.config.defs import DEV_DEFAULT_OUTPUT_URI

# What the SDK says, by its logger and beginning, that looks like trouble and is none.
NOISE = [
    # The SDK says so of datasets that it looks up itself. The scripts give an alias.
    ("clearml", "Dataset.get() did not specify alias"),
    # There need not be a remote: pipeline.py says so where it matters. checkout.py reads the edits itself.
    ("clearml.Repository Detection", "Can't get url information"),
    ("clearml.Repository Detection", "Can't get diff information"),
]

# What the schedulers log whenever they look, by its beginning.
ROUTINE = ("Syncing", "Sleeping until", "Waiting for next run", "Launching job", "Scheduling Job")

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


class StatelessScheduler(BaseScheduler):
    """What both of ClearML's schedulers do here to run side by side, in one task.

    They would keep their state in the task's artifact of one name, and begin again without any schedule from
    the other's. So they keep none: what they start is to be found in ClearML, where a scheduler that was
    killed looks for it when it begins again.
    """

    def start(self) -> None:
        """Do what is due, again and again; this never returns."""
        self._serialize()  # for the task's page, and for an agent, which would miss it
        super().start()

    def _serialize_state(self) -> None: ...

    def _deserialize_state(self) -> None: ...

    def _log(self, message: str, level: int = logging.INFO) -> None:
        if not message.startswith(ROUTINE):
            super()._log(message, level)


class Schedule(StatelessScheduler, TaskScheduler):
    """ClearML's TaskScheduler. All its times are UTC."""


class Triggers(StatelessScheduler, TriggerScheduler):
    """ClearML's TriggerScheduler, which calls a function for as long as there is what triggers it.

    ClearML's own sees no event from before its start, and of each model no second one.
    """

    def _step(self) -> bool:
        for trigger in self.get_triggers():
            trigger.last_update = datetime.fromtimestamp(0, UTC)
            trigger._triggered_instances = None
            # Its own fails on models: the SDK does not read when they were last changed.
            trigger.get_ref_time = lambda found: found.last_update
        return bool(super()._step())
