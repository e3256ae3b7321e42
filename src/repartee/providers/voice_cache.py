"""Audio of phrases that come again and again, made once per voice: greetings, fixed lines, common openings.

Only what is known to say nothing about anybody is kept: texts the agent file and the product bring, and phrases made
of nothing but common words of courtesy.
"""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

MAX_FILES = 400
MAX_PHRASE_WORDS = 6
_WORD = re.compile(r"[\w']+")
COURTESIES = frozenset(
    """
    a absolutely ah all alright and anytime at bit check certainly course definitely do excellent exactly fine for get
    give glad good got great happy hello help here hi hm hmm i i'd i'll i'm in is it just let let's look me moment no
    not now of oh okay on one perfect please problem question ready right second see so sorry sounds sure thank thanks
    that that's the there think to understood want wait welcome well will with wonderful would yes you you're
    """.split()  # noqa: SIM905 - a word list reads better as words
)


class VoiceCache:
    """Audio by text, for one voice.

    Args:
        folder: Where it is kept; shared by all calls of the machine.
        voice: What makes the audio what it is: provider, model, voice, speed, sample rate.
        texts: Texts that may be kept whatever their words.
    """

    def __init__(self, folder: Path, voice: str, texts: Iterable[str] = ()) -> None:
        self._folder = folder
        self._voice = voice
        self._texts = frozenset(texts)

    def may_keep(self, text: str) -> bool:
        """Say whether a text's audio may be kept."""
        spoken = [word.lower() for word in _WORD.findall(text)]
        common = 0 < len(spoken) <= MAX_PHRASE_WORDS and all(word in COURTESIES for word in spoken)
        return common or text in self._texts

    def get(self, text: str) -> bytes | None:
        """Return a text's audio, None when it is not kept."""
        path = self._path(text)
        try:
            pcm = path.read_bytes()
            os.utime(path)
        except OSError:
            return None
        return pcm or None

    def put(self, text: str, pcm: bytes) -> None:
        """Keep a text's audio; a full disk keeps nothing and harms nothing."""
        if not pcm or not self.may_keep(text):
            return
        with suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=self._folder, delete=False) as file:
                file.write(pcm)
            # Moved when it is whole: another call may be reading.
            Path(file.name).replace(self._path(text))
            self._trim()

    def _trim(self) -> None:
        files = list(self._folder.glob("*.pcm"))
        if len(files) > MAX_FILES:
            for old in sorted(files, key=lambda file: file.stat().st_mtime)[: len(files) - MAX_FILES]:
                old.unlink(missing_ok=True)

    def _path(self, text: str) -> Path:
        name = hashlib.sha256(f"{self._voice}\n{text}".encode()).hexdigest()[:32]
        return self._folder / f"{name}.pcm"
