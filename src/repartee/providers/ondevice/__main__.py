"""`python -m repartee.providers.ondevice --port N`: serve the on-device models on loopback."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys

from aiohttp import web


async def _serve(port: int, *, speech: bool) -> None:
    # After the environment is set: BLAS threads of numpy and ONNX starve each other on few cores.
    from repartee.providers.ondevice.host import Host  # noqa: PLC0415
    from repartee.providers.seal import seal  # noqa: PLC0415

    seal()  # it is asked, and asks nobody
    runner = web.AppRunner(Host(speech=speech).app(), access_log=None, handler_cancellation=True)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port)
    await site.start()
    bound = runner.addresses[0][1]
    sys.stdout.write(f"ready {bound}\n")
    sys.stdout.flush()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(name, stop.set)

    # The parent holds the other end of stdin: when it dies, however it dies, this ends too.
    def parent_spoke() -> None:
        if not os.read(sys.stdin.fileno(), 64):
            stop.set()

    loop.add_reader(sys.stdin.fileno(), parent_spoke)
    await stop.wait()
    await runner.cleanup()


def main() -> None:
    """Parse arguments and serve."""
    parser = argparse.ArgumentParser(prog="python -m repartee.providers.ondevice")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--only-sentences", action="store_true", help="no recogniser and no voice")
    given = parser.parse_args()
    asyncio.run(_serve(given.port, speech=not given.only_sentences))


if __name__ == "__main__":
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    os.environ.setdefault("OMP_NUM_THREADS", "2")
    main()
