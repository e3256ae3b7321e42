"""Agents that die in the middle of a call: another one goes on, in the same room, with what was said."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from repartee.cli.instance import answers, free_ports, own_environment, spawn
from repartee.cli.livekit import own_livekit
from repartee.settings import Settings
from repartee.simulator.caller import Caller
from repartee.simulator.loads import busiest_session
from repartee.simulator.providers import Simulator, SimulatorConfig
from tests.system.helpers import calling, eventually, processes_with, server, write_agent

PROFILE = "fixed:60/60/60"
MODELS = "models: {stt: 'openai:whisper-1', llm: 'openai:gpt-4.1-mini', tts: 'openai:gpt-4o-mini-tts'}"
QUESTION = "aiewf/turn_001.flac"
MUST_S = 6.0


async def interrupted_by_a_kill(caller: Caller, recording: Path, kill: Any) -> float:
    """Ask something, kill the agent in the middle of its answer, return how long it took until another was heard."""
    from repartee.simulator.audio import read_audio

    await caller.say(read_audio(recording, 48_000))
    assert await caller.wait_for_sound(10), "it answers"
    await asyncio.sleep(1.5)  # some words of the answer
    await asyncio.to_thread(kill)
    killed_s = time.monotonic()
    # What was on its way is still heard; the dead are silent then.
    await caller.wait_for_quiet(0.3, 3)
    assert await caller.wait_for_sound(MUST_S + 20), "somebody goes on"
    return time.monotonic() - killed_s


def logged(log: Path, event: str) -> list[dict[str, Any]]:
    found = []
    for line in log.read_text().splitlines():
        with contextlib.suppress(ValueError):
            entry = json.loads(line)
            if entry.get("event") == event:
                found.append(entry)
    return found


@pytest.mark.long
async def test_a_killed_session_process_costs_a_second_and_not_the_call(speech: Path, tmp_path: Path) -> None:
    agent = write_agent(tmp_path, MODELS)
    config = SimulatorConfig(profile=PROFILE, speech=speech)
    async with Simulator.start(config) as simulator, server(agent, tmp_path, simulator) as running:
        async with calling(running.url) as caller:

            def kill() -> None:
                victim = busiest_session(running.process.pid)
                assert victim is not None
                os.kill(victim, signal.SIGKILL)

            waited_s = await interrupted_by_a_kill(caller, speech / QUESTION, kill)
            assert waited_s < MUST_S
            await caller.wait_for_quiet(0.9, 30)
            said = caller.captions("agent")
            exchange = await caller.exchange(speech / QUESTION)
        assert any("we were cut off for a moment" in text for text in said)
        assert "are there any workshops about gemini" in exchange.reply, "and the conversation goes on"
        [handed] = logged(running.output, "call.handed_over")
        assert handed["exit_code"] == -signal.SIGKILL
        await eventually(lambda: logged(running.output, "call.ended"))
        [ended] = logged(running.output, "call.ended")
        assert (ended["outcome"], ended["detail"]) == ("ended", "caller_left")


@contextlib.asynccontextmanager
async def two_workers(
    folder: Path, settings: Settings, simulator: Simulator
) -> AsyncIterator[tuple[str, dict[int, tuple[str, Path]]]]:
    """Two workers and a token server on one database; yields the server's address, and health and log by process."""
    livekit, udp, *health = free_ports(4)
    settings = settings.model_copy(update={"livekit_port": livekit, "livekit_udp_port": udp})
    async with own_livekit(settings) as access:
        environment = own_environment(
            write_agent(folder, MODELS),
            folder / "split",
            {
                **simulator.environment,
                "LIVEKIT_URL": access.url,
                "LIVEKIT_API_KEY": access.key,
                "LIVEKIT_API_SECRET": access.secret,
                "REPARTEE_SESSION_PROCESSES": "1",
                "REPARTEE_WARM_PROCESSES": "0",
            },
        )
        started, workers = [], {}
        try:
            for port in health:
                log = folder / f"worker-{port}.log"
                worker = await spawn(["worker"], {**environment, "REPARTEE_WORKER_PORT": str(port)}, log)
                started.append(worker)
                await answers(f"http://127.0.0.1:{port}/readyz", worker, log)
                workers[worker.pid] = (f"http://127.0.0.1:{port}", log)
            serve = await spawn(["serve"], environment, folder / "serve.log")
            started.append(serve)
            url = f"http://127.0.0.1:{environment['REPARTEE_PORT']}"
            await answers(f"{url}/healthz", serve, folder / "serve.log")
            yield url, workers
        finally:
            for process in started:
                with contextlib.suppress(ProcessLookupError):
                    process.send_signal(signal.SIGTERM)
            await asyncio.gather(*(process.wait() for process in started))


@pytest.mark.timeout(170)
@pytest.mark.long
async def test_a_worker_that_is_gone_leaves_its_calls_to_the_other(
    speech: Path, tmp_path: Path, plain_settings: Settings
) -> None:
    async with (
        Simulator.start(SimulatorConfig(profile=PROFILE, speech=speech)) as simulator,
        two_workers(tmp_path, plain_settings, simulator) as (url, workers),
    ):
        async with calling(url) as caller:
            [dead] = [pid for pid, (_, log) in workers.items() if logged(log, "call.started")]
            [(_, other)] = [worker for pid, worker in workers.items() if pid != dead]

            def kill() -> None:
                for process in [*psutil.Process(dead).children(recursive=True), psutil.Process(dead)]:
                    process.kill()

            waited_s = await interrupted_by_a_kill(caller, speech / QUESTION, kill)
            await caller.wait_for_quiet(0.9, 30)
            assert any("we were cut off for a moment" in text for text in caller.captions("agent"))
            exchange = await caller.exchange(speech / QUESTION)
        assert waited_s < 20, "the dead are in the room for 21 s, and not waited for"
        assert "are there any workshops about gemini" in exchange.reply
        assert len(logged(other, "call.adopted")) == 1
    await eventually(lambda: not processes_with(str(tmp_path / "split")))
