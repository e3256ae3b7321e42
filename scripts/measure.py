"""Measure what needs no call, and write it to benchmarks/results.

`pieces`: long turns transcribed by the piece, as a call does it, against one pass over the whole: word error.
`core`: how long one decision of the conversation core takes.
`onsets`: how soon the end of a command is told, and how many false pauses that costs, by the silence waited for.
`memory`: what is remembered of an hour's scripted call, by who writes the notes, and what it adds to a reply.
`cache`: how often the answer cache hits, how often wrongly, on labelled pairs of questions, and how long it takes.
`tracing`: what a turn's spans cost the call's event loop.
`observing`: what a line of the log, an answer that is counted, and a scrape cost.
`loss`: speech over a network that loses packets, by how it is sent; needs root, and is run only when asked for.
`calls`: how long the list of calls, a search, the charts and one call take with 10,000 calls, over HTTP.
`scaler`: what the chart's autoscaling does with a day, a rush and a mass hang-up of calls.
`meetings`: a hundred meetings of two agents in one process, and what is left of them; how many: `REPARTEE_MEETINGS`.
`savings`: thirty turns with and without the cache and the routing, against simulated vendors: cost and time.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import re
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

# Read by numpy when it loads: two threads on the sentence model's small vectors only wait for each other.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from repartee.simulator.scaler import Scaling, simulate, traces
from repartee.telemetry.timeline import Timeline
from repartee.telemetry.tracing import CallTrace

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
SPEECH = Path(os.environ.get("REPARTEE_SPEECH", ROOT.parent / "shared" / "speech"))
RESULTS = ROOT / "benchmarks" / "results"
RATE_HZ = 16_000
STEP = 320
PAUSE_S = 0.6
"""Between sentences that are said as one turn."""


def main() -> int:
    """Run what is asked for, or all."""
    wanted = sys.argv[1:] or [
        "pieces",
        "core",
        "onsets",
        "memory",
        "cache",
        "savings",
        "tracing",
        "observing",
        "calls",
        "scaler",
        "meetings",
    ]
    measures = {
        "pieces": pieces,
        "core": core,
        "onsets": onsets,
        "memory": memory,
        "cache": cache,
        "savings": savings,
        "tracing": tracing,
        "observing": seen,
        "loss": loss,
        "calls": calls,
        "scaler": scaler,
        "meetings": meetings,
    }
    for name in wanted:
        result = measures[name]()
        result["command"] = f"python scripts/measure.py {name}"
        (RESULTS / f"{name}.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
        sys.stdout.write(f"{name}: { {k: v for k, v in result.items() if k not in {'turns', 'runs'}} }\n")
    return 0


def tracing() -> dict[str, Any]:
    """Time the marks of a turn with and without a trace listening; the exporter's thread is not the call's."""
    turns, took_us = 5000, {}
    marks: list[tuple[str, dict[str, Any]]] = [
        ("speech.stopped", {"ended_at_ms": 1.0}),
        ("transcript", {"words": 5}),
        *(
            (f"reply.{step}", {"reply_id": 1})
            for step in ("started", "first_text", "first_audio", "released")
        ),
        ("reply.audible", {}),
        ("reply.finished", {"reply_id": 1}),
    ]
    for name in ("off", "on"):
        timeline = Timeline(None, lambda: 0.0)
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(BatchSpanProcessor(InMemorySpanExporter()))
        if name == "on":
            timeline.listeners.append(CallTrace(provider, "call", "agent", "room", lambda: 0.0).mark)
        began = time.thread_time()
        for turn in range(turns):
            for number, (mark, values) in enumerate(marks):
                timeline.mark(mark, turn * 1000.0 + number, **values)
        took_us[name] = (time.thread_time() - began) / turns * 1e6
        provider.shutdown()
    return {"turns": turns, "us_per_turn": {name: round(value, 1) for name, value in took_us.items()}}


def seen() -> dict[str, Any]:
    """Time logs and metrics."""
    from observing import observing  # noqa: PLC0415

    return observing()


def loss() -> dict[str, Any]:
    """Hold calls over a network that loses packets."""
    from loss import LOSSES, measure  # noqa: PLC0415

    shares = os.environ.get("REPARTEE_LOSSES", " ".join(map(str, LOSSES)))
    losses = tuple(float(share) for share in shares.split())
    if kept := os.environ.get("REPARTEE_LOSS_FOLDER"):
        return measure(SPEECH, Path(kept), losses)
    with tempfile.TemporaryDirectory() as folder:
        return measure(SPEECH, Path(folder), losses)


def scaler() -> dict[str, Any]:
    """Run the scaler's formula against arrivals."""
    runs = []
    for trace in traces():
        for scaling in (Scaling(), Scaling(target_calls=4), Scaling(drain_s=1800)):
            outcome = asdict(simulate(trace, scaling))
            runs.append({"trace": trace.name, "scaling": asdict(scaling)} | outcome)
    return {"runs": runs}


