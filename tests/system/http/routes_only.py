"""`python -m tests.system.http.routes_only`: the API without its quick way in."""

import sys
from collections.abc import Iterable

from api.__main__ import main
from api.delivery.fast_path import FastPath
from api.viewing.framing import Framing


def shut(_fast_path: FastPath, _target: bytes, _headers: Iterable[tuple[bytes, bytes]], _framing: Framing) -> None:
    """Lets nobody in."""


if __name__ == "__main__":
    FastPath.admit = shut  # type: ignore[method-assign, assignment]
    sys.exit(main())
