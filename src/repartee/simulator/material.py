"""What the simulated caller says in a benchmark: suites of real recordings, each with what is known of it."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from repartee.errors import ConfigError
from repartee.simulator.audio import NOISE_SIGMA, Pcm, read_audio
from repartee.simulator.providers.library import in_speech

RATE_HZ = 48_000
PAUSE_S = 0.2
TURN_JOIN_S = 1.5
MARGIN_S = 0.15
MIN_TAIL_S = 0.3
LEVEL_RMS = 2500.0
"""All speech is brought to about this level, so that a noise of so many decibels below is that."""
SuiteName = Literal["latency", "pauses", "barge-in", "backchannel", "noise", "conversation"]
SUITES: tuple[SuiteName, ...] = ("latency", "pauses", "barge-in", "backchannel", "noise", "conversation")
Segments = tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Item:
    """One thing to say.

    Attributes:
        name: Of the recording, and what was done with it.
        pcm: 48 kHz mono.
        segments: Where speech is in it, in seconds.
        text: Its words, where they are known.
        words: The words with their times, of an item that was put together.
        prompt: Said first, so that the agent speaks; the item is said over its answer.
        over_at_s: So long after the answer began.
    """

    name: str
    pcm: Pcm = field(repr=False)
    segments: Segments
    text: str = ""
    words: tuple[tuple[str, float, float], ...] = ()
    prompt: Item | None = None
    over_at_s: float = 0.0

    @property
    def start_s(self) -> float:
        """Where speech begins."""
        return self.segments[0][0] if self.segments else 0.0

    @property
    def end_s(self) -> float:
        """Where speech ends."""
        return self.segments[-1][1] if self.segments else len(self.pcm) / RATE_HZ

    @property
    def pauses(self) -> int:
        """How many pauses of 0.2 s and more it has."""
        return sum(b[0] - a[1] >= PAUSE_S for a, b in zip(self.segments, self.segments[1:], strict=False))


class Material:
    """Makes the suites.

    Args:
        folder: Folder of the recordings.
        transcripts: Words of those that come without.
        seed: Another seed chooses other orders, gaps and moments.

    Raises:
        ConfigError: The folder is not usable.
    """

    def __init__(self, folder: Path, transcripts: Path, seed: int) -> None:
        try:
            self._index: list[dict[str, Any]] = json.loads(
                (folder / "index.json").read_text(encoding="utf-8")
            )
            known = json.loads(transcripts.read_text(encoding="utf-8"))
        except OSError as error:
            raise ConfigError(
                f"there are no recordings in {folder}, or no transcripts in {transcripts}; run this in repartee's "
                "folder, and give the recordings with --speech"
            ) from error
        self._words: dict[str, list[tuple[str, float, float]]] = known["words"]
        self._short: list[tuple[str, float, float, str]] = known["backchannels"]
        self._folder = folder
        self._seed = seed

    def suite(self, name: SuiteName, count: int | None = None) -> list[Item]:
        """Return a suite in an order of its own; `count` takes the first so many."""
        rng = random.Random(f"{self._seed}/{name}")  # noqa: S311 - not for secrets
        items = {
            "latency": self._commands,
            "pauses": self._with_pauses,
            "barge-in": self._barge_ins,
            "backchannel": self._backchannels,
            "noise": self._noises,
            "conversation": self._conversation,
        }[name](rng)
        if name != "conversation":
            rng.shuffle(items)
        return items[:count] if count else items

    def _commands(self, _: random.Random) -> list[Item]:
        whole = [
            self._item(e) for e in self._entries("aiewf", "picovoice", "pocketsphinx", "speechbrain", "azure")
        ]
        return [item for item in whole if item.end_s - item.start_s <= 7.5 and not item.pauses]

    def _with_pauses(self, rng: random.Random) -> list[Item]:
        whole = [self._item(e) for e in self._entries("aiewf", "picovoice", "azure", "unmute")]
        paused = [item for item in whole if item.pauses and item.end_s - item.start_s <= 20]
        return [*paused, *self._phone_turns(), *(self._number(rng, n) for n in range(12))]

    def _barge_ins(self, rng: random.Random) -> list[Item]:
        commands = self._commands(rng)
        rng.shuffle(commands)
        return [self._over(rng, item, commands[-1 - number]) for number, item in enumerate(commands[:24])]

    def _backchannels(self, rng: random.Random) -> list[Item]:
        prompts = self._commands(rng)
        items = []
        for name, start, end, said in self._short * 3:
            clip = _cut(self._read(name), start, end)
            item = Item(f"{name} {start:.1f} s", clip, ((MARGIN_S, MARGIN_S + end - start),), said)
            items.append(self._over(rng, item, rng.choice(prompts)))
        return items

    def _noises(self, rng: random.Random) -> list[Item]:
        prompts = self._commands(rng)
        items = []
        for entry in self._index:
            if not entry["file"].startswith("noise"):
                continue
            whole = self._read(entry["file"])
            for down_db in (20, 10, 5):
                at = rng.randrange(0, max(1, len(whole) - 3 * RATE_HZ))
                piece = _at_level(whole[at : at + 3 * RATE_HZ], LEVEL_RMS * 10 ** (-down_db / 20))
                item = Item(f"{entry['file']} {down_db} dB below speech", piece, ())
                items.append(self._over(rng, item, rng.choice(prompts)))
                if down_db != 20:
                    items.append(Item(f"{item.name}, alone", piece, ()))
        return items

    def _conversation(self, _: random.Random) -> list[Item]:
        turns = [self._item(entry) for entry in self._entries("aiewf")]
        return turns + turns

    def _over(self, rng: random.Random, item: Item, prompt: Item) -> Item:
        return replace(item, prompt=prompt, over_at_s=rng.uniform(1.0, 3.0))

    def _phone_turns(self) -> list[Item]:
        """Turns of a phone caller: stretches of speech with pauses of up to 1.5 s in them."""
        items = []
        for entry in self._index:
            if not entry["file"].endswith("_caller.flac"):
                continue
            pcm = self._read(entry["file"])
            spans = [(float(s), float(e)) for channel in entry["speech"] for s, e in channel["segments"]]
            turns: list[list[tuple[float, ...]]] = []
            for span in spans:
                if turns and span[0] - turns[-1][-1][1] < TURN_JOIN_S:
                    turns[-1].append(span)
                else:
                    turns.append([span])
            words = in_speech(self._words.get(entry["file"], ()), spans)
            for turn in turns:
                start, end = turn[0][0], turn[-1][1]
                inside = [(s, e, w) for w, s, e in words if start - 0.3 <= s < end]
                text = " ".join(w for _, _, w in inside)
                segments = tuple((s - start + MARGIN_S, e - start + MARGIN_S) for s, e in turn)
                item = Item(f"{entry['file']} {start:.1f} s", _cut(pcm, start, end), segments, text)
                # A last word that the stretch of speech cuts off, or a grunt, is nothing to measure an answer by.
                whole = (
                    bool(inside) and inside[-1][1] <= end + 0.1 and turn[-1][1] - turn[-1][0] >= MIN_TAIL_S
                )
                if item.pauses and whole and 1.5 <= end - start <= 15 and len(inside) > 2:
                    items.append(item)
        return items

    def _number(self, rng: random.Random, which: int) -> Item:
        """A phone number read out in groups, with pauses of 0.3 to 1.2 s between them."""
        voices: dict[str, list[dict[str, Any]]] = {}
        for entry in self._index:
            if entry["file"].startswith("fsdd/") and entry["speech"] and entry["speech"][0]["segments"]:
                voices.setdefault(entry["file"].split("_")[1], []).append(entry)
        voice = rng.choice(sorted(voices))
        parts, segments, words, at = [_quiet(MARGIN_S)], [], [], MARGIN_S
        for group, size in enumerate(rng.choice(((3, 3, 4), (3, 4), (3, 2, 2)))):
            if group:
                gap = rng.uniform(0.3, 1.2)
                parts.append(_quiet(gap))
                at += gap
            for _ in range(size):
                entry = rng.choice(voices[voice])
                (start, end), *_ = entry["speech"][0]["segments"]
                pcm = self._read(entry["file"])
                clip = pcm[int(start * RATE_HZ) : int(end * RATE_HZ)]
                segments.append((at, at + len(clip) / RATE_HZ))
                parts += [clip, _quiet(0.06)]
                at += len(clip) / RATE_HZ + 0.06
                words.append((str(entry["transcript"]), *segments[-1]))
        joined = _joined(segments)
        text = " ".join(word for word, _, _ in words)
        pcm = np.concatenate([*parts, _quiet(0.2)])
        return Item(f"phone number {which}, {voice}", pcm, joined, text, tuple(words))

    def _entries(self, *sources: str) -> list[dict[str, Any]]:
        return [
            entry
            for entry in self._index
            if entry["file"].split("/")[0] in sources
            and (entry.get("transcript") or self._words.get(entry["file"]))
            and entry["speech"]
            and entry["speech"][0]["segments"]
        ]

    def _item(self, entry: dict[str, Any]) -> Item:
        text = entry.get("transcript") or " ".join(w for w, _, _ in self._words[entry["file"]])
        segments = tuple((float(s), float(e)) for s, e in entry["speech"][0]["segments"])
        return Item(entry["file"], self._read(entry["file"]), segments, text)

    def _read(self, name: str) -> Pcm:
        pcm = read_audio(self._folder / name, RATE_HZ)
        return pcm if name.startswith("noise") else _at_level(pcm, LEVEL_RMS)


def _at_level(pcm: Pcm, rms: float) -> Pcm:
    """Bring the loud parts to a level, without clipping."""
    frames = pcm[: len(pcm) // 960 * 960].reshape(-1, 960).astype(np.float64)
    levels = np.sqrt((frames**2).mean(axis=1))
    loud = levels[levels > levels.max() * 0.1]
    gain = min(
        rms / max(1.0, float(loud.mean())), 30_000 / max(1.0, float(np.abs(pcm.astype(np.int32)).max()))
    )
    return np.asarray(pcm * gain).clip(-32768, 32767).astype(np.int16)


def _cut(pcm: Pcm, start_s: float, end_s: float) -> Pcm:
    at, end = int((start_s - MARGIN_S) * RATE_HZ), int((end_s + MARGIN_S) * RATE_HZ)
    return pcm[max(0, at) : end]


def _quiet(seconds: float) -> Pcm:
    noise = np.random.default_rng(0).normal(0.0, NOISE_SIGMA, int(RATE_HZ * seconds))
    return noise.astype(np.int16)


def _joined(segments: list[tuple[float, float]]) -> Segments:
    out: list[tuple[float, float]] = []
    for start, end in segments:
        if out and start - out[-1][1] < PAUSE_S:
            out[-1] = (out[-1][0], end)
        else:
            out.append((start, end))
    return tuple(out)
