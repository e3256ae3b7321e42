"""A call by telephone: keys both ways, hanging up, putting through; what is kept of a number."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jwt
import pytest
from aiohttp import web
from livekit import api, rtc
from livekit.protocol.sip import SIPTransferStatus
from livekit.rtc.participant import PublishDTMFError
from pydantic import SecretStr

from repartee.agent import Agent, ToolContext, load_agent
from repartee.errors import ToolError
from repartee.session import telephone as telephone_module
from repartee.session.inlet import Inlet
from repartee.session.room import RoomClient, RoomHooks
from repartee.session.telephone import Keypad, Telephone
from repartee.settings import Settings
from repartee.simulator.providers import Simulator, SimulatorConfig
from repartee.telemetry.redaction import without_number
from tests.session import test_whole_call
from tests.session.test_whole_call import Caller, rooms_of_calls, stored

SECRET = "s" * 40
NUMBER = "+15557654321"
SIP = {"sip.phoneNumber": NUMBER, "sip.callStatus": "active", "sip.callID": "SCL_1"}
CONTEXT = ToolContext("call-1", None, Path("nowhere"))
SECTION = """\
name: Desk
persona: You are short.
greeting: Hello.
telephony:
  keys: {1: I want to book., "#": Say that again.}
  hang_up: true
  send_keys: true
  transfer: {reception: {to: "tel:+15551230000"}}
"""


class Heard:
    """What a keypad said, with a moment to wait for."""

    def __init__(self) -> None:
        self.texts: asyncio.Queue[str] = asyncio.Queue()

    async def next(self) -> str:
        return await asyncio.wait_for(self.texts.get(), 10)


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> Heard:
    monkeypatch.setattr(telephone_module, "ALONE_S", 0.01)
    monkeypatch.setattr(telephone_module, "PAUSE_S", 0.02)
    monkeypatch.setattr(telephone_module, "BETWEEN_KEYS_S", 0.0)
    return Heard()


class TestKeypad:
    @pytest.fixture
    def keypad(self, heard: Heard) -> Keypad:
        return Keypad({"1": "I want to book.", "#": "Again."}, heard.texts.put_nowait)

    @pytest.mark.parametrize(
        ("pressed", "said"),
        [
            ("1", "I want to book."),
            ("4711#", "4711"),
            ("4711", "4711"),
            ("1234", "1234"),
            ("#", "Again."),
            ("2", "2"),
            ("12*34#", "34"),
            ("A4B2C#", "42"),
            ("9" * 40, "9" * 32),
        ],
    )
    async def test_what_keys_come_to(self, keypad: Keypad, heard: Heard, pressed: str, said: str) -> None:
        for key in pressed:
            keypad.press(key)
        assert await heard.next() == said

    async def test_a_number_is_waited_for_and_then_another_begins(self, keypad: Keypad, heard: Heard) -> None:
        keypad.press("4")
        assert await heard.next() == "4"
        keypad.press("2")
        assert await heard.next() == "2"
        keypad.press("*")
        keypad.press("7")
        keypad.close()
        await asyncio.sleep(0)
        assert heard.texts.empty()


class Sip:
    """LiveKit's SIP service, as far as it is asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[api.TransferSIPParticipantRequest, dict[str, Any]]] = []
        self.answer = api.TransferSIPParticipantResponse(status=SIPTransferStatus.STS_TRANSFER_SUCCESSFUL)
        self.refuses = False

    async def transfer(self, request: web.Request) -> web.Response:
        asked = api.TransferSIPParticipantRequest()
        asked.ParseFromString(await request.read())
        token = request.headers["Authorization"].removeprefix("Bearer ")
        self.asked.append((asked, jwt.decode(token, SECRET, algorithms=["HS256"])))
        if self.refuses:
            return web.json_response({"code": "unavailable", "msg": "no trunk"}, status=503)
        return web.Response(body=self.answer.SerializeToString(), content_type="application/protobuf")


