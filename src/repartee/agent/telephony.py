"""The section `telephony` of an agent file: what keys mean, whom callers are put through to, and who may hang up."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, field_validator

from repartee.agent.slots import Name, Strict, Text
from repartee.agent.tools import Tool, ToolOptions
from repartee.errors import ToolError

HANG_UP, TRANSFER, SEND_KEYS = "hang_up", "transfer_call", "send_keys"
TELEPHONE_ONLY = frozenset({TRANSFER, SEND_KEYS})
"""Tools that are not offered in a call that comes from no telephone."""
TRANSFER_S = 45.0
"""The other side may ring so long."""
Key = Annotated[str, Field(pattern=r"^[0-9*#]$")]


class Transfer(Strict):
    """Somebody callers may be put through to."""

    to: Annotated[str, Field(pattern=r"^(tel:\+?[0-9]{2,20}|sips?:[\w.+-]{1,64}@[\w.:-]{1,128})$")]
    """tel:+15551230000, or sip:desk@pbx.example."""
    when: Text | None = None
    """When it is right to, for the model."""


class Telephony(Strict):
    """What is particular to calls by telephone (LiveKit SIP)."""

    keys: dict[Key, Text] = Field(
        default={}, description="What a key says when it is pressed alone; other keys are numbers, # ends one"
    )
    send_keys: bool = Field(
        default=False, description="The model may press keys, as to a menu: tool send_keys"
    )
    hang_up: bool = Field(
        default=False, description="The model may end the call after its goodbye: tool hang_up"
    )
    transfer: dict[Name, Transfer] = Field(
        default={}, description="Whom callers may be put through to, by name: tool transfer_call"
    )
    keep_number: bool = Field(
        default=False,
        description="Tools may see the caller's number, and rooms named after it are kept as they are",
    )

    @field_validator("keys", mode="before")
    @classmethod
    def _yaml_numbers(cls, value: Any) -> Any:
        # YAML reads a bare 1 as a number.
        return {str(key): text for key, text in value.items()} if isinstance(value, dict) else value


def telephone_tools(section: Telephony) -> tuple[Tool, ...]:
    """Return the tools that the section asks for; in a call they are bound to it (`session/telephone.py`)."""
    tools = []
    if section.hang_up:
        tools.append(
            _tool(
                HANG_UP,
                "End the call. Use it when the caller has said goodbye or wants nothing more; then say a short "
                "goodbye, and the call ends with it. If they speak again before, it goes on.",
            )
        )
    if section.transfer:
        whom = "; ".join(f"{name}: {one.when}" for name, one in section.transfer.items() if one.when)
        to = {
            "type": "string",
            "enum": list(section.transfer),
            "description": whom or "Whom to put through to",
        }
        tools.append(
            _tool(
                TRANSFER,
                "Put the caller through to a person; this call ends when it succeeds. Say before that you do it.",
                {"to": to},
                timeout_s=TRANSFER_S,
            )
        )
    if section.send_keys:
        keys = {
            "type": "string",
            "pattern": "^[0-9*#]{1,32}$",
            "description": "Keys to press, e.g. 1 or 4711#",
        }
        tools.append(
            _tool(SEND_KEYS, "Press keys of the telephone, as a menu at the other end asks.", {"keys": keys})
        )
    return tuple(tools)


def _tool(
    name: str, description: str, properties: dict[str, Any] | None = None, timeout_s: float = 20.0
) -> Tool:
    parameters = {"type": "object", "properties": properties or {}, "required": list(properties or {})}
    options = ToolOptions(side_effect=True, timeout_s=timeout_s)
    return Tool(name, description, parameters, _outside_a_call, options=options)


def is_telephone_tool(tool: Tool) -> bool:
    """Say whether a tool is one of ours, not the agent's own of the same name."""
    return tool.function is _outside_a_call


async def _outside_a_call(**_: Any) -> None:
    raise ToolError("that can be done in a call only")
