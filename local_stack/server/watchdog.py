"""Stop the running tasks that have reported nothing for too long: their processes have probably died."""

import asyncio
import logging
from datetime import UTC, datetime, timedelta

from .store import Store, now
from .tasks.state import change_status

log = logging.getLogger("local_stack.server")

REASON = "Forced stop (non-responsive)"  # ClearML's own words, which pipeline controllers look for


def stop_silent_tasks(store: Store, since: datetime) -> list[str]:
    """Stop the running tasks that neither pinged nor reported anything after `since`; return their ids."""
    silent = [
        task["id"]
        for task in store.all("task")
        if task["status"] == "in_progress" and not store.is_public("task", task["id"])
        if datetime.fromisoformat(task["last_update"]) < since
    ]
    if silent:
        words = {"status_reason": REASON, "status_message": REASON}
        with store.transaction():
            for task_id in silent:
                change_status(store, store.edit("task", task_id), "stopped", words, completed=now())
    return silent


async def watch(store: Store, seconds: float) -> None:
    """Stop silent tasks, ten times in so many seconds, for as long as the server runs."""
    period = seconds / 10
    awake_since = last_look = datetime.now(UTC)
    while True:
        await asyncio.sleep(period)
        present = datetime.now(UTC)
        # After the machine has slept, clients get their full time to report again.
        if present - last_look > timedelta(seconds=3 * period + 5):
            awake_since = present
        last_look = present
        if present - awake_since > timedelta(seconds=seconds):
            try:
                stopped = stop_silent_tasks(store, present - timedelta(seconds=seconds))
            except Exception:  # a full disk, say: there may be room when it looks again
                log.exception("the watchdog failed")
                continue
            for task_id in stopped:
                log.info("stopped task %s: it reported nothing for %s s", task_id, seconds)
