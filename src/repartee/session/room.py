"""The LiveKit room of one call: joins it, finds the caller, carries audio both ways and typed text in.

Pipecat's LiveKit transport does the work; the subclasses below correct what costs time or loses facts
(each names the defect) and can be deleted when upstream no longer has it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from livekit import rtc
from pipecat.transports.livekit.transport import LiveKitParams, LiveKitTransport, LiveKitTransportClient

from repartee.conversation.policies import SENSITIVITY, Sensitivity
from repartee.errors import MediaError
from repartee.events import EndReason
from repartee.session.callers import vouched_id
from repartee.session.inlet import Body, Inlet, Take
from repartee.session.limits import MAX_BYTES

IN_SAMPLE_RATE_HZ = 16_000
OUT_SAMPLE_RATE_HZ = 24_000
OUT_QUEUE_MS = 100
"""Audio ahead of the network; everything in it is lost time on a stop."""
CONNECT_ATTEMPTS = 3
CONNECT_TIMEOUT_S = 5.0
CALLER_GRACE_S = 20.0
"""A caller whose connection broke may come back for this long; LiveKit keeps the room for 20 s as well."""
NO_CALLER_S = 45.0
"""The agent is in the room before the caller; it leaves again when nobody comes."""

SENSITIVITY_METHOD = "repartee.sensitivity"
"""RPC: how easily the agent gives way, from now on."""
RPC_REFUSED = 1500
"""LiveKit's code for an application's own errors."""

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
    """"reconnecting" or "reconnected"."""
    sensitivity: Callable[[Sensitivity], None]
    """The caller wants the agent to give way more or less easily."""
    identified: Callable[[str], None] = lambda _: None
    """The operator's token says who the caller is."""
    rpc: Mapping[str, Callable[[str], Awaitable[str]]] = field(default_factory=dict)
    """What the caller, and nobody else, may ask the agent, by method."""
    messages: Mapping[str, tuple[type[Body], Take]] = field(default_factory=dict)
    """Data messages that are taken of the caller, by type; all others are dropped."""
    mark: Callable[..., None] = lambda *_, **__: None
    """Marks the timeline."""


