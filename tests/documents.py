"""Reads the documents: their headings, links, and what is written in them to be run or copied."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import dropwhile
from pathlib import Path

from tests.conftest import ROOT

DOCUMENTS = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
_FENCED = re.compile(r"^```([\w-]*)[^\n]*\n(.*?)^```[ \t]*$", re.DOTALL | re.MULTILINE)
_VALUES = re.compile(r"^(?:export\s+)?((?:[A-Z][A-Z0-9_]*=\S*\s*)+)")


@dataclass(frozen=True)
class Snippet:
    """A block between fences.

    Attributes:
        document: Where it stands.
        line: Its first line there.
        language: As the fence says; empty where it says none.
        text: What is in it.
    """

    document: Path
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{name_of(self.document)}:{self.line}"


def name_of(document: Path) -> str:
    """Return a document's path in the repository."""
    return document.relative_to(ROOT).as_posix()


def snippets(*languages: str) -> list[Snippet]:
    """Return every block in one of these languages."""
    found: list[Snippet] = []
    for document in DOCUMENTS:
        text = document.read_text(encoding="utf-8")
        found += [
            Snippet(document, text.count("\n", 0, match.start()) + 2, match[1], match[2])
            for match in _FENCED.finditer(text)
            if match[1] in languages
        ]
    return found


def prose(document: Path) -> str:
    """Return a document without its blocks."""
    return _FENCED.sub("", document.read_text(encoding="utf-8"))


def anchors(text: str) -> set[str]:
    """Return what can be linked to in a document: its headings, as GitHub names them."""
    found: set[str] = set()
    for heading in re.findall(r"^#{1,6} +(.+?)\s*#*$", _FENCED.sub("", text), re.MULTILINE):
        shown = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "")
        slug = re.sub(r"[^\w\- ]", "", shown.lower()).replace(" ", "-")
        number = 1
        unique = slug
        while unique in found:
            unique, number = f"{slug}-{number}", number + 1
        found.add(unique)
    return found


def commands(text: str) -> Iterator[list[str]]:
    """Yield the commands of a shell block as words: comments, variables before them and line ends are gone."""
    joined = re.sub(r"\\\n\s*", " ", text)
    for line in joined.splitlines():
        for words in _split(line):
            command = list(dropwhile(re.compile(r"[A-Z][A-Z0-9_]*=").match, words))
            if command and command[0] != "export":
                yield command


def variables(text: str) -> set[str]:
    """Return the environment variables that a shell block sets."""
    found: set[str] = set()
    for line in text.splitlines():
        if match := _VALUES.match(line.strip()):
            found |= set(re.findall(r"([A-Z][A-Z0-9_]*)=", match[1]))
    return found


def _split(line: str) -> Iterator[list[str]]:
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    words: list[str] = []
    for word in lexer:
        if word in {"&&", "||", ";", "|"}:
            yield words
            words = []
        else:
            words.append(word)
    yield words
