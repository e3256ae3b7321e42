"""Every request reports what it used, once, however it ends."""

from __future__ import annotations

import asyncio
import io
import json
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import httpx
import numpy as np
import openai
import pytest
import soundfile as sf
from aiohttp import web
from openai import AsyncOpenAI
from pipecat.frames.frames import TTSAudioRawFrame

from repartee.providers.brevity import MAX_TOKENS, Brevity, shorten
from repartee.providers.frames import VoiceLostFrame
from repartee.providers.metered_http import MeteredClient, MeteredHostClient, wav_seconds
from repartee.providers.metering import AGAIN, Density, Meter, TokenUsage, about
from repartee.providers.services import SharedClientLLM, SmallChunkTTS
from repartee.providers.voice_cache import VoiceCache
from repartee.providers.voices import Sound
from repartee.simulator.providers import Simulator, SimulatorConfig
from repartee.simulator.providers.desk import Fault
from repartee.telemetry.usage import Usage


def wav(seconds: float) -> bytes:
    buffer = io.BytesIO()
    sf.write(buffer, np.zeros(int(16_000 * seconds), np.int16), 16_000, format="WAV")
    return buffer.getvalue()


class Desk:
    """A client whose usages are kept, talking to the simulator."""

    def __init__(self, url: str) -> None:
        self.usages: list[Usage] = []
        self.meter = Meter(self.usages.append)
        self.client = AsyncOpenAI(
            api_key="k", base_url=f"{url}/v1", max_retries=0, http_client=MeteredClient(self.meter, "openai")
        )

    async def chat(self, text: str = "Hello", *, pieces: int | None = None) -> None:
        """Ask; stop after so many pieces of the answer."""
        stream = await self.client.chat.completions.create(
            model="gpt-4.1-mini",
            messages=[{"role": "user", "content": text}],
            stream=True,
            stream_options={"include_usage": True},
        )
        async with stream:
            count = 0
            async for chunk in stream:
                count += bool(chunk.choices and chunk.choices[0].delta.content)
                if count == pieces:
                    break


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    async with Simulator.start(SimulatorConfig(profile="instant")) as simulator:
        yield simulator


@pytest.fixture
async def desk(simulator: Simulator) -> AsyncIterator[Desk]:
    desk = Desk(simulator.url)
    yield desk
    await desk.client.close()


