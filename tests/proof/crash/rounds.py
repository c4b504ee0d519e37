"""One crash at the moment at which strict ends are shown, and how many of these it takes back."""

import time
from dataclasses import dataclass

import redis

from broker import keys
from tests.harness.stack import Stack, until
from tests.proof.crash.server import ForgetfulServer
from tests.system.faults.watching import Watched, watch

_MODEL = "sim-1?ttft_ms=20&tps=200&tokens=40"
_HEALED = 60.0


@dataclass(frozen=True, slots=True)
class Result:
    """`shown`: ends that viewers had when Redis was killed. `taken_back`: those among them that it came back without.
    `lost`: bytes of the file that had not been synced. `waits`: ms from each end's being written to its being shown."""

    shown: int
    taken_back: int
    lost: int
    waits: list[float]


def run(stack: Stack, server: ForgetfulServer, generations: int) -> Result:
    """Needs a stack that is well, and leaves one. Fails if a viewer gets anything that it should not."""
    watched = [watch(stack, _MODEL, viewers=1, durability="strict") for _ in range(generations)]
    until(lambda: sum(map(_ended, watched)) > generations // 2, "ends are shown", 30)
    lost = server.crash()
    shown = [each for each in watched if _ended(each)]
    for each in watched:  # the others may have been lost whole: they were accepted a second ago
        each.watchers[0].stop()
    server.start()
    with redis.Redis.from_url(server.url) as client:
        ends = [client.hget(keys.record(each.id), "terminal_id") for each in shown]
    taken_back = sum(
        end is None or end.decode() != each.watchers[0].frames[-1].id for each, end in zip(shown, ends, strict=True)
    )
    if not taken_back:
        for each in shown:
            each.verdict(_HEALED)
    return Result(len(shown), taken_back, lost, [_wait_ms(each) for each in shown])


def _ended(watched: Watched) -> bool:
    return watched.watchers[0].ended


def _wait_ms(watched: Watched) -> float:
    """An end's id begins with the moment, by Redis's clock, at which it was written."""
    seen, frame = watched.watchers[0].seen[-1]
    wall = time.time() - time.monotonic() + seen
    return wall * 1000 - int(str(frame.id).partition("-")[0])
