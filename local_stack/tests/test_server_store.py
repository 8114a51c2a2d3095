"""The local server's store: transactions, nested ones, and what a restart finds."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from local_stack.server.errors import ApiError
from local_stack.server.events.scalars import scalar_series
from local_stack.server.store import Store, is_older


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "clearml.sqlite"


@pytest.fixture
def store(path) -> Iterator[Store]:
    with closing(Store(path)) as store:
        yield store


@pytest.fixture
def restarted(path):
    """All documents of a kind as a second server, started now, reads them."""

    def read(kind: str) -> list[dict]:
        with closing(Store(path)) as other:
            return other.all(kind)

    return read


class Boom(Exception):
    """Raised by tests to make a transaction fail."""


def put(store: Store, key: str, **fields) -> None:
    store.put("task", {"id": key, **fields})


def test_what_is_put_is_there_now_and_after_a_restart_in_its_order(store, restarted):
    with store.transaction():
        for key in "cab":
            put(store, key, text="größe \ud800 \x00", nested={"a": [1, None, 0.1]})
    put(store, "a", text="changed")
    assert [document["id"] for document in store.all("task")] == ["c", "a", "b"]
    assert restarted("task") == store.all("task")


def test_a_patch_changes_its_fields_only(store, restarted):
    put(store, "a", large="x" * 1000, count=1, state={"old": 1})
    store.patch("task", "a", count=2)
    store.patch("task", "a", state={"new": 1})
    assert store.get("task", "a") == {"id": "a", "large": "x" * 1000, "count": 2, "state": {"new": 1}}
    assert restarted("task") == store.all("task")


def test_a_patch_does_not_write_the_rest_of_the_document(store):
    put(store, "a", large="x" * 1000)
    store.patch("task", "a", count=2)
    body, patch = store.db.execute("SELECT body, patch FROM documents").fetchone()
    assert len(body) > 1000
    assert json.loads(patch) == {"count": 2}


def test_a_put_after_a_patch_is_the_whole_document(store, restarted):
    put(store, "a", count=1)
    store.patch("task", "a", count=2, other=3)
    put(store, "a", count=4)
    assert store.get("task", "a") == {"id": "a", "count": 4}
    assert restarted("task") == [{"id": "a", "count": 4}]


def test_a_deleted_document_leaves_no_patch_for_one_that_comes_after_it(store, restarted):
    put(store, "a", count=1)
    store.patch("task", "a", count=2)
    store.delete("task", "a")
    assert (store.get("task", "a"), restarted("task")) == (None, [])
    put(store, "a", fresh=True)
    store.patch("task", "a", more=True)
    assert restarted("task") == [{"id": "a", "fresh": True, "more": True}]


def test_what_edit_gives_is_a_copy(store):
    put(store, "a", nested={"list": [1]})
    store.edit("task", "a")["nested"]["list"].append(2)
    assert store.get("task", "a") == {"id": "a", "nested": {"list": [1]}}
    with pytest.raises(ApiError, match="Invalid task id: id=nobody"):
        store.edit("task", "nobody")


def test_of_a_transaction_that_fails_nothing_is_kept(store, restarted):
    for key in "abc":
        put(store, key, count=1)
    store.patch("task", "b", count=2)
    before = store.all("task")
    with pytest.raises(Boom), store.transaction():
        put(store, "a", count=9)
        put(store, "a", count=10)
        assert restarted("task") == before  # as after a crash now
        store.patch("task", "b", count=9)
        store.patch("task", "b", more=9)
        store.delete("task", "c")
        put(store, "d")
        store.db.execute("DELETE FROM documents")
        raise Boom
    assert sorted(store.all("task"), key=lambda document: document["id"]) == before
    assert restarted("task") == before
    store.patch("task", "b", later=True)
    assert restarted("task")[1] == {"id": "b", "count": 2, "later": True}


def test_an_inner_transaction_that_fails_undoes_its_own_part_alone(store, restarted):
    with store.transaction():
        put(store, "outer")
        with pytest.raises(Boom), store.transaction():
            put(store, "inner")
            put(store, "outer", changed=True)
            raise Boom
        put(store, "after")
    assert [document["id"] for document in store.all("task")] == ["outer", "after"]
    assert restarted("task") == [{"id": "outer"}, {"id": "after"}]


def test_an_outer_transaction_that_fails_undoes_the_inner_ones_too(store, restarted):
    with pytest.raises(Boom), store.transaction():
        with store.transaction():
            put(store, "inner")
        raise Boom
    assert (store.all("task"), restarted("task")) == ([], [])


def test_a_transaction_that_sqlite_has_given_up_leaves_memory_and_disk_alike(store, restarted):
    put(store, "a", count=1)
    with pytest.raises(Boom), store.transaction():
        put(store, "a", count=2)
        store.db.execute("ROLLBACK")  # as SQLite does by itself when the disk is full
        raise Boom
    assert store.all("task") == restarted("task") == [{"id": "a", "count": 1}]


def test_who_refers_to_a_document_is_known_after_every_change(store, path):
    def children(store: Store, parent: str) -> list[str]:
        return [task["id"] for task in store.referring("task", "parent", parent)]

    put(store, "a", parent="p")
    put(store, "b", parent="p", models={"input": [{"model": "m"}], "output": [{"model": "n"}]})
    with pytest.raises(Boom), store.transaction():
        store.delete("task", "a")
        put(store, "b", parent="q")
        put(store, "c", parent="p")
        assert (children(store, "p"), children(store, "q")) == (["c"], ["b"])
        raise Boom
    with closing(Store(path)) as restarted:
        for each in (store, restarted):
            assert (sorted(children(each, "p")), children(each, "q")) == (["a", "b"], [])
            assert [task["id"] for task in each.referring("task", "input", "m")] == ["b"]
            assert each.referring("task", "input", "n") == []
            assert [task["id"] for task in each.referring("task", "models", "n")] == ["b"]
    store.patch("task", "a", parent="q")
    store.delete("task", "b")
    assert (children(store, "p"), children(store, "q")) == ([], ["a"])
    assert store.referring("task", "models", "n") == []


def test_what_is_put_late_is_written_once_as_the_last_change_left_it(store, restarted):
    told, statements = [], []
    store.db.set_trace_callback(statements.append)
    with store.transaction():
        for count in range(3):
            store.put_late("queue", {"id": "a", "count": count}, told.append)
        with pytest.raises(Boom), store.transaction():
            store.put_late("queue", {"id": "a", "count": 9}, told.append)
            store.put_late("queue", {"id": "b"}, told.append)
            raise Boom
        store.put_late("queue", {"id": "c"}, told.append)
        store.delete("queue", "c")
        assert store.get("queue", "a") == {"id": "a", "count": 2}
    assert store.all("queue") == restarted("queue") == told == [{"id": "a", "count": 2}]
    assert sum("INSERT" in statement for statement in statements) == 1


def test_what_is_put_late_in_a_transaction_that_fails_is_never_written(store, restarted):
    put(store, "a", count=1)
    with pytest.raises(Boom), store.transaction():
        store.put_late("task", {"id": "a", "count": 2}, lambda document: pytest.fail("called"))
        raise Boom
    with store.transaction():
        put(store, "b")
    assert store.all("task") == restarted("task") == [{"id": "a", "count": 1}, {"id": "b"}]


OLDER_EVENTS = """
CREATE TABLE events (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, task TEXT NOT NULL, type TEXT NOT NULL,
    metric TEXT NOT NULL DEFAULT '', variant TEXT NOT NULL DEFAULT '', iter INTEGER NOT NULL DEFAULT 0,
    timestamp INTEGER NOT NULL, value REAL, body TEXT
);
CREATE UNIQUE INDEX one_event_per_point ON events (task, type, metric, variant, iter) WHERE type != 'log';
CREATE INDEX events_by_time ON events (task, type, timestamp);
INSERT INTO events (task, type, metric, variant, iter, timestamp, value)
    VALUES ('t', 'training_stats_scalar', 'm', 'v', 3, 1000, 0.5);
INSERT INTO events (task, type, timestamp, body) VALUES ('t', 'log', 1001, '{"type": "log", "msg": "hello"}');
"""


def test_the_scalars_of_an_older_database_move_to_their_own_table(path, caplog):
    caplog.set_level("INFO")
    assert not is_older(path)
    with closing(sqlite3.connect(path)) as older:
        older.executescript(OLDER_EVENTS)
    assert is_older(path)
    for _ in range(2):  # the second start finds nothing more to move
        with closing(Store(path)) as store:
            assert scalar_series(store, "t", []) == {"m": {"v": {"name": "v", "x": [3], "y": [0.5]}}}
            assert store.db.execute("SELECT seq, type FROM events").fetchall() == [(2, "log")]
    assert not is_older(path)
    assert [record.message for record in caplog.records] == [
        "taking over the database of an earlier version",
        "took over the database of an earlier version",
    ]


def test_what_is_no_database_is_none_of_an_earlier_version(path):
    path.write_bytes(b"no database" * 100)
    assert not is_older(path)
