"""The parts on their own: a LiveKit server, `repartee serve` and `repartee worker`, each a process."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import httpx

from repartee.cli.instance import answers, free_ports, own_environment, spawn
from repartee.cli.livekit import own_livekit
from repartee.settings import Settings
from tests.system.helpers import GEMINI, answer_to, calling, eventually, processes_with, simulate, write_agent


def metric(url: str, name: str) -> float:
    lines = httpx.get(f"{url}/metrics").text.splitlines()
    return next((float(line.split()[-1]) for line in lines if line.startswith(name + " ")), -1.0)


async def test_serve_and_worker_are_separate(speech: Path, tmp_path: Path, plain_settings: Settings) -> None:
    livekit, udp, health = free_ports(3)
    settings = plain_settings.model_copy(update={"livekit_port": livekit, "livekit_udp_port": udp})
    agent = write_agent(tmp_path)
    async with own_livekit(settings) as access, simulate(speech) as simulator:
        variables = {
            **simulator.environment,
            "LIVEKIT_URL": access.url,
            "LIVEKIT_API_KEY": access.key,
            "LIVEKIT_API_SECRET": access.secret,
            "REPARTEE_WORKER_PORT": str(health),
        }
        environment = own_environment(agent, tmp_path / "split", variables)
        serve = await spawn(["serve"], environment, tmp_path / "serve.log")
        worker = await spawn(["worker"], environment, tmp_path / "worker.log")
        url, health_url = f"http://127.0.0.1:{environment['REPARTEE_PORT']}", f"http://127.0.0.1:{health}"
        try:
            await answers(f"{url}/healthz", serve, tmp_path / "serve.log")
            await answers(f"{health_url}/readyz", worker, tmp_path / "worker.log")
            async with calling(url) as caller:
                exchange = await caller.exchange(speech / "aiewf" / "turn_001.flac")
                assert metric(health_url, "repartee_calls_active") == 1
            await eventually(lambda: metric(health_url, "repartee_calls_active") == 0)
            assert metric(health_url, "repartee_calls_started_total") == 1
            assert metric(health_url, "repartee_worker_registered") == 1
        finally:
            for process in (serve, worker):
                if process.returncode is None:
                    process.send_signal(signal.SIGTERM)
            codes = await asyncio.gather(serve.wait(), worker.wait())
    assert exchange.reply == answer_to(GEMINI)
    assert set(codes) == {0}
    await eventually(lambda: not processes_with(str(tmp_path / "split")))


async def test_a_wrong_livekit_key_is_said(tmp_path: Path, plain_settings: Settings) -> None:
    livekit, udp = free_ports(2)
    settings = plain_settings.model_copy(update={"livekit_port": livekit, "livekit_udp_port": udp})
    async with own_livekit(settings) as access:
        secret = (settings.state_dir / "livekit.json").stat().st_mode & 0o777
        variables = {
            "LIVEKIT_URL": access.url,
            "LIVEKIT_API_KEY": access.key,
            "LIVEKIT_API_SECRET": "x" * 40,
            "REPARTEE_WORKER_PORT": "0",
        }
        agent, commands = write_agent(tmp_path), ("serve", "worker", "up")
        logs = [tmp_path / f"{command}.log" for command in commands]
        processes = [
            await spawn([command], own_environment(agent, tmp_path / command, variables), log)
            for command, log in zip(commands, logs, strict=True)
        ]
        codes = await asyncio.gather(*(asyncio.wait_for(process.wait(), 60) for process in processes))
        assert all(codes), codes
        for log in logs:
            said = log.read_text()
            assert "refuses the key; check LIVEKIT_API_KEY and LIVEKIT_API_SECRET" in said
            assert "Traceback" not in said
    assert secret == 0o600
