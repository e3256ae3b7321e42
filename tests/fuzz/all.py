"""Every target."""

from __future__ import annotations

from tests.fuzz import agents, files, server, sockets, vendors, wire, words
from tests.fuzz.target import Target

TARGETS: list[Target] = [
    *files.TARGETS,
    *words.TARGETS,
    *wire.TARGETS,
    *server.TARGETS,
    *sockets.TARGETS,
    *vendors.TARGETS,
    *agents.TARGETS,
]
