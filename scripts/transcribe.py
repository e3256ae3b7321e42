"""Write benchmarks/transcripts.json: words with times of the recordings that come without, by the on-device Whisper.

The simulated vendors recognise recordings by their sound and answer with their words; these are the words. Short
sounds of a listener in the phone call ("okay", "mm-hm") are listed apart, for the suite of that name.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
from faster_whisper import WhisperModel

from repartee.conversation.policies import BACKCHANNELS
from repartee.conversation.policies import words as split
from repartee.providers.ondevice.registry import WHISPER
from repartee.simulator.audio import read_audio

SPEECH = Path(os.environ.get("REPARTEE_SPEECH", "../shared/speech"))
OUT = Path("benchmarks/transcripts.json")
RATE_HZ = 16_000
Audio = npt.NDArray[np.float32]
BACKCHANNEL_S = 0.7
ALONE_S = 0.5
UNHEARD = "Mm-hmm."
"""What a recogniser makes nothing of, while the other speaks."""
JOIN_S = 1.2


def main() -> None:
    """Transcribe what has no transcript."""
    index = json.loads((SPEECH / "index.json").read_text(encoding="utf-8"))
    spans = {e["file"]: [tuple(s) for c in e.get("speech") or [] for s in c["segments"]] for e in index}
    whisper = WhisperModel(str(WHISPER.locate()), device="cpu", compute_type="int8", cpu_threads=2)
    result: dict[str, list[list[object]]] = {}
    backchannels: list[list[object]] = []
    for entry in index:
        name = entry["file"]
        if entry.get("transcript") or not spans[name] or name.startswith("noise"):
            continue
        pcm = read_audio(SPEECH / name, RATE_HZ).astype(np.float32) / 32768
        words: list[list[object]] = []
        short = alone(spans[name]) if name.startswith("lca/") else []
        for start, end in joined([span for span in spans[name] if span not in short]):
            words += heard(whisper, pcm, start, end)
        for start, end in short:
            said = " ".join(str(word) for word, _, _ in heard(whisper, pcm, start, end)) or UNHEARD
            words.append([said, round(start, 2), round(end, 2)])
            if all(word in BACKCHANNELS for word in split(said)):
                backchannels.append([name, round(start, 2), round(end, 2), said])
        result[name] = sorted(words, key=lambda word: float(str(word[1])))
        sys.stdout.write(f"{name}: {' '.join(str(w[0]) for w in words)[:100]}\n")
    lines = ",\n".join(f"  {json.dumps(name)}: {json.dumps(words)}" for name, words in sorted(result.items()))
    short_lines = ",\n".join(f"  {json.dumps(entry)}" for entry in backchannels)
    text = f'{{"words": {{\n{lines}\n}},\n"backchannels": [\n{short_lines}\n]}}\n'
    OUT.write_text(text, encoding="utf-8")


def heard(whisper: WhisperModel, pcm: Audio, start: float, end: float) -> list[list[object]]:
    """Return the words of a stretch, each with its times."""
    at = max(0.0, start - 0.15)
    piece = pcm[int(at * RATE_HZ) : int((end + 0.2) * RATE_HZ)]
    segments, _ = whisper.transcribe(piece, language="en", beam_size=5, word_timestamps=True)
    return [
        [w.word.strip(), round(at + w.start, 2), round(at + w.end, 2)]
        for segment in segments
        for w in segment.words or []
    ]


def alone(spans: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return the short stretches with silence before and after."""
    edges = [(-9.0, -9.0), *spans, (1e9, 1e9)]
    return [
        (start, end)
        for (_, before), (start, end), (after, _) in zip(edges, edges[1:], edges[2:], strict=False)
        if end - start <= BACKCHANNEL_S and start - before > ALONE_S and after - end > ALONE_S
    ]


def joined(spans: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Join stretches of speech with short pauses between them."""
    out: list[tuple[float, float]] = []
    for start, end in spans:
        if out and start - out[-1][1] < JOIN_S:
            out[-1] = (out[-1][0], end)
        else:
            out.append((start, end))
    return out


main()
