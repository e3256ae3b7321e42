"""Two workers on one PostgreSQL; a call that is killed while the database is away loses none of its books."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import httpx

from repartee.cli.instance import answers, free_ports, own_environment, spawn
from repartee.cli.livekit import own_livekit
from repartee.settings import Settings
from repartee.simulator.kills import open_timelines
from repartee.store import Store
from tests import postgres
from tests.billing import compare
from tests.system.helpers import GEMINI, MCP, answer_to, calling, processes_with, simulate, write_agent

MODELS = "models: {stt: 'openai:gpt-4o-mini-transcribe', llm: 'openai:gpt-4.1-mini', tts: 'openai:gpt-4o-mini-tts'}"


def in_call(state_dir: Path) -> int:
    """Return the process that has a call."""
    for pid in processes_with(str(state_dir)):
        if open_timelines(pid, state_dir / "calls"):
            return pid
    raise AssertionError("no process of this worker has a call")


async def test_two_workers_and_a_killed_call(
    speech: Path, tmp_path: Path, plain_settings: Settings, database: postgres.Server
) -> None:
    livekit, udp, *health = free_ports(4)
    settings = plain_settings.model_copy(update={"livekit_port": livekit, "livekit_udp_port": udp})
    agent, url = write_agent(tmp_path, f"{MODELS}\ncache: {{prepare_voice: false}}"), database.new_database()
    async with own_livekit(settings) as access, simulate(speech) as simulator:
        shared = {
            **simulator.environment,
            "LIVEKIT_URL": access.url,
            "LIVEKIT_API_KEY": access.key,
            "LIVEKIT_API_SECRET": access.secret,
            "REPARTEE_DATABASE_URL": url,
            "REPARTEE_MAX_CALLS": "1",
        }
        states = [tmp_path / name for name in ("serve", "one", "two")]
        environments = [
            own_environment(agent, state, shared | {"REPARTEE_WORKER_PORT": str(port)})
            for state, port in zip(states, (0, *health), strict=True)
        ]
        commands = (["serve"], ["worker"], ["worker"])
        logs = [tmp_path / f"{state.name}.log" for state in states]
        processes = [
            await spawn(command, environment, log)
            for command, environment, log in zip(commands, environments, logs, strict=True)
        ]
        page = f"http://127.0.0.1:{environments[0]['REPARTEE_PORT']}"
        try:
            await answers(f"{page}/healthz", processes[0], logs[0])
            for process, port, log in zip(processes[1:], health, logs[1:], strict=True):
                await answers(f"http://127.0.0.1:{port}/readyz", process, log)
            async with calling(page) as ann, calling(page) as bob:
                for port in health:
                    metrics = (await asyncio.to_thread(httpx.get, f"http://127.0.0.1:{port}/metrics")).text
                    assert "repartee_calls_active 1" in metrics, "each worker has one of the calls"
                await asyncio.to_thread(database.stop)
                heard = await asyncio.gather(
                    ann.exchange(speech / "aiewf" / "turn_001.flac"),
                    bob.exchange(speech / "aiewf" / "turn_003.flac"),
                )
                session = in_call(states[1])
                # The worker first, or it would have another of its processes go on with the call.
                processes[1].kill()
                await processes[1].wait()
                os.kill(session, signal.SIGKILL)
                await asyncio.to_thread(database.start)
        finally:
            for process in processes:
                if process.returncode is None:
                    process.send_signal(signal.SIGTERM)
            codes = await asyncio.gather(*(process.wait() for process in processes))
        store = Store.open(url, spool=states[1] / "spool")
        try:
            store.replay(states[2] / "spool")
            before = {kept.call.call_id for kept in store.calls(10) if kept.call.ended_at}
            assert store.replay() > 0, "the killed call's rows were in its journal"
            calls = {kept.call.call_id: kept for kept in store.calls(10)}
            said = {one: [t.user_text for t in store.turns(one) if t.user_text] for one in calls}
            ledger = compare(store.usage_rows(), simulator.desk.bill)
            assert store.replay() == 0
        finally:
            store.close()
    assert codes == [0, -signal.SIGKILL, 0]
    replies = [exchange.reply for exchange in heard]
    assert replies == [answer_to(GEMINI), answer_to(MCP)], "no call waits for the database"
    assert len(calls) == 2
    assert sorted(said.values()) == [
        [GEMINI],
        [MCP],
    ]
    (killed,) = set(calls) - before
    assert calls[killed].call.ended_at is None, "it has no end: so a call is known that crashed"
    assert calls[killed].cost > 0
    assert ledger.problems == []
