"""The comparison of a ledger with a vendor's bill knows what nobody can know, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import pytest

from repartee.simulator.providers.bill import Bill, Entry
from repartee.telemetry.usage import Usage
from tests.billing import compare


@dataclass
class Row:
    usage: Usage
    cost: Decimal | None = Decimal(0)


def voice(outcome: str, characters: int) -> Entry:
    return Entry("tts", "cartesia", "sonic-3", characters=characters, outcome=outcome, request_id="one")


def refused(characters: int) -> Row:
    quantities = {"characters": Decimal(characters)}
    return Row(Usage("one", "tts", "cartesia", "sonic-3", quantities, outcome="failed", billed=False))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("ours", "theirs", "unseen", "fits"),
    [
        (refused(10), [voice("failed", 10)], 0, True),
        # Three characters were on their way to the vendor when its refusal was on its way to us.
        (refused(13), [voice("failed", 10), voice("cancelled", 3)], 1, True),
        (refused(10), [voice("failed", 10), voice("cancelled", 3)], 0, False),
        (refused(13), [voice("ok", 13)], 0, False),
    ],
)
def test_text_that_crossed_a_refusal(
    ours: Row, theirs: list[Entry], unseen: int, fits: bool, tmp_path: Path
) -> None:
    bill = Bill(None)
    for entry in theirs:
        bill.book(entry)
    found = compare([ours], bill)
    assert (found.unseen, found.problems == []) == (unseen, fits)
