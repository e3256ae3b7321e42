"""A call by telephone: keys both ways, hanging up, putting through, and whose number it is.

LiveKit SIP brings the telephone into the room as a participant of kind SIP with attributes `sip.*`. Keys are DTMF
packets, and LiveKit's API puts callers through (REFER).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import aiohttp
import structlog
from livekit import api
from livekit.protocol.sip import SIPTransferStatus
from livekit.rtc.participant import PublishDTMFError

from repartee.agent import Agent, Tool
from repartee.agent.telephony import (
    HANG_UP,
    SEND_KEYS,
    TELEPHONE_ONLY,
    TRANSFER,
    TRANSFER_S,
    Telephony,
    is_telephone_tool,
)
from repartee.errors import ToolError
from repartee.session.client_rpc import Line
from repartee.settings import Settings
from repartee.urls import http_url

log = structlog.get_logger()
ALONE_S, PAUSE_S = 1.0, 3.0
"""After a key that says something by itself, and between those of a number: what was pressed counts after so long."""
MOST_KEYS = 32
BETWEEN_KEYS_S = 0.3
"""A key sounds for a quarter of a second; without a gap, two of the same are one."""
RING_S = 30
NUMBER = "sip.phoneNumber"
_CODES = {**{str(digit): digit for digit in range(10)}, "*": 10, "#": 11}


class Keypad:
    """Makes words of keys: what the agent file says a key means, or a number. `#` ends a number, `*` forgets it.

    Args:
        meanings: Of keys that are pressed alone.
        say: Takes what the keys came to.
    """

    def __init__(self, meanings: Mapping[str, str], say: Callable[[str], None]) -> None:
        self._meanings, self._say = meanings, say
        self._pressed = ""
        self._waiting: asyncio.TimerHandle | None = None

    def press(self, key: str) -> None:
        """Take a key: 0 to 9, * or #; others there are (A to D) mean nothing."""
        if key not in _CODES:
            return
        self.close()
        if not self._pressed and key in self._meanings:
            self._wait(key, ALONE_S)
        elif key == "#":
            self._done()
        elif key == "*":
            self._pressed = ""
        elif len(self._pressed) < MOST_KEYS:
            self._wait(self._pressed + key, PAUSE_S)
        else:
            self._done()

    def close(self) -> None:
        """Wait for nothing more."""
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None

    def _wait(self, pressed: str, wait_s: float) -> None:
        self._pressed = pressed
        self._waiting = asyncio.get_running_loop().call_later(wait_s, self._done)

    def _done(self) -> None:
        pressed, self._pressed, self._waiting = self._pressed, "", None
        if pressed:
            self._say(self._meanings.get(pressed, pressed.strip("*#")) or pressed)


