"""The LiveKit wire contract, agent side: what any LiveKit client shows without knowing repartee.

`lk.agent.state` as a participant attribute, and transcripts as text streams on `lk.transcription`: for the user
a new stream per update with the whole text of the turn, in the user's name; for the agent one stream per reply
with what was heard as it is heard, closed as final. Clients that do not make transcription events of these streams
are sent LiveKit's older packets as well. Who shows the call in another protocol is told the same (`watching.py`).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass
from typing import Any

import structlog
from livekit import rtc

from repartee.session.watching import AgentState, Watcher

TOPIC = "lk.transcription"
QUEUE_SIZE = 256
PUBLISH_S = 5.0
CONFIRM_S = 1.0
"""An attribute's confirmation that has not come by then was missed: livekit 1.2.1 sends the request before it waits
for the answer, which on a busy machine is there sooner (1 of 600)."""
STREAMS_ARE_EVENTS = 3
"""From this protocol on a client makes transcription events of the text streams, and ignores the older packets."""
UNHEARD = "repartee.unheard_text"
"""Attribute of a caption that ends: what was made of the reply and not heard, as it was cut off."""
UNHEARD_CHARACTERS = 400
TYPED_KEPT = 16
"""Typed messages that wait to become turns."""

_REFUSED = (rtc.RpcError, rtc.participant.PublishDataError, rtc.participant.PublishTranscriptionError)

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _UserText:
    turn_id: int
    text: str
    final: bool


@dataclass(frozen=True, slots=True)
class _AgentText:
    reply_id: int
    text: str
    final: bool
    unheard: str = ""


_Caption = _UserText | _AgentText


class Wire(Watcher):
    """Publishes state and captions, never in the way of audio.

    Captions are written in order by one task. The state has a task of its own, where only the newest counts: no
    caption shall wait until it is confirmed.

    Args:
        participant: Returns the agent's own participant, None while not connected.
        caller: Returns the caller's identity, None before they came.
        call_id: Makes segment ids unique between calls, and between agents of one call.
        others: Returns the other participants of the room.
        watchers: Told the same.
    """

    def __init__(
        self,
        participant: Callable[[], rtc.LocalParticipant | None],
        caller: Callable[[], str | None],
        call_id: str,
        others: Callable[[], Iterable[rtc.RemoteParticipant]] = tuple,
        watchers: Iterable[Watcher] = (),
    ) -> None:
        self._participant = participant
        self._caller = caller
        self._others = others
        self._watchers = tuple(watchers)
        self._typed: deque[str] = deque(maxlen=TYPED_KEPT)
        self._prefix = call_id[:8]
        self._captions: asyncio.Queue[_Caption] = asyncio.Queue(maxsize=QUEUE_SIZE)
        self._agent_writer: rtc.TextStreamWriter | None = None
        self._agent_reply: int | None = None
        self._agent_sent = ""
        self._agent_anew = False
        self._cut: tuple[int, str] = (0, "")
        """The reply that was cut off last, and what of it was not heard."""
        self._packet: tuple[str, str, bool] = ("", "", False)
        self._state: AgentState = "initializing"
        self._shown: AgentState = "initializing"
        self._state_changed = asyncio.Event()
        self._attributes: dict[str, str] = {}
        """Others that changed since they were last shown."""
        self._known: dict[str, str] = {}
        """What is shown."""
        self._told: tuple[int, str] | None = None
        """How far which reply was heard when that was told last."""

    def state(self, state: AgentState) -> None:
        """Show what the agent is doing."""
        if state != self._state:
            for watcher in self._watchers:
                watcher.state(state)
        self._state = state
        self._state_changed.set()

    def goals(self, goals: str) -> None:
        """Show what the call is about, as JSON."""
        self._attributes["repartee.goals"] = goals
        self._state_changed.set()

    def tool(self, name: str) -> None:
        """Show which tool is waited for, never its arguments; "" for none."""
        self.show("repartee.tool", name)
        for watcher in self._watchers:
            watcher.tool(name)

    def user_voice(self, at_ms: float, *, speaking: bool) -> None:
        """The caller's voice began, or ended at that time."""
        for watcher in self._watchers:
            watcher.user_voice(at_ms, speaking=speaking)

    def user_turn(self, *, is_open: bool) -> None:
        """The user has taken the floor, or given it back."""
        for watcher in self._watchers:
            watcher.user_turn(is_open=is_open)

    def interrupted(self, reply_id: int) -> None:
        """A reply that is heard is cut off: what `agent_text` tells next is its end."""
        for watcher in self._watchers:
            watcher.interrupted(reply_id)

    def failed(self) -> None:
        """Something the agent needs did not answer."""
        for watcher in self._watchers:
            watcher.failed()

    def show(self, attribute: str, value: str) -> None:
        """Show something else about the call, as an attribute of the agent's."""
        self._attributes[attribute] = value
        self._state_changed.set()

    def again(self) -> None:
        """Show everything anew: a server that was started again has forgotten it, and who comes back does not have
        the beginning of the caption that is being written.
        """
        self._agent_anew, self._told = True, None
        self._attributes = {**self._known, **self._attributes}
        self._state_changed.set()

    def typed(self, text: str) -> None:
        """The user typed this: their client shows it already, so the turn it becomes is no caption."""
        self._typed.append(text.strip())

    def user_text(self, turn_id: int, text: str, *, final: bool, typed: bool = False) -> None:
        """Show the user's turn so far."""
        if not text:
            return
        if final and text in self._typed:
            self._typed.remove(text)
            typed = True
        if not typed:
            self._put(_UserText(turn_id, text, final))
        for watcher in self._watchers:
            watcher.user_text(turn_id, text, final=final, typed=typed)

    def cut(self, reply_id: int, unheard: str) -> None:
        """A reply is cut off, and this was not heard; its last `agent_text` follows."""
        self._cut = (reply_id, unheard[:UNHEARD_CHARACTERS])

    def agent_text(self, reply_id: int, text: str, *, final: bool) -> None:
        """Show what was heard of a reply so far; told with every piece that is played, words change less often."""
        if final or (text and self._told != (reply_id, text)):
            cut, unheard = self._cut
            said = _AgentText(reply_id, text, final, unheard if final and cut == reply_id else "")
            self._told = (reply_id, text) if self._put(said) else None
            for watcher in self._watchers:
                watcher.agent_text(reply_id, text, final=final)

    def _put(self, caption: _Caption) -> bool:
        # Captions are for showing: when a client cannot keep up, the newest is dropped, never audio delayed.
        if room := not self._captions.full():
            self._captions.put_nowait(caption)
        return room

    async def run(self) -> None:
        """Publish until cancelled."""
        async with asyncio.TaskGroup() as lanes:
            lanes.create_task(self._run_state(), name="state")
            lanes.create_task(self._run_captions(), name="captions")

    async def _run_state(self) -> None:
        while True:
            await self._state_changed.wait()
            self._state_changed.clear()
            participant, state = self._participant(), self._state
            if participant is not None and state != self._shown:
                self._shown = state
                self._attributes["lk.agent.state"] = state
            if participant is not None and self._attributes:
                shown, self._attributes = self._attributes, {}
                self._known.update(shown)
                await _show(participant, shown)

    async def _run_captions(self) -> None:
        while True:
            caption = await self._captions.get()
            participant = self._participant()
            if participant is None:
                continue
            older = self._older_clients()
            match caption:
                case _UserText():
                    await within_limit("user", self._publish_user(participant, caption))
                    if older and (caller := self._caller()) is not None:
                        await self._publish_packet(participant, caller, self._microphone(), caption)
                case _AgentText():
                    if not await within_limit("agent", self._publish_agent(participant, caption)):
                        self._agent_writer = None
                    if older:
                        await self._publish_packet(
                            participant, participant.identity, _first_track(participant), caption
                        )

    async def _publish_user(self, participant: rtc.LocalParticipant, caption: _UserText) -> None:
        caller = self._caller()
        if caller is None:
            return
        writer = await participant.stream_text(
            topic=TOPIC,
            sender_identity=caller,
            attributes=self._attributes_of(caption, self._microphone(), final=caption.final),
        )
        await writer.write(caption.text)
        await writer.aclose()

    async def _publish_agent(self, participant: rtc.LocalParticipant, caption: _AgentText) -> None:
        if self._agent_reply != caption.reply_id:
            await self._close_agent()
            self._agent_reply, self._agent_sent, self._agent_anew = caption.reply_id, "", False
        if self._agent_anew:
            await self._close_agent()
            self._agent_sent, self._agent_anew = "", False
        delta = caption.text[len(self._agent_sent) :] if caption.text.startswith(self._agent_sent) else ""
        if delta:
            if self._agent_writer is None:
                self._agent_writer = await participant.stream_text(
                    topic=TOPIC,
                    attributes=self._attributes_of(caption, _first_track(participant), final=False),
                )
            await self._agent_writer.write(delta)
            self._agent_sent += delta
        if caption.final:
            await self._close_agent(caption.unheard)

    async def _close_agent(self, unheard: str = "") -> None:
        if self._agent_writer is not None:
            writer, self._agent_writer = self._agent_writer, None
            more = {UNHEARD: unheard} if unheard else {}
            await writer.aclose(attributes={"lk.transcription_final": "true", **more})

    def _attributes_of(self, caption: _Caption, track_sid: str | None, *, final: bool) -> dict[str, str]:
        attributes = {"lk.segment_id": self._segment(caption), "lk.transcription_final": str(final).lower()}
        if track_sid is not None:
            attributes["lk.transcribed_track_id"] = track_sid
        return attributes

    def _segment(self, caption: _Caption) -> str:
        match caption:
            case _UserText(turn_id=number):
                return f"SG_{self._prefix}_u{number}"
            case _AgentText(reply_id=number):
                return f"SG_{self._prefix}_a{number}"

    def _microphone(self) -> str | None:
        """Return the caller's track, None where they have none: who types is shown all the same."""
        caller = self._caller()
        return next((_first_track(other) for other in self._others() if other.identity == caller), None)

    # --- older clients ----------------------------------------------------------------------------------------

    def _older_clients(self) -> bool:
        """Say whether somebody in the room shows captions from packets only. They cannot be sent to one alone."""
        return any(
            other.kind == rtc.ParticipantKind.PARTICIPANT_KIND_STANDARD
            and other._info.client_protocol < STREAMS_ARE_EVENTS  # noqa: SLF001 - the SDK has no name for it
            for other in self._others()
        )

    async def _publish_packet(
        self, participant: rtc.LocalParticipant, identity: str, track_sid: str | None, caption: _Caption
    ) -> None:
        # Of the same words as often as they change: the heard text is told with every chunk that is played.
        packet = (self._segment(caption), caption.text, caption.final)
        if track_sid is None or not caption.text or packet == self._packet:
            return
        self._packet = packet
        segment = rtc.TranscriptionSegment(
            id=packet[0], text=caption.text, start_time=0, end_time=0, language="", final=caption.final
        )
        await within_limit(
            "packet", participant.publish_transcription(rtc.Transcription(identity, track_sid, [segment]))
        )


def _first_track(participant: rtc.Participant) -> str | None:
    return next(iter(participant.track_publications), None)


async def _show(participant: rtc.LocalParticipant, attributes: dict[str, str]) -> None:
    try:
        async with asyncio.timeout(CONFIRM_S):
            await participant.set_attributes(attributes)
    except TimeoutError:
        # Where the room has told them back, everybody has them, and only the confirmation was missed.
        if not attributes.items() <= participant.attributes.items():
            log.warning("wire.failed", what="state", error="TimeoutError")


async def within_limit(what: str, work: Coroutine[Any, Any, object]) -> bool:
    """Do it; return whether it worked. A caption that cannot be shown is no reason to stop talking."""
    try:
        async with asyncio.timeout(PUBLISH_S):
            await work
    except (TimeoutError, rtc.StreamError, *_REFUSED) as error:
        log.warning("wire.failed", what=what, error=type(error).__name__)
        return False
    return True
