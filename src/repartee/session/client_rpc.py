"""What a tool may ask of the caller's client by RPC: to show something, to set its volume."""

from __future__ import annotations

from typing import Protocol

from livekit import rtc

from repartee.errors import ToolError
from repartee.session.limits import MAX_BYTES

ANSWER_S = 5.0


class Line(Protocol):
    """What of the room's client it needs."""

    @property
    def room(self) -> rtc.Room:
        """The room."""
        ...

    @property
    def caller(self) -> str | None:
        """The caller's identity."""
        ...


class ClientRpc:
    """Asks the caller's client, and no other."""

    def __init__(self) -> None:
        self.line: Line | None = None
        """The room's client; there once connected."""

    async def ask(self, method: str, payload: str = "") -> str:
        """Return what the client answers: the word of whoever sits there, not ours.

        Args:
            method: As the client has registered it.
            payload: At most 8 KiB.

        Raises:
            ToolError: Nobody is there, it does not know the method, refuses, takes more than 5 s, or says too much.
        """
        if len(payload.encode()) > MAX_BYTES:
            raise ToolError(f"what is asked of the caller's client is larger than {MAX_BYTES} bytes")
        if self.line is None or (caller := self.line.caller) is None:
            raise ToolError("nobody is on the line")
        try:
            answer = await self.line.room.local_participant.perform_rpc(
                destination_identity=caller, method=method, payload=payload, response_timeout=ANSWER_S
            )
        except rtc.RpcError as error:
            raise ToolError("the caller's client did not do that") from error
        if len(answer.encode(errors="replace")) > MAX_BYTES:
            raise ToolError("the caller's client answered too much")
        return answer
