"""How an arq job looks in Redis: JSON, whose only argument is a generation's id, under the name of one attempt."""

from typing import Any

import orjson
from arq.jobs import serialize_job
from arq.utils import timestamp_ms


def dumps_job(job: dict[str, Any]) -> bytes:
    """arq's job dictionary as JSON. A result or an exception that JSON cannot say is stored as its `repr`: nobody reads
    arq's results here."""
    return orjson.dumps(job, default=repr)


def loads_job(data: bytes) -> dict[str, Any]:
    job: dict[str, Any] = orjson.loads(data)
    return job


JOB = "generate"
"""The name of arq's one function."""


def job(id_: str) -> bytes:
    """The job to produce this generation."""
    return serialize_job(JOB, (id_,), {}, None, timestamp_ms(), serializer=dumps_job)


def job_name(id_: str, ordinal: int) -> str:
    """arq's job id for one attempt: a job of an earlier attempt, or its lock, never blocks a later one."""
    return f"{id_}:{ordinal}"


def generation_of_job(name: str) -> str:
    return name.rpartition(":")[0]
