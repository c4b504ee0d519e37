"""A circuit breaker: whether what is overloaded is called at all. Pure; the scripts of upstreams' budgets do the same in Redis.

    closed ── `failures` overloads of late, half of the calls or more ──▶ open
    open   ── its pause is over, somebody asks ──▶ half open: that one call is the probe, all others wait
    half open ── the probe is answered ──▶ closed
              ── the probe finds it overloaded ──▶ open, for twice as long
              ── the probe fails in another way ──▶ open, for as long again
              ── the probe was broken off, or nobody knows of it any more ──▶ the next that asks is the probe

"Of late" is this half of a window and the one before. What others than the probe find while it is open was asked before that,
and does not count.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Final, Literal

Found = Literal["answered", "overloaded", "failed", "gone"]
"""What a call has found: any answer but an overload; one; none; it was broken off by us."""
State = Literal["closed", "open", "half_open"]

HALF_WINDOW_MS: Final = 15_000
LONGEST_PAUSE_MS: Final = 60_000


@dataclass(frozen=True, slots=True)
class Rules:
    """How many overloads open it (0: none does), and for how long at first."""

    failures: int = 10
    pause_ms: int = 5_000


@dataclass(slots=True)
class Counts:
    """Calls and overloads in this half of a window, which began at `since_ms`, and in the one before."""

    since_ms: float = 0.0
    calls: int = 0
    failures: int = 0
    calls_before: int = 0
    failures_before: int = 0

    def add(self, now_ms: float, calls: int, failures: int) -> None:
        age = now_ms - self.since_ms
        if age >= HALF_WINDOW_MS:
            near = age < 2 * HALF_WINDOW_MS
            self.calls_before, self.failures_before = (self.calls, self.failures) if near else (0, 0)
            self.since_ms, self.calls, self.failures = now_ms, 0, 0
        self.calls += calls
        self.failures += failures

    def too_many(self, failures: int) -> bool:
        failed = self.failures + self.failures_before
        return 0 < failures <= failed and 2 * failed >= self.calls + self.calls_before


@dataclass(slots=True)
class Breaker:
    """`now_ms` is of one clock, and `probe_ms` how long a probe counts without a sign of life."""

    rules: Rules
    pause_ms: int = 0
    """For how long it opened last; 0: it is closed."""
    until_ms: float = 0.0
    probe: str = ""
    probe_until_ms: float = 0.0
    counts: Counts = field(default_factory=Counts)

    def state(self, now_ms: float) -> State:
        if not self.pause_ms:
            return "closed"
        return "half_open" if self.probe and now_ms < self.probe_until_ms else "open"

    def wait_ms(self, now_ms: float) -> float:
        """How long until somebody may call; 0 if whoever asks may. A probe's end nobody knows: then it is when it lapses."""
        match self.state(now_ms):
            case "closed":
                return 0.0
            case "open":
                return max(0.0, self.until_ms - now_ms)
        return self.probe_until_ms - now_ms

    def granted(self, call: str, now_ms: float, probe_ms: float) -> bool:
        """`call` is made, having waited for nothing; whether it is the probe."""
        if self.pause_ms:
            self.probe, self.probe_until_ms = call, now_ms + probe_ms
        return bool(self.pause_ms)

    def held(self, calls: Collection[str], until_ms: float) -> None:
        """These calls go on; so does the probe, if it is one of them."""
        if self.probe in calls:
            self.probe_until_ms = until_ms

    def found(self, call: str, found: Found, now_ms: float, *, before: int = 0, retry_ms: float = 0.0) -> None:
        """What a call has found; `before`: so many others were answered, of which nothing was said; `retry_ms`: the upstream
        asked not to be called for so long."""
        if self.pause_ms:
            if call == self.probe:
                self._probed(found, now_ms, retry_ms)
            return
        if found in ("answered", "overloaded") or before:
            told = found in ("answered", "overloaded")
            self.counts.add(now_ms, before + told, int(found == "overloaded"))
        if found == "overloaded" and self.counts.too_many(self.rules.failures):
            self._open(self.rules.pause_ms, now_ms, retry_ms)

    def _probed(self, found: Found, now_ms: float, retry_ms: float) -> None:
        match found:
            case "answered":
                self.pause_ms, self.counts = 0, Counts(now_ms)
            case "overloaded":
                self._open(min(2 * self.pause_ms, LONGEST_PAUSE_MS), now_ms, retry_ms)
            case "failed":
                self._open(self.pause_ms, now_ms, retry_ms)
        self.probe, self.probe_until_ms = "", 0.0

    def _open(self, pause_ms: int, now_ms: float, retry_ms: float) -> None:
        self.pause_ms, self.until_ms, self.probe = pause_ms, now_ms + max(pause_ms, retry_ms), ""
