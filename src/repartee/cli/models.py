"""`repartee models`: what of the machine's own models is there, and fetching and removing those that are optional."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from repartee.cli.asking import columns, near
from repartee.cli.environment import read_settings
from repartee.errors import ConfigError

if TYPE_CHECKING:
    from repartee.providers.ondevice.registry import Model

app = typer.Typer(help="List, verify, fetch and remove the models that run on this machine.")
out = Console(highlight=False)


def _fetchable(incomplete: str) -> list[str]:
    """Return how a name may go on, of those that can be fetched and removed: for the shell's completion."""
    from repartee.providers.ondevice.registry import MODELS  # noqa: PLC0415

    return [m.name for m in MODELS if not m.package and m.name.startswith(incomplete)]


NameArgument = Annotated[
    str,
    typer.Argument(metavar="NAME", help="As `repartee models` lists it.", autocompletion=_fetchable),
]


@app.callback(invoke_without_command=True)
def models(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the models: what for, how large, where they are, and whether they are there."""
    if context.invoked_subcommand is None:
        _list(as_json=as_json)


@app.command(name="list")
def list_models(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """List the models; the same as `repartee models`."""
    _list(as_json=as_json)


def _list(*, as_json: bool) -> None:
    from repartee.providers.ondevice.registry import MODELS  # noqa: PLC0415

    pulled = read_settings().models_dir
    rows = [
        {
            "name": model.name,
            "use": model.use,
            "says": model.says,
            "license": model.license,
            "bytes": model.size_bytes,
            "from": model.package or f"{model.repository}@{model.revision}",
            "place": str(_place(model, pulled) or ""),
            "state": _state(model, pulled),
        }
        for model in MODELS
    ]
    if as_json:
        sys.stdout.write(json.dumps(rows, indent=1) + "\n")
        return
    heads = ("name", "for", "knows", "MB", "state", "place")
    shown = [
        (
            row["name"],
            row["use"],
            row["says"],
            f"{int(str(row['bytes'])) / 1e6:.0f}",
            row["state"],
            row["place"],
        )
        for row in rows
    ]
    columns(heads, shown, frozenset({"MB"}))


@app.command()
def verify(name: Annotated[str | None, typer.Argument(metavar="NAME", help="Only this one.")] = None) -> None:
    """Hash the files of every model that is there; those of the program must be."""
    from repartee.providers.ondevice import registry  # noqa: PLC0415

    pulled = read_settings().models_dir
    there = (m for m in registry.MODELS if m.package or _state(m, pulled) in {"here", "broken"})
    chosen = (_named(name),) if name else tuple(there)
    wrong: list[Path] = []
    for path, good in registry.verify(chosen, pulled):
        wrong += [] if good else [path]
        out.print(f"{'ok   ' if good else '[red]WRONG[/red]'} {path.parent.name}/{path.name}", soft_wrap=True)
    if not wrong:
        return
    if any(path.is_relative_to(pulled) for path in wrong):
        raise ConfigError(f"{wrong[0]} is not what it should be; fetch it again with `repartee models pull`")
    raise ConfigError("a model file is not what it should be; delete the environment and run `make setup`")


@app.command()
def pull(name: NameArgument) -> None:
    """Fetch a model, or go on where it broke off; every file must hash to what is known of it."""
    from repartee.providers.ondevice.pulling import pull as fetch  # noqa: PLC0415

    model, settings = _named(name), read_settings()
    if model.package:
        raise ConfigError(
            f"{model.name} comes with the program, in the package '{model.package}': nothing to fetch"
        )
    try:
        with _progress(model) as tell:
            place = fetch(model, settings.models_dir, settings.hub_url, tell)
    except KeyboardInterrupt:
        out.print(f"stopped; `repartee models pull {model.name}` goes on here", soft_wrap=True)
        raise typer.Exit(130) from None
    out.print(f"{model.name} is in {place}, whole by its SHA-256", soft_wrap=True)
    if wish := _wish(model):
        out.print(f"an agent file takes it with `{wish}`", soft_wrap=True, markup=False)


@app.command()
def remove(
    name: NameArgument,
    force: Annotated[bool, typer.Option("--force", help="Though the agent file asks for it.")] = False,
) -> None:
    """Remove a model that was fetched, or what was begun of it."""
    from repartee.providers.ondevice.pulling import remove as take_away  # noqa: PLC0415

    model, settings = _named(name), read_settings()
    if model.package:
        raise ConfigError(f"{model.name} comes with the program, in the package '{model.package}', and stays")
    if not force and _asked_for(model, settings.agent):
        raise ConfigError(f"{settings.agent} asks for {model.name}; change that there first, or give --force")
    try:
        freed = take_away(model, settings.models_dir)
    except OSError as error:
        raise ConfigError(f"{model.name} cannot be removed: {error.strerror}") from error
    if not freed:
        out.print(f"{model.name} is not here", soft_wrap=True)
        return
    out.print(
        f"removed {model.name}, {freed / 1e6:.0f} MB; a server that runs keeps what it has loaded",
        soft_wrap=True,
    )


def _named(name: str) -> Model:
    from repartee.providers.ondevice.registry import MODELS  # noqa: PLC0415

    found = {model.name: model for model in MODELS}
    if name not in found:
        raise ConfigError(f"there is no model '{name}'{near(name, list(found))}")
    return found[name]


def _wish(model: Model) -> str | None:
    """Return what an agent file says to have a recogniser or a voice."""
    from repartee.providers.ondevice.registry import VOICES, WHISPERS  # noqa: PLC0415

    names = {known.name: name for name, known in (*WHISPERS.items(), *VOICES.items())}
    if model.name not in names:
        return None
    if model.use == "hearing":
        return f"models: {{stt: on-device:{names[model.name]}}}"
    return f"voice: {{on_device: {names[model.name]}}}"


def _asked_for(model: Model, agent: Path) -> bool:
    """Say whether the agent file names a model; one that cannot be read names none."""
    from repartee.agent import load_agent  # noqa: PLC0415

    try:
        loaded = load_agent(agent)
    except ConfigError:
        return False
    stt = loaded.models.stt or ()
    wished = (stt,) if isinstance(stt, str) else stt
    named = (
        *(f"models: {{stt: {name}}}" for name in wished),
        f"voice: {{on_device: {loaded.voice.on_device}}}",
    )
    return _wish(model) in named


def _place(model: Model, pulled: Path) -> Path | None:
    try:
        return model.place(pulled)
    except ConfigError:
        return None


def _state(model: Model, pulled: Path) -> str:
    """Say how much of a model is there, by the lengths of its files."""
    from repartee.providers.ondevice.pulling import fetched  # noqa: PLC0415

    place = _place(model, pulled)
    if place is None:
        return "package missing"
    sizes = {
        file: (place / file.path).stat().st_size for file in model.files if (place / file.path).is_file()
    }
    if all(sizes.get(file) == file.size_bytes for file in model.files):
        return "here"
    if model.package or sizes:
        return "broken"
    begun = fetched(model, pulled)
    return f"begun, {begun / 1e6:.0f} MB" if begun else "not fetched"


@contextmanager
def _progress(model: Model) -> Iterator[Callable[[int, int], None]]:
    """Show how far it is: a bar on a terminal, a line for each tenth elsewhere."""
    if not out.is_terminal:
        told = -1

        def tell_tenths(there: int, whole: int) -> None:
            nonlocal told
            if (tenth := there * 10 // whole) > told:
                told = tenth
                out.print(f"{model.name}: {there / 1e6:.0f} of {whole / 1e6:.0f} MB", soft_wrap=True)

        yield tell_tenths
        return
    from rich.progress import (  # noqa: PLC0415
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    shown = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*shown, console=out) as progress:
        task = progress.add_task(model.name, total=model.size_bytes)
        yield lambda there, _: progress.update(task, completed=there)
