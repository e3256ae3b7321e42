"""The LiveKit room of one call: joins it, finds the caller, carries audio both ways and typed text in.

Pipecat's LiveKit transport does the work; the subclasses below correct what costs time or loses facts
(each names the defect) and can be deleted when upstream no longer has it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from livekit import rtc
from pipecat.transports.livekit.transport import LiveKitParams, LiveKitTransport, LiveKitTransportClient
from pipecat.utils.asyncio.task_manager import BaseTaskManager

from repartee.conversation.policies import SENSITIVITY, Sensitivity
from repartee.errors import MediaError, ToolError
from repartee.events import EndReason
from repartee.session.callers import vouched_id
from repartee.session.debugging import TOPIC as SESSION_TOPIC
from repartee.session.early import TOPIC as EARLY_TOPIC
from repartee.session.early import CatchUp, EarlySpeech, Hold
from repartee.session.eyes import Eyes
from repartee.session.inlet import MESSAGE_ID, OLDER_CHAT, Body, Inlet, Take
from repartee.session.limits import MAX_EARLY_BYTES
from repartee.session.line import LineMonitor
from repartee.session.link import Cause, Codec, Link
from repartee.session.media_events import FRAME_MS, CallerAudio, hear_own_events
from repartee.session.shared_video import SharedVideo
from repartee.session.voice_track import OUT_QUEUE_MS, OUT_SAMPLE_RATE_HZ, voice_options

IN_SAMPLE_RATE_HZ = 16_000
CONNECT_ATTEMPTS = 3
CONNECT_TIMEOUT_S = 5.0
NO_CALLER_S = 45.0
"""The agent is in the room before the caller; it leaves again when nobody comes."""
HEARS_S = 0.5
"""Whoever comes back needs so long until the agent's voice reaches them."""
LISTENS_S = 10.0
"""A caller who has not subscribed to the agent's voice by then is greeted all the same: their client may never."""
LISTENED_S = 3.0
"""One who has heard an agent before us, by then: their client does, and they sit in silence."""
UNHEARD_MARK = "caller.not_listening"

SENSITIVITY_METHOD = "repartee.sensitivity"
"""RPC: how easily the agent gives way, from now on."""
RPC_REFUSED = 1500
"""LiveKit's code for an application's own errors."""

_FOR_GOOD = frozenset(
    {
        rtc.DisconnectReason.CLIENT_INITIATED,
        rtc.DisconnectReason.PARTICIPANT_REMOVED,
        rtc.DisconnectReason.ROOM_DELETED,
        rtc.DisconnectReason.ROOM_CLOSED,
        rtc.DisconnectReason.USER_REJECTED,
        rtc.DisconnectReason.USER_UNAVAILABLE,
    }
)
"""Reasons to be gone after which nobody comes back."""
_QUALITY = {
    rtc.ConnectionQuality.QUALITY_POOR: "poor",
    rtc.ConnectionQuality.QUALITY_GOOD: "good",
    rtc.ConnectionQuality.QUALITY_EXCELLENT: "excellent",
    rtc.ConnectionQuality.QUALITY_LOST: "lost",
}

_STANDARD_KINDS = (rtc.ParticipantKind.PARTICIPANT_KIND_STANDARD, rtc.ParticipantKind.PARTICIPANT_KIND_SIP)


