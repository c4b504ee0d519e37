"""Keys by the names that an operator gives them: of a variable of the environment, or of a secret file."""

import os
from pathlib import Path
from typing import Final

_SECRETS: Final = Path("/run/secrets")
"""Where containers have theirs."""


def found_key(name: str) -> str | None:
    """The key in the variable or the secret file of this name."""
    return os.environ.get(name) or _secret(name)


def _secret(name: str) -> str | None:
    """Of a secret file of this name, in any case, as all settings are read."""
    try:
        files = {path.name.lower(): path for path in _SECRETS.iterdir()}
        return files[name.lower()].read_text().strip()
    except (OSError, KeyError):
        return None
