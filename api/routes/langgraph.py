"""`/threads`: LangGraph's server, as its SDK asks it (docs/protocol.md, "LangGraph"). A run is a generation, by the same id; a
thread is the name of its last run.

Who goes away ends nothing, unless `on_disconnect` says so: a run is there to be joined.
"""

import time
import uuid
from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any, Final, Literal

import orjson
from fastapi import Path, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from api.access.gate import Principal
from api.dialects import sse
from api.dialects.langgraph import MODES, LangGraph, objects
from api.dialects.langgraph.words import answer_of, event
from api.dialects.langgraph.words import asked as asked_of
from api.intake.asked.langgraph import THREAD_ID, USUAL_MODES, Asked, made, read, thread_asked
from api.intake.asked.reading import Json
from api.intake.body import read_json
from api.intake.negotiate import EVENT_STREAM
from api.intake.problems import Code, Problem
from api.routes.accepting import accepted_from, ended_from, naming
from api.routes.asking import (
    ABOUT_ONE,
    ABOUT_SUBMITTING,
    NO_STORE,
    CellsOf,
    Counted,
    Id,
    ServiceOf,
    WhoCancels,
    WhoSubmits,
    WhoViews,
    as_json,
    guarded,
    paces,
)
from api.routes.auditing import journal_of
from api.routes.cancelling import cancel_for
from api.routes.cells import Cells
from api.routes.claiming import Claim
from api.routes.following import encoded, follow, follow_submitted, nothing_more, refuse_if_full
from api.routes.langgraph_threads import (
    Seen,
    content,
    last_run,
    messages_before,
    messages_of,
    request_of,
    run_of,
    seen,
)
from api.routes.openapi import Answer, described
from broker.errors import BrokerError, OutcomeUnknown, UnknownGeneration
from broker.request import GenerationRequest
from broker.store.accepting import Submitted

_ABOUT_THREADS: Final = (
    *ABOUT_ONE, Code.ARCHIVE_UNAVAILABLE, Code.PAYLOAD_UNREADABLE, Code.INVALID_REQUEST, Code.RATE_LIMITED,
)  # fmt: skip
_ABOUT_RUNS: Final = (
    *ABOUT_SUBMITTING,
    *ABOUT_ONE,
    Code.ARCHIVE_UNAVAILABLE,
    Code.PAYLOAD_UNREADABLE,
    Code.THREAD_BUSY,
)
_NAMED: Final = ("Respool-Generation", "Content-Location")
_STREAM: Final = Answer(
    "The events of the modes that were asked for.", EVENT_STREAM,
    {"itemSchema": {"type": "object", "required": ["event", "data"],
                    "properties": {name: {"type": "string"} for name in ("event", "data", "id")}}},
)  # fmt: skip

_FROM_THE_BEGINNING: Final = "-1"
"""As LangGraph's clients say it."""
END: Final = sse.KEEP_ALIVE + event("end", None) + b"\n"
"""For who has all of a run: the SDK takes no answer that is no stream."""

router = guarded("")


class ThreadRequest(BaseModel):
    """The body of `POST /threads`. Nothing is kept of a thread before its first run: so there is no `metadata`."""

    model_config = ConfigDict(extra="allow")

    thread_id: Annotated[str, Field(pattern=f"^{THREAD_ID}$")] | None = None
    if_exists: Literal["raise", "do_nothing"] | None = None


class RunRequest(BaseModel):
    """The body of `POST /threads/{thread}/runs`, as LangGraph's SDK sends it: docs/protocol.md tells what it may say."""

    model_config = ConfigDict(extra="allow")

    assistant_id: str
    input: dict[str, Any]
    stream_mode: str | list[str] | None = None


Thread = Annotated[str, Path(pattern=f"^{THREAD_ID}$", description="A thread's id: whatever its client names it.")]
Modes = Annotated[
    list[Literal["values", "updates", "messages", "messages-tuple", ""]] | None, Query(description="What is streamed.")
]
_EXAMPLE: Final = {
    "assistant_id": "sim-1", "stream_mode": "messages-tuple",
    "input": {"messages": [{"role": "user", "content": "Tell me a story"}]},
}  # fmt: skip


# -- threads


@router.post(
    "/threads",
    **described(
        {200: objects.Thread}, (*ABOUT_SUBMITTING, *_ABOUT_THREADS, Code.THREAD_EXISTS),
        scopes=("submit", "view"), body=ThreadRequest, example={},
    ),
)  # fmt: skip
async def create_thread(who: WhoSubmits, _: WhoViews, __: Counted, request: Request, cells: CellsOf) -> Response:
    """A name for a thread, or the thread of that name. Nothing is kept before its first run."""
    name, may_exist = await read_json(request, thread_asked, cells.aside)
    if name is not None:
        last = await last_run(cells, who, name)
        if last is not None:
            if not may_exist:
                raise Problem(Code.THREAD_EXISTS)
            return as_json(objects.thread(name, last.record, await messages_of(last, name)))
    return as_json(objects.no_run_yet(name or str(uuid.uuid4()), int(time.time() * 1000)))


