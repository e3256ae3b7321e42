"""Every verb of the fault proxy as real clients meet it: the OpenAI SDK, httpx, websockets, Pipecat's services."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import io
import json
import time
from collections.abc import AsyncIterator
from email.utils import parsedate_to_datetime
from itertools import pairwise
from typing import Any

import httpx
import httpx2
import numpy as np
import openai
import pytest
import soundfile as sf
import websockets
from aiohttp import web
from openai import AsyncOpenAI
from pipecat.frames.frames import EndFrame, ErrorFrame, Frame, TTSAudioRawFrame, TTSSpeakFrame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.services.cartesia.tts import CartesiaTTSService
from pipecat.services.elevenlabs.tts import ElevenLabsTTSService
from pipecat.services.openai.tts import OpenAITTSService
from pipecat.workers.runner import WorkerRunner
from websockets.asyncio.client import ClientConnection, connect

from repartee.errors import ConfigError
from repartee.simulator.faults import Fault, FaultProxy, Match, Plan
from repartee.simulator.providers import Simulator, SimulatorConfig
from repartee.simulator.providers.voices import speak

TEXT = "Good morning this is a sentence."
ITS_AUDIO = speak(TEXT, 24_000).tobytes()
CARTESIA = "/tts/websocket?api_key=k"
ELEVEN = "/v1/text-to-speech/v/multi-stream-input?output_format=pcm_24000&api_key=k"


@pytest.fixture
async def proxy() -> AsyncIterator[FaultProxy]:
    config = SimulatorConfig(profile="instant")
    async with Simulator.start(config) as simulator, FaultProxy.start(simulator.url) as proxy:
        yield proxy


@pytest.fixture
async def client(proxy: FaultProxy) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(api_key="k", base_url=f"{proxy.url}/v1", max_retries=0, timeout=10) as client:
        yield client


def broken(proxy: FaultProxy, verb: str, match: Match | None = None, **arguments: Any) -> None:
    proxy.plan = Plan((Fault.of(verb, match, **arguments),))


async def chat(client: AsyncOpenAI, **more: Any) -> list[str]:
    """Ask; return the pieces of the answer."""
    stream = await client.chat.completions.create(
        model="gpt-4.1-mini", messages=[{"role": "user", "content": "Hello there"}], stream=True, **more
    )
    async with stream:
        return [chunk.choices[0].delta.content async for chunk in stream if chunk.choices[0].delta.content]


async def voice(client: AsyncOpenAI) -> bytes:
    response = await client.audio.speech.create(
        input=TEXT, model="tts-1", voice="alloy", response_format="pcm"
    )
    return response.read()


async def listen(client: AsyncOpenAI, got: bytearray) -> None:
    """Take a voice as it comes."""
    async with client.audio.speech.with_streaming_response.create(
        input=TEXT, model="tts-1", voice="alloy", response_format="pcm"
    ) as response:
        async for chunk in response.iter_bytes(100):
            got += chunk


async def transcribe(client: AsyncOpenAI) -> str:
    file = io.BytesIO()
    sf.write(file, np.zeros(48_000, np.int16), 16_000, format="WAV", subtype="PCM_16")
    answer = await client.audio.transcriptions.create(file=("a.wav", file.getvalue()), model="whisper-1")
    return answer.text


@contextlib.asynccontextmanager
async def cartesia(proxy: FaultProxy) -> AsyncIterator[ClientConnection]:
    async with connect(
        proxy.url.replace("http", "ws") + CARTESIA, ping_interval=None, close_timeout=1
    ) as socket:
        yield socket


async def speak_on(socket: ClientConnection) -> list[dict[str, Any]]:
    await socket.send(json.dumps({"context_id": "c", "transcript": TEXT, "continue": False}))
    messages = []
    async with asyncio.timeout(10):
        async for message in socket:
            messages.append(json.loads(message))
            if messages[-1]["done"]:
                break
    return messages


def audio_of(messages: list[dict[str, Any]]) -> bytes:
    return b"".join(base64.b64decode(m["data"], validate=True) for m in messages if m["type"] == "chunk")


class TestNothingWrong:
    async def test_everything_passes_as_it_is(self, proxy: FaultProxy, client: AsyncOpenAI) -> None:
        assert "".join(await chat(client)).endswith("Is there anything else?")
        assert await voice(client) == ITS_AUDIO
        assert await transcribe(client) == ""
        assert (await client.models.list()).data
        async with cartesia(proxy) as socket:
            assert audio_of(await speak_on(socket)) == ITS_AUDIO
        assert not proxy.strikes

    async def test_the_vendor_s_refusals_pass(self, proxy: FaultProxy) -> None:
        async with AsyncOpenAI(api_key="wrong", base_url=f"{proxy.url}/v1", max_retries=0) as client:
            with pytest.raises(openai.AuthenticationError):
                await client.models.list()
        with pytest.raises(websockets.InvalidStatus) as refused:
            async with connect(proxy.url.replace("http", "ws") + "/tts/websocket"):
                pass
        assert refused.value.response.status_code == 401

    async def test_a_vendor_that_is_not_there_is_a_bad_gateway(self) -> None:
        async with (
            FaultProxy.start("http://127.0.0.1:9") as proxy,
            AsyncOpenAI(api_key="k", base_url=f"{proxy.url}/v1", max_retries=0) as client,
        ):
            with pytest.raises(openai.InternalServerError) as failed:
                await client.models.list()
        assert failed.value.status_code == 502

    async def test_what_cannot_be_stood_before_is_said(self) -> None:
        with pytest.raises(ConfigError, match=r"'api\.openai\.com' is no address"):
            async with FaultProxy.start("api.openai.com"):
                pass

    async def test_a_client_that_leaves_leaves_at_the_vendor(self) -> None:
        gone = asyncio.Event()

        async def hang(_: web.Request) -> web.Response:
            try:
                await asyncio.Event().wait()
            finally:
                gone.set()
            return web.Response()

        app = web.Application()
        app.router.add_get("/", hang)
        runner = web.AppRunner(app, handler_cancellation=True)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        async with FaultProxy.start(f"http://127.0.0.1:{runner.addresses[0][1]}") as proxy:
            async with httpx.AsyncClient(timeout=0.3) as client:
                with pytest.raises(httpx.ReadTimeout):
                    await client.get(proxy.url)
            async with asyncio.timeout(5):
                await gone.wait()
        await runner.cleanup()


class TestWhoIsHit:
    async def test_requests_are_counted_by_what_they_are_for(
        self, proxy: FaultProxy, client: AsyncOpenAI
    ) -> None:
        proxy.plan = Plan((Fault.of("status", Match(stage="llm"), first=2, last=3, code=500),))
        ends = []
        for _ in range(4):
            await voice(client)  # no request of this stage
            try:
                await chat(client)
                ends.append("ok")
            except openai.InternalServerError:
                ends.append("500")
        assert ends == ["ok", "500", "500", "ok"]
        assert [(s.verb, s.ordinal) for s in proxy.strikes] == [("status", 2), ("status", 3)]

    async def test_a_realtime_socket_is_the_model_s_or_hears_only(self, proxy: FaultProxy) -> None:
        broken(proxy, "status", Match(stage="llm"), code=500)
        url, key = f"{proxy.url.replace('http', 'ws')}/v1/realtime", {"Authorization": "Bearer k"}
        with pytest.raises(websockets.InvalidStatus):
            await connect(f"{url}?model=gpt-realtime", additional_headers=key)
        async with connect(f"{url}?intent=transcription", additional_headers=key) as socket:
            assert json.loads(await socket.recv())["session"]["type"] == "transcription"
        assert [strike.path for strike in proxy.strikes] == ["/v1/realtime"]

    async def test_a_new_plan_counts_anew(self, proxy: FaultProxy, client: AsyncOpenAI) -> None:
        for _ in range(2):
            proxy.plan = Plan((Fault.of("status", first=1, last=1, code=503),))
            with pytest.raises(openai.InternalServerError):
                await chat(client)
            assert await chat(client)


class TestConnections:
    @pytest.mark.parametrize("verb", ["refuse", "tls_fail"])
    async def test_refused(self, proxy: FaultProxy, client: AsyncOpenAI, verb: str) -> None:
        broken(proxy, verb)
        with pytest.raises(openai.APIConnectionError):
            await chat(client)
        with pytest.raises((OSError, websockets.InvalidHandshake, websockets.InvalidMessage)):
            async with cartesia(proxy):
                pass
        assert len(proxy.strikes) == 2

    async def test_refused_is_a_reset(self, proxy: FaultProxy) -> None:
        broken(proxy, "refuse")
        host, port = proxy.url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        with pytest.raises(ConnectionResetError):
            await reader.read()
        writer.close()

    @pytest.mark.parametrize("verb", ["accept_hang", "blackhole"])
    async def test_nothing_is_answered(self, proxy: FaultProxy, client: AsyncOpenAI, verb: str) -> None:
        broken(proxy, verb)
        with pytest.raises(openai.APITimeoutError):
            await chat(client.with_options(timeout=0.3))

    async def test_a_socket_hangs_in_its_handshake(self, proxy: FaultProxy) -> None:
        broken(proxy, "accept_hang")
        with pytest.raises(TimeoutError):
            async with connect(proxy.url.replace("http", "ws") + CARTESIA, open_timeout=0.3):
                pass

    async def test_a_socket_in_a_black_hole_opens_and_answers_no_ping(self, proxy: FaultProxy) -> None:
        broken(proxy, "blackhole")
        async with cartesia(proxy) as socket:
            await socket.send("{}")
            pong = await socket.ping()
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(pong, 0.3)

    async def test_a_silent_socket_answers_pings_and_nothing_else(self, proxy: FaultProxy) -> None:
        broken(proxy, "silent", after=1)
        async with cartesia(proxy) as socket:
            await socket.send(json.dumps({"context_id": "c", "transcript": TEXT, "continue": False}))
            assert json.loads(await asyncio.wait_for(socket.recv(), 5))["type"] == "timestamps"
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(socket.recv(), 0.3)
            await asyncio.wait_for(await socket.ping(), 5)

    async def test_a_silent_answer_begins_and_stays_away(
        self, proxy: FaultProxy, client: AsyncOpenAI
    ) -> None:
        broken(proxy, "silent")
        # The SDK lets its transport's errors through while a stream is read.
        with pytest.raises((httpx2.ReadTimeout, openai.APITimeoutError)):
            await chat(client.with_options(timeout=0.5))

    async def test_bounded_silence_ends(self, proxy: FaultProxy, client: AsyncOpenAI) -> None:
        broken(proxy, "accept_hang", for_s=0.1)
        with pytest.raises(openai.APIConnectionError):
            await chat(client)


class TestCuts:
    async def test_audio_is_cut_after_so_many_bytes(self, proxy: FaultProxy, client: AsyncOpenAI) -> None:
        broken(proxy, "reset_after", bytes=10_000)
        got = bytearray()
        with pytest.raises((httpx2.HTTPError, openai.APIConnectionError)):
            await listen(client, got)
        assert ITS_AUDIO.startswith(got)
        assert len(got) <= 10_000

    async def test_a_share_of_the_answer_arrives(self, proxy: FaultProxy) -> None:
        broken(proxy, "reset_after", share=0.4)
        host, port = proxy.url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        body = json.dumps({"input": TEXT, "response_format": "pcm"}).encode()
        head = f"POST /v1/audio/speech HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer k\r\nContent-Length: {len(body)}"
        writer.write(f"{head}\r\nContent-Type: application/json\r\n\r\n".encode() + body)
        got = b""
        with contextlib.suppress(ConnectionResetError):
            while data := await reader.read(1 << 16):
                got += data
        writer.close()
        assert not got.endswith(b"0\r\n\r\n"), "it does not look complete"
        assert len(got) < 0.45 * len(ITS_AUDIO)

    async def test_an_upload_is_cut(self, proxy: FaultProxy, client: AsyncOpenAI) -> None:
        broken(proxy, "reset_after", of="request", bytes=20_000)
        with pytest.raises(openai.APIConnectionError):
            await transcribe(client)

    async def test_a_socket_is_cut_while_it_is_spoken_to(self, proxy: FaultProxy) -> None:
        broken(proxy, "reset_after", of="request", bytes=200)
        async with cartesia(proxy) as socket:
            for _ in range(4):
                await socket.send(json.dumps({"context_id": "c", "transcript": "a", "continue": True}))
            with pytest.raises(websockets.ConnectionClosedError) as closed:
                await asyncio.wait_for(socket.recv(), 5)
        assert closed.value.rcvd is None, "no close frame came"

    @pytest.mark.parametrize("code", [1008, 1011, 1012])
    async def test_a_socket_is_closed_with_a_code(self, proxy: FaultProxy, code: int) -> None:
        broken(proxy, "close", code=code, after=2, reason="bye")
        async with cartesia(proxy) as socket:
            await socket.send(json.dumps({"context_id": "c", "transcript": TEXT, "continue": False}))
            for _ in range(2):
                await asyncio.wait_for(socket.recv(), 5)
            with pytest.raises(websockets.ConnectionClosedError) as closed:
                await asyncio.wait_for(socket.recv(), 5)
        assert closed.value.rcvd is not None
        assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (code, "bye")

    async def test_a_socket_is_closed_without_a_word(self, proxy: FaultProxy) -> None:
        broken(proxy, "close", code=1006, after=1)
        async with cartesia(proxy) as socket:
            with pytest.raises(websockets.ConnectionClosedError) as closed:
                await speak_on(socket)
        assert closed.value.rcvd is None

    async def test_an_answer_ends_early_as_if_complete(self, proxy: FaultProxy, client: AsyncOpenAI) -> None:
        broken(proxy, "close", after=3)
        assert len(await chat(client)) == 3

    @pytest.mark.parametrize(
        ("code", "error"),
        [(429, openai.RateLimitError), (500, openai.InternalServerError), (503, openai.InternalServerError)],
    )
    async def test_an_error_of_http(
        self, proxy: FaultProxy, client: AsyncOpenAI, code: int, error: type[openai.APIStatusError]
    ) -> None:
        broken(proxy, "status", code=code, retry_after_s=7)
        with pytest.raises(error) as failed:
            await chat(client)
        assert failed.value.status_code == code
        assert failed.value.response.headers["Retry-After"] == "7"
        with pytest.raises(websockets.InvalidStatus) as refused:
            async with cartesia(proxy):
                pass
        assert refused.value.response.status_code == code

    async def test_what_is_open_is_cut_and_the_next_is_not(self, proxy: FaultProxy) -> None:
        async with cartesia(proxy) as socket:
            await socket.ping()
            assert proxy.cut(Match(stage="llm")) == 0
            assert proxy.cut(Match(provider="cartesia")) == 1
            with pytest.raises(websockets.ConnectionClosedError):
                await asyncio.wait_for(socket.recv(), 5)
        async with cartesia(proxy) as socket:
            assert audio_of(await speak_on(socket)) == ITS_AUDIO


class TestTime:
    async def test_what_is_open_is_held(self, proxy: FaultProxy) -> None:
        async with cartesia(proxy) as socket:
            await asyncio.wait_for(await socket.ping(), 5)
            began = time.monotonic()
            assert proxy.hold(Match(stage="tts"), 0.4) == 1
            assert audio_of(await speak_on(socket)) == ITS_AUDIO
        assert time.monotonic() - began >= 0.38

    async def test_a_stream_stalls(self, proxy: FaultProxy, client: AsyncOpenAI) -> None:
        broken(proxy, "stall", after=5, for_s=0.4)
        stream = await client.chat.completions.create(
            model="gpt-4.1-mini", messages=[{"role": "user", "content": "Hello"}], stream=True
        )
        came = [time.monotonic() async for _ in stream]
        waits = [later - sooner for sooner, later in pairwise(came)]
        assert max(waits) >= 0.38
        assert waits.index(max(waits)) == 4, "between the fifth event and the sixth"

    async def test_an_answer_is_slow(self, proxy: FaultProxy, client: AsyncOpenAI) -> None:
        broken(proxy, "slow", bytes_per_s=len(ITS_AUDIO) * 2)
        began = time.monotonic()
        assert await voice(client) == ITS_AUDIO
        assert time.monotonic() - began >= 0.49

    async def test_jitter_delays_and_keeps_the_order(self, proxy: FaultProxy) -> None:
        broken(proxy, "jitter", ms=60)
        began = time.monotonic()
        async with cartesia(proxy) as socket:
            messages = await speak_on(socket)
        assert audio_of(messages) == ITS_AUDIO
        # Uniform from nothing to 60 ms: so many pieces cannot all be prompt.
        assert time.monotonic() - began > 0.01 * len(messages)

    async def test_a_clock_is_off(self, proxy: FaultProxy) -> None:
        broken(proxy, "clock_skew", seconds=-3600)
        async with httpx.AsyncClient(headers={"Authorization": "Bearer k"}) as http:
            answer = await http.get(f"{proxy.url}/v1/models")
        behind_s = time.time() - parsedate_to_datetime(answer.headers["Date"]).timestamp()
        assert 3590 < behind_s < 3610
        assert len(answer.headers.get_list("Date")) == 1


class TestContent:
    @pytest.mark.parametrize("what", ["json", "truncate", "utf8"])
    async def test_a_chunk_is_damaged(self, proxy: FaultProxy, client: AsyncOpenAI, what: str) -> None:
        broken(proxy, "corrupt", what=what, after=2)
        with pytest.raises(
            ValueError, match=r"codec|JSON|Expecting|delimiter|control character|Unterminated"
        ):
            await chat(client)

    async def test_a_body_is_damaged(self, proxy: FaultProxy, client: AsyncOpenAI) -> None:
        broken(proxy, "corrupt", what="json")
        with pytest.raises((ValueError, openai.APIError)):
            await client.models.list()

    async def test_a_message_is_no_base64(self, proxy: FaultProxy) -> None:
        broken(proxy, "corrupt", what="base64", after=1)
        async with cartesia(proxy) as socket:
            messages = await speak_on(socket)
        chunks = [m["data"] for m in messages if m["type"] == "chunk"]
        with pytest.raises(ValueError, match="base64"):
            base64.b64decode(chunks[0], validate=True)
        assert base64.b64decode(chunks[1], validate=True)

    async def test_a_message_is_no_utf8(self, proxy: FaultProxy) -> None:
        broken(proxy, "corrupt", what="utf8")
        async with cartesia(proxy) as socket:
            with pytest.raises((UnicodeDecodeError, websockets.ConnectionClosedError)):
                await speak_on(socket)

    @pytest.mark.parametrize("factor", [0.5, 2.0])
    async def test_audio_of_another_rate(self, proxy: FaultProxy, client: AsyncOpenAI, factor: float) -> None:
        broken(proxy, "wrong_rate", factor=factor)
        assert len(await voice(client)) == pytest.approx(len(ITS_AUDIO) / factor, rel=0.01)
        async with cartesia(proxy) as socket:
            assert len(audio_of(await speak_on(socket))) == pytest.approx(len(ITS_AUDIO) / factor, rel=0.01)

    async def test_audio_is_silence(self, proxy: FaultProxy, client: AsyncOpenAI) -> None:
        broken(proxy, "zero_audio")
        assert await voice(client) == bytes(len(ITS_AUDIO))
        async with cartesia(proxy) as socket:
            assert audio_of(await speak_on(socket)) == bytes(len(ITS_AUDIO))

    async def test_audio_does_not_come(self, proxy: FaultProxy, client: AsyncOpenAI) -> None:
        broken(proxy, "zero_audio", what="nothing")
        assert await voice(client) == b""
        async with cartesia(proxy) as socket:
            messages = await speak_on(socket)
        assert [m["type"] for m in messages] == ["timestamps", "done"]

    async def test_events_come_twice(self, proxy: FaultProxy, client: AsyncOpenAI) -> None:
        whole = await chat(client)
        broken(proxy, "duplicate", after=1, many=2)
        assert await chat(client) == [whole[0], whole[1], whole[1], whole[2], whole[2], *whole[3:]]

    async def test_events_change_places(self, proxy: FaultProxy, client: AsyncOpenAI) -> None:
        whole = await chat(client)
        broken(proxy, "reorder", after=1)
        assert await chat(client) == [whole[0], whole[2], whole[1], *whole[3:]]


class Ear(FrameProcessor):
    """The end of a pipeline: what came out of it."""

    def __init__(self) -> None:
        super().__init__()
        self.audio = b""
        self.errors: list[str] = []
        self.changed = asyncio.Event()

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, TTSAudioRawFrame):
            self.audio += frame.audio
        self.changed.set()
        await self.push_frame(frame, direction)


def stock(proxy: FaultProxy, vendor: str) -> Any:
    """Return stock Pipecat's voice of a vendor."""
    socket = proxy.url.replace("http", "ws")
    match vendor:
        case "cartesia":
            settings = CartesiaTTSService.Settings(model="sonic-3", voice="v")
            return CartesiaTTSService(api_key="k", url=f"{socket}/tts/websocket", settings=settings)
        case "elevenlabs":
            named = ElevenLabsTTSService.Settings(model="eleven_flash_v2_5", voice="v")
            return ElevenLabsTTSService(api_key="k", url=socket, settings=named)
    return OpenAITTSService(
        api_key="k",
        base_url=f"{proxy.url}/v1",
        settings=OpenAITTSService.Settings(model="gpt-4o-mini-tts", voice="alloy"),
    )


