"""`python -m tests.proof.crash`: crashes Redis whenever strict ends are shown; exit code 0 if none of these was taken back."""

import argparse
import sys
import tempfile
from pathlib import Path
from statistics import quantiles

from tests.harness.stack import Stack
from tests.proof.crash.rounds import Result, run
from tests.proof.crash.server import ForgetfulServer, obstacle

_GENERATIONS = 10


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.proof.crash", description=__doc__)
    parser.add_argument("--ends", type=int, default=200, help="how many must have been shown")
    parser.add_argument("--fsync-ms", type=int, default=0, help="how much longer an fsync takes")
    parser.add_argument("--policy", choices=("everysec", "always"), default="everysec", help="appendfsync")
    options = parser.parse_args()
    if (why := obstacle()) is not None:
        print(f"cannot run here: {why}")
        return 2
    with tempfile.TemporaryDirectory(prefix="respool-crash-") as folder:
        server = ForgetfulServer(Path(folder), fsync_ms=options.fsync_ms, config={"appendfsync": options.policy})
        with Stack(server=server) as stack:
            return judge(stack, server, options.ends)


def judge(stack: Stack, server: ForgetfulServer, ends: int) -> int:
    results: list[Result] = []
    while (shown := sum(each.shown for each in results)) < ends and not any(each.taken_back for each in results):
        results.append(run(stack, server, _GENERATIONS))
        print(f"crash {len(results)}: {results[-1].shown} ends shown, {results[-1].taken_back} taken back, "
              f"{results[-1].lost} bytes lost", flush=True)  # fmt: skip
    taken_back = sum(each.taken_back for each in results)
    waits = quantiles((wait for each in results for wait in each.waits), n=100)
    print(f"{taken_back} of {shown} strict ends taken back by {len(results)} crashes; "
          f"an end was shown {waits[49]:.0f} ms (p50), {waits[98]:.0f} ms (p99) after it was written")  # fmt: skip
    return 1 if taken_back else 0


if __name__ == "__main__":
    sys.exit(main())
