"""What a request costs: a dated table of list prices, and the operator's own over it.

A price that is not known is None and said once, never zero. Costs are exact to a billionth of a dollar.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from pathlib import Path
from typing import Literal, Protocol, TypeAlias

import structlog
import yaml

from repartee.agent.definition import PROVIDERS, nearest
from repartee.agent.yaml_text import compose
from repartee.errors import ConfigError
from repartee.telemetry.usage import Unit, Usage

ANY = "*"
Basis: TypeAlias = Literal["per_minute", "per_million_tokens", "per_million_characters", "free"]
BASES: tuple[Basis, ...] = ("per_minute", "per_million_tokens", "per_million_characters", "free")
_KEYS = (*BASES, "date", "source")
_KNOWN_PROVIDERS = (*PROVIDERS, "answers")
_SAME_ACCOUNT = {"openai-realtime": "openai"}
_TOKENS = ("in", "cached", "out", "audio_in", "audio_cached", "audio_out")
_MILLION = Decimal(1_000_000)
_NANO = Decimal("1e-9")
_NOTHING = Decimal(0)
MAX_FILE_BYTES = 1_000_000

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Price:
    """A model's price.

    Attributes:
        basis: What it is billed by.
        usd: By part: `in`, `cached` and `out` of tokens, with `audio_` before them of those that are sound; otherwise
            one part named as the basis.
        source: Where it is from.
        date: When it was looked up.
    """

    basis: Basis
    usd: Mapping[str, Decimal]
    source: str
    date: dt.date

    def cost(self, usage: Usage) -> Decimal | None:
        """Return USD; None when what was used is not said in the unit it is billed by."""
        used = usage.quantities
        match self.basis:
            case "free":
                return _NOTHING
            case "per_minute":
                exact = _times(used.get("audio_s"), self.usd["per_minute"] / 60)
            case "per_million_characters":
                exact = _times(used.get("characters"), self.usd["per_million_characters"] / _MILLION)
            case "per_million_tokens":
                exact = self._tokens(used)
        if exact is None:
            # A vendor bills nothing for a request it has refused.
            return _NOTHING if usage.outcome == "failed" and not used else None
        return exact.quantize(_NANO, ROUND_HALF_EVEN)

    def _tokens(self, used: Mapping[Unit, Decimal]) -> Decimal | None:
        if "tokens_in" not in used and "tokens_out" not in used:
            return None
        prompt = used.get("tokens_in", _NOTHING)
        cached = min(used.get("tokens_cached", _NOTHING), prompt)
        made = used.get("tokens_out", _NOTHING)
        heard = min(used.get("audio_tokens_in", _NOTHING), prompt)
        heard_cached = min(used.get("audio_tokens_cached", _NOTHING), cached, heard)
        spoken = min(used.get("audio_tokens_out", _NOTHING), made)
        if (heard or spoken) and "audio_in" not in self.usd:
            return None
        text = self._part("", prompt - heard, cached - heard_cached, made - spoken)
        return (text + self._part("audio_", heard, heard_cached, spoken)) / _MILLION

    def _part(self, of: str, prompt: Decimal, cached: Decimal, made: Decimal) -> Decimal:
        """Return what tokens of text, or of sound, cost a million times over."""
        if not (prompt or made):
            return _NOTHING
        each = self.usd[f"{of}in"]
        kept = self.usd.get(f"{of}cached", each)
        return (prompt - cached) * each + cached * kept + made * self.usd[f"{of}out"]


@dataclass
class PriceTable:
    """Prices by provider and model.

    Attributes:
        version: The day of the list; with the operator's own prices also a mark of that file.
        prices: By provider, then model; the model `*` stands for all others of the provider.
    """

    version: str
    prices: Mapping[str, Mapping[str, Price]]
    _said: set[tuple[str, str]] = field(default_factory=set, repr=False)

    def price(self, provider: str, model: str) -> Price | None:
        """Return the price of a model."""
        for name in (provider, _SAME_ACCOUNT.get(provider, provider)):
            models = self.prices.get(name, {})
            if price := models.get(model) or models.get(ANY):
                return price
        return None

    def cost(self, usage: Usage) -> Decimal | None:
        """Return USD, or None when it is not known, which is said once for each model."""
        price = self.price(usage.provider, usage.model)
        cost = price.cost(usage) if price is not None else None
        if cost is None and (usage.provider, usage.model) not in self._said:
            self._said.add((usage.provider, usage.model))
            log.warning(
                "price.unknown",
                model=f"{usage.provider}:{usage.model}",
                why="not in the price table" if price is None else f"not reported {price.basis}",
                hint="add it to the file that REPARTEE_PRICES names; until then its requests have no cost",
            )
        return cost


class Pricing(Protocol):
    """A price table."""

    version: str

    def cost(self, usage: Usage) -> Decimal | None:
        """Return USD, None when the price is not known."""


def cost_of(prices: Pricing, usage: Usage) -> Decimal | None:
    """Return what a request cost; one that the provider does not charge for costs nothing, whatever its price."""
    return prices.cost(usage) if usage.billed else _NOTHING


def load_prices(override: Path | None = None) -> PriceTable:
    """Return the list prices, with the operator's own over them.

    Args:
        override: A file of the same form; a model in it replaces that model of the list.

    Raises:
        ConfigError: Every problem of a file, one per line: `file:line: sentence`.
    """
    own = Path(__file__).with_name("prices.yaml")
    version, listed = _read(own, own.read_text(encoding="utf-8"))
    if override is None:
        return PriceTable(version, listed)
    text = _text(override)
    theirs_version, theirs = _read(override, text)
    mark = theirs_version or hashlib.sha256(text.encode()).hexdigest()[:8]
    merged = {name: {**listed.get(name, {}), **theirs.get(name, {})} for name in {**listed, **theirs}}
    return PriceTable(f"{version}+{mark}", merged)


def _times(quantity: Decimal | None, usd: Decimal) -> Decimal | None:
    return None if quantity is None else quantity * usd


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise ConfigError(f"{path}: larger than {MAX_FILE_BYTES // 1000} kB; a price table is text")
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        beside = [other.name for other in path.parent.glob("*.y*ml")] if path.parent.is_dir() else []
        raise ConfigError(f"{path}: there is no such price file{nearest(path.name, beside)}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from error


# --- reading, and explaining ----------------------------------------------------------------------------------

Prices: TypeAlias = dict[str, dict[str, Price]]


def _read(path: Path, text: str) -> tuple[str, Prices]:
    node = compose(path, text)
    reader = _Reader()
    if node is None:
        return "", {}
    version, prices = reader.table(node)
    if reader.problems:
        ordered = sorted(reader.problems)
        raise ConfigError("\n".join(f"{path}:{line}: {said}" for line, said in ordered))
    return version, prices


class _Reader:
    """Walks the nodes of a file, so that numbers stay exact and every problem has its line."""

    def __init__(self) -> None:
        self.problems: set[tuple[int, str]] = set()

    def table(self, node: yaml.Node) -> tuple[str, Prices]:
        version, prices = "", Prices()
        for key, value in self._items(node, "a price table", ("version", "providers")):
            if key.value == "version":
                version = self._word(value, "version")
            else:
                providers = self._items(value, "providers", _KNOWN_PROVIDERS)
                prices = {provider.value: self._models(models) for provider, models in providers}
        return version, prices

    def _models(self, node: yaml.Node) -> dict[str, Price]:
        found: dict[str, Price] = {}
        for model, entry in self._items(node, "a provider", None):
            price = self._price(model, entry)
            if price is not None:
                found[model.value] = price
        return found

    def _price(self, model: yaml.ScalarNode, node: yaml.Node) -> Price | None:
        before = len(self.problems)
        given = {key.value: value for key, value in self._items(node, f"the price of '{model.value}'", _KEYS)}
        bases = [basis for basis in BASES if basis in given]
        if len(self.problems) == before and len(bases) != 1:
            self._problem(model, f"'{model.value}' needs one of {', '.join(BASES)}, and one only")
        if len(bases) != 1:
            return None
        usd = self._usd(model, bases[0], given[bases[0]])
        source = self._word(given["source"], "source") if "source" in given else ""
        date = self._date(given["date"]) if "date" in given else dt.date.min
        return Price(bases[0], usd, source, date) if len(self.problems) == before else None

    def _usd(self, model: yaml.ScalarNode, basis: Basis, node: yaml.Node) -> dict[str, Decimal]:
        if basis == "free":
            if self._word(node, "free") != "true":
                self._problem(node, "'free' can only be true; a price of 0 is not the same")
            return {}
        if basis != "per_million_tokens":
            return {basis: self._number(node, basis)}
        parts = {
            key.value: self._number(value, key.value) for key, value in self._items(node, basis, _TOKENS)
        }
        heard = [part for part in parts if part.startswith("audio_")]
        for part in ("in", "out", *(("audio_in", "audio_out") if heard else ())):
            if part not in parts:
                self._problem(node, f"per_million_tokens of '{model.value}' needs '{part}'")
        return parts

    def _items(
        self, node: yaml.Node, what: str, known: tuple[str, ...] | None
    ) -> list[tuple[yaml.ScalarNode, yaml.Node]]:
        if not isinstance(node, yaml.MappingNode):
            self._problem(node, f"{what} is a mapping of names, got '{getattr(node, 'value', '')!s:.40}'")
            return []
        items: dict[str, tuple[yaml.ScalarNode, yaml.Node]] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                self._problem(key, "a key is a name")
            elif key.value in items:
                self._problem(key, f"key '{key.value}' is given twice")
            elif known is not None and key.value not in known:
                self._problem(key, f"unknown key '{key.value}' in {what}{nearest(key.value, known)}")
            else:
                items[key.value] = (key, value)
        return list(items.values())

    def _number(self, node: yaml.Node, name: str) -> Decimal:
        text = self._word(node, name)
        try:
            number = Decimal(text)
        except InvalidOperation:
            number = Decimal("NaN")
        if not number.is_finite() or number < 0:
            self._problem(node, f"'{name}' is a price in USD such as 0.006, got '{text:.40}'")
            return _NOTHING
        return number

    def _date(self, node: yaml.Node) -> dt.date:
        text = self._word(node, "date")
        try:
            return dt.date.fromisoformat(text)
        except ValueError:
            self._problem(node, f"'date' is a day such as 2026-09-29, got '{text:.40}'")
            return dt.date.min

    def _word(self, node: yaml.Node, name: str) -> str:
        if not isinstance(node, yaml.ScalarNode):
            self._problem(node, f"'{name}' is one value")
            return ""
        return str(node.value)

    def _problem(self, node: yaml.Node, said: str) -> None:
        self.problems.add((node.start_mark.line + 1, said))