def pieces() -> dict[str, Any]:
    """Transcribe long turns both ways."""
    import jiwer  # noqa: PLC0415
    from faster_whisper import WhisperModel  # noqa: PLC0415

    from repartee.providers.ondevice.registry import WHISPER  # noqa: PLC0415

    whisper = WhisperModel(str(WHISPER.locate()), device="cpu", compute_type="int8", cpu_threads=2)

    def hear(pcm: np.ndarray) -> str:
        sound = pcm.astype(np.float32) / 32768
        found, _ = whisper.transcribe(
            sound, language="en", beam_size=1, temperature=0.0, without_timestamps=True
        )
        return " ".join(segment.text.strip() for segment in found)

    rows, truths, wholes, joined = [], [], [], []
    for name, pcm, text in long_turns():
        parts = cut(pcm)
        whole, by_piece = hear(pcm), " ".join(hear(part) for part in parts)
        truths.append(plain(text))
        wholes.append(plain(whole))
        joined.append(plain(by_piece))
        tail_s = len(parts[-1]) / RATE_HZ
        rows.append(
            {
                "turn": name,
                "seconds": round(len(pcm) / RATE_HZ, 1),
                "pieces": len(parts),
                "tail_s": round(tail_s, 1),
            }
        )
    return {
        "turns": rows,
        "count": len(rows),
        "words": sum(len(text.split()) for text in truths),
        "word_error_one_pass": round(jiwer.wer(truths, wholes), 4),
        "word_error_by_piece": round(jiwer.wer(truths, joined), 4),
        "seconds_left_at_the_end_one_pass": round(float(np.mean([row["seconds"] for row in rows])), 2),
        "seconds_left_at_the_end_by_piece": round(float(np.mean([row["tail_s"] for row in rows])), 2),
    }


def long_turns() -> list[tuple[str, np.ndarray, str]]:
    """Return recordings of long turns, and sentences joined to such, with their words."""
    from repartee.simulator.audio import read_audio  # noqa: PLC0415

    index = json.loads((SPEECH / "index.json").read_text(encoding="utf-8"))
    known = [e for e in index if e.get("transcript") and not e["file"].startswith("fsdd/")]
    turns = [(e["file"], read_audio(SPEECH / e["file"], RATE_HZ), e["transcript"]) for e in known]
    whole = [turn for turn in turns if len(turn[1]) > 6 * RATE_HZ]
    rng, sentences = random.Random(1), [turn for turn in turns if len(turn[1]) <= 6 * RATE_HZ]  # noqa: S311
    rng.shuffle(sentences)
    quiet = np.random.default_rng(0).normal(0, 12, int(PAUSE_S * RATE_HZ)).astype(np.int16)
    for at in range(0, len(sentences) - 2, 3):
        trio = sentences[at : at + 3]
        sound = np.concatenate([part for _, pcm, _ in trio for part in (pcm, quiet)])
        whole.append((" + ".join(name for name, _, _ in trio), sound, " ".join(text for _, _, text in trio)))
    return whole


