"""The figures of a run, and the table that is printed. Pure."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from tests.bench.figures import percentile
from tests.proof.chaos import second
from tests.proof.chaos.history import Line
from tests.proof.chaos.judge import counted, figures, judge, resets
from tests.proof.chaos.limits import LIMITS, Limit
from tests.proof.chaos.wishing import ERASED

_FENCED = re.compile(r"left: fenced")
_REAPPENDED = re.compile(r"re-appending")
_SECOND, _FALLEN_BACK = "answered by the second upstream", "answered by a fallback"
_MESSAGES = "/v1/messages"
EVIDENCE = {"fenced": "worker_pause", "re-appended": "server_rewind", "resets": "server_rewind",
            _SECOND: f"{second.PAIR}_cut", _FALLEN_BACK: f"{second.PAIR}_cut"}  # fmt: skip
"""What must have been seen, if the fault that brings it about was asked for: else `no violations` says nothing."""


@dataclass(slots=True)
class Totals:
    """Everything that was seen, over all rounds."""

    asked: Sequence[str]
    rounds: int = 0
    fired: Counter[str] = field(default_factory=Counter)
    seen: Counter[str] = field(default_factory=Counter)
    figures: dict[str, list[float]] = field(default_factory=dict)
    states: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)

    def add(self, lines: Sequence[Line], logs: Mapping[str, str]) -> list[str]:
        """One round's history, and what its processes said; what it proves wrong."""
        found = judge(lines) + [
            f"{name} met what nobody thought of: {trace}" for name, log in logs.items() for trace in _traces(log)
        ]
        self.rounds += 1
        self.violations += found
        self.fired.update(counted(lines))
        self.seen["generations"] += len({line["gen"] for line in lines if line["did"] == "accepted"})
        self.seen["viewers"] += len({line["viewer"] for line in lines if line["did"] == "opened"})
        self.seen["connections"] += sum(line["did"] == "opened" for line in lines)
        self.seen["events"] += sum(line["did"] == "frame" for line in lines)
        self.seen["cancels"] += sum(line["did"] == "cancelled" for line in lines)
        self.seen["resets"] += resets(lines)
        self.seen["taken back"] += sum(line["did"] == "gone" for line in lines)
        for log in logs.values():
            self.seen["fenced"] += len(_FENCED.findall(log))
            self.seen["re-appended"] += len(_REAPPENDED.findall(log))
        for name, samples in figures(lines).items():
            self.figures.setdefault(name, []).extend(samples)
        for line in lines:
            if line["did"] == "turned_away":
                self.seen["refused" if line["status"] == 429 else "repeats"] += 1
            elif line["did"] == "audit":
                self.seen["audited"] += line["lines"]
            elif line["did"] == "clock":
                self.seen.update({name: int(line.get(name, False)) for name in ("keys", "sealed")})
            elif line["did"] == "record":
                self.states[line["record"]["state"]] += 1
                self.seen[_FALLEN_BACK] += "answered_by" in (line["record"].get("metrics") or {})
            elif line["did"] == "asked":
                self.seen[_SECOND] += sum(_by_second(call) for call in line["calls"])
        return found

    def missing(self, *, effects: bool = True) -> list[str]:
        """Fault kinds that were asked for and never struck, and what should have been seen of them and was not. Whether one
        strike is enough to have effects is the seed's luck: a short run is asked for strikes alone."""
        silent = [f"{kind} never struck" for kind in self.asked if not self.fired[kind]]
        return silent + [
            f"nothing was ever {what}" if what != "resets" else "no viewer was ever reset"
            for what, cause in EVIDENCE.items()
            if effects and cause in self.asked and not self.seen[what]
        ]

    def table(self) -> str:
        """For people."""
        fired = self.fired
        server = ("server_kill", "server_pause", "server_rewind", "coordination_rewind", "client_kill", "client_pause")
        refusing = ("memory_full", "misconf", "noreplicas")
        rows = [
            ("rounds", self.rounds),
            ("generations accepted", f"{self.seen['generations']} ({_counts(self.states)})"),
            ("viewers", f"{self.seen['viewers']}, {self.seen['connections']} connections, {self.seen['events']} events"),
            ("cancels", self.seen["cancels"]),
            ("fault kinds asked for / seen", f"{len(self.asked)} / {sum(fired[kind] > 0 for kind in self.asked)}"),
            ("worker kills", fired["worker_kill"] + fired["server_rewind"]),
            ("worker kills inside a tool, between rounds",
             f"{fired['worker_kill_in_tool']}, {fired['worker_kill_between_rounds']}"),
            ("worker pauses past the lease", fired["worker_pause"]),
            ("worker hand-overs", fired["worker_term"]),
            ("API kills, pauses, hand-overs", f"{fired['api_kill']}, {fired['api_pause']}, {fired['api_term']}"),
            ("server faults", f"{sum(fired[kind] for kind in server)} ({_counts({k: fired[k] for k in server})})"),
            ("server refuses writes", f"{sum(fired[kind] for kind in refusing)} ({_counts({k: fired[k] for k in refusing})})"),
            ("leases left an hour ahead", fired["clock_back"]),
            ("keys revoked, rotated", f"{fired['key_revoke']}, {fired['key_rotate']}"),
            ("view links followed, expired, revoked",
             f"{fired['link_view']}, {fired['link_expire']}, {fired['link_revoke']}"),
            ("races at a limit, submits refused", f"{fired['limit_race']}, {self.seen['refused']}"),
            ("overloads of an upstream", fired["overloaded"]),
            ("generations erased", f"{sum(fired[f'erase_{how}'] for how in ERASED)}, {self.seen['repeats']} repeats refused"),
            ("rounds with keys, sealed", f"{self.seen['keys']}, {self.seen['sealed']}"),
            ("lines of audit logs", self.seen["audited"]),
            ("network faults", sum(n for kind, n in fired.items() if kind.startswith(("api_redis", "worker_redis",
                                                                                      "worker_upstream")))),
            ("upstream faults", sum(n for kind, n in fired.items() if kind.startswith("upstream_"))),
            ("calls answered by the second upstream, generations by a fallback",
             f"{self.seen[_SECOND]}, {self.seen[_FALLEN_BACK]}"),
            ("attempts fenced", self.seen["fenced"]),
            ("tails re-appended", self.seen["re-appended"]),
            ("viewers reset", self.seen["resets"]),
            ("accepted in a second that was taken back", self.seen["taken back"]),
            *((_name(LIMITS[name]), _spread(samples)) for name, samples in self.figures.items()),
            ("violations", len(self.violations)),
        ]  # fmt: skip
        width = max(len(name) for name, _ in rows)
        return "\n".join(f"{name:<{width}}  {value}" for name, value in rows)


