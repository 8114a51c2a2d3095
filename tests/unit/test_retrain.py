"""retrain.py: when a run is due, what starts it, and what a post of Alertmanager may do."""

import argparse
import json
import socket
import struct
import threading
from datetime import UTC, datetime, time, timedelta
from types import SimpleNamespace
from unittest.mock import Mock

from clearml_tools.errors import UserError

import pytest
import requests

import retrain
from clearml_tools import pipeline_runs
from clearml_tools.alert_webhook import LARGEST_BODY, LONGEST_TEXT, MOST_ALERTS, Webhook, parse_alerts
from clearml_tools.sdk_internals import Schedule, Triggers
from local_stack.waiting import wait_until

# The night


@pytest.mark.parametrize(
    ("now", "due"),
    [("2026-11-30T02:00:00", "2026-11-30"), ("2026-11-30T01:59:59", "2026-11-29")],
)
def test_a_night_begins_at_its_time_of_the_day_in_utc(now, due):
    moment = datetime.fromisoformat(now).replace(tzinfo=UTC)
    assert retrain.last_due(moment, time(2)) == datetime.fromisoformat(f"{due}T02:00:00+00:00")


@pytest.mark.parametrize("text", ["2", "25:00", "02:60", "night", ""])
def test_what_is_no_time_of_the_day_is_refused(text):
    with pytest.raises(argparse.ArgumentTypeError, match="is not a time such as 02:00"):
        retrain.time_of_day(text)


def test_the_nights_run_gets_the_date_of_the_moment_at_which_it_starts(monkeypatch):
    started = Mock()
    monkeypatch.setattr(retrain, "start_copy", started)
    monkeypatch.setattr(retrain, "datetime", Mock(wraps=datetime, now=lambda _: NOON))
    retrain.start_nightly(time(13))
    started.assert_called_once_with("night of ", {"query_date": "2026-11-30"}, once="2026-11-29")


NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)


def scheduler(kind: type, **options):
    """One of the schedulers, in a task that stands for ClearML's."""
    made = kind.__new__(kind)
    made.__dict__.update(_task=Mock(), **options)
    return made


def test_a_schedule_calls_its_function_once_a_night():
    nights, called = scheduler(Schedule, _schedule_jobs=[], _timeout_jobs={}, _executed_jobs=[]), []
    nights._sync_frequency_minutes = 0  # do not wait for the next night
    at = datetime.now(UTC) - timedelta(minutes=1)
    nights.add_task(
        schedule_function=lambda: called.append(1), name="nightly", day=1, hour=at.hour, minute=at.minute
    )
    (job,) = nights.get_scheduled_tasks()
    job.starting_time -= timedelta(days=1)  # as if it had been there yesterday
    assert nights._step()
    assert not nights._step()
    wait_until(lambda: called == [1], "the call, which is in a thread")
    until_next = job.next_run() - datetime.now(UTC)
    assert timedelta(hours=23, minutes=58) < until_next < timedelta(days=1)


def test_an_error_in_a_scheduled_function_is_a_line_and_ends_nothing(capsys):
    def fail() -> None:
        raise UserError("no run of the pipeline has ended well yet")

    retrain.in_one_line(fail)()
    assert capsys.readouterr().out == "retrain.py: error: no run of the pipeline has ended well yet\n"


# The tag


def test_a_tag_triggers_also_if_it_was_there_before_and_again_for_the_same_model():
    called: list[str] = []
    tags = scheduler(Triggers, _model_triggers=[], _dataset_triggers=[], _task_triggers=[])
    tags._executed_triggers = []
    found = SimpleNamespace(id="m1", last_update=datetime(2001, 1, 1, tzinfo=UTC))
    tags._client = Mock()
    tags._client.models.get_all.return_value = [found]
    tags.add_model_trigger(schedule_function=called.append, name="tag", trigger_on_tags=["retrain"])
    tags._step()
    tags._step()
    wait_until(lambda: called == ["m1", "m1"], "two calls")
    assert not any("Exception" in call.args[0] for call in tags._task.get_logger().report_text.mock_calls)
    asked = tags._client.models.get_all.call_args.kwargs
    assert asked["tags"] == ["retrain"]
    assert asked["_or_"]["datetime"] == [">1970-01-01T00:00:00+00:00"]


