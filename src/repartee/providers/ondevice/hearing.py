"""What Whisper hears: the words, and which of several languages they are in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from faster_whisper import WhisperModel

SURELY_NO_SPEECH, SURE_WORDS = 0.8, -0.7


@dataclass(frozen=True, slots=True)
class Heard:
    """What was heard.

    Attributes:
        text: The words.
        language: Of them, two letters.
        probability: That it is this one, of those that were asked for.
    """

    text: str
    language: str
    probability: float


def hear(model: WhisperModel, audio: Any, languages: tuple[str, ...]) -> Heard:
    """Return the words of 16 kHz mono audio; blocks.

    Args:
        model: Loaded.
        audio: Samples from -1 to 1.
        languages: The one that is spoken, or several of which one is.
    """
    if len(languages) == 1:
        return Heard(_transcribed(model, audio, languages[0])[0], languages[0], 1.0)
    text, info = _transcribed(model, audio, None)
    shares = {code: share for code, share in info.all_language_probs or () if code in languages}
    best = max(shares, key=lambda code: shares[code], default=info.language)
    if best != info.language:  # it took it for one that is not spoken here, and wrote it down as that
        text, _ = _transcribed(model, audio, best)
    return Heard(text, best, shares.get(best, 1.0) / (sum(shares.values()) or 1.0))


def _transcribed(model: WhisperModel, audio: Any, language: str | None) -> tuple[str, Any]:
    segments, info = model.transcribe(
        audio,
        language=language,
        beam_size=1,
        temperature=0.0,
        condition_on_previous_text=False,
        without_timestamps=True,
    )
    # A stretch the model itself calls no speech is where it invents words.
    heard = (s for s in segments if s.no_speech_prob < SURELY_NO_SPEECH or s.avg_logprob > SURE_WORDS)
    return " ".join(s.text.strip() for s in heard).strip(), info
