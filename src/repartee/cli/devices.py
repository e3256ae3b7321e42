"""`repartee device-token`: keys for devices, made, listed and revoked."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.console import Console

from repartee.cli.environment import read_settings
from repartee.errors import ConfigError

out = Console(highlight=False)


def _known(incomplete: str) -> list[str]:
    from repartee.server.devices import read_keys  # noqa: PLC0415

    return [key.name for key in read_keys(read_settings().devices_file) if key.name.startswith(incomplete)]


def device_token(
    name: Annotated[
        str | None, typer.Argument(help="The device, e.g. kitchen.", autocompletion=_known)
    ] = None,
    days: Annotated[int | None, typer.Option(help="How long its key is good; a year unless given.")] = None,
    revoke: Annotated[bool, typer.Option("--revoke", help="Take its key from it, at once.")] = False,
) -> None:
    """Make a device's key, good for its own calls and nothing else; without a name, list the devices."""
    from repartee.server.devices import DAYS, add_key, read_keys, revoke_key  # noqa: PLC0415 - with the server

    file, today = read_settings().devices_file, datetime.now(UTC).date()
    if name is None:
        if revoke:
            raise ConfigError("whose key is to be revoked? `repartee device-token NAME --revoke`")
        keys = read_keys(file)
        for key in keys:
            over = "  [red]run out[/red]" if key.until < today else ""
            out.print(f"{key.name}  until {key.until}{over}", soft_wrap=True)
        if not keys:
            out.print("no device has a key; `repartee device-token NAME` makes one")
        return
    if revoke:
        revoke_key(file, name)
        out.print(
            f"{name}'s key is good for nothing any more; a call it is in goes on to its end", soft_wrap=True
        )
        return
    made, kept = add_key(file, name, DAYS if days is None else days, today)
    out.print(
        f"key    {made}\nuntil  {kept.until}\nkept   {file} (its SHA-256)", markup=False, soft_wrap=True
    )
    out.print("[dim]It is shown this once. On the device: REPARTEE_DEVICE_KEY; see docs/devices.md[/dim]")
