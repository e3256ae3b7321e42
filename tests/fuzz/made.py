"""What cases are made of: words that mean something to our readers, JSON, and what is left of them when cut."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

CHUNKS = (
    "my name is", "Ann Hill", "no,", "not", "I meant", "actually", "it's", "spelled", "S-M-Y-T-H", "b as in boy",
    "double", "triple", "five", "oh", "zero", "twenty-two", "a hundred and five", "4242", "4242 4242 4242 4242",
    "+49 30 901820", "ann@example.org", "at example dot com", "dot", "underscore", "Tuesday", "next week", "tomorrow",
    "the 3rd of March", "3.3.2031", "2031-02-30", "31st of February", "at", "ten thirty", "half past", "quarter to",
    "25:61", "10:30", "12 p.m.", "noon", "noch einmal", "nein", "ich heiße", "me llamo", "$25.50", "€1.000,00",
    "50%", "euros", "my budget is", "order number", "A-1 2", "let's do", "cancel it", "never mind", "?", "!", ".",
    "…", ",", "'s", "\u2019s", "-", "yes", "but", "instead", "{name}", "{", "}", "%s", "\\", "\x00", "\n", "\u202e",
    "\ud83d\ude00", "²", "٣", "ß", "İ", "<break/>", "</", "https://x.example/a?b=c", "**", "[x](y)", "IBAN DE89",
)  # fmt: skip
text = st.text(max_size=200)
words = st.lists(st.one_of(st.sampled_from(CHUNKS), st.text(max_size=12)), max_size=24).map(" ".join)
values = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.integers(10**300, 10**301),
        st.floats(),
        words,
        st.text(max_size=20),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=5),
        st.dictionaries(st.one_of(st.text(max_size=12), words), inner, max_size=5),
    ),
    max_leaves=12,
)


@st.composite
def changed(draw: st.DrawFn, seeds: Sequence[str], pieces: Sequence[str] = CHUNKS) -> str:
    """Something valid that was cut, doubled, or had something put into it."""
    made = draw(st.sampled_from(list(seeds)))
    for _ in range(draw(st.integers(0, 5))):
        at = draw(st.integers(0, len(made)))
        to = draw(st.integers(at, min(len(made), at + 40)))
        put = draw(
            st.one_of(
                st.just(""), st.sampled_from(list(pieces)), st.text(max_size=8), st.just(made[at:to] * 2)
            )
        )
        made = made[:at] + put + made[to:]
    return made


@st.composite
def filled(draw: st.DrawFn, shape: dict[str, Any]) -> dict[str, Any]:
    """An object of a shape, with some of its values gone or of another kind, and some that are not of it."""
    made: dict[str, Any] = {}
    for name, value in shape.items():
        match draw(st.integers(0, 5)):
            case 0:
                continue
            case 1:
                made[name] = draw(values)
            case _:
                made[name] = draw(filled(value)) if isinstance(value, dict) else value
    if draw(st.integers(0, 3)) == 0:
        made[draw(st.text(max_size=8))] = draw(values)
    return made


def as_json(value: Any) -> str:
    """JSON as Python writes it, infinities included."""
    return json.dumps(value)


def lines(*shapes: dict[str, Any]) -> st.SearchStrategy[bytes]:
    """JSON texts of shapes, whole and broken."""
    whole = st.one_of(*(filled(shape) for shape in shapes), values).map(as_json)
    broken = changed(
        [as_json(shape) for shape in shapes], ('"', "{", "[", "null", "NaN", "1e999", "\\ud800", ":")
    )
    return st.one_of(
        whole.map(lambda made: made.encode("utf-8", "surrogatepass")),
        broken.map(lambda made: made.encode("utf-8", "surrogatepass")),
        st.binary(max_size=300),
        st.integers(1, 4000).map(lambda depth: b"[" * depth),
        st.integers(1, 4000).map(lambda depth: b'{"a":' * depth),
    )
