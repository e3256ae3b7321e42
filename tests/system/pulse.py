"""A room without hardware: a sound server of its own, a loudspeaker, a microphone, and the air between them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import subprocess
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from tests.system.helpers import eventually

MISSING = "no PulseAudio: install pulseaudio and pulseaudio-utils"
ECHO = "45000"
"""Of 65536, cubed: what the loudspeaker gives comes into the microphone 10 dB down, as with a board on a table."""


@dataclass(frozen=True, slots=True)
class Room:
    """A sound server.

    Attributes:
        environment: For programs that are to find it, and no other.
    """

    environment: dict[str, str]

    async def control(self, *arguments: str) -> str:
        """Run pactl; return what it prints."""
        process = await asyncio.create_subprocess_exec(
            "pactl", *arguments, env=self.environment, stdout=asyncio.subprocess.PIPE
        )
        printed, _ = await process.communicate()
        assert process.returncode == 0, f"pactl {arguments}"
        return printed.decode()

    def recorded(self) -> bool:
        """Say whether somebody records from the microphone; blocks."""
        listed = subprocess.run(
            ["pactl", "list", "source-outputs"],
            env=self.environment,
            capture_output=True,
            text=True,
            check=True,
        )
        return "parec" in listed.stdout

    async def say(self, recording: Path) -> None:
        """Play a recording into the air, as somebody who speaks in the room."""
        process = await asyncio.create_subprocess_exec(
            "paplay", "--device=air", str(recording), env=self.environment
        )
        assert await process.wait() == 0


@contextlib.asynccontextmanager
async def room(folder: Path) -> AsyncIterator[Room]:
    """Run a sound server in which what the loudspeaker gives comes back into the microphone."""
    await asyncio.to_thread(folder.mkdir)
    socket = folder / "native"
    home = {"HOME": str(folder), "XDG_RUNTIME_DIR": str(folder), "PULSE_SERVER": f"unix:{socket}"}
    environment = {**os.environ, **home}
    modules = (
        f"module-native-protocol-unix auth-anonymous=1 socket={socket}",
        "module-null-sink sink_name=loudspeaker rate=48000 channels=1",
        "module-null-sink sink_name=air rate=48000 channels=1",
        "module-remap-source master=air.monitor source_name=microphone remix=no",
    )
    load = [argument for module in modules for argument in ("-L", module)]
    plain = ("-n", "--daemonize=no", "--exit-idle-time=-1", "--disable-shm=yes", "--use-pid-file=no")
    with (folder / "pulse.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            "pulseaudio", *plain, "--log-level=error", *load, env=environment, stdout=log, stderr=log
        )
        try:
            made = Room(environment)
            await eventually(socket.exists)
            await made.control("set-default-sink", "loudspeaker")
            await made.control("set-default-source", "microphone")
            echo = (
                "source=loudspeaker.monitor",
                "sink=air",
                "latency_msec=30",
                "sink_input_properties=media.name=echo",
            )
            await made.control("load-module", "module-loopback", *echo)
            (index,) = (await made.control("list", "short", "sink-inputs")).split()[:1]
            await made.control("set-sink-input-volume", index, ECHO)
            yield made
        finally:
            process.terminate()
            await process.wait()


def there() -> bool:
    """Say whether the programs are installed."""
    return all(shutil.which(name) for name in ("pulseaudio", "pactl", "paplay", "parec", "pacat"))
