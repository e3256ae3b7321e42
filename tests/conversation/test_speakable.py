"""What a voice is given of what a model writes."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from repartee.conversation.speakable import speakable


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ('One <break time="3s"/> moment.', "One moment."),
        ("<speak><prosody volume='silent'>Hello</prosody></speak>", "Hello"),
        ("&lt;break time=&quot;9s&quot;/&gt; Hi.", "Hi."),
        ("&amp;lt;break/&amp;gt; Hi.", "Hi."),
        ("<!-- hidden --> Yes.", "Yes."),
        ("It is at https://clinic.example/book?token=abc#x.", "It is at clinic.example."),
        ("See www.clinic.example/a, please.", "See clinic.example, please."),
        ("Go to https://user:pass@evil.example:8443/x now", "Go to evil.example now"),
        ("[our page](https://clinic.example/book) has it", "our page has it"),
        ("![map](https://clinic.example/map.png) here", "map here"),
        ("**Yes**, at *ten*, in `room 3`.", "Yes, at ten, in room 3."),
        ("# Hours\n- Monday\n- Tuesday", "Hours\nMonday\nTuesday"),
        ("[laughs] Of course!", "Of course!"),
        ("Pay\u202e drac \u200bnow", "Pay drac now"),
        ("a\x00b\x1b[31mc", "ab[31mc"),
        ("5 < 7 and 7 > 5", "5 7 and 7 5"),
        ("<broken tag", "broken tag"),
    ],
)
def test_markup_is_no_speech(written: str, said: str) -> None:
    assert speakable(written) == said


@pytest.mark.parametrize(
    "text",
    [
        "Yes, we're open on Saturday, from ten to two.",
        "That's $25.50, or 10% off - is that OK?",
        "Your code is A-1_b and 3*4 is 12.",
        "Ann & Bob's, at 10:30 a.m. (room 3)",
        "Gerne! Das wären 4,50 €.",
        "¿Le va bien mañana?",
        "Write to ann_hill@example.org.",
        "",
        " spaces  stay where nothing else changes ",
    ],
)
def test_plain_text_stays(text: str) -> None:
    assert speakable(text) == text


@given(st.text(max_size=300))
def test_nothing_a_voice_would_obey_is_left(text: str) -> None:
    said = speakable(text)
    assert "<" not in said
    assert ">" not in said
    assert not re.search(r"\bhttps?://\w", said)
    assert not set(said) & set("\x00\x1b\u202e\u200b")


@pytest.mark.parametrize(
    "text", ["<a" * 4000, "[a " * 3000, "http://" * 1200, "*_" * 4000, "&lt;" * 2000, "[](" * 2500]
)
def test_long_texts_take_no_time(text: str) -> None:
    began = time.process_time()
    speakable(text)
    assert time.process_time() - began < 2.0
