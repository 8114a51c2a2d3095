"""Documents in SQLite, with a copy of them all in memory for reading.

One process, one thread: every API call runs as one transaction, so each is atomic, and what was
acknowledged is in SQLite's write-ahead log and survives `kill -9` of the server.
"""

import copy
import json
import sqlite3
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

KINDS = ("project", "task", "model", "queue", "worker")

SCHEMA = """
CREATE TABLE IF NOT EXISTS documents (
    kind TEXT NOT NULL,
    id   TEXT NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (kind, id)
);
CREATE TABLE IF NOT EXISTS events (
    seq       INTEGER PRIMARY KEY,
    task      TEXT NOT NULL,   -- a task's id, or a model's for model events
    type      TEXT NOT NULL,
    metric    TEXT NOT NULL DEFAULT '',
    variant   TEXT NOT NULL DEFAULT '',
    iter      INTEGER NOT NULL DEFAULT 0,
    timestamp INTEGER NOT NULL,
    value     REAL,
    body      TEXT             -- the event as it was sent; NULL for scalars, which the columns hold whole
);
CREATE UNIQUE INDEX IF NOT EXISTS one_event_per_point
    ON events (task, type, metric, variant, iter) WHERE type != 'log';
CREATE INDEX IF NOT EXISTS log_by_time ON events (task, timestamp, seq) WHERE type = 'log';
"""

Document = dict[str, Any]


def now() -> str:
    """The present as ClearML writes it: ISO 8601 in UTC, with microseconds."""
    return datetime.now(UTC).isoformat(timespec="microseconds")


def new_id() -> str:
    return uuid.uuid4().hex


class Store:
    """`get` and `all` give shared documents that nobody may change; `edit` gives a copy for `put`."""

    def __init__(self, path: Path | str) -> None:
        # Autocommit mode: transactions are begun and ended by `transaction` alone.
        self.db = sqlite3.connect(path, isolation_level=None)
        self.db.execute("PRAGMA journal_mode = WAL")
        self.db.execute("PRAGMA synchronous = NORMAL")
        self.db.executescript(SCHEMA)
        self._documents: dict[str, dict[str, Document]] = {kind: {} for kind in KINDS}
        for kind, key, body in self.db.execute("SELECT kind, id, body FROM documents ORDER BY rowid"):
            self._documents[kind][key] = json.loads(body)
        self._undo: list[tuple[str, str, Document | None]] = []

    def close(self) -> None:
        self.db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All that is put or deleted inside is kept on success, and none of it when an exception leaves."""
        self._undo.clear()
        self.db.execute("BEGIN")
        try:
            yield
            self.db.execute("COMMIT")
        except BaseException:
            self.db.execute("ROLLBACK")
            for kind, key, before in reversed(self._undo):
                if before is None:
                    self._documents[kind].pop(key, None)
                else:
                    self._documents[kind][key] = before
            raise

    def get(self, kind: str, key: str | None) -> Document | None:
        return self._documents[kind].get(key) if isinstance(key, str) else None

    def edit(self, kind: str, key: str) -> Document | None:
        return copy.deepcopy(self.get(kind, key))

    def all(self, kind: str) -> list[Document]:
        return list(self._documents[kind].values())

    def put(self, kind: str, document: Document) -> None:
        key = document["id"]
        self._undo.append((kind, key, self._documents[kind].get(key)))
        self._documents[kind][key] = document
        self.db.execute(
            "INSERT INTO documents VALUES (?, ?, ?) ON CONFLICT (kind, id) DO UPDATE SET body = excluded.body",
            (kind, key, json.dumps(document)),
        )

    def delete(self, kind: str, key: str) -> None:
        self._undo.append((kind, key, self._documents[kind].pop(key)))
        self.db.execute("DELETE FROM documents WHERE kind = ? AND id = ?", (kind, key))
