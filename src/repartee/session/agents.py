"""Agents of this process: read when they are first needed, and again when their files have changed."""

from __future__ import annotations

from pathlib import Path

from repartee.agent import Agent, load_agent

_Stamp = tuple[tuple[str, int], ...]
_known: dict[Path, tuple[_Stamp, Agent]] = {}


def agent_of(path: Path) -> Agent:
    """Return an agent; reading and checking a file takes 20 ms, in which no other call of the process is served.

    Raises:
        ConfigError: The file is not usable.
    """
    stamp = _stamp(path)
    known = _known.get(path)
    if known is not None and known[0] == stamp:
        return known[1]
    agent = load_agent(path)
    _known[path] = (stamp, agent)
    return agent


def _stamp(path: Path) -> _Stamp:
    """Return when the file, and the Python files beside it, were changed last: its tools are among them."""
    try:
        files = [path, *sorted(path.parent.glob("*.py"))]
        return tuple((str(file), file.stat().st_mtime_ns) for file in files)
    except OSError:
        return ()  # `load_agent` says it better
