"""`python -m tests.proof.failover --rounds 30 --seed 1`: fails over again and again, with a replica that lags differently; exit
code 0 if nothing that viewers saw proves a promise broken, and every kind of round proved something."""

import argparse
import random
import sys
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from tests.harness.stack import Stack
from tests.proof.failover.pair import Pair
from tests.proof.failover.rounds import FATES, LEASE, Fate, Result, run

_LAGS = (0.2, 1.2)
_DARK = 0.6
_WHAT = {"lives": "lives", "sleeps": "comes after the viewers", "dies": "has died too",
         "unclaimed": "had only just claimed"}  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.proof.failover", description=__doc__)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--fate", choices=FATES, help="what becomes of the worker; without it, all in turn")
    options = parser.parse_args()
    results: dict[Fate, list[Result]] = defaultdict(list)
    with (
        tempfile.TemporaryDirectory(prefix="respool-failover-") as folder,
        Pair(Path(folder)) as pair,
        Stack(apis=2, server=pair.front, lease=LEASE, pickup_grace=1) as stack,
    ):
        rng = random.Random(options.seed)
        for number in range(options.rounds):
            lag, dark = rng.uniform(*_LAGS), rng.uniform(0, _DARK)
            result = run(stack, pair, options.fate or FATES[number % len(FATES)], lag=lag, dark=dark)
            results[result.fate].append(result)
            print(f"{number + 1:3} promoted after {dark:.2f} s, {_told(result)}", file=sys.stderr, flush=True)
    every = [result for rows in results.values() for result in rows]
    print(_HEAD, *(_row(_WHAT[fate], results[fate]) for fate in results), _row("all", every), sep="\n")
    wrong = [f"VIOLATION {each[:2000]}" for result in every for each in result.wrong]
    wrong += [] if options.fate else _proves_nothing(every)
    for each in wrong:
        print(each)
    return 1 if wrong else 0


def _proves_nothing(every: Sequence[Result]) -> list[str]:
    there = {
        "no viewer was ahead of the replica": any(sum(result.ahead) for result in every),
        "no viewer was told of a gap": any(result.gaps for result in every),
        "no tail was written again": any(result.re_appended for result in every),
    }
    return [f"proves nothing: {what}" for what, found in there.items() if not found]


_HEAD = (
    "| the worker | failovers | viewers | entries ahead | gaps told | tails re-appended | again p50 / p99 | violations |\n"
    + ("|---" * 8 + "|")
)


def _told(result: Result) -> str:
    slowest = max(result.seconds, default=0.0)
    return (
        f"lag {result.lag:.2f} s, the worker {_WHAT[result.fate]}: "
        f"viewers {min(result.ahead)} to {max(result.ahead)} entries ahead, {result.gaps} gaps, "
        f"{result.re_appended} tails re-appended, again after {slowest:.2f} s, {len(result.wrong)} violations"
    )


def _row(name: str, results: Sequence[Result]) -> str:
    seconds = sorted(second for result in results for second in result.seconds)
    ahead = [entries for result in results for entries in result.ahead]
    figures = (
        name, len(results), len(ahead), f"{min(ahead)} to {max(ahead)}", sum(result.gaps for result in results),
        sum(result.re_appended for result in results), f"{_quantile(seconds, 0.5):.2f} / {_quantile(seconds, 0.99):.2f} s",
        sum(len(result.wrong) for result in results),
    )  # fmt: skip
    return "| " + " | ".join(map(str, figures)) + " |"


def _quantile(ordered: Sequence[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


if __name__ == "__main__":
    sys.exit(main())
