"""A wrong start is ended at the vendor, and never holds up the right one."""

from __future__ import annotations

import asyncio
import io
import threading
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import soundfile as sf
from aiohttp import web
from openai import AsyncOpenAI

from repartee.providers.ondevice import host
from repartee.simulator.providers import Simulator, SimulatorConfig


def wav(seconds: float) -> bytes:
    buffer = io.BytesIO()
    sf.write(buffer, np.zeros(int(16_000 * seconds), np.int16), 16_000, format="WAV")
    return buffer.getvalue()


@pytest.mark.parametrize("stage", ["stt", "llm", "tts"])
async def test_a_cancelled_request_is_ended_at_the_vendor(stage: str) -> None:
    config = SimulatorConfig(profile="fixed:9000/9000/9000")
    async with Simulator.start(config) as simulator:
        client = AsyncOpenAI(api_key="x", base_url=f"{simulator.url}/v1", max_retries=0)
        work: Any = {
            "stt": lambda: client.audio.transcriptions.create(file=("a.wav", wav(1.0)), model="whisper-1"),
            "llm": lambda: client.chat.completions.create(
                model="gpt-4.1-mini", messages=[{"role": "user", "content": "hello"}], stream=True
            ),
            "tts": lambda: client.audio.speech.create(
                input="hello", model="tts-1", voice="alloy", response_format="pcm"
            ),
        }[stage]
        request = asyncio.create_task(work())
        async with asyncio.timeout(10):
            while not simulator.desk.waiting:  # noqa: ASYNC110 - nothing announces it
                await asyncio.sleep(0.01)
            request.cancel()
            await asyncio.gather(request, return_exceptions=True)
            while not simulator.desk.bill.entries:  # noqa: ASYNC110 - nothing announces it
                await asyncio.sleep(0.01)
        (entry,) = simulator.desk.bill.entries
        await client.close()
    assert (entry.stage, entry.outcome, entry.tokens_out) == (stage, "cancelled", 0)


class Whisper:
    """An inference that cannot be stopped half way: it ends when it is let."""

    supported_languages = ("en",)

    def __init__(self, *_: Any, **__: Any) -> None:
        self.begun = threading.Semaphore(0)
        self.first = threading.Event()
        self.calls = 0

    def transcribe(self, *_: Any, **__: Any) -> Any:
        self.calls += 1
        self.begun.release()
        if self.calls == 1:
            self.first.wait(20)
        return [], None


async def test_a_cancelled_inference_does_not_block_the_next(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    whisper = Whisper()
    monkeypatch.setattr(host, "WhisperModel", lambda *_, **__: whisper)
    monkeypatch.setattr(host, "SentenceModel", lambda *_: None)
    served = host.Host()
    app = web.Application()
    app.router.add_post("/v1/audio/transcriptions", served._transcribe)
    runner = web.AppRunner(app, handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1/audio/transcriptions"
    try:
        async with httpx.AsyncClient(timeout=15) as client:
            first = asyncio.create_task(client.post(url, files={"file": ("a.wav", wav(1.0))}))
            assert await asyncio.to_thread(whisper.begun.acquire, timeout=10)
            first.cancel()
            await asyncio.gather(first, return_exceptions=True)
            answer = await client.post(url, files={"file": ("a.wav", wav(1.0))})
        assert answer.json() == {"text": ""}
        assert not whisper.first.is_set(), "the first inference is still running"
        assert served._waiting == 0
    finally:
        whisper.first.set()
        await runner.cleanup()
        served._executor.shutdown(wait=True)
