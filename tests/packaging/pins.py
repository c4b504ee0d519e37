"""What constraints.txt must pin: everything we ask for, on every platform and Python that we support.

`make constraints` runs this module in a fresh environment; the tests use it to prove that the file is complete.
"""

import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
EXTRAS = ("archive", "embedded", "guardrails", "openai", "test", "browser", "interop")
# The first is the oldest: redis-py asks for one package more below 3.11.3.
PYTHONS = ("3.11.0", "3.11.9", "3.12.0", "3.13.0", "3.14.0")
PLATFORMS = (("linux", "Linux", "x86_64"), ("linux", "Linux", "aarch64"), ("darwin", "Darwin", "arm64"))
HEADER = """\
# Exact versions of everything Respool installs, for Linux and macOS, Python 3.11 to 3.14.
# Renew with `make constraints PYTHON=python3.11` (the oldest Python has the fewest versions to choose from), then
# `make check test`. A package that one environment does not need is pinned all the same: a constraint installs nothing.
"""


def environments() -> Iterator[dict[str, str]]:
    """Marker environments of every supported Python and platform."""
    for python in PYTHONS:
        for sys_platform, system, machine in PLATFORMS:
            yield {
                "implementation_name": "cpython",
                "implementation_version": python,
                "os_name": "posix",
                "platform_machine": machine,
                "platform_python_implementation": "CPython",
                "platform_release": "",
                "platform_system": system,
                "platform_version": "",
                "python_full_version": python,
                "python_version": python.rpartition(".")[0],
                "sys_platform": sys_platform,
            }


def asked_for() -> list[Requirement]:
    """What pyproject.toml names itself, the build backend included."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    extras = project["project"]["optional-dependencies"]
    lines = [*project["build-system"]["requires"], *project["project"]["dependencies"]]
    for extra in EXTRAS:
        lines += extras[extra]
    return [requirement for line in lines if (requirement := Requirement(line)).name != project["project"]["name"]]


def closure() -> set[str]:
    """Canonical names of all that is asked for, directly or not, in any supported environment.

    What is not installed here cannot be looked into; it is in the answer, what it needs is not.
    """
    found: set[str] = set()
    seen: set[tuple[str, frozenset[str]]] = set()
    waiting = asked_for()
    while waiting:
        requirement = waiting.pop()
        name, extras = canonicalize_name(requirement.name), frozenset(requirement.extras)
        if (name, extras) in seen or not applies(requirement, {""}):
            continue
        seen.add((name, extras))
        found.add(name)
        for needed in map(Requirement, requires(name)):
            if applies(needed, extras | {""}):
                needed.marker = None
                waiting.append(needed)
    return found


def requires(name: str) -> list[str]:
    """The Requires-Dist lines of an installed distribution, none for one that is not installed."""
    try:
        return metadata.requires(name) or []
    except metadata.PackageNotFoundError:
        return []


def applies(requirement: Requirement, extras: set[str] | frozenset[str]) -> bool:
    """Whether any supported environment needs it, with one of these extras chosen ("" is none)."""
    marker = requirement.marker
    return marker is None or any(
        marker.evaluate({**environment, "extra": extra}) for environment in environments() for extra in extras
    )


def installed() -> dict[str, str]:
    """Version by canonical name, of what this environment has."""
    return {canonicalize_name(found.name): found.version for found in metadata.distributions()}


def main() -> None:
    """Install what only another environment needs, then print the file."""
    while missing := closure() - installed().keys():
        subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", *sorted(missing)], check=True)
    versions = installed()
    print(HEADER + "\n".join(f"{name}=={versions[name]}" for name in sorted(closure())))


if __name__ == "__main__":
    main()