@pytest.fixture
async def sip() -> AsyncIterator[tuple[Sip, str]]:
    made, app = Sip(), web.Application()
    app.router.add_post("/twirp/livekit.SIP/TransferSIPParticipant", made.transfer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield made, f"ws://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


class Presser:
    """The agent's participant: keeps the keys it presses."""

    def __init__(self) -> None:
        self.pressed: list[tuple[int, str]] = []
        self.fails = False

    async def publish_dtmf(self, *, code: int, digit: str) -> None:
        if self.fails:
            raise PublishDTMFError("the connection is closed")
        self.pressed.append((code, digit))


@pytest.fixture
def agent(tmp_path: Path) -> Agent:
    (tmp_path / "agent.yaml").write_text(SECTION)
    return load_agent(tmp_path / "agent.yaml")


class Phone:
    """A telephone's part of a call, and what came of it."""

    def __init__(self, agent: Agent, settings: Settings) -> None:
        self.ended, self.marks, self.said = 0, list[tuple[str, dict[str, Any]]](), list[str]()
        self.part = Telephone(
            agent.telephony,
            "call-1",
            settings,
            say=self.said.append,
            hang_up=self._end,
            mark=lambda name, **values: self.marks.append((name, values)),
        )
        self.presser = Presser()
        room = SimpleNamespace(local_participant=self.presser)
        self.part.line = SimpleNamespace(room=room, caller=f"sip_{NUMBER}")
        self.tools = {tool.name: tool for tool in self.part.bound(agent).tools}

    def _end(self) -> None:
        self.ended += 1

    async def call(self, tool: str, **arguments: str) -> Any:
        return await self.tools[tool].call(arguments, CONTEXT)


@pytest.fixture
def phone(agent: Agent, plain_settings: Settings, sip: tuple[Sip, str], heard: Heard) -> Phone:
    update = {
        "livekit_url": sip[1],
        "livekit_api_key": "key",
        "livekit_api_secret": SecretStr(SECRET),
    }
    return Phone(agent, plain_settings.model_copy(update=update))


class TestTools:
    async def test_a_caller_is_put_through_with_a_token_for_this_and_no_more(
        self, phone: Phone, sip: tuple[Sip, str]
    ) -> None:
        phone.part.rings(SIP)
        assert "put through" in await phone.call("transfer_call", to="reception")
        ((asked, claims),) = sip[0].asked
        assert (asked.participant_identity, asked.room_name) == (f"sip_{NUMBER}", "call-1")
        assert asked.transfer_to == "tel:+15551230000"
        assert asked.play_dialtone
        assert 0 < asked.ringing_timeout.seconds < 45
        assert claims["sip"] == {"admin": False, "call": True}
        assert claims["video"]["roomAdmin"]
        assert claims["video"]["room"] == "call-1"
        assert [name for name, _ in phone.marks] == ["caller.telephone", "transfer.asked", "transfer.done"]
        assert NUMBER not in str(phone.marks)

    @pytest.mark.parametrize("how", ["refuses", "fails"])
    async def test_who_cannot_be_reached_is_told_and_the_call_goes_on(
        self, phone: Phone, sip: tuple[Sip, str], how: str
    ) -> None:
        phone.part.rings(SIP)
        sip[0].refuses = how == "refuses"
        sip[0].answer = api.TransferSIPParticipantResponse(status=SIPTransferStatus.STS_TRANSFER_FAILED)
        with pytest.raises(ToolError, match="nobody could be reached there"):
            await phone.call("transfer_call", to="reception")
        assert phone.marks[-1] == ("transfer.failed", {"to": "reception"})

    async def test_only_whom_the_file_names(self, phone: Phone, sip: tuple[Sip, str]) -> None:
        phone.part.rings(SIP)
        with pytest.raises(ToolError, match="to reception only"):
            await phone.call("transfer_call", to="tel:+19005550000")
        assert sip[0].asked == []

    async def test_a_web_caller_is_not_offered_what_only_telephones_have(
        self, phone: Phone, sip: tuple[Sip, str]
    ) -> None:
        assert phone.part.withheld() == {"transfer_call", "send_keys"}
        with pytest.raises(ToolError, match="no telephone"):
            await phone.call("transfer_call", to="reception")
        with pytest.raises(ToolError, match="no telephone"):
            await phone.call("send_keys", keys="1")
        assert sip[0].asked == []
        phone.part.rings(SIP)
        assert phone.part.withheld() == frozenset()

    async def test_a_server_without_telephones_says_so(self, agent: Agent, plain_settings: Settings) -> None:
        phone = Phone(agent, plain_settings)
        phone.part.rings(SIP)
        with pytest.raises(ToolError, match="nobody could be reached"):
            await phone.call("transfer_call", to="reception")

    async def test_keys_are_pressed_one_by_one(self, phone: Phone) -> None:
        phone.part.rings(SIP)
        assert await phone.call("send_keys", keys="4*0#") == "pressed"
        assert phone.presser.pressed == [(4, "4"), (10, "*"), (0, "0"), (11, "#")]
        assert phone.marks[-1] == ("keys.sent", {"count": 4})
        for wrong in ("", "12a", "1" * 33):
            with pytest.raises(ToolError, match="keys are 1 to 32"):
                await phone.call("send_keys", keys=wrong)

    async def test_keys_that_cannot_be_sent_are_told(self, phone: Phone) -> None:
        phone.part.rings(SIP)
        phone.presser.fails = True
        with pytest.raises(ToolError, match="could not be sent"):
            await phone.call("send_keys", keys="1")

    async def test_it_hangs_up(self, phone: Phone) -> None:
        assert "goodbye" in await phone.call("hang_up")
        assert phone.ended == 1


class TestNumber:
    @pytest.mark.parametrize(("keep", "number"), [("false", None), ("true", NUMBER)])
    def test_it_is_known_only_where_the_file_says_so(
        self, tmp_path: Path, plain_settings: Settings, keep: str, number: str | None
    ) -> None:
        (tmp_path / "agent.yaml").write_text(f"{SECTION}  keep_number: {keep}\n")
        phone = Phone(load_agent(tmp_path / "agent.yaml"), plain_settings)
        assert phone.part.number is None
        phone.part.rings(SIP)
        assert phone.part.number == number
        assert phone.part.shown(f"sip_{NUMBER}") == (f"sip_{NUMBER}" if number else None)
        assert phone.part.shown("caller-1") == "caller-1"

    @pytest.mark.parametrize(
        ("room", "kept"),
        [
            ("call-_+15557654321_aB3dE6gH", "call-_[number]_aB3dE6gH"),
            ("15557654321", "[number]"),
            ("call-" + "1234567890abcdef" * 2, "call-" + "1234567890abcdef" * 2),
            ("call-" + "1" * 32, "call-" + "1" * 32),
            ("call-u0123456789012345-" + "f" * 32, "call-u0123456789012345-" + "f" * 32),
        ],
    )
    def test_a_room_that_is_named_after_it_is_kept_without(self, room: str, kept: str) -> None:
        assert without_number(room) == kept


SipDTMF: Any = rtc.SipDTMF


class TestRoom:
    """The room's client, without a room."""

    @pytest.fixture
    def client(self) -> RoomClient:
        client = RoomClient.__new__(RoomClient)
        self.told = list[tuple[Any, ...]]()

        def note(name: str) -> Any:
            return lambda *values: self.told.append((name, *values))

        hooks = RoomHooks(note("ready"), note("over"), note("chat"), note("network"), note("sensitivity"))
        object.__setattr__(hooks, "telephone", note("telephone"))
        object.__setattr__(hooks, "key", note("key"))
        client._hooks = hooks
        client._caller_identity, client._caller, client._lobby = None, None, None
        client._announced, client._mending, client._early = False, {}, None
        client._listened_to = False
        self.people: dict[str, Any] = {}
        room: Any = SimpleNamespace(remote_participants=self.people)
        client._room = room
        client.inlet = Inlet(client.is_caller)
        return client

    def join(
        self, client: RoomClient, status: str, kind: Any = rtc.ParticipantKind.PARTICIPANT_KIND_SIP
    ) -> Any:
        person: Any = SimpleNamespace(
            identity="sip_1",
            kind=kind,
            attributes={**SIP, "sip.callStatus": status},
            permissions=SimpleNamespace(can_update_metadata=False),
            disconnect_reason=rtc.DisconnectReason.UNKNOWN_REASON,
        )
        self.people["sip_1"] = person
        client._on_joined(person)
        return person

    def test_it_is_greeted_when_it_is_taken_up(self, client: RoomClient) -> None:
        person = self.join(client, "ringing")
        client._on_heard()
        assert [name for name, *_ in self.told] == ["telephone"]
        person.attributes["sip.callStatus"] = "active"
        client._on_attributes({"sip.callStatus": "active"}, person)
        assert self.told[-1] == ("ready", "sip_1")
        client._on_attributes({"sip.callStatus": "active"}, person)
        assert [name for name, *_ in self.told].count("ready") == 1

    def test_one_that_is_up_is_greeted_at_once(self, client: RoomClient) -> None:
        self.join(client, "active")
        client._on_heard()
        assert self.told[-1] == ("ready", "sip_1")

    def test_one_that_hangs_up_is_not_waited_for(self, client: RoomClient) -> None:
        client._on_left(self.join(client, "active"))
        assert self.told[-1] == ("over", "caller_left")

    def test_keys_of_the_caller_count_and_of_nobody_else(self, client: RoomClient) -> None:
        person = self.join(client, "active")
        client._on_sip_dtmf_received_wrapper(SipDTMF(code=5, digit="5", participant=person))
        other: Any = SimpleNamespace(identity="other")
        client._on_sip_dtmf_received_wrapper(SipDTMF(code=6, digit="6", participant=other))
        client._on_sip_dtmf_received_wrapper(SipDTMF(code=7, digit="7", participant=None))
        assert [told for told in self.told if told[0] == "key"] == [("key", "5")]

    def test_keys_have_the_limit_of_all_messages(self, client: RoomClient) -> None:
        person = self.join(client, "active")
        for _ in range(100):
            client._on_sip_dtmf_received_wrapper(SipDTMF(code=5, digit="5", participant=person))
        assert 20 <= sum(told[0] == "key" for told in self.told) < 30


SCRIPT = """\
- when: that was all
  call: hang_up
- when: want to book
  say: For which day?
"""


@pytest.fixture
async def simulator(tmp_path: Path) -> AsyncIterator[Simulator]:
    script = tmp_path / "script.yaml"
    script.write_text(SCRIPT)
    async with Simulator.start(SimulatorConfig(profile="instant", script=script)) as running:
        yield running


@pytest.fixture
def caller(simulator: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, heard: Heard) -> Caller:
    more = SECTION.partition("telephony:")[2]
    monkeypatch.setattr(test_whole_call, "AGENT", f"{test_whole_call.AGENT}telephony:{more}")
    return Caller(simulator, tmp_path, rooms_of_calls(monkeypatch))


async def test_a_whole_call_by_keys_and_its_end(caller: Caller) -> None:
    async with caller as call:
        call.hooks.telephone(SIP)
        await call.until(lambda: call.times("reply.finished"))
        call.hooks.key("1")
        await call.until(lambda: call.times("reply.finished") == 2)
        call.hooks.chat("Thank you, that was all.")
        await call.until(lambda: any(name == "ended" for name, _ in call.told))
    store = stored(caller)
    (kept,) = store.calls()
    turns = [turn for turn in store.turns("call-1") if turn.user_text]
    assert [turn.user_text for turn in turns] == ["I want to book.", "Thank you, that was all."]
    assert turns[0].heard_text == "For which day?"
    assert kept.call.reason == "hung_up"
    everything = (caller.spec.data_dir / "calls" / "call-1.jsonl").read_text()
    assert NUMBER not in everything
    assert '"key.pressed"' in everything
