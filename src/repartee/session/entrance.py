"""Where a call meets its participants: the room, what their clients may ask and are shown, the ears."""

from __future__ import annotations

from dataclasses import replace

from repartee.agent import Agent
from repartee.conversation.policies import SENSITIVITY, Sensitivity
from repartee.session.bridge import Bridge
from repartee.session.call import Call
from repartee.session.callers import FORGET_METHOD, MEMORY_METHOD
from repartee.session.channel import Channel
from repartee.session.clients import Clients
from repartee.session.ears import Ears, asked_at_ms
from repartee.session.eyes import Eyes
from repartee.session.room import RoomHooks
from repartee.session.rtvi import Answer
from repartee.session.scoring import turn_executor, turn_scorer
from repartee.session.voice_choice import VOICE_METHOD


class Entrance:
    """Takes what comes from participants to where it belongs in the call.

    Args:
        call: The call.
        channel: What carries it.
        bridge: Takes facts to the core.
        agent: Who takes the call, as it is in it.
        eyes: Look at what the caller shares; None receives no video.
        choose_voice: Answers a caller who wishes for another of the agent's voices.
    """

    def __init__(
        self,
        call: Call,
        channel: Channel,
        bridge: Bridge,
        agent: Agent,
        eyes: Eyes | None,
        choose_voice: Answer,
    ) -> None:
        self._call, self._bridge = call, bridge
        self._by_sound = channel.policies(call).speculation.by_sound
        self.clients = Clients(
            agent=agent.name,
            chat=call.typed,
            hang_up=lambda: call.over("caller_left"),
            answers={
                MEMORY_METHOD: call.callers.tell,
                FORGET_METHOD: call.forget,
                **({VOICE_METHOD: choose_voice} if call.agent.voices else {}),
            },
            clock_ms=call.clock_ms,
        )
        self.transport = channel.room(call, self._hooks(eyes))
        """The room, as Pipecat takes it."""
        # Captions of an agent that takes over are not those of the first, though they are numbered alike.
        spec = call.spec
        captions_id = f"{spec.takeovers}{spec.call_id}" if spec.takeovers else spec.call_id
        self.wire = self.clients.connect(self.transport.client, captions_id)
        """Shows participants the call."""
        self.wire.show("repartee.call", spec.call_id)
        call.network.connect(bridge.submit, self.wire)
        call.telephone.line = self.transport.client

    def ears(self) -> Ears:
        """Return the caller's way to the recogniser; who else wants to hear them listens there."""
        call, recorder, by_sound = self._call, self._call.recorder, self._by_sound
        client = self.transport.client
        self._microphone = call.network.microphone_of(lambda: client.caller_muted)
        self._ears = Ears(
            submit=self._bridge.submit,
            clock_ms=call.clock_ms,
            score_turn=turn_scorer(),
            executor=turn_executor(),
            is_caller=client.is_caller,
            on_stt_failed=self._bridge.transcription_failed,
            listeners=[
                self._microphone,
                *([lambda pcm, _: recorder.caller(pcm)] if recorder is not None else []),
                *([call.tone.listen] if call.tone is not None else []),
            ],
            score_at_ms=lambda: asked_at_ms(call.degrading.level, at_once=by_sound),
        )
        return self._ears

    def _hooks(self, eyes: Eyes | None) -> RoomHooks:
        call, line, clients = self._call, self._call.network, self.clients
        return RoomHooks(
            caller_ready=call.caller_ready,
            call_over=call.over,
            chat=clients.typed,
            messages=clients.messages,
            session=clients.session_message,
            network=line.connection,
            still_ours=call.fence.confirmed,
            lost=line.lost,
            returned=line.returned,
            quality=line.quality,
            codec=line.codec,
            sensitivity=self._set_sensitivity,
            entered=self._entered,
            identified=call.identified,
            telephone=call.telephone.rings,
            key=call.telephone.press,
            audio=self._hear,
            rpc=clients.answers,
            mark=call.timeline.mark,
            eyes=eyes,
            # Who takes a call over hears what is said now: the rest was heard by the one before.
            early=(self._hold, self._catch_up) if call.resume is None else None,
        )

    def _hold(self) -> None:
        self._ears.hold()

    async def _catch_up(self, pcm: bytes) -> None:
        # Not for the recording: it stands on the call's clock, and this was said before it began.
        self._microphone(pcm, self._call.clock_ms())
        await self._ears.catch_up(pcm)

    async def _hear(self, pcm: bytes, identity: str) -> None:
        await self._ears.hear(pcm, identity)

    def _entered(self) -> None:
        self._call.tell("entered", {})
        self.clients.entered()

    def _set_sensitivity(self, sensitivity: Sensitivity) -> None:
        enabled = self._bridge.interruption.enabled
        self._bridge.interruption = replace(SENSITIVITY[sensitivity], enabled=enabled)
        self._call.timeline.mark("sensitivity", to=sensitivity)