@dataclass(frozen=True, slots=True)
class RoomHooks:
    """What the session wants to know of the room. All are called on the event loop and must not block."""

    caller_ready: Callable[[str], None]
    """The caller is in the room and can hear the agent."""
    call_over: Callable[[EndReason], None]
    chat: Callable[[str], None]
    """The caller typed something."""
    network: Callable[[str], None]
    """"reconnecting" or "reconnected": the agent's own connection."""
    sensitivity: Callable[[Sensitivity], None]
    """The caller wants the agent to give way more or less easily."""
    lost: Callable[[float], None] = lambda _: None
    """The caller cannot hear the agent, nor the agent them, since a time in ms on the call's clock."""
    returned: Callable[[], None] = lambda: None
    """They can again."""
    quality: Callable[[str], None] = lambda _: None
    """LiveKit's judgement of the caller's connection: "excellent", "good", "poor", "lost"."""
    codec: Callable[[Codec | None], None] = lambda _: None
    """How the caller's sound is encoded; None where it cannot be received."""
    audio: Callable[[bytes, str], Awaitable[None]] | None = None
    """Takes 20 ms of 16 kHz audio and the identity it comes from; None leaves it to Pipecat's frames."""
    entered: Callable[[], None] = lambda: None
    """The caller is in the room; whether they can hear yet is another thing."""
    identified: Callable[[str], None] = lambda _: None
    """The operator's token says who the caller is."""
    rpc: Mapping[str, Callable[[str], Awaitable[str]]] = field(default_factory=dict)
    """What the caller, and nobody else, may ask the agent, by method."""
    telephone: Callable[[Mapping[str, str]], None] = lambda _: None
    """The caller is a telephone, with these attributes."""
    key: Callable[[str], None] = lambda _: None
    """The caller pressed a key of their telephone."""
    messages: Mapping[str, tuple[type[Body], Take]] = field(default_factory=dict)
    """Data messages that are taken of the caller, by type; all others are dropped."""
    session: Callable[[bytes], None] = lambda _: None
    """Takes a message of LiveKit's debug session."""
    mark: Callable[..., None] = lambda *_, **__: None
    """Marks the timeline."""
    still_ours: Callable[[], Awaitable[bool]] | None = None
    """Says whether the call is still this agent's, when its own connection stands again: it may have been taken for
    dead. Until then nothing is said."""
    early: tuple[Hold, CatchUp] | None = None
    """Has the audio wait, and takes what was said before it; None takes nothing that was said before the call."""
    eyes: Eyes | None = None
    """Looks at what the caller shares; None receives no video."""


