"""Every value of a private agent's file that names a vendor or another machine is found, and the sentence helps."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import BaseModel

from repartee.agent import load_agent
from repartee.agent.privacy import check_privacy
from repartee.errors import ConfigError
from tests.agent.test_loader import GOOD, write

PRIVATE = GOOD + "privacy: on-device\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("models: {stt: openai:whisper-1}", "models.stt: 'openai:whisper-1' runs at OpenAI"),
        ("models: {tts: [on-device, cartesia:sonic-3]}", "models.tts.1: 'cartesia:sonic-3' runs at Cartesia"),
        ("models: {llm: openai:gpt-4.1-mini}", "write 'local:MODEL', or leave it out"),
        ("models: {tts: elevenlabs:eleven_flash_v2_5}", "write 'on-device', or leave it out"),
        ("models: {llm: 'local:gpt-oss:120b-cloud'}", "a model that Ollama runs on its own servers"),
        ("routing: {small: openai:gpt-4.1-nano}", "routing.small: 'openai:gpt-4.1-nano' runs at OpenAI"),
        ("memory: {summary: openai:gpt-4.1-nano}", "memory.summary: 'openai:gpt-4.1-nano' runs at OpenAI"),
        (
            "mcp: [{name: crm, url: https://crm.example.com/mcp}]",
            "mcp.0.url: 'crm.example.com' is another machine",
        ),
        ("mcp: [{name: crm, url: 'http://10.1.2.3/mcp'}]", "use a server on this one (127.0.0.1)"),
    ],
)
def test_what_would_leave_is_named(tmp_path: Path, text: str, said: str) -> None:
    file = write(tmp_path, f"{PRIVATE}{text}\n")
    with pytest.raises(ConfigError, match="privacy: on-device lets nothing that is said leave") as error:
        load_agent(file)
    assert said in str(error.value)
    assert f"{file}:{len(PRIVATE.splitlines()) + 1}: " in str(error.value)
    load_agent(write(tmp_path, f"{GOOD}{text}\n"))  # of others nothing is asked


@pytest.mark.parametrize(
    "text",
    [
        "models: {stt: on-device, llm: 'local:llama3.2:3b', tts: on-device}",
        "mcp: [{name: crm, url: 'http://127.0.0.1:9000/mcp'}]",
        "mcp: [{name: crm, command: ./crm}]",
        "fallback: 'Look at https://example.com for that.'",
    ],
)
def test_what_stays_is_allowed(tmp_path: Path, text: str) -> None:
    assert load_agent(write(tmp_path, f"{PRIVATE}{text}\n")).private


def test_a_section_that_nobody_thought_of_is_checked_too() -> None:
    class Later(BaseModel):
        privacy: str = "on-device"
        guests: list[dict[str, str]] = [{"endpoint": "wss://elsewhere.example"}, {"model": "openai:o9"}]

    assert [at for at, _ in check_privacy(Later())] == [("guests", 0, "endpoint"), ("guests", 1, "model")]


def test_a_wrong_word_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="'privacy': input should be 'vendors' or 'on-device'"):
        load_agent(write(tmp_path, GOOD + "privacy: local\n"))
