"""Where an answer that was cut goes on: whole words before it, and nothing said twice after it."""

from __future__ import annotations

import re

_TOKEN = re.compile(r"\S+")
_SIGNS = re.compile(r"^\W+|\W+$")
LONGEST_WORD = 48
"""Characters without a blank that are passed on all the same: some languages write none."""
LEAST_REPEATED = 2
"""Words at the joint that count as said again; a single word may well follow itself."""


class Passed:
    """What of an answer was passed on. A word is kept back until it is known to be whole."""

    def __init__(self) -> None:
        self.text = ""
        self._held = ""

    def add(self, text: str) -> str:
        """Take more of the answer; return what may pass."""
        more = self._held + text
        blank = max((match.end() for match in re.finditer(r"\s+", more)), default=0)
        if len(more) - blank > LONGEST_WORD:
            blank = len(more)
        passing, self._held = more[:blank], more[blank:]
        self.text += passing
        return passing

    def finish(self) -> str:
        """The answer is whole: return what was kept back."""
        passing, self._held = self._held, ""
        self.text += passing
        return passing

    def cut(self) -> None:
        """The answer was cut: half a word is none."""
        self._held = ""


class Joint:
    """Takes the continuation of a text and leaves out what it says again.

    Models that are asked to go on begin anew, or with the last words, more often than they should.

    Args:
        said: What was said before.
    """

    def __init__(self, said: str) -> None:
        self._said = _words(said)
        self._space = bool(said) and not said[-1].isspace()
        self._waiting: str | None = ""

    def add(self, text: str) -> str:
        """Take more of the continuation; return what is new in it."""
        return self._take(text, final=False)

    def finish(self) -> str:
        """Nothing more comes: return what was waited for."""
        return self._take("", final=True)

    def _take(self, text: str, *, final: bool) -> str:
        if self._waiting is None:
            return text
        self._waiting += text
        repeated = self._repeated(self._waiting, final=final)
        if repeated is None:
            return ""
        new, self._waiting = self._waiting[repeated:].lstrip(), None
        if not new:
            self._waiting = None if final else ""
            self._said = self._said if final else []
            return ""
        return f" {new}" if self._space else new

    def _repeated(self, text: str, *, final: bool) -> int | None:
        """Return how much of a text was said before, None while that is not known."""
        if not self._said:
            return 0
        tokens = list(_TOKEN.finditer(text))
        if tokens and not final and not text[-1].isspace():
            tokens.pop()  # it may not be whole
        words = [_plain(token.group()) for token in tokens]
        for start in range(len(self._said)):
            rest = self._said[start:]
            shared = min(len(rest), len(words))
            if words[:shared] != rest[:shared]:
                continue
            if len(words) < len(rest):
                if final:
                    continue
                return None
            if len(rest) >= LEAST_REPEATED or start == 0:
                return tokens[len(rest) - 1].end()
        return 0


def _words(text: str) -> list[str]:
    return [_plain(token) for token in text.split()]


def _plain(token: str) -> str:
    return _SIGNS.sub("", token).lower() or token
