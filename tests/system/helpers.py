"""Calls to a real server: `repartee up` as a process, a LiveKit server, a WebRTC caller."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

from repartee.cli.instance import Instance, instance
from repartee.simulator.caller import Caller
from repartee.simulator.invitation import Invitation, RefusedError, ask_for_place
from repartee.simulator.providers import Simulator, SimulatorConfig
from repartee.simulator.providers.replies import Replies, Style

GREETING_S = 20.0
SETTLE_S = 20.0
REFUSALS = 3
AGENT = """\
name: Test
persona: You answer in one sentence.
greeting: Hello, this is the test.
{more}
"""
PROFILE = "fixed:60/60/60"
GEMINI, MCP = "Are there any workshops about Gemini?", "Is there a track about MCP?"
"""What is said in aiewf/turn_001.flac, and in turn_003.flac."""
LONG = (
    "The workshops are on the first day, "
    + "and there is one more workshop after that, " * 8
    + "and that is all."
)


def simulate(
    speech: Path,
    script: Path | None = None,
    *,
    profile: str = PROFILE,
    style: Style = "short",
    transcripts: Path | None = None,
) -> AbstractAsyncContextManager[Simulator]:
    """Vendors; what no rule of the script answers is answered in a short sentence, which is soon heard."""
    config = SimulatorConfig(
        profile=profile, speech=speech, script=script, style=style, transcripts=transcripts
    )
    return Simulator.start(config)


def answer_to(question: str) -> str:
    """The short sentence that answers a question: its number is made from all of the question's words."""
    return Replies(None, "short").answer([{"role": "user", "content": question}]).text


def write_agent(folder: Path, more: str = "") -> Path:
    file = folder / "agent.yaml"
    file.write_text(AGENT.format(more=more))
    return file


@asynccontextmanager
async def server(agent: Path, folder: Path, simulator: Simulator | None = None) -> AsyncIterator[Instance]:
    variables = simulator.environment if simulator is not None else {}
    async with instance(agent, folder / "state", variables) as running:
        yield running


async def place(url: str) -> Invitation:
    """A place in a room, asked for again when the server says so: who was late has fewer seats for a while."""
    for _ in range(REFUSALS):
        try:
            return await ask_for_place(url)
        except RefusedError as refused:
            if refused.retry_after_s is None:
                raise
            await asyncio.sleep(refused.retry_after_s)
    return await ask_for_place(url)


@asynccontextmanager
async def calling(url: str, invitation: Invitation | None = None) -> AsyncIterator[Caller]:
    """A caller who has heard the greeting."""
    caller = Caller(url)
    try:
        await caller.join(invitation or await place(url))
        assert await caller.wait_for_answer(GREETING_S), "the agent greets"
        yield caller
    finally:
        await caller.leave()


async def eventually(what: Callable[[], Any], limit_s: float = SETTLE_S) -> None:
    """Wait for something of another process, which can only be looked at."""
    async with asyncio.timeout(limit_s):
        while not await asyncio.to_thread(what):  # noqa: ASYNC110 - another process announces nothing
            await asyncio.sleep(0.05)


def processes_with(marker: str) -> list[int]:
    """Return the processes whose environment names something: a server's data folder marks all its children."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                if marker.encode() in (folder / "environ").read_bytes():
                    found.append(int(folder.name))
            except OSError:
                continue
    return found