class RoomClient(LiveKitTransportClient):
    """Pipecat's LiveKit client with its defects for a call corrected."""

    def __init__(self, *args: Any, hooks: RoomHooks, caller_identity: str | None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._hooks = hooks
        self._caller_identity = caller_identity
        self._caller: str | None = None
        self._announced = False
        self.inlet = Inlet(self.is_caller, hooks.messages, mark=hooks.mark)
        self._refusals_told = False
        self._grace: asyncio.TimerHandle | None = None
        self._lobby: asyncio.TimerHandle | None = None

    # --- joining ----------------------------------------------------------------------------------------------

    async def setup(self, setup: Any) -> None:
        """Create the room and register our handlers before it connects. Runs once per transport half."""
        first = self._task_manager is None
        await super().setup(setup)
        if not first:
            return
        room = self.room
        _bound_streams(room)
        # Not registered by Pipecat: who can hear us, why someone left, the network's state, text streams.
        room.on("local_track_subscribed")(self._on_heard)
        room.on("participant_connected")(self._on_joined)
        room.on("participant_active")(self._on_joined)
        room.on("participant_disconnected")(self._on_left)
        room.on("disconnected")(self._on_room_closed)
        room.on("reconnecting")(lambda: self._hooks.network("reconnecting"))
        room.on("reconnected")(lambda: self._hooks.network("reconnected"))
        room.register_text_stream_handler("lk.chat", self._on_chat)

    async def connect(self) -> None:  # type: ignore[override]
        """Join the room.

        Raises:
            MediaError: The server could not be reached or refused the token.
        """
        # Pipecat waits 4 to 10 s between its attempts; a caller is already listening.
        plain_connect = cast(
            "Callable[[RoomClient], Coroutine[Any, Any, None]]",
            LiveKitTransportClient.connect.__wrapped__,
        )
        for attempt in range(CONNECT_ATTEMPTS):
            try:
                async with asyncio.timeout(CONNECT_TIMEOUT_S):
                    await plain_connect(self)
                break
            except (rtc.ConnectError, TimeoutError) as error:
                if attempt + 1 == CONNECT_ATTEMPTS:
                    raise MediaError(
                        f"could not join the LiveKit room at {self._url}: {error or 'no answer'}; check "
                        "LIVEKIT_URL and that the server is up"
                    ) from error
                await asyncio.sleep(0.2 * 2**attempt)
        self.room.local_participant.register_rpc_method(SENSITIVITY_METHOD, self._on_sensitivity)
        for method, answer in self._hooks.rpc.items():
            self.room.local_participant.register_rpc_method(method, self._for_caller(answer))
        for participant in self.room.remote_participants.values():
            self._on_joined(participant)
        if self._caller is None and self._lobby is None:
            self._lobby = asyncio.get_running_loop().call_later(NO_CALLER_S, self._nobody_came)

    async def disconnect(self) -> None:
        """Leave the room."""
        for timer in (self._grace, self._lobby):
            if timer is not None:
                timer.cancel()
        if (refused := self.inlet.summary()) and not self._refusals_told:
            self._refusals_told = True
            self._hooks.mark("messages.refused", **refused)
        await super().disconnect()

    # --- the caller -------------------------------------------------------------------------------------------

    def is_caller(self, identity: str) -> bool:
        """Say whether this participant is the caller."""
        return identity == self._caller

    @property
    def caller(self) -> str | None:
        """The caller's identity, None before they came."""
        return self._caller

    @property
    def source(self) -> rtc.AudioSource | None:
        """The agent's published audio, None while not connected."""
        return self._audio_source

    def _on_joined(self, participant: rtc.RemoteParticipant) -> None:
        if self._caller is None and self._may_be_caller(participant):
            self._caller = participant.identity
            may_change = participant.permissions.can_update_metadata
            if caller_id := vouched_id(participant.attributes, may_change=may_change):
                self._hooks.identified(caller_id)
            if self._lobby is not None:
                self._lobby.cancel()
        if participant.identity == self._caller and self._grace is not None:
            self._grace.cancel()
            self._grace = None

    def _may_be_caller(self, participant: rtc.RemoteParticipant) -> bool:
        if participant.kind not in _STANDARD_KINDS:
            return False
        return self._caller_identity is None or participant.identity == self._caller_identity

    def _on_heard(self, *_: object) -> None:
        """Somebody subscribed to the agent's voice: the caller, as agents do not subscribe to each other."""
        for participant in self.room.remote_participants.values():
            self._on_joined(participant)
        if self._caller is not None and not self._announced:
            self._announced = True
            self._hooks.caller_ready(self._caller)

    def _on_left(self, participant: rtc.RemoteParticipant) -> None:
        if participant.identity != self._caller:
            return
        if participant.disconnect_reason == rtc.DisconnectReason.CLIENT_INITIATED:
            self._hooks.call_over("caller_left")
        elif self._grace is None:
            self._grace = asyncio.get_running_loop().call_later(
                CALLER_GRACE_S, self._hooks.call_over, "caller_left"
            )

    def _nobody_came(self) -> None:
        if self._caller is None:
            self._hooks.call_over("no_caller")

    def _on_room_closed(self, *_: object) -> None:
        self._hooks.call_over("room_closed")

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
            return await answer(call.payload)

        return method

    # --- media and text ---------------------------------------------------------------------------------------

    async def _async_on_track_subscribed(
        self,
        track: rtc.Track,
        publication: rtc.RemoteTrackPublication,
        participant: rtc.RemoteParticipant,
    ) -> None:
        if track.kind != rtc.TrackKind.KIND_AUDIO or self._task_manager is None:
            await super()._async_on_track_subscribed(track, publication, participant)
            return
        # Pipecat reads 48 kHz in 10 ms frames and resamples in Python: 60 ms late and twice the frames.
        await self._close_audio_stream(participant.identity)
        self._audio_tracks[participant.identity] = track
        stream = rtc.AudioStream.from_track(
            track=track, sample_rate=IN_SAMPLE_RATE_HZ, num_channels=1, frame_size_ms=20
        )
        task = self._task_manager.create_task(
            self._process_audio_stream(stream, participant.identity), f"{self}::audio {participant.identity}"
        )
        self._audio_streams[participant.identity] = (stream, task)
        await self._callbacks.on_audio_track_subscribed(participant.identity)

    def _on_chat(self, reader: rtc.TextStreamReader, identity: str) -> None:
        if self._task_manager is not None and self.inlet.may_chat(reader, identity, reader.info.size or 0):
            self._task_manager.create_task(self._read_chat(reader), f"{self}::chat")

    async def _read_chat(self, reader: rtc.TextStreamReader) -> None:
        if (text := await self.inlet.chat(reader)) is not None:
            self._hooks.chat(text)

    def _on_data_received_wrapper(self, data: rtc.DataPacket) -> None:
        # Pipecat starts a task for each packet of anybody, and hands what it holds to the whole pipeline.
        self.inlet.data(data.participant.identity if data.participant else None, data.data)

    def _on_sip_dtmf_received_wrapper(self, dtmf: rtc.SipDTMF) -> None:
        sender = dtmf.participant.identity if dtmf.participant else None
        if self.inlet.admit("dtmf", sender, len(dtmf.digit)):
            super()._on_sip_dtmf_received_wrapper(dtmf)


def _bound_streams(room: rtc.Room) -> None:
    """Have LiveKit end an incoming stream that is larger than a message may be; Pipecat leaves it at megabytes."""
    connect = room.connect

    async def bounded(url: str, token: str, options: rtc.RoomOptions) -> None:
        options.data_stream = rtc.DataStreamOptions(max_payload_byte_length=MAX_BYTES)
        await connect(url, token, options)

    room.connect = bounded  # type: ignore[method-assign, assignment]


class RoomTransport(LiveKitTransport):
    """Pipecat's LiveKit transport around a `RoomClient`; the reply gate writes audio, so its own output rests."""

    def __init__(
        self, url: str, token: str, room: str, *, hooks: RoomHooks, caller_identity: str | None
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
        )

    @property
    def client(self) -> RoomClient:
        """The room's client."""
        return self._client


class RoomSink:
    """The gate's audio sink: the agent's track in the room."""

    sample_rate_hz = OUT_SAMPLE_RATE_HZ

    def __init__(self, client: RoomClient) -> None:
        self._client = client

    async def write(self, pcm: bytes) -> None:
        """Queue 16-bit mono audio; waits while the queue is full."""
        if pcm:
            frame = rtc.AudioFrame(pcm, self.sample_rate_hz, 1, len(pcm) // 2)
            await self._client.publish_audio(frame)

    def clear(self) -> None:
        """Drop what is queued."""
        if source := self._client.source:
            source.clear_queue()

    def queued_ms(self) -> float:
        """Return how much is queued."""
        return source.queued_duration * 1000 if (source := self._client.source) else 0.0

    async def drain(self) -> None:
        """Wait until the queue has been sent, at most its length and a little."""
        if source := self._client.source:
            try:
                async with asyncio.timeout((OUT_QUEUE_MS + 400) / 1000):
                    await source.wait_for_playout()
            except TimeoutError:
                return
