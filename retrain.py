"""Run the pipeline every night, and when a person asks for it, so that better models come by themselves.

    python retrain.py                            # in the queue `services`, on an agent, until it is aborted
    python retrain.py --local                    # on this machine, until Ctrl-C
    python retrain.py --at 03:30 --now           # nightly at 03:30 UTC, and today's run at once
    python retrain.py --webhook 127.0.0.1:9097   # note the alerts that Alertmanager posts there

ClearML's TaskScheduler and TriggerScheduler start a copy of the newest run of pipeline.py that ended well:
- every night, with that day's --query-date; a night that was missed is made up for at the next start;
- when a person gives a model of this project the tag "retrain", in ClearML's pages or by

    from clearml import Model
    model = Model("ID"); model.tags = [*model.tags, "retrain"]

The copy has that run's code and parameters, whatever that run was for: after an experiment with other
parameters, and after a change of the code, run pipeline.py once as it should run every night. New rows come
by the date, or at the address that was given to pipeline.py with --csv. The pipeline decides whether a new
model becomes champion; `model auto-update` serves it (deploy/README.md).

An alert does not train. Requests have no labels: drift says that a client or the world has changed, and not
what would be right now. So the webhook gives the champion the tag "look at", and writes down what it was
told. A person looks, and corrects the client or sees to it that the table gets new rows, with labels. Then
the tag "retrain" does train. Whoever reaches the webhook can ask for no more than that somebody looks.

A run of the pipeline needs an agent of the queue `services` besides the one that this script itself sits in.
"""

import argparse
import sys
import threading
import traceback
from collections.abc import Callable
from datetime import UTC, datetime, time, timedelta
from io import TextIOWrapper
from typing import Any

from clearml_tools.errors import explanation, report_errors_in_one_line

from clearml import Model, Task

from asteroids.configuration import check_configuration
from clearml_tools.alert_webhook import Webhook, is_webhook
from clearml_tools.connection import connect
from clearml_tools.name_limits import check_names
from clearml_tools.pipeline_runs import newest_successful_run, say_who_is_missing, start_copy
from clearml_tools.queues import count_agents
from clearml_tools.sdk_internals import Schedule, Triggers, executed_task
from clearml_tools.services import end, enqueue_script, find_others, first_made
from clearml_tools.tasks import keep_reason, start_task
from global_config import (
    CHAMPION_TAG,
    CONTROLLER_QUEUE,
    LOOK_AT_TAG,
    MODEL_NAME,
    PROJECT_NAME,
    RETRAIN_ACCEPTED_TAG,
    RETRAIN_TAG,
    RETRAINING_TASK_NAME,
    STEP_QUEUE,
)

LAST_ALERTS = "last alerts"  # metadata of the champion
SYNC_MINUTES = 15  # how often the schedulers look whether somebody has edited them in ClearML
ENDING_SECONDS = 30  # within which a scheduler that was ended is gone, and its webhook with it


def last_due(now: datetime, at: time) -> datetime:
    """Return the last time before now that it was this time of the day, in UTC."""
    due = datetime.combine(now.date(), at, UTC)
    return due if due <= now else due - timedelta(days=1)


def start_nightly(at: time) -> None:
    """Start this night's run, if it was not started before, with today's date."""
    now = datetime.now(UTC)
    start_copy("night of ", {"query_date": f"{now:%Y-%m-%d}"}, once=f"{last_due(now, at):%Y-%m-%d}")


def start_for_tag(model_id: str) -> None:
    """Start a run as the tag of a model asks for, and say so by another tag in its place.

    While a run for such a tag is under way, the tag waits.
    """
    if RETRAIN_TAG not in (Model(model_id).tags or []):  # it has just been done
        return
    if not start_copy(f"tag on model {model_id[:8]}", {"query_date": f"{datetime.now(UTC):%Y-%m-%d}"}):
        return
    model = Model(model_id)  # as it is now: a selection may have made or ended a champion meanwhile
    model.tags = replace_tags(model.tags or [], RETRAIN_ACCEPTED_TAG)


def note_alerts(alerts: list[str]) -> None:
    """Print the alerts, and ask people to look at the champion: its tag, and what was seen as metadata."""
    for alert in alerts:
        print(f"Alert: {alert}", flush=True)
    champions = Model.query_models(PROJECT_NAME, MODEL_NAME, tags=[CHAMPION_TAG], only_published=True)
    for champion in champions[:1]:
        champion.set_metadata(LAST_ALERTS, "; ".join(alerts), "str")
        if RETRAIN_TAG in (tags := champion.tags or []):  # somebody has looked, and it is about to be done
            continue
        champion.tags = replace_tags(tags, LOOK_AT_TAG)
        print(f"Model {champion.id} has the tag '{LOOK_AT_TAG}' now; '{RETRAIN_TAG}' would train", flush=True)


def replace_tags(tags: list[str], new: str) -> list[str]:
    """Return a model's tags with one of those that this script gives or takes, in place of the others."""
    return [tag for tag in tags if tag not in (LOOK_AT_TAG, RETRAIN_TAG, RETRAIN_ACCEPTED_TAG)] + [new]


