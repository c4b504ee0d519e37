"""`python -m tests.system.http.routes_only`: the API without its quick way in."""

import sys

from api.__main__ import main
from api.delivery.fast_path import FastPath


def shut(*_: object, **__: object) -> None:
    """Lets nobody in."""


if __name__ == "__main__":
    FastPath.admit = shut  # type: ignore[method-assign]
    sys.exit(main())
