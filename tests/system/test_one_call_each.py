"""A user of the operator's issuer and a real media server: one call at a time, and a place nobody took makes way."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from repartee.cli.instance import instance
from repartee.simulator.caller import Caller
from repartee.simulator.invitation import Invitation
from tests.server.test_door import AUDIENCE, SHARED, bearer, token_of
from tests.system.helpers import GREETING_S, eventually, simulate, write_agent


@pytest.mark.livekit
@pytest.mark.speech
async def test_a_user_has_one_call_at_a_time(speech: Path, tmp_path: Path) -> None:
    agent = write_agent(tmp_path, "models: {llm: 'openai:gpt-4.1-mini'}")
    async with simulate(speech) as simulator:
        keys = {"REPARTEE_JWT_SECRET": SHARED, "REPARTEE_JWT_AUDIENCE": AUDIENCE}
        async with (
            instance(agent, tmp_path / "state", {**simulator.environment, **keys}) as running,
            httpx.AsyncClient(base_url=running.url, headers=bearer(token_of("ann"))) as ann,
        ):
            assert (await httpx.AsyncClient(base_url=running.url).post("/api/token")).status_code == 401
            abandoned = (await ann.post("/api/token")).json()
            given = (await ann.post("/api/token")).json()
            assert given["room_name"] != abandoned["room_name"]
            caller = Caller()
            await caller.join(Invitation(given["server_url"], given["participant_token"], given["room_name"]))
            assert await caller.wait_for_answer(GREETING_S), "the agent greets"
            again = await ann.post("/api/token")
            bob = await ann.post("/api/token", headers=bearer(token_of("bob")))
            await caller.leave()
            log = running.output
            await eventually(lambda: '"detail": "caller_left"' in log.read_text())
            with httpx.Client(base_url=running.url, headers=bearer(token_of("ann"))) as client:
                await eventually(lambda: client.post("/api/token").status_code == 200)
    assert (again.status_code, again.json()["error"]) == (409, "call_live")
    assert bob.status_code == 200
