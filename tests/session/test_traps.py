"""Pipecat's traps, one by one: each default that loses time, memory or facts is shown closed."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar, cast

import pytest
from livekit import rtc
from pipecat.frames.frames import Frame, InterimTranscriptionFrame
from pipecat.pipeline.worker import PipelineWorker
from pipecat.processors.aggregators.llm_response_universal import LLMUserAggregator
from pipecat.processors.audio.audio_buffer_processor import AudioBufferProcessor
from pydantic import SecretStr

from repartee.agent import ToolContext, load_agent
from repartee.providers import Ladder, Rung, reconnecting
from repartee.providers.kit import ProviderKit
from repartee.providers.prices import load_prices
from repartee.providers.realtime import FinalizingRealtimeSTT
from repartee.providers.reconnecting import Reconnecting
from repartee.providers.transcribers import PiecewiseSTT
from repartee.session.assembly import Assembly
from repartee.session.keeping import Keeping
from repartee.session.media_events import CallerAudio
from repartee.session.room import RoomClient, RoomHooks, RoomTransport
from repartee.session.scoring import turn_scorer
from repartee.session.session import Session
from repartee.session.spec import SessionSpec
from repartee.settings import Settings
from repartee.store import Store
from tests.conftest import FRONT_DESK

CONTEXT = ToolContext("call", None, Path("nowhere"))


def kit_for(stt: str, tts: str) -> ProviderKit:
    settings = Settings(_env_file=None).model_copy(  # type: ignore[call-arg]
        update={
            "openai_api_key": SecretStr("k"),
            "elevenlabs_api_key": SecretStr("k"),
            "cartesia_api_key": SecretStr("k"),
        }
    )
    rungs = (Rung("stt", stt, "m", ""), Rung("llm", "openai", "m", ""), Rung("tts", tts, "m", ""))
    return ProviderKit(settings, load_agent(FRONT_DESK), Ladder(*rungs), None)


def hooks(said: list[Any] | None = None) -> RoomHooks:
    events = [] if said is None else said
    return RoomHooks(
        caller_ready=lambda who: events.append(("ready", who)),
        call_over=lambda why: events.append(("over", why)),
        chat=lambda text: events.append(("chat", text)),
        network=lambda what: events.append(("network", what)),
        sensitivity=lambda to: events.append(("sensitivity", to)),
        lost=lambda _: events.append("lost"),
        returned=lambda: events.append("returned"),
    )


@pytest.fixture
async def worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PipelineWorker:
    """A session's pipeline, assembled as a call assembles it, not run."""
    built: list[PipelineWorker] = []

    async def stop_here(_: Session, parts: Assembly) -> str:
        built.append(parts.worker)
        return "stopped"

    monkeypatch.setattr(Session, "_drive", stop_here)
    monkeypatch.setenv("LLM_BASE_URL", "http://127.0.0.1:9/v1")
    spec = SessionSpec("c", "r", "ws://x", "t", "agent", FRONT_DESK, None, tmp_path, "http://127.0.0.1:9")
    settings = Settings(_env_file=None)  # type: ignore[call-arg]
    kept = Keeping(Store.open(f"sqlite:///{tmp_path / 'calls.db'}"), load_prices())
    await Session(spec, settings, kept, asyncio.Event(), lambda *_: None).run()
    kept.store.close()
    return built[0]


def processors(worker: PipelineWorker) -> list[Any]:
    found: list[Any] = []
    waiting: list[Any] = list(worker._pipeline.processors)
    while waiting:
        processor = waiting.pop()
        found.append(processor)
        waiting += getattr(processor, "processors", [])
    return found


def room_of_ann(said: list[Any]) -> RoomClient:
    client = RoomTransport("ws://x", "t", "r", hooks=hooks(said), caller_identity=None).client
    client._caller = "ann"
    return client


def caller_who_left(reason: rtc.DisconnectReason.ValueType) -> rtc.RemoteParticipant:
    ann = SimpleNamespace(
        identity="ann", kind=rtc.ParticipantKind.PARTICIPANT_KIND_STANDARD, disconnect_reason=reason
    )
    return cast("rtc.RemoteParticipant", ann)


async def test_trap_1_silence_does_not_cancel_the_call(worker: PipelineWorker) -> None:
    assert worker._idle_timeout_secs is None
    assert worker._cancel_runner_on_idle_timeout is False


async def test_trap_2_and_16_we_watch_the_caller_leave_ourselves() -> None:
    said: list[Any] = []
    client = room_of_ann(said)
    client._on_left(caller_who_left(rtc.DisconnectReason.CLIENT_INITIATED))
    client._on_room_closed()
    assert said == [("over", "caller_left"), ("over", "room_closed")]


