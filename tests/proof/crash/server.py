"""A Redis that loses in a crash what it has not synced, as it would with its machine."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from broker.local.embedded import EmbeddedServer

_SOURCE = Path(__file__).parent / "synced.c"


def obstacle() -> str | None:
    """Why there can be none here."""
    if not sys.platform.startswith("linux"):
        return "the shim that notes each fsync is for Linux"
    return None if shutil.which("cc") else "no C compiler (cc), which the shim that notes each fsync needs"


class ForgetfulServer(EmbeddedServer):
    """`fsync_ms`: how much longer each fsync takes."""

    def __init__(self, folder: Path, *, fsync_ms: int = 0, config: Mapping[str, str] | None = None) -> None:
        super().__init__(folder / "data", config=config)
        self._notes = folder / "synced"
        self._shim = folder / "synced.so"
        self._environment = {"LD_PRELOAD": str(self._shim), "SYNCED_LOG": str(self._notes)}
        if fsync_ms:
            self._environment["SYNCED_DELAY_MS"] = str(fsync_ms)
        command = ["cc", "-shared", "-fPIC", "-O1", "-o", str(self._shim), str(_SOURCE), "-ldl"]
        subprocess.run(command, check=True, timeout=60)

    def launch(self) -> None:
        with _environment(self._environment):
            super().launch()

    def crash(self) -> int:
        """SIGKILL, and whatever was not synced has gone; how many bytes that were."""
        self.kill()
        synced = self._synced()
        lost = 0
        for file in self.data_dir.glob("appendonlydir/*.incr.aof"):
            kept = synced.get(str(file), 0)
            lost += file.stat().st_size - kept
            os.truncate(file, kept)
        return lost

    def _synced(self) -> dict[str, int]:
        """The bytes of each file that an fsync has had."""
        sizes: dict[str, int] = {}
        for line in self._notes.read_text().split("\n")[:-1]:
            size, _, path = line.partition(" ")
            sizes[path] = int(size)
        return sizes


@contextmanager
def _environment(more: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in more}
    os.environ.update(more)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
