"""`models.realtime` of an agent file: what it may be, and what cannot be had together with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from repartee.agent import load_agent
from repartee.errors import ConfigError

HEAD = "name: A\npersona: You are A.\ngreeting: Hello.\n"
REALTIME = "models: {realtime: 'openai:gpt-realtime'}\n"


def agent_of(folder: Path, more: str) -> Path:
    file = folder / "agent.yaml"
    file.write_text(HEAD + more, encoding="utf-8")
    return file


@pytest.mark.parametrize(
    "more",
    [
        REALTIME,
        "models: {realtime: 'openai:gpt-realtime-mini', tts: 'openai:gpt-4o-mini-tts', stt: on-device}\n",
        REALTIME + "voice: {openai: marin, speed: 1.5}\n",
        REALTIME + "languages: {de: {instruction: Sie.}}\n",
        REALTIME + "tone: {adapt: true, pace: false}\n",
    ],
)
def test_what_goes_with_it(tmp_path: Path, more: str) -> None:
    assert load_agent(agent_of(tmp_path, more)).models.realtime is not None


@pytest.mark.parametrize(
    ("more", "line", "said"),
    [
        ("models: {realtime: 'cartesia:sonic-3'}\n", 4, "only OpenAI's are known, e.g. openai:gpt-realtime"),
        (
            "models: {realtime: 'openai:gpt-4.1'}\n",
            4,
            "'gpt-4.1' is no model that hears and speaks; write openai:",
        ),
        ("models:\n  realtime: openai:gpt-realtime-whisper\n", 5, "is no model that hears and speaks"),
        (
            "privacy: on-device\n" + REALTIME,
            5,
            "runs at OpenAI, and privacy: on-device lets nothing .* leave it out",
        ),
        (
            "models:\n  realtime: openai:gpt-realtime\n  tts: cartesia:sonic-3\n",
            6,
            "'cartesia:sonic-3' would be another beside it; write openai:gpt-4o-mini-tts, or leave it out",
        ),
        (
            "models:\n  realtime: openai:gpt-realtime\n  tts: [on-device, 'openai:tts-1']\n",
            6,
            "'on-device' would be another",
        ),
        (REALTIME + "voice: {openai: onyx}\n", 5, "'onyx' is none of its; choose one of: alloy, ash"),
        (REALTIME + "voice: {openai: shimer}\n", 5, "did you mean 'shimmer'"),
        (REALTIME + "voice:\n  speed: 1.8\n", 6, "1.5 times as fast at most; write a lower speed"),
        (REALTIME + "voices: {other: {openai: ash}}\n", 5, "leave out 'voices', or models.realtime"),
        (REALTIME + "vision:\n  enabled: true\n", 6, "is shown no pictures yet"),
        (REALTIME + "tone: {adapt: true}\n", 5, "at one pace; write pace: false beside it"),
        (
            REALTIME + "languages:\n  de:\n    voice: {openai: ash}\n",
            7,
            "in every language; leave out this one's voice",
        ),
    ],
)
def test_what_does_not_go_with_it_is_one_sentence_with_its_line(
    tmp_path: Path, more: str, line: int, said: str
) -> None:
    file = agent_of(tmp_path, more)
    with pytest.raises(ConfigError, match=said) as raised:
        load_agent(file)
    assert str(raised.value).startswith(f"{file}:{line}: "), raised.value
    assert len(str(raised.value).splitlines()) == 1


def test_a_call_is_not_passed_on(tmp_path: Path) -> None:
    (tmp_path / "other.yaml").write_text(HEAD.replace("name: A", "name: B"), encoding="utf-8")
    file = agent_of(tmp_path, REALTIME + "team:\n  agents:\n    - {agent: other.yaml, when: always}\n")
    with pytest.raises(ConfigError, match="so it is not passed on; leave out one of the two"):
        load_agent(file)
