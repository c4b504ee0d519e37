"""`python -m tests.proof.shards --events 40 --seed 1`: slots move, primaries are replaced, die, freeze, the cluster grows and
shrinks, again and again, two events a round; exit code 0 if nothing that viewers saw proves a promise broken."""

import argparse
import random
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

from tests.harness.clusters import EVENTS, EmbeddedCluster
from tests.harness.stack import Stack
from tests.proof.shards.rounds import LEASE, Result, run

_A_ROUND = 2
_HEAD = (
    "| | times | took p50 | silent, of that server: p50 / p99 / longest | silent, of others: p50 / p99 / longest |\n"
    + "|---" * 5
    + "|"
)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.proof.shards", description=__doc__)
    parser.add_argument("--events", type=int, default=12)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    rng = random.Random(options.seed)
    left: list[str] = []
    while len(left) < options.events:
        left += rng.sample(list(EVENTS), len(EVENTS))
    del left[options.events :]
    results: dict[str, list[Result]] = defaultdict(list)
    gaps, wrong = 0, list[str]()
    with (
        tempfile.TemporaryDirectory(prefix="respool-shards-") as folder,
        EmbeddedCluster(Path(folder)) as cluster,
        Stack(apis=2, workers=2, lease=LEASE, pickup_grace=1, logs_url=cluster.url) as stack,
    ):
        while left:
            events, left = left[:_A_ROUND], left[_A_ROUND:]
            done = run(stack, cluster, events)
            gaps, wrong = gaps + done.gaps, wrong + done.wrong
            for each in done.results:
                results[each.event].append(each)
                print(f"{len(left):4} left: {_told(each)}, {len(done.wrong)} violations", file=sys.stderr, flush=True)
        re_appended = sum(worker.log.count("re-appending") for worker in stack.workers)
    print(_HEAD, *(_row(event, results[event]) for event in EVENTS if event in results), sep="\n")
    viewers = sum(len(each.struck) + len(each.others) for rows in results.values() for each in rows)
    print(
        f"\n{viewers} times a viewer was watched, {gaps} gaps told, {re_appended} tails re-appended, {len(wrong)} violations"
    )
    for violation in wrong:
        print(f"VIOLATION {violation[:2000]}")
    return 1 if wrong else 0


def _told(each: Result) -> str:
    struck, others = (max(silences, default=0.0) for silences in (each.struck, each.others))
    return f"{each.event}: {each.seconds:.2f} s, silent {struck:.2f} s, others {others:.2f} s"


def _row(event: str, rows: list[Result]) -> str:
    took = sorted(each.seconds for each in rows)
    struck = sorted(silence for each in rows for silence in each.struck)
    others = sorted(silence for each in rows for silence in each.others)
    return f"| {event} | {len(rows)} | {_quantile(took, 0.5):.2f} s | {_spread(struck)} | {_spread(others)} |"


def _spread(ordered: list[float]) -> str:
    return " / ".join(f"{_quantile(ordered, share):.2f}" for share in (0.5, 0.99, 1.0)) + " s"


def _quantile(ordered: list[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


if __name__ == "__main__":
    sys.exit(main())
