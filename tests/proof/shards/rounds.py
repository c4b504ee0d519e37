"""Some generations, people who watch them, and one event after another; what that proves, and who got nothing for how long."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from broker import keys
from tests.harness.clusters import EVENTS, EmbeddedCluster, Node
from tests.harness.stack import Stack, until
from tests.system.faults.watching import Watched, Watcher, watch

GENERATIONS: Final = 9
LEASE: Final = 30
"""Seconds: longer than a failover takes on a busy machine, so that the same worker goes on."""
_MODEL: Final = "sim-1?ttft_ms=20&tps=40&tokens={tokens}"
_TOKENS_A_SECOND: Final = 40
_SECONDS_FOR_EACH: Final = 5
_AFTER: Final = 1.0
"""Seconds behind an event in which a viewer may still get nothing for its sake."""
_VERDICT: Final = 120.0


@dataclass(frozen=True, slots=True)
class Result:
    """`struck` and `others`: the longest time that each viewer got nothing, in seconds, by whether its log was on the server
    that the event befell."""

    event: str
    seconds: float
    struck: list[float]
    others: list[float]


@dataclass(frozen=True, slots=True)
class Round:
    """What one round's events did, how many gaps its viewers were told of, and what is wrong with what they had in the end."""

    results: list[Result]
    gaps: int
    wrong: list[str]


def run(stack: Stack, cluster: EmbeddedCluster, events: Sequence[str]) -> Round:
    """Lets these happen, in turn, while generations stream."""
    tokens = _TOKENS_A_SECOND * _SECONDS_FOR_EACH * len(events)
    watched = [watch(stack, _MODEL.format(tokens=tokens), viewers=1) for _ in range(GENERATIONS)]
    for each in watched:
        each.runs()
    results = [_strike(cluster, event, watched) for event in events]
    gaps = 0
    wrong = []
    for each in watched:
        try:
            record = each.verdict(_VERDICT)
            if record["state"] != "completed":
                wrong.append(f"{each.id}: {record['state']}, {record['error']}")
        except AssertionError as error:
            wrong.append(f"{each.id}: {error}")
        gaps += sum(frame.type == "gap" for watcher in each.watchers for frame in watcher.frames)
    until(cluster.whole, "the cluster is whole again", 60)
    return Round(results, gaps, wrong)


def _strike(cluster: EmbeddedCluster, event: str, watched: list[Watched]) -> Result:
    """Befalls the server of the first generation that still runs."""
    until(cluster.whole, "the cluster is whole", 60)
    at = {each.id: cluster.primary_of(keys.record(each.id)) for each in watched}
    one = next((each for each in watched if not each.watchers[0].ended), watched[0])
    began = time.monotonic()
    EVENTS[event](cluster, one.id)
    ended = time.monotonic()
    until(lambda: all(_more_since(watcher, ended) for each in watched for watcher in each.watchers), "all get more", 60)
    time.sleep(_AFTER)
    by_node = [(_silence(watcher, began, ended + _AFTER), at[each.id]) for each in watched for watcher in each.watchers]
    return Result(event, ended - began, _of(by_node, at[one.id], same=True), _of(by_node, at[one.id], same=False))


def _of(silences: list[tuple[float, Node]], node: Node, *, same: bool) -> list[float]:
    return [silence for silence, its in silences if (its is node) == same]


def _more_since(watcher: Watcher, moment: float) -> bool:
    return watcher.ended or watcher.seen[-1][0] > moment


def _silence(watcher: Watcher, begin: float, end: float) -> float:
    """The longest time between two frames that it got, or the beginning and the first, as far as it is in this window."""
    times = [begin, *(at for at, _ in list(watcher.seen) if begin < at < end)]
    return max((later - earlier for earlier, later in pairwise(times)), default=0.0)
