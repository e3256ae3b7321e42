"""What calls of one process share, and what each has for itself."""

from __future__ import annotations

import os
from pathlib import Path

import httpx2
import numpy as np
import pytest
from aiohttp import web

from repartee.errors import ConfigError
from repartee.providers import connections
from repartee.providers.metered_http import MeteredClient
from repartee.providers.metering import Meter
from repartee.session.agents import agent_of
from repartee.session.listening import voice_model
from repartee.session.voice import SAMPLE_RATE_HZ, WINDOW
from repartee.simulator.audio import read_audio


def test_each_call_has_its_own_memory_of_one_model(speech: Path) -> None:
    pcm = read_audio(speech / "aiewf" / "turn_001.flac", SAMPLE_RATE_HZ)
    windows = [pcm[at : at + WINDOW].tobytes() for at in range(0, len(pcm) - WINDOW, WINDOW)]
    alone = voice_model()
    expected = [alone(window) for window in windows]
    one, other = voice_model(), voice_model()
    noise = np.random.default_rng(0).normal(0, 3000, WINDOW).astype(np.int16).tobytes()
    found = []
    for window in windows:
        other(noise)
        found.append(one(window))
    assert found == expected, "what another call hears is nothing to this one"
    assert max(expected) > 0.9


def test_an_agent_is_read_once_and_again_when_it_changes(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("name: A\npersona: You are A.\ngreeting: Hello.\n")
    first = agent_of(file)
    assert agent_of(file) is first
    file.write_text("name: B\npersona: You are A.\ngreeting: Hello.\n")
    os.utime(file, ns=(1, 1))
    assert agent_of(file).name == "B"
    tools = tmp_path / "tools.py"
    tools.write_text("")
    assert agent_of(file) is not first
    file.write_text("name: B\n")
    os.utime(file, ns=(2, 2))
    with pytest.raises(ConfigError, match="'greeting' is missing"):
        agent_of(file)


async def test_calls_share_connections_and_none_closes_them(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    peers: list[int] = []

    async def answer(request: web.Request) -> web.Response:
        assert request.transport is not None
        peers.append(request.transport.get_extra_info("peername")[1])
        return web.json_response({})

    app = web.Application()
    app.router.add_get("/v1/models", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1/models"
    try:
        for _ in range(3):
            async with MeteredClient(Meter(), "openai") as client:
                assert (await client.get(url)).status_code == httpx2.codes.OK
    finally:
        await runner.cleanup()
    assert len(set(peers)) == 1, "the second call finds the connection of the first open"


async def test_behind_a_proxy_each_client_finds_its_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:3128")
    assert "transport" not in connections.shared()
