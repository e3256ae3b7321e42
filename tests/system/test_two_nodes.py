"""Two LiveKit servers that meet in Redis: the agent is connected to one, the caller to the other."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from repartee.cli.instance import answers, free_ports, own_environment, spawn
from repartee.cli.livekit import FragileLiveKit
from repartee.errors import MediaError
from repartee.settings import Settings
from repartee.simulator.invitation import Invitation, ask_for_place
from repartee.simulator.providers import Simulator, SimulatorConfig
from tests import redis_server
from tests.system.helpers import calling, write_agent

MODELS = "models: {stt: 'openai:whisper-1', llm: 'openai:gpt-4.1-mini', tts: 'openai:gpt-4o-mini-tts'}"
QUESTION, ANOTHER = "aiewf/turn_001.flac", "aiewf/turn_003.flac"


@pytest.fixture
def redis() -> Iterator[redis_server.Server]:
    if redis_server.program() is None:
        pytest.skip(redis_server.MISSING)
    with redis_server.server() as running:
        yield running


@contextlib.asynccontextmanager
async def two_nodes(settings: Settings, redis: redis_server.Server) -> AsyncIterator[list[FragileLiveKit]]:
    """Run two nodes of one cluster."""
    nodes: list[FragileLiveKit] = []
    try:
        for name in ("first", "second"):
            port, udp = free_ports(2)
            folder = settings.state_dir / name
            await asyncio.to_thread(folder.mkdir)
            own = settings.model_copy(
                update={"state_dir": folder, "livekit_port": port, "livekit_udp_port": udp}
            )
            node = FragileLiveKit(own, f"127.0.0.1:{redis.port}", nodes[0].access if nodes else None)
            nodes.append(node)
            await node.start()
        yield nodes
    finally:
        for node in nodes:
            await node.stop()


async def place_again(page: str) -> Invitation:
    """Ask for a place until the media servers have found their Redis again; until then callers are told to wait."""
    async with asyncio.timeout(30):
        while True:
            try:
                return await ask_for_place(page)
            except MediaError:
                await asyncio.sleep(0.5)  # they announce nothing


@pytest.mark.timeout(170)
@pytest.mark.long
async def test_a_call_over_two_nodes_outlives_their_redis(
    speech: Path, tmp_path: Path, plain_settings: Settings, redis: redis_server.Server
) -> None:
    config = SimulatorConfig(profile="fixed:60/60/60", speech=speech)
    async with two_nodes(plain_settings, redis) as (first, second), Simulator.start(config) as simulator:
        (health,) = free_ports(1)
        environment = own_environment(
            write_agent(tmp_path, MODELS),
            tmp_path / "state",
            {
                **simulator.environment,
                "LIVEKIT_URL": first.access.url,
                "LIVEKIT_PUBLIC_URL": second.access.url,
                "LIVEKIT_API_KEY": first.access.key,
                "LIVEKIT_API_SECRET": first.access.secret,
                "REPARTEE_WORKER_PORT": str(health),
            },
        )
        started = []
        try:
            for command, url in (("worker", f"http://127.0.0.1:{health}/readyz"), ("serve", "")):
                log = tmp_path / f"{command}.log"
                process = await spawn([command], environment, log)
                started.append(process)
                await answers(url or f"http://127.0.0.1:{environment['REPARTEE_PORT']}/healthz", process, log)
            page = f"http://127.0.0.1:{environment['REPARTEE_PORT']}"
            async with calling(page) as caller:
                assert "you said" in (await caller.exchange(speech / QUESTION)).reply.lower()
                await asyncio.to_thread(redis.stop)
                away = await caller.exchange(speech / ANOTHER)
                await asyncio.to_thread(redis.start)
            async with calling(page, await place_again(page)) as caller:
                back = await caller.exchange(speech / QUESTION)
        finally:
            for process in started:
                process.send_signal(signal.SIGTERM)
            codes = await asyncio.gather(*(process.wait() for process in started))
    assert "is there a track about mcp" in away.reply.lower(), "media need no Redis"
    assert "are there any workshops about gemini" in back.reply.lower(), (
        "and a new call finds both nodes again"
    )
    assert codes == [0, 0]
