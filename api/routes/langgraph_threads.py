"""What a thread of LangGraph's is here: the name of its last run, whose request has all that was said before."""

from typing import NamedTuple

import orjson

from api.access.gate import Principal
from api.dialects.langgraph.words import Json, answer_of, asked
from api.intake.asked.langgraph import THREAD_LABEL
from api.intake.problems import Code, Problem
from api.routes.cells import Cells
from api.routes.naming import Standing, standing
from api.routes.service import Service
from broker.errors import UnknownGeneration
from broker.record import Record
from broker.request import StoredRequest, UnreadableRequest
from broker.store.names import Name
from broker.transcript import Transcript


class Last(NamedTuple):
    """The last run of a thread, and what it has said so far."""

    service: Service
    record: Record
    content: list[Json]


class Seen(NamedTuple):
    """A thread as it was looked at: what its name stands for, and its last run that is there, if there is one."""

    name: Name
    standing: Standing
    last: Last | None


async def seen(cells: Cells, who: Principal, thread: str) -> Seen:
    """Raises as Service.whole: where a thread's last run is not there any more, it is not. One that is claimed may be yet to
    come, or never come: then the one before it is the last."""
    name = Name("thread", thread, who.owner)
    stands = await standing(cells, name)
    latest = stands.latest
    if latest is None:
        return Seen(name, stands, None)
    try:
        return Seen(name, stands, await _run(cells, who, latest.id))
    except UnknownGeneration:
        if latest.until_ms is None:
            raise
    return Seen(name, stands, None if latest.before is None else await _run(cells, who, latest.before))


async def last_run(cells: Cells, who: Principal, thread: str) -> Last | None:
    """None if nothing is known of one. Raises as `seen`."""
    return (await seen(cells, who, thread)).last


async def _run(cells: Cells, who: Principal, id_: str) -> Last:
    service = cells.of(id_)
    record, told = await service.whole(id_, who, content)
    return Last(service, record, orjson.loads(b"".join(told.pieces)))


def content(transcript: Transcript) -> list[bytes]:
    """A form of transcripts: the blocks, as JSON."""
    return [orjson.dumps(transcript.content)]


async def request_of(service: Service, id_: str) -> StoredRequest:
    """Raises Problem (503) if nobody here can read it."""
    try:
        return StoredRequest.from_bytes(await service.logs.request(id_))
    except UnreadableRequest:
        raise Problem(Code.PAYLOAD_UNREADABLE) from None


async def messages_before(service: Service, id_: str, thread: str) -> list[Json]:
    """The messages that a run has answered. Raises Problem."""
    request = await request_of(service, id_)
    return asked(thread, [(turn.role, turn.content) for turn in request.messages])


async def messages_of(last: Last, thread: str) -> list[Json]:
    """All messages of a thread: those that its last run has answered, and the answer so far. Raises Problem."""
    before = await messages_before(last.service, last.record.id, thread)
    return [*before, *answer_of(last.record.id, last.content, last.record.end)]


async def run_of(service: Service, who: Principal, id_: str, thread: str) -> Record:
    """The record of a run of this thread. Raises UnknownGeneration if it is none, and as Service.safe_record."""
    record = await service.safe_record(id_, who)
    if record.tags.labels.get(THREAD_LABEL) != thread:
        raise UnknownGeneration
    return record
