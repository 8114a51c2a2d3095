"""Documents in SQLite, with a copy of them all in memory for reading.

One process, one thread: every API call runs as one transaction, so each is atomic, and what was
acknowledged is in SQLite's write-ahead log and survives `kill -9` of the server.
"""

import json
import logging
import sqlite3
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from .auth import OWNER
from .documents import Document
from .errors import invalid_id, no_write_permission
from .references import REFERENCES

PUBLIC = ""  # the company of documents that nobody may change

KINDS = (
    "project", "task", "model", "queue", "worker", "user", "key_pair", "container", "unneeded_file",
)  # fmt: skip

SCHEMA = """
CREATE TABLE IF NOT EXISTS documents (
    kind  TEXT NOT NULL,
    id    TEXT NOT NULL,
    body  TEXT NOT NULL,
    patch TEXT,                -- fields that changed since the body was written
    PRIMARY KEY (kind, id)
);
CREATE TABLE IF NOT EXISTS events (
    seq       INTEGER PRIMARY KEY AUTOINCREMENT,  -- never used again: readers ask for what came after one
    task      TEXT NOT NULL,   -- a task's id, or a model's for model events
    type      TEXT NOT NULL,
    metric    TEXT NOT NULL DEFAULT '',
    variant   TEXT NOT NULL DEFAULT '',
    iter      INTEGER NOT NULL DEFAULT 0,
    timestamp INTEGER NOT NULL,
    body      TEXT             -- the event as it was sent
);
CREATE UNIQUE INDEX IF NOT EXISTS one_event_per_point
    ON events (task, type, metric, variant, iter) WHERE type != 'log';
CREATE INDEX IF NOT EXISTS events_by_iteration ON events (task, type, iter);
CREATE INDEX IF NOT EXISTS lines_by_time ON events (task, timestamp) WHERE type = 'log';
-- Scalars are apart from other events, in the order in which series are read: half a million take 0.4 s.
CREATE TABLE IF NOT EXISTS scalars (
    task      TEXT NOT NULL,   -- as in events
    metric    TEXT NOT NULL,
    variant   TEXT NOT NULL,
    iter      INTEGER NOT NULL,
    timestamp INTEGER NOT NULL,
    value     REAL NOT NULL,
    PRIMARY KEY (task, metric, variant, iter)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS scalars_by_iteration ON scalars (task, iter);
CREATE TABLE IF NOT EXISTS measurements (
    seq       INTEGER PRIMARY KEY,
    kind      TEXT NOT NULL,
    source    TEXT NOT NULL,   -- the id of the worker, queue or container
    timestamp INTEGER NOT NULL,
    body      TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS measurements_by_time ON measurements (kind, timestamp);
"""

# In older databases, the table of events holds the scalars, with their values in a column of its own.
MOVE_SCALARS = """
BEGIN;
INSERT INTO scalars SELECT task, metric, variant, iter, timestamp, value FROM events
    WHERE type = 'training_stats_scalar';
DELETE FROM events WHERE type = 'training_stats_scalar';
DROP INDEX IF EXISTS events_by_time;
ALTER TABLE events DROP COLUMN value;
COMMIT;
"""


log = logging.getLogger("local_stack.server")


def is_older(path: Path) -> bool:
    """Return whether there is a database of an earlier version, which takes the longer the larger it is."""
    if not path.is_file():
        return False
    try:
        with closing(sqlite3.connect(path)) as db:
            return _is_older(db)
    except sqlite3.Error:  # the server tells what is wrong with it
        return False


def _is_older(db: sqlite3.Connection) -> bool:
    return "value" in (column[1] for column in db.execute("PRAGMA table_info(events)"))


def now() -> str:
    """Return the present time as ClearML writes it: ISO 8601 in UTC, with microseconds."""
    return datetime.now(UTC).isoformat(timespec="microseconds")


def new_id() -> str:
    return uuid.uuid4().hex


def new_document(**fields: Any) -> Document:
    """Return a document with what all kinds of documents hold, and with those fields that are not None."""
    created = now()
    given = {key: value for key, value in fields.items() if value is not None}
    common = {"id": new_id(), "created": created, "last_update": created, "tags": [], "system_tags": []}
    return {**OWNER, **common, **given}


@dataclass
class Scroll:
    """A listing that a client reads page by page: the ids that it found at first, and how many are read."""

    ids: list[str]
    used: float  # on the monotonic clock
    position: int = 0


