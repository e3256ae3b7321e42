"""The worker's own tokens: one to register, one per call to join its room. Least grants, short lives."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from livekit import api

JOIN_TTL = timedelta(hours=2)
"""The SDK renews it while connected; this only bounds how late a join may be after a reconnect."""
REGISTER_TTL = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class LiveKitAccess:
    """Where the LiveKit server is and the key that signs for it."""

    url: str
    key: str
    secret: str

    def register_token(self) -> str:
        """A token that may only register a worker."""
        # All but the first are granted unless they are taken away.
        grants = api.VideoGrants(agent=True, can_publish=False, can_subscribe=False, can_publish_data=False)
        return api.AccessToken(self.key, self.secret).with_grants(grants).with_ttl(REGISTER_TTL).to_jwt()

    def join_token(self, room: str, identity: str, agent_name: str) -> str:
        """A token for the agent's participant in one room."""
        grants = api.VideoGrants(
            room_join=True,
            room=room,
            agent=True,
            can_publish=True,
            can_subscribe=True,
            can_publish_data=True,
            can_update_own_metadata=True,
        )
        return (
            api.AccessToken(self.key, self.secret)
            .with_identity(identity)
            .with_name(agent_name)
            .with_kind("agent")
            .with_attributes({"lk.agent.name": agent_name, "lk.agent.state": "initializing"})
            .with_grants(grants)
            .with_ttl(JOIN_TTL)
            .to_jwt()
        )
