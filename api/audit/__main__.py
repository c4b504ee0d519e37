"""`python -m api.audit verify PATH…`: whether an audit log, of files and folders, is whole. Exits with 1 if it is not."""

import argparse
import sys
from pathlib import Path

from api.audit.verify import verify


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m api.audit", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("verify", help="find what was changed, removed, put elsewhere or cut off")
    command.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="files, and folders of them")
    command.add_argument(
        "--has", action="append", default=[], metavar="DIGEST", help="a line's that must be there still"
    )
    arguments = parser.parse_args()
    try:
        report = verify(arguments.paths, arguments.has)
    except OSError as error:
        print(f"audit: {error.filename}: {error.strerror}", file=sys.stderr)
        return 2
    for fault in report.faults:
        print(f"FAULT  {fault}")
    for remark in report.remarks:
        print(f"note   {remark}")
    for end in report.ends:
        print(f"last   {end.digest} is line {end.seq}, in {end.file}")
    verdict = f"{len(report.faults)} faults" if report.faults else "whole"
    print(f"{verdict}: {report.lines} lines, {len(report.ends)} chains")
    return 1 if report.faults else 0


if __name__ == "__main__":
    sys.exit(main())
