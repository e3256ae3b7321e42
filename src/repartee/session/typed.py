"""A call by typing as an evaluation holds it: a call without audio in which everything that happens is told.

Unlike `TextCall`, which asks and is answered, the caller here may speak at any time, hears the greeting, and needs no
language model where the agent's own answers do.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from repartee.agent import Agent
from repartee.events import EndReason
from repartee.providers import Ladder, choose_ladder
from repartee.providers.kit import ProviderKit
from repartee.session.call import Call
from repartee.session.gate import AudioSink
from repartee.session.keeping import keeping
from repartee.session.room import RoomHooks
from repartee.session.session import Session
from repartee.session.silent_sink import SilentSink
from repartee.session.spec import SessionSpec
from repartee.session.text_call import TextChannel, TextVoice, without_sound
from repartee.session.toolbox import ToolRun
from repartee.session.tools import LiveReply, ReplyWatcher
from repartee.settings import Settings

LETTERS_PER_S = 15.0
"""How fast a voice would speak."""
Kind = Literal["user", "started", "speaking", "finished", "interrupted", "tool"]


@dataclass(frozen=True, slots=True)
class Happened:
    """Something that a caller, or who looks over their shoulder, notices.

    Attributes:
        kind: user: a turn was taken. started: a reply is made. speaking: it begins to be heard. finished: it was
            heard to its end. interrupted: it was not. tool: one has run.
        text: Of the turn; of the reply, as far as it was heard.
        tool: The tool's run.
    """

    kind: Kind
    text: str = ""
    tool: ToolRun | None = None


class TypedLine(ReplyWatcher):
    """The caller's end of a call by typing.

    Args:
        tell: Called with what happens, in order. Must not wait.
        paced: Words take as long to be heard as they would when spoken, so that they can be interrupted.
    """

    def __init__(self, tell: Callable[[Happened], None], *, paced: bool = False) -> None:
        self._tell = tell
        self.paced = paced
        self._hooks: RoomHooks | None = None
        self._turn_id = -1
        self._started = self._speaking = self._cut = False
        """What is known of the one reply there is at a time."""
        self.open = asyncio.Event()
        """Set when the call can take words."""
        self.greeted = asyncio.Event()
        """Set when what the agent says first is over."""

    def entered(self, hooks: RoomHooks) -> None:
        """The call is there; it takes words soon."""
        self._hooks = hooks

    # --- what the caller does ---------------------------------------------------------------------------------

    def join(self) -> None:
        """Come into the call; the agent greets."""
        self._there().caller_ready("caller")

    def say(self, text: str) -> None:
        """Say something, whether or not the agent is speaking."""
        self._there().chat(text)

    def hang_up(self) -> None:
        """Leave."""
        self._there().call_over("caller_left")

    def _there(self) -> RoomHooks:
        if self._hooks is None:
            raise RuntimeError("the call has not begun; wait for `open`")
        return self._hooks

    # --- what happens -----------------------------------------------------------------------------------------

    def opened(self, reply: LiveReply) -> None:
        """A reply is begun."""
        if reply.turn_id != self._turn_id:
            self._turn_id = reply.turn_id
            self._tell(Happened("user", reply.text))
        self._cut = False
        self._begun()

    def cancelled(self, reply_id: int) -> None:
        """A reply was cut off."""
        del reply_id
        self._cut = True

    def heard(self, reply_id: int, text: str) -> None:
        """A reply is over."""
        del reply_id
        if text:
            self._audible()
        if self._started:
            self._tell(Happened("interrupted" if self._cut else "finished", text))
        self._started = self._speaking = self._cut = False
        self.greeted.set()

    def mark(self, name: str, at_ms: float, values: Mapping[str, Any]) -> None:
        """Take note of a mark of the timeline."""
        del at_ms, values
        if name == "connected":
            self.open.set()
        elif name == "reply.audible":
            self._audible()

    def ran(self, run: ToolRun) -> None:
        """Take note of a tool's run."""
        self._tell(Happened("tool", tool=run))

    def _begun(self) -> None:
        # What needs no model, such as the greeting, is not opened but heard all the same.
        if not self._started:
            self._started = True
            self._tell(Happened("started"))

    def _audible(self) -> None:
        self._begun()
        if not self._speaking:
            self._speaking = True
            self._tell(Happened("speaking"))


class _TypedChannel(TextChannel):
    def __init__(self, line: TypedLine) -> None:
        self._line = line

    async def ladder(self, call: Call) -> Ladder:
        """Choose the model; answers of the agent's own need none."""
        return without_sound(await choose_ladder(call.settings, speechless(call.agent)))

    def room(self, call: Call, hooks: RoomHooks) -> Any:
        room = super().room(call, hooks)
        self._line.entered(hooks)
        return room

    def sink(self, call: Call, transport: Any) -> AudioSink:
        del call, transport
        return SilentSink(paced=self._line.paced)

    def voice(self, kit: ProviderKit) -> Any:
        del kit
        return TextVoice(LETTERS_PER_S if self._line.paced else None)


def speechless(agent: Agent) -> Agent:
    """Return an agent that wishes for no vendor's ears and voice: their keys need not be there."""
    models = agent.models.model_copy(update={"stt": None, "tts": None, "realtime": None})
    return agent.model_copy(update={"models": models})


async def run_typed(spec: SessionSpec, settings: Settings, stop: asyncio.Event, line: TypedLine) -> EndReason:
    """Take one call by typing, to its end.

    Args:
        spec: The call; its room and token are not used.
        settings: Provider keys and limits.
        stop: Set to end the call from outside.
        line: The caller's end of it.

    Raises:
        ReparteeError: The call could not be started.
    """
    kept = await asyncio.to_thread(keeping, settings)
    session = Session(spec, settings, kept, stop, lambda *_: None, channel=_TypedChannel(line))
    session.call.watchers = (line,)
    session.call.timeline.listeners.append(line.mark)
    session.call.on_tool = line.ran
    return await session.run()