async def spoken_by_pipecat(proxy: FaultProxy, vendor: str = "openai") -> tuple[bytes, list[str]]:
    """Return the audio and the errors of stock Pipecat's voice speaking a text."""
    ear = Ear()
    worker = PipelineWorker(
        Pipeline([stock(proxy, vendor), ear]),
        params=PipelineParams(audio_out_sample_rate=24_000),
        idle_timeout_secs=None,
    )

    @worker.event_handler("on_pipeline_error")  # type: ignore[untyped-decorator]
    async def failed(_: object, frame: ErrorFrame) -> None:
        ear.errors.append(frame.error)

    await worker.queue_frames([TTSSpeakFrame(TEXT), EndFrame()])
    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)
    await asyncio.wait_for(runner.run(), 30)
    return ear.audio, ear.errors


class TestPipecat:
    @pytest.mark.parametrize("vendor", ["openai", "cartesia", "elevenlabs"])
    async def test_its_voices_without_a_fault(self, proxy: FaultProxy, vendor: str) -> None:
        audio, errors = await spoken_by_pipecat(proxy, vendor)
        assert len(audio) == pytest.approx(len(ITS_AUDIO), rel=0.02)
        assert errors == []

    async def test_its_voice_fails(self, proxy: FaultProxy) -> None:
        broken(proxy, "status", Match(stage="tts"), code=400)
        audio, errors = await spoken_by_pipecat(proxy)
        assert audio == b""
        assert errors

    async def test_its_voice_is_cut(self, proxy: FaultProxy) -> None:
        broken(proxy, "close", Match(stage="tts"), after=5)
        audio, _ = await spoken_by_pipecat(proxy)
        assert 0 < len(audio) < len(ITS_AUDIO) / 2

    @pytest.mark.parametrize("vendor", ["cartesia", "elevenlabs"])
    async def test_its_socket_speaks_at_double_speed(self, proxy: FaultProxy, vendor: str) -> None:
        broken(proxy, "wrong_rate", Match(provider=vendor), factor=2.0)
        audio, _ = await spoken_by_pipecat(proxy, vendor)
        assert len(audio) == pytest.approx(len(ITS_AUDIO) / 2, rel=0.05)

    @pytest.mark.parametrize("vendor", ["cartesia", "elevenlabs"])
    async def test_its_socket_is_closed_while_it_speaks(self, proxy: FaultProxy, vendor: str) -> None:
        broken(proxy, "close", Match(provider=vendor), last=1, code=1011, after=4)
        audio, _ = await spoken_by_pipecat(proxy, vendor)
        assert len(audio) < len(ITS_AUDIO) * 0.9, "what was left is lost with the socket"
        assert proxy.strikes[0].verb == "close"