class Store:
    """Documents by kind and id. Nobody may change what `get` and `all` return; `edit` returns a copy."""

    def __init__(self, path: Path | str) -> None:
        # Autocommit mode: transactions are begun and ended by `transaction` alone.
        self.db = sqlite3.connect(path, isolation_level=None)
        self.db.execute("PRAGMA journal_mode = WAL")
        self.db.execute("PRAGMA synchronous = NORMAL")
        self.db.executescript(SCHEMA)
        # In memory: a client begins anew with a server that does not know its own.
        self.scrolls: dict[str, Scroll] = {}
        if _is_older(self.db):
            log.info("taking over the database of an earlier version")
            self.db.executescript(MOVE_SCALARS)
            log.info("took over the database of an earlier version")
        self._documents: dict[str, dict[str, Document]] = {kind: {} for kind in KINDS}
        # By (kind, name of a reference): the ids of who refers to an id, as a dict without values.
        self._referring: dict[tuple[str, str], dict[str, dict[str, None]]] = {
            (kind, name): {} for kind, names in REFERENCES.items() for name in names
        }
        self._patches: dict[tuple[str, str], Document] = {}
        self._late: dict[tuple[str, str], Callable[[Document], None]] = {}  # what to call for each
        for kind, key, body, patch in self.db.execute(
            "SELECT kind, id, body, patch FROM documents ORDER BY rowid"
        ):
            document = json.loads(body)
            if patch:
                self._patches[kind, key] = json.loads(patch)
                document |= self._patches[kind, key]
            self._place(kind, key, document)
        # Of each transaction that is open, the innermost last: the documents and patches before it.
        self._undo: list[dict[tuple[str, str], tuple[Document | None, Document | None]]] = []

    def close(self) -> None:
        self.db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Keep all that is put or deleted inside, or none of it where an exception leaves the block.

        Transactions nest: one that fails inside another undoes its own part alone.
        """
        outermost = not self.db.in_transaction
        self.db.execute("BEGIN" if outermost else "SAVEPOINT inner_transaction")
        self._undo.append({})
        try:
            yield
            if outermost:
                self._write_late()
            self.db.execute("COMMIT" if outermost else "RELEASE inner_transaction")
        except BaseException:
            for (kind, key), (document, patch) in self._undo.pop().items():
                self._place(kind, key, document)
                self._patches.pop((kind, key), None)
                if patch is not None:
                    self._patches[kind, key] = patch
            if outermost:
                self._late.clear()
            if not outermost:
                self.db.execute("ROLLBACK TO inner_transaction")
                self.db.execute("RELEASE inner_transaction")
            elif self.db.in_transaction:  # a full disk makes SQLite roll back by itself
                self.db.execute("ROLLBACK")
            raise
        changed = self._undo.pop()
        if not outermost:
            for place, before in changed.items():
                self._undo[-1].setdefault(place, before)

    def get(self, kind: str, key: str | None) -> Document | None:
        return self._documents[kind].get(key) if key is not None else None

    def get_required(self, kind: str, key: str | None) -> Document:
        """Return a document, or raise the API's error for an id that nothing has."""
        document = self.get(kind, key)
        if document is None:
            raise invalid_id(kind, key)
        return document

    def edit(self, kind: str, key: str | None) -> Document:
        """Return a copy of a document, which `put` takes back; raise the API's error if there is none."""
        # Through JSON, which documents come from and go to: it is several times faster than deepcopy.
        copy: Document = json.loads(json.dumps(self.get_required(kind, key)))
        return copy

    def all(self, kind: str) -> list[Document]:
        return list(self._documents[kind].values())

    def referring(self, kind: str, name: str, key: str) -> list[Document]:
        """Return the documents of a kind that refer to an id, by the name of that in REFERENCES."""
        return [self._documents[kind][other] for other in self._referring[kind, name].get(key, ())]

    def put(self, kind: str, document: Document) -> None:
        key = document["id"]
        if document.get("company") == PUBLIC:
            self.check_changeable(kind, key)
        self._remember(kind, key)
        self._place(kind, key, document)
        self._write(kind, key, document)

    def put_late(self, kind: str, document: Document, then: Callable[[Document], None]) -> None:
        """Put a large document that one call may change thousands of times.

        It is written once, at the end of the transaction. `then` is called with it if it is still there.
        """
        with self.transaction():
            self._remember(kind, document["id"])
            self._place(kind, document["id"], document)
            self._late[kind, document["id"]] = then

    def _write_late(self) -> None:
        for (kind, key), then in self._late.items():
            if document := self.get(kind, key):
                self._write(kind, key, document)
                then(document)
        self._late.clear()

    def _write(self, kind: str, key: str, document: Document) -> None:
        self._patches.pop((kind, key), None)
        self.db.execute(
            "INSERT INTO documents (kind, id, body) VALUES (?, ?, ?) "
            "ON CONFLICT (kind, id) DO UPDATE SET body = excluded.body, patch = NULL",
            (kind, key, json.dumps(document)),
        )

    def patch(self, kind: str, key: str, **fields: Any) -> None:
        """Change fields of a document without writing all of it: for frequent changes of large ones."""
        self.check_changeable(kind, key)
        self._remember(kind, key)
        self._place(kind, key, {**self._documents[kind][key], **fields})
        self._patches[kind, key] = {**self._patches.get((kind, key), {}), **fields}
        self.db.execute(
            "UPDATE documents SET patch = ? WHERE kind = ? AND id = ?",
            (json.dumps(self._patches[kind, key]), kind, key),
        )

    def delete(self, kind: str, key: str) -> None:
        self.check_changeable(kind, key)
        self._remember(kind, key)
        self._place(kind, key, None)
        self._patches.pop((kind, key), None)
        self.db.execute("DELETE FROM documents WHERE kind = ? AND id = ?", (kind, key))

    def check_changeable(self, kind: str, key: str) -> None:
        """Raise the API's error for a public document."""
        if self.is_public(kind, key):
            raise no_write_permission(kind, key)

    def is_public(self, kind: str, key: str) -> bool:
        held = self.get(kind, key)
        return held is not None and held.get("company") == PUBLIC

    def _remember(self, kind: str, key: str) -> None:
        if self._undo:
            before = self._documents[kind].get(key), self._patches.get((kind, key))
            self._undo[-1].setdefault((kind, key), before)

    def _place(self, kind: str, key: str, document: Document | None) -> None:
        """Hold the document in memory, or none with this id, and what it refers to."""
        before = self._documents[kind].get(key)
        for name, ids_in in REFERENCES.get(kind, {}).items():
            referring = self._referring[kind, name]
            was, will_be = ids_in(before or {}), ids_in(document or {})
            for other in was - will_be:
                del referring[other][key]
                if not referring[other]:
                    del referring[other]
            for other in will_be - was:
                referring.setdefault(other, {})[key] = None
        if document is None:
            self._documents[kind].pop(key, None)
        else:
            self._documents[kind][key] = document
