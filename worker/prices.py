"""What tokens cost, by the file that the operator gives (RESPOOL_PRICES), and what a generation has cost. Pure but for reading.

Amounts are whole numbers of 10⁻¹² of the currency: a price for a million tokens has at most six decimals, so that no sum is
ever rounded.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final, Self

import orjson

_KINDS: Final = ("input", "output", "cache_read", "cache_write", "cache_write_1h")
_REQUIRED: Final = frozenset(("input", "output", "currency"))
_CURRENCY: Final = re.compile(r"[A-Z]{3}")
_UNIT: Final = 10**12
_MOST: Final = Decimal(1_000_000)


class BadPrices(Exception):
    """The file cannot be used; the text names it, and says why."""


@dataclass(frozen=True, slots=True)
class Price:
    """Of one token of each kind, in 10⁻¹² of the currency."""

    input: int
    output: int
    cache_read: int
    cache_write: int
    cache_write_1h: int

    def of(self, usage: Mapping[str, object]) -> int:
        """What these tokens cost."""
        written = _count(usage, "cache_creation_input_tokens")
        split = usage.get("cache_creation")
        for_an_hour = min(written, _count(split, "ephemeral_1h_input_tokens")) if isinstance(split, dict) else 0
        return (
            _count(usage, "input_tokens") * self.input
            + _count(usage, "output_tokens") * self.output
            + _count(usage, "cache_read_input_tokens") * self.cache_read
            + (written - for_an_hour) * self.cache_write
            + for_an_hour * self.cache_write_1h
        )


@dataclass(frozen=True, slots=True)
class Prices:
    """By patterns of models' names, the first that fits counts; all in one currency."""

    currency: str
    by_pattern: tuple[tuple[str, Price], ...]

    @classmethod
    def read(cls, path: Path) -> Self:
        """Raises BadPrices."""
        try:
            return cls.parse(path.read_text())
        except (OSError, UnicodeDecodeError) as error:
            raise BadPrices(f"RESPOOL_PRICES: {path} cannot be read: {error}") from None
        except BadPrices as error:
            raise BadPrices(f"RESPOOL_PRICES: {path}: {error}") from None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises BadPrices."""
        try:
            rows = json.loads(text, parse_float=Decimal, parse_int=Decimal, object_pairs_hook=_unique)
        except json.JSONDecodeError as error:
            raise BadPrices(f"it is not JSON: line {error.lineno}, column {error.colno}") from None
        if not isinstance(rows, dict) or not rows:
            raise BadPrices("it must be an object, from patterns of models' names to prices")
        currencies = {pattern: _currency(pattern, row) for pattern, row in rows.items()}
        if len(set(currencies.values())) > 1:
            raise BadPrices("its currencies differ: sums of them would say nothing")
        return cls(
            next(iter(currencies.values())), tuple((pattern, _price(pattern, rows[pattern])) for pattern in rows)
        )

    def of(self, model: str) -> Price | None:
        """None where no pattern fits."""
        return next((price for pattern, price in self.by_pattern if fnmatchcase(model, pattern)), None)


class Bill:
    """What a generation has cost, over its attempts and calls. `before` is what earlier attempts have cost, as its record has
    it; None where that is unknown: then it stays so."""

    def __init__(self, prices: Prices | None, before: bytes | None) -> None:
        self._prices = prices
        self._settled: int | None = None
        if prices is not None and before is not None:
            self._settled = _amount(before, prices.currency)
        self._now = self._settled
        self._price: Price | None = None

    def calls(self, model: str) -> None:
        """The upstream is called: what was shown so far is over."""
        self._settled = self._now
        self._price = None if self._prices is None else self._prices.of(model)

    def shows(self, usage: Mapping[str, object]) -> bytes:
        """The cost of all so far, JSON, where this call has used so much; empty if it is unknown."""
        if self._settled is None or self._price is None or self._prices is None:
            self._now = None
            return b""
        self._now = self._settled + self._price.of(usage)
        return orjson.dumps({"amount": written(self._now), "currency": self._prices.currency})


def written(amount: int) -> str:
    """The amount as a decimal number, without zeros at its end."""
    whole, rest = divmod(amount, _UNIT)
    return f"{whole}.{rest:012d}".rstrip("0").rstrip(".")


def _amount(cost: bytes, currency: str) -> int | None:
    """Of a record's cost; nothing has been spent where it is empty. None in another currency."""
    if not cost:
        return 0
    said = orjson.loads(cost)
    return int(Decimal(said["amount"]) * _UNIT) if said["currency"] == currency else None


def _count(usage: Mapping[str, object], name: str) -> int:
    value = usage.get(name)
    return value if isinstance(value, int) else 0


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise BadPrices("a name is there twice")
    return found


def _currency(pattern: str, row: object) -> str:
    if not isinstance(row, dict) or not _REQUIRED <= row.keys() <= _REQUIRED | set(_KINDS):
        raise BadPrices(
            f"{pattern!r} must have input, output and currency, and may have cache_read, cache_write, cache_write_1h"
        )
    currency = row["currency"]
    if not isinstance(currency, str) or not _CURRENCY.fullmatch(currency):
        raise BadPrices(f"{pattern!r}: currency must be three capital letters")
    return currency


def _price(pattern: str, row: Mapping[str, object]) -> Price:
    """What is not given costs as input does; an hour's cache as that of minutes."""
    found = {kind: _per_token(pattern, kind, row[kind]) for kind in _KINDS if kind in row}
    write = found.get("cache_write", found["input"])
    return Price(
        found["input"],
        found["output"],
        found.get("cache_read", found["input"]),
        write,
        found.get("cache_write_1h", write),
    )


def _per_token(pattern: str, kind: str, value: object) -> int:
    if not isinstance(value, Decimal) or not 0 <= value <= _MOST:
        raise BadPrices(f"{pattern!r}: {kind} must be a number from 0 to {_MOST}, for a million tokens")
    scaled = value * 1_000_000
    if scaled != int(scaled):
        raise BadPrices(f"{pattern!r}: {kind} has more than six decimals")
    return int(scaled)
