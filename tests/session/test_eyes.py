"""Looking at what the caller shows: one picture for one answer, so large and so often at most, and kept nowhere."""

from __future__ import annotations

import asyncio
import base64
import io
from types import SimpleNamespace
from typing import Any

import pytest
from livekit import rtc
from PIL import Image
from pipecat.processors.aggregators.llm_context import LLMContext

from repartee.agent.vision import Vision
from repartee.conversation.tokens import PER_PICTURE, message_tokens, without_pictures
from repartee.errors import ToolError
from repartee.session.eyes import CAPTION, HERE, Eyes, RawFrame, grab_from
from repartee.session.shared_video import SharedVideo
from repartee.simulator.providers.replies import Replies

RED, BLUE = bytes((220, 30, 30)), bytes((40, 60, 210))


class Desk:
    """Eyes, and what they see."""

    def __init__(self, **vision: Any) -> None:
        self.now_ms, self.turn, self.grabbed = 0.0, 1, 0
        self.marks: list[tuple[str, dict[str, Any]]] = []
        self.frame: RawFrame | None = RawFrame(1600, 900, RED * (1600 * 900))
        self.eyes = Eyes(
            Vision(enabled=True, **vision),
            lambda: self.turn,
            lambda name, **values: self.marks.append((name, values)),
            lambda: self.now_ms,
        )

    async def grab(self) -> RawFrame | None:
        self.grabbed += 1
        return self.frame


def asked(result: str = HERE) -> LLMContext:
    """A request after a round of tools."""
    call = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
    messages: list[Any] = [
        {"role": "user", "content": "What is this?"},
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": result},
    ]
    return LLMContext(messages)


def said(context: LLMContext) -> str:
    """What the simulated model says."""
    messages: Any = context.get_messages()
    return Replies(None).answer(messages).text


async def test_a_picture_goes_into_the_request_that_looked_and_into_no_other() -> None:
    desk = Desk()
    desk.eyes.show("t1", "camera", desk.grab)
    assert await desk.eyes.look() == HERE
    context, other = asked(), asked("It is not there.")
    desk.eyes.attach(context)
    desk.eyes.attach(other)
    message: Any = context.get_messages()[-1]
    assert message["role"] == "user"
    assert message["content"][0] == {"type": "text", "text": CAPTION.format(source="camera")}
    url = message["content"][1]["image_url"]["url"]
    image = Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2])))
    assert (image.format, image.size) == ("JPEG", (768, 432))
    assert len(other.get_messages()) == 3
    desk.eyes.attach(context)
    assert len(context.get_messages()) == 4, "once"
    (values,) = [values for name, values in desk.marks if name == "vision.looked"]
    assert (values["source"], values["width"], values["height"]) == ("camera", 768, 432)
    assert values["bytes"] < 50_000
    assert said(context) == "I see red, in a picture of 768 by 432."


async def test_what_was_shown_last_is_looked_at() -> None:
    desk = Desk()
    desk.eyes.show("t1", "camera", desk.grab)

    async def screen() -> RawFrame:
        return RawFrame(64, 64, BLUE * (64 * 64))

    desk.eyes.show("t2", "screen", screen)
    await desk.eyes.look()
    context = asked()
    desk.eyes.attach(context)
    assert "blue" in said(context)
    desk.eyes.hide("t2")
    context = asked()
    desk.eyes.attach(context)
    assert len(context.get_messages()) == 3, "what is no longer shown is no longer seen"
    await desk.eyes.look()
    assert desk.grabbed == 1


async def test_nothing_shown_and_no_picture_are_said() -> None:
    desk = Desk()
    with pytest.raises(ToolError, match="shares neither camera nor screen; ask them to press"):
        await desk.eyes.look()
    desk.eyes.show("t1", "camera", desk.grab)
    desk.frame = None
    with pytest.raises(ToolError, match="no picture comes from the caller's camera"):
        await desk.eyes.look()
    assert [name for name, _ in desk.marks] == ["vision.shown", "vision.blind"]


async def test_a_camera_that_never_gives_a_frame_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("repartee.session.eyes.FRAME_S", 0.01)
    desk = Desk()

    async def never() -> None:
        await asyncio.Event().wait()

    desk.eyes.show("t1", "camera", never)
    with pytest.raises(ToolError, match="no picture comes"):
        await desk.eyes.look()


