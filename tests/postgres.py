"""A PostgreSQL server of its own, for tests."""

from repartee.simulator.postgres import MISSING, Server, programs, server

__all__ = ["MISSING", "Server", "programs", "server"]
