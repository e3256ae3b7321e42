"""The files of calls on this machine: they go when the words of their calls do."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path

RECORDINGS = "*.flac*"
PICTURES = "*.jpg*"
TIMELINES = "*.jsonl"
UNKNOWN_S = 24 * 3600.0
"""A file of a call that the database does not know, because it was away, is left alone for so long."""
ASKED_AT_ONCE = 500


def erase_files(folder: Path, pattern: str, words_kept: Callable[[list[str]], Mapping[str, bool]]) -> int:
    """Delete the files of calls whose words were erased, or that are gone; return how many. Blocks.

    Args:
        folder: Where they are, named by their calls; it need not be there.
        pattern: Of their names.
        words_kept: Says of calls whether their words are kept; leaves out those it does not know.

    Raises:
        OSError: One cannot be deleted.
    """
    files = [file for file in folder.glob(pattern) if file.is_file()]
    named = {file: file.name.split(".", 1)[0] for file in files}
    ids, kept = sorted(set(named.values())), dict[str, bool]()
    for first in range(0, len(ids), ASKED_AT_ONCE):
        kept |= words_kept(ids[first : first + ASKED_AT_ONCE])
    old_s = time.time() - UNKNOWN_S
    gone = [
        file for file, call in named.items() if not kept.get(call, True) or _left(file, call in kept, old_s)
    ]
    for file in gone:
        file.unlink(missing_ok=True)
    return len(gone)


def _left(file: Path, known: bool, old_s: float) -> bool:
    return not known and file.stat().st_mtime < old_s
