"""What the agent shows, as a client receives it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from types import SimpleNamespace
from typing import Any, cast

import pytest
import structlog
from livekit import rtc

from repartee.session import wire as wire_module
from repartee.session.watching import AgentState, Watcher
from repartee.session.wire import STREAMS_ARE_EVENTS, UNHEARD, UNHEARD_CHARACTERS, Wire


class Writer:
    def __init__(self, **opened: Any) -> None:
        self.opened = opened
        self.text, self.closed = "", False
        self.ended_with: dict[str, str] = {}

    async def write(self, text: str) -> None:
        self.text += text

    async def aclose(self, attributes: dict[str, str] | None = None) -> None:
        self.closed, self.ended_with = True, attributes or {}


class Participant:
    """The agent's own, in a room that keeps what it is told."""

    identity = "agent"
    track_publications: tuple[str, ...] = ()

    def __init__(self) -> None:
        self.shown: list[dict[str, str]] = []
        self.streams: list[Writer] = []
        self.packets: list[rtc.Transcription] = []
        self.attributes: dict[str, str] = {}
        self.confirms = True

    async def set_attributes(self, attributes: dict[str, str]) -> None:
        self.shown.append(dict(attributes))
        self.attributes |= attributes
        if not self.confirms:
            await asyncio.Event().wait()

    async def stream_text(self, **opened: Any) -> Writer:
        self.streams.append(Writer(**opened))
        return self.streams[-1]

    async def publish_transcription(self, packet: rtc.Transcription) -> None:
        self.packets.append(packet)


def other(
    identity: str = "ann",
    *tracks: str,
    protocol: int = STREAMS_ARE_EVENTS,
    kind: Any = rtc.ParticipantKind.PARTICIPANT_KIND_STANDARD,
) -> rtc.RemoteParticipant:
    told = SimpleNamespace(
        identity=identity,
        track_publications=dict.fromkeys(tracks),
        kind=kind,
        _info=SimpleNamespace(client_protocol=protocol),
    )
    return cast("rtc.RemoteParticipant", told)


@asynccontextmanager
async def showing(
    participant: Participant, *others: rtc.RemoteParticipant, watchers: tuple[Watcher, ...] = ()
) -> AsyncIterator[Wire]:
    local = cast("rtc.LocalParticipant", participant)
    wire = Wire(lambda: local, lambda: "ann", "call", lambda: others, watchers)
    running = asyncio.create_task(wire.run())
    yield wire
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def until(what: Callable[[], object]) -> None:
    async with asyncio.timeout(5):
        while not what():  # noqa: ASYNC110 - nothing announces what is waited for
            await asyncio.sleep(0)


async def test_of_a_reply_that_is_cut_off_its_caption_ends_with_what_was_not_heard() -> None:
    participant = Participant()
    async with showing(participant) as wire:
        for reply_id, rest in ((1, "to six. " * 100), (2, "")):
            wire.agent_text(reply_id, "We are open", final=False)
            if rest:
                wire.cut(reply_id, rest)
            wire.agent_text(reply_id, "We are open", final=True)
        await until(lambda: len(participant.streams) == 2 and participant.streams[1].closed)
    cut, whole = (stream.ended_with for stream in participant.streams)
    assert cut[UNHEARD] == ("to six. " * 100)[:UNHEARD_CHARACTERS]
    assert whole == {"lk.transcription_final": "true"}


async def test_who_comes_back_is_shown_everything_and_the_reply_from_its_beginning() -> None:
    participant = Participant()
    async with showing(participant) as wire:
        wire.state("speaking")
        wire.show("repartee.network", "good")
        wire.agent_text(1, "We are open", final=False)
        await until(lambda: participant.streams and participant.shown)
        wire.again()
        wire.agent_text(1, "We are open from eight", final=False)
        wire.agent_text(1, "We are open from eight to six.", final=True)
        await until(lambda: len(participant.streams) == 2 and participant.streams[1].closed)
        await until(lambda: len(participant.shown) == 2)
    first, second = participant.streams
    assert (first.text, first.closed) == ("We are open", True)
    assert second.text == "We are open from eight to six."
    assert participant.shown[1] == {"lk.agent.state": "speaking", "repartee.network": "good"}


async def test_what_is_shown_before_the_agent_is_in_the_room_is_shown_when_it_is() -> None:
    participant, joined = Participant(), False
    local = cast("rtc.LocalParticipant", participant)
    wire = Wire(lambda: local if joined else None, lambda: None, "call")
    running = asyncio.create_task(wire.run())
    wire.show("repartee.call", "c1")
    for _ in range(10):
        await asyncio.sleep(0)
    joined = True
    wire.state("listening")
    await until(lambda: participant.shown)
    running.cancel()
    assert participant.shown == [{"repartee.call": "c1", "lk.agent.state": "listening"}]


@pytest.mark.parametrize("known", [True, False])
async def test_a_state_that_is_not_confirmed_holds_up_no_other_and_is_told_if_nobody_has_it(
    monkeypatch: pytest.MonkeyPatch, known: bool
) -> None:
    """The engine can miss the server's answer; the room tells of the attribute all the same."""
    monkeypatch.setattr(wire_module, "CONFIRM_S", 0.01)
    participant = Participant()
    participant.confirms = False
    with structlog.testing.capture_logs() as logged:
        async with showing(participant) as wire:
            states: tuple[AgentState, ...] = ("listening", "thinking", "speaking")
            for count, state in enumerate(states, 1):
                wire.state(state)
                await until(partial(_as_many, participant.shown, count))
                if not known:
                    participant.attributes.clear()
    failed = [entry["what"] for entry in logged if entry["event"] == "wire.failed"]
    assert failed == ([] if known else ["state"] * 2)


