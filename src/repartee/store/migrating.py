"""Brings a database's tables to this version, once, however many processes open it at the same time."""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import Connection, Engine, inspect, select, text

from repartee.errors import ConfigError
from repartee.store.schema import tables_floor

HEAD = "0007"
"""The version of the tables this code works with: the last of `migrations/versions`."""

_LOCK = 0x7265_7061  # "repa": the advisory lock of PostgreSQL
_LOCK_WAIT_S = 60


def migrate(engine: Engine) -> None:
    """Run the steps that are missing. Tables of a newer repartee that this one can work with are left as they are.

    Raises:
        ConfigError: The tables were made by a newer repartee, and are not for this one any more.
        sqlalchemy.exc.DBAPIError: The database does not answer, or refuses.
    """
    file = engine.url.database if engine.dialect.name == "sqlite" else None
    with _alone(file):
        _migrate(engine)


def _migrate(engine: Engine) -> None:
    with engine.connect() as connection:
        if _usable(connection, _version(connection)):
            return
    with engine.execution_options(writes=True).begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(text(f"SET LOCAL lock_timeout = '{_LOCK_WAIT_S}s'"))
            connection.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK})"))
        # Another process may have done it while this one waited.
        found = _version(connection)
        if not _usable(connection, found):
            _run(connection, found)


def _usable(connection: Connection, found: str | None) -> bool:
    """Say whether this version can work with the tables: its own, or a newer one's that say so."""
    if found is None or found <= HEAD:
        return found == HEAD
    if not inspect(connection).has_table(tables_floor.name):
        return False
    floor = connection.execute(select(tables_floor.c.version)).scalar()
    return floor is not None and floor <= HEAD


def _version(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def _run(connection: Connection, found: str | None) -> None:
    from alembic import command  # noqa: PLC0415 - half a second of imports that most starts do not need
    from alembic.config import Config  # noqa: PLC0415
    from alembic.script import ScriptDirectory  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.attributes["connection"] = connection
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if found is not None and found not in known:
        raise ConfigError(
            f"the tables of the database are of version {found} and this repartee knows {HEAD}: install a newer "
            "repartee, or set REPARTEE_DATABASE_URL to another database"
        )
    command.upgrade(config, HEAD)


@contextlib.contextmanager
def _alone(file: str | None) -> Iterator[None]:
    """Hold a lock beside an SQLite file: switching it to WAL is refused while another process has it open."""
    if file is None:
        yield
        return
    with Path(f"{file}.lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
