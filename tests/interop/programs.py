"""Programs of this folder in Node, with the packages of package.json."""

import fcntl
import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

FOLDER: Final = Path(__file__).parent
PACKAGES: Final = FOLDER / "node_modules"
_OLDEST: Final = 20
_OPTIONS: Final = (
    "--no-audit",
    "--no-fund",
    "--no-package-lock",
    "--loglevel=error",
    "--save-exact",
    "--legacy-peer-deps",
)
_INSTALL_SECONDS: Final = 600


class NodeMissing(Exception):
    """There is no Node here, or none that is new enough, or no npm."""


@dataclass(frozen=True, slots=True)
class Programs:
    """`node` is this machine's own."""

    node: str

    @property
    def newer(self) -> str:
        """A newer Node, of the npm package that carries it."""
        return str(PACKAGES / "node" / "bin" / "node")

    def run(
        self, program: str | Path, *arguments: str, seconds: float = 60, node: str | None = None,
        flags: Sequence[str] = (), env: dict[str, str] | None = None,
    ) -> Any:  # fmt: skip
        """What the program printed in its last line, as JSON. `program` is a name in js/, or a path beside which there is a
        `node_modules`. Fails the test if it ends with an error, or not within so many seconds."""
        path = program if isinstance(program, Path) else FOLDER / "js" / f"{program}.mjs"
        done = subprocess.run(
            [node or self.node, *flags, str(path), *arguments],
            capture_output=True, timeout=seconds, check=False, text=True, env={**os.environ, **(env or {})},
        )  # fmt: skip
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
        return json.loads(done.stdout.rstrip("\n").rpartition("\n")[2])

    def beside(self, folder: Path) -> Path:
        """That folder, with the packages in it."""
        if not (folder / "node_modules").exists():
            (folder / "node_modules").symlink_to(PACKAGES)
        return folder


def programs() -> Programs:
    """With the packages installed, if they were not. Raises NodeMissing; CalledProcessError if npm cannot install them."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        raise NodeMissing(f"needs Node {_OLDEST} or newer, and npm")
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    if int(version.removeprefix("v").partition(".")[0]) < _OLDEST:
        raise NodeMissing(f"needs Node {_OLDEST} or newer, this is {version}")
    PACKAGES.mkdir(exist_ok=True)
    with (PACKAGES / ".lock").open("w") as lock:  # processes of one run wait for each other
        fcntl.flock(lock, fcntl.LOCK_EX)
        _install(npm)
    return Programs(node)


def _install(npm: str) -> None:
    wanted, installed = (FOLDER / "package.json").read_text(), PACKAGES / ".installed.json"
    if not installed.exists() or installed.read_text() != wanted:
        subprocess.run([npm, "install", *_OPTIONS], cwd=FOLDER, check=True, timeout=_INSTALL_SECONDS)
        installed.write_text(wanted)