def cut(pcm: np.ndarray) -> list[np.ndarray]:
    """Return the pieces a call would transcribe."""
    from repartee.providers.transcribers import PieceBuffer  # noqa: PLC0415
    from repartee.session.listening import voice_model  # noqa: PLC0415
    from repartee.session.voice import VoiceActivity  # noqa: PLC0415

    voice = VoiceActivity(voice_model())
    buffer, last, paused_at = PieceBuffer(RATE_HZ), {}, 0.0
    quiet = np.random.default_rng(0).normal(0, 12, RATE_HZ).astype(np.int16)
    sound = np.concatenate([quiet, pcm, quiet])
    for at in range(0, len(sound) - STEP, STEP):
        frame = sound[at : at + STEP].tobytes()
        change, now = voice.hear(frame), at / RATE_HZ
        if change == "started":
            buffer.begin(now - paused_at)
        buffer.add(frame)
        if change == "stopped":
            paused_at = now - voice.silent_ms / 1000
            last[buffer.piece_id] = np.frombuffer(buffer.audio(), dtype=np.int16)
    return [last[piece_id] for piece_id in sorted(last)]


def plain(text: str) -> str:
    """Return the words alone."""
    return " ".join(re.findall(r"[a-z0-9']+", text.lower()))


def core() -> dict[str, Any]:
    """Time the core over a random walk."""
    from tests.conversation import test_invariants as walk  # noqa: PLC0415

    from repartee.conversation import Conversation, advance  # noqa: PLC0415

    rng = random.Random(7)  # noqa: S311
    events = [
        walk._random_event(rng, float(i), Conversation(last_reply_id=i // 50), {}, i)  # noqa: SLF001
        for i in range(20_000)
    ]
    best = float("inf")
    for _ in range(5):
        conversation, began = Conversation(), time.process_time()
        for event in events:
            conversation, _ = advance(conversation, event, walk.POLICIES)
        best = min(best, (time.process_time() - began) / len(events))
    return {"events": len(events), "microseconds_per_event": round(best * 1e6, 2)}


def onsets() -> dict[str, Any]:
    """Run voice activity over the benchmark's commands, with each length of silence that could be a pause."""
    from pipecat.audio.vad.silero import SileroVADAnalyzer  # noqa: PLC0415

    from repartee.session.voice import VoiceParams  # noqa: PLC0415
    from repartee.simulator.material import Material  # noqa: PLC0415

    silero = SileroVADAnalyzer(sample_rate=RATE_HZ)
    silero.set_sample_rate(RATE_HZ)
    commands = Material(SPEECH, ROOT / "benchmarks" / "transcripts.json", 1).suite("latency")
    heard = []
    for item in commands:
        pcm = np.concatenate([np.zeros(RATE_HZ // 2, np.int16), item.pcm[::3], np.zeros(RATE_HZ, np.int16)])
        pcm = pcm + np.random.default_rng(0).normal(0, 12, len(pcm)).astype(np.int16)
        windows = [pcm[at : at + 512].tobytes() for at in range(0, len(pcm) - 511, 512)]
        chances = [float(np.ravel(silero.voice_confidence(window))[0]) for window in windows]
        heard.append((item, pcm, chances))
    speech_s = sum(item.end_s - item.start_s for item in commands)
    by_silence = {}
    for quiet_ms in (40, 50, 60, 70, 80, 100, 120):
        told = [_pauses(item, pcm, chances, VoiceParams(quiet_ms=quiet_ms)) for item, pcm, chances in heard]
        late = [ended * 1000 for _, ended in told if ended is not None]
        by_silence[str(quiet_ms)] = {
            "false_pauses_per_s": round(sum(false for false, _ in told) / speech_s, 2),
            "end_told_after_ms_p50": round(float(np.median(late))),
        }
    default = VoiceParams().quiet_ms
    return {
        "commands": len(commands),
        "speech_s": round(speech_s),
        "default_ms": default,
        "by_silence_ms": by_silence,
    }


def _pauses(item: Any, pcm: np.ndarray, chances: list[float], params: Any) -> tuple[int, float | None]:
    """Return how many pauses were told within a command, and how long after its end the end was."""
    from repartee.session.voice import VoiceActivity  # noqa: PLC0415

    left = iter(chances)
    voice = VoiceActivity(lambda _: next(left, 0.0), params)
    told = [
        (at + STEP) / RATE_HZ - 0.5
        for at in range(0, len(pcm) - STEP, STEP)
        if voice.hear(pcm[at : at + STEP].tobytes()) == "stopped"
    ]
    early = [at for at in told if at < item.end_s - 0.05]
    return len(early), next((at - item.end_s for at in told if at >= item.end_s - 0.05), None)


def memory() -> dict[str, Any]:
    """Hold the hour's call with each writer of notes, and without notes."""
    from tests.conversation import long_call  # noqa: PLC0415

    writers = {
        "picked at the limit": {"summarise": None},
        "picked off the path": {"summarise": long_call.by_picking},
        "simulated model": {"summarise": long_call.by_simulated_model},
        "newest turns only": {"summarise": long_call.by_picking, "notes": False},
    }
    seeds = (1, 2, 3, 4, 5)
    runs = {name: [long_call.run(seed=seed, **how) for seed in seeds] for name, how in writers.items()}
    return {
        "minutes": long_call.MINUTES,
        "seeds": len(seeds),
        "writers": {name: together([run.told() for run in told]) for name, told in runs.items()},
        "prompt_ms": prompt_ms(),
    }


def together(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the mean over runs; of what is largest, the largest."""
    return {
        key: max(run[key] for run in runs)
        if key.startswith("largest")
        else round(sum(run[key] for run in runs) / len(runs), 3)
        for key in runs[0]
    }


def prompt_ms() -> dict[str, float]:
    """Time what the memory does in a reply's way: making the request, an hour into the call."""
    from tests.conversation import long_call  # noqa: PLC0415

    from repartee.conversation.history import History  # noqa: PLC0415
    from repartee.conversation.memory import Memory  # noqa: PLC0415

    history, times = History(Memory()), []
    for _, user, agent in long_call.script(1):
        began = time.process_time()
        history.messages(user)
        times.append((time.process_time() - began) * 1000)
        history.remember_user(user)
        history.remember_heard(agent)
    return {"p50": round(float(np.median(times)), 2), "largest": round(max(times), 2)}


def cache() -> dict[str, Any]:
    """Measure the answer cache and the routing."""
    from repartee.conversation.routing import Turn, route  # noqa: PLC0415
    from repartee.providers.ondevice import registry  # noqa: PLC0415
    from repartee.providers.ondevice.sentences import SentenceModel  # noqa: PLC0415
    from repartee.simulator.answer_pairs import load_pairs, measure  # noqa: PLC0415

    model = SentenceModel(*registry.minilm_files())

    async def embed(texts: Sequence[str]) -> Any:
        return model.embed(list(texts))

    pairs = load_pairs(ROOT / "benchmarks" / "data" / "answer_pairs.jsonl")
    result = asyncio.run(measure(pairs, embed))
    took = []
    for pair in pairs:
        began = time.perf_counter()
        route(Turn(pair.asked, has_tools=True))
        took.append((time.perf_counter() - began) * 1000)
    result["routing_ms"] = {
        "p50": round(float(np.median(took)), 3),
        "p95": round(float(np.percentile(took, 95)), 3),
    }
    return result


def savings() -> dict[str, Any]:
    """Run the thirty turns: a machine's first call, and a later one."""
    from repartee.agent import Routing, load_agent  # noqa: PLC0415
    from repartee.settings import Settings  # noqa: PLC0415
    from repartee.simulator.providers import SimulatorConfig  # noqa: PLC0415
    from repartee.simulator.savings import Plan, compare  # noqa: PLC0415

    desk = load_agent(ROOT / "agents" / "front-desk.yaml")
    cache = desk.cache.model_copy(update={"learn": True})
    agent = desk.model_copy(update={"cache": cache, "routing": Routing(small="openai:gpt-4.1-nano")})
    data = ROOT / "benchmarks" / "data"
    turns = (data / "savings_turns.txt").read_text(encoding="utf-8").splitlines()
    config = SimulatorConfig(profile="fast", script=data / "savings_script.yaml")
    with tempfile.TemporaryDirectory() as folder:
        plan = Plan(agent, turns, config, Path(folder))
        first, later = (asyncio.run(compare(plan, Settings())) for _ in range(2))
    return {"profile": config.profile, "first_call": first, "later_call": later}


def meetings() -> dict[str, Any]:
    """Have two agents meet often, as a process of its own: neither vendors nor this program count."""
    return asyncio.run(_meet(int(os.environ.get("REPARTEE_MEETINGS", "100"))))


async def _meet(times: int) -> dict[str, Any]:
    from repartee.cli.instance import clean_environment, spawn  # noqa: PLC0415
    from repartee.simulator.providers import Simulator, SimulatorConfig  # noqa: PLC0415

    data = ROOT / "benchmarks" / "data"
    config = SimulatorConfig(profile="instant", script=data / "meeting_script.yaml")
    with tempfile.TemporaryDirectory() as folder:
        state, written = Path(folder), Path(folder) / "meetings.json"
        agents = ROOT / "agents" / "front-desk.yaml", data / "meeting_patient.yaml"
        options = (f"--times={times}", "--turns=9", f"--write={written}")
        async with Simulator.start(config) as simulator:
            environment = clean_environment() | simulator.environment | {"REPARTEE_STATE_DIR": folder}
            process = await spawn(["meet", *map(str, agents), *options], environment, state / "output.log")
            await process.wait()
        if not written.is_file():
            raise SystemExit((state / "output.log").read_text(encoding="utf-8")[-4000:])
        return dict(json.loads(written.read_text(encoding="utf-8")))


def calls() -> dict[str, Any]:
    """Ask the API for pages of many calls, on SQLite and on PostgreSQL."""
    from tests import postgres  # noqa: PLC0415
    from tests.store.many import AGENTS, RARE  # noqa: PLC0415

    number = 10_000
    asked = {
        "first page": "/api/calls",
        "a page far down": "/api/calls?until={middle}",
        "one agent, one week": f"/api/calls?agent={AGENTS[2]}&since={{week}}",
        "a word said often": "/api/calls?q=appointment",
        "a word said in ten calls": f"/api/calls?q={RARE}",
        "live": "/api/calls?state=live",
        # Other days each time, or the server would tell the charts it has just made.
        "charts, 30 days": "/api/stats?since={since}",
        "charts, one agent": f"/api/stats?agent={AGENTS[0]}&since={{since}}",
        "one call": "/api/calls/{call}",
    }
    with tempfile.TemporaryDirectory() as folder:
        found = {"sqlite": _ask_calls(f"sqlite:///{folder}/repartee.db", Path(folder), number, asked)}
        if (programs := postgres.programs()) is not None:
            with postgres.server(programs) as server:
                found["postgresql"] = _ask_calls(server.new_database(), Path(folder), number, asked)
    return {"calls": number, "cpus": os.cpu_count(), **found}


def _ask_calls(url: str, folder: Path, number: int, asked: dict[str, str]) -> dict[str, Any]:
    """Fill a database and ask for each page ten times."""
    from datetime import UTC, datetime, timedelta  # noqa: PLC0415

    import httpx  # noqa: PLC0415
    from tests.store.many import fill  # noqa: PLC0415

    from repartee.server.app import Site, create_app  # noqa: PLC0415
    from repartee.settings import Settings  # noqa: PLC0415
    from repartee.store import CallQuery, Store  # noqa: PLC0415

    store = Store.open(url, spool=folder / "spool")
    fill(store, number)
    today = datetime.now(UTC).date()
    names = {
        "middle": today - timedelta(days=15),
        "week": today - timedelta(days=6),
        "call": store.find(CallQuery(limit=1))[0].call.call_id,
    }
    settings = Settings(_env_file=None).model_copy(update={"state_dir": folder, "api_token": None})  # type: ignore[call-arg]
    app = create_app(settings, Site("ws://x", "ws://x", "k", "s", "Desk", {}), None, store)
    transport = httpx.ASGITransport(app, client=("127.0.0.1", 1))

    async def ask() -> dict[str, Any]:
        took: dict[str, Any] = {}
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1", timeout=60) as http:
            for name, path in asked.items():
                times = []
                for time_of_ten in range(10):
                    names["since"] = today - timedelta(days=30 + time_of_ten)
                    began = time.perf_counter()
                    (await http.get(path.format(**names))).raise_for_status()
                    times.append((time.perf_counter() - began) * 1000)
                took[name] = {"p50_ms": round(float(np.median(times))), "slowest_ms": round(max(times))}
        return took

    try:
        return asyncio.run(ask())
    finally:
        store.close()


if __name__ == "__main__":
    sys.exit(main())
