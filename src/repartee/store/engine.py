"""Connections: which databases there are, and what each needs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError

from repartee.errors import ConfigError

BUSY_MS = 5_000
"""How long one process waits for another that writes to the same SQLite file."""
_EXAMPLES = "sqlite:////var/lib/repartee/repartee.db or postgresql://repartee:PASSWORD@db.example/repartee"
_POSTGRESQL = {"postgres", "postgresql", "postgresql+psycopg"}
# A database that hangs shall count as away before a call ends. A machine that is cut off in the middle of a
# transaction shall not hold its rows: whoever takes its calls over writes the same ones.
_DEADLINES = {
    "connect_timeout": "3",
    "tcp_user_timeout": "5000",
    "keepalives_idle": "5",
    "keepalives_interval": "2",
    "keepalives_count": "3",
    "options": "-c statement_timeout=30000 -c lock_timeout=5000 -c idle_in_transaction_session_timeout=10000",
    "application_name": "repartee",
}


def address(url: str) -> URL:
    """Return the checked address.

    Raises:
        ConfigError: It is none, or of a database that is not supported.
    """
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise ConfigError(f"the database URL cannot be read; it is of the form {_EXAMPLES}") from error
    if parsed.drivername in _POSTGRESQL:
        return parsed.set(drivername="postgresql+psycopg")
    if parsed.drivername != "sqlite":
        raise ConfigError(f"'{parsed.drivername}' is no database for calls; use {_EXAMPLES}")
    if not parsed.database or parsed.database == ":memory:":
        raise ConfigError(f"SQLite needs a file, as in {_EXAMPLES.split(' or ', maxsplit=1)[0]}")
    return parsed


def connect(url: URL) -> Engine:
    """Return an engine; nothing is asked of the database yet.

    Raises:
        ConfigError: The folder of an SQLite file cannot be made.
    """
    # No error may show what somebody said, and it would with its statement's parameters.
    if url.drivername == "sqlite":
        _make_file(Path(url.database or ""))
        engine = create_engine(url, hide_parameters=True, connect_args={"timeout": BUSY_MS / 1000})
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine
    given = _DEADLINES | {name: str(value) for name, value in url.query.items()}
    return create_engine(
        url.set(query={}),
        hide_parameters=True,
        pool_pre_ping=True,
        pool_size=2,
        max_overflow=4,
        pool_timeout=10,
        connect_args=given,
    )


def secret_free(url: URL) -> str:
    """Return an address without its password and options."""
    return url.set(query={}).render_as_string(hide_password=True)


def _make_file(path: Path) -> None:
    """Make the file if it is not there, for its owner's eyes only."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    except OSError as error:
        raise ConfigError(
            f"the database file {path} cannot be made ({error.strerror}); set REPARTEE_DATABASE_URL or "
            "REPARTEE_STATE_DIR to another place"
        ) from error


def _prepare_sqlite(connection: Any, _: object) -> None:
    # The module would begin transactions by itself, and not for every statement.
    connection.isolation_level = None
    for pragma in (
        f"busy_timeout = {BUSY_MS}",
        "journal_mode = WAL",
        # A commit survives the process's death; after a power cut the last ones may be missing.
        "synchronous = NORMAL",
        "foreign_keys = ON",
        # What is erased is overwritten.
        "secure_delete = ON",
    ):
        connection.execute(f"PRAGMA {pragma}").fetchall()


def _begin_sqlite(connection: Connection) -> None:
    # A transaction that reads first and writes then is refused when another wrote meanwhile.
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
