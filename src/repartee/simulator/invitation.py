"""How a caller comes into a room: a server is asked for a place, as its page asks."""

from __future__ import annotations

from dataclasses import dataclass

import httpx

from repartee.errors import MediaError


@dataclass(frozen=True, slots=True)
class Invitation:
    """What it takes to enter a room."""

    server_url: str
    token: str
    room: str


class RefusedError(MediaError):
    """The server takes no call now.

    Attributes:
        status: Of its answer.
        retry_after_s: When it says to come again; None where it does not.
    """

    def __init__(self, message: str, status: int, retry_after_s: int | None) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after_s = retry_after_s


async def ask_for_place(url: str) -> Invitation:
    """Ask a server for a place in a room, as its page does.

    Raises:
        RefusedError: The server refuses.
        httpx.HTTPError: It does not answer.
    """
    async with httpx.AsyncClient(timeout=15) as client:
        response = await client.post(f"{url}/api/token", json={})
    answer = response.json()
    if response.status_code != httpx.codes.OK:
        again = response.headers.get("retry-after", "")
        raise RefusedError(
            f"the server refused the call: {answer.get('message', response.text)}",
            response.status_code,
            int(again) if again.isdigit() else None,
        )
    return Invitation(answer["server_url"], answer["participant_token"], answer["room_name"])
