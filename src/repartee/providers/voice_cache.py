"""Audio of phrases that come again and again, made once per voice: greetings, fixed lines, common openings.

Only what is known to say nothing about anybody is kept on disk: texts the agent file and the product bring, and
phrases made of nothing but common words of courtesy. Whatever else a call says is kept in memory while it lasts: said
again, it is not made again.
"""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from collections import OrderedDict
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from repartee.agent import Agent
from repartee.providers.ladder import Ladder

VOICE_RATE_HZ = 24_000
MAX_FILES = 600
MAX_BYTES = 128 * 1024 * 1024
MAX_RECENT_BYTES = 6 * 1024 * 1024
"""Audio that may not be kept on disk, remembered in the process: the last two minutes of it. A call repeats itself,
and an answer is learned only after it was heard."""
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
    """Audio by text, for one voice and one call.

    Args:
        folder: Where it is kept; shared by all calls of the machine.
        voice: What makes the audio what it is: provider, model, voice, speed, sample rate.
        texts: Texts that may be kept whatever their words.
    """

    def __init__(self, folder: Path, voice: str, texts: Iterable[str] = ()) -> None:
        self._folder = folder
        self._voice = voice
        self._texts = set(texts)
        self._recent: OrderedDict[str, bytes] = OrderedDict()

    def keep(self, texts: Iterable[str]) -> None:
        """Keep these texts' audio from now on, and what was just made of them."""
        for text in texts:
            self._texts.add(text)
            if (pcm := self._recent.pop(text, None)) is not None:
                self.put(text, pcm)

    def has_all(self, texts: Iterable[str]) -> bool:
        """Say whether the audio of every one of these is there."""
        return all(self._path(text).exists() for text in texts)

    def may_keep(self, text: str) -> bool:
        """Say whether a text's audio may be kept."""
        spoken = [word.lower() for word in _WORD.findall(text)]
        common = 0 < len(spoken) <= MAX_PHRASE_WORDS and all(word in COURTESIES for word in spoken)
        return common or text in self._texts

    def get(self, text: str) -> bytes | None:
        """Return a text's audio, None when it is not kept."""
        if (recent := self._recent.get(text)) is not None:
            self._recent.move_to_end(text)
            return recent
        path = self._path(text)
        try:
            pcm = path.read_bytes()
            os.utime(path)
        except OSError:
            return None
        return pcm or None

    def put(self, text: str, pcm: bytes) -> None:
        """Keep a text's audio; a full disk keeps nothing and harms nothing."""
        if not pcm:
            return
        if not self.may_keep(text):
            self._remember(text, pcm)
            return
        with suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=self._folder, delete=False) as file:
                whole = Path(file.name)
                try:
                    file.write(pcm)
                    file.flush()
                except OSError:
                    whole.unlink()  # a full disk shall not fill up with halves
                    raise
            # Moved when it is whole: another call may be reading.
            whole.replace(self._path(text))
            self._trim()

    def _remember(self, text: str, pcm: bytes) -> None:
        self._recent[text] = pcm
        self._recent.move_to_end(text)
        while sum(map(len, self._recent.values())) > MAX_RECENT_BYTES:
            self._recent.popitem(last=False)

    def _trim(self) -> None:
        """Remove the longest unused beyond the number and the size that are kept."""
        newest = sorted(((file.stat(), file) for file in self._folder.glob("*.pcm")), key=_used, reverse=True)
        size = 0
        for number, (stat, file) in enumerate(newest):
            size += stat.st_size
            if number >= MAX_FILES or size > MAX_BYTES:
                file.unlink(missing_ok=True)

    def _path(self, text: str) -> Path:
        name = hashlib.sha256(f"{self._voice}\n{text}".encode()).hexdigest()[:32]
        return self._folder / f"{name}.pcm"


def voice_key(agent: Agent, ladder: Ladder) -> str:
    """Return what makes the audio of an agent's voice what it is."""
    rung, voice = ladder.tts, agent.voice
    names = {
        "elevenlabs": voice.elevenlabs,
        "cartesia": voice.cartesia,
        "on-device": voice.on_device,
        "openai": voice.openai,
    }
    key = f"{rung.provider} {rung.model} {names[rung.provider]} {voice.speed} {VOICE_RATE_HZ}"
    # Vendors that are told the language speak the same words otherwise in another one.
    told = rung.provider in {"elevenlabs", "cartesia"} and not agent.language.startswith("en")
    return f"{key} {agent.language[:2]}" if told else key


def _used(entry: tuple[os.stat_result, Path]) -> float:
    return entry[0].st_mtime
