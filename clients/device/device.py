"""A voice device: a Linux board with a microphone and a loudspeaker that calls a repartee server; see README.md."""

from __future__ import annotations

import argparse
import asyncio
import collections
import contextlib
import fcntl
import json
import os
import random
import sys
from urllib import request

import numpy as np
from livekit import rtc

RATE_HZ, FRAME = 48_000, 480  # frames of 10 ms, as the echo canceller wants them
QUEUED, PRIMED, LEARNING, TAIL = 12, 3, 200, 30  # frames; the last two: of sound to know the echo, and of it
start, PIPE, BACKOFF_S = asyncio.create_subprocess_exec, asyncio.subprocess.PIPE, (1.0, 60.0)
RAW = ("--raw", "--format=s16le", f"--rate={RATE_HZ}", "--channels=1", "--latency-msec=20")
PROCESSING = ("echo_cancellation", "noise_suppression", "high_pass_filter", "auto_gain_control")
AGENT, REASON = rtc.ParticipantKind.PARTICIPANT_KIND_AGENT, rtc.DisconnectReason
OVER = (REASON.ROOM_DELETED, REASON.ROOM_CLOSED, REASON.PARTICIPANT_REMOVED, REASON.CLIENT_INITIATED)


class Sound:
    """Microphone and loudspeaker, with the echo of one taken out of the other."""

    def __init__(self, aec: bool = True, volume: int = 80) -> None:
        self.source, self.volume, self._primed = rtc.AudioSource(RATE_HZ, 1, queue_size_ms=100), volume, False
        self.heard: collections.deque[bytes] = collections.deque(maxlen=QUEUED)
        self._apm = rtc.AudioProcessingModule(**dict.fromkeys(PROCESSING, True)) if aec else None
        self._learning, self._quiet = 0, TAIL

    def step(self, near: bytes) -> tuple[bytes, rtc.AudioFrame]:
        """Take 10 ms of the microphone; return 10 ms for the loudspeaker, and what is to be sent."""
        self._primed = len(self.heard) >= (1 if self._primed else PRIMED)
        loud = np.frombuffer(self.heard.popleft() if self._primed else bytes(2 * FRAME), np.int16)
        far = (loud * (self.volume / 100)).astype(np.int16).tobytes()
        frame = rtc.AudioFrame(bytearray(near), RATE_HZ, 1, FRAME)
        if self._apm is not None:
            self._apm.process_reverse_stream(rtc.AudioFrame(bytearray(far), RATE_HZ, 1, FRAME))
            self._apm.process_stream(frame)
        self._quiet = 0 if np.abs(loud).max() > 300 else self._quiet + 1
        if self._learning and self._quiet < TAIL:  # until the echo is known, the agent would interrupt itself
            self._learning -= self._quiet == 0
            frame = rtc.AudioFrame.create(RATE_HZ, 1, FRAME)
        return far, frame

    async def run(self) -> None:
        """Carry sound both ways, in the microphone's time; where a device is gone, until it is there again."""
        while True:
            parec, pacat = [await start(name, *RAW, stdin=PIPE, stdout=PIPE) for name in ("parec", "pacat")]
            self._learning = LEARNING if self._apm else 0  # another way through the room, perhaps
            try:
                fcntl.fcntl(pacat.stdin.transport.get_extra_info("pipe").fileno(), 1031, 4096)  # F_SETPIPE_SZ
                while True:
                    far, frame = self.step(await parec.stdout.readexactly(2 * FRAME))
                    if not pacat.stdin.transport.get_write_buffer_size():
                        pacat.stdin.write(far)
                    await self.source.capture_frame(frame)
            except (asyncio.IncompleteReadError, ConnectionError):
                print("microphone or loudspeaker is gone; again in 1 s", file=sys.stderr, flush=True)
                await asyncio.sleep(1)
            finally:
                for process in (parec, pacat):
                    with contextlib.suppress(ProcessLookupError):
                        process.kill()
                    await process.wait()

    async def listen(self, track: rtc.Track) -> None:
        """Queue what the agent says."""
        stream = rtc.AudioStream(track, sample_rate=RATE_HZ, num_channels=1, frame_size_ms=10)
        async with contextlib.aclosing(stream):
            async for event in stream:
                self.heard.append(bytes(event.frame.data))


