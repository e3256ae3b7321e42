"""A PostgreSQL server of its own, for tests and the chaos suite: no service, a temporary folder, a free port."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg

MISSING = "no PostgreSQL here: `python scripts/setup.py --tests` installs it"


@dataclass(frozen=True)
class Server:
    """A running server; stop and start it as you like."""

    bin: Path
    folder: Path
    port: int

    def url(self, database: str) -> str:
        """Return a database's URL."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    def new_database(self) -> str:
        """Make an empty database; return its URL."""
        name = f"test_{uuid.uuid4().hex[:12]}"
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return self.url(name)

    def start(self) -> None:
        """Start it, and wait until it answers."""
        speed = "-c fsync=off -c full_page_writes=off -c synchronous_commit=off -c shared_buffers=16MB"
        where = f"-c listen_addresses=127.0.0.1 -c unix_socket_directories= -p {self.port}"
        self._run("pg_ctl", "-l", str(self.folder / "log"), "-w", "-o", f"{where} {speed}", "start")

    def stop(self) -> None:
        """Stop it; whoever is connected is cut off."""
        self._run("pg_ctl", "-m", "fast", "-w", "stop")

    def make(self) -> None:
        """Make its files."""
        self._run("initdb", "-U", "postgres", "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C.UTF-8")

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self.bin / program), "-D", str(self.folder / "data"), *arguments]
        # It refuses to run as root.
        as_postgres = (
            {"user": "postgres", "group": "postgres", "extra_groups": []} if os.geteuid() == 0 else {}
        )
        subprocess.run(
            command,
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            cwd=self.folder,
            timeout=60,
            **as_postgres,  # type: ignore[call-overload]
        )


def programs() -> Path | None:
    """Return the folder of the server's programs."""
    found = [*Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    if (initdb := shutil.which("initdb")) and Path(initdb).resolve().with_name("pg_ctl").exists():
        found.append(Path(initdb).resolve())
    return max(found).parent if found else None


@contextlib.contextmanager
def server(bin_folder: Path) -> Iterator[Server]:
    """Run a server until the context ends."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folder = Path(tempfile.mkdtemp(prefix="repartee-pg-"))
    if os.geteuid() == 0:
        account = pwd.getpwnam("postgres")
        os.chown(folder, account.pw_uid, account.pw_gid)
    running = Server(bin_folder, folder, port)
    try:
        running.make()
        running.start()
        yield running
        running.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