class RoomClient(LiveKitTransportClient):
    """Pipecat's LiveKit client with its defects for a call corrected."""

    _by_telephone = False

    def __init__(
        self,
        *args: Any,
        hooks: RoomHooks,
        caller_identity: str | None,
        clock_ms: Callable[[], float] = lambda: time.monotonic() * 1000,
        grace_s: float = 30.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self._hooks = hooks
        self._grace_s = grace_s
        self.link = Link(hooks.lost, hooks.returned, clock_ms)
        self._monitor = LineMonitor(self.link, clock_ms, hooks.codec)
        self._watching: asyncio.Task[None] | None = None
        self._caller_identity = caller_identity
        self._caller: str | None = None
        self._announced = False
        self._listened_to = False
        self._rejoining: asyncio.TimerHandle | None = None
        self._confirming: asyncio.Task[None] | None = None
        """Asks whether the call is still ours."""
        self._mending: dict[Cause, asyncio.TimerHandle] = {}
        self.inlet = Inlet(self.is_caller, hooks.messages, mark=hooks.mark)
        self._video = SharedVideo(hooks.eyes, self.is_caller)
        self._early = EarlySpeech(self.inlet, *hooks.early, hooks.mark) if hooks.early is not None else None
        self._summed_up = False
        self._lobby: asyncio.TimerHandle | None = None
        self._greet_anyway: asyncio.TimerHandle | None = None
        self._methods: set[str] = set()
        """What is registered for others to call."""

    # --- joining ----------------------------------------------------------------------------------------------

    async def setup(self, setup: Any) -> None:
        """Create the room and register our handlers before it connects. Runs once per transport half."""
        first = self._task_manager is None
        await super().setup(setup)
        if not first:
            return
        room = self.room
        _bound_streams(room)
        self._video.listen(room)
        # Not registered by Pipecat: who can hear us, why someone left, the network's state, text streams.
        room.on("local_track_subscribed")(self._on_heard)
        room.on("participant_connected")(self._on_joined)
        room.on("participant_active")(self._on_active)
        room.on("participant_disconnected")(self._on_left)
        room.on("disconnected")(self._on_room_closed)
        room.on("reconnecting")(self._on_reconnecting)
        room.on("reconnected")(self._on_reconnected)
        room.on("connection_quality_changed")(self._on_quality)
        room.on("track_subscription_failed")(self._on_no_track)
        room.on("track_unsubscribed")(self._on_track_gone)
        room.on("participant_attributes_changed")(self._on_attributes)
        room.register_text_stream_handler("lk.chat", self._on_chat)
        room.register_byte_stream_handler(SESSION_TOPIC, self._on_session)
        room.register_byte_stream_handler(EARLY_TOPIC, self._on_early)

    async def connect(self) -> None:  # type: ignore[override]
        """Join the room.

        Raises:
            MediaError: The server could not be reached or refused the token.
        """
        # Pipecat waits 4 to 10 s between its attempts; a caller is already listening.
        for attempt in range(CONNECT_ATTEMPTS):
            try:
                async with asyncio.timeout(CONNECT_TIMEOUT_S):
                    await self._enter()
                break
            except (rtc.ConnectError, TimeoutError) as error:
                if attempt + 1 == CONNECT_ATTEMPTS:
                    raise MediaError(
                        f"could not join the LiveKit room at {self._url}: {error or 'no answer'}; check "
                        "LIVEKIT_URL and that the server is up"
                    ) from error
                await asyncio.sleep(0.2 * 2**attempt)
        methods = {name: self._for_caller(answer) for name, answer in self._hooks.rpc.items()}
        for method, answers in {SENSITIVITY_METHOD: self._on_sensitivity, **methods}.items():
            self.room.local_participant.register_rpc_method(method, answers)
            self._methods.add(method)
        for participant in self.room.remote_participants.values():
            self._on_joined(participant)
        if self._caller is not None:
            self._listens_soon()
        elif self._lobby is None:
            self._lobby = asyncio.get_running_loop().call_later(NO_CALLER_S, self._nobody_came)

    async def _enter(self) -> None:
        """Connect and publish the agent's voice. Pipecat's own way, but for how the voice is sent."""
        async with self._async_lock:
            if not self._connected:
                try:
                    await self.room.connect(
                        self._url, self._token, options=rtc.RoomOptions(auto_subscribe=True)
                    )
                    hear_own_events(self.room)
                    self._participant_id = self.room.local_participant.identity
                    self._audio_source = rtc.AudioSource(OUT_SAMPLE_RATE_HZ, 1, queue_size_ms=OUT_QUEUE_MS)
                    self._audio_track = rtc.LocalAudioTrack.create_audio_track("voice", self._audio_source)
                    await self.room.local_participant.publish_track(self._audio_track, voice_options())
                    self._connected = True
                finally:
                    if not self._connected:
                        await self._rollback_partial_connect()
                await self._callbacks.on_connected()
                for identity in self.get_participants():
                    await self._participant_connected(identity)
            self._disconnect_counter += 1

    async def disconnect(self) -> None:
        """Leave the room."""
        for timer in (self._rejoining, self._lobby, self._greet_anyway, *self._mending.values()):
            if timer is not None:
                timer.cancel()
        if self._confirming is not None:
            self._confirming.cancel()
            await asyncio.gather(self._confirming, return_exceptions=True)
        await self._stop_watching()
        if not self._summed_up:
            self._summed_up = True
            if refused := self.inlet.summary():
                self._hooks.mark("messages.refused", **refused)
            if (report := self._monitor.report).packets:
                lost = report.lost / (report.packets + report.lost)
                self._hooks.mark(
                    "network.sound",
                    lost=round(lost, 4),
                    concealed=round(report.concealed, 4),
                    buffered_ms=round(report.buffered_ms),
                )
        self._unregister_methods()
        await super().disconnect()

    def _unregister_methods(self) -> None:
        # The engine's handler of a method holds the room that holds it: a room that is left with one stays in memory
        # with its connections, half a megabyte, for as long as the process lives.
        while self._methods:
            self.room.local_participant.unregister_rpc_method(self._methods.pop())

    # --- the caller -------------------------------------------------------------------------------------------

    def is_caller(self, identity: str) -> bool:
        """Say whether this participant is the caller."""
        return identity == self._caller

    @property
    def caller(self) -> str | None:
        """The caller's identity, None before they came."""
        return self._caller

    @property
    def joined(self) -> rtc.Room | None:
        """The room, None before the agent is in it."""
        return self._room if self._connected else None

    @property
    def caller_muted(self) -> bool:
        """Whether the caller muted their microphone where everybody can see it."""
        caller = self.room.remote_participants.get(self._caller or "") if self._room is not None else None
        return caller is not None and any(
            track.muted
            for track in caller.track_publications.values()
            if track.kind == rtc.TrackKind.KIND_AUDIO
        )

    @property
    def source(self) -> rtc.AudioSource | None:
        """The agent's published audio, None while not connected."""
        return self._audio_source

    def _on_joined(self, participant: rtc.RemoteParticipant) -> None:
        if self._caller is None and self._may_be_caller(participant):
            self._caller = participant.identity
            self._hooks.entered()
            self._by_telephone = participant.kind == rtc.ParticipantKind.PARTICIPANT_KIND_SIP
            if self._by_telephone:
                self._hooks.telephone(participant.attributes)
            may_change = participant.permissions.can_update_metadata
            if caller_id := vouched_id(participant.attributes, may_change=may_change):
                self._hooks.identified(caller_id)
            if self._lobby is not None:
                self._lobby.cancel()
            if self._listened_to:
                self._announce()

    def _may_be_caller(self, participant: rtc.RemoteParticipant) -> bool:
        if participant.kind not in _STANDARD_KINDS:
            return False
        return self._caller_identity is None or participant.identity == self._caller_identity

    def _on_heard(self, *_: object) -> None:
        """Somebody subscribed to the agent's voice: the caller, as agents do not subscribe to each other.

        The server may tell this before it tells that there is a caller.
        """
        self._listened_to = True
        for participant in self.room.remote_participants.values():
            self._on_joined(participant)
        self._announce()

    def _announce(self) -> None:
        if self._caller is not None and not self._announced and not self._rings():
            self._announced = True
            self._hooks.caller_ready(self._caller)
            if self._early is not None:
                self._early.greeted()

    def _rings(self) -> bool:
        """Whether the caller is a telephone that nobody has taken up yet: it hears nothing of a greeting."""
        caller = self._room.remote_participants.get(self._caller or "") if self._room is not None else None
        return caller is not None and caller.attributes.get("sip.callStatus") in ("dialing", "ringing")

    def _on_attributes(self, changed: Mapping[str, str], participant: rtc.Participant) -> None:
        if participant.identity == self._caller and changed.get("sip.callStatus") == "active":
            self._announce()

    def _on_left(self, participant: rtc.RemoteParticipant) -> None:
        if participant.identity != self._caller:
            return
        # A telephone that has hung up does not come back into the room.
        if self._by_telephone or participant.disconnect_reason in _FOR_GOOD:
            self._hooks.call_over("caller_left")
        else:
            self._cut("left")

    def _cut(self, cause: Cause) -> None:
        if timer := self._mending.pop(cause, None):
            timer.cancel()
        self.link.cut(cause)

    def _mend_soon(self, cause: Cause) -> None:
        if timer := self._mending.pop(cause, None):
            timer.cancel()
        self._mending[cause] = asyncio.get_running_loop().call_later(HEARS_S, self.link.mended, cause)

    def _on_active(self, participant: rtc.RemoteParticipant) -> None:
        """The participant's media connection stands."""
        self._on_joined(participant)
        if participant.identity == self._caller:
            self._mend_soon("left")
            self._listens_soon()

    def _listens_soon(self) -> None:
        if self._greet_anyway is None and not self._announced:
            wait_s = LISTENS_S if self._caller_identity is None else LISTENED_S
            self._greet_anyway = asyncio.get_running_loop().call_later(wait_s, self._announce_anyway)

    def _announce_anyway(self) -> None:
        """Greet a caller of whom nobody has said that they hear us; written down, as they were kept waiting."""
        if not self._announced and not self._rings():
            self._hooks.mark(UNHEARD_MARK)
        self._announce()

    def _on_quality(self, participant: rtc.Participant, quality: rtc.ConnectionQuality) -> None:
        if participant.identity != self._caller:
            return
        self._hooks.quality(_QUALITY.get(quality, "lost"))
        if quality == rtc.ConnectionQuality.QUALITY_LOST:
            # It is renewed every 5 s: where sound comes, it is behind the times.
            if not self._monitor.flows:
                self.link.cut("quality")
        else:
            self.link.mended("quality")

    def _on_no_track(self, participant: rtc.RemoteParticipant, *_: object) -> None:
        if participant.identity == self._caller:
            self._hooks.codec(None)

    def _nobody_came(self) -> None:
        if self._caller is None:
            self._hooks.call_over("no_caller")

    def _on_track_gone(
        self, track: rtc.Track, publication: rtc.RemoteTrackPublication, participant: rtc.RemoteParticipant
    ) -> None:
        """Their microphone is closed: it has nothing to send. When they are gone, that is told next."""
        if track.kind == rtc.TrackKind.KIND_VIDEO:
            self._video.gone(publication)
            return
        if participant.identity == self._caller:
            if self._watching is not None:
                self._watching.cancel()
            self._mend_soon("no_packets")

    # --- the agent's own connection -----------------------------------------------------------------------------

    def _on_reconnecting(self) -> None:
        self._hooks.network("reconnecting")
        if self._confirming is not None:
            self._confirming.cancel()
        self._cut("agent")
        if self._rejoining is None:
            # A moment before the core gives up the caller: this is the better reason.
            wait_s = max(0.1, self._grace_s - 0.5)
            self._rejoining = asyncio.get_running_loop().call_later(
                wait_s, self._hooks.call_over, "media_lost"
            )

    def _on_reconnected(self) -> None:
        self._hooks.network("reconnected")
        if self._rejoining is not None:
            self._rejoining.cancel()
            self._rejoining = None
        if self._caller is not None and self._caller not in self.room.remote_participants:
            self._cut("left")  # they have to find the way back themselves
        if self._hooks.still_ours is None:
            self._mend_soon("agent")
            return
        if self._confirming is not None:
            self._confirming.cancel()
        self._confirming = asyncio.create_task(self._confirm(self._hooks.still_ours), name="still ours")

    async def _confirm(self, still_ours: Callable[[], Awaitable[bool]]) -> None:
        if await still_ours():
            self._mend_soon("agent")

    def _on_room_closed(self, reason: object = None) -> None:
        # The SDK tries to come back by itself, and gives up with another reason than these.
        closed = reason is None or reason in _FOR_GOOD
        self._hooks.call_over("room_closed" if closed else "media_lost")

    async def _on_sensitivity(self, call: rtc.RpcInvocationData) -> str:
        """Take "low", "medium" or "high" from the caller."""
        wanted = call.payload.strip().strip('"')
        admitted = self.inlet.admit("rpc", call.caller_identity, len(call.payload.encode(errors="replace")))
        if not admitted or wanted not in SENSITIVITY:
            raise rtc.RpcError(
                RPC_REFUSED,
                "the sensitivity is one of low, medium, high, and set by the caller only, now and then",
            )
        self._hooks.sensitivity(wanted)
        return wanted

    def _for_caller(
        self, answer: Callable[[str], Awaitable[str]]
    ) -> Callable[[rtc.RpcInvocationData], Awaitable[str]]:
        async def method(call: rtc.RpcInvocationData) -> str:
            if not self.inlet.admit("rpc", call.caller_identity, len(call.payload.encode(errors="replace"))):
                raise rtc.RpcError(RPC_REFUSED, "only the caller may ask this, and now and then")
            try:
                return await answer(call.payload)
            except ToolError as error:
                raise rtc.RpcError(RPC_REFUSED, str(error)) from error

        return method

    # --- media and text ---------------------------------------------------------------------------------------

    async def _async_on_track_subscribed(
        self,
        track: rtc.Track,
        publication: rtc.RemoteTrackPublication,
        participant: rtc.RemoteParticipant,
    ) -> None:
        if track.kind == rtc.TrackKind.KIND_VIDEO:
            self._on_joined(participant)  # who was there first is told of by their track before anything else
            self._video.subscribed(publication, participant)
            return
        if track.kind != rtc.TrackKind.KIND_AUDIO or self._task_manager is None:
            await super()._async_on_track_subscribed(track, publication, participant)
            return
        self._on_joined(participant)  # who was there first is told of by their track before anything else
        # Pipecat reads 48 kHz in 10 ms frames and resamples in Python: 60 ms late and twice the frames.
        await self._close_audio_stream(participant.identity)
        self._audio_tracks[participant.identity] = track
        early = self._early if self.is_caller(participant.identity) else None
        if early is not None and early.expect(publication.audio_features):
            self._task_manager.create_task(early.wait(), f"{self}::early")
        self._audio_streams[participant.identity] = self._listen(
            self._task_manager, track, participant.identity
        )
        if self.is_caller(participant.identity):
            await self._stop_watching()
            self._watching = self._task_manager.create_task(
                self._monitor.run(track, publication), f"{self}::line"
            )
        await self._callbacks.on_audio_track_subscribed(participant.identity)

    def _listen(
        self, tasks: BaseTaskManager, track: rtc.Track, identity: str
    ) -> tuple[rtc.AudioStream, asyncio.Task[None]]:
        """Begin to hear a track; return the stream and the task that empties it."""
        hear = self._hooks.audio
        if hear is not None:
            stream = CallerAudio(track, IN_SAMPLE_RATE_HZ, lambda pcm: hear(pcm, identity))
            return stream, stream.task
        frames = rtc.AudioStream(track, sample_rate=IN_SAMPLE_RATE_HZ, num_channels=1, frame_size_ms=FRAME_MS)
        work = self._process_audio_stream(frames, identity)
        return frames, tasks.create_task(work, f"{self}::audio {identity}")

    async def _stop_watching(self) -> None:
        if self._watching is not None:
            watching, self._watching = self._watching, None
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)

    def _on_chat(self, reader: rtc.TextStreamReader, identity: str) -> None:
        if self._task_manager is not None and self.inlet.may_chat(reader, identity, reader.info.size or 0):
            self._task_manager.create_task(self._read_chat(reader), f"{self}::chat")

    async def _read_chat(self, reader: rtc.TextStreamReader) -> None:
        message_id = (reader.info.attributes or {}).get(MESSAGE_ID, "")
        if (text := await self.inlet.chat(reader, message_id)) is not None:
            self._hooks.chat(text)

    def _on_session(self, reader: rtc.ByteStreamReader, identity: str) -> None:
        size = reader.info.size or 0
        if self._task_manager is not None and self.inlet.may_read("session", reader, identity, size):
            self._task_manager.create_task(self._read_session(reader), f"{self}::session")

    async def _read_session(self, reader: rtc.ByteStreamReader) -> None:
        if (payload := await self.inlet.read("session", reader)) is not None:
            self._hooks.session(payload)

    def _on_early(self, reader: rtc.ByteStreamReader, identity: str) -> None:
        if self._early is None or self._task_manager is None:
            reader.close()
        elif self._early.may_read(reader, identity):
            self._task_manager.create_task(self._early.read(reader), f"{self}::early speech")

    def _on_data_received_wrapper(self, data: rtc.DataPacket) -> None:
        # Pipecat starts a task for each packet of anybody, and hands what it holds to the whole pipeline.
        sender = data.participant.identity if data.participant else None
        if data.topic != OLDER_CHAT:
            self.inlet.data(sender, data.data)
        elif (text := self.inlet.older_chat(sender, data.data)) is not None:
            self._hooks.chat(text)

    def _on_sip_dtmf_received_wrapper(self, dtmf: rtc.SipDTMF) -> None:
        sender = dtmf.participant.identity if dtmf.participant else None
        if self.inlet.admit("dtmf", sender, len(dtmf.digit)):
            self._hooks.key(dtmf.digit)