async def test_only_the_caller_sets_the_sensitivity_and_only_to_what_there_is() -> None:
    said: list[Any] = []
    client = room_of_ann(said)

    def call(who: str, payload: str) -> rtc.RpcInvocationData:
        return rtc.RpcInvocationData("1", who, payload, 5.0)

    assert await client._on_sensitivity(call("ann", "low")) == "low"
    assert await client._on_sensitivity(call("ann", '"high"')) == "high"
    for who, payload in (("bob", "low"), ("ann", "lowest"), ("ann", "x" * 10_000)):
        with pytest.raises(rtc.RpcError):
            await client._on_sensitivity(call(who, payload))
    assert said == [("sensitivity", "low"), ("sensitivity", "high")]


async def test_trap_2_a_lost_connection_gets_time_to_come_back() -> None:
    said: list[Any] = []
    client = room_of_ann(said)
    ann = caller_who_left(rtc.DisconnectReason.SIGNAL_CLOSE)
    client._on_left(ann)
    client._on_active(ann)
    assert said == ["lost"], "they are back, and do not hear the agent yet"
    async with asyncio.timeout(5):
        while len(said) < 2:  # noqa: ASYNC110 - a timer of the client's ends it
            await asyncio.sleep(0.05)
    assert said == ["lost", "returned"]


async def test_livekit_s_judgement_counts_where_no_sound_comes() -> None:
    said: list[Any] = []
    client = room_of_ann(said)
    ann = cast("rtc.RemoteParticipant", SimpleNamespace(identity="ann"))
    client._monitor._grew_ms = time.monotonic() * 1000
    client._on_quality(ann, rtc.ConnectionQuality.QUALITY_LOST)
    assert said == [], "it is told seconds late: they are back"
    client._monitor._grew_ms -= 60_000
    client._on_quality(ann, rtc.ConnectionQuality.QUALITY_LOST)
    client._on_quality(ann, rtc.ConnectionQuality.QUALITY_POOR)
    assert said == ["lost", "returned"]


async def test_a_microphone_that_is_closed_is_no_broken_line() -> None:
    said: list[Any] = []
    client = room_of_ann(said)
    ann = caller_who_left(rtc.DisconnectReason.SIGNAL_CLOSE)
    client.link.cut("no_packets")
    microphone = cast("rtc.Track", SimpleNamespace(kind=rtc.TrackKind.KIND_AUDIO))
    client._on_track_gone(microphone, cast("rtc.RemoteTrackPublication", None), ann)
    client._on_left(ann)
    assert said == ["lost"], "one break, not two"
    assert client.link.causes == {"no_packets", "left"}
    client._mending["no_packets"].cancel()


def test_trap_3_little_audio_is_ahead_of_the_ear() -> None:
    params = RoomTransport("ws://x", "t", "r", hooks=hooks(), caller_identity=None)._params
    assert params.audio_out_queue_size_ms <= 200
    assert params.audio_out_end_silence_secs == 0


async def test_trap_4_the_sdk_gives_16_khz_in_20_ms(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, Any]] = []

    def made(stream: rtc.AudioStream, _: rtc.Track, **options: Any) -> None:
        asked.append(options)
        stream._task = cast("Any", None)

    monkeypatch.setattr(rtc.AudioStream, "__init__", made)
    monkeypatch.setattr(CallerAudio, "_take_own", lambda _: None)

    class Tasks:
        def create_task(self, work: Any, name: str) -> Any:
            work.close()

    async def nothing(*_: Any) -> None: ...

    class Track:
        kind = rtc.TrackKind.KIND_AUDIO

    class Participant:
        identity = "ann"
        kind = rtc.ParticipantKind.PARTICIPANT_KIND_STANDARD
        attributes: ClassVar[dict[str, str]] = {}
        permissions = SimpleNamespace(can_update_metadata=False)

    for wanted in (hooks(), replace(hooks(), audio=nothing)):
        client = RoomTransport("ws://x", "t", "r", hooks=wanted, caller_identity=None).client
        client._task_manager = cast("Any", Tasks())
        monkeypatch.setattr(client, "_close_audio_stream", nothing)
        monkeypatch.setattr(client._callbacks, "on_audio_track_subscribed", nothing)
        await RoomClient._async_on_track_subscribed(
            client, cast("Any", Track()), cast("Any", None), cast("Any", Participant())
        )
        assert asked.pop() == {"sample_rate": 16_000, "num_channels": 1, "frame_size_ms": 20}
        assert isinstance(client._audio_streams["ann"][0], CallerAudio) == (wanted.audio is nothing)


async def test_trap_5_realtime_finals_are_final(monkeypatch: pytest.MonkeyPatch) -> None:
    service = cast("FinalizingRealtimeSTT", kit_for("openai-realtime", "openai").stt())
    pushed: list[Frame] = []

    async def push(frame: Frame, *_: Any) -> None:
        pushed.append(frame)

    async def send(*_: Any) -> None: ...

    monkeypatch.setattr(service, "push_frame", push)
    monkeypatch.setattr(service, "_ws_send", send)
    for delta in ("When are ", "you open?"):
        await service._handle_transcription_delta({"item_id": "1", "delta": delta})
    assert [f.text for f in pushed if isinstance(f, InterimTranscriptionFrame)] == [
        "When are ",
        "When are you open?",
    ]
    # That a commit in which nothing was said is told: tests/providers/test_realtime.py, on a real socket.


