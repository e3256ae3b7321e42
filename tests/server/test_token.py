"""The token endpoint: every client's way of asking, and nothing a client may choose."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from typing import Any, ClassVar

import httpx
import jwt
import pytest
from pydantic import SecretStr
from starlette.responses import PlainTextResponse

from repartee.server.admission import Admission, DayLimits
from repartee.server.app import PATHS, Site, create_app
from repartee.server.headers import SecurityHeaders
from repartee.server.places import Place, place_of
from repartee.session.budget import Today
from repartee.session.callers import CALLER_ID
from repartee.session.room import NO_CALLER_S
from repartee.settings import Settings
from tests.server.livekit import LiveKit

SECRET = "s" * 40
GREEDY = {
    "room_name": "mine",
    "participant_identity": "agent-1",
    "participant_name": "Ann",
    "participant_metadata": "x",
    "participant_attributes": {"lk.publish_on_behalf": "x"},
    "room_config": {
        "name": "mine",
        "agents": [{"agent_name": "repartee", "metadata": "{}"}],
        "max_participants": 100,
        "metadata": "x",
        "tags": {"a": "b"},
    },
    "kind": "agent",
    "video": {"roomAdmin": True},
}


def client_for(settings: Settings, url: str, admission: Admission | None = None) -> httpx.AsyncClient:
    site = Site(url, "wss://rtc.example", "key", SECRET, "Desk", {"stt": "a", "llm": "b", "tts": "c"})
    transport = httpx.ASGITransport(create_app(settings, site, admission))
    return httpx.AsyncClient(transport=transport, base_url="http://here")


def claims(token: str) -> dict[str, Any]:
    return jwt.decode(token, SECRET, algorithms=["HS256"])


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_every_client_s_way_is_answered(
    plain_settings: Settings, livekit: LiveKit, path: str, method: str
) -> None:
    async with client_for(plain_settings, livekit.url) as client:
        response = await client.request(method, path)
    assert response.status_code == 200
    assert response.headers["cache-control"] == "no-store"
    body = response.json()
    assert body["server_url"] == body["serverUrl"] == "wss://rtc.example"
    assert body["participant_token"] == body["participantToken"] == body["token"]
    assert body["server_url"] == body["serverUrl"] == body["url"]
    assert body["room_name"] == body["roomName"]
    assert body["participant_name"] == body["participantName"]
    assert livekit.rooms == [(body["room_name"], "repartee")], "the agent is sent for by the server"


async def test_nothing_a_client_asks_for_is_passed_through(
    plain_settings: Settings, livekit: LiveKit
) -> None:
    async with client_for(plain_settings, livekit.url) as client:
        body = (await client.post("/api/token", json=GREEDY)).json()
    granted = claims(body["participant_token"])
    assert 60 < granted["exp"] - granted["nbf"] < 60 + NO_CALLER_S, "a client keeps it while the agent waits"
    assert granted["iss"] == "key"
    assert granted["name"] == "Ann"
    assert granted["sub"].startswith("caller-")
    video = granted["video"]
    assert video == {
        "roomJoin": True,
        "room": body["room_name"],
        "canPublish": True,
        "canSubscribe": True,
        "canPublishData": True,
        "canPublishSources": ["microphone"],
    }
    assert body["room_name"] != "mine"
    assert len(body["room_name"].removeprefix("call-")) == 32, "128 random bits"
    assert granted["kind"] == "standard"
    assert not granted.get("metadata")
    assert not granted.get("attributes")
    assert not granted.get("roomConfig")
    assert livekit.rooms[0][1] == "repartee"


async def test_each_call_has_its_own_room_and_name(plain_settings: Settings, livekit: LiveKit) -> None:
    async with client_for(plain_settings, livekit.url) as client:
        bodies = [(await client.post("/api/token")).json() for _ in range(3)]
    assert len({body["room_name"] for body in bodies}) == 3
    assert len({claims(body["participant_token"])["sub"] for body in bodies}) == 3


@pytest.mark.parametrize(
    ("sent", "status", "code"),
    [
        (b"{", 400, "not_json"),
        (b"[]", 400, "not_json"),
        (b"\xff", 400, "not_json"),
        (b"[" * 100, 422, "too_deep"),
        (json.dumps({"participant_name": "x" * 8192}).encode(), 413, "too_large"),
        (b'{"participant_name": 7}', 422, "participant_name"),
        (b'{"room_config": []}', 422, "room_config"),
        (b'{"room_config": {"egress": {"room": {}}}}', 422, "room_config"),
        (b'{"room_config": {"agents": [{"agent_name": "other"}]}}', 422, "room_config"),
        (b'{"roomConfig": {"agents": [{"agentName": "other"}]}}', 422, "room_config"),
        (b'{"participant_attributes": {"a": 1}}', 422, "participant_attributes"),
    ],
)
async def test_a_bad_request_is_refused(
    plain_settings: Settings, livekit: LiveKit, sent: bytes, status: int, code: str
) -> None:
    async with client_for(plain_settings, livekit.url) as client:
        response = await client.post("/api/token", content=sent, headers={"Content-Type": "application/json"})
    assert (response.status_code, response.json()["error"]) == (status, code)
    assert livekit.rooms == []


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", ""])
async def test_what_is_not_called_json_is_refused(
    plain_settings: Settings, livekit: LiveKit, kind: str
) -> None:
    """Such a request a page of another site may send without asking."""
    async with client_for(plain_settings, livekit.url) as client:
        response = await client.post("/api/token", content=b"{}", headers={"Content-Type": kind})
    assert (response.status_code, response.json()["error"]) == (415, "not_json")


async def test_a_body_without_an_end_is_not_read_on(plain_settings: Settings, livekit: LiveKit) -> None:
    given = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal given
        while given < 1000:
            given += 1
            yield b"x" * 1024

    async with client_for(plain_settings, livekit.url) as client:
        response = await client.post("/api/token", content=endless())
    assert response.status_code == 413
    assert given < 20


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("Ann", "Ann"),
        ("  Ann \n\x00 Hill\u202e ", "Ann Hill"),
        ("x" * 100, "x" * 64),
        ("", "Caller"),
        (" \t", "Caller"),
        (None, "Caller"),
    ],
)
async def test_a_name_is_one_short_line(
    plain_settings: Settings, livekit: LiveKit, given: str | None, shown: str
) -> None:
    async with client_for(plain_settings, livekit.url) as client:
        body = (await client.post("/api/token", json={"participantName": given})).json()
    assert claims(body["participant_token"])["name"] == body["participant_name"] == shown


async def test_another_site_s_page_is_refused(plain_settings: Settings, livekit: LiveKit) -> None:
    async with client_for(plain_settings, livekit.url) as client:
        evil = await client.post("/api/token", headers={"Origin": "https://evil.example"})
        own = await client.post("/api/token", headers={"Origin": "http://here"})
    assert (evil.status_code, own.status_code) == (403, 200)
    allowed = plain_settings.model_copy(update={"allowed_origins": "https://shop.example"})
    async with client_for(allowed, livekit.url) as client:
        shop = await client.post("/api/token", headers={"Origin": "https://shop.example"})
        asked = await client.options(
            "/api/token",
            headers={"Origin": "https://shop.example", "Access-Control-Request-Method": "POST"},
        )
        other = await client.post("/api/token", headers={"Origin": "https://shop.example.evil.example"})
    assert shop.status_code == asked.status_code == 200
    for answer in (shop, asked):
        assert answer.headers["access-control-allow-origin"] == "https://shop.example"
        assert "access-control-allow-credentials" not in answer.headers
    assert other.status_code == 403
    assert "access-control-allow-origin" not in other.headers
    assert "access-control-allow-origin" not in own.headers, "closed unless it is opened"


async def test_an_api_token_is_asked_for(plain_settings: Settings, livekit: LiveKit) -> None:
    locked = plain_settings.model_copy(update={"api_token": SecretStr("open sesame")})
    async with client_for(locked, livekit.url) as client:
        none = await client.post("/api/token")
        wrong = await client.post("/api/token", headers={"Authorization": "Bearer no"})
        right = await client.post("/api/token", headers={"Authorization": "Bearer open sesame"})
    assert (none.status_code, wrong.status_code, right.status_code) == (401, 401, 200)


class TestCallerId:
    """Who a caller is, only whoever holds the API token may say."""

    KEY: ClassVar[dict[str, str]] = {"Authorization": "Bearer open sesame"}

    async def ask(
        self, settings: Settings, livekit: LiveKit, caller_id: Any, *, key: bool, get: bool = False
    ) -> httpx.Response:
        async with client_for(settings, livekit.url) as client:
            headers = self.KEY if key else {}
            if get:
                return await client.get("/api/token", params={"caller_id": caller_id}, headers=headers)
            return await client.post("/api/token", json={"caller_id": caller_id}, headers=headers)

    @pytest.mark.parametrize("get", [False, True])
    async def test_the_operator_names_the_caller(
        self, plain_settings: Settings, livekit: LiveKit, get: bool
    ) -> None:
        locked = plain_settings.model_copy(update={"api_token": SecretStr("open sesame")})
        response = await self.ask(locked, livekit, "user/42", key=True, get=get)
        granted = claims(response.json()["participant_token"])
        assert granted["attributes"] == {CALLER_ID: "user/42"}
        assert not granted["video"].get("canUpdateOwnMetadata"), "or the caller could name themselves"

    async def test_a_client_without_the_token_cannot(
        self, plain_settings: Settings, livekit: LiveKit
    ) -> None:
        response = await self.ask(plain_settings, livekit, "user/42", key=False)
        assert (response.status_code, response.json()["error"]) == (403, "caller_id")
        locked = plain_settings.model_copy(update={"api_token": SecretStr("open sesame")})
        assert (await self.ask(locked, livekit, "user/42", key=False)).status_code == 401
        assert livekit.rooms == []

    @pytest.mark.parametrize("caller_id", ["", "a b", "x" * 129, 7, ["ann"], {"id": "ann"}])
    async def test_what_is_no_id_is_refused(
        self, plain_settings: Settings, livekit: LiveKit, caller_id: Any
    ) -> None:
        locked = plain_settings.model_copy(update={"api_token": SecretStr("open sesame")})
        response = await self.ask(locked, livekit, caller_id, key=True)
        assert (response.status_code, response.json()["error"]) == (422, "caller_id")
        assert "x" * 129 not in response.text, "what was sent is not repeated"

    async def test_no_way_around(self, plain_settings: Settings, livekit: LiveKit) -> None:
        """An attribute a client asks for is as little taken as anything else."""
        async with client_for(plain_settings, livekit.url) as client:
            body = (
                await client.post("/api/token", json={"participant_attributes": {CALLER_ID: "ann"}})
            ).json()
        assert not claims(body["participant_token"]).get("attributes")


async def test_too_many_calls_are_slowed(plain_settings: Settings, livekit: LiveKit) -> None:
    async with client_for(plain_settings, livekit.url) as client:
        answers = [await client.post("/api/token") for _ in range(plain_settings.token_rate + 1)]
    assert answers[-1].status_code == 429
    assert int(answers[-1].headers["retry-after"]) >= 1
    assert {answer.status_code for answer in answers[:-1]} == {200}


async def test_a_media_server_that_is_away_is_said(plain_settings: Settings, livekit: LiveKit) -> None:
    livekit.status = 503
    async with client_for(plain_settings, livekit.url) as client:
        response = await client.post("/api/token")
    assert (response.status_code, response.json()["error"]) == (503, "no_agent")
    assert response.headers["retry-after"] == "5"


@pytest.mark.parametrize(
    ("codecs", "status"),
    [([], 200), (["video/VP8", "audio/OPUS"], 200), (["audio/PCMU", "audio/red"], 503)],
)
async def test_a_media_server_without_opus_gives_no_call_without_sound(
    plain_settings: Settings, livekit: LiveKit, codecs: list[str], status: int
) -> None:
    livekit.codecs = codecs
    async with client_for(plain_settings, livekit.url) as client:
        answer = await client.post("/api/token")
    assert answer.status_code == status
    if status == 503:
        assert "without Opus" in answer.json()["message"]
        assert livekit.deleted == [room for room, _ in livekit.rooms], "and the agent is not left in it"


async def test_the_page_is_told_what_the_agent_runs_on(plain_settings: Settings, livekit: LiveKit) -> None:
    async with client_for(plain_settings, livekit.url) as client:
        config = (await client.get("/api/config")).json()
    assert config["agent"] == {"name": "Desk"}
    assert SECRET not in json.dumps(config)


class TestComingBack:
    """The page holds the token of its call; with it, and only with it, it comes back to its place."""

    async def test_the_room_waits_longer_than_the_agent(self, plain_settings: Settings, livekit: Any) -> None:
        async with client_for(plain_settings, livekit.url) as client:
            await client.post("/api/token")
        assert livekit.departure_s > 30

    async def test_a_call_that_goes_on_gives_the_same_place(
        self, plain_settings: Settings, livekit: Any
    ) -> None:
        settings = plain_settings.model_copy(update={"api_token": SecretStr("t")})
        headers = {"Authorization": "Bearer t"}
        async with client_for(settings, livekit.url) as client:
            asked = {"caller_id": "ann@example", "participant_name": "Ann"}
            first = (await client.post("/api/token", json=asked, headers=headers)).json()
            livekit.open = [first["room_name"]]
            old = {"participant_token": first["participant_token"]}
            second = await client.post("/api/rejoin", json=old, headers=headers)
        assert second.status_code == 200
        before, after = claims(first["participant_token"]), claims(second.json()["participant_token"])
        for claim in ("sub", "name", "video", "attributes"):
            assert before[claim] == after[claim]
        assert livekit.rooms == [(first["room_name"], "repartee")], "no second agent is sent for"

    async def test_also_with_a_token_that_has_run_out(self, plain_settings: Settings, livekit: Any) -> None:
        async with client_for(plain_settings, livekit.url) as client:
            first = (await client.post("/api/token")).json()
            livekit.open = [first["room_name"]]
            ran_out = {**claims(first["participant_token"]), "nbf": 1_700_000_000}
            ran_out["exp"] = int(time.time()) - 3600
            old = jwt.encode(ran_out, SECRET, algorithm="HS256")
            answer = await client.post("/api/rejoin", json={"participant_token": old})
        assert answer.status_code == 200
        assert claims(answer.json()["participant_token"])["sub"] == ran_out["sub"]

    async def test_a_call_that_is_over_stays_so(self, plain_settings: Settings, livekit: Any) -> None:
        async with client_for(plain_settings, livekit.url) as client:
            first = (await client.post("/api/token")).json()
            old = {"participant_token": first["participant_token"]}
            answer = await client.post("/api/rejoin", json=old)
        assert (answer.status_code, answer.json()["error"]) == (410, "over")

    @pytest.mark.parametrize(
        ("goes_on", "status", "error"),
        [(True, 200, None), (False, 410, "over"), (None, 503, "no_agent")],
        ids=["it is on its way to another agent", "it is over", "nobody knows"],
    )
    async def test_into_a_room_that_the_agent_has_left(
        self, plain_settings: Settings, livekit: Any, goes_on: bool | None, status: int, error: str | None
    ) -> None:
        class Told(Admission):
            async def goes_on(self, room: str) -> bool | None:
                return goes_on

        admission = Told(DayLimits(), Today)
        async with client_for(plain_settings, livekit.url, admission=admission) as client:
            first = (await client.post("/api/token")).json()
            livekit.open = [first["room_name"]]
            livekit.inside[first["room_name"]] = []
            old = {"participant_token": first["participant_token"]}
            answer = await client.post("/api/rejoin", json=old)
        assert answer.status_code == status
        assert answer.json().get("error") == error
        assert ("retry-after" in answer.headers) == (status == 503)

    @pytest.mark.parametrize(
        "change",
        [
            {"iss": "other"},
            {"exp": 1_700_000_000},
            {"kind": "agent"},
            {"video": {"roomJoin": True, "room": "r", "roomAdmin": True}},
            {"video": {"roomJoin": True, "room": "r", "agent": True}},
            {"video": {"roomJoin": True}},
            {"video": "all"},
            {"sub": None},
        ],
    )
    async def test_what_is_no_caller_s_token_opens_nothing(
        self, plain_settings: Settings, livekit: Any, change: dict[str, Any]
    ) -> None:
        async with client_for(plain_settings, livekit.url) as client:
            first = (await client.post("/api/token")).json()
            livekit.open = [first["room_name"], "r"]
            changed = {
                k: v for k, v in {**claims(first["participant_token"]), **change}.items() if v is not None
            }
            old = jwt.encode(changed, SECRET, algorithm="HS256")
            answer = await client.post("/api/rejoin", json={"participant_token": old})
            forged = jwt.encode(claims(first["participant_token"]), "x" * 40, algorithm="HS256")
            refused = await client.post("/api/rejoin", json={"participant_token": forged})
        assert answer.status_code == 403
        assert refused.status_code == 403


def test_a_place_of_an_agent_that_sees_may_show_something_and_keeps_that_when_it_is_renewed() -> None:
    for sees, sources in ((False, ["microphone"]), (True, ["microphone", "camera", "screen_share"])):
        place = Place("call-1", "caller-1", "Ann", {}, sees)
        token = place.token("key", SECRET)
        assert claims(token)["video"]["canPublishSources"] == sources
        assert place_of(token, "key", SECRET) == place


async def test_a_page_may_ask_for_the_camera_only_where_the_agent_sees() -> None:
    for sees, camera in ((False, "camera=()"), (True, "camera=(self), display-capture=(self)")):

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await PlainTextResponse("x")(scope, receive, send)

        guarded = SecurityHeaders(app, "ws://x", lambda _: False, sees=sees)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(guarded), base_url="http://x") as client:
            assert camera in (await client.get("/")).headers["Permissions-Policy"]
