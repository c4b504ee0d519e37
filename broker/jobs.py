"""How an arq job looks in Redis: JSON, whose only argument is a generation's id."""

from typing import Any

import orjson


def dumps_job(job: dict[str, Any]) -> bytes:
    """arq's job dictionary as JSON. A result or an exception that JSON cannot say is stored as its `repr`: nobody reads
    arq's results here."""
    return orjson.dumps(job, default=repr)


def loads_job(data: bytes) -> dict[str, Any]:
    job: dict[str, Any] = orjson.loads(data)
    return job