class Device:
    """Wakes, calls, comes back when the connection breaks, and sleeps again."""

    def __init__(self, options: argparse.Namespace, key: str = "") -> None:
        self.url, self.wake, self.sound = options.url, options.wake, Sound(not options.no_aec, options.volume)
        self.headers = {"Content-Type": "application/json", "Authorization": f"Bearer {key}"}

    def ask(self, place: dict[str, str] | None) -> dict[str, str]:
        """Ask for a place in a call, or for the lost one again; blocks. Raises OSError, of which HTTPError is one."""
        body = json.dumps({"participant_token": place["participant_token"]} if place else {}).encode()
        asking = request.Request(self.url + ("/api/rejoin" if place else "/api/token"), body, self.headers)
        with request.urlopen(asking, timeout=15) as answer:
            return dict(json.load(answer))

    async def run(self) -> None:
        """Call once, or for ever with a command that wakes."""
        place, wait_s = None, BACKOFF_S[0]
        while True:
            try:
                if place is None and self.wake:
                    show("asleep")
                    if await (await start(*self.wake)).wait():
                        raise OSError("the command of --wake failed")
                show("connecting")
                place = await asyncio.to_thread(self.ask, place)
                place, wait_s = None if await self.call(place) else place, BACKOFF_S[0]
                if place is None and not self.wake:
                    return
            except (OSError, rtc.ConnectError) as error:
                code = getattr(error, "code", 0)
                if place is None and code in (400, 401, 403, 404):
                    print(f"the server refuses this device: {error}; see docs/devices.md", file=sys.stderr)
                    sys.exit(2)
                place = None if code in (401, 403, 410) else place  # that call is over
                show("trouble")
                print(f"{error}; again within {wait_s:.0f} s", file=sys.stderr, flush=True)
                await asyncio.sleep(wait_s * random.uniform(0.5, 1.0))
                wait_s = min(BACKOFF_S[1], 2 * wait_s)

    async def call(self, place: dict[str, str]) -> bool:
        """Hold a call; return whether it is over, or only its connection."""
        room, gone = rtc.Room(), asyncio.get_running_loop().create_future()
        tasks: list[asyncio.Future[None]] = []

        def heard(track: rtc.Track, _: object, person: rtc.RemoteParticipant) -> None:
            if person.kind == AGENT and track.kind == rtc.TrackKind.KIND_AUDIO:
                tasks.append(asyncio.ensure_future(self.sound.listen(track)))
                show(person.attributes.get("lk.agent.state", ""))

        async def set_volume(asked: rtc.RpcInvocationData) -> str:
            if room.remote_participants[asked.caller_identity].kind != AGENT or not asked.payload.isdecimal():
                raise rtc.RpcError(1500, "the agent may set the volume, from 0 to 100")
            self.sound.volume = min(100, int(asked.payload))
            return str(self.sound.volume)

        room.on("track_subscribed", heard)
        room.on("participant_attributes_changed", lambda new, _: show(new.get("lk.agent.state", "")))
        room.on("disconnected", lambda reason: gone.done() or gone.set_result(reason))
        try:
            await room.connect(place["server_url"], place["participant_token"])
            room.local_participant.register_rpc_method("set_volume", set_volume)
            track = rtc.LocalAudioTrack.create_audio_track("microphone", self.sound.source)
            microphone = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE)
            await room.local_participant.publish_track(track, microphone)
            tasks.append(carrying := asyncio.ensure_future(self.sound.run()))
            await asyncio.wait({carrying, gone}, return_when=asyncio.FIRST_COMPLETED)
            return gone.result() in OVER if gone.done() else bool(carrying.result())
        finally:
            _ = [task.cancel() for task in tasks]
            await asyncio.gather(*tasks, return_exceptions=True)
            await room.disconnect()


def show(state: str) -> None:
    """Tell whoever reads the standard output: asleep, connecting, listening, thinking, speaking, trouble."""
    with contextlib.suppress(OSError):  # a light that is broken ends no call
        print(state, end="\n" * bool(state), flush=True)


async def main() -> None:
    """Read the command line and run until the call is over, or SIGINT."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url", type=lambda url: url.rstrip("/"), help="of the server: https://voice.example")
    parser.add_argument("--wake", type=str.split, help="a command that ends when a call is to begin")
    parser.add_argument("--volume", type=int, default=80, help="0 to 100; the agent may change it")
    parser.add_argument("--no-aec", action="store_true", help="for hardware that cancels its own echo")
    options, key = parser.parse_args(), os.environ.get("REPARTEE_DEVICE_KEY", "")
    if key and not options.url.startswith(("https://", "http://127.0.0.1:")):
        parser.error("a key is sent over https only: give the server's https address")
    await Device(options, key).run()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main())
