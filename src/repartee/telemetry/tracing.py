"""Traces for OpenTelemetry: one per call, a span per turn, its stages below; made from the timeline's marks.

Names are those LiveKit Agents uses (`agent_session`, `agent_turn`, `llm_node`, `tts_node`, `lk.*`), so dashboards
made for it show repartee too. Nothing anybody said is in a span. Without an endpoint nothing of OpenTelemetry is even
imported.
"""

from __future__ import annotations

import functools
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from repartee.telemetry.timeline import Values
from repartee.version import VERSION

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span, Tracer

FLUSH_MS = 2000
KEPT_REPLIES = 64
EVENTS = (
    "provider.",
    "stt.failed",
    "network.",
    "tool.",
    "budget",
    "voice.",
    "line",
    "filler",
    "level",
    "help.",
    "goal",
    "sensitivity",
    "reply.tier",
)
"""Marks that are events of the call's span, by how they begin."""


def call_trace(
    endpoint: str | None, call_id: str, agent: str, room: str, clock_ms: Callable[[], float]
) -> CallTrace | None:
    """Begin a call's trace; None where no endpoint is set.

    Args:
        endpoint: Where traces go, as OTEL_EXPORTER_OTLP_ENDPOINT says.
        call_id: The call.
        agent: Who takes it.
        room: Where.
        clock_ms: The call's clock.
    """
    if endpoint is None:
        return None
    return CallTrace(_provider(), call_id, agent, room, clock_ms)


@functools.cache
def _provider() -> TracerProvider:
    """One for the process: its thread sends what all calls have written, and drops what does not fit its queue."""
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

    provider = TracerProvider(
        resource=Resource.create({"service.name": "repartee", "service.version": VERSION}),
        shutdown_on_exit=False,  # a collector that is away must not hold up the end of a process
    )
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(timeout=FLUSH_MS / 1000)))
    return provider


@dataclass(slots=True)
class _Reply:
    """What is known of a reply until it is over; times are of the call's clock, in ms."""

    started_ms: float
    turn_id: int | None = None
    held: bool = False
    speech_end_ms: float | None = None
    stopped_ms: float | None = None
    transcript_ms: float | None = None
    first_text_ms: float | None = None
    first_audio_ms: float | None = None
    released_ms: float | None = None
    audible_ms: float | None = None