class Telephone:
    """The telephone's part of one call.

    Args:
        section: The agent file's.
        room_name: Where the call is.
        settings: The media server and its key, for putting through.
        say: Takes what keys came to, as a turn of the caller's.
        hang_up: Ends the call when the present reply has been heard.
        mark: Marks the timeline; nothing of a caller's is told to it.
    """

    def __init__(
        self,
        section: Telephony,
        room_name: str,
        settings: Settings,
        *,
        say: Callable[[str], None],
        hang_up: Callable[[], None],
        mark: Callable[..., None],
    ) -> None:
        self._section, self._room_name, self._settings = section, room_name, settings
        self._hang_up, self._mark = hang_up, mark
        self._keypad = Keypad(section.keys, say)
        self._attributes: Mapping[str, str] | None = None
        self.line: Line | None = None
        """The room's client; there once connected."""

    # --- who calls --------------------------------------------------------------------------------------------

    def rings(self, attributes: Mapping[str, str]) -> None:
        """The caller is a telephone."""
        if self._attributes is None:
            self._mark("caller.telephone")
        self._attributes = attributes

    @property
    def number(self) -> str | None:
        """The caller's number, where the agent file lets it be known. It can be forged."""
        return (self._attributes or {}).get(NUMBER) if self._section.keep_number else None

    def shown(self, identity: str | None) -> str | None:
        """Return a caller's identity as tools may see it: LiveKit SIP names telephones by their numbers."""
        hidden = identity is not None and identity.startswith("sip_") and not self._section.keep_number
        return None if hidden else identity

    def withheld(self) -> frozenset[str]:
        """Return the tools that are of no use in this call."""
        return TELEPHONE_ONLY if self._attributes is None else frozenset()

    # --- what can be done -------------------------------------------------------------------------------------

    def press(self, key: str) -> None:
        """The caller pressed a key."""
        self._mark("key.pressed")  # which one is the caller's own affair: it may be of a PIN
        self._keypad.press(key)

    def bound(self, agent: Agent) -> Agent:
        """Return the agent with its telephone's tools bound to this call."""
        own: dict[str, Callable[..., Awaitable[Any]]] = {
            HANG_UP: self._end,
            TRANSFER: partial(self._transfer, agent.telephony),
            SEND_KEYS: self._send_keys,
        }

        def bind(tool: Tool) -> Tool:
            return replace(tool, function=own[tool.name]) if is_telephone_tool(tool) else tool

        return agent.model_copy(update={"tools": tuple(bind(tool) for tool in agent.tools)})

    def close(self) -> None:
        """The call is over."""
        self._keypad.close()

    async def _end(self) -> str:
        self._hang_up()
        return "the call ends after what you say now; say a short goodbye"

    async def _send_keys(self, keys: str) -> str:
        if self.line is None or self._attributes is None:
            raise ToolError("this caller has no telephone")
        if not keys or len(keys) > MOST_KEYS or set(keys) - _CODES.keys():
            raise ToolError(f"keys are 1 to {MOST_KEYS} of 0 to 9, * and #")
        for key in keys:
            try:
                await self.line.room.local_participant.publish_dtmf(code=_CODES[key], digit=key)
            except PublishDTMFError as error:
                raise ToolError("the keys could not be sent") from error
            await asyncio.sleep(BETWEEN_KEYS_S)
        self._mark("keys.sent", count=len(keys))
        return "pressed"

    async def _transfer(self, section: Telephony, to: str) -> str:
        whom = section.transfer.get(to)
        caller = self.line.caller if self.line is not None else None
        if whom is None:
            raise ToolError(f"callers can be put through to {', '.join(section.transfer)} only")
        if caller is None or self._attributes is None:
            raise ToolError(
                "this caller has no telephone, so they cannot be put through; offer the number instead"
            )
        self._mark("transfer.asked", to=to)
        try:
            await self._refer(caller, whom.to)
        except (api.TwirpError, aiohttp.ClientError, OSError, TimeoutError) as error:
            self._mark("transfer.failed", to=to)
            log.warning("transfer.failed", to=to, error=getattr(error, "code", type(error).__name__))
            raise ToolError("nobody could be reached there, and the caller is still with you") from error
        self._mark("transfer.done", to=to)
        return "they are put through; say nothing more"

    async def _refer(self, caller: str, to: str) -> None:
        settings = self._settings
        if settings.livekit_url is None or settings.livekit_api_secret is None:
            raise OSError("LIVEKIT_URL and its key are not set")  # a server of our own has no telephones
        key, secret = settings.livekit_api_key or "", settings.livekit_api_secret.get_secret_value()
        asked = api.TransferSIPParticipantRequest(
            participant_identity=caller, room_name=self._room_name, transfer_to=to, play_dialtone=True
        )
        asked.ringing_timeout.FromSeconds(RING_S)
        async with (
            asyncio.timeout(TRANSFER_S - 1),
            api.LiveKitAPI(http_url(settings.livekit_url), key, secret) as livekit,
        ):
            answer = await livekit.sip.transfer_sip_participant(asked)
        # A server from before it told the outcome says that it goes on.
        if answer.status == SIPTransferStatus.STS_TRANSFER_FAILED:
            raise OSError(f"the other side answered {answer.sip_status.code}")
