"""What was said before the agent was there: decoded whatever client sent it, taken once, heard in order."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any, cast

import av
import numpy as np
import pytest
from livekit import rtc
from livekit.rtc._proto.track_pb2 import AudioTrackFeature
from pipecat.frames.frames import Frame, InputAudioRawFrame

from repartee.events import Event, SpeechStarted, SpeechStopped
from repartee.session import early
from repartee.session.early import EarlySpeech, UndecodableError, decode
from repartee.session.ears import FRAME_BYTES, Ears
from repartee.session.inlet import Inlet
from repartee.session.limits import MAX_EARLY_BYTES
from repartee.session.room import UNHEARD_MARK, RoomHooks, RoomTransport
from repartee.session.voice import Change
from repartee.session.wire import Wire

FEATURE = [AudioTrackFeature.TF_PRECONNECT_BUFFER]


def tone(rate_hz: int, seconds: float, channels: int = 1) -> np.ndarray[Any, np.dtype[np.int16]]:
    wave = np.sin(np.arange(int(rate_hz * seconds)) * 2 * np.pi * 440 / rate_hz) * 8000
    return np.repeat(wave.astype(np.int16), channels)


def wrapped(container: str, codec: str, seconds: float = 1.0, *, silent: bool = False) -> bytes:
    file = io.BytesIO()
    with av.open(file, "w", format=container) as out:
        stream = cast("Any", out.add_stream(codec, rate=48_000, layout="mono"))
        samples = tone(48_000, seconds) * (0 if silent else 1)
        for begin in range(0, len(samples), 960):
            frame = av.AudioFrame.from_ndarray(
                samples[None, begin : begin + 960], format="s16", layout="mono"
            )
            frame.sample_rate, frame.pts = 48_000, begin
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return file.getvalue()


def pitch_hz(pcm: bytes) -> float:
    samples = np.frombuffer(pcm, np.int16).astype(float)
    return float(np.argmax(np.abs(np.fft.rfft(samples))) * early.RATE_HZ / len(samples))


@pytest.mark.parametrize(
    ("mime", "container", "codec"),
    [
        ("audio/webm;codecs=opus", "webm", "libopus"),
        ("video/mp4", "mp4", "aac"),
        ("audio/ogg", "ogg", "libopus"),
    ],
)
def test_what_browsers_record_is_decoded(mime: str, container: str, codec: str) -> None:
    pcm = decode(wrapped(container, codec), mime, {})
    assert len(pcm) == pytest.approx(early.RATE_HZ * 2, rel=0.06)
    assert pitch_hz(pcm) == pytest.approx(440, abs=3)


def test_so_are_the_samples_that_phones_send() -> None:
    said = {"sampleRate": "24000", "channels": "2"}
    pcm = decode(tone(24_000, 1.0, channels=2).tobytes(), "application/octet-stream", said)
    assert len(pcm) == early.RATE_HZ * 2
    assert pitch_hz(pcm) == pytest.approx(440, abs=3)


@pytest.mark.parametrize(
    ("data", "mime", "said"),
    [
        (b"no sound at all", "audio/webm", {}),
        (b"", "video/mp4", {}),
        (wrapped("matroska", "flac"), "audio/webm", {}),
        (wrapped("webm", "libopus", 25.0, silent=True), "audio/webm", {}),
        (wrapped("ogg", "libopus"), "audio/webm", {}),
        (b"\0" * 640, "", {}),
        (b"\0" * 640, "", {"sampleRate": "9000000"}),
        (b"\0" * 641, "", {"sampleRate": "16000"}),
        (b"\0" * 640, "", {"sampleRate": "16000", "channels": "0"}),
    ],
    ids=["noise", "nothing", "flac", "too long", "another container", "no rate", "rate", "odd", "channels"],
)
def test_what_is_no_sound_or_another_kind_is_refused(data: bytes, mime: str, said: dict[str, str]) -> None:
    with pytest.raises(UndecodableError):
        decode(data, mime, said)


def test_only_the_last_ten_seconds_are_kept() -> None:
    pcm = decode(wrapped("webm", "libopus", 12.0), "audio/webm", {})
    assert len(pcm) == early.MAX_S * early.RATE_HZ * 2


class Reader:
    """A byte stream as the SDK hands it over."""

    def __init__(self, *chunks: bytes, size: int | None = None) -> None:
        self.info = SimpleNamespace(
            size=sum(map(len, chunks)) if size is None else size,
            mime_type="audio/pcm",
            attributes={"sampleRate": "16000", "channels": "1"},
        )
        self.chunks, self.closed = list(chunks), False

    def __aiter__(self) -> Reader:
        return self

    async def __anext__(self) -> bytes:
        if not self.chunks:
            raise StopAsyncIteration
        return self.chunks.pop(0)

    def close(self) -> None:
        self.closed = True

    @property
    def it(self) -> rtc.ByteStreamReader:
        return cast("rtc.ByteStreamReader", self)


class Rig:
    def __init__(self) -> None:
        self.held, self.heard, self.marks = 0, list[bytes](), list[str]()
        self.on_catch_up: Callable[[], None] = lambda: None
        self.inlet = Inlet(lambda who: who == "ann")
        self.early = EarlySpeech(
            self.inlet, self.hold, self.catch_up, lambda name, **_: self.marks.append(name)
        )

    def hold(self) -> None:
        self.held += 1

    async def catch_up(self, pcm: bytes) -> None:
        self.heard.append(pcm)
        self.on_catch_up()


@pytest.fixture
def rig() -> Rig:
    return Rig()


SAID = tone(16_000, 0.5).tobytes()


async def test_what_was_said_before_comes_once_the_greeting_has_begun(rig: Rig) -> None:
    reader = Reader(SAID[:4000], SAID[4000:])
    assert rig.early.expect(FEATURE)
    assert rig.held == 1
    waiting = asyncio.create_task(rig.early.wait())
    assert rig.early.may_read(reader.it, "ann")
    await rig.early.read(reader.it)
    assert not rig.heard
    rig.early.greeted()
    await waiting
    assert rig.heard == [SAID]
    assert rig.marks == ["early.heard"]
    assert reader.closed
    assert not rig.early.expect(FEATURE), "another track is as any other"


async def test_a_caller_who_said_nothing_before_waits_for_nothing(rig: Rig) -> None:
    assert not rig.early.expect([AudioTrackFeature.TF_ECHO_CANCELLATION])
    assert rig.held == 0
    assert not rig.early.may_read(Reader(SAID).it, "ann"), "it was not announced"


async def test_what_does_not_come_is_not_waited_for(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(early, "WAIT_S", 0.01)
    rig.early.expect(FEATURE)
    rig.early.greeted()
    await rig.early.wait()
    assert rig.heard == [b""], "what waits goes on"
    assert rig.marks == ["early.missing"]
    assert not rig.early.may_read(Reader(SAID).it, "ann"), "it comes too late"


@pytest.mark.parametrize(
    ("reader", "sender", "why"),
    [
        (Reader(SAID), "bob", "audio.not_caller"),
        (Reader(SAID, size=MAX_EARLY_BYTES + 1), "ann", "audio.too_large"),
    ],
)
async def test_it_is_the_caller_s_and_small(rig: Rig, reader: Reader, sender: str, why: str) -> None:
    assert not rig.early.may_read(reader.it, sender)
    assert reader.closed
    assert rig.inlet.summary() == {why: 1}


@pytest.mark.parametrize(
    ("reader", "why"),
    [
        (Reader(b"\0" * MAX_EARLY_BYTES, b"\0", size=0), "audio.too_large"),
        (Reader(b"\0" * 3), "audio.wrong"),
    ],
)
async def test_what_is_larger_than_it_says_or_no_sound_ends_the_waiting(
    rig: Rig, reader: Reader, why: str
) -> None:
    rig.early.expect(FEATURE)
    rig.early.greeted()
    assert rig.early.may_read(reader.it, "ann")
    await asyncio.gather(rig.early.read(reader.it), rig.early.wait())
    assert rig.heard == [b""]
    assert reader.closed
    assert rig.inlet.summary() == {why: 1}
    assert not rig.early.may_read(Reader(SAID).it, "ann"), "once in a call"


class Tasks:
    """Stands in for Pipecat's task manager."""

    def __init__(self) -> None:
        self.tasks: list[asyncio.Task[None]] = []

    def create_task(self, work: Any, _: str) -> None:
        self.tasks.append(asyncio.create_task(work))


