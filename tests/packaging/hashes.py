"""What the image installs, each file by its SHA-256: requirements/image.txt is what it runs, requirements/build.txt what
builds our wheel.

`make hashes` runs this module. pip resolves for the image's Python and for both kinds of machine, with the versions of
constraints.txt, and tells which files it would take; nothing of where they come from is kept, so that any index that has the
same files will do.
"""

import json
import os
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from packaging.utils import canonicalize_name

from tests.packaging.pins import ROOT

EXTRAS: Final = ("archive", "guardrails", "openai")
"""Those that the image has."""
FOLDER: Final = ROOT / "requirements"
IMAGE, BUILD = FOLDER / "image.txt", FOLDER / "build.txt"
MACHINES: Final = ("x86_64", "aarch64")
HEADER: Final = """\
# {what}: every file by its SHA-256, for Python {python} on Linux, {machines}.
# Renew with `make hashes` whenever constraints.txt or the Dockerfile's Python changes.
"""

Hashes = dict[tuple[str, str], set[str]]
"""By name and version."""


def python() -> str:
    """The image's, as the Dockerfile says."""
    line = next(line for line in (ROOT / "Dockerfile").read_text().splitlines() if line.startswith("FROM python:"))
    return ".".join(line.removeprefix("FROM python:").split("-")[0].split(".")[:2])


def wanted(file: Path) -> list[str]:
    """What is asked for, as pyproject.toml says."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    if file == BUILD:
        return list(project["build-system"]["requires"])
    extras = project["project"]["optional-dependencies"]
    return [*project["project"]["dependencies"], *(line for extra in EXTRAS for line in extras[extra])]


def target(machine: str) -> Iterator[str]:
    """pip's words for the image on this machine. Its libc is of Debian 13."""
    yield from ("--python-version", python(), "--implementation", "cp", "--only-binary=:all:")
    for minor in range(41, 16, -1):
        yield from ("--platform", f"manylinux_2_{minor}_{machine}")
    yield from ("--platform", f"manylinux2014_{machine}")


def pip(machine: str, arguments: Sequence[str], folder: Path) -> None:
    """Resolves for this machine, and installs nothing. Raises CalledProcessError."""
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--dry-run"]
    command += ["--ignore-installed", "--target", str(folder / "nothing"), *target(machine), *arguments]
    subprocess.run(command, check=True, timeout=600, env={**os.environ, "PIP_CONSTRAINT": ""})


def resolved(file: Path) -> Hashes:
    found: Hashes = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "wanted.txt").write_text("\n".join(wanted(file)))
        for machine in MACHINES:
            asked = ["--constraint", str(ROOT / "constraints.txt"), "--requirement", str(folder / "wanted.txt")]
            pip(machine, [*asked, "--report", str(folder / "report.json")], folder)
            for each in json.loads((folder / "report.json").read_bytes())["install"]:
                key = canonicalize_name(each["metadata"]["name"]), each["metadata"]["version"]
                found.setdefault(key, set()).add(each["download_info"]["archive_info"]["hashes"]["sha256"])
    return found


def written(hashes: Hashes, what: str) -> str:
    lines = [HEADER.format(what=what, python=python(), machines=" and ".join(MACHINES))]
    for (name, version), files in sorted(hashes.items()):
        lines.append(f"{name}=={version}" + "".join(f" \\\n    --hash=sha256:{each}" for each in sorted(files)) + "\n")
    return "".join(lines)


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for file, what in ((IMAGE, "What the image runs"), (BUILD, "What builds the image's wheel")):
        file.write_text(written(resolved(file), what))


if __name__ == "__main__":
    main()
