"""Known holes of what is pinned, by pip-audit, where a database of them can be reached. `make audit` runs this file.

Exits with 0 if there are none, with 1 if there are, and with 2 if that is not known: then it says NOT RUN. Nothing that was not
looked up counts as safe.
"""

import subprocess
import sys
from typing import Final

_SECONDS: Final = 300
NOT_RUN: Final = "NOT RUN: no database of known holes could be reached; nobody has looked whether {file} has any."


def audit(file: str) -> int:
    """Looks up what is pinned in a file."""
    command = [sys.executable, "-m", "pip_audit", "--progress-spinner", "off", "--vulnerability-service", "osv"]
    command += ["--disable-pip", "--require-hashes", "--requirement", file]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        print(NOT_RUN.format(file=file), file=sys.stderr)
        return 2
    return verdict(file, done.returncode, done.stdout, done.stderr)


def verdict(file: str, code: int, said: str, errors: str) -> int:
    """pip-audit exits with 1 for a hole, and for everything that keeps it from looking; only of a hole it prints a table."""
    if code == 0:
        print(f"{file}: no known holes")
        return 0
    if "Found" in errors and "known vulnerabilit" in errors:
        print(said)
        return 1
    reason = errors.strip().splitlines()[-1:] or ["it said nothing"]
    print(f"{NOT_RUN.format(file=file)} ({reason[0]})", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(max((audit(file) for file in sys.argv[1:]), default=2))
