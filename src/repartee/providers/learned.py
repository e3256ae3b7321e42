"""Answers a model gave before, kept in a file: per agent and version, for a time, and only so many.

Of what callers said only the normalised question is kept, which has passed `conversation.likeness.why_not_learned`.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TypeVar

import numpy as np
import structlog

from repartee.providers.embedding import Vectors

log = structlog.get_logger()
T = TypeVar("T")
BUSY_S = 0.5
_TABLE = """
CREATE TABLE IF NOT EXISTS learned (
    space TEXT NOT NULL, question TEXT NOT NULL, answer TEXT NOT NULL, vector BLOB,
    expires_s REAL NOT NULL, used_s REAL NOT NULL,
    PRIMARY KEY (space, question)
)
"""


class LearnedAnswers:
    """The kept answers of one agent version. Its methods do short file work: call them in a thread.

    Args:
        path: The SQLite file, shared by all calls of the machine.
        space: What an answer holds for: agent, version, model.
        ttl_s: Seconds an answer is given for.
        size: Most answers of a space.
        now_s: The clock, in seconds since the epoch.
    """

    def __init__(
        self, path: Path, space: str, *, ttl_s: float, size: int, now_s: Callable[[], float]
    ) -> None:
        self._path = path
        self._space = space
        self._ttl_s = ttl_s
        self._size = size
        self._now_s = now_s
        self._lock = threading.Lock()

    def load(self) -> list[tuple[str, str, Vectors | None]]:
        """Return question, answer and vector of all that still hold; a file that cannot be read holds none."""
        return self._do(
            lambda db: [
                (str(question), str(answer), None if blob is None else np.frombuffer(blob, np.float32))
                for question, answer, blob in db.execute(
                    "SELECT question, answer, vector FROM learned WHERE space = ? AND expires_s > ?"
                    " ORDER BY used_s DESC LIMIT ?",
                    (self._space, self._now_s(), self._size),
                )
            ],
            [],
        )

    def keep(self, question: str, answer: str, vector: Vectors | None) -> None:
        """Keep an answer; what is too old, and what is used least beyond the size, goes."""
        now = self._now_s()
        blob = None if vector is None else np.asarray(vector, np.float32).tobytes()

        def write(db: sqlite3.Connection) -> None:
            db.execute(
                "INSERT OR REPLACE INTO learned VALUES (?, ?, ?, ?, ?, ?)",
                (self._space, question, answer, blob, now + self._ttl_s, now),
            )
            db.execute("DELETE FROM learned WHERE expires_s <= ?", (now,))
            db.execute(
                "DELETE FROM learned WHERE space = ? AND question NOT IN"
                " (SELECT question FROM learned WHERE space = ? ORDER BY used_s DESC LIMIT ?)",
                (self._space, self._space, self._size),
            )

        self._do(write, None)

    def used(self, question: str) -> None:
        """An answer was given again."""
        self._do(
            lambda db: db.execute(
                "UPDATE learned SET used_s = ? WHERE space = ? AND question = ?",
                (self._now_s(), self._space, question),
            ),
            None,
        )

    def _do(self, work: Callable[[sqlite3.Connection], T], otherwise: T) -> T:
        try:
            with self._lock:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                with closing(sqlite3.connect(self._path, timeout=BUSY_S)) as db, db:
                    db.execute("PRAGMA journal_mode=WAL")
                    db.execute(_TABLE)
                    return work(db)
        except (sqlite3.Error, OSError) as error:
            # A cache that cannot be read or written is an empty one; the model answers.
            log.warning("answer_cache.file_failed", error=type(error).__name__)
            return otherwise