async def until(what: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not what():  # noqa: ASYNC110 - nothing announces what is waited for
            await asyncio.sleep(0.002)


async def test_a_chat_reports_what_the_model_counted(desk: Desk, simulator: Simulator) -> None:
    with about(reply_id=7, attempt=2):
        await desk.chat()
    (usage,), (entry,) = desk.usages, simulator.desk.bill.entries
    assert usage.quantities == {"tokens_in": entry.tokens_in, "tokens_out": entry.tokens_out}
    assert (usage.stage, usage.provider, usage.model) == ("llm", "openai", "gpt-4.1-mini")
    assert (usage.outcome, usage.estimated, usage.billed) == ("done", False, True)
    assert (usage.reply_id, usage.attempt, usage.purpose) == (7, 2, "turn")
    assert usage.request_id == entry.request_id, "the vendor's log and ours can be laid side by side"
    assert usage.ended_at_ms >= usage.started_at_ms > 0


async def test_a_chat_that_is_cut_is_reckoned_from_what_came(desk: Desk, simulator: Simulator) -> None:
    simulator.desk.profile = simulator.desk.profile.__class__(
        simulator.desk.profile.stt, simulator.desk.profile.llm, simulator.desk.profile.tts, tokens_per_s=100
    )
    await desk.chat("Hello there, how are you today?")
    await desk.chat("Hello there, how are you this fine evening?", pieces=3)
    whole, cut = desk.usages
    await until(lambda: len(simulator.desk.bill.entries) == 2)
    entry = simulator.desk.bill.entries[1]
    assert (cut.outcome, cut.estimated, whole.estimated) == ("cancelled", True, False)
    assert cut.quantities["tokens_out"] == 3
    assert abs(entry.tokens_in - cut.quantities["tokens_in"]) <= 1


async def test_a_request_that_is_refused_or_never_left_costs_nothing(
    desk: Desk, simulator: Simulator
) -> None:
    simulator.desk.faults.append(Fault("llm", "rate_limit", 1))
    with pytest.raises(openai.RateLimitError):
        await desk.chat()
    away = Desk("http://127.0.0.1:9")
    with pytest.raises(openai.APIConnectionError):
        await away.chat()
    await away.client.close()
    refused, unsent = desk.usages[0], away.usages[0]
    assert (refused.outcome, refused.billed) == ("failed", False)
    assert refused.quantities, "what was asked is known all the same"
    assert (unsent.outcome, unsent.billed, unsent.quantities) == ("failed", False, {})


async def test_a_request_cancelled_before_it_left_costs_nothing(desk: Desk, simulator: Simulator) -> None:
    asking = asyncio.create_task(desk.chat())
    await asyncio.sleep(0)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    assert simulator.desk.bill.entries == []
    assert [(u.outcome, u.billed, u.quantities) for u in desk.usages] in ([], [("cancelled", False, {})])


async def test_a_request_cancelled_while_the_vendor_works_is_charged_for_what_it_was_asked(
    desk: Desk, simulator: Simulator
) -> None:
    simulator.desk.faults.append(Fault("llm", "stall", 1))
    asking = asyncio.create_task(desk.chat())
    await until(lambda: simulator.desk.waiting)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    await until(lambda: simulator.desk.bill.entries)
    (usage,), (entry,) = desk.usages, simulator.desk.bill.entries
    assert (usage.outcome, usage.billed, usage.estimated) == ("cancelled", True, True)
    assert usage.quantities == {"tokens_in": entry.tokens_in}


async def test_what_is_on_its_way_at_the_end_of_a_call_is_reported(desk: Desk, simulator: Simulator) -> None:
    simulator.desk.faults.append(Fault("llm", "stall", 1))
    asking = asyncio.create_task(desk.chat())
    await until(lambda: simulator.desk.waiting)
    desk.meter.close()
    assert [usage.outcome for usage in desk.usages] == ["cancelled"]
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    assert len(desk.usages) == 1, "told once"


async def test_a_transcription_is_charged_by_the_second_that_was_sent(
    desk: Desk, simulator: Simulator
) -> None:
    with about(piece_id=3):
        await desk.client.audio.transcriptions.create(
            model="whisper-1", file=("a.wav", wav(1.5), "audio/wav")
        )
    simulator.desk.faults.append(Fault("stt", "stall", 1))
    asking = asyncio.create_task(
        desk.client.audio.transcriptions.create(model="whisper-1", file=("a.wav", wav(2.25), "audio/wav"))
    )
    await until(lambda: simulator.desk.waiting)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    first, second = desk.usages
    assert (first.model, first.piece_id, first.quantities) == ("whisper-1", 3, {"audio_s": Decimal("1.5")})
    assert (second.outcome, second.billed, second.quantities) == (
        "cancelled",
        True,
        {"audio_s": Decimal("2.25")},
    )


async def test_purposes_are_said_by_who_asks(desk: Desk) -> None:
    with about(purpose="summary"):
        await desk.client.chat.completions.create(model="m", messages=[{"role": "user", "content": "Hi"}])
    (usage,) = desk.usages
    assert (usage.purpose, usage.outcome, usage.estimated) == ("summary", "done", False)
    assert usage.quantities["tokens_out"] > 0


async def test_the_same_name_again_is_another_request(desk: Desk) -> None:
    with about(name="clause"):
        await desk.chat()
        await desk.chat()
    assert [usage.request_id for usage in desk.usages] == ["clause", f"clause{AGAIN}2"]


async def served(handler: Any) -> tuple[web.AppRunner, str]:
    app = web.Application()
    app.router.add_post("/v1/{tail:.*}", handler)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=1.0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    return runner, f"http://127.0.0.1:{runner.addresses[0][1]}"


async def test_cached_tokens_are_counted_and_a_cut_stream_is_taken_to_have_as_many() -> None:
    usage = {
        "prompt_tokens": 2000,
        "completion_tokens": 6,
        "total_tokens": 2006,
        "prompt_tokens_details": {"cached_tokens": 1024},
    }

    async def stream(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await answer.prepare(request)
        for text in ("", "Good ", "morning", "."):
            delta = {"choices": [{"index": 0, "delta": {"content": text}}]}
            await answer.write(f"data: {json.dumps(delta)}\n\n".encode())
        if b"cut" in await request.read():
            await asyncio.Event().wait()
        await answer.write(f"data: {json.dumps({'choices': [], 'usage': usage})}\n\n".encode())
        await answer.write(b"data: [DONE]\n\n")
        return answer

    runner, url = await served(stream)
    desk = Desk(url)
    text = "word " * 1500
    await desk.chat(text)
    await desk.chat(text[:-4] + "cut ", pieces=2)
    await desk.client.close()
    await runner.cleanup()
    whole, cut = desk.usages
    assert whole.quantities == {"tokens_in": 2000, "tokens_cached": 1024, "tokens_out": 6}
    assert cut.quantities == {"tokens_in": 2000, "tokens_cached": 1024, "tokens_out": 4}, (
        "three pieces were six tokens, so two are four"
    )


async def test_a_server_that_tells_no_tokens_is_reckoned() -> None:
    async def stream(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await answer.prepare(request)
        for text in ("Good ", "morning."):
            delta = {"choices": [{"index": 0, "delta": {"content": text}}]}
            await answer.write(f"data: {json.dumps(delta)}\n\n".encode())
        await answer.write(b"data: [DONE]\n\n")
        return answer

    runner, url = await served(stream)
    desk = Desk(url)
    await desk.chat("x" * 400)
    await desk.client.close()
    await runner.cleanup()
    (usage,) = desk.usages
    assert (usage.outcome, usage.estimated) == ("done", True)
    assert usage.quantities["tokens_out"] == 2
    assert 100 <= usage.quantities["tokens_in"] <= 120


@pytest.mark.parametrize(("told", "tokens"), [({"usage": {"prompt_tokens": 9}}, 9), ({}, 4)])
async def test_embeddings_are_counted(told: dict[str, Any], tokens: int) -> None:
    async def embed(_: web.Request) -> web.Response:
        return web.json_response({"data": [{"embedding": [0.0]}], **told})

    runner, url = await served(embed)
    usages: list[Usage] = []
    async with MeteredHostClient(Meter(usages.append), "on-device", base_url=url) as client:
        await client.post("/v1/embeddings", json={"model": "small", "input": ["what time", "is it"]})
        await client.get("/v1/models")
    await runner.cleanup()
    (usage,) = usages
    assert (usage.stage, usage.provider, usage.model) == ("embedding", "on-device", "small")
    assert usage.quantities == {"tokens_in": Decimal(tokens)}
    assert usage.estimated == (not told)


async def test_a_host_that_is_away_is_told_too() -> None:
    usages: list[Usage] = []
    async with MeteredHostClient(Meter(usages.append), "on-device", base_url="http://127.0.0.1:9") as client:
        with pytest.raises(httpx.ConnectError):
            await client.post("/v1/embeddings", json={"model": "small", "input": "x"})
    assert [(u.outcome, u.billed, u.quantities) for u in usages] == [("failed", False, {})]


class TestVoice:
    def voice(self, desk: Desk, cache: VoiceCache | None = None) -> SmallChunkTTS:
        voice = SmallChunkTTS(
            desk.client, cache, settings=SmallChunkTTS.Settings(model="tts-1", voice="alloy")
        )
        voice.create_task = lambda work, *_: asyncio.create_task(work)  # type: ignore[method-assign]
        voice._sample_rate = 24_000

        async def nothing(*_: Any, **__: Any) -> None: ...

        voice.start_tts_usage_metrics = voice.stop_ttfb_metrics = nothing  # type: ignore[method-assign]
        return voice

    async def test_a_clause_is_charged_by_its_characters_and_a_kept_one_is_free(
        self, desk: Desk, simulator: Simulator, tmp_path: Path
    ) -> None:
        voice = self.voice(desk, VoiceCache(tmp_path, "v"))
        told: list[tuple[int | None, str, str | None]] = []
        voice.on_spoken = lambda *spoken: told.append(spoken)
        voice.reply_id = 4
        for _ in range(2):
            frames = [frame async for frame in voice.run_tts("Thank you.", "c")]
            assert frames
        (usage,) = desk.usages
        assert (usage.stage, usage.reply_id) == ("tts", 4)
        assert usage.quantities == {"characters": Decimal(10)}
        assert told == [(4, "Thank you.", usage.request_id), (4, "Thank you.", None)]
        assert len(simulator.desk.bill.entries) == 1

    async def test_a_clause_asked_for_ahead_belongs_to_its_reply(self, desk: Desk) -> None:
        voice = self.voice(desk)
        voice.reply_id = 4
        voice.prefetch("The next reply.", 5)
        assert [frame async for frame in voice.run_tts("The next reply.", "c")]
        (usage,) = desk.usages
        assert usage.reply_id == 5

    async def test_what_has_come_is_handed_on_at_once_and_in_larger_pieces_the_further_it_is_ahead(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Each piece has a long way through the pipeline, and the listener hears but one second in a second."""
        voice, coming = self.voice(desk), asyncio.Queue[bytes | None]()

        async def speak(*_: Any) -> AsyncGenerator[Sound]:
            while (pcm := await coming.get()) is not None:
                yield Sound(pcm, 0)

        monkeypatch.setattr(voice._speaker[1], "speak", speak)
        monkeypatch.setattr("repartee.providers.services.time", SimpleNamespace(monotonic=lambda: 100.0))
        lengths_ms = list[int]()

        async def hear() -> None:
            async for frame in voice.run_tts("A long sentence.", "c"):
                lengths_ms.append(len(cast("TTSAudioRawFrame", frame).audio) // 48)

        hearing = asyncio.create_task(hear())
        for _ in range(60):  # 40 ms each; no time passes meanwhile
            coming.put_nowait(bytes(1920))
            for _ in range(10):
                await asyncio.sleep(0)
        coming.put_nowait(None)
        await hearing
        assert lengths_ms[:3] == [40, 40, 40]
        assert lengths_ms[-3:-1] == [200, 200], "and no longer"
        assert sum(lengths_ms) == 60 * 40, "all of it"
        assert sorted(lengths_ms[:-1]) == lengths_ms[:-1], "each as long as the one before, or longer"

    async def test_a_voice_no_faster_than_it_is_heard_is_never_waited_for(self, desk: Desk) -> None:
        voice = self.voice(desk)
        began_s = time.monotonic() - 10
        assert voice._least_s(10 * 48_000, began_s) == 0
        assert voice._least_s(0, 0.0) == 0

    async def test_a_stream_that_breaks_is_an_error_and_no_endless_wait(
        self, desk: Desk, simulator: Simulator
    ) -> None:
        """The SDK raises errors of httpx2, not httpx, from a stream that breaks."""
        simulator.desk.faults.append(Fault("tts", "cut", 2))
        async with asyncio.timeout(10):
            frames = [
                frame async for frame in self.voice(desk).run_tts("A long sentence, cut in the middle.", "c")
            ]
        assert isinstance(frames[0], TTSAudioRawFrame)
        assert isinstance(frames[-1], VoiceLostFrame)
        assert [(usage.outcome, usage.billed) for usage in desk.usages] == [("failed", True)] * 2, (
            "what had been made was made"
        )


def test_usage_is_asked_for_in_every_stream() -> None:
    service = SharedClientLLM(AsyncOpenAI(api_key="k"), settings=SharedClientLLM.Settings(model="m"))
    params = service.build_chat_completion_params({"messages": []})
    assert params["stream_options"] == {"include_usage": True}


@pytest.mark.parametrize(
    ("wanted", "reply_id", "short"), [(True, 3, True), (False, 3, False), (True, None, False)]
)
def test_only_replies_are_kept_short_and_only_when_they_must(
    *, wanted: bool, reply_id: int | None, short: bool
) -> None:
    service = SharedClientLLM(
        AsyncOpenAI(api_key="k"), Brevity(lambda: wanted), settings=SharedClientLLM.Settings(model="m")
    )
    with about(reply_id=reply_id):
        asked: Any = {"messages": [{"role": "user", "content": "Hi"}]}
        params = service.build_chat_completion_params(asked)
    assert (params["max_tokens"] == MAX_TOKENS, len(params["messages"])) == (short, 2 if short else 1)


def test_a_lower_bound_that_is_there_stays() -> None:
    params = {"messages": [], "max_tokens": 20}
    shorten(params, Brevity(lambda: True))
    assert params["max_tokens"] == 20


@pytest.mark.parametrize("seconds", [0.1, 1.0, 3.3])
def test_the_length_of_an_upload_is_read_from_its_head(seconds: float) -> None:
    body = b'--x\r\nContent-Disposition: form-data; name="model"\r\n\r\nm\r\n--x\r\n\r\n' + wav(seconds)
    assert wav_seconds(body) == Decimal(str(seconds))


@pytest.mark.parametrize("body", [b"", b"RIFF", b"ID3 no wave at all", wav(1.0)[:30], wav(1.0)[:40]])
def test_what_is_no_wave_has_no_length(body: bytes) -> None:
    assert wav_seconds(body) is None


def test_a_prompt_is_reckoned_from_the_last_that_was_counted() -> None:
    density = Density()
    assert density.reckon(399, 0) == TokenUsage(100, 0, 0), "four characters a token, where nothing is known"
    density.learn(1000, TokenUsage(400, 128, 30), 10)
    assert density.reckon(1000, 4) == TokenUsage(400, 128, 12)
    assert density.reckon(1100, 0) == TokenUsage(440, 128, 0), "the rest is as dense as what was counted"
    assert density.reckon(10, 0).tokens_in >= 1
