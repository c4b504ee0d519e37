"""`python -m tests.docs.openapi` prints the API's description of itself as docs/openapi.json keeps it."""

import sys
from pathlib import Path
from typing import Final

import orjson

from api.app import create_app
from api.settings import ApiSettings

KEPT: Final = Path(__file__).parents[2] / "docs" / "openapi.json"


def document() -> bytes:
    """In the order in which it is made, a line for each value: a change of the wire shows in its diff."""
    app = create_app(ApiSettings(redis_url="redis://127.0.0.1:1"))
    app.version = "0"  # a release changes no wire
    return orjson.dumps(app.openapi(), option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS | orjson.OPT_APPEND_NEWLINE)


if __name__ == "__main__":
    sys.stdout.buffer.write(document())
