"""The reckoning of tokens, held against a real tokenizer where one is on the machine."""

from __future__ import annotations

import json

import pytest

from repartee.agent import load_agent
from repartee.conversation.tokens import message_tokens, request_tokens, text_tokens
from tests.conftest import FRONT_DESK
from tests.conversation import long_call


def texts() -> list[str]:
    agent = load_agent(FRONT_DESK)
    said = [text for _, user, answer in long_call.script(1) for text in (user, answer) if text]
    tools = [
        json.dumps({"name": t.name, "description": t.description, "p": t.parameters}) for t in agent.tools
    ]
    names = [
        "My name is Siobhan O'Brien-Szczepański.",
        "It's S M Y T H.",
        "jane.doe@example.com",
        "漢字を書きます",
    ]
    return [
        agent.persona,
        agent.greeting,
        *said,
        *tools,
        *names,
        *(a for answer in agent.answers for a in answer.ask),
    ]


def test_it_is_rather_too_many_than_too_few() -> None:
    tokenizers = pytest.importorskip("tokenizers")
    from repartee.providers.ondevice import registry

    tokenizer = tokenizers.Tokenizer.from_file(str(registry.WHISPER.locate() / "tokenizer.json"))
    counted = [
        (len(tokenizer.encode(text, add_special_tokens=False).ids), text_tokens(text)) for text in texts()
    ]
    real, reckoned = (sum(column) for column in zip(*counted, strict=True))
    assert real <= reckoned <= 1.35 * real
    assert all(ours >= 0.8 * theirs - 1 for theirs, ours in counted), (
        "and hardly ever too few for a single text"
    )


def test_everything_of_a_message_counts() -> None:
    plain = {"role": "assistant", "content": "Let me see."}
    call = {
        "id": "call_1",
        "type": "function",
        "function": {"name": "look_up", "arguments": '{"day": "friday"}'},
    }
    assert message_tokens({**plain, "tool_calls": [call]}) > message_tokens(plain) + 10
    assert message_tokens({"role": "user", "content": [{"type": "text", "text": "a b c"}]}) > 7
    assert request_tokens([plain, plain], 100) == 100 + 3 + 2 * message_tokens(plain)
