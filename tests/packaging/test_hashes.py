"""What the image installs is pinned by hashes, all of it, in the versions that everything is pinned to; and a check that could
not be made is not taken for one that found nothing."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.packaging.hashes import BUILD, IMAGE, python, wanted
from tests.packaging.holes import verdict
from tests.packaging.pins import ROOT, requires
from tests.packaging.test_constraints import PINS

_ENTRY = re.compile(r"([a-z0-9-]+)==([0-9][0-9a-z.]*)((?: \\\n    --hash=sha256:[0-9a-f]{64})+)\n")


def entries(file: Path) -> dict[str, str]:
    """Version by name. Fails if the file says anything but entries with hashes, and comments."""
    text = re.sub(r"^# .*\n", "", file.read_text(), flags=re.MULTILINE)
    assert _ENTRY.sub("", text) == ""
    return {name: version for name, version, _ in _ENTRY.findall(text)}


def needed(file: Path) -> set[str]:
    """Canonical names of all that the image's Python needs of it on Linux, directly or not."""
    environment = {"sys_platform": "linux", "platform_system": "Linux", "os_name": "posix", "python_version": python()}
    environment |= {"python_full_version": f"{python()}.9", "platform_python_implementation": "CPython"}
    found: set[str] = set()
    seen: set[tuple[str, frozenset[str]]] = set()
    waiting = [(Requirement(line), frozenset[str]()) for line in wanted(file)]
    while waiting:
        requirement, extras = waiting.pop()
        name, own = canonicalize_name(requirement.name), frozenset(requirement.extras)
        marker = requirement.marker
        applies = marker is None or any(marker.evaluate({**environment, "extra": each}) for each in extras | {""})
        if not applies or (name, own) in seen:
            continue
        seen.add((name, own))
        found.add(name)
        waiting += [(Requirement(line), own) for line in requires(name)]
    return found


@pytest.mark.parametrize("file", [IMAGE, BUILD], ids=["image", "build"])
def test_every_file_that_the_image_installs_has_a_hash_and_its_version_is_the_pinned_one(file: Path) -> None:
    found = entries(file)
    assert found.items() <= PINS.items(), "make hashes renews them"
    assert "://" not in file.read_text()


@pytest.mark.parametrize("file", [IMAGE, BUILD], ids=["image", "build"])
def test_nothing_that_it_needs_is_without(file: Path) -> None:
    assert needed(file) - entries(file).keys() == set(), "make hashes adds them"


def test_a_file_with_other_bytes_is_refused(tmp_path: Path) -> None:
    """What `--require-hashes` of the Dockerfile is there for, with a wheel of our own and no index."""
    (tmp_path / "one.py").write_text("")
    (tmp_path / "pyproject.toml").write_text(
        '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
        '[project]\nname = "one"\nversion = "1"\n[tool.hatch.build.targets.wheel]\ninclude = ["one.py"]\n'
    )
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=tmp_path, check=True, capture_output=True, timeout=60)
    (tmp_path / "wanted.txt").write_text(f"one==1 --hash=sha256:{'0' * 64}\n")
    install = [sys.executable, "-m", "pip", "install", "--dry-run", "--no-index", "--find-links", str(tmp_path)]
    command = [*install, "--require-hashes", "-r", str(tmp_path / "wanted.txt")]
    refused = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert refused.returncode != 0
    assert "DO NOT MATCH THE HASHES" in refused.stderr


@pytest.mark.parametrize(
    ("code", "errors", "exits"),
    [
        (0, "No known vulnerabilities found", 0),
        (1, "Found 2 known vulnerabilities in 1 package", 1),
        (1, "requests.exceptions.ConnectionError: Failed to resolve", 2),
        (1, "", 2),
    ],
)
def test_holes_that_nobody_has_looked_for_are_not_none(
    code: int, errors: str, exits: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert verdict("image.txt", code, "", errors) == exits
    assert ("NOT RUN" in capsys.readouterr().err) == (exits == 2)


def test_the_image_installs_the_extras_that_are_hashed() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert dockerfile.count("--require-hashes") == 2
    assert f"-r {IMAGE.relative_to(ROOT)}" in dockerfile
    assert f"-r {BUILD.relative_to(ROOT)}" in dockerfile