@router.get("/threads/{thread}", **described({200: objects.Thread}, _ABOUT_THREADS, scopes=("view",)))
async def get_thread(who: WhoViews, _: Counted, cells: CellsOf, thread: Thread) -> Response:
    """A thread that has had a run, and what that has come to."""
    last = await last_run(cells, who, thread)
    if last is None:
        raise UnknownGeneration
    return as_json(objects.thread(thread, last.record, await messages_of(last, thread)))


@router.get("/threads/{thread}/state", **described({200: objects.ThreadState}, _ABOUT_THREADS, scopes=("view",)))
async def get_state(who: WhoViews, _: Counted, cells: CellsOf, thread: Thread) -> Response:
    """The messages of a thread that has had a run."""
    last = await last_run(cells, who, thread)
    if last is None:
        raise UnknownGeneration
    return as_json(objects.state(thread, last.record, await messages_of(last, thread)))


# -- asking for a run


@router.post(
    "/threads/{thread}/runs",
    **described(
        {200: objects.Run}, _ABOUT_RUNS, scopes=("submit", "view"), body=RunRequest, example=_EXAMPLE,
        sends={200: (*_NAMED, "RateLimit", "RateLimit-Policy")},
    ),
)  # fmt: skip
async def create_run(who: WhoSubmits, _: WhoViews, request: Request, cells: CellsOf, thread: Thread) -> Response:
    """Accepts a run in the background."""
    cells.refuse_if_crowded()
    asked = await read_json(request, partial(read, thread=thread), cells.aside)
    accepted, _request = await _accepted(request, cells, who, thread, asked)
    service = cells.of(accepted.id)
    record = accepted.record or await service.safe_record(accepted.id, who)
    headers = {**_told(thread, accepted.id), **paces(service, who, accepted)}
    return as_json(objects.run(service.shown(record), thread), headers=headers)


@router.post(
    "/threads/{thread}/runs/stream",
    **described(
        {200: _STREAM}, _ABOUT_RUNS, scopes=("submit", "view"), body=RunRequest, example=_EXAMPLE,
        sends={200: (*_NAMED, "Location", "RateLimit", "RateLimit-Policy")},
    ),
)  # fmt: skip
async def stream_run(who: WhoSubmits, _: WhoViews, request: Request, cells: CellsOf, thread: Thread) -> Response:
    """Accepts a run, and answers with its events."""
    cells.refuse_if_crowded()
    refuse_if_full(cells.admissions, who)
    asked = await read_json(request, partial(read, thread=thread), cells.aside)
    accepted, made_of = await _accepted(request, cells, who, thread, asked)
    service = cells.of(accepted.id)
    before = b"[]"
    if "values" in asked.modes:
        before = await cells.aside.run(lambda: _before(thread, made_of))
    dialect = LangGraph(thread, accepted.id, asked.modes, before)
    told = _streaming(thread, accepted.id, asked.modes)
    return await follow_submitted(request, service, who, accepted, dialect=dialect, told=told)


async def _accepted(
    request: Request, cells: Cells, who: Principal, thread: str, asked: Asked
) -> tuple[Submitted, GenerationRequest]:
    """Accepts a run, behind what its thread has, and no other beside it. Raises Problem (409) while there is one that has not
    ended."""
    thread_seen = await seen(cells, who, thread)
    last, earlier, said = thread_seen.last, None, list[Json]()
    if last is not None:
        if not last.record.ended:
            raise Problem(Code.THREAD_BUSY, generation=last.record.id)
        earlier = await request_of(last.service, last.record.id)
        said = [] if (last.record.end or {}).get("withdrawn") else last.content
    generation = await cells.aside.run(lambda: made(asked, cells.bounds, earlier, said))
    return await _claimed(request, cells, who, thread_seen, generation), generation


async def _claimed(
    request: Request, cells: Cells, who: Principal, thread: Seen, generation: GenerationRequest
) -> Submitted:
    """Accepts it as the next run of a thread that was seen so. Raises Problem (409) if another has come before it."""
    retention = generation.options().retention or cells.retention
    claim = Claim(cells, thread.name, thread.standing, thread.last and thread.last.record.id, retention * 1000)
    try:
        accepted = await accepted_from(request, cells, who, generation, None, claim.take)
    except OutcomeUnknown:
        raise  # it may have been made: the claim says so until that is known
    except (BrokerError, Problem):
        await claim.give_up()
        raise
    other = await claim.keep(accepted.id)
    if other is not None:  # this process stood still for longer than a claim lasts
        await cancel_for(cells.of(accepted.id), journal_of(request), who, accepted.id)
        raise Problem(Code.THREAD_BUSY, generation=other)
    return accepted


# -- a run that there is