def _as_many(shown: list[dict[str, str]], count: int) -> bool:
    return len(shown) >= count


async def test_captions_say_of_whom_and_of_which_track_they_are() -> None:
    participant = Participant()
    participant.track_publications = ("TR_voice",)
    async with showing(participant, other("bob", "TR_bob"), other("ann", "TR_mic")) as wire:
        wire.user_text(3, "Are you open?", final=True)
        wire.agent_text(4, "Yes.", final=True)
        await until(lambda: len(participant.streams) == 2 and participant.streams[1].closed)
    of_user, of_agent = participant.streams
    assert (of_user.opened["sender_identity"], of_user.opened["topic"]) == ("ann", "lk.transcription")
    assert of_user.opened["attributes"] == {
        "lk.segment_id": "SG_call_u3",
        "lk.transcription_final": "true",
        "lk.transcribed_track_id": "TR_mic",
    }
    assert of_agent.opened["attributes"] == {
        "lk.segment_id": "SG_call_a4",
        "lk.transcription_final": "false",
        "lk.transcribed_track_id": "TR_voice",
    }


async def test_who_types_without_a_microphone_is_captioned_without_a_track() -> None:
    participant = Participant()
    async with showing(participant, other("ann")) as wire:
        wire.user_text(1, "Hello", final=False)
        await until(lambda: participant.streams and participant.streams[0].closed)
    assert "lk.transcribed_track_id" not in participant.streams[0].opened["attributes"]


async def test_what_was_typed_is_no_caption_for_its_client_shows_it() -> None:
    participant, told = Participant(), Told()
    async with showing(participant, other("ann", "TR_mic"), watchers=(told,)) as wire:
        wire.typed(" Is there parking? ")
        wire.user_text(1, "Is there parking?", final=True)
        wire.user_text(2, "Is there parking?", final=True)
        await until(lambda: participant.streams and participant.streams[0].closed)
    assert [stream.opened["attributes"]["lk.segment_id"] for stream in participant.streams] == ["SG_call_u2"]
    assert [typed for *_, typed in told.user] == [True, False]


class TestOlderClients:
    async def test_they_are_sent_packets_once_for_every_change(self) -> None:
        participant = Participant()
        participant.track_publications = ("TR_voice",)
        async with showing(participant, other("ann", "TR_mic", protocol=STREAMS_ARE_EVENTS - 1)) as wire:
            wire.user_text(1, "Are you", final=False)
            wire.user_text(1, "Are you open?", final=True)
            for _ in range(3):
                wire.agent_text(2, "Yes", final=False)
            wire.agent_text(2, "Yes, we are.", final=True)
            await until(lambda: len(participant.packets) == 4)
        told = [(p.participant_identity, p.track_sid, s.id, s.text, s.final)
                for p in participant.packets for s in p.segments]  # fmt: skip
        assert told == [
            ("ann", "TR_mic", "SG_call_u1", "Are you", False),
            ("ann", "TR_mic", "SG_call_u1", "Are you open?", True),
            ("agent", "TR_voice", "SG_call_a2", "Yes", False),
            ("agent", "TR_voice", "SG_call_a2", "Yes, we are.", True),
        ]

    @pytest.mark.parametrize(
        "listener",
        [other("ann", "TR_mic"), other("sip", protocol=0, kind=rtc.ParticipantKind.PARTICIPANT_KIND_SIP)],
    )
    async def test_nobody_else_is(self, listener: rtc.RemoteParticipant) -> None:
        participant = Participant()
        participant.track_publications = ("TR_voice",)
        async with showing(participant, listener) as wire:
            wire.agent_text(2, "Yes.", final=True)
            await until(lambda: participant.streams and participant.streams[0].closed)
        assert participant.packets == []


class Told(Watcher):
    def __init__(self) -> None:
        self.states: list[AgentState] = []
        self.user: list[tuple[str, bool, bool]] = []
        self.other: list[Any] = []

    def state(self, state: AgentState) -> None:
        self.states.append(state)

    def user_text(self, turn_id: int, text: str, *, final: bool, typed: bool = False) -> None:
        self.user.append((text, final, typed))

    def user_turn(self, *, is_open: bool) -> None:
        self.other.append(is_open)

    def interrupted(self, reply_id: int) -> None:
        self.other.append(reply_id)

    def tool(self, name: str) -> None:
        self.other.append(name)

    def failed(self) -> None:
        self.other.append("failed")


async def test_watchers_are_told_what_changes() -> None:
    told = Told()
    async with showing(Participant(), watchers=(told,)) as wire:
        states: list[AgentState] = ["initializing", "listening", "listening", "speaking"]
        for state in states:
            wire.state(state)
        wire.user_text(1, "", final=True)
        wire.user_turn(is_open=True)
        wire.interrupted(7)
        wire.tool("find_slots")
        wire.failed()
    assert told.states == ["listening", "speaking"]
    assert told.user == []
    assert told.other == [True, 7, "find_slots", "failed"]


async def test_a_piece_that_brings_no_word_is_no_news() -> None:
    told: list[tuple[int, str, bool]] = []
    watcher = SimpleNamespace(
        agent_text=lambda reply_id, text, *, final: told.append((reply_id, text, final)),
    )
    async with showing(Participant(), watchers=(cast("Watcher", watcher),)) as wire:
        for text in ("", "We", "We", "We are", "We are"):
            wire.agent_text(1, text, final=False)
        wire.again()
        wire.agent_text(1, "We are", final=False)
        wire.agent_text(1, "We are", final=True)
        wire.agent_text(2, "We are", final=False)
    assert told == [
        (1, "We", False),
        (1, "We are", False),
        (1, "We are", False),
        (1, "We are", True),
        (2, "We are", False),
    ]