def _bound_streams(room: rtc.Room) -> None:
    """Have LiveKit end an incoming stream that is larger than any may be; Pipecat leaves it at more megabytes.

    It knows one limit for all; that of a message is the inlet's, which reads no further than that.
    """
    connect = room.connect

    async def bounded(url: str, token: str, options: rtc.RoomOptions) -> None:
        options.data_stream = rtc.DataStreamOptions(max_payload_byte_length=MAX_EARLY_BYTES)
        await connect(url, token, options)

    room.connect = bounded  # type: ignore[method-assign, assignment]


class RoomTransport(LiveKitTransport):
    """Pipecat's LiveKit transport around a `RoomClient`; the reply gate writes audio, so its own output rests."""

    def __init__(
        self, url: str, token: str, room: str, *, hooks: RoomHooks, caller_identity: str | None, **more: Any
    ) -> None:
        params = LiveKitParams(
            audio_in_enabled=True,
            audio_in_sample_rate=IN_SAMPLE_RATE_HZ,
            audio_out_enabled=True,
            audio_out_sample_rate=OUT_SAMPLE_RATE_HZ,
            audio_out_queue_size_ms=OUT_QUEUE_MS,  # 1000 by default: a second of speech nobody can stop
            audio_out_end_silence_secs=0,  # 2 by default: two seconds of room time at the end of each call
        )
        super().__init__(url, token, room, params=params)
        plain = self._client
        self._client: RoomClient = RoomClient(
            url,
            token,
            room,
            params,
            plain._callbacks,  # noqa: SLF001
            self.name,
            hooks=hooks,
            caller_identity=caller_identity,
            **more,
        )

    @property
    def client(self) -> RoomClient:
        """The room's client."""
        return self._client
