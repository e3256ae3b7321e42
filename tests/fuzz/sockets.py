"""What voices and transcribers send over their sockets, given to our services as Pipecat reads it.

Pipecat opens a socket again when a message breaks its reader, and that is all a message may do: nothing waits,
nothing is booked that was not sent, and after it the next message is read.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from hypothesis import strategies as st

from repartee.providers.hearing import Transcriber
from repartee.providers.ladder import Rung
from repartee.providers.metered_sockets import MeteredCartesia, MeteredElevenLabs, MeteredRealtimeSTT
from repartee.providers.metering import Meter
from repartee.providers.patience import Failsafe
from repartee.telemetry.usage import Usage
from tests.fuzz.made import lines
from tests.fuzz.target import LOOP, Target

READ_S = 5.0
ALIGNMENT = {"chars": ["H", "i", " "], "charStartTimesMs": [0, 50, 100], "charDurationsMs": [50, 50, 50]}
ELEVENLABS = lines(
    {"contextId": "1", "audio": "AAAA", "alignment": ALIGNMENT, "normalizedAlignment": ALIGNMENT},
    {"contextId": "1", "isFinal": True},
    {"message": "wrong", "error": "x", "code": 1008},
)
CARTESIA = lines(
    {"type": "chunk", "context_id": "1", "data": "AAAA", "done": False, "status_code": 206},
    {
        "type": "timestamps",
        "context_id": "1",
        "word_timestamps": {"words": ["Hi"], "start": [0.0], "end": [0.2]},
    },
    {"type": "done", "context_id": "1", "done": True},
    {"type": "error", "context_id": "1", "error": "no", "status_code": 400},
)
REALTIME = lines(
    {
        "type": "conversation.item.input_audio_transcription.delta",
        "item_id": "a",
        "delta": "Hi",
        "content_index": 0,
    },
    {"type": "conversation.item.input_audio_transcription.completed", "item_id": "a", "transcript": "Hi."},
    {
        "type": "conversation.item.input_audio_transcription.failed",
        "item_id": "a",
        "error": {"message": "no"},
    },
    {"type": "session.created", "session": {}},
    {"type": "error", "error": {"code": "x", "message": "no"}},
)


class _Messages:
    def __init__(self, given: list[bytes]) -> None:
        self._given = given

    async def __aiter__(self) -> AsyncIterator[str]:
        for message in self._given:
            yield message.decode("utf-8", "replace")

    async def send(self, _: str) -> None:
        return


async def _nothing(*_: Any, **__: Any) -> None:
    return


def _quiet(service: Any, told: list[Usage]) -> Any:
    """Let a service do everything but talk to a pipeline that is not there."""
    for name in ("push_frame", "push_error", "stop_ttfb_metrics", "stop_all_metrics", "add_word_timestamps",
                 "append_to_audio_context", "remove_audio_context", "_ws_send"):  # fmt: skip
        setattr(service, name, _nothing)
    service.audio_context_available = lambda _: True
    service.meter_with(Meter(told.append, lambda: 0.0), "vendor", "model")
    return service


def _alone() -> Transcriber:
    """Nobody else to ask than the socket."""
    failsafe = Failsafe()
    failover = failsafe.failover("stt", [Rung("stt", "openai-realtime", "m", "")], ["k"])
    return Transcriber(failover, [None], failsafe.budget, "en")


def socket(case: tuple[str, list[bytes]]) -> None:
    name, messages = case
    told: list[Usage] = []

    async def listen() -> None:
        service: Any
        if name == "elevenlabs":
            service = _quiet(MeteredElevenLabs(api_key="k"), told)
            reader = service._receive_messages
        elif name == "cartesia":
            service = _quiet(MeteredCartesia(api_key="k"), told)
            reader = service._process_messages
        else:
            service = _quiet(MeteredRealtimeSTT(_alone(), api_key="k"), told)
            reader = service._receive_messages
        for message in messages:
            service._websocket = _Messages([message])
            reading = asyncio.ensure_future(reader())
            await asyncio.wait({reading}, timeout=READ_S)
            assert reading.done(), "the reader waits for ever"
            reading.exception()  # whatever it is, Pipecat reconnects

    LOOP.run(listen())
    assert not told, "nothing was sent, so nothing is booked"


TARGETS = [
    Target(
        "messages of voices and transcribers",
        st.one_of(
            st.tuples(st.just("elevenlabs"), st.lists(ELEVENLABS, max_size=4)),
            st.tuples(st.just("cartesia"), st.lists(CARTESIA, max_size=4)),
            st.tuples(st.just("realtime"), st.lists(REALTIME, max_size=4)),
        ),
        socket,
        8,
        vary=False,
    )
]
