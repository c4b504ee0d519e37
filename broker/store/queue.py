"""arq's queue: what its jobs look like, and every key of arq's that is touched from outside arq. A job is JSON, its only
argument a generation's id, its name that of one attempt and of whose it is."""

from collections.abc import Iterable
from typing import Any, Final, NamedTuple

import orjson
from arq.constants import in_progress_key_prefix, job_key_prefix
from arq.jobs import serialize_job
from arq.utils import timestamp_ms
from redis.asyncio.client import Pipeline

from broker import keys

MOST_JOBS: Final = 20
"""Of one generation's attempts, the latest, whose jobs are removed at a time: attempts are without number."""


def dumps_job(job: dict[str, Any]) -> bytes:
    """arq's job dictionary as JSON. A result or an exception that JSON cannot say is stored as its `repr`: nobody reads
    arq's results here."""
    return orjson.dumps(job, default=repr)


def loads_job(data: bytes) -> dict[str, Any]:
    job: dict[str, Any] = orjson.loads(data)
    return job


JOB = "generate"
"""The name of arq's one function."""


def content(id_: str) -> bytes:
    """The job to produce this generation."""
    return serialize_job(JOB, (id_,), {}, None, timestamp_ms(), serializer=dumps_job)


class Job(NamedTuple):
    """What a job's name says: for which attempt of which generation it is, and whose that is."""

    id: str
    ordinal: int
    owner: str = ""

    @property
    def name(self) -> str:
        """arq's job id: a job of an earlier attempt, or its lock, never blocks a later one."""
        return f"{self.id}:{self.ordinal}:{self.owner}" if self.owner else f"{self.id}:{self.ordinal}"

    @classmethod
    def of(cls, name: str) -> "Job":
        """What `name` made."""
        id_, ordinal, *owner = name.split(":")
        return cls(id_, int(ordinal), *owner)


def look(pipe: Pipeline, names: Iterable[str]) -> None:
    """Three replies for each job; `waits` reads them."""
    for name in names:
        pipe.zscore(keys.queue(Job.of(name).owner), name)
        pipe.exists(job_key_prefix + name)
        pipe.exists(in_progress_key_prefix + name)


def waits(place: float | None, known: int, locked: int) -> bool:
    """Whether a worker will find the job: in the queue, and in nobody's hands."""
    return place is not None and bool(known) and not locked


def traces(name: str) -> tuple[str, str]:
    """The keys of a job and of its lock."""
    return job_key_prefix + name, in_progress_key_prefix + name


def drop(pipe: Pipeline, *names: str) -> None:
    """Removes these jobs and their locks: one whose worker died leaves its lock for as long as a job may run."""
    for name in names:
        pipe.zrem(keys.queue(Job.of(name).owner), name)
    pipe.delete(*(key for name in names for key in traces(name)))
