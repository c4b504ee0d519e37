"""`python -m tests.proof.rolling`: deploys every part of a running system anew, process by process, while people watch; exit
code 0 if no viewer lost anything or got it twice, and nobody's request was refused."""

import argparse
import statistics
import sys

from tests.harness.stack import Stack
from tests.proof.rolling.deploy import PARTS, Deployed, run

_LEASE = 10
_DRAIN = 5


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.proof.rolling", description=__doc__)
    parser.add_argument("--generations", type=int, default=10)
    parser.add_argument("--viewers", type=int, default=2, help="of each")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    given = parser.parse_args()
    with Stack(apis=2, workers=2, lease=_LEASE, drain=_DRAIN, shutdown=8) as stack:
        deployed = run(stack, given.parts, generations=given.generations, viewers=given.viewers)
    print(_table(deployed))
    for each in deployed.wrong:
        print(f"WRONG {each[:2000]}")
    return int(bool(deployed.wrong or deployed.lost or deployed.repeated))


def _table(deployed: Deployed) -> str:
    lines = ["| part | processes replaced | silence p50 | longest silence |", "|---|---:|---:|---:|"]
    for part in dict.fromkeys(each.part for each in deployed.replaced):
        silences = [each.silences for each in deployed.replaced if each.part == part]
        every = sorted(second for viewers in silences for second in viewers)
        lines.append(f"| {part} | {len(silences)} | {statistics.median(every):.2f} s | {every[-1]:.2f} s |")
    said = (
        f"{deployed.viewers} viewers, {deployed.events} events: {deployed.lost} lost, {deployed.repeated} repeated; "
        f"{deployed.submits} submits meanwhile were accepted and completed; "
        f"{max(deployed.attempts)} attempts of a generation at the most"
    )
    return "\n".join([*lines, "", said])


if __name__ == "__main__":
    sys.exit(main())
