"""What cases are made of: words that mean something to our readers, JSON, and what is left of them when cut."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
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
Make = Callable[[random.Random], Any]
seeds = st.integers(0, 2**64 - 1)


def mixed(native: st.SearchStrategy[Any], make: Make) -> st.SearchStrategy[Any]:
    """A quarter drawn by Hypothesis, which makes failures small; the rest by dice, which are ten times as fast."""
    thrown = seeds.map(lambda seed: make(random.Random(seed)))
    return st.one_of(native, thrown, thrown, thrown)


def _sign(rng: random.Random) -> str:
    match rng.randrange(6):
        case 0:
            return chr(
                rng.choice(
                    (0, 9, 10, 27, 34, 39, 92, 123, 125, 0xAD, 0x202E, 0x2028, 0xFEFF, 0xD800, 0x1F600)
                )
            )
        case 1:
            return chr(rng.randrange(0x20, 0x2FFF))
        case _:
            return chr(rng.randrange(0x20, 0x7F))


def _text(rng: random.Random, most: int = 30) -> str:
    return "".join(_sign(rng) for _ in range(rng.randrange(most)))


def _words(rng: random.Random) -> str:
    said = (rng.choice(CHUNKS) if rng.random() < 0.8 else _text(rng, 10) for _ in range(rng.randrange(24)))
    return rng.choice((" ", " ", " ", "")).join(said)


def _value(rng: random.Random, depth: int = 0) -> Any:
    match rng.randrange(9 if depth < 4 else 7):
        case 0:
            return None
        case 1:
            return rng.random() < 0.5
        case 2:
            return rng.choice((0, -1, 1, 7, 2**31, 2**63, 10**300, -(10**40)))
        case 3:
            return rng.choice((0.0, -0.0, 1.5, 1e308, float("nan"), float("inf"), float("-inf"), 5e-324))
        case 4 | 5:
            return _text(rng, 12)
        case 6:
            return _words(rng)
        case 7:
            return [_value(rng, depth + 1) for _ in range(rng.randrange(5))]
        case _:
            return {_text(rng, 8): _value(rng, depth + 1) for _ in range(rng.randrange(5))}


def _changed(rng: random.Random, made: str, pieces: Sequence[str]) -> str:
    for _ in range(rng.randrange(6)):
        at = rng.randrange(len(made) + 1)
        to = min(len(made), at + rng.randrange(40))
        put = rng.choice(("", rng.choice(pieces), _text(rng, 8), made[at:to] * 2))
        made = made[:at] + put + made[to:]
    return made


def _filled(rng: random.Random, shape: dict[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for name, value in shape.items():
        match rng.randrange(6):
            case 0:
                continue
            case 1:
                made[name] = _value(rng)
            case _:
                made[name] = _filled(rng, value) if isinstance(value, dict) else value
    if rng.random() < 0.25:
        made[_text(rng, 8)] = _value(rng)
    return made


def varied(rng: random.Random, case: Any, fixed: frozenset[str] = frozenset()) -> Any:
    """Return a case with its texts changed here and there; what it is made of stays what it is."""
    match case:
        case str():
            return case if case in fixed or rng.random() < 0.3 else _changed(rng, case, CHUNKS)
        case bytes():
            return _bytes(rng, case)
        case tuple():
            return tuple(varied(rng, part, fixed) for part in case)
        case list():
            return [varied(rng, part, fixed) for part in case]
        case dict():
            return {name: varied(rng, part, fixed) for name, part in case.items()}
        case _:
            return case


def _bytes(rng: random.Random, case: bytes) -> bytes:
    changed_bytes = bytearray(case)
    for _ in range(rng.randrange(4)):
        at = rng.randrange(len(changed_bytes) + 1)
        put = rng.choice(
            (
                b"",
                b'"',
                b"{",
                b"[",
                b"null",
                b"\\",
                b"\xff",
                rng.randbytes(3),
                bytes(changed_bytes[at : at + 9]),
            )
        )
        changed_bytes[at : at + rng.randrange(8)] = put
    return bytes(changed_bytes)


text = mixed(st.text(max_size=200), lambda rng: _text(rng, 200))
words = mixed(
    st.lists(st.one_of(st.sampled_from(CHUNKS), st.text(max_size=12)), max_size=24).map(" ".join), _words
)
values = mixed(
    st.recursive(
        st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20)),
        lambda inner: st.one_of(
            st.lists(inner, max_size=5), st.dictionaries(st.text(max_size=12), inner, max_size=5)
        ),
        max_leaves=12,
    ),
    _value,
)


@st.composite
def _drawn(draw: st.DrawFn, originals: Sequence[str], pieces: Sequence[str]) -> str:
    made = draw(st.sampled_from(list(originals)))
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


def changed(originals: Sequence[str], pieces: Sequence[str] = CHUNKS) -> st.SearchStrategy[str]:
    """Something valid that was cut, doubled, or had something put into it."""
    return mixed(_drawn(originals, pieces), lambda rng: _changed(rng, rng.choice(originals), pieces))


@st.composite
def _object(draw: st.DrawFn, shape: dict[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for name, value in shape.items():
        match draw(st.integers(0, 5)):
            case 0:
                continue
            case 1:
                made[name] = draw(values)
            case _:
                made[name] = draw(_object(value)) if isinstance(value, dict) else value
    if draw(st.integers(0, 3)) == 0:
        made[draw(st.text(max_size=8))] = draw(values)
    return made


def filled(shape: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    """An object of a shape, with some of its values gone or of another kind, and some that are not of it."""
    return mixed(_object(shape), lambda rng: _filled(rng, shape))


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
        st.one_of(whole, broken).map(lambda made: made.encode("utf-8", "surrogatepass")),
        st.one_of(whole, broken).map(lambda made: made.encode("utf-8", "surrogatepass")),
        st.one_of(whole, broken).map(lambda made: made.encode("utf-8", "surrogatepass")),
        st.one_of(
            seeds.map(lambda seed: random.Random(seed).randbytes(seed % 300)),
            st.integers(1, 4000).map(lambda depth: b"[" * depth),
            st.integers(1, 4000).map(lambda depth: b'{"a":' * depth),
        ),
    )
