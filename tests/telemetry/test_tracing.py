"""A call's marks as spans: the right parents, the right times; and a collector that is away."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator

import pytest
from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from repartee.telemetry import tracing
from repartee.telemetry.timeline import Timeline
from repartee.telemetry.tracing import CallTrace, call_trace

BILL = {"stages": {"llm": {"requests": 2, "failed": 0, "usd": "0.002", "usd_wasted": "0.0005"}}}


class Clock:
    ms = 0.0

    def __call__(self) -> float:
        return self.ms


def turn(timeline: Timeline) -> None:
    """A greeting; a turn with a wrong start, answered and interrupted."""
    marks: list[tuple[str, float, dict[str, str | float | bool]]] = [
        ("reply.first_audio", 300, {"reply_id": 1}),
        ("reply.audible", 320, {}),
        ("reply.finished", 1500, {"reply_id": 1}),
        ("speech.stopped", 3060, {"ended_at_ms": 3000.0}),
        ("reply.started", 3100, {"reply_id": 2, "turn_id": 1, "held": True}),
        ("reply.cancelled", 3300, {"reply_id": 2, "heard_characters": 0}),
        ("speech.stopped", 4060, {"ended_at_ms": 4000.0}),
        ("transcript", 4300, {"words": 4}),
        ("reply.started", 4310, {"reply_id": 3, "turn_id": 1, "held": True}),
        ("reply.first_text", 4600, {"reply_id": 3}),
        ("provider.failed", 4650, {"processor": "voice"}),
        ("reply.first_audio", 4800, {"reply_id": 3}),
        ("reply.released", 4790, {"reply_id": 3}),
        ("reply.audible", 4810, {}),
        ("reply.cancelled", 6000, {"reply_id": 3, "heard_characters": 21}),
    ]
    for name, at_ms, values in marks:
        timeline.mark(name, at_ms, **values)


@pytest.fixture
def spans() -> Iterator[dict[str, list[ReadableSpan]]]:
    exporter, clock = InMemorySpanExporter(), Clock()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    timeline = Timeline(None, clock)
    trace = CallTrace(provider, "call-1", "Desk", "room-1", clock)
    timeline.listeners.append(trace.mark)
    turn(timeline)
    trace.end("caller_left", 7000, BILL)
    found: dict[str, list[ReadableSpan]] = {}
    for span in exporter.get_finished_spans():
        found.setdefault(span.name, []).append(span)
    yield found
    provider.shutdown()


def lasted_ms(span: ReadableSpan) -> float:
    assert span.start_time is not None
    assert span.end_time is not None
    return round((span.end_time - span.start_time) / 1e6, 1)


def parent(span: ReadableSpan) -> int:
    assert span.parent is not None
    return span.parent.span_id


def test_one_trace_with_a_span_for_each_turn(spans: dict[str, list[ReadableSpan]]) -> None:
    (call,) = spans["agent_session"]
    assert call.parent is None
    assert lasted_ms(call) == 7000
    greeting, answer = spans["agent_turn"]
    assert {parent(greeting), parent(answer), parent(spans["speculation"][0])} == {call.context.span_id}
    assert len({span.context.trace_id for of in spans.values() for span in of}) == 1


def test_a_turn_lasts_from_the_end_of_speech_and_has_its_delays(spans: dict[str, list[ReadableSpan]]) -> None:
    answer = spans["agent_turn"][1]
    assert lasted_ms(answer) == 2000
    assert answer.attributes is not None
    assert {name: value for name, value in answer.attributes.items() if name.startswith("lk.")} == {
        "lk.generation_id": "3",
        "lk.interrupted": True,
        "lk.e2e_latency": 0.81,
        "lk.end_of_turn_delay": 0.79,
        "lk.transcription_delay": 0.3,
        "lk.response.ttft": 0.29,
        "lk.response.ttfb": 0.2,
    }
    assert answer.attributes["repartee.heard_characters"] == 21


def test_stages_are_below_their_turn(spans: dict[str, list[ReadableSpan]]) -> None:
    answer = spans["agent_turn"][1]
    stages = {
        name: lasted_ms(span)
        for name, of in spans.items()
        for span in of
        if span.parent is not None and parent(span) == answer.context.span_id
    }
    assert stages == {
        "user_turn_wait": 790,
        "stt_node": 240,
        "llm_node": 290,
        "tts_node": 200,
        "agent_speaking": 1190,
    }


def test_a_wrong_start_is_no_turn(spans: dict[str, list[ReadableSpan]]) -> None:
    (wrong,) = spans["speculation"]
    assert lasted_ms(wrong) == 200


def test_failures_and_costs_are_on_the_call(spans: dict[str, list[ReadableSpan]]) -> None:
    (call,) = spans["agent_session"]
    assert [event.name for event in call.events] == ["provider.failed"]
    assert call.attributes is not None
    assert call.attributes["lk.close_reason"] == "caller_left"
    assert call.attributes["repartee.cost_usd.llm"] == 0.002


def test_without_an_endpoint_there_is_none() -> None:
    assert call_trace(None, "call-1", "Desk", "room-1", Clock()) is None


@pytest.fixture
async def collector(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[list[ExportTraceServiceRequest]]:
    """A collector on loopback."""
    got: list[ExportTraceServiceRequest] = []

    async def take(request: web.Request) -> web.Response:
        got.append(ExportTraceServiceRequest.FromString(await request.read()))
        return web.Response(content_type="application/x-protobuf")

    app = web.Application()
    app.router.add_post("/v1/traces", take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{port}")
    tracing._provider.cache_clear()
    yield got
    tracing._provider.cache_clear()
    await runner.cleanup()


async def test_it_arrives_at_a_collector(collector: list[ExportTraceServiceRequest]) -> None:
    trace = call_trace("set", "call-1", "Desk", "room-1", Clock())
    assert trace is not None
    timeline = Timeline(None, Clock())
    timeline.listeners.append(trace.mark)
    turn(timeline)
    trace.end("caller_left", 7000, BILL)
    assert await asyncio.to_thread(trace.flush)
    names = [
        span.name
        for request in collector
        for resource in request.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]
    assert names.count("agent_turn") == 2
    assert "agent_session" in names


async def test_a_collector_that_is_away_costs_two_seconds_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    tracing._provider.cache_clear()
    try:
        trace = call_trace("set", "call-1", "Desk", "room-1", Clock())
        assert trace is not None
        trace.end("caller_left", 7000, BILL)
        began = time.monotonic()
        await asyncio.to_thread(trace.flush)
        assert time.monotonic() - began < 10, "bounded, whatever the exporter does"
    finally:
        tracing._provider.cache_clear()
