"""`repartee simulate` and `repartee faults`: the simulated vendors, and what breaks the way to any vendor."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from repartee.cli.asking import count
from repartee.simulator.faults import FaultProxy, Strike, read_plan
from repartee.simulator.providers import Simulator, SimulatorConfig
from repartee.simulator.providers.server import vendors_at


async def run_simulator(
    config: SimulatorConfig, faults: Path | None, stop: asyncio.Event, out: Console
) -> None:
    """Simulate the vendors until told to stop; with a plan of faults, behind a proxy on the same port.

    Raises:
        ConfigError: The profile, the recordings, the script or the plan cannot be used, or the port is taken.
    """
    plan = await asyncio.to_thread(read_plan, faults) if faults is not None else None
    async with contextlib.AsyncExitStack() as stack:
        simulator = await stack.enter_async_context(
            Simulator.start(config if plan is None else replace(config, port=0))
        )
        url = simulator.url
        if plan is not None:
            proxy = await stack.enter_async_context(FaultProxy.start(simulator.url, plan, config.port))
            url, proxy.on_strike = proxy.url, _teller(out)
        out.print(f"the simulator listens at [bold]{url}[/bold]; to use it:\n")
        for name, value in vendors_at(url).items():
            out.print(f"export {name}={value}", soft_wrap=True)
        if plan is not None:
            out.print(
                f"\n{count(len(plan.faults), 'fault')}, seed {plan.seed}; each is told here as it is felt"
            )
        await stop.wait()


async def run_proxy(faults: Path, vendor: str, port: int, stop: asyncio.Event, out: Console) -> None:
    """Stand before a vendor until told to stop.

    Raises:
        ConfigError: The plan cannot be used, the vendor is no URL, or the port is taken.
    """
    plan = await asyncio.to_thread(read_plan, faults)
    async with FaultProxy.start(vendor, plan, port) as proxy:
        proxy.on_strike = _teller(out)
        out.print(
            f"[bold]{proxy.url}[/bold] passes on to {proxy.vendor}; give it as the vendor's base URL, as in\n"
        )
        out.print(f"export OPENAI_BASE_URL={proxy.url}/v1", soft_wrap=True)
        out.print(f"\n{count(len(plan.faults), 'fault')}, seed {plan.seed}; each is told here as it is felt")
        await stop.wait()


def _teller(out: Console) -> Callable[[Strike], None]:
    def tell(strike: Strike) -> None:
        out.print(f"{strike.verb} on request {strike.ordinal} of {strike.path}", soft_wrap=True)

    return tell
