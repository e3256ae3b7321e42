"""Many calls in a store, for measuring lists: made up, with lengths, waits and costs as calls have them."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import insert

from repartee.store import Store, schema

AGENTS = ("Riverside Clinic", "Conference desk", "Parcel service")
REASONS = ("caller_left",) * 8 + ("hung_up", "max_duration")
_SPOKEN = (
    "appointment tuesday morning parcel address invoice delivery doctor prescription session track "
    "workshop ticket refund please could when where number name street open closed price cancel move book "
    "repeat thanks monday friday afternoon street insurance card parking elevator language interpreter "
    "vegan lunch breakfast badge "
)
WORDS = _SPOKEN.split()
RARE = "xylophone"
STAGES = (("stt", "gpt-4o-mini-transcribe", 1_100), ("llm", "gpt-4.1-mini", 900), ("tts", "sonic-3.6", 4_200))


def fill(store: Store, calls: int, *, days: int = 30, seed: int = 1) -> None:
    """Write calls that ended within the last days; one in a thousand has a rare word."""
    chance = random.Random(seed)
    now = datetime.now(UTC)
    with store.connection(writes=True) as connection:
        for first in range(0, calls, 500):
            made = [_call(chance, number, now, days) for number in range(first, min(calls, first + 500))]
            for table, place in ((schema.calls, 0), (schema.turns, 1), (schema.usage, 2)):
                rows = [row for call in made for row in call[place]]
                connection.execute(insert(table), rows)


def _call(
    chance: random.Random, number: int, now: datetime, days: int
) -> tuple[list[Any], list[Any], list[Any]]:
    agent = chance.choices(AGENTS, (6, 3, 1))[0]
    began = now - timedelta(days=chance.random() * days, seconds=600)
    call_id = f"{number:08x}" + "0" * 24
    turns, usage, at_ms = [], [], 2_000.0
    for turn in range(1, chance.randint(4, 13)):
        wait = chance.lognormvariate(6.4, 0.35)
        rare = [RARE] if turn == 1 and number % 1000 == 7 else []
        turns.append(_turn(chance, call_id, turn, at_ms, wait, rare))
        for stage, model, price in STAGES:
            usage.append(_usage(chance, call_id, agent, began, turn, (stage, model, price)))
        at_ms += 3_000 + wait + chance.random() * 6_000
    call = {
        "call_id": call_id,
        "agent": agent,
        "agent_version": "v1",
        "room": f"call-{number}",
        "caller_id": None,
        "started_at": began,
        "ended_at": began + timedelta(milliseconds=at_ms),
        "reason": chance.choice(REASONS),
        "call_s": at_ms / 1000,
        "speech_s": at_ms / 3000,
    }
    return [call], turns, usage


def _turn(chance: random.Random, call_id: str, turn: int, at_ms: float, wait: float, rare: list[str]) -> Any:
    said = " ".join(chance.choices(WORDS, k=9) + rare)
    heard = " ".join(chance.choices(WORDS, k=18))
    return {
        "call_id": call_id,
        "turn_id": turn,
        "user_text": f"{said}?",
        "heard_text": f"{heard}.",
        "unheard_text": "",
        "started_at_ms": at_ms,
        "ended_at_ms": at_ms + 3_000,
        "latency_ms": round(wait, 1),
        "timings": {"reply.audible": round(at_ms + 3_000 + wait, 1)},
        "revision": turn,
    }


def _usage(
    chance: random.Random,
    call_id: str,
    agent: str,
    began: datetime,
    turn: int,
    asked: tuple[str, str, int],
) -> Any:
    stage, model, price = asked
    at = began + timedelta(seconds=turn * 10)
    return {
        "request_id": f"{call_id}-{turn}-{stage}",
        "call_id": call_id,
        "turn_id": turn,
        "agent": agent,
        "at": at,
        "day": at.date(),
        "stage": stage,
        "provider": "openai",
        "model": model,
        "purpose": "turn",
        "outcome": "done",
        "attempt": 1,
        "estimated": False,
        "billed": True,
        "used": chance.random() > 0.15,
        "started_at_ms": turn * 10_000.0,
        "ended_at_ms": turn * 10_000.0 + 400,
        "price_version": "2026-09-29",
        "cost": Decimal(int(price * (0.5 + chance.random()))) / 10_000_000,
        "revision": turn,
    }
