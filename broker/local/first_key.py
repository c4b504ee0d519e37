"""API keys on one machine: where `make up` is to ask for them, it keeps a pepper and a first key beside its data."""

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
    file = folder / "api_key_pepper"
    if not file.exists():
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
            out.write(f"p1:{secrets.token_hex(32)}\n")
    return {"RESPOOL_API_KEY_PEPPER_FILE": str(file.resolve())}


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
