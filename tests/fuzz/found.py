"""Cases that once broke a reader, the smallest of each; run first, and never again to fail."""

from __future__ import annotations

from typing import Any

DEEP = b'{"a":' * 2000
LONE = "\ud83d"
"""Half a character: JSON can say it, UTF-8 cannot."""

FOUND: dict[str, tuple[Any, ...]] = {
    "agent files": ("[" * 3000, "\x1f", "a: &a [*a]", "{[a]: b}", "name: 2026-13-45"),
    "price tables": ("\x1f", "[" * 3000),
    "schemas of servers' tools": (
        ({"type": "object", "properties": {}, "$defs": None, "$ref": ""}, "", ""),
        ({"type": "object", "properties": None}, "", ""),
    ),
    "facts and corrections": ([("", "", f"$25.50 {LONE}")],),
    "form values": (("number", float("nan")), ("number", "inf")),
    "redaction": (
        "it is 4242424242424242",
        "zero 4242 4242 4242 4242 and $25.50 2031-02-30",
    ),
    "summaries of models": ((b'{"summary": "A", "facts": ' + DEEP + b"}", ""),),
    "answers of model servers": (
        ("llm", b"{}", [b'data: {"usage": {"prompt_tokens": 3, "prompt_tokens_details": 1}}\n\n'], 200),
        ("llm", b"{}", [b'data: {"usage": {"prompt_tokens": null}}\n\n'], 200),
        ("stt", b"{}", [b'{"usage": {"seconds": 1e999}}'], 200),
        ("stt", b"{}", [b'{"usage": 7}'], 200),
        ("embedding", b'{"input": 7}', [], 200),
        ("llm", b'{"messages": 7}', [], 200),
        ("llm", DEEP, [], 200),
    ),
    "streams of a model": (
        b'data: {"choices": [null]}\n\n',
        b'data: {"choices": 1}\n\n',
        b'data: {"usage": {"prompt_tokens": 1' + b"0" * 400 + b"}}\n\n",
        b'data: {"choices": [{"delta": 1}]}\n\n',
        b"data: " + DEEP,
    ),
    "results of tools": ({LONE: None}, [LONE]),
    "remote procedure calls": (("ann", LONE),),
    "token endpoint": ((0, "POST", "/api/token", b"{}", "application/json", {"Origin": "http://["}),),
    "simulated vendors, HTTP": (
        ("/v1/chat/completions", b""),
        ("/v1/chat/completions", b"true"),
        ("/v1/chat/completions", b'{"messages": [1]}'),
        ("/v1/audio/speech", b"\xc8"),
    ),
    "simulated vendors, sockets": (
        ("/tts/websocket?api_key=k", [b"{", b'{"transcript": "A.", "output_format": {"sample_rate": "x"}}']),
        ("/v1/realtime?intent=transcription", [b'{"type": "session.update", "session": 1}']),
    ),
}
