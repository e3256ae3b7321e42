"""A call through the real services, against the provider simulator, without a room: what it costs and who says so."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from types import TracebackType
from typing import Any, Literal

import numpy as np
from pipecat.frames.frames import Frame, InputAudioRawFrame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pydantic import SecretStr

from repartee.agent import Agent, ToolContext
from repartee.conversation import Endpointing, Idle, Patience, Policies, Speaking, State, Thinking
from repartee.conversation.history import History
from repartee.events import CallerJoined, SpeechStarted, SpeechStopped, TurnScored
from repartee.providers import Ladder, Rung
from repartee.providers.frames import VoicePausedFrame, VoiceStartedFrame
from repartee.providers.kit import ProviderKit
from repartee.providers.metering import Meter
from repartee.providers.services import SmallChunkTTS
from repartee.session.bridge import Bridge
from repartee.session.clauses import Clauses
from repartee.session.gate import ReplyGate
from repartee.session.ledger import Ledger
from repartee.session.lines import lines_for
from repartee.session.parts import Parts, Script
from repartee.session.talking import talking_for
from repartee.session.tiering import voice_parts
from repartee.session.tools import ToolPermits
from repartee.session.tracker import ReplyTracker
from repartee.settings import Settings
from repartee.simulator.providers import Simulator
from repartee.store import LedgerRow
from repartee.telemetry.timeline import Timeline
from repartee.telemetry.usage import Usage
from tests.billing import SimulatorPrices
from tests.session.rig import RATE, Captions, Loudspeaker, run

IN_RATE = 16_000
FRAME_MS = 20
SttName = Literal["openai:gpt-4o-mini-transcribe", "openai-realtime:gpt-realtime-whisper"]
TtsName = Literal["openai:gpt-4o-mini-tts", "elevenlabs:eleven_flash_v2_5", "cartesia:sonic-3"]
QUICK = Policies(
    endpointing=Endpointing(min_silence_ms=0, max_silence_ms=0, digits_ms=0, prelude_ms=0),
    patience=Patience(transcript_ms=500, reply_ms=2000),
)


class _Ears(FrameProcessor):
    """Stands where the ears are: what they tell is put into the pipeline from outside."""

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        await self.push_frame(frame, direction)


class BilledCall:
    """Drive it with speech; time passes as the simulator's profile says."""

    def __init__(
        self,
        simulator: Simulator,
        agent: Agent,
        *,
        stt: SttName = "openai:gpt-4o-mini-transcribe",
        tts: TtsName = "openai:gpt-4o-mini-tts",
        policies: Policies = QUICK,
        shorter: Callable[[], bool] | None = None,
        realtime: str | None = None,
    ) -> None:
        self.simulator = simulator
        self.usages: list[Usage] = []
        self.rows: list[LedgerRow] = []
        self.marks: list[tuple[str, dict[str, Any]]] = []
        self.ledger = Ledger(
            "call-1", "desk", prices=SimulatorPrices(), write=self.rows.append, mark=self._mark
        )
        self.sink, self.history = Loudspeaker(), History()
        self.ended: list[str] = []
        self._began_s = time.monotonic()
        self._segment = 0
        self.kit = ProviderKit(
            _settings(simulator.url),
            agent,
            replace(
                _ladder(stt, tts),
                realtime=Rung("llm", "openai", realtime, "realtime") if realtime is not None else None,
            ),
            None,
            meter=Meter(self._report, self.clock),
            shorter=shorter,
        )
        self.bridge = Bridge(
            policies=policies,
            script=Script("Hello, how can I help?", lines_for("en")),
            clock_ms=self.clock,
            on_end=self.ended.append,
        )
        self.gate = ReplyGate(self.sink, self.bridge.submit, self.clock, lambda *_: None)
        self.stt = self.kit.stt()
        self.worker = self._assemble()

    def _assemble(self) -> PipelineWorker:
        llm, tools = self.kit.llm(ToolContext(call_id="call-1", caller=None, data_dir=None))  # type: ignore[arg-type]
        hearing: list[FrameProcessor] = [_Ears(), self.stt]
        self.talking, models = talking_for(self.kit, llm, hearing, self._mark, self.bridge.need_words)
        voice, permits = self.kit.tts(), ToolPermits()
        clauses = Clauses(voice if isinstance(voice, SmallChunkTTS) else None)
        if isinstance(voice, SmallChunkTTS):
            voice.on_spoken = self.ledger.spoken
        timeline: Any = Timeline(None, self.clock)
        captions: Any = Captions()
        self.bridge.connect(
            Parts(
                self.gate,
                captions,
                timeline,
                permits,
                self.history,
                clauses,
                ledger=self.ledger,
                talking=self.talking,
            ),
            tools,
        )
        tracker = ReplyTracker(self.history.remember_tools, lambda _: None)
        return PipelineWorker(
            Pipeline(
                [*hearing, self.bridge, *models, tracker, clauses, *voice_parts(self.kit, voice), self.gate]
            ),
            params=PipelineParams(audio_in_sample_rate=IN_RATE, audio_out_sample_rate=RATE),
            enable_rtvi=False,
            enable_turn_tracking=False,
            idle_timeout_secs=None,
            cancel_runner_on_idle_timeout=False,
        )

    def _report(self, usage: Usage) -> None:
        self.usages.append(usage)
        self.ledger.take(usage)

    def _mark(self, name: str, **values: Any) -> None:
        self.marks.append((name, values))

    def clock(self) -> float:
        return (time.monotonic() - self._began_s) * 1000

    @property
    def state(self) -> State:
        return self.bridge._conversation.state

    @property
    def last_reply_id(self) -> int:
        return self.bridge._conversation.last_reply_id

    async def __aenter__(self) -> BilledCall:
        self._running = await run(self.worker)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.worker.cancel()
        await asyncio.wait_for(self._running, 15)
        await self.kit.aclose()
        self.ledger.close(self.clock())

    # --- what the caller does ---------------------------------------------------------------------------------

    def join(self) -> None:
        self.bridge.submit(CallerJoined(self.clock()))

    async def silence(self, seconds: float) -> None:
        await self._hear(seconds)

    async def say(self, seconds: float, *, pause: bool = True, probability: float = 0.97) -> None:
        """Speak; what is understood is the simulator's affair."""
        self._segment += 1
        self.bridge.submit(SpeechStarted(self.clock(), self._segment))
        await self.until(lambda: not isinstance(self.state, Idle))
        await self.worker.queue_frame(VoiceStartedFrame(start_secs=0.1, segment_id=self._segment))
        await self._hear(seconds)
        if pause:
            await self.pause(seconds, probability=probability)

    async def pause(self, spoken_s: float, *, probability: float = 0.97) -> None:
        now = self.clock()
        self.bridge.submit(SpeechStopped(now, self._segment, now, spoken_s * 1000))
        await self.worker.queue_frame(VoicePausedFrame(stop_secs=0.1, segment_id=self._segment))
        self.bridge.submit(TurnScored(now, self._segment, probability))

    async def _hear(self, seconds: float) -> None:
        samples = np.full(IN_RATE * FRAME_MS // 1000, 900, np.int16).tobytes()
        for _ in range(round(seconds * 1000 / FRAME_MS)):
            await self.worker.queue_frame(InputAudioRawFrame(samples, IN_RATE, 1))

    # --- moments ----------------------------------------------------------------------------------------------

    async def until(self, what: Callable[[], object], timeout_s: float = 8) -> None:
        async with asyncio.timeout(timeout_s):
            while not what():
                self.sink.play(100)  # a voice heard fast: only the order of things matters here
                await asyncio.sleep(0.001)

    async def until_idle(self) -> None:
        await self.until(lambda: isinstance(self.state, Idle))

    async def until_thinking(self) -> None:
        await self.until(lambda: isinstance(self.state, (Thinking, Speaking)))


def _ladder(stt: str, tts: str) -> Ladder:
    heard, spoken = stt.split(":"), tts.split(":")
    return Ladder(
        Rung("stt", heard[0], heard[1], stt),
        Rung("llm", "openai", "gpt-4.1-mini", "llm"),
        Rung("tts", spoken[0], spoken[1], tts),
    )


def _settings(url: str) -> Settings:
    socket = url.replace("http://", "ws://")
    return Settings(_env_file=None).model_copy(  # type: ignore[call-arg]
        update={
            "openai_api_key": SecretStr("k"),
            "openai_base_url": f"{url}/v1",
            "elevenlabs_api_key": SecretStr("k"),
            "elevenlabs_base_url": socket,
            "cartesia_api_key": SecretStr("k"),
            "cartesia_base_url": socket,
        }
    )