async def test_the_room_takes_it_of_the_caller_and_greets_first(rig: Rig) -> None:
    order: list[str] = []
    rig.on_catch_up = lambda: order.append("heard")
    client = room(early=(rig.hold, rig.catch_up), ready=lambda _: order.append("greeted"))
    for who in ("bob", "ann"):
        client._on_early(Reader(SAID).it, who)
    assert client._early is not None
    assert client._early.expect(FEATURE)
    waiting = asyncio.create_task(client._early.wait())
    await asyncio.gather(*client._task_manager.tasks)
    client._announce()
    await waiting
    assert order == ["greeted", "heard"]
    assert rig.heard == [SAID]
    assert client.inlet.summary() == {"audio.not_caller": 1}


async def test_a_caller_who_listens_before_anybody_told_of_them_is_greeted() -> None:
    """The server may tell that the agent's voice is subscribed to before it tells by whom."""
    greeted: list[str] = []
    client = room(early=None, ready=greeted.append)
    client._caller = None
    people: dict[str, Any] = {}
    client._room = SimpleNamespace(remote_participants=people)
    client._on_heard()
    assert greeted == []
    people["ann"] = SimpleNamespace(
        identity="ann",
        kind=rtc.ParticipantKind.PARTICIPANT_KIND_STANDARD,
        attributes={},
        permissions=SimpleNamespace(can_update_metadata=False),
    )
    client._on_joined(people["ann"])
    client._on_heard()
    assert greeted == ["ann"]


