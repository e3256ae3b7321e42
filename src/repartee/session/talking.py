"""Who answers: a model and a voice, or before them a model that hears and speaks itself; told alike of the call."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from pipecat.processors.frame_processor import FrameProcessor

from repartee.providers.frames import ItemHeard
from repartee.providers.kit import ProviderKit
from repartee.providers.realtime_ears import RealtimeEars
from repartee.providers.realtime_model import RealtimeModel


class Talking(Protocol):
    """Is told what becomes of turns and replies. Nothing here waits."""

    @property
    def usable(self) -> bool:
        """Whether it may be asked."""

    def turn_opened(self) -> None:
        """The user holds the floor."""

    def turn_closed(self, text: str) -> None:
        """They gave it back; without words it was a noise."""

    def restored(self) -> None:
        """What sounded over the agent did not ask for the floor."""

    def typed(self, text: str) -> None:
        """The caller has typed."""

    def allow(self, reply_id: int) -> None:
        """A reply's sound may be made."""

    def cancelled(self, reply_id: int, heard: Sequence[ItemHeard]) -> None:
        """A reply is over before its end; so much was heard of it."""

    def over(self, reply_id: int, heard: str) -> None:
        """A reply is over, and this was heard of it."""


class Plain:
    """A model and a voice, which need not be told: they are shown the conversation each time."""

    usable = False

    def turn_opened(self) -> None:
        """Nothing."""

    def turn_closed(self, text: str) -> None:
        """Nothing."""

    def restored(self) -> None:
        """Nothing."""

    def typed(self, text: str) -> None:
        """Nothing."""

    def allow(self, reply_id: int) -> None:
        """Nothing."""

    def cancelled(self, reply_id: int, heard: Sequence[ItemHeard]) -> None:
        """Nothing."""

    def over(self, reply_id: int, heard: str) -> None:
        """Nothing."""


def talking_for(
    kit: ProviderKit,
    llm: Any,
    hearing: list[FrameProcessor],
    mark: Callable[..., None],
    on_lost: Callable[[], None] = lambda: None,
) -> tuple[Talking, list[FrameProcessor]]:
    """Return who answers, and what of it is a part of the pipeline behind the tiers.

    Args:
        kit: The call's services.
        llm: The model.
        hearing: What hears the caller; a model that hears them itself is put behind the ears.
        mark: Marks the timeline.
        on_lost: Called when a model that hears them itself is given up: from now on their words are needed.
    """
    model: RealtimeModel | None = kit.realtime()
    if model is None:
        return Plain(), [llm]
    model.share_tools(llm)

    def lost(why: str) -> None:
        mark("provider.realtime_lost", why=why)
        on_lost()

    model.on_lost = lost
    hearing.insert(1, RealtimeEars(model))
    return model, [llm, model]
