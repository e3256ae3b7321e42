"""The parts on their own: a LiveKit server, `repartee serve` and `repartee worker`, each a process."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import httpx

from repartee.cli.instance import answers, free_ports, own_environment, spawn
from repartee.cli.livekit import own_livekit
from repartee.settings import Settings
from repartee.simulator.providers import Simulator, SimulatorConfig
from tests.system.helpers import calling, eventually, processes_with, write_agent


def metric(url: str, name: str) -> float:
    lines = httpx.get(f"{url}/metrics").text.splitlines()
    return next((float(line.split()[-1]) for line in lines if line.startswith(name + " ")), -1.0)


async def test_serve_and_worker_are_separate(speech: Path, tmp_path: Path, plain_settings: Settings) -> None:
    livekit, udp, health = free_ports(3)
    settings = plain_settings.model_copy(update={"livekit_port": livekit, "livekit_udp_port": udp})
    agent = write_agent(tmp_path)
    config = SimulatorConfig(profile="fixed:60/60/60", speech=speech)
    async with own_livekit(settings) as access, Simulator.start(config) as simulator:
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
    assert "are there any workshops about gemini" in exchange.reply
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
        environment = own_environment(write_agent(tmp_path), tmp_path / "state", variables)
        for command in ("serve", "worker", "up"):
            log = tmp_path / f"{command}.log"
            process = await spawn([command], environment, log)
            assert await asyncio.wait_for(process.wait(), 60) != 0
            said = log.read_text()
            assert "refuses the key; check LIVEKIT_API_KEY and LIVEKIT_API_SECRET" in said
            assert "Traceback" not in said
    assert secret == 0o600
