"""`POST /v1/generations/batch`: many submits in one request, a line each, and a verdict of each, in their order."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from typing import Final, NotRequired

import orjson
from fastapi import Request, Response
from fastapi.responses import StreamingResponse
from pydantic import ValidationError
from starlette.types import Receive, Scope, Send
from typing_extensions import TypedDict

from api.access.gate import Principal
from api.audit.journal import Journal
from api.intake.body import SMALL, parse_object
from api.intake.lines import JSONL, Line, read_lines, refuse_if_large
from api.intake.negotiate import idempotency_key, negotiate
from api.intake.problems import Code, Problem, from_broker_error, from_validation_error
from api.routes import views
from api.routes.asking import ABOUT_SUBMITTING, CellsOf, WhoSubmits, guarded
from api.routes.auditing import journal_of
from api.routes.cells import Cells
from api.routes.openapi import Answer, Json, described
from broker.errors import BrokerError
from broker.request import GenerationRequest

_AT_ONCE: Final = 8
"""Lines of one batch that are accepted at a time."""
_BATCHES: Final = 4
"""At a time in a process: what their bodies hold is bounded."""


class Verdict(TypedDict):
    """What became of the line of this number: `status` is 202 with the record, or that of the problem."""

    line: int
    status: int
    generation: NotRequired[views.Summary]
    problem: NotRequired[Json]


_VERDICTS: Final = Answer(
    "A verdict for each line that is not blank, in their order, as JSON Lines.", JSONL[0],
    {"itemSchema": {"$ref": "#/components/schemas/Verdict"}},
)  # fmt: skip

router = guarded()
_under_way: set[object] = set()
"""One for each batch of this process that is read or answered now."""


class _Verdicts(StreamingResponse):
    """Whatever becomes of it, its batch is over then."""

    def __init__(self, verdicts: AsyncIterator[bytes], form: str, batch: object) -> None:
        super().__init__(verdicts, 200, {"cache-control": "no-store"}, form)
        self._batch = batch

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            _under_way.discard(self._batch)


@router.post(
    "/generations/batch",
    **described(
        {200: _VERDICTS}, ABOUT_SUBMITTING, scopes=("submit",), lines=GenerationRequest, takes=("Idempotency-Key",)
    ),
)
async def batch(who: WhoSubmits, request: Request, cells: CellsOf) -> Response:
    """Accepts up to 1,000 generations, one a line of JSON Lines, and answers each line's verdict as soon as those before it are
    told. One bad line stops no other. Sent again with the same Idempotency-Key, each line is accepted once."""
    cells.refuse_if_crowded()
    form = negotiate(request.headers, JSONL)
    key = idempotency_key(request.headers)
    if len(_under_way) >= _BATCHES:
        raise Problem(Code.TOO_BUSY)
    this = object()
    _under_way.add(this)
    try:
        lines = await read_lines(request)
        cells.refuse_unless_accepting()
    except BaseException:
        _under_way.discard(this)
        raise
    return _Verdicts(_verdicts(lines, cells, who, key, journal_of(request)), form, this)


async def _verdicts(
    lines: Sequence[Line], cells: Cells, who: Principal, key: str | None, journal: Journal
) -> AsyncIterator[bytes]:
    """In their order, a few under way at a time. Who leaves ends what is under way: what was accepted stays so."""
    under_way: deque[asyncio.Task[Verdict]] = deque()
    left = deque(lines)
    try:
        while left or under_way:
            while left and len(under_way) < _AT_ONCE:
                number, line = left.popleft()
                # A key is visible ASCII, so that none of a single submit is one of these.
                its_key = None if key is None else f"{key} {number}"
                under_way.append(asyncio.create_task(_verdict(number, line, cells, who, its_key, journal)))
            yield orjson.dumps(await under_way[0]) + b"\n"
            under_way.popleft()
    finally:
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)


async def _verdict(
    number: int, line: bytes, cells: Cells, who: Principal, key: str | None, journal: Journal
) -> Verdict:
    try:
        refuse_if_large(line)

        def make() -> GenerationRequest:
            return GenerationRequest.model_validate(parse_object(line), context=cells.bounds)

        asked = await cells.aside.run(make) if len(line) > SMALL else make()
        cells.refuse_unless_accepting()
        accepted = await cells.accept(asked, key, who.owner, who.key)
        journal.note("submit", who, accepted.id)
        service = cells.of(accepted.id)
        record = accepted.record or service.shown(await service.logs.record(accepted.id))
        return {"line": number, "status": 202, "generation": views.summary(record)}
    except Problem as problem:
        found = problem
    except ValidationError as error:
        found = from_validation_error(error)
    except BrokerError as error:
        found = from_broker_error(error)
    return {"line": number, "status": found.status, "problem": found.body()}
