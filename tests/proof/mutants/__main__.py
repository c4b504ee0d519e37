"""`python -m tests.proof.mutants [NAME …]`: exit code 0 if every mutant was noticed by a test that passes without it."""

import argparse
import sys
import tempfile
import time
from pathlib import Path

from tests.proof.mutants.catalogue import MUTANTS, Mutant
from tests.proof.mutants.gate import DoesNotApply, Verdict, copy_tree, healthy, judge


def main() -> int:
    if sys.argv[1:2] == ["generated"]:
        from tests.proof.mutants import generated  # imports all there is, and pytest

        return generated.main(sys.argv[2:])
    parser = argparse.ArgumentParser(prog="python -m tests.proof.mutants", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="only mutants whose name has this in it")
    parser.add_argument("--list", action="store_true", help="tell which there are, and run nothing")
    options = parser.parse_args()
    chosen = [each for each in MUTANTS if not options.names or any(name in each.name for name in options.names)]
    if not chosen:
        parser.error("there is no such mutant")
    if options.list:
        for mutant in chosen:
            print(f"{mutant.name:48} {_where(mutant)}")
        return 0
    with tempfile.TemporaryDirectory(prefix="respool-mutants-") as folder:
        return run(chosen, Path(folder))


def run(mutants: list[Mutant], folder: Path) -> int:
    begun = time.monotonic()
    tree = copy_tree(folder / "unmutated")
    without = healthy(tree, mutants)
    if without.how != "survived":
        print(f"the tests do not pass without a mutant either: {', '.join(without.by) or without.said}")
        return 1
    print(f"{'without a mutant all tests pass':75} {without.seconds:5.1f} s\n", flush=True)
    lost = 0
    for mutant in mutants:
        try:
            verdict = judge(tree, mutant, folder)
        except DoesNotApply as error:
            verdict = Verdict("broken", (), 0.0, f"the mutant no longer applies: {error}")
        lost += verdict.how != "caught"
        _tell(mutant, verdict)
    print(f"\n{len(mutants) - lost} of {len(mutants)} mutants caught in {time.monotonic() - begun:.0f} s")
    return 1 if lost else 0


def _tell(mutant: Mutant, verdict: Verdict) -> None:
    print(f"{mutant.name:48} {_where(mutant):26} {verdict.seconds:5.1f} s  ", end="")
    if verdict.how == "caught":
        others = f", {len(verdict.by) - 1} more" if len(verdict.by) > 1 else ""
        print(f"{verdict.by[0]}{others}", flush=True)
    else:
        print(f"{verdict.how.upper()} {verdict.said}", flush=True)


def _where(mutant: Mutant) -> str:
    return ", ".join(dict.fromkeys(edit.place for edit in mutant.edits))


if __name__ == "__main__":
    sys.exit(main())
