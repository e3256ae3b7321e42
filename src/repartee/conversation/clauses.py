"""Cuts a reply into clauses for the voice: a short one first, so that it is heard early, longer ones after it."""

from __future__ import annotations

import re

_SENTENCE_END = re.compile(r"[.!?…]+[\"')\]]*(?=\s)")
_CLAUSE_END = re.compile(r"[,;:\u2013\u2014](?=\s)")
_NOT_AN_END = re.compile(r"(?:\b(?:Dr|Mr|Mrs|Ms|Prof|St|No|vs|e\.g|i\.e|bzw|z\.B|Sr|Sra)|\b[A-Z])\.$")
FIRST_CLAUSE_WORDS = 3
"""A first clause may end at a comma from this many words on; a sentence always ends one."""
LATER_CHARACTERS = 60
"""Short sentences after the first are spoken together: the voice sounds better and costs fewer requests."""
LONGEST_CHARACTERS = 300


class ClauseCutter:
    """Takes a reply's text as it comes, and gives its clauses."""

    def __init__(self) -> None:
        self._text = ""
        self._first = True

    def add(self, text: str) -> list[str]:
        """Take more text; return the clauses that are complete."""
        self._text += text
        clauses = []
        while (end := self._end()) is not None:
            clause, self._text = self._text[:end].strip(), self._text[end:]
            if clause:
                clauses.append(clause)
                self._first = False
        return clauses

    def flush(self) -> str:
        """Return what is left, and begin anew."""
        rest, self._text, self._first = self._text.strip(), "", True
        return rest

    def _end(self) -> int | None:
        text = self._text
        for match in _SENTENCE_END.finditer(text):
            end = match.end()
            whole = not _NOT_AN_END.search(text[:end].rstrip("\"')]"))
            if whole and (self._first or end >= LATER_CHARACTERS) and end <= LONGEST_CHARACTERS:
                return end
        if self._first:
            for match in _CLAUSE_END.finditer(text):
                if len(text[: match.end()].split()) >= FIRST_CLAUSE_WORDS:
                    return match.end()
        if len(text) > LONGEST_CHARACTERS:
            return max(text.rfind(mark, 0, LONGEST_CHARACTERS) for mark in (", ", "; ", " ")) + 1
        return None


def clause_starts(text: str) -> list[int]:
    """Return where a text's clauses begin, in characters: what is between commas counts as one."""
    ends = [
        match.end()
        for mark in (_SENTENCE_END, _CLAUSE_END)
        for match in mark.finditer(text)
        if not _NOT_AN_END.search(text[: match.end()])
    ]
    return [
        end + len(text[end:]) - len(text[end:].lstrip()) for end in sorted([0, *ends]) if text[end:].strip()
    ]


def clauses_of(text: str) -> list[str]:
    """Return the clauses of a text that comes word by word, as models send it and cached answers are replayed."""
    cutter = ClauseCutter()
    clauses = [clause for word in text.split() for clause in cutter.add(f"{word} ")]
    rest = cutter.flush()
    return [*clauses, rest] if rest else clauses