class CallTrace:
    """The spans of one call.

    Args:
        provider: Where they go.
        call_id: The call.
        agent: Who takes it.
        room: Where.
        clock_ms: The call's clock.
    """

    def __init__(
        self, provider: TracerProvider, call_id: str, agent: str, room: str, clock_ms: Callable[[], float]
    ) -> None:
        from opentelemetry.trace import set_span_in_context  # noqa: PLC0415

        self._provider = provider
        self._zero_ns = time.time_ns() - int(clock_ms() * 1e6)
        self._tracer: Tracer = provider.get_tracer("repartee", VERSION)
        attributes = {"lk.agent_name": agent, "lk.pii.room_name": room, "repartee.call_id": call_id}
        self._call: Span = self._tracer.start_span(
            "agent_session", start_time=self._at(clock_ms()), attributes=attributes
        )
        self._in_call = set_span_in_context(self._call)
        self._replies: OrderedDict[int, _Reply] = OrderedDict()
        self._released: int | None = None
        self._speech_end_ms: float | None = None
        self._stopped_ms: float | None = None
        self._transcript_ms: float | None = None

    def mark(self, name: str, at_ms: float, values: Values) -> None:
        """Take a mark of the timeline."""
        match name:
            case "speech.stopped":
                self._stopped_ms, self._transcript_ms = at_ms, None
                self._speech_end_ms = float(values.get("ended_at_ms", at_ms))
            case "transcript":
                self._transcript_ms = at_ms
            case "reply.audible":
                if (reply := self._replies.get(self._released or -1)) and reply.audible_ms is None:
                    reply.audible_ms = at_ms
            case "reply.finished" | "reply.cancelled":
                self._over(int(values.get("reply_id", -1)), at_ms, values, cut=name == "reply.cancelled")
            case _ if name.startswith("reply.") and "reply_id" in values and name != "reply.tier":
                self._step(name, int(values["reply_id"]), at_ms, values)
            case _ if name.startswith(EVENTS):
                self._call.add_event(name, dict(values), timestamp=self._at(at_ms))

    def end(self, reason: str, at_ms: float, bill: Mapping[str, Any]) -> None:
        """End the call's span. It is sent by the provider's own thread."""
        for reply_id in list(self._replies):
            self._over(reply_id, at_ms, {}, cut=True)
        self._call.set_attribute("lk.close_reason", reason)
        for stage, sums in bill.get("stages", {}).items():
            self._call.set_attribute(f"repartee.cost_usd.{stage}", float(sums["usd"]))
            self._call.set_attribute(f"repartee.wasted_usd.{stage}", float(sums["usd_wasted"]))
        self._call.end(end_time=self._at(at_ms))

    def flush(self) -> bool:
        """Send what is left, waiting 2 s at most; call it in a thread. False when not all was sent."""
        return self._provider.force_flush(FLUSH_MS)

    # --- replies ----------------------------------------------------------------------------------------------

    def _step(self, name: str, reply_id: int, at_ms: float, values: Values) -> None:
        reply = self._replies.get(reply_id)
        if reply is None:
            reply = self._replies[reply_id] = _Reply(at_ms)
            while len(self._replies) > KEPT_REPLIES:
                self._replies.popitem(last=False)
            if name == "reply.first_audio":
                # A greeting or a fixed line: nobody's turn is answered by it, and nothing holds it back.
                self._released, reply.released_ms = reply_id, at_ms
        match name:
            case "reply.started":
                reply.turn_id = int(values["turn_id"]) if "turn_id" in values else None
                reply.held = bool(values.get("held", False))
                if not reply.held:
                    self._release(reply_id, reply, at_ms)
            case "reply.first_text":
                reply.first_text_ms = at_ms
            case "reply.first_audio":
                reply.first_audio_ms = at_ms
            case "reply.released":
                self._release(reply_id, reply, at_ms)
            case _:
                pass

    def _release(self, reply_id: int, reply: _Reply, at_ms: float) -> None:
        self._released, reply.released_ms = reply_id, at_ms
        reply.speech_end_ms, reply.stopped_ms = self._speech_end_ms, self._stopped_ms
        reply.transcript_ms = self._transcript_ms

    def _over(self, reply_id: int, at_ms: float, values: Values, *, cut: bool) -> None:
        reply = self._replies.pop(reply_id, None)
        if reply is None:
            return
        if reply.audible_ms is None and reply.released_ms is None:
            # Made in a pause after which the caller went on: nobody waited for it, and nobody heard it.
            self._span("speculation", reply.started_ms, at_ms, {"repartee.reply_id": reply_id}).end(
                self._at(at_ms)
            )
            return
        begin_ms = reply.speech_end_ms if reply.speech_end_ms is not None else reply.started_ms
        attributes: dict[str, Any] = {
            "lk.generation_id": str(reply_id),
            "lk.interrupted": cut,
            "repartee.held": reply.held,
        }
        if reply.turn_id is not None:
            attributes["repartee.turn_id"] = reply.turn_id
        if "heard_characters" in values:
            attributes["repartee.heard_characters"] = values["heard_characters"]
        attributes |= _delays(reply)
        turn = self._span("agent_turn", begin_ms, at_ms, attributes)
        self._stages(turn, reply, at_ms)
        turn.end(self._at(at_ms))

    def _stages(self, turn: Span, reply: _Reply, end_ms: float) -> None:
        from opentelemetry.trace import set_span_in_context  # noqa: PLC0415

        within = set_span_in_context(turn)
        for name, begin_ms, until_ms in (
            ("user_turn_wait", reply.speech_end_ms, reply.released_ms),
            ("stt_node", reply.stopped_ms, reply.transcript_ms),
            ("llm_node", reply.started_ms, reply.first_text_ms),
            ("tts_node", reply.first_text_ms, reply.first_audio_ms),
            ("agent_speaking", reply.audible_ms, end_ms),
        ):
            if begin_ms is not None and until_ms is not None and until_ms >= begin_ms:
                stage = self._tracer.start_span(name, context=within, start_time=self._at(begin_ms))
                stage.end(self._at(until_ms))

    def _span(self, name: str, begin_ms: float, end_ms: float, attributes: Mapping[str, Any]) -> Span:
        begin = self._at(min(begin_ms, end_ms))
        return self._tracer.start_span(
            name, context=self._in_call, start_time=begin, attributes=dict(attributes)
        )

    def _at(self, at_ms: float) -> int:
        return self._zero_ns + int(at_ms * 1e6)


def _delays(reply: _Reply) -> dict[str, float]:
    """Return LiveKit's delays, in seconds."""
    pairs = {
        "lk.e2e_latency": (reply.speech_end_ms, reply.audible_ms),
        "lk.end_of_turn_delay": (reply.speech_end_ms, reply.released_ms),
        "lk.transcription_delay": (reply.speech_end_ms, reply.transcript_ms),
        "lk.response.ttft": (reply.started_ms, reply.first_text_ms),
        "lk.response.ttfb": (reply.first_text_ms, reply.first_audio_ms),
    }
    return {
        name: round((to - since) / 1000, 4)
        for name, (since, to) in pairs.items()
        if since is not None and to is not None and to >= since
    }
