"""Tools ask the caller's client, and nobody else's; what it does not do is told in a sentence."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from livekit import rtc

from repartee.agent import ToolContext
from repartee.errors import ToolError
from repartee.session.client_rpc import ClientRpc


class Participant:
    """The agent's participant: keeps what it asks."""

    def __init__(self, answer: str | Exception) -> None:
        self.answer, self.asked = answer, list[dict[str, Any]]()

    async def perform_rpc(self, **asked: Any) -> str:
        self.asked.append(asked)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def client_of(answer: str | Exception, caller: str | None = "caller-1") -> tuple[ClientRpc, Participant]:
    client, participant = ClientRpc(), Participant(answer)
    room = SimpleNamespace(local_participant=participant)
    client.line = SimpleNamespace(room=room, caller=caller)
    return client, participant


async def test_the_caller_is_asked() -> None:
    client, participant = client_of("40")
    assert await client.ask("set_volume", "40") == "40"
    assert participant.asked == [
        {"destination_identity": "caller-1", "method": "set_volume", "payload": "40", "response_timeout": 5.0}
    ]


@pytest.mark.parametrize(
    ("answer", "payload", "caller", "said"),
    [
        ("", "", None, "nobody is on the line"),
        (rtc.RpcError(1400, "method not supported"), "", "caller-1", "did not do that"),
        ("x" * 9000, "", "caller-1", "answered too much"),
        ("", "x" * 9000, "caller-1", "larger than 8192 bytes"),
    ],
)
async def test_what_does_not_work_is_told(answer: Any, payload: str, caller: str | None, said: str) -> None:
    client, _ = client_of(answer, caller)
    with pytest.raises(ToolError, match=said):
        await client.ask("set_volume", payload)


async def test_outside_a_call_nobody_is_there() -> None:
    with pytest.raises(ToolError, match="nobody is on the line"):
        await ToolContext("c", None, Path()).ask_client("set_volume", "40")