@pytest.mark.parametrize(
    ("limits", "why", "again"),
    [
        ({"looks_per_turn": 2}, "turn", {"turn": 2}),
        ({"looks_per_turn": 9, "looks_per_minute": 2}, "minute", {"now_ms": 70_000.0}),
        ({"looks_per_turn": 9, "looks": 2}, "call", None),
    ],
)
async def test_it_costs_so_much_at_most(
    limits: dict[str, int], why: str, again: dict[str, Any] | None
) -> None:
    desk = Desk(**limits)
    desk.eyes.show("t1", "camera", desk.grab)
    for _ in range(2):
        await desk.eyes.look()
        desk.now_ms += 1000
        await desk.eyes.look()  # a picture of a second ago is used again
        desk.now_ms += 2000
    assert desk.grabbed == 2
    with pytest.raises(ToolError, match=f"no more can be looked at in this {why}"):
        await desk.eyes.look()
    assert desk.marks[-1] == ("vision.refused", {"why": why})
    if again is not None:
        vars(desk).update(again)
        await desk.eyes.look()
        assert desk.grabbed == 3


async def test_one_frame_is_taken_of_a_stream_that_is_closed_again() -> None:
    class Frame:
        width, height, data = 2, 1, memoryview(b"abcdef")

    class Event:
        frame = Frame()

    class Stream:
        closed = 0

        async def __aiter__(self) -> Any:
            while True:
                yield Event()

        async def aclose(self) -> None:
            Stream.closed += 1

    assert await grab_from(Stream)() == RawFrame(2, 1, b"abcdef")
    Frame.width = 1_000_000
    Frame.height = 1_000_000
    assert await grab_from(Stream)() is None, "too large to be copied"
    assert Stream.closed == 2


def test_a_picture_is_reckoned_by_what_vendors_bill_not_by_its_file() -> None:
    picture = {"type": "image_url", "image_url": {"url": "data:image/jpeg;base64," + "A" * 100_000}}
    message = {"role": "user", "content": [{"type": "text", "text": "See"}, picture]}
    assert PER_PICTURE < message_tokens(message) < PER_PICTURE + 50
    assert len(str(without_pictures(message))) < PER_PICTURE * 4 + 200
    plain = {"role": "user", "content": "See"}
    assert without_pictures(plain) == plain


class Publication(rtc.RemoteTrackPublication):
    """Of a track, without a media server."""

    def __init__(self, source: int = rtc.TrackSource.SOURCE_CAMERA, *, muted: bool = False) -> None:
        self.told: list[bool] = []
        self._facts = {"sid": "TR_1", "source": source, "muted": muted}

    sid = property(lambda self: self._facts["sid"])
    source = property(lambda self: self._facts["source"])
    muted = property(lambda self: self._facts["muted"])
    track = property(lambda _: object())

    def set_subscribed(self, subscribed: bool) -> None:
        self.told.append(subscribed)


def somebody(identity: str) -> Any:
    return SimpleNamespace(identity=identity)


def test_a_camera_that_is_switched_off_is_hidden_and_shown_again() -> None:
    desk = Desk()
    video, camera, ann = SharedVideo(desk.eyes, lambda who: who == "ann"), Publication(), somebody("ann")
    video.subscribed(camera, ann)
    video._muted(ann, camera)
    video._muted(somebody("bob"), camera)
    video._unmuted(ann, camera)
    video.gone(camera)
    video.subscribed(Publication(muted=True), ann)
    shown, hidden = ("vision.shown", {"source": "camera"}), ("vision.hidden", {"source": "camera"})
    assert desk.marks == [shown, hidden, shown, hidden]
    assert camera.told == []


@pytest.mark.parametrize(
    ("who", "source", "sees"),
    [
        ("bob", rtc.TrackSource.SOURCE_CAMERA, True),
        ("ann", rtc.TrackSource.SOURCE_UNKNOWN, True),
        ("ann", rtc.TrackSource.SOURCE_SCREENSHARE, False),
    ],
)
def test_what_nobody_may_look_at_is_not_received(who: str, source: int, sees: bool) -> None:
    desk = Desk()
    video, track = SharedVideo(desk.eyes if sees else None, lambda who: who == "ann"), Publication(source)
    video.subscribed(track, somebody(who))
    assert (track.told, desk.marks) == ([False], [])
