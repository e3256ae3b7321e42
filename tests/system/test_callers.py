"""A caller the operator names: remembered between two calls, told by RPC what is known, and forgotten."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest
from livekit import rtc

from repartee.cli.instance import instance
from repartee.simulator.invitation import Invitation
from repartee.store import Store
from tests.system.helpers import calling, eventually, simulate, write_agent

API_TOKEN = "operator"
ANN = "user/42"
MORE = """\
models: {stt: 'openai:gpt-4o-mini-transcribe', llm: 'openai:gpt-4.1-mini', tts: 'openai:gpt-4o-mini-tts'}
memory: {between_calls: true, summary: extractive}
"""


async def invited(url: str) -> Invitation:
    """What the operator's own server asks for, for a user it has signed in."""
    async with httpx.AsyncClient(timeout=15) as client:
        anybody = await client.post(f"{url}/api/token", json={"caller_id": ANN})
        assert anybody.status_code == 401, "nobody says who they are without the operator's token"
        headers = {"Authorization": f"Bearer {API_TOKEN}"}
        answer = (await client.post(f"{url}/api/token", json={"caller_id": ANN}, headers=headers)).json()
    return Invitation(answer["server_url"], answer["participant_token"], answer["room_name"])


async def test_a_caller_is_remembered_told_and_forgotten(speech: Path, tmp_path: Path) -> None:
    agent, state = write_agent(tmp_path, MORE), tmp_path / "state"
    async with simulate(speech) as simulator:
        variables = simulator.environment | {"REPARTEE_API_TOKEN": API_TOKEN}
        async with instance(agent, state, variables) as running:
            store = Store.open(f"sqlite:///{state / 'repartee.db'}", spool=None)
            try:
                async with calling(running.url, await invited(running.url)) as caller:
                    await caller.exchange(speech / "aiewf" / "turn_010.flac")
                    first = json.loads(await caller.ask("repartee.memory"))
                await eventually(lambda: store.caller_facts(ANN))
                async with calling(running.url, await invited(running.url)) as caller:
                    second = json.loads(await caller.ask("repartee.memory"))
                    await caller.ask("repartee.forget")
                    third = json.loads(await caller.ask("repartee.memory"))
                    with pytest.raises(rtc.RpcError):
                        await caller.ask("repartee.everything")
                await eventually(lambda: all(kept.call.ended_at for kept in store.calls(10)))
                words = [
                    turn.user_text for kept in store.calls(10) for turn in store.turns(kept.call.call_id)
                ]
                assert store.caller_facts(ANN) == []
                assert not any(words), "what was said in the calls is erased with it"
            finally:
                store.close()
    assert first["kept_between_calls"] is True
    assert first["earlier"] == []
    assert "Jennifer Smith" in json.dumps(second["earlier"])
    assert third["earlier"] == []
    assert "Jennifer" not in json.dumps(third)
