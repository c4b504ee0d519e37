"""One failover, and what it proves: viewers are ahead of the replica when it is promoted, the worker lives on, sleeps through
it, or has died too."""

import signal
import time
from dataclasses import dataclass
from typing import Final, Literal

from tests.harness.stack import Stack, until
from tests.proof.failover.pair import Pair
from tests.system.faults.watching import Watched, Watcher, watch

Fate = Literal["lives", "sleeps", "dies", "unclaimed"]
"""`lives`: the worker writes its tail again, as soon as it may. `sleeps`: viewers are there before it, and are told of the gap.
`dies`: nobody has the tail any more, and another worker goes on. `unclaimed`: it lives, but the replica knows nothing of its
claim: all that was written is lost for good, and somebody must begin again."""
FATES: Final[tuple[Fate, ...]] = ("lives", "sleeps", "dies", "unclaimed")

LEASE: Final = 3.0
"""Of a failover's stack, in seconds: longer than lag and promotion together, as the default is."""
_AHEAD: Final = 5
"""Entries that every viewer has and the replica lacks, at least."""
_HEALED: Final = LEASE + 12.0
_RE_APPENDING: Final = "re-appending"


Id = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Result:
    """`ahead`: how many entries each viewer had that the replica lacked. `gaps`: how many viewers were told of one, of all.
    `re_appended`: how often a worker wrote a lost tail again. `seconds`: from the promotion until each viewer had an entry
    that it had not had before. `attempts`: how many each generation took."""

    fate: Fate
    lag: float
    ahead: list[int]
    gaps: int
    re_appended: int
    seconds: list[float]
    attempts: list[int]
    wrong: list[str]


def run(
    stack: Stack, pair: Pair, fate: Fate, *, lag: float, dark: float, generations: int = 2, tokens: int = 150
) -> Result:
    """Needs one worker that runs, and leaves one."""
    pair.follow()
    worker = next(child for child in stack.workers if child.running)
    said = worker.log.count(_RE_APPENDING)
    pair.lag(lag)
    model = f"sim-1?ttft_ms=20&tps=50&tokens={tokens}"
    if fate == "unclaimed":
        worker.signal(signal.SIGSTOP)
    watched = [watch(stack, model, viewers=2) for _ in range(generations)]
    if fate == "unclaimed":
        until(lambda: all(pair.knows(each.id) for each in watched), "the replica knows of all of them")
        worker.signal(signal.SIGCONT)
        until(lambda: all(each.texts >= _AHEAD for each in watched), "text comes")
    else:
        until(lambda: _ahead(pair, watched), "every viewer is ahead of a replica that knows of its text", 20)

    if fate == "dies":
        worker.kill()
    elif fate == "sleeps":
        worker.signal(signal.SIGSTOP)
    pair.lose_primary()
    time.sleep(dark)
    known = pair.last_ids([each.id for each in watched])
    moment = pair.promote()
    had = {watcher: _ids(watcher, until_=moment) for each in watched for watcher in each.watchers}
    if fate == "sleeps":
        until(lambda: all(map(_gaps, had)), "every viewer is told of the gap", _HEALED)
        worker.signal(signal.SIGCONT)
    elif fate == "dies":
        stack.add_worker()
    wrong, attempts = _judged(watched)
    ahead = [sum(id_ > last for id_ in had[watcher]) for each, last in zip(watched, known, strict=True)
             for watcher in each.watchers]  # fmt: skip
    again = [_first_new(watcher, max(ids), moment) - moment for watcher, ids in had.items()]
    re_appended = worker.log.count(_RE_APPENDING) - said
    return Result(fate, lag, ahead, sum(map(_gaps, had)), re_appended, again, attempts, wrong)


def _ahead(pair: Pair, watched: list[Watched]) -> bool:
    """Whether the replica knows of some text of every generation, and every viewer has much more."""
    known = pair.last_ids([each.id for each in watched])
    return all(
        last[1] > _AHEAD and sum(id_ > last for id_ in _ids(watcher)) >= _AHEAD
        for each, last in zip(watched, known, strict=True)
        for watcher in each.watchers
    )


def _judged(watched: list[Watched]) -> tuple[list[str], list[int]]:
    """What is wrong with what viewers have in the end; and the attempts."""
    wrong, attempts = [], []
    for each in watched:
        try:
            record = each.verdict(_HEALED + 10)
            attempts.append(record["attempt"])
            if record["state"] != "completed":
                wrong.append(f"{each.id}: {record['state']}, {record['error']}")
        except AssertionError as error:
            wrong.append(f"{each.id}: {error}")
    return wrong, attempts


def _ids(watcher: Watcher, until_: float = float("inf")) -> list[Id]:
    found = [frame.id.split("-") for at, frame in list(watcher.seen) if frame.id is not None and at <= until_]
    return [(int(attempt), int(seq)) for attempt, seq in found]


def _gaps(watcher: Watcher) -> bool:
    return any(frame.type == "gap" for frame in watcher.frames)


def _first_new(watcher: Watcher, last: Id, moment: float) -> float:
    """When it got the first entry behind its last one; never, if the judge has found worse."""
    seen = ((at, frame.id.split("-")) for at, frame in list(watcher.seen) if frame.id is not None and at > moment)
    return next((at for at, (attempt, seq) in seen if (int(attempt), int(seq)) > last), float("inf"))
