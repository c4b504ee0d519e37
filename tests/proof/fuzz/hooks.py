"""What the fuzzer must be told: how JSON Lines are written, and not to wait for long."""

import json
from typing import Any, Final

import schemathesis

_LONGEST_WAIT: Final = 1.0
"""Seconds. Longer ones are as valid, and hold up the run."""


@schemathesis.serializer("application/jsonl", "application/x-ndjson")
def lines(_: Any, value: Any) -> bytes:
    """One value a line; what is no list is a line of its own."""
    each = value if isinstance(value, list) else [value]
    return b"\n".join(json.dumps(line).encode() for line in each)


@schemathesis.hook
def before_call(_: Any, case: Any, _kwargs: Any) -> None:
    """A valid wait is a short one."""
    query = case.query or {}
    if isinstance(wait := query.get("wait"), int | float) and _LONGEST_WAIT < wait <= 60:
        query["wait"] = _LONGEST_WAIT
