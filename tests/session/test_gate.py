"""The reply gate against a sink whose clock the test moves."""

from __future__ import annotations

import asyncio
import math
import time

import numpy as np
import pytest
from pipecat.frames.frames import AggregatedTextFrame, TTSAudioRawFrame, TTSStartedFrame, TTSTextFrame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.utils.text.base_text_aggregator import TextType
from pipecat.workers.runner import WorkerRunner

from repartee.events import Event, ReplyAudible, ReplyFinished
from repartee.session.frames import ReplyEndFrame, ReplyStartFrame
from repartee.session.gate import FADE_MS, ReplyGate
from repartee.session.spoken import Sentence, SpokenReply

RATE = 24_000
TEXT = "We are open from eight to six."


class Sink:
    """Takes 100 ms at once; plays only when the test says so."""

    sample_rate_hz = RATE
    lead_ms = 100.0

    def __init__(self) -> None:
        self.played = bytearray()
        self.queue = bytearray()
        self.writes: list[int] = []
        """Milliseconds that were queued at a time."""
        self.room = asyncio.Event()
        self.room.set()
        self.written = asyncio.Event()

    async def write(self, pcm: bytes) -> None:
        while len(self.queue) >= RATE * 2 // 10:
            self.room.clear()
            await self.room.wait()
        self.queue += pcm
        self.writes.append(len(pcm) // 2 * 1000 // RATE)
        self.written.set()

    def play(self, duration_ms: float) -> None:
        wanted = int(duration_ms * RATE / 1000) * 2
        self.played += self.queue[:wanted]
        del self.queue[:wanted]
        self.room.set()

    def clear(self) -> None:
        self.queue.clear()
        self.room.set()

    def queued_ms(self) -> float:
        return len(self.queue) / 2 / RATE * 1000

    async def drain(self) -> None:
        self.play(1000)


class Rig:
    """A gate in a running pipeline."""

    def __init__(self) -> None:
        self.sink = Sink()
        self.events: list[Event] = []
        self.happened = asyncio.Event()
        self.captions: list[tuple[int, str, bool]] = []
        self.gate = ReplyGate(
            self.sink, self._take, lambda: 0.0, lambda *caption: self.captions.append(caption)
        )
        self.worker = PipelineWorker(
            Pipeline([self.gate]),
            params=PipelineParams(),
            enable_rtvi=False,
            idle_timeout_secs=None,
            cancel_runner_on_idle_timeout=False,
        )

    def _take(self, event: Event) -> None:
        self.events.append(event)
        self.happened.set()

    async def __aenter__(self) -> Rig:
        self.runner = WorkerRunner(handle_sigint=False)
        await self.runner.add_workers(self.worker)
        self.task = asyncio.create_task(self.runner.run())
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.worker.cancel()
        await asyncio.wait_for(self.task, 5)

    async def feed(self, reply_id: int, *, audio_ms: int, text: str = TEXT, end: bool = True) -> None:
        tone = (np.ones(RATE * audio_ms // 1000) * 8000).astype(np.int16).tobytes()
        await self.worker.queue_frame(ReplyStartFrame(reply_id=reply_id))
        announced = AggregatedTextFrame(text, TextType.SENTENCE)
        announced.will_be_spoken = True
        await self.worker.queue_frame(announced)
        await self.worker.queue_frame(TTSStartedFrame(context_id="c"))
        step = RATE // 50 * 2
        for start in range(0, len(tone), step):
            await self.worker.queue_frame(TTSAudioRawFrame(tone[start : start + step], RATE, 1))
        await self.worker.queue_frame(TTSTextFrame(text, TextType.SENTENCE))
        if end:
            await self.worker.queue_frame(ReplyEndFrame(reply_id=reply_id))
        await self.worker.flush_pipeline(timeout=5)

    async def until(self, kind: type[Event]) -> Event:
        async with asyncio.timeout(5):
            while not any(isinstance(event, kind) for event in self.events):
                self.happened.clear()
                await self.happened.wait()
        return next(event for event in self.events if isinstance(event, kind))

    async def play(self, duration_ms: int) -> None:
        """Let the sink play, giving the player its turn after every chunk."""
        for _ in range(duration_ms // 20):
            self.sink.play(20)
            for _ in range(5):
                await asyncio.sleep(0)


async def test_a_held_reply_is_silent_until_released() -> None:
    async with Rig() as rig:
        rig.gate.open(1, held=True)
        await rig.feed(1, audio_ms=200)
        assert not rig.sink.queue
        assert rig.events == []
        rig.gate.release(1)
        assert await rig.until(ReplyAudible) == ReplyAudible(0.0, 1)
        await rig.play(400)
        assert await rig.until(ReplyFinished) == ReplyFinished(0.0, 1)
        assert len(rig.sink.played) == RATE * 2 // 5
        assert rig.captions[-1] == (1, TEXT, True)
        assert rig.gate.close(1) == TEXT


async def test_a_queue_that_ran_empty_is_filled_at_once() -> None:
    async with Rig() as rig:
        rig.gate.open(1, held=True)
        await rig.feed(1, audio_ms=600)
        rig.gate.release(1)
        await rig.until(ReplyAudible)
        await rig.play(0)
        waiting = len(rig.sink.writes)
        rig.sink.play(1000)  # the loop was late by more than was ahead
        await rig.play(20)
        assert sum(rig.sink.writes[waiting : waiting + 2]) == rig.sink.lead_ms


async def test_a_voice_that_stopped_for_want_of_audio_fades_in_within_a_chunk() -> None:
    async with Rig() as rig:
        rig.gate.open(1, held=False)
        await rig.feed(1, audio_ms=200, end=False)
        await rig.until(ReplyAudible)
        await rig.play(400)
        played = len(rig.sink.played)
        assert not rig.sink.queue
        await rig.worker.queue_frame(
            TTSAudioRawFrame((np.ones(RATE // 5) * 8000).astype(np.int16).tobytes(), RATE, 1)
        )
        await rig.worker.flush_pipeline(timeout=5)
        await rig.play(200)
        again = np.frombuffer(bytes(rig.sink.played[played:]), np.int16)
        assert again[0] == 0
        assert (again[RATE // 25 : RATE // 10] == 8000).all(), (
            "loud again after 40 ms, however much was queued at once"
        )


async def test_on_a_loop_that_is_late_a_voice_begins_with_as_much_as_the_next_piece_will_be_late() -> None:
    async with Rig() as rig:
        rig.gate.late_ms = lambda: 100.0
        rig.gate.open(1, held=False)
        await rig.feed(1, audio_ms=60, end=False)
        await rig.play(0)
        assert not rig.sink.writes, "the clock stands still: it is still waited for"
        await rig.feed(1, audio_ms=60, end=False)
        await rig.until(ReplyAudible)
        assert rig.sink.writes[0] == 100, "as much as there is room for, of 120"


async def test_a_voice_that_ran_dry_begins_anew_in_the_same_way_and_one_that_has_ended_does_not_wait() -> (
    None
):
    async with Rig() as rig:
        rig.gate.open(1, held=False)
        await rig.feed(1, audio_ms=60, end=False)
        await rig.until(ReplyAudible)
        await rig.play(100)
        rig.gate.late_ms = lambda: 1000.0
        await rig.feed(1, audio_ms=60, end=False)
        await rig.play(0)
        assert rig.sink.writes == [60]
        await rig.worker.queue_frame(ReplyEndFrame(reply_id=1))
        await rig.worker.flush_pipeline(timeout=5)
        await rig.play(100)
        await rig.until(ReplyFinished)
        assert rig.sink.writes == [60, 60]


async def test_a_voice_of_which_no_more_comes_is_heard_all_the_same() -> None:
    async with Rig() as rig:
        rig.gate._clock_ms = lambda: time.monotonic() * 1000
        rig.gate.late_ms = lambda: 50.0
        rig.gate.open(1, held=False)
        await rig.feed(1, audio_ms=40, end=False)
        await rig.until(ReplyAudible)
        assert rig.sink.writes == [40]


async def test_audio_of_a_cancelled_reply_is_never_heard() -> None:
    async with Rig() as rig:
        rig.gate.open(1, held=True)
        await rig.feed(1, audio_ms=200, end=False)
        assert rig.gate.cancel(1) == ""
        rig.gate.open(2, held=False)
        await rig.feed(1, audio_ms=100)
        assert rig.events == []
        await rig.feed(2, audio_ms=100)
        assert await rig.until(ReplyAudible) == ReplyAudible(0.0, 2)


async def test_what_was_heard_stops_where_the_audio_stopped() -> None:
    async with Rig() as rig:
        rig.gate.open(1, held=False)
        await rig.feed(1, audio_ms=3000)
        await rig.until(ReplyAudible)
        await rig.play(1500)
        cut: list[tuple[int, str]] = []
        rig.gate.on_cut = lambda *told: cut.append(told)
        heard = rig.gate.cancel(1)
        assert TEXT.startswith(heard)
        assert cut == [(1, TEXT.removeprefix(heard).strip())], "the rest is told"
        assert 3 <= len(heard.split()) <= 5, heard
        assert rig.sink.queued_ms() == 0, "nothing of the reply may be left in the queue"


async def test_a_lowered_reply_goes_on_where_it_was_held() -> None:
    async with Rig() as rig:
        rig.gate.open(1, held=False)
        await rig.feed(1, audio_ms=1000)
        await rig.until(ReplyAudible)
        await rig.play(400)
        rig.gate.lower(1)
        before = len(rig.sink.played)
        await rig.play(200)
        faded = np.frombuffer(bytes(rig.sink.played[before:]), dtype=np.int16)
        assert len(faded) == RATE * FADE_MS // 1000, "only the fade is heard"
        assert faded[-1] == 0
        rig.gate.restore(1)
        await rig.play(2000)
        await rig.until(ReplyFinished)
        total_ms = len(rig.sink.played) / 2 / RATE * 1000
        assert 1060 <= total_ms <= 1140, "the rest, the rewind and the fade: nothing lost"


def test_words_are_placed_by_their_letters() -> None:
    sentence = Sentence("one two three four", start=0, end=RATE)
    assert sentence.heard(0, RATE) == ""
    assert sentence.heard(RATE // 2, RATE) == "one two"
    assert sentence.heard(RATE, RATE) == "one two three four"


def test_voices_with_word_times_are_exact() -> None:
    reply = SpokenReply(1, RATE)
    reply.pcm += bytes(RATE * 2 * 2)
    for index, word in enumerate(("we", "are", "open")):
        reply.add_word(word, at=index * RATE // 2)
    assert reply.heard_text(RATE // 2 + 10) == "we"
    assert reply.heard_text(RATE // 2 + RATE // 4) == "we are"
    assert reply.heard_text(RATE * 2) == "we are open"


def test_when_the_next_words_will_have_been_heard_is_known_as_far_as_there_is_audio() -> None:
    reply = SpokenReply(1, RATE)
    reply.pcm += bytes(RATE * 2 * 2)
    for index, word in enumerate(("we", "are", "open")):
        reply.add_word(word, at=index * RATE // 2)
    assert reply.words_ahead_ms(0) == [200, 700, 1200]
    assert reply.words_ahead_ms(RATE // 2 + RATE // 10) == [100, 600]
    assert reply.words_ahead_ms(RATE * 2) == []
    assert reply.known_ms(RATE) == 1000
    reply.ended = True
    assert reply.known_ms(RATE) == math.inf, "there is no more to know"


def spoken(*clauses: str, words: bool) -> SpokenReply:
    """A reply whose letters take 60 ms each, given to the voice in pieces."""
    reply = SpokenReply(1, RATE)
    for text in clauses:
        start = reply.samples
        reply.begin_sentence(text)
        sound = np.full(len(text) * 60 * RATE // 1000, 9000, np.int16)
        for at, letter in enumerate(text):
            if letter == " ":
                sound[at * 60 * RATE // 1000 : (at + 1) * 60 * RATE // 1000] = 0
        reply.pcm += sound.tobytes()
        reply.end_sentence()
        if words:
            reply.place_words(text, start)
    return reply


@pytest.mark.parametrize("words", [True, False])
@pytest.mark.parametrize(
    ("cut_in", "goes_on_with"),
    [
        ("Yes, hall 297 in the mor", "hall 297"),
        ("Yes, hall 297 in the morning, hall 864 at n", "hall 864"),
        ("Yes, hall 297 in the morning, hall 864 at noon, hall 135 at Dr. Wu", "hall 135"),
        ("Yes, hall 297 in the morning, hall 864 at noon, hall 135 at Dr. Wu. And ha", "And hall"),
    ],
)
def test_what_was_cut_is_said_again_from_its_clause_on(words: bool, cut_in: str, goes_on_with: str) -> None:
    pieces = ("Yes, hall 297 in the morning,", "hall 864 at noon, hall 135 at Dr. Wu. And hall 950 at night.")
    text = " ".join(pieces)
    reply = spoken(*pieces, words=words)

    # The pieces follow each other without the space between them.
    def place(at: int) -> int:
        return (at - (at > len(pieces[0]))) * 60 * RATE // 1000

    reply.position = place(len(cut_in))
    reply.repeat()
    assert abs(reply.position - place(text.index(goes_on_with))) <= 60 * RATE // 1000
    assert reply.heard_to == place(len(cut_in)), "it counts as heard all the same"


def test_a_clause_that_is_only_reckoned_begins_in_a_pause() -> None:
    reply = spoken("It is open all week, and on Sunday it is closed.", words=False)
    # This voice is a little slower over the comma than its letters say.
    reply.pcm[0:0] = np.full(RATE // 10, 9000, np.int16).tobytes()
    reply.position = reply.samples - RATE // 2
    reply.repeat()
    levels = np.frombuffer(reply.pcm[reply.position * 2 :][:480], np.int16)
    assert np.abs(levels).mean() == 0
