"""What the token endpoint asks of a LiveKit server, answered on the wire."""

from __future__ import annotations

from typing import Any

from aiohttp import web
from livekit import api
from livekit.protocol import models
from livekit.protocol.room import CreateRoomRequest

Kind = api.ParticipantInfo.Kind


class LiveKit:
    """Makes rooms with an agent sent for, as a LiveKit server does, and knows who is in which room."""

    def __init__(self) -> None:
        self.rooms: list[tuple[str, str]] = []
        self.inside: dict[str, list[Any]] = {}
        self.deleted: list[str] = []
        self.status = 200
        self.departure_s = 0
        self.codecs: list[str] = []
        """What rooms may be sent in."""
        self.vacant: set[str] = set()
        """Rooms whose agent says that nobody has come yet."""
        self.made_at: dict[str, int] = {}
        """When rooms were made, where that matters."""
        self.open: list[str] = []
        """Rooms that are there when they are asked for by name."""
        self.url = ""

    async def start(self) -> None:
        app = web.Application()
        for method, answer in (
            ("RoomService/CreateRoom", self._create),
            ("RoomService/ListRooms", self._rooms),
            ("RoomService/ListParticipants", self._participants),
            ("RoomService/DeleteRoom", self._delete),
        ):
            app.router.add_post(f"/twirp/livekit.{method}", answer)
        self.runner = web.AppRunner(app)
        await self.runner.setup()
        await web.TCPSite(self.runner, "127.0.0.1", 0).start()
        self.url = f"ws://127.0.0.1:{self.runner.addresses[0][1]}"

    def enters(self, room: str) -> None:
        """The caller is in the room."""
        self.inside[room].append(Kind.STANDARD)

    async def _create(self, request: web.Request) -> web.Response:
        asked = CreateRoomRequest()
        asked.ParseFromString(await request.read())
        if self.status != 200:
            return web.json_response({"code": "unavailable", "msg": "no"}, status=self.status)
        self.rooms += [(asked.name, agent.agent_name) for agent in asked.agents]
        self.departure_s = asked.departure_timeout
        self.inside[asked.name] = [Kind.AGENT]
        codecs = [models.Codec(mime=mime) for mime in self.codecs]
        return self._answer(models.Room(name=asked.name, enabled_codecs=codecs))

    async def _rooms(self, request: web.Request) -> web.Response:
        asked = api.ListRoomsRequest()
        asked.ParseFromString(await request.read())
        names = [name for name in asked.names if name in self.open] if asked.names else list(self.inside)
        rooms = [
            models.Room(
                name=name,
                creation_time=self.made_at.get(name, at),
                num_participants=sum(kind != Kind.AGENT for kind in self.inside.get(name, ())),
            )
            for at, name in enumerate(names)
        ]
        return self._answer(api.ListRoomsResponse(rooms=rooms))

    async def _participants(self, request: web.Request) -> web.Response:
        asked = api.ListParticipantsRequest()
        asked.ParseFromString(await request.read())
        attributes = {"repartee.vacant": "true"} if asked.room in self.vacant else {}
        found = [api.ParticipantInfo(kind=kind, attributes=attributes) for kind in self.inside[asked.room]]
        return self._answer(api.ListParticipantsResponse(participants=found))

    async def _delete(self, request: web.Request) -> web.Response:
        asked = api.DeleteRoomRequest()
        asked.ParseFromString(await request.read())
        self.deleted.append(asked.room)
        self.inside.pop(asked.room)
        return self._answer(api.DeleteRoomResponse())

    def _answer(self, message: Any) -> web.Response:
        return web.Response(body=message.SerializeToString(), content_type="application/protobuf")