@router.get(
    "/threads/{thread}/runs/{id:generation}",
    **described({200: objects.Run}, _ABOUT_THREADS, scopes=("view",), sends={200: _NAMED}),
)
async def get_run(who: WhoViews, _: Counted, service: ServiceOf, thread: Thread, id_: Id) -> Response:
    """A run as it is by now."""
    record = await run_of(service, who, id_, thread)
    return as_json(objects.run(record, thread), headers=_told(thread, id_))


@router.get(
    "/threads/{thread}/runs/{id:generation}/stream",
    **described(
        {200: _STREAM}, (*_ABOUT_THREADS, Code.TOO_MANY_STREAMS),
        scopes=("view",), takes=("Last-Event-ID",), sends={200: (*_NAMED, "Location")},
    ),
)  # fmt: skip
async def join_stream(
    who: WhoViews,
    request: Request,
    service: ServiceOf,
    thread: Thread,
    id_: Id,
    stream_mode: Modes = None,
    cancel_on_disconnect: Annotated[
        Literal["false", "0"], Query(description="It goes on without its readers.")
    ] = "false",
) -> Response:
    """The events of a run, from its beginning or from behind one of them, whichever modes it was made with."""
    modes = (
        frozenset(filter(None, stream_mode or ())) or USUAL_MODES
    )  # the SDK says an empty one where none is asked for
    record = await run_of(service, who, id_, thread)
    headers = encoded(_streaming(thread, id_, modes))
    cursor = ", ".join(request.headers.getlist("last-event-id"))
    if record.terminal_id is not None and cursor == str(record.terminal_id):
        return nothing_more(END, headers)
    before = b"[]"
    if "values" in modes:
        before = orjson.dumps(await messages_before(service, id_, thread))
    dialect = LangGraph(thread, id_, modes, before)
    return await follow(
        request, service, who, id_, None if cursor == _FROM_THE_BEGINNING else cursor, dialect=dialect, headers=headers
    )


@router.get(
    "/threads/{thread}/runs/{id:generation}/join",
    **described(
        {200: objects.Outcome, 204: None}, (*_ABOUT_THREADS, Code.TOO_MANY_STREAMS, Code.NOT_ENDED_IN_TIME, Code.DRAINING),
        scopes=("view",), sends={200: _NAMED},
    ),
)  # fmt: skip
async def join(who: WhoViews, _: Counted, request: Request, service: ServiceOf, thread: Thread, id_: Id) -> Response:
    """Waits for the end of a run: the messages of its thread then, and `__error__` if it has not succeeded."""
    await run_of(service, who, id_, thread)
    ended = await ended_from(request, service, who, id_, content)
    if ended is None:
        return Response(status_code=204, headers=NO_STORE)  # to nobody
    said = answer_of(id_, orjson.loads(b"".join(ended.pieces)), ended.record.end)
    messages = [*await messages_before(service, id_, thread), *said]
    return as_json(objects.outcome(ended.record, messages), headers=_told(thread, id_))


@router.post(
    "/threads/{thread}/runs/{id:generation}/cancel",
    **described(
        {200: objects.Run, 202: objects.Run, 204: None},
        (*_ABOUT_THREADS, Code.TOO_MANY_STREAMS, Code.NOT_ENDED_IN_TIME, Code.DRAINING, Code.ALREADY_ENDED, Code.CROSS_SITE),
        scopes=("cancel", "view"), sends={200: _NAMED, 202: _NAMED},
    ),
)  # fmt: skip
async def cancel(
    who: WhoCancels,
    _: WhoViews,
    __: Counted,
    request: Request,
    service: ServiceOf,
    thread: Thread,
    id_: Id,
    wait: Annotated[bool, Query(description="Whether to wait for its end.")] = False,
    action: Annotated[Literal["interrupt"], Query(description="What was said stays.")] = "interrupt",
) -> Response:
    """Asks for the end of a run."""
    await run_of(service, who, id_, thread)
    record, ended = await cancel_for(service, journal_of(request), who, id_)
    if wait and not ended:
        waited = await ended_from(request, service, who, id_, content)
        if waited is None:
            return Response(status_code=204, headers=NO_STORE)  # to nobody
        record = waited.record
    return as_json(objects.run(record, thread), 200 if wait or ended else 202, _told(thread, id_))


# -- headers


def _before(thread: str, request: GenerationRequest) -> bytes:
    return orjson.dumps(asked_of(thread, [(turn.role, turn.content) for turn in request.messages]))


def _told(thread: str, id_: str) -> dict[str, str]:
    return {**naming(id_), "content-location": f"/threads/{thread}/runs/{id_}"}


def _streaming(thread: str, id_: str, modes: frozenset[str]) -> Mapping[str, str]:
    """`Location` is where the SDK comes back: the modes are in it, as nothing here remembers them."""
    told = _told(thread, id_)
    query = "&".join(f"stream_mode={mode}" for mode in MODES if mode in modes)
    return {**told, "location": f"{told['content-location']}/stream?{query}"}
