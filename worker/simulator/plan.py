"""Which answer a model's name asks for: `sim-1?tps=50&tokens=400&fail=cut&at=7` becomes a Plan."""

import math
import re
from dataclasses import dataclass
from typing import Literal, cast
from urllib.parse import parse_qsl

import orjson

from worker.simulator.refused import Refused

BlockKind = Literal["text", "thinking", "tool"]

STATUS_FAULTS = frozenset({"400", "401", "403", "404", "413", "429", "500", "529"})
STREAM_FAULTS = frozenset({"cut", "fin", "stall", "stall_pings", "eof", "json", "utf8", "error"})
FAULTS = STATUS_FAULTS | STREAM_FAULTS | {"slow_headers"}
MAX_TOKENS = 100_000
MAX_SECONDS = 3600.0
MAX_ROUNDS = 1000
MAX_CALLS = 64
MAX_LIMIT = 10**9

_TOOL_NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}")
# A version is one or two short numbers; -20250514 behind it is a date, not a minor version.
_CLAUDE_VERSION = re.compile(r"claude-(?:[a-z]+-)*(\d{1,2})(?:[-.](\d{1,2}))?(?!\d)")
_KNOWN = frozenset(
    (
        "ttft_ms",
        "tps",
        "tokens",
        "jitter",
        "seed",
        "thinking",
        "tool",
        "tools",
        "calls",
        "input",
        "citations",
        "refuse",
        "echo",
        "pings",
        "stamp",
        "prefill",
        "fail",
        "at",
        "in",
        "times",
        "retry_after",
        "rpm",
        "tpm",
        "concurrent",
    )
)


@dataclass(frozen=True, slots=True)
class Fault:
    """One way to fail: `at` counts the tokens of block kind `block`; `times` None means on every request."""

    kind: str
    at: int = 10
    block: BlockKind = "text"
    times: int | None = None
    retry_after: float | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """What the model's name said. Durations in seconds; None where the request itself decides."""

    model: str
    simulated: bool = True
    ttft: float = 0.2
    tps: float = 40.0
    tokens: int = 120
    jitter: float = 0.0
    seed: int | None = None
    thinking: bool | None = None
    tool: str | None = None
    rounds: int = 0
    calls: int = 1
    input: dict[str, object] | None = None
    citations: bool = False
    refuse: bool = False
    echo: bool = False
    pings: float = 0.0
    stamp: bool = False
    prefill: bool = True
    rpm: int = 0
    tpm: int = 0
    concurrent: int = 0
    fault: Fault | None = None

    @property
    def interval(self) -> float:
        """Mean seconds between two tokens; 0.0 means none."""
        return 1 / self.tps if self.tps else 0.0


def accepts_prefill(name: str) -> bool:
    """True where the real API continues a trailing assistant message: Claude up to 4.5, and every name not Claude's.

    A Claude name without a version (`claude-mythos-preview`) is younger than that rule; `claude-instant-1` is older.
    """
    if not name.startswith("claude"):
        return True
    version = _CLAUDE_VERSION.match(name)
    return version is not None and (int(version[1]), int(version[2] or 0)) <= (4, 5)


def parse_model(model: str) -> Plan:
    """The plan for a model's name. Raises Refused(400) for an unknown parameter or a value out of range."""
    name, _, query = model.partition("?")
    given = _Given(dict(parse_qsl(query, keep_blank_values=True)))
    unknown = given.values.keys() - _KNOWN
    if unknown:
        raise Refused(
            400, f"model: unknown simulator parameter {min(unknown)!r}, known are: {', '.join(sorted(_KNOWN))}"
        )
    return Plan(
        model=model,
        simulated=not name.startswith("sim"),
        ttft=given.number("ttft_ms", 200.0, MAX_SECONDS * 1000) / 1000,
        tps=given.number("tps", 40.0, 1e6),
        tokens=given.integer("tokens", 120, MAX_TOKENS),
        jitter=given.number("jitter", 0.0, 1.0),
        seed=given.integer("seed", 0, 2**63) if "seed" in given.values else None,
        thinking=given.flag("thinking") if "thinking" in given.values else None,
        tool=given.tool(),
        rounds=given.integer("tools", 0, MAX_ROUNDS),
        calls=given.integer("calls", 1, MAX_CALLS),
        input=given.object("input"),
        citations=given.flag("citations"),
        refuse=given.flag("refuse"),
        echo=given.flag("echo"),
        pings=given.integer("pings", 0, int(MAX_SECONDS) * 1000) / 1000,
        stamp=given.flag("stamp"),
        prefill=given.flag("prefill") if "prefill" in given.values else accepts_prefill(name),
        rpm=given.integer("rpm", 0, MAX_LIMIT),
        tpm=given.integer("tpm", 0, MAX_LIMIT),
        concurrent=given.integer("concurrent", 0, MAX_LIMIT),
        fault=given.fault(),
    )


@dataclass(frozen=True, slots=True)
class _Given:
    """The parameters as written; each method reads one of them or refuses."""

    values: dict[str, str]

    def number(self, key: str, default: float, most: float) -> float:
        try:
            value = float(self.values.get(key, default))
        except ValueError:
            value = math.nan
        if not 0 <= value <= most:  # false for NaN too
            raise Refused(400, f"model: {key} must be a number from 0 to {most:g}")
        return value

    def integer(self, key: str, default: int, most: int) -> int:
        written = self.values.get(key, str(default))
        if not re.fullmatch(r"[0-9]{1,19}", written) or int(written) > most:
            raise Refused(400, f"model: {key} must be an integer from 0 to {most}")
        return int(written)

    def flag(self, key: str) -> bool:
        return self.integer(key, 0, 1) == 1

    def tool(self) -> str | None:
        name = self.values.get("tool")
        if name is not None and not _TOOL_NAME.fullmatch(name):
            raise Refused(400, f"model: tool must match {_TOOL_NAME.pattern}")
        return name

    def object(self, key: str) -> dict[str, object] | None:
        """A JSON object."""
        if key not in self.values:
            return None
        try:
            value = orjson.loads(self.values[key])
        except orjson.JSONDecodeError:
            value = None
        if not isinstance(value, dict):
            raise Refused(400, f"model: {key} must be a JSON object")
        return value

    def fault(self) -> Fault | None:
        """The fault, or None; where there is none its parameters must make sense all the same."""
        kind = self.values.get("fail")
        if kind is not None and kind not in FAULTS:
            raise Refused(400, f"model: fail must be one of {', '.join(sorted(FAULTS))}")
        block = self.values.get("in", "text")
        if block not in ("text", "thinking", "tool"):
            raise Refused(400, "model: in must be text, thinking or tool")
        fault = Fault(
            kind=kind or "",
            at=self.integer("at", 10, MAX_TOKENS),
            block=cast(BlockKind, block),
            times=self.integer("times", 0, MAX_TOKENS) if "times" in self.values else None,
            retry_after=self.number("retry_after", 0.0, 1e6) if "retry_after" in self.values else None,
        )
        return fault if kind is not None else None
