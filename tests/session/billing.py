"""A call through the real services, against the provider simulator, without a room: what it costs and who says so."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from types import TracebackType
from typing import Any, Literal, get_args

import numpy as np
from pipecat.frames.frames import InputAudioRawFrame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.workers.runner import WorkerRunner
from pydantic import SecretStr

from repartee.agent import Agent, ToolContext
from repartee.conversation import Endpointing, Idle, Patience, Policies, Speaking, State, Thinking
from repartee.conversation.history import History
from repartee.events import CallerJoined, SpeechStarted, SpeechStopped, TurnScored
from repartee.providers import Ladder, Rung
from repartee.providers.frames import VoicePausedFrame, VoiceStartedFrame
from repartee.providers.kit import ProviderKit
from repartee.providers.metering import AGAIN, Meter
from repartee.providers.services import SmallChunkTTS
from repartee.session.bridge import Bridge, Parts, Script
from repartee.session.clauses import Clauses
from repartee.session.gate import ReplyGate
from repartee.session.ledger import Ledger, LedgerRow
from repartee.session.lines import lines_for
from repartee.session.tools import ToolPermits
from repartee.session.tracker import ReplyTracker
from repartee.settings import Settings
from repartee.simulator.providers import Simulator
from repartee.simulator.providers.bill import (
    LLM_PER_MILLION,
    STT_PER_MINUTE,
    TTS_PER_MILLION,
    Bill,
    Entry,
)
from repartee.telemetry.timeline import Timeline
from repartee.telemetry.usage import Unit, Usage
from tests.session.rig import RATE, Captions, Loudspeaker

IN_RATE = 16_000
FRAME_MS = 20
SttName = Literal["openai:gpt-4o-mini-transcribe", "openai-realtime:gpt-realtime-whisper"]
TtsName = Literal["openai:gpt-4o-mini-tts", "elevenlabs:eleven_flash_v2_5", "cartesia:sonic-3"]
QUICK = Policies(
    endpointing=Endpointing(min_silence_ms=0, max_silence_ms=0, digits_ms=0, prelude_ms=0),
    patience=Patience(transcript_ms=500, reply_ms=2000),
)


class SimulatorPrices:
    """The simulator's list, in Decimal, to a billionth of a dollar."""

    version = "simulator"

    def cost(self, usage: Usage) -> Decimal | None:
        exact = self._exact(usage)
        return None if exact is None else round(exact, 9)

    def _exact(self, usage: Usage) -> Decimal | None:
        used = {unit: usage.quantities.get(unit, Decimal(0)) for unit in ("audio_s", "characters")}
        tokens_in = usage.quantities.get("tokens_in", Decimal(0))
        tokens_out = usage.quantities.get("tokens_out", Decimal(0))
        match usage.stage:
            case "stt":
                return used["audio_s"] / 60 * Decimal(str(STT_PER_MINUTE[usage.model]))
            case "tts":
                return used["characters"] * Decimal(str(TTS_PER_MILLION[usage.model])) / 1_000_000
            case "llm":
                price_in, price_out = (Decimal(str(price)) for price in LLM_PER_MILLION[usage.model])
                return (tokens_in * price_in + tokens_out * price_out) / 1_000_000
            case _:
                return None


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
            _ladder(stt, tts),
            None,
            meter=Meter(self._report, self.clock),
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
        voice, permits = self.kit.tts(), ToolPermits()
        clauses = Clauses(voice if isinstance(voice, SmallChunkTTS) else None)
        if isinstance(voice, SmallChunkTTS):
            voice.on_spoken = self.ledger.spoken
        timeline: Any = Timeline(None, self.clock)
        captions: Any = Captions()
        self.bridge.connect(
            Parts(self.gate, captions, timeline, permits, self.history, clauses, self.ledger), tools
        )
        tracker = ReplyTracker(self.history.remember_tools, lambda _: None)
        return PipelineWorker(
            Pipeline([self.stt, self.bridge, llm, tracker, clauses, voice, self.gate]),
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
        started = asyncio.Event()

        @self.worker.event_handler("on_pipeline_started")  # type: ignore[untyped-decorator]
        async def on_started(*_: object) -> None:
            started.set()

        runner = WorkerRunner(handle_sigint=False)
        await runner.add_workers(self.worker)
        self._running = asyncio.create_task(runner.run())
        await asyncio.wait_for(started.wait(), 10)
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


# --- comparing ------------------------------------------------------------------------------------------------


@dataclass
class Account:
    """What one request came to, by us and by the vendor; a context that failed and was used again is two of ours."""

    ours: list[Usage] = field(default_factory=list)
    theirs: list[Entry] = field(default_factory=list)

    @property
    def cut(self) -> bool:
        return any(usage.estimated for usage in self.ours)

    @property
    def refused_unseen(self) -> bool:
        """Cancelled while the vendor's refusal was on its way: nobody can know that it was free."""
        refused = bool(self.theirs) and all(entry.outcome == "failed" for entry in self.theirs)
        return refused and any(usage.outcome == "cancelled" and usage.billed for usage in self.ours)

    def tokens_out(self) -> tuple[int, int]:
        """Tokens made, by us and by the vendor."""
        ours = sum(int(usage.quantities.get("tokens_out", 0)) for usage in self.ours)
        return ours, sum(entry.tokens_out for entry in self.theirs)


def accounts(usages: Iterable[Usage], bill: Bill) -> dict[str, Account]:
    """Pair requests with the bill's entries by the id both know; the realtime socket has none and is left out."""
    paired: dict[str, Account] = defaultdict(Account)
    for usage in usages:
        if usage.provider != "openai-realtime":
            paired[usage.request_id.partition(AGAIN)[0]].ours.append(usage)
    for entry in bill.entries:
        if entry.vendor != "openai-realtime":
            paired[entry.request_id].theirs.append(entry)
    return paired


def realtime_seconds(usages: Iterable[Usage], bill: Bill) -> tuple[Decimal, Decimal]:
    """Return the seconds charged for at the realtime socket, by us and by the vendor."""
    ours = sum(
        (
            u.quantities.get("audio_s", Decimal(0))
            for u in usages
            if u.provider == "openai-realtime" and u.billed
        ),
        Decimal(0),
    )
    theirs = sum(
        (
            Decimal(str(e.audio_s))
            for e in bill.entries
            if e.vendor == "openai-realtime" and e.outcome != "failed"
        ),
        Decimal(0),
    )
    return ours, theirs


def vendor_usd(bill: Bill) -> Decimal:
    """Return the whole of a bill."""
    return sum((Decimal(str(entry.usd)) for entry in bill.entries), Decimal(0))


def difference(account: Account) -> str | None:
    """Return what does not fit between us and the vendor, None when all does.

    A chat stream that was cut may have made tokens that were on their way when it was: the vendor's count is then
    above ours, never below.
    """
    ours = [usage for usage in account.ours if usage.billed]
    theirs = [entry for entry in account.theirs if entry.outcome != "failed"]
    if account.refused_unseen:
        return None
    if not account.ours or bool(ours) != bool(theirs):
        return f"reported as {account.ours}\n  billed as {account.theirs}"
    if not ours:
        return None
    told = {unit: sum(float(u.quantities.get(unit, 0)) for u in ours) for unit in get_args(Unit)}
    match ours[0].stage:
        case "llm":
            more = theirs[0].tokens_out - told["tokens_out"]
            off = abs(theirs[0].tokens_in - told["tokens_in"])
            fits = (
                off <= PROMPT_TOKENS_OFF and 0 <= more <= TOKENS_IN_FLIGHT
                if account.cut
                else off == more == 0
            )
        case "tts":
            fits = sum(entry.characters for entry in theirs) == told["characters"]
        case _:
            fits = abs(sum(entry.audio_s for entry in theirs) - told["audio_s"]) < 1e-6
    return None if fits else f"reported as {ours}\n  billed as {theirs}"


PROMPT_TOKENS_OFF = 2
"""A cut stream's prompt is reckoned from the last one that was counted: so much may be lost in rounding."""
TOKENS_IN_FLIGHT = 40
"""No answer of the simulator is longer: a stream that was cut cannot have made more than all of it."""


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
