"""`python -m tests.http.routes_only`: the API without its quick way in."""

import sys
from collections.abc import Iterable

from api.__main__ import main
from api.door import Door
from api.framing import Framing


def shut(_door: Door, _target: bytes, _headers: Iterable[tuple[bytes, bytes]], _framing: Framing) -> None:
    """Lets nobody in."""


if __name__ == "__main__":
    Door.admit = shut  # type: ignore[method-assign, assignment]
    sys.exit(main())
