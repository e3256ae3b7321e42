"""A caller's place in a room: the token for it, and the token for coming back to it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

import jwt
from livekit import api

from repartee.session.callers import CALLER_ID

TOKEN_TTL = timedelta(seconds=90)
"""LiveKit's client SDKs keep a token that they asked for in advance until a minute before it runs out. It must not be
kept for longer than the agent waits for a caller: who then enters finds a new room, and nobody in it."""
SHOWN = ("camera", "screen_share")
LONGEST_CALL_S = 86_400
"""A token older than the longest call opens no room that could still be there."""


@dataclass(frozen=True, slots=True)
class Place:
    """Who may be where.

    Attributes:
        attributes: What the token vouches for.
        sees: They may share camera and screen.
    """

    room: str
    identity: str
    name: str
    attributes: dict[str, str] = field(default_factory=dict)
    sees: bool = False

    def token(self, key: str, secret: str) -> str:
        """Return a token for it: one room, a microphone, what the agent can see, and nothing else."""
        grants = api.VideoGrants(
            room_join=True,
            room=self.room,
            can_publish=True,
            can_subscribe=True,
            can_publish_data=True,
            can_publish_sources=["microphone", *(SHOWN if self.sees else ())],
        )
        token = (
            api.AccessToken(key, secret)
            .with_identity(self.identity)
            .with_name(self.name)
            .with_kind("standard")
            .with_grants(grants)
            .with_ttl(TOKEN_TTL)
        )
        return (token.with_attributes(self.attributes) if self.attributes else token).to_jwt()


def place_of(token: str, key: str, secret: str) -> Place | None:
    """Return the place a token was given out for, also one that has run out since; None where it is not ours."""
    try:
        claims = jwt.decode(
            token,
            secret,
            algorithms=["HS256"],
            issuer=key,
            leeway=LONGEST_CALL_S,
            options={"require": ["exp", "iss", "sub"]},
        )
    except jwt.PyJWTError:
        return None
    video = claims.get("video")
    grants = video if isinstance(video, dict) else {}
    room, kind = grants.get("room"), claims.get("kind")
    # A token of the agent's, or of an operator's, is none of a caller's.
    if not isinstance(room, str) or not room or kind not in (None, "", "standard") or grants.get("roomAdmin"):
        return None
    if grants.get("agent") or grants.get("roomCreate") or grants.get("hidden"):
        return None
    attributes, sources = claims.get("attributes") or {}, grants.get("canPublishSources")
    sees = isinstance(sources, list) and set(SHOWN) <= set(map(str, sources))
    vouched = {CALLER_ID: attributes[CALLER_ID]} if CALLER_ID in attributes else {}
    return Place(room, str(claims["sub"]), str(claims.get("name") or "Caller"), vouched, sees)