# Trap 6, that a voice's first half second is held back: tests/providers/test_metering.py, TestVoice.


def test_trap_7_blas_is_one_thread_before_numpy_loads() -> None:
    code = "import repartee.worker.child, os; print(os.environ['OPENBLAS_NUM_THREADS'])"
    environment = {k: v for k, v in os.environ.items() if k != "OPENBLAS_NUM_THREADS"}
    said = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert said.stdout.strip() == "1"
    child = Path("src/repartee/worker/child.py").read_text(encoding="utf-8")
    assert child.index("OPENBLAS_NUM_THREADS") < child.index("import quiet_pipecat")


def test_trap_8_models_and_clients_are_shared() -> None:
    assert turn_scorer() is turn_scorer()
    kit = kit_for("openai", "openai")
    llm: Any = kit.llm(CONTEXT)[0]
    stt: Any = kit.stt()
    tts: Any = kit.tts()
    assert stt._client is tts._client is llm._client
    assert llm._client.max_retries == 0, "the SDK's own retries wait seconds"
    assert llm._client.timeout.read <= 10


async def test_trap_9_metrics_are_on(worker: PipelineWorker) -> None:
    assert worker._params.enable_metrics
    assert worker._params.enable_usage_metrics


def test_trap_10_no_paragraph_about_late_results_is_added_to_the_persona() -> None:
    llm: Any = kit_for("openai", "openai").llm(CONTEXT)[0]
    llm._compose_system_instruction()
    assert llm._settings.system_instruction == load_agent(FRONT_DESK).instruction


def test_trap_10_the_persona_is_in_the_settings() -> None:
    llm: Any = kit_for("openai", "openai").llm(CONTEXT)[0]
    assert llm._settings.system_instruction.startswith("You are the front desk")


async def test_trap_11_and_14_what_hoards_or_waits_is_not_in_the_pipeline(worker: PipelineWorker) -> None:
    parts = processors(worker)
    assert any(type(part).__name__ == "ReplyGate" for part in parts)
    assert not [part for part in parts if isinstance(part, (AudioBufferProcessor, LLMUserAggregator))]


def test_trap_12_every_tool_has_a_limit_and_an_interruption_rule() -> None:
    llm: Any = kit_for("openai", "openai").llm(CONTEXT)[0]
    rules = {name: (item.timeout_secs, item.cancel_on_interruption) for name, item in llm._functions.items()}
    assert set(rules) == {tool.name for tool in load_agent(FRONT_DESK).tools}
    assert all(limit is not None and limit <= 60 for limit, _ in rules.values())
    assert rules["free_slots"][1], "a lookup may be cut off"
    assert not rules["book_appointment"][1], "a booking that has begun is finished"


@pytest.mark.parametrize(("stt", "tts"), [("openai-realtime", "elevenlabs"), ("openai", "cartesia")])
def test_trap_15_sockets_come_back_in_a_fifth_of_a_second(stt: str, tts: str) -> None:
    kit = kit_for(stt, tts)
    services: list[Any] = [kit.tts(), *([kit.stt()] if stt == "openai-realtime" else [])]
    assert all(isinstance(service, Reconnecting) for service in services)
    assert reconnecting.AGAIN_MIN_S == 0.2


def test_http_transcription_adds_little_silence_and_tells_when_nothing_was_said() -> None:
    stt: Any = cast("PiecewiseSTT", kit_for("openai", "openai").stt())
    assert stt._trailing_silence_secs == 0.2
    assert stt._push_empty_transcripts


def test_the_scorer_hears_a_question_end(speech: Path) -> None:
    import soundfile as sf
    import soxr

    sound, rate = sf.read(speech / "aiewf" / "turn_000.flac", dtype="float32")
    end = json.loads((speech / "index.json").read_text())[0]["speech"][-1]["speech_end"]
    pcm = soxr.resample(sound, rate, 16_000)
    with ThreadPoolExecutor(1) as executor:
        whole = executor.submit(turn_scorer(), pcm[: int((end + 0.2) * 16_000)]).result()
        half = executor.submit(turn_scorer(), pcm[: int((0.7 + (end - 0.7) / 2) * 16_000)]).result()
    assert whole > 0.5 > half


async def test_an_agent_that_is_not_in_its_room_yet_shows_nothing_and_loses_nothing() -> None:
    """LiveKit's room raises when it is asked for its participant too early: all captions ended with it."""
    client = object.__new__(RoomClient)
    client._room, client._connected = rtc.Room(), False
    assert client.joined is None
    client._room = None
    assert client.joined is None
