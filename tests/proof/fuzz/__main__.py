"""`python -m tests.proof.fuzz`: exit code 0 if every answer was as the API describes itself, and none a failure of ours."""

import argparse
import sys

from tests.harness.stack import Stack
from tests.proof.fuzz.running import PEPPER, fuzz, tracebacks


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.proof.fuzz", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=int, default=300)
    given = parser.parse_args()
    with Stack(apis=0, api_key_pepper=PEPPER) as stack:
        code, said = fuzz(
            stack, seed=given.seed, examples=10_000, seconds=given.seconds,
            phases=("examples", "coverage", "fuzzing", "stateful"),
        )  # fmt: skip
        wrong = tracebacks(stack)
    print(said, *wrong, sep="\n")
    return int(bool(code or wrong))


if __name__ == "__main__":
    sys.exit(main())
