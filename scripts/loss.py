"""Speech over a network that loses packets, by how it is sent: words that arrive wrong, sound that is made up.

Two programs hold real calls through a real LiveKit server: one here, one in a network of its own that loses a share
of its UDP packets each way. In each room both speak the same recordings, sent in one of the ways that are compared;
what each hears is transcribed.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

RATE_HZ = 48_000
FRAME = RATE_HZ // 50
PAUSE_S, BEFORE_S, AFTER_S = 1.5, 0.4, 0.7
SPEECH_S = 50.0
WINDOW_S = 27.0
SETTLE_S = 3.0
LOSSES = (0.0, 0.02, 0.05, 0.10)
LOUD = 500


@dataclass(frozen=True)
class Way:
    """How a voice is sent."""

    name: str
    red: bool
    dtx: bool
    kbps: int


WAYS = (
    Way("plain", red=False, dtx=False, kbps=32),
    Way("dtx", red=False, dtx=True, kbps=32),
    Way("red", red=True, dtx=False, kbps=32),
    Way("red dtx", red=True, dtx=True, kbps=32),
    Way("red dtx, 20 kbit/s", red=True, dtx=True, kbps=20),
    Way("red dtx, 64 kbit/s", red=True, dtx=True, kbps=64),
)


def measure(speech: Path, folder: Path, losses: tuple[float, ...] = LOSSES) -> dict[str, Any]:
    """Hold the calls and transcribe them.

    Args:
        speech: The recordings.
        folder: Where what was heard is kept; what is there already is not done again.
        losses: Shares of the packets to lose.
    """
    said, pcm = _script(speech)
    record(speech, folder, losses)
    rows: list[dict[str, Any]] = []
    for loss in losses:
        found = json.loads(_file(folder, loss).read_text(encoding="utf-8"))
        file = _file(folder, loss)

        def keep(_: object, file: Path = file, found: list[dict[str, Any]] = found) -> None:
            file.write_text(json.dumps(found), encoding="utf-8")

        _transcribe([row for row in found if "word_error" not in row], said, keep)
        rows += [{name: value for name, value in row.items() if name != "heard"} for row in found]
    return {
        "speech_s": round(len(pcm) / RATE_HZ, 1),
        "sentences": len(said),
        "words": sum(len(text.split()) for text, *_ in said),
        "ways": [asdict(way) for way in WAYS],
        "rows": rows,
    }


def record(speech: Path, folder: Path, losses: tuple[float, ...]) -> None:
    """Hold the calls, and keep what was heard."""
    from repartee.simulator.netns import caller_network, why_not  # noqa: PLC0415

    missing = [loss for loss in losses if not _file(folder, loss).is_file()]
    if not missing:
        return
    if reason := why_not():
        raise SystemExit(f"loss: {reason}")
    folder.mkdir(parents=True, exist_ok=True)
    with caller_network() as network, _server(network, folder) as media:
        for loss in missing:
            network.lose(loss)
            rows = _hold(network, media, folder, _script(speech)[1], loss)
            _file(folder, loss).write_text(json.dumps(rows), encoding="utf-8")


def _file(folder: Path, loss: float) -> Path:
    return folder / f"rows-{loss}.json"


def _script(speech: Path) -> tuple[list[tuple[str, float, float]], np.ndarray]:
    """Return what is said, with where each sentence begins and ends in seconds, and its sound."""
    from repartee.simulator.audio import read_audio  # noqa: PLC0415

    index = json.loads((speech / "index.json").read_text(encoding="utf-8"))
    known = [e for e in index if e.get("transcript") and not e["file"].startswith("fsdd/")]
    quiet = np.random.default_rng(0).normal(0, 8, int(PAUSE_S * RATE_HZ)).astype(np.int16)
    said, parts, at_s = [], [quiet], PAUSE_S
    for entry in known:
        pcm = read_audio(speech / entry["file"], RATE_HZ)
        if at_s > SPEECH_S or len(pcm) > 8 * RATE_HZ:
            continue
        said.append((entry["transcript"], at_s, at_s + len(pcm) / RATE_HZ))
        parts += [pcm, quiet]
        at_s += len(pcm) / RATE_HZ + PAUSE_S
    return said, np.concatenate(parts)


class _Media:
    def __init__(self, url: str, key: str, secret: str) -> None:
        self.url, self.key, self.secret = url, key, secret

    def token(self, room: str, identity: str) -> str:
        from livekit import api  # noqa: PLC0415

        grants = api.VideoGrants(room_join=True, room=room)
        return api.AccessToken(self.key, self.secret).with_identity(identity).with_grants(grants).to_jwt()


class _server:  # noqa: N801 - a context manager, used as one
    """A LiveKit server at this end of the cable."""

    def __init__(self, network: Any, folder: Path) -> None:
        self._network, self._folder = network, folder

    def __enter__(self) -> _Media:
        from repartee.cli.instance import free_ports  # noqa: PLC0415
        from repartee.cli.livekit import VERSION  # noqa: PLC0415
        from repartee.settings import Settings  # noqa: PLC0415

        port, udp = free_ports(2)
        media = _Media(f"ws://{self._network.here}:{port}", "key", secrets.token_urlsafe(32))
        config = {
            "port": port,
            "bind_addresses": [self._network.here],
            "keys": {media.key: media.secret},
            "logging": {"level": "error"},
            "rtc": {
                "udp_port": udp,
                "tcp_port": 0,
                "node_ip": self._network.here,
                "use_external_ip": False,
                "interfaces": {"includes": [self._network.cable]},
            },
        }
        file = self._folder / "livekit.json"
        file.write_text(json.dumps(config))
        file.chmod(0o600)
        program = Settings(_env_file=None).cache_dir / "bin" / f"livekit-server-{VERSION}"
        self._process = subprocess.Popen([str(program), "--config", str(file)])
        time.sleep(2.0)
        return media

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()


def _hold(network: Any, media: _Media, folder: Path, pcm: np.ndarray, loss: float) -> list[dict[str, Any]]:
    np.save(folder / "said.npy", pcm)
    ends = {}
    for side in ("agent", "caller"):
        calls = [
            {**asdict(way), "token": media.token(f"loss-{loss}-{number}", side)}
            for number, way in enumerate(WAYS)
        ]
        task = folder / f"{side}.json"
        task.write_text(
            json.dumps({"url": media.url, "calls": calls, "folder": str(folder), "side": side, "loss": loss})
        )
        program = [sys.executable, __file__, str(task)]
        command = network.command(*program) if side == "caller" else program
        ends[side] = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
    for end in ends.values():  # both wait for each other, so that nothing that is said is missed
        assert end.stdout is not None and end.stdout.readline() == b"ready\n"  # noqa: PT018, S101
    for end in ends.values():
        assert end.stdin is not None  # noqa: S101
        end.stdin.write(b"go\n")
        end.stdin.flush()
    rows = []
    for side, end in ends.items():
        out, _ = end.communicate(timeout=len(pcm) / RATE_HZ + 60)
        for number, (way, found) in enumerate(zip(WAYS, json.loads(out), strict=True)):
            heard = str(folder / f"{side}-{loss}-{number}.npy")
            direction = "caller to agent" if side == "agent" else "agent to caller"
            rows.append({"loss": loss, "way": way.name, "direction": direction, "heard": heard, **found})
    return rows


def _transcribe(
    rows: list[dict[str, Any]],
    said: list[tuple[str, float, float]],
    done: Callable[[dict[str, Any]], None],
) -> None:
    import jiwer  # noqa: PLC0415
    import soxr  # noqa: PLC0415
    from faster_whisper import WhisperModel  # noqa: PLC0415
    from measure import plain  # noqa: PLC0415

    from repartee.providers.ondevice.registry import WHISPER  # noqa: PLC0415

    whisper = WhisperModel(str(WHISPER.locate()), device="cpu", compute_type="int8", cpu_threads=2)
    chunks = _chunks(said)
    truths = [plain(" ".join(text for text, *_ in chunk)) for chunk in chunks]
    for row in rows:
        sound = soxr.resample(np.load(row["heard"]).astype(np.float32) / 32768, RATE_HZ, 16_000)
        loud = np.flatnonzero(np.abs(sound) > LOUD / 32768)
        late_s = (loud[0] / 16_000 if loud.size else 0.0) - said[0][1]
        words = []
        for chunk in chunks:
            first, last = chunk[0][1] + late_s - BEFORE_S, chunk[-1][2] + late_s + AFTER_S
            part = sound[max(0, int(first * 16_000)) : int(last * 16_000)]
            found, _ = whisper.transcribe(part, language="en", beam_size=1, temperature=0.0)
            words.append(plain(" ".join(segment.text.strip() for segment in found)))
        row["word_error"] = round(jiwer.wer(truths, words), 4)
        done(row)


def _chunks(said: list[tuple[str, float, float]]) -> list[list[tuple[str, float, float]]]:
    """Put sentences together to what Whisper hears at once: it takes as long for one as for half a minute."""
    chunks: list[list[tuple[str, float, float]]] = [[]]
    for sentence in said:
        if chunks[-1] and sentence[2] - chunks[-1][0][1] > WINDOW_S:
            chunks.append([])
        chunks[-1].append(sentence)
    return chunks


# --- one end ----------------------------------------------------------------------------------------------------


async def _end(task: dict[str, Any]) -> None:
    from livekit import rtc  # noqa: PLC0415

    pcm = np.load(Path(task["folder"]) / "said.npy")
    calls = [_Call(rtc, way) for way in task["calls"]]
    await asyncio.gather(*(call.join(task["url"]) for call in calls))
    await asyncio.gather(*(asyncio.wait_for(call.subscribed.wait(), 30) for call in calls))
    await asyncio.sleep(SETTLE_S)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.readline)
    for call in calls:
        await call.begin()
    await asyncio.gather(*(call.say(pcm) for call in calls))
    await asyncio.sleep(SETTLE_S)
    found = [await call.result() for call in calls]
    for number, call in enumerate(calls):
        np.save(Path(task["folder"]) / f"{task['side']}-{task['loss']}-{number}.npy", call.heard())
        await call.room.disconnect()
    sys.stdout.write(json.dumps(found))
    sys.stdout.flush()


class _Call:
    def __init__(self, rtc: Any, way: dict[str, Any]) -> None:
        self._rtc, self.way = rtc, way
        self.room = rtc.Room()
        self.source = rtc.AudioSource(RATE_HZ, 1, queue_size_ms=200)
        self.subscribed = asyncio.Event()
        self._frames: list[np.ndarray] = []
        self._listening: asyncio.Task[None] | None = None

    async def join(self, url: str) -> None:
        rtc = self._rtc
        self.room.on("track_subscribed", self._on_track)
        await self.room.connect(url, self.way["token"])
        options = rtc.TrackPublishOptions(
            source=rtc.TrackSource.SOURCE_MICROPHONE, red=self.way["red"], dtx=self.way["dtx"]
        )
        options.audio_encoding.max_bitrate = self.way["kbps"] * 1000
        track = rtc.LocalAudioTrack.create_audio_track("voice", self.source)
        await self.room.local_participant.publish_track(track, options)

    def _on_track(self, track: Any, *_: object) -> None:
        self._track = track
        self._listening = asyncio.create_task(self._listen(track))
        self.subscribed.set()

    async def _listen(self, track: Any) -> None:
        async for event in self._rtc.AudioStream(
            track, sample_rate=RATE_HZ, num_channels=1, frame_size_ms=20
        ):
            self._frames.append(np.frombuffer(event.frame.data, dtype=np.int16).copy())

    async def begin(self) -> None:
        self._frames.clear()
        self._before = await self._counts()

    async def say(self, pcm: np.ndarray) -> None:
        for at in range(0, len(pcm) - FRAME, FRAME):
            block = pcm[at : at + FRAME]
            await self.source.capture_frame(self._rtc.AudioFrame(block.tobytes(), RATE_HZ, 1, FRAME))

    def heard(self) -> np.ndarray:
        return np.concatenate(self._frames) if self._frames else np.zeros(1, np.int16)

    async def _counts(self) -> dict[str, float]:
        for entry in await self._track.get_stats():
            if entry.WhichOneof("stats") == "inbound_rtp":
                inbound, received = entry.inbound_rtp.inbound, entry.inbound_rtp.received
                return {
                    "packets": received.packets_received,
                    "lost": received.packets_lost,
                    "samples": inbound.total_samples_received,
                    "concealed": inbound.concealed_samples - inbound.silent_concealed_samples,
                    "events": inbound.concealment_events,
                    "bytes": inbound.bytes_received + inbound.header_bytes_received,
                    "seconds": time.monotonic(),
                }
        return dict.fromkeys(("packets", "lost", "samples", "concealed", "events", "bytes", "seconds"), 0.0)

    async def result(self) -> dict[str, Any]:
        now = await self._counts()
        more = {name: now[name] - self._before[name] for name in now}
        return {
            "packets_lost": round(more["lost"] / max(1, more["lost"] + more["packets"]), 4),
            "made_up": round(more["concealed"] / max(1, more["samples"]), 4),
            "gaps_per_minute": round(more["events"] * 60 / max(1.0, more["seconds"]), 1),
            "kbit_per_s": round(more["bytes"] * 8 / 1000 / max(1.0, more["seconds"]), 1),
        }


if __name__ == "__main__" and sys.argv[1] == "record":
    # Only the calls, for a machine that has to be quiet meanwhile: `loss.py record SPEECH FOLDER LOSS...`
    record(Path(sys.argv[2]), Path(sys.argv[3]), tuple(float(share) for share in sys.argv[4:]))
elif __name__ == "__main__":
    asyncio.run(_end(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))))