@pytest.mark.parametrize(("known", "wait"), [(None, "LISTENS_S"), ("ann", "LISTENED_S")])
async def test_a_caller_of_whom_nobody_says_that_they_listen_is_greeted_late_and_it_is_written_down(
    monkeypatch: pytest.MonkeyPatch, known: str | None, wait: str
) -> None:
    for name in ("LISTENS_S", "LISTENED_S"):
        monkeypatch.setattr(f"repartee.session.room.{name}", 0.0 if name == wait else 3600.0)
    greeted, marks = asyncio.Event(), list[str]()
    client = room(early=None, ready=lambda _: greeted.set(), mark=marks.append)
    client._caller_identity = known
    client._room = SimpleNamespace(remote_participants={})
    client._listens_soon()
    async with asyncio.timeout(5):
        await greeted.wait()
    assert marks == [UNHEARD_MARK]
    client._on_heard()
    assert marks == [UNHEARD_MARK], "once"


async def test_what_is_shown_before_the_room_is_there_waits_for_it() -> None:
    """The SDK raises where its participant is asked for before; captions of the whole call would end with it."""
    client = room(early=None, ready=lambda _: None)
    shown: list[dict[str, str]] = []
    changed = asyncio.Event()

    async def set_attributes(attributes: dict[str, str]) -> None:
        shown.append(attributes)
        changed.set()

    wire = Wire(lambda: client.joined and client.joined.local_participant, lambda: "ann", "call")
    wire.show("repartee.agent", "Test")
    running = asyncio.create_task(wire.run())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not running.done()
    client._room = SimpleNamespace(local_participant=SimpleNamespace(set_attributes=set_attributes))
    client._connected = True
    wire.state("listening")
    async with asyncio.timeout(5):
        await changed.wait()
    running.cancel()
    assert shown[0]["repartee.agent"] == "Test"
    assert shown[0]["lk.agent.state"] == "listening"


async def test_who_takes_a_call_over_takes_nothing_of_before() -> None:
    client, reader = room(early=None, ready=lambda _: None), Reader(SAID)
    client._on_early(reader.it, "ann")
    assert reader.closed
    assert client._task_manager.tasks == []


def room(early: Any, ready: Any, mark: Any = lambda *_, **__: None) -> Any:
    nothing: Any = lambda *_: None  # noqa: E731
    hooks = RoomHooks(ready, nothing, nothing, nothing, nothing, early=early, mark=mark)
    client: Any = RoomTransport("ws://x", "t", "r", hooks=hooks, caller_identity=None).client
    client._caller, client._task_manager = "ann", Tasks()
    return client


class Voice:
    """Stands in for voice activity: a frame of ones begins, one of twos ends."""

    speaking, rests, voiced_ms, silent_ms = False, False, 20.0, 20.0

    def hear(self, pcm: bytes) -> Change | None:
        return {1: "started", 2: "stopped"}.get(pcm[0])  # type: ignore[return-value]


async def test_the_ears_hear_it_before_what_waits_and_as_long_as_it_was(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    events: list[Event] = []
    ears = Ears(
        submit=events.append,
        clock_ms=lambda: 1000.0,  # all of it comes at once
        score_turn=lambda _: 1.0,
        executor=ThreadPoolExecutor(1),
        is_caller=lambda who: who == "ann",
        on_stt_failed=lambda _: None,
        score_at_ms=lambda: (),
    )
    pushed: list[bytes] = []

    async def push(frame: Frame, *_: Any) -> None:
        if isinstance(frame, InputAudioRawFrame):
            pushed.append(frame.audio[:1])

    monkeypatch.setattr(ears, "push_frame", push)
    monkeypatch.setattr(ears, "_voice", Voice())
    monkeypatch.setattr(ears, "_started", True)
    ears.hold()
    for sound in (b"\x02", b"\x07"):
        await ears.hear(sound * FRAME_BYTES, "ann")
    assert not pushed
    await ears.catch_up(b"\x05" * FRAME_BYTES + b"\x01" * FRAME_BYTES + b"\x06" * FRAME_BYTES * 10)
    await ears.hear(b"\x08" * FRAME_BYTES, "ann")
    await ears.cleanup()
    assert b"".join(pushed) == b"\x05\x01" + b"\x06" * 10 + b"\x02\x07\x08"
    started, stopped = events
    assert isinstance(started, SpeechStarted)
    assert isinstance(stopped, SpeechStopped)
    assert stopped.spoken_ms == 20 * 11, "from the frame it began in to the one before the silence"
