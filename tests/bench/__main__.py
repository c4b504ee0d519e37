"""`python -m tests.bench [NAME …] [--quick] [--json FILE]`: measures, beside the naive way and a floor, on this machine.

Names: `path` (first-token, cancel, resume, live, memory, many) is the main path through real processes; `fanout` (A100 …,
B100 …, C, D1000, herd, idle) is one API process and its viewers. Without a name: everything.
"""

import argparse
import json
import sys
import time
from pathlib import Path

from tests.bench import holding
from tests.bench.path import Path as MainPath
from tests.bench.report import Figures
from tests.bench.system import Skipped, machine, raise_limits
from tests.bench.systems import Naive, Respool

PATH = ("first-token", "cancel", "resume", "live", "memory", "many")


def main_path(names: set[str], quick: bool) -> Figures:
    """Issues the figures of the main path; a system that cannot keep up is measured as far as it goes."""
    figures = Figures()
    if names & set(PATH[:5]):
        for system in (Respool(), Naive()):
            say(f"main path: {system.name}")
            with system:
                if "memory" in names:
                    holding.memory(system, figures)
                samples, seconds = (60, 8.0) if quick else (500, 60.0)
                MainPath(system, figures, samples=samples, seconds=seconds).run(names)
    if "many" in names:
        say(f"main path: {holding.MANY} generations in one worker")
        holding.many(figures)
    return figures


def say(text: str) -> None:
    """Progress, apart from the results."""
    print(f"[{time.strftime('%H:%M:%S')}] {text}", file=sys.stderr, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("names", nargs="*", help="what to measure; everything by default")
    parser.add_argument("--quick", action="store_true", help="fewer samples, shorter windows, one round")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here too")
    options = parser.parse_args()
    names = set(options.names) or {"path"}
    if "path" in names:
        names |= set(PATH)
    raise_limits()
    result: dict[str, object] = {"machine": machine()}
    print(" · ".join(f"{name}: {value}" for name, value in machine().items()) + "\n", flush=True)
    try:
        if names & set(PATH):
            figures = main_path(names, options.quick)
            print("## Main path, end to end\n\n" + figures.as_table() + "\n", flush=True)
            result["path"] = figures.as_json()
    except Skipped as skipped:
        print(f"skipped: {skipped}", file=sys.stderr)
        return 1
    if options.json:
        options.json.write_text(json.dumps(result, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
