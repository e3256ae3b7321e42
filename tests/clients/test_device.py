"""The device client without sound hardware: how it asks for calls and comes back, and what it does with an echo."""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import io
import sys
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest
from aiohttp import web

from tests.conftest import ROOT

FOLDER = ROOT / "clients" / "device"
PLACE = {"server_url": "ws://127.0.0.1:9", "participant_token": "t1"}
SPEECH_HZ = 48_000


@pytest.fixture(scope="module")
def client() -> Any:
    spec = importlib.util.spec_from_file_location("repartee_device", FOLDER / "device.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    vars(module)["BACKOFF_S"] = (0.0, 0.0)
    return module


class Server:
    """Answers as it is told, and keeps what it was asked."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, dict[str, str]]] = []
        self.asked: list[tuple[str, dict[str, Any], str | None]] = []
        self.url = ""

    async def answer(self, request: web.Request) -> web.Response:
        self.asked.append((request.path, await request.json(), request.headers.get("Authorization")))
        status, body = self.answers.pop(0)
        return web.json_response(body, status=status)


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    made = Server()
    app = web.Application()
    app.router.add_post("/api/{_}", made.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield made
    await runner.cleanup()


def device(client: Any, server: Server, *outcomes: Any, wake: list[str] | None = None) -> Any:
    """A device whose calls end as given: over, only the connection lost, or an error."""
    options = argparse.Namespace(url=server.url, wake=wake, no_aec=True, volume=80)
    made, left = client.Device(options, "rptd_key"), list(outcomes)

    async def call(place: dict[str, str]) -> bool:
        outcome = left.pop(0)
        if isinstance(outcome, BaseException):
            raise outcome
        return bool(outcome)

    made.call = call
    return made


async def test_a_call_that_is_over_is_over(client: Any, server: Server) -> None:
    server.answers = [(200, PLACE)]
    await device(client, server, True).run()
    assert server.asked == [("/api/token", {}, "Bearer rptd_key")]


async def test_a_lost_connection_is_made_again_in_the_same_call(client: Any, server: Server) -> None:
    server.answers = [(200, PLACE), (200, {**PLACE, "participant_token": "t2"}), (503, {}), (200, PLACE)]
    await device(client, server, False, OSError("the microphone is gone"), True).run()
    assert [(path, body) for path, body, _ in server.asked] == [
        ("/api/token", {}),
        ("/api/rejoin", {"participant_token": "t1"}),
        ("/api/rejoin", {"participant_token": "t2"}),
        ("/api/rejoin", {"participant_token": "t2"}),
    ]


async def test_a_call_that_ended_meanwhile_is_begun_anew(client: Any, server: Server) -> None:
    server.answers = [(200, PLACE), (410, {}), (409, {}), (429, {}), (200, PLACE)]
    await device(client, server, False, True).run()
    assert [path for path, _, _ in server.asked] == ["/api/token", "/api/rejoin", *["/api/token"] * 3]


@pytest.mark.parametrize("status", [401, 403])
async def test_a_device_that_is_refused_gives_up(
    client: Any, server: Server, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    server.answers = [(200, PLACE), (status, {}), (status, {})]
    with pytest.raises(SystemExit) as ended:
        await device(client, server, False).run()
    assert ended.value.code == 2
    assert "refuses this device" in capsys.readouterr().err
    assert len(server.asked) == 3, (
        "its call may be over while it is still welcome: it asks for a new one first"
    )


async def test_it_sleeps_until_it_is_woken(
    client: Any, server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    server.answers = [(200, PLACE), (200, PLACE), (401, {})]
    with pytest.raises(SystemExit):
        await device(client, server, True, True, wake=[sys.executable, "-c", ""]).run()
    assert capsys.readouterr().out.split() == ["asleep", "connecting"] * 3


async def test_a_wake_command_that_fails_makes_no_calls(
    client: Any, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    troubled = asyncio.Event()

    def show(state: str) -> None:
        if state == "trouble":
            troubled.set()

    monkeypatch.setattr(client, "show", show)
    made = device(client, server, wake=[sys.executable, "-c", "raise SystemExit(3)"])
    running = asyncio.ensure_future(made.run())
    await asyncio.wait_for(troubled.wait(), 20)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert server.asked == []


@pytest.mark.parametrize("url", ["http://voice.example", "ftp://voice.example"])
async def test_a_key_is_sent_over_https_only(client: Any, monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("REPARTEE_DEVICE_KEY", "rptd_key")
    monkeypatch.setattr(sys, "argv", ["device.py", url])
    monkeypatch.setattr(sys, "stderr", said := io.StringIO())
    with pytest.raises(SystemExit):
        await client.main()
    assert "over https only" in said.getvalue()


def speech(seconds: float, seed: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Syllables of noise and a voice's tone: as loud and as uneven as speech."""
    at_s = np.arange(int(seconds * SPEECH_HZ)) / SPEECH_HZ
    noise = np.random.default_rng(seed).normal(0, 1, len(at_s))
    tone = sum(np.sin(2 * np.pi * 140 * n * at_s) / n for n in range(1, 20))
    return np.asarray((noise * 0.5 + tone) * (np.sin(2 * np.pi * 1.7 * at_s + seed) > 0) * 1500)


def residue(client: Any, *, aec: bool) -> float:
    """Return how loud the loudspeaker is in what is sent, against what the microphone heard; after 3 s, in dB."""
    sound = client.Sound(aec=aec, volume=100)
    far, delay = speech(8, 1), 70 * SPEECH_HZ // 1000
    air = np.zeros(len(far) + delay + client.FRAME)
    came, sent = [], []
    for at in range(0, len(far) - client.FRAME, client.FRAME):
        sound.heard.append(far[at : at + client.FRAME].astype(np.int16).tobytes())
        near = air[at : at + client.FRAME]
        played, frame = sound.step(near.astype(np.int16).tobytes())
        air[at + delay : at + delay + client.FRAME] += np.frombuffer(played, np.int16) * 0.4
        came.append(near)
        sent.append(np.frombuffer(bytes(frame.data), np.int16).astype(np.float64))
    since = 3 * SPEECH_HZ // client.FRAME
    heard, left = np.concatenate(came[since:]), np.concatenate(sent[since:])
    return float(10 * np.log10((left**2).mean() / (heard**2).mean()))


async def test_the_loudspeaker_s_echo_is_taken_out(client: Any) -> None:
    assert residue(client, aec=False) == pytest.approx(0, abs=0.1)
    assert residue(client, aec=True) < -20


async def test_nothing_is_sent_while_the_echo_is_learned(client: Any) -> None:
    sound, loud = client.Sound(aec=True), b"\x01\x10" * 480
    sound._learning = client.LEARNING
    room = np.random.default_rng(1).normal(0, 3000, (client.LEARNING + 20, client.FRAME)).astype(np.int16)
    silent = [not any(sound.step(near.tobytes())[1].data) for near in room[:10]]
    for near in room[10:]:
        sound.heard.append(loud)
        silent.append(not any(sound.step(near.tobytes())[1].data))
    assert not any(silent[:10]), "before the agent's first word, who speaks is heard"
    assert sum(silent) == client.LEARNING
    assert not any(silent[-5:]), "2 s of sound, once"


async def test_who_speaks_after_a_short_greeting_is_heard(client: Any) -> None:
    sound, near = client.Sound(aec=True), np.full(client.FRAME, 3000, np.int16).tobytes()
    sound._learning = client.LEARNING
    sound.heard.extend([b"\x01\x10" * 480] * 10)
    silent = [not any(bytes(sound.step(near)[1].data)) for _ in range(60)]
    assert silent[:39] == [True] * 39, "the greeting, and its echo"
    assert not all(silent[39:]), "though the echo is not known yet"


async def test_the_loudspeaker_waits_for_a_few_frames_and_never_falls_behind(client: Any) -> None:
    sound, quiet, loud = client.Sound(aec=False, volume=100), bytes(960), b"\x01\x10" * 480
    sound.heard.append(loud)
    assert sound.step(quiet)[0] == quiet, "one frame is no voice yet"
    sound.heard.extend([loud] * 2)
    assert [sound.step(quiet)[0] for _ in range(4)] == [loud, loud, loud, quiet]
    sound.heard.extend([loud] * 100)
    assert len(sound.heard) == 12, "what is late is left out: 120 ms at most"
    sound.volume = 50
    assert np.frombuffer(sound.step(quiet)[0], np.int16)[0] == 0x1001 // 2


def test_it_is_as_small_as_it_says() -> None:
    lines = [line for line in (FOLDER / "device.py").read_text().splitlines() if line.strip()]
    assert len(lines) <= 150
    assert "150 lines" in (FOLDER / "README.md").read_text()