def test_one_of_its_tags_takes_the_place_of_the_others_and_a_persons_own_stay():
    tags = ["champion", "look at", "mine", "retrain"]
    assert retrain.replace_tags(tags, "retrain accepted") == ["champion", "mine", "retrain accepted"]
    assert retrain.replace_tags(["retrain accepted"], "look at") == ["look at"]


def test_a_champion_that_is_replaced_while_its_run_is_enqueued_does_not_get_its_tag_back(monkeypatch):
    tags = {"m1": ["champion", "retrain"]}

    class Model:
        def __init__(self, model_id: str) -> None:
            self.__dict__.update(id=model_id, tags=tags[model_id])

        def __setattr__(self, name: str, value: list[str]) -> None:
            tags[self.id] = value

    monkeypatch.setattr(retrain, "Model", Model)
    monkeypatch.setattr(retrain, "start_copy", lambda *_: not tags.update(m1=["former champion", "retrain"]))
    retrain.start_for_tag("m1")
    assert tags == {"m1": ["former champion", "retrain accepted"]}


@pytest.mark.parametrize(("status", "tag"), [("queued", "retrain accepted"), ("in_progress", "retrain")])
def test_a_tag_waits_for_a_run_that_is_under_way_as_that_may_not_see_the_new_rows(monkeypatch, status, tag):
    model = SimpleNamespace(tags=["retrain"])
    monkeypatch.setattr(retrain, "Model", lambda _: model)
    run = SimpleNamespace(id="r1", name="asteroid pipeline, tag on model m1", status=status)
    monkeypatch.setattr(pipeline_runs, "find_runs", lambda **_: [run])
    retrain.start_for_tag("m1")
    assert model.tags == [tag]


# The webhook


def post(**changed: object) -> dict:
    """A post as Alertmanager makes it, with an alert that fires and one that has ended."""
    firing = {
        "status": "firing",
        "labels": {"alertname": "MajorDrift", "endpoint": "asteroid_latest", "variable": "Eccentricity"},
        "annotations": {"summary": "PSI is 0.31", "description": "…"},
        "startsAt": "2026-11-30T04:00:00Z",
        "endsAt": "0001-01-01T00:00:00Z",
    }
    alerts = [firing, {**firing, "status": "resolved"}]
    return {"version": "4", "status": "firing", "receiver": "webhook", "alerts": alerts, **changed}


TOLD = "MajorDrift: PSI is 0.31 (since 2026-11-30T04:00:00Z, endpoint asteroid_latest, variable Eccentricity)"


def test_an_alert_that_fires_is_told_in_a_line_with_its_labels_and_summary():
    assert parse_alerts(json.dumps(post()).encode()) == [TOLD]


def test_what_a_client_wrote_into_a_label_makes_no_second_line_and_no_page():
    alert = {"status": "firing", "labels": {"a": "x\ny" * 1000}, "startsAt": "now"}
    alert["annotations"] = {"summary": "PSI is 0.31"}
    (line,) = parse_alerts(json.dumps(post(alerts=[alert])).encode())
    assert "\n" not in line
    assert line.startswith("an alert without a name: PSI is 0.31 (since now, a x y")
    assert len(line) == LONGEST_TEXT + 2
    lines = parse_alerts(json.dumps(post(alerts=[alert] * 10_000)).encode())
    assert lines == [line] * MOST_ALERTS + [f"and {10_000 - MOST_ALERTS} more"]


def test_what_a_client_wrote_into_a_label_does_nothing_to_a_terminal_or_a_log():
    alert = {"status": "firing", "labels": {"alertname": "a\x1b[2Jb\0c\ud800d\u202ee"}, "startsAt": "now"}
    assert parse_alerts(json.dumps(post(alerts=[alert])).encode()) == ["a [2Jb c d e (since now)"]


@pytest.fixture(scope="module")
def webhook() -> tuple[str, Mock]:
    receive = Mock()
    return Webhook("127.0.0.1", 0, receive).start(), receive


def port_of(url: str) -> int:
    return int(url.rstrip("/").rpartition(":")[2])


