"""`python -m tests.bench [NAME …] [--quick] [--json FILE]`: measures, beside the naive way and a floor, on this machine.

Names: `path` (first-token, cancel, resume, live, memory, many, end-to-end, bodies, prompts) is the main path through real
processes; `fanout` (A100 …, B100 …, C, D1000, herd, idle) is one API process and its viewers. Without a name: both. Measured
only when they are named: `tokens` (token, cold, torrent, pauses) is a token's way beside a plain endpoint without a queue,
`costs` (generations, queue) what a short generation costs each process, `waits` how right estimates of waits are,
`scale` (long-logs, lists, paces, waiting, burst, follows) what grows, `capacity` (calibrate, predicted) what the capacity
model is made of, kept in capacity_costs.json, and loads that it is held against, `doors` (gate) what it costs to know who asks,
`dialects` (folds, viewers, resumes) what each dialect costs beside the native one,
`sealed` what encryption at rest costs a token, `soak` takes ten minutes (two with --quick).
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.bench import holding
from tests.bench.bodies import bodies, prompts
from tests.bench.calibration import CAPACITY
from tests.bench.costs import COSTS
from tests.bench.dialects import DIALECTS
from tests.bench.doors import DOORS
from tests.bench.fanout import SCENARIOS
from tests.bench.path import Path as MainPath
from tests.bench.report import Figures
from tests.bench.rounds import Fanout
from tests.bench.scale import SCALE
from tests.bench.sealed import SEALED
from tests.bench.soak import soak
from tests.bench.system import Skipped, machine, raise_limits
from tests.bench.systems import Naive, Respool, System
from tests.bench.tokens import TOKENS
from tests.bench.waits import WAITS

ALONE = ("first-token", "cancel", "resume", "live", "memory")
PATH = (*ALONE, "many", "end-to-end", "bodies", "prompts")


def main_path(names: set[str], quick: bool) -> Figures:
    """The figures of the main path; a system that cannot keep up is measured as far as it goes."""
    figures = Figures()
    samples, seconds = (60, 6.0) if quick else (500, 60.0)

    def alone(system: System) -> None:
        say(f"main path: {system.name}")
        with system:
            if "memory" in names:
                holding.memory(system, figures)
            MainPath(system, figures, samples=samples, seconds=seconds).run(names)

    def end_to_end() -> None:
        say("main path: 200 generations to their end")
        with Respool() as system:
            MainPath(system, figures, samples=samples, seconds=seconds).end_to_end(generations=200)

    for kind in (Respool, Naive) if names & set(ALONE) else ():
        figures.attempt(kind.name, lambda kind=kind: alone(kind()))  # type: ignore[misc]
    if "end-to-end" in names:
        figures.attempt("end-to-end", end_to_end)
    if "many" in names:
        say(f"main path: {holding.MANY} generations in one worker")
        figures.attempt("many", lambda: holding.many(figures))
    if "bodies" in names:
        say("main path: bodies that are dear to read")
        figures.attempt("bodies", lambda: bodies(figures))
    if "prompts" in names:
        say("main path: long prompts")
        figures.attempt("prompts", lambda: prompts(figures))
    if "soak" in names:
        minutes = 2 if quick else 10
        say(f"main path: {minutes} minutes of coming and going")
        figures.attempt("soak", lambda: soak(figures, minutes * 60))
    return figures


def measured(group: Mapping[str, Callable[..., None]], names: set[str], quick: bool) -> Figures:
    """The figures of those of a group that are named."""
    figures = Figures()
    for name, measure in group.items():
        if name in names:
            say(name)
            figures.attempt(name, lambda measure=measure: measure(figures, quick=quick))  # type: ignore[misc]
    return figures


def say(text: str) -> None:
    """Progress, apart from the results."""
    print(f"[{time.strftime('%H:%M:%S')}] {text}", file=sys.stderr, flush=True)


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="what to measure; everything by default")
    parser.add_argument("--quick", action="store_true", help="fewer samples, shorter windows, one round")
    parser.add_argument("--rounds", type=int, help="of each fan-out scenario (5; 1 with --quick)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here too")
    given = parser.parse_args()
    groups = {
        "path": PATH, "fanout": SCENARIOS, "tokens": TOKENS, "costs": COSTS, "scale": SCALE, "capacity": CAPACITY,
        "doors": DOORS, "dialects": DIALECTS, "sealed": SEALED, "estimates": WAITS,
    }  # fmt: skip
    unknown = set(given.names) - {"soak", *groups, *(name for group in groups.values() for name in group)}
    if unknown:
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    return given


def main() -> int:
    given = options()
    names = set(given.names) or {"path", "fanout"}
    names |= set(PATH) if "path" in names else set()
    names |= set(SCENARIOS) if "fanout" in names else set()
    names |= set(TOKENS) if "tokens" in names else set()
    names |= set(COSTS) if "costs" in names else set()
    names |= set(SCALE) if "scale" in names else set()
    names |= set(DOORS) if "doors" in names else set()
    names |= set(DIALECTS) if "dialects" in names else set()
    names |= set(CAPACITY) if "capacity" in names else set()
    raise_limits()
    result: dict[str, object] = {"machine": machine()}
    print(" · ".join(f"{name}: {value}" for name, value in machine().items()) + "\n", flush=True)
    try:
        if names & {*PATH, "soak"}:
            figures = main_path(names, given.quick)
            print("## Main path, end to end\n\n" + figures.as_table() + "\n", flush=True)
            result["path"] = figures.as_json()
        if names & set(SCENARIOS):
            rounds, seconds = (given.rounds or 1, 3.0) if given.quick else (given.rounds or 5, 5.0)
            fanout = Fanout(sorted(names), rounds=rounds, seconds=seconds, say=say)
            fanout.run()
            print("## Fan-out, one server process\n\n" + fanout.as_markdown(), flush=True)
            result |= {"fanout": fanout.results, "not_measured": fanout.failures}
        for key, title, group in (
            ("tokens", "A token, beside a plain endpoint", TOKENS),
            ("sealed", "What encryption at rest costs a token", SEALED),
            ("costs", "What a generation costs", COSTS),
            ("scale", "What grows", SCALE),
            ("capacity", "The capacity model", CAPACITY),
            ("waits", "Estimates of waits", WAITS),
            ("doors", "Who asks", DOORS),
            ("dialects", "Dialects", DIALECTS),
        ):
            if names & set(group):
                figures = measured(group, names, given.quick)
                print(f"## {title}\n\n{figures.as_table()}\n", flush=True)
                result[key] = figures.as_json()
    except Skipped as skipped:
        print(f"skipped: {skipped}", file=sys.stderr)
    if given.json:
        given.json.write_text(json.dumps(result, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
