"""Readers of what vendors answer, and the simulator's readers of what is sent to vendors."""

from __future__ import annotations

import struct
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from repartee.providers.metered_http import _Call, _read_chat, wav_seconds
from repartee.providers.metering import Meter
from repartee.providers.tool_calls import harmless, outcome
from repartee.simulator.providers import Simulator, SimulatorConfig
from repartee.telemetry.redaction import Redactor
from repartee.telemetry.usage import Stage
from tests.fuzz.made import filled, lines, text, values, words
from tests.fuzz.target import LOOP, Target

CHUNK = {
    "id": "1",
    "choices": [
        {
            "delta": {
                "content": "Hi",
                "tool_calls": [{"index": 0, "function": {"name": "a", "arguments": "{"}}],
            }
        }
    ],
    "usage": {"prompt_tokens": 3, "completion_tokens": 4, "prompt_tokens_details": {"cached_tokens": 1}},
}
ASKED = {
    "model": "gpt",
    "messages": [{"role": "user", "content": "Hi"}],
    "tools": [],
    "input": "Hello",
    "voice": "x",
}
STAGES: tuple[Stage, ...] = ("stt", "llm", "tts", "embedding")


def metered(case: tuple[Stage, bytes, list[bytes], int]) -> None:
    stage, body, parts, status = case
    told: list[Any] = []
    call = _Call(Meter(told.append, lambda: 0.0), "openai", stage, body)
    if call.answered(status):
        for part in parts:
            call.received(part)
        call.end("done")
    (usage,) = told
    assert all(
        isinstance(value, Decimal) and value.is_finite() and value >= 0 for value in usage.quantities.values()
    )


def wav(case: tuple[bytes, int, int, bytes]) -> None:
    before, rate, size, after = case
    made = before + b"RIFF\x00\x00\x00\x00WAVEfmt " + struct.pack("<IHHIIHH", 16, 1, 1, rate, rate, 2, 16)
    seconds = wav_seconds(made + b"data" + struct.pack("<I", size) + after)
    assert seconds is None or seconds >= 0
    wav_seconds(before + after)


def logged(case: tuple[str, Any]) -> None:
    redactor = Redactor(("a known secret",))
    line = redactor.processor(None, "info", {"event": case[0], "value": case[1]})
    assert "a known secret" not in repr(line)
    assert isinstance(redactor.text(case[0]), str)


class _Tool:
    def __init__(self, result: Any) -> None:
        self._result = result

    async def call(self, *_: Any) -> Any:
        return self._result


def result(value: Any) -> None:
    harmless(value)
    LOOP.run(outcome(_Tool(value), {}, None, None))  # type: ignore[arg-type]


class _Vendors:
    """One simulator, asked over HTTP and sockets."""

    def __init__(self) -> None:
        self._opened: Any = None
        self._session: Any = None
        self.url = ""

    async def session(self) -> Any:
        import aiohttp

        if self._session is None:
            self._opened = Simulator.start(SimulatorConfig(port=0, profile="instant"))
            self.url = (await self._opened.__aenter__()).url
            self._session = aiohttp.ClientSession()
        return self._session

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            await self._opened.__aexit__(None, None, None)
            self._session = None


VENDORS = _Vendors()
PATHS = (
    "/v1/chat/completions",
    "/v1/audio/speech",
    "/v1/audio/transcriptions",
    "/v1/embeddings",
    "/v1/no-such",
)


def http(case: tuple[str, bytes]) -> None:
    async def ask() -> None:
        session = await VENDORS.session()
        path, body = case
        headers = {"Authorization": "Bearer k", "Content-Type": "application/json"}
        async with session.post(f"{VENDORS.url}{path}", data=body, headers=headers) as response:
            await response.read()
            assert response.status < 500, f"{path} answers {response.status}"

    LOOP.run(ask())


SOCKETS = (
    "/v1/text-to-speech/voice/multi-stream-input?model_id=m",
    "/tts/websocket?api_key=k&cartesia_version=1",
    "/v1/realtime?intent=transcription",
)
MESSAGES = lines(
    {"text": "Hello there. ", "context_id": "1", "flush": True, "close_context": True, "close_socket": False},
    {"context_id": "1", "model_id": "m", "transcript": "Hi.", "continue": True, "cancel": False,
     "output_format": {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 24000}, "voice": {"id": "v"}},
    {"type": "input_audio_buffer.append", "audio": "AAAA"},
    {"type": "input_audio_buffer.commit"},
    {"type": "session.update", "session": {"audio": {"input": {"transcription": {"model": "m"}}}}},
)  # fmt: skip


def socket(case: tuple[str, list[bytes]]) -> None:
    async def talk() -> None:
        import aiohttp

        session = await VENDORS.session()
        path, messages = case
        headers = {"Authorization": "Bearer k", "xi-api-key": "k", "X-API-Key": "k"}
        async with session.ws_connect(f"{VENDORS.url}{path}", headers=headers) as socket:
            for message in messages:
                try:
                    await socket.send_str(message.decode("utf-8", "replace"))
                except aiohttp.ClientConnectionError:
                    break
            await socket.close()
            assert socket.close_code != 1011, "the vendor broke"

    LOOP.run(talk())


sse = st.lists(
    st.one_of(
        lines(CHUNK).map(lambda made: b"data: " + made + b"\n\n"),
        filled(CHUNK).map(lambda made: f"data: {made}\n\n".encode("utf-8", "replace")),
        st.just(b"data: [DONE]\n\n"),
        st.binary(max_size=60),
    ),
    max_size=6,
)
TARGETS = [
    Target(
        "answers of model servers",
        st.tuples(st.sampled_from(STAGES), lines(ASKED), sse, st.sampled_from((200, 206, 400, 429, 500))),
        metered,
        40,
        fixed=frozenset(STAGES),
    ),
    Target("streams of a model", sse.map(b"".join), _read_chat, 40),
    Target(
        "recordings in uploads",
        st.tuples(
            st.binary(max_size=30),
            st.integers(0, 2**32 - 1),
            st.integers(0, 2**32 - 1),
            st.binary(max_size=60),
        ),
        wav,
        70,
    ),
    Target("results of tools", values, result, 40),
    Target("lines of the log", st.tuples(st.one_of(text, words), values), logged, 40),
    Target("simulated vendors, HTTP", st.tuples(st.sampled_from(PATHS), lines(ASKED)), http, 10, vary=False),
    Target(
        "simulated vendors, sockets",
        st.tuples(st.sampled_from(SOCKETS), st.lists(MESSAGES, max_size=5)),
        socket,
        6,
        vary=False,
    ),
]
