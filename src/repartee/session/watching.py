"""Who shows a call in a protocol of its own, beside LiveKit's captions: told what happens, as it is heard."""

from __future__ import annotations

from typing import Literal

AgentState = Literal["initializing", "idle", "listening", "thinking", "speaking"]


class Watcher:
    """Is told on the event loop, and must not wait. What a watcher does not show it need not define."""

    def state(self, state: AgentState) -> None:
        """What the agent is doing, when it changes."""

    def user_voice(self, at_ms: float, *, speaking: bool) -> None:
        """The caller's voice began, or ended at that time on the call's clock."""

    def user_turn(self, *, is_open: bool) -> None:
        """The user has taken the floor, or given it back."""

    def user_text(self, turn_id: int, text: str, *, final: bool, typed: bool = False) -> None:
        """The words of the user's turn so far, never empty; `typed` by them where their client shows them already."""

    def agent_text(self, reply_id: int, text: str, *, final: bool) -> None:
        """What was heard of a reply so far. Told with every piece that is played, also when it has no new words."""

    def interrupted(self, reply_id: int) -> None:
        """A reply that is heard is cut off; its last `agent_text` follows."""

    def tool(self, name: str) -> None:
        """The tool that is waited for; "" for none."""

    def failed(self) -> None:
        """Something the agent needs did not answer."""