def in_one_line(function: Callable[..., None]) -> Callable[..., None]:
    """Return the function with its errors printed: the schedulers call it in threads, and go on."""

    def call(*arguments: Any) -> None:
        try:
            function(*arguments)
        except Exception as error:
            print(f"retrain.py: error: {explanation(error) or traceback.format_exc()}", flush=True)

    return call


def take_place(others: list[Task], webhook: tuple[str, int] | None, agent: bool) -> Webhook | None:
    """End the other schedulers and return the webhook at this address, if any.

    UserError if a stranger has its port, and the others go on. If one of them has it, it becomes free by its
    end. Where an `agent` runs this, they were ended before, and may not be gone yet.
    """
    if webhook and not ((others or agent) and is_webhook(*webhook)):
        server = Webhook(*webhook, note_alerts)
        end(others)
        return server
    end(others)
    return Webhook(*webhook, note_alerts, patience=ENDING_SECONDS) if webhook else None


def schedule(arguments: argparse.Namespace, webhook: Webhook | None) -> None:
    """Run both schedulers; this never returns."""
    at = arguments.at
    nightly, for_tag = in_one_line(lambda: start_nightly(at)), in_one_line(start_for_tag)
    if webhook:
        print(f"Alertmanager may post to {webhook.start()}", flush=True)
    print(
        f"The pipeline starts every night at {at:%H:%M} UTC, and when a model gets the tag '{RETRAIN_TAG}'",
        flush=True,
    )
    began = first_made(RETRAINING_TASK_NAME)
    was_there = began is not None and began < last_due(datetime.now(UTC), at)
    if arguments.now or was_there:
        nightly()
    nights = Schedule(sync_frequency_minutes=SYNC_MINUTES)
    nights.add_task(schedule_function=nightly, name="nightly", day=1, hour=at.hour, minute=at.minute)
    poll_minutes = arguments.poll_seconds / 60
    tags = Triggers(pooling_frequency_minutes=poll_minutes, sync_frequency_minutes=SYNC_MINUTES)
    tags.add_model_trigger(
        schedule_function=for_tag,
        name="tag of a person",
        trigger_project=PROJECT_NAME,
        trigger_on_tags=[RETRAIN_TAG],
        add_tag=False,
    )
    threading.Thread(target=nights.start, daemon=True).start()
    tags.start()


def time_of_day(text: str) -> time:
    """Return HH:MM as a time: an argparse type."""
    try:
        return datetime.strptime(text, "%H:%M").time()
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"'{text}' is not a time such as 02:00") from error


def seconds(text: str) -> float:
    """Return a number of seconds: an argparse type."""
    try:
        if 0.1 <= float(text) <= 86400:
            return float(text)
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(f"'{text}' is not a number of seconds from 0.1 to 86400")


def address(text: str) -> tuple[str, int]:
    """Return HOST:PORT as its parts: an argparse type."""
    host, _, port = text.rpartition(":")
    if not (host and port.isdecimal() and len(port) <= 5 and 1 <= int(port) <= 65535):
        raise argparse.ArgumentTypeError(
            f"'{text}' is not an address such as 127.0.0.1:9097, with a port from 1 to 65535"
        )
    return host, int(port)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    add = parser.add_argument
    add("--at", type=time_of_day, default="02:00", help="when the night's run starts, in UTC (%(default)s)")
    add("--now", action="store_true", help="start that run at once, if there was none since then")
    add("--poll-seconds", type=seconds, default=60, help="how often to look for tags (%(default)s)")
    add(
        "--webhook",
        type=address,
        metavar="HOST:PORT",
        help="address to receive alerts at, such as 127.0.0.1:9097; give the local stack --alert-webhook "
        "http://127.0.0.1:9097/ (default: none is received)",
    )
    add("--local", action="store_true", help="run here and not on an agent; the pipeline needs agents still")
    add("--replace", action="store_true", help="take the place of one that runs, or was killed")
    return parser.parse_args()


def main() -> int:
    report_errors_in_one_line(record=keep_reason)
    arguments = parse_arguments()
    check_configuration()
    check_names()
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)
    connect()
    newest_successful_run()  # refuse now, not at night
    executed = executed_task()
    others = find_others(RETRAINING_TASK_NAME, arguments.replace, besides=executed.id if executed else None)
    say_who_is_missing([CONTROLLER_QUEUE, STEP_QUEUE])
    if Task.running_locally() and not arguments.local:
        if count_agents(CONTROLLER_QUEUE) == 1:
            print(
                f"'{CONTROLLER_QUEUE}' has one agent, which will be busy with this: a run needs another one"
            )
        options = {name: getattr(arguments, name) for name in ("now", "poll_seconds")}
        options["at"] = f"{arguments.at:%H:%M}"
        if arguments.webhook:
            options["webhook"] = ":".join(map(str, arguments.webhook))
        task = enqueue_script(RETRAINING_TASK_NAME, "retrain.py", options, CONTROLLER_QUEUE)
        end(others)  # not before: this one may have been refused
        print(f"It is enqueued for an agent of '{CONTROLLER_QUEUE}': {task.get_output_log_web_page()}")
        return 0
    webhook = take_place(others, arguments.webhook, agent=executed is not None)
    start_task(RETRAINING_TASK_NAME, Task.TaskTypes.service)
    schedule(arguments, webhook)
    return 0


if __name__ == "__main__":
    sys.exit(main())
