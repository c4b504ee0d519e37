"""Secrets on one machine: `make up` draws those that are its own and keeps them beside its data, and a first API key where keys
are asked for."""

import os
import secrets
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

_TRUE: Final = frozenset({"1", "true", "yes", "on", "t", "y"})
_SECONDS: Final = 60.0
_PEPPERS: Final = ("RESPOOL_API_KEY_PEPPER", "RESPOOL_API_KEY_PEPPER_FILE")


class NoKey(Exception):
    """No key can be made; the text says why."""


def asks_for_keys(environ: Mapping[str, str]) -> bool:
    """Whether the API will, as the settings say."""
    pepper = any(environ.get(name) for name in _PEPPERS)
    return _set(environ, "RESPOOL_REQUIRE_KEYS") or (pepper and not _set(environ, "RESPOOL_ALLOW_ANONYMOUS"))


def pepper(environ: Mapping[str, str], folder: Path) -> dict[str, str]:
    """The setting of a pepper, unless there is one: it is drawn at the first start, and kept for the keys that it hashes."""
    if any(environ.get(name) for name in _PEPPERS):
        return {}
    return {"RESPOOL_API_KEY_PEPPER_FILE": str(_drawn(folder / "api_key_pepper", "p1:").resolve())}


def secret(environ: Mapping[str, str], folder: Path) -> dict[str, str]:
    """The setting of a secret of this installation, unless there is one. It goes with the data: with a server that others use
    too, theirs is the one to give."""
    return {} if environ.get("RESPOOL_SECRET") else {"RESPOOL_SECRET": _drawn(folder / "secret").read_text().strip()}


def _drawn(file: Path, label: str = "") -> Path:
    """The file of a secret that is drawn at the first start."""
    if not file.exists():
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
            out.write(f"{label}{secrets.token_hex(32)}\n")
    return file


def first_key(env: Mapping[str, str], folder: Path) -> str:
    """A key that may do everything, of the tenant `local`: the one of before, as long as it is valid. Raises NoKey."""
    command = [
        sys.executable, "-m", "api.keys", "create", "--tenant", "local", "--scopes", "submit,view,cancel,admin",
        "--name", "make up", "--keep", str(folder / "api_key"),
    ]  # fmt: skip
    try:
        made = subprocess.run(  # noqa: S603 (of our own words)
            command, env=env, capture_output=True, text=True, timeout=_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise NoKey("no first API key: it took too long") from None
    if made.returncode:
        raise NoKey(f"no first API key: {made.stderr.strip()}")
    return made.stdout.strip()


def _set(environ: Mapping[str, str], name: str) -> bool:
    return environ.get(name, "").lower() in _TRUE