def test_what_alertmanager_posts_is_handed_on(webhook):
    url, receive = webhook
    answer = requests.post(url, json=post(), timeout=10)
    assert (answer.status_code, answer.text) == (200, "alerts noted: 1\n")
    receive.assert_called_once_with([TOLD])


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no JSON",
        b"[1]",
        b"[" * 100_000,
        json.dumps(post(version="3")).encode(),
        json.dumps(post(alerts=[{"status": "firing"}])).encode(),
        json.dumps(post(alerts=5)).encode(),
        b" " * (LARGEST_BODY + 1),
    ],
    ids=lambda body: repr(body[:20]),
)
def test_anything_else_is_refused_and_does_nothing(webhook, body):
    url, receive = webhook
    receive.reset_mock()
    try:
        answer = requests.post(url, data=body, timeout=10)
    except requests.ConnectionError:  # it has answered and gone while the rest was being sent
        assert len(body) > LARGEST_BODY
    else:
        assert answer.status_code == 400
    receive.assert_not_called()


def test_alertmanager_is_asked_to_post_again_if_clearml_does_not_answer(webhook, capsys):
    url, receive = webhook
    receive.side_effect = OSError("the server is away")
    assert requests.post(url, json=post(), timeout=10).status_code == 503
    assert capsys.readouterr().out == "The alerts could not be noted: the server is away\n"


def test_a_client_that_goes_amid_its_body_is_no_traceback(webhook, capfd):
    url, _ = webhook
    with socket.create_connection(("127.0.0.1", port_of(url))) as client:
        client.sendall(b"POST / HTTP/1.1\r\nContent-Length: 10\r\n\r\n{")
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # close by a reset
    wait_until(
        lambda: not any("process_request" in thread.name for thread in threading.enumerate()), "its end"
    )
    assert capfd.readouterr().err == ""


def test_a_strangers_port_is_refused_and_the_scheduler_that_runs_goes_on(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        monkeypatch.setattr("clearml_tools.alert_webhook.SECONDS", 0.1)  # it never answers
        port, other = stranger.getsockname()[1], Mock()
        refused = f"^--webhook: 127.0.0.1:{port} cannot be used .*: choose another$"
        with pytest.raises(UserError, match=refused):
            retrain.take_place([other], ("127.0.0.1", port), agent=False)
    other.mark_stopped.assert_not_called()


def test_the_port_of_the_scheduler_that_is_replaced_is_taken_when_that_one_has_ended():
    old = Webhook("127.0.0.1", 0, Mock())
    url = old.start()

    def end_soon(**_: object) -> None:
        threading.Timer(0.3, lambda: (old._server.shutdown(), old._server.server_close())).start()

    other = Mock(mark_stopped=Mock(side_effect=end_soon))
    new = retrain.take_place([other], ("127.0.0.1", port_of(url)), agent=False)
    other.mark_stopped.assert_called_once()
    assert new.start() == url


def test_the_webhook_of_a_scheduler_that_goes_on_is_refused_at_once(webhook):
    with pytest.raises(UserError, match=r"^--webhook: .* cannot be used"):
        retrain.take_place([], ("127.0.0.1", port_of(webhook[0])), agent=False)


@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "soon", ""])
def test_what_is_no_pause_is_refused(text):
    with pytest.raises(argparse.ArgumentTypeError, match="is not a number of seconds"):
        retrain.seconds(text)


@pytest.mark.parametrize(
    "text", ["9097", ":9097", "host", "host:http", "host:0", "host:65536", "host:" + "9" * 5000, ""]
)
def test_what_is_no_address_is_refused(text):
    with pytest.raises(argparse.ArgumentTypeError, match="is not an address such as"):
        retrain.address(text)


def test_an_alert_asks_for_people_and_starts_nothing(monkeypatch, capsys):
    champion = Mock(id="c1", tags=["champion", "mine"])
    monkeypatch.setattr(retrain.Model, "query_models", Mock(return_value=[champion]))
    monkeypatch.setattr(retrain, "start_copy", started := Mock())
    retrain.note_alerts([TOLD])
    assert champion.tags == ["champion", "mine", "look at"]
    champion.set_metadata.assert_called_once_with("last alerts", TOLD, "str")
    started.assert_not_called()
    assert capsys.readouterr().out.splitlines()[0] == f"Alert: {TOLD}"


def test_an_alert_does_not_take_away_what_a_person_has_asked_for(monkeypatch):
    champion = Mock(id="c1", tags=["champion", "retrain"])
    monkeypatch.setattr(retrain.Model, "query_models", Mock(return_value=[champion]))
    retrain.note_alerts([TOLD])
    assert champion.tags == ["champion", "retrain"]
