"""The agent as others reach it over A2A: by the protocol's own SDK on loopback, behind the door, off by default."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from a2a.client import ClientConfig, create_client
from a2a.helpers.proto_helpers import get_message_text, new_text_message
from a2a.types import Role, SendMessageRequest
from pydantic import SecretStr

from repartee.agent import load_agent
from repartee.providers.a2a import RemoteAgent
from repartee.server.app import Site, create_app
from repartee.settings import Settings
from repartee.simulator.providers import Simulator, SimulatorConfig
from repartee.store import Store
from tests.server.loopback import serving

AGENT = """
name: Bakery
persona: You sell bread.
greeting: Hello, this is the bakery.
models: {stt: "openai:gpt-4o-mini-transcribe", llm: "openai:gpt-4.1-mini", tts: "openai:gpt-4o-mini-tts"}
tools: tools.py
"""
TOOLS = '''
from repartee import tool

@tool(side_effect=True, confirm="Shall I keep {what} for you?")
def keep(what: str) -> str:
    """Keep bread for somebody."""
    return f"{what} is kept."
'''
SCRIPT = """
- {when: rye, call: keep, with: {what: rye bread}}
- {when: "^yes", call: keep, with: {what: rye bread}}
- {when: open, say: "From six to six."}
"""
KEY = "a-key-of-some-length"


@pytest.fixture
async def settings(tmp_path: Path) -> AsyncIterator[Settings]:
    (tmp_path / "agent.yaml").write_text(AGENT, encoding="utf-8")
    (tmp_path / "tools.py").write_text(TOOLS, encoding="utf-8")
    script = tmp_path / "script.yaml"
    script.write_text(SCRIPT, encoding="utf-8")
    async with Simulator.start(SimulatorConfig(profile="instant", script=script)) as simulator:
        yield Settings(_env_file=None).model_copy(  # type: ignore[call-arg]
            update={
                "agent": tmp_path / "agent.yaml",
                "openai_api_key": SecretStr("k"),
                "openai_base_url": f"{simulator.url}/v1",
                "state_dir": tmp_path,
                "database_url": SecretStr(f"sqlite:///{tmp_path / 'calls.db'}"),
                "a2a_calls": 2,
            }
        )


def app(settings: Settings) -> Any:
    site = Site("ws://127.0.0.1:1", "ws://127.0.0.1:1", "key", "s" * 32, "Bakery", {})
    return create_app(settings, site, agent=load_agent(settings.agent))


async def post(url: str, method: str, params: Any, **headers: str) -> dict[str, Any]:
    body = {"jsonrpc": "2.0", "id": 7, "method": method, "params": params}
    async with httpx.AsyncClient() as client:
        response = await client.post(f"{url}/a2a", json=body, headers=headers)
    answer: dict[str, Any] = response.json()
    return answer | {"status": response.status_code}


def message(text: str, **more: Any) -> dict[str, Any]:
    return {"message": {"messageId": "m", "role": "ROLE_USER", "parts": [{"text": text}], **more}}


async def test_the_sdk_s_client_talks_to_it_and_the_call_is_in_the_store(settings: Settings) -> None:
    async with serving(lambda _: app(settings)) as url:
        client = await create_client(url, ClientConfig(streaming=False))
        context, said = "", []
        for text in ("When are you open?", "I want rye bread", "Yes, please"):
            asked = new_text_message(text, context_id=context, role=Role.ROLE_USER)
            async for answer in client.send_message(SendMessageRequest(message=asked)):
                said.append(get_message_text(answer.message))
                context = answer.message.context_id
        await client.close()
    assert said[0] == "From six to six."
    assert said[1] == "Shall I keep rye bread for you?", "what changes something asks first, here too"
    assert "rye bread is kept." in said[2]
    store = Store.open(settings.store_url)
    (call,) = store.calls()
    assert call.call.call_id == context
    assert [turn.heard_text for turn in store.turns(context)] == said
    assert {row.usage.stage for row in store.usage_rows(call_id=context)} == {"llm"}
    store.close()


@pytest.mark.parametrize("version", ["1.0", "0.3"])
async def test_an_agent_of_ours_talks_to_it(settings: Settings, version: str) -> None:
    async with serving(lambda _: app(settings)) as url:
        async with httpx.AsyncClient() as client:
            card = (await client.get(f"{url}/.well-known/agent-card.json")).json()
        if version == "0.3":
            del card["supportedInterfaces"]
        inner = httpx.AsyncHTTPTransport()

        async def handle(request: httpx.Request) -> httpx.Response:
            if request.method == "GET":
                return httpx.Response(200, json=card)
            return await inner.handle_async_request(request)

        agent = RemoteAgent(url, client=httpx.AsyncClient(transport=httpx.MockTransport(handle)))
        assert (await agent.ask("When are you open?")).text == "From six to six."
        assert (await agent.ask("I want rye bread")).text == "Shall I keep rye bread for you?"
        await agent.aclose()
        await inner.aclose()


async def test_it_is_off_by_default(settings: Settings) -> None:
    off = settings.model_copy(update={"a2a_calls": 0})
    async with serving(lambda _: app(off)) as url, httpx.AsyncClient() as client:
        assert (await client.get(f"{url}/.well-known/agent-card.json")).status_code == 404
        assert (await client.post(f"{url}/a2a", json={})).status_code in (404, 405)


async def test_it_is_behind_the_door_and_a_conversation_is_its_owner_s(settings: Settings) -> None:
    closed = settings.model_copy(update={"api_token": SecretStr(KEY), "api_keys": ""})
    async with serving(lambda _: app(closed)) as url:
        assert (await post(url, "SendMessage", message("When are you open?")))["status"] == 401
        mine = {"Authorization": f"Bearer {KEY}"}
        answer = await post(url, "SendMessage", message("When are you open?"), **mine)
        context = answer["result"]["message"]["contextId"]
        again = await post(url, "SendMessage", message("When are you open?", contextId=context), **mine)
        assert again["result"]["message"]["contextId"] == context
        unknown = await post(url, "SendMessage", message("When are you open?", contextId="0" * 32), **mine)
        assert unknown["result"]["message"]["contextId"] not in (context, "0" * 32)
        many = await post(url, "SendMessage", message("When are you open?"), **mine)
        assert many["error"]["message"].startswith("as many conversations as may be")


@pytest.mark.parametrize(
    ("method", "params", "code", "why"),
    [
        ("SendMessage", {}, -32602, "'message'"),
        ("SendMessage", message("  "), -32005, "reads text"),
        ("SendMessage", message("x" * 2001), -32602, "message.parts.0"),
        ("SendMessage", message("x", metadata={"repartee.hops": 3}), -32602, "from agent to agent too often"),
        ("SendMessage", message("x", metadata={"repartee.hops": "many"}), -32602, "too often"),
        ("SendStreamingMessage", message("x"), -32004, "SendMessage"),
        ("tasks/get", {"id": "1"}, -32004, "SendMessage"),
        ("DropTables", {}, -32601, "no such method"),
    ],
)
async def test_what_it_does_not_take_is_told(
    settings: Settings, method: str, params: Any, code: int, why: str
) -> None:
    async with serving(lambda _: app(settings)) as url:
        answer = await post(url, method, params)
    assert answer["id"] == 7
    assert answer["error"]["code"] == code
    assert why in answer["error"]["message"]


async def test_what_is_no_request_is_told(settings: Settings) -> None:
    async with serving(lambda _: app(settings)) as url, httpx.AsyncClient() as client:
        told = [
            (await client.post(f"{url}/a2a", content=content)).json()["error"]["code"]
            for content in (b"{", b"[]", b"[" * 5000, b'{"jsonrpc": "1.0", "id": 1, "method": "x"}')
        ]
        large = await client.post(f"{url}/a2a", content=b" " * 40_000)
    assert told == [-32700, -32600, -32700, -32600]
    assert large.status_code == 413