def _by_second(call: Mapping[str, object]) -> bool:
    return call["status"] == 200 and call.get("path", _MESSAGES) != _MESSAGES


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {number}" for name, number in sorted(counts.items()) if number)


def _name(limit: Limit) -> str:
    return f"{limit.what} (p50 ≤ {limit.promised:g} s, p99 ≤ {limit.at_most:g} s)"


def _spread(samples: Sequence[float]) -> str:
    shown = " · ".join(f"{name} {percentile(samples, p):.2f} s" for name, p in (("p50", 0.5), ("p99", 0.99)))
    return f"{shown} · max {max(samples):.2f} s (n = {len(samples)})"


def _traces(log: str) -> list[str]:
    """The last line of each traceback, of several that were chained the last one's, but for uvicorn's word for a request that
    still waited for a Redis which was away when the time to end was over."""
    whole = _CHAINED.sub("", log)
    last = [part.strip().splitlines()[-1] for part in re.findall(r"Traceback.*?\n(?=\S)[^\n]*", whole, re.DOTALL)]
    return [line for line in last if "timeout graceful shutdown exceeded" not in line]


_CHAINED: Final = re.compile(
    r"^\S[^\n]*\n\n(?:During handling of the above|The above exception was the direct)[^\n]*\n\nTraceback[^\n]*\n",
    re.MULTILINE,
)
