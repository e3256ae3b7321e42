"""A telephone as LiveKit SIP brings it: a room of its dispatch rule's, a participant of kind SIP, 8 kHz, keys."""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
import soxr
from livekit import api, rtc
from livekit.protocol.agent_dispatch import RoomAgentDispatch
from livekit.protocol.room import CreateRoomRequest, RoomConfiguration

from repartee.cli.instance import Instance
from repartee.simulator.audio import Pcm, read_audio
from repartee.simulator.caller import RATE_HZ, Caller
from repartee.simulator.invitation import Invitation
from repartee.store import Store
from tests.system.helpers import GREETING_S, eventually, server, simulate, write_agent

PSTN_HZ = 8000
NUMBER = "+15557654321"
SECTION = """
telephony:
  keys: {1: I want to book.}
  hang_up: true
models: {stt: 'openai:gpt-4o-mini-transcribe', llm: 'openai:gpt-4.1-mini', tts: 'openai:gpt-4o-mini-tts'}
"""
SCRIPT = "- {when: workshops, call: hang_up}\n- {when: want to book, say: 'For which day?'}\n"

# In CI the same call is held without a media server: tests/session/test_telephone.py.
pytestmark = [pytest.mark.long, pytest.mark.livekit]


def by_wire(pcm: Pcm) -> Pcm:
    """Return a recording as a telephone network carries it: 300 to 3400 Hz of it at 8 kHz, in 8 bits (G.711 mu)."""
    low = soxr.resample(pcm.astype(np.float64) / 32768, RATE_HZ, PSTN_HZ)
    spectrum = np.fft.rfft(low)
    hz = np.fft.rfftfreq(len(low), 1 / PSTN_HZ)
    spectrum[(hz < 300) | (hz > 3400)] = 0
    band = np.fft.irfft(spectrum, len(low))
    pressed = np.sign(band) * np.log1p(255 * np.abs(band).clip(0, 1)) / np.log(256)
    coarse = np.round(pressed * 127) / 127
    wide = np.sign(coarse) * (256 ** np.abs(coarse) - 1) / 255
    return np.asarray(soxr.resample(wide, PSTN_HZ, RATE_HZ) * 32767).clip(-32768, 32767).astype(np.int16)


def signed(running: Instance) -> tuple[str, str, str]:
    """Return the address, key and secret of the server's LiveKit."""
    config = json.loads((running.state_dir / "livekit.json").read_text())
    ((key, secret),) = config["keys"].items()
    return f"http://127.0.0.1:{config['port']}", key, secret


async def ring(running: Instance) -> Invitation:
    """Make the room and the participant that LiveKit SIP makes for a call that comes in."""
    url, key, secret = signed(running)
    room = f"call-_{NUMBER}_{secrets.token_hex(6)}"
    agents = [RoomAgentDispatch(agent_name="repartee")]
    async with api.LiveKitAPI(url, key, secret) as livekit:
        await livekit.room.create_room(CreateRoomRequest(name=room, agents=agents))
    token = (
        api.AccessToken(key, secret)
        .with_identity(f"sip_{NUMBER}")
        .with_kind("sip")
        .with_attributes({"sip.phoneNumber": NUMBER, "sip.callStatus": "active", "sip.callID": "SCL_1"})
        .with_grants(api.VideoGrants(room_join=True, room=room))
        .with_room_config(RoomConfiguration(agents=agents))
    )
    return Invitation(url.replace("http", "ws", 1), token.to_jwt(), room)


@contextlib.asynccontextmanager
async def ringing(running: Instance) -> AsyncIterator[Caller]:
    caller = Caller()
    try:
        await caller.join(await ring(running))
        assert await caller.wait_for_answer(GREETING_S), "a telephone is greeted"
        yield caller
    finally:
        await caller.leave()


async def test_a_telephone_call_by_keys_and_voice_until_the_agent_hangs_up(
    speech: Path, tmp_path: Path
) -> None:
    script = tmp_path / "script.yaml"
    script.write_text(SCRIPT)
    async with (
        simulate(speech, script) as simulator,
        server(write_agent(tmp_path, SECTION), tmp_path, simulator) as running,
        ringing(running) as caller,
    ):
        await caller._room.local_participant.publish_dtmf(code=1, digit="1")
        assert await caller.wait_for_answer(15), "a key is a turn"
        await caller.say(by_wire(read_audio(speech / "aiewf" / "turn_001.flac", RATE_HZ)))
        await asyncio.wait_for(caller.closed.wait(), 20)
        reason = caller._room.connection_state
        store = Store.open(f"sqlite:///{running.state_dir / 'repartee.db'}", spool=None)
        await eventually(lambda: store.calls(1)[0].call.reason)
        (kept,) = store.calls(10)
        turns = [turn for turn in store.turns(kept.call.call_id) if turn.user_text]
        output = running.output.read_text() + "".join(
            f.read_text() for f in running.state_dir.rglob("*.jsonl")
        )
    assert reason == rtc.ConnectionState.CONN_DISCONNECTED, "hanging up closes the room, and with it the line"
    assert turns[0].user_text == "I want to book."
    # The simulator knows recordings by their spectrum, of which a telephone leaves a part.
    assert turns[1].user_text.startswith("Are there any workshops")
    assert len(turns) == 2
    assert turns[0].heard_text == "For which day?"
    assert kept.call.reason == "hung_up"
    assert kept.call.room.startswith("call-_[number]_")
    assert NUMBER not in output
