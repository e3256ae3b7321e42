"""Phrases that come again are made once; nothing personal is kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from repartee.providers import voice_cache
from repartee.providers.voice_cache import MAX_FILES, VoiceCache


@pytest.mark.parametrize(
    "text", ["Certainly.", "Of course!", "Let me see.", "Good question.", "One moment, please."]
)
def test_courtesies_are_kept(tmp_path: Path, text: str) -> None:
    cache = VoiceCache(tmp_path / "voices", "alloy")
    assert cache.get(text) is None
    cache.put(text, b"\1\0" * 100)
    assert cache.get(text) == b"\1\0" * 100
    assert VoiceCache(tmp_path / "voices", "nova").get(text) is None, "another voice, other audio"


@pytest.mark.parametrize("text", ["Sure, Jennifer.", "Your number is 5551234.", "", "...", "no " * 7])
def test_what_may_be_personal_is_kept_for_the_call_only(tmp_path: Path, text: str) -> None:
    cache = VoiceCache(tmp_path / "voices", "alloy")
    cache.put(text, b"\1\0")
    assert cache.get(text) == b"\1\0", "said again in this call, it is not made again"
    assert VoiceCache(tmp_path / "voices", "alloy").get(text) is None
    assert not (tmp_path / "voices").exists()


def test_fixed_texts_are_kept_whatever_their_words(tmp_path: Path) -> None:
    cache = VoiceCache(tmp_path, "alloy", ["Hello, this is Doctor Miller's clinic."])
    cache.put("Hello, this is Doctor Miller's clinic.", b"\1\0")
    assert cache.get("Hello, this is Doctor Miller's clinic.") == b"\1\0"


def test_it_does_not_grow_without_end(tmp_path: Path) -> None:
    texts = [f"greeting {number}" for number in range(MAX_FILES + 5)]
    cache = VoiceCache(tmp_path, "alloy", texts)
    for text in texts:
        cache.put(text, b"\1\0")
    assert len(list(tmp_path.glob("*.pcm"))) == MAX_FILES
    assert cache.get(texts[-1]) == b"\1\0"


def test_a_folder_that_cannot_be_written_harms_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    VoiceCache(tmp_path / "file", "alloy").put("Certainly.", b"\1\0")


def test_it_is_bounded_in_bytes_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(voice_cache, "MAX_BYTES", 1000)
    cache = VoiceCache(tmp_path, "alloy", ["a", "b", "c"])
    for text in ("a", "b", "c"):
        cache.put(text, bytes(400))
    assert sum(file.stat().st_size for file in tmp_path.glob("*.pcm")) <= 1000
    assert cache.get("c") is not None


def test_what_is_found_worth_keeping_only_later_is_still_there(tmp_path: Path) -> None:
    cache = VoiceCache(tmp_path, "alloy")
    cache.put("Parking is behind the house.", b"\1\0")
    assert VoiceCache(tmp_path, "alloy").get("Parking is behind the house.") is None
    cache.keep(["Parking is behind the house."])
    assert VoiceCache(tmp_path, "alloy").get("Parking is behind the house.") == b"\1\0"


def test_what_is_remembered_for_a_moment_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(voice_cache, "MAX_RECENT_BYTES", 1000)
    cache = VoiceCache(tmp_path, "alloy")
    for number in range(5):
        cache.put(f"text {number}", bytes(400))
    cache.keep(f"text {number}" for number in range(5))
    assert [cache.get(f"text {number}") is not None for number in range(5)] == [
        False,
        False,
        False,
        True,
        True,
    ]
