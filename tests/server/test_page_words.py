"""What the pages have words for is what the server says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

from repartee.events import EndReason

FORMAT = Path(__file__).parents[2] / "web" / "src" / "calls" / "format.ts"


def test_every_end_of_a_call_has_its_words() -> None:
    (block,) = re.findall(r"const REASONS[^{]*\{(.*?)\n\};", FORMAT.read_text(), re.DOTALL)
    assert set(re.findall(r"^  (\w+): '[^']+',$", block, re.MULTILINE)) == set(get_args(EndReason))
