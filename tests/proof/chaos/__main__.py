"""`python -m tests.proof.chaos --seed 7 --seconds 600 --faults all`: storms until the time is over; exit code 0 if nothing that
the histories hold proves a promise broken, and every fault asked for was there. What a round is set to its seed decides
(setting.py).

`python -m tests.proof.chaos --judge FOLDER` judges a history again that a run has left behind.
"""

import argparse
import shutil
import sys
import time
from pathlib import Path

import uvloop

from tests.proof.chaos.history import read
from tests.proof.chaos.round import GROUPS, Round, kinds
from tests.proof.chaos.setting import Setting
from tests.proof.chaos.summary import Totals

KEPT = Path(".respool/chaos")
"""Under the folder where it is run; what a round leaves is kept if it proves something wrong."""
ROUND_SECONDS = 180.0
_SHOWN = 20
_EFFECTS_SECONDS = 60.0
"""A run of so many seconds of storm must have fenced an attempt, written a tail again and reset a viewer."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.proof.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=60.0, help="of storm, in rounds of 180")
    parser.add_argument("--faults", default="all", help=f"kinds or groups ({' '.join(GROUPS)} all)")
    parser.add_argument("--slots", type=int, default=30, help="generations at a time")
    parser.add_argument("--keep", action="store_true", help="keep the folders of good rounds too")
    parser.add_argument("--judge", type=Path, metavar="FOLDER", help="only judge what a run has left there")
    options = parser.parse_args()
    try:
        asked = kinds(options.faults)
    except ValueError as error:
        parser.error(str(error))
    totals = Totals([])
    if options.judge is not None:
        tell(totals.add(read(options.judge), logs(options.judge)))
        print(totals.table())
        return 1 if totals.violations else 0
    left, seed = options.seconds, options.seed
    while left > 0:
        seconds = min(left, ROUND_SECONDS)
        folder = KEPT / f"{time.strftime('%Y%m%d-%H%M%S')}-seed-{seed}"
        print(f"[{time.strftime('%H:%M:%S')}] round {totals.rounds + 1}: seed {seed}", file=sys.stderr, flush=True)
        next_round = Round(str(seed), asked, seconds, options.slots, folder, Setting.of(seed))
        if found := run(next_round, totals):
            tell(found)
            print(f"seed {seed} is kept in {folder}; judge it again: python -m tests.proof.chaos --judge {folder}")
            print(f"run it again: make chaos SEED={seed} SECONDS={seconds:g} FAULTS='{options.faults}'", flush=True)
        elif not options.keep:
            shutil.rmtree(folder)
        left, seed = left - seconds, seed + 1
    print(totals.table())
    silent = totals.missing(effects=options.seconds >= _EFFECTS_SECONDS)
    for missing in silent:
        print(f"proves nothing: {missing}")
    return 1 if totals.violations or silent else 0


def run(round_: Round, totals: Totals) -> list[str]:
    """One round, judged; what it proves wrong."""
    totals.asked = [*dict.fromkeys([*totals.asked, *round_.offered])]
    uvloop.run(round_.run())
    return totals.add(read(round_.folder), logs(round_.folder))


def logs(folder: Path) -> dict[str, str]:
    """What each process of a round has said."""
    return {file.stem: file.read_text(errors="replace") for file in folder.glob("*.log")}


def tell(found: list[str]) -> None:
    for wrong in found[:_SHOWN]:
        print(f"VIOLATION {wrong[:600]}")
    if len(found) > _SHOWN:
        print(f"… and {len(found) - _SHOWN} more")


if __name__ == "__main__":
    sys.exit(main())
