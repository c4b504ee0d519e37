"""`…/retry` and `…/continue`: a new generation of the request of one that there is, or of what came of it."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Final

from fastapi import Request, Response

from api.access.gate import Principal
from api.intake.anew import NOT_CHANGED, Changes, continued, retried
from api.intake.body import has_body, read_json
from api.intake.negotiate import EVENT_STREAM, JSON, idempotency_key, negotiate
from api.intake.problems import Code, Problem
from api.routes import views
from api.routes.asking import ABOUT_ONE, ABOUT_SUBMITTING, KEPT, SUBMITTED, CellsOf, Id, ServiceOf, WhoSubmits, guarded
from api.routes.cells import Cells
from api.routes.generations import answered
from api.routes.openapi import STREAM, described
from broker.record import Record
from broker.request import StoredRequest, UnreadableRequest
from broker.transcript import Transcript

_MOST_BYTES: Final = 1 << 20
"""Of text that a generation goes on from: as much as a submitter may send."""
_LARGE: Final = 16 * 1024
_ABOUT: Final = (*ABOUT_ONE, *ABOUT_SUBMITTING, Code.ARCHIVE_UNAVAILABLE, Code.PAYLOAD_UNREADABLE)
_CHANGED: Final = {"max_tokens": 8192}

router = guarded()

Make = Callable[[Changes], StoredRequest]


@router.post(
    "/generations/{id:generation}/retry",
    **described(
        {202: views.Summary, 200: STREAM}, _ABOUT, scopes=("submit",), takes=("Idempotency-Key",),
        sends={202: KEPT, 200: SUBMITTED}, changes=_CHANGED,
    ),
)  # fmt: skip
async def retry(who: WhoSubmits, request: Request, cells: CellsOf, service: ServiceOf, id_: Id) -> Response:
    """Submits the request of a generation, whatever its state, once more. Fields in the body take the place of its own."""
    service.refuse_if_crowded()
    await service.refuse_unless_seen(id_, who)
    stored = await service.logs.request(id_)
    return await _submitted(request, cells, who, stored, lambda changes: retried(stored, id_, changes, service.bounds))


@router.post(
    "/generations/{id:generation}/continue",
    **described(
        {202: views.Summary, 200: STREAM}, (*_ABOUT, Code.CANNOT_CONTINUE), scopes=("submit",), takes=("Idempotency-Key",),
        sends={202: KEPT, 200: SUBMITTED}, changes=_CHANGED,
    ),
)  # fmt: skip
async def continue_(who: WhoSubmits, request: Request, cells: CellsOf, service: ServiceOf, id_: Id) -> Response:
    """Goes on from the text of a generation that failed, was cancelled, or had reached `max_tokens`, in a new one that has
    the whole text."""
    service.refuse_if_crowded()
    record = await service.safe_record(id_, who)
    if not _stopped_short(record):
        raise Problem(Code.CANNOT_CONTINUE, state=record.state)
    told = await service.hub.transcripts.told(id_, _text_to_go_on_from)
    text = b"".join(told.pieces)
    if told.end is None or not 0 < len(text) <= _MOST_BYTES:
        raise Problem(Code.CANNOT_CONTINUE, state=record.state)
    stored = await service.logs.request(id_)

    def made(changes: Changes) -> StoredRequest:
        if fixed := sorted(NOT_CHANGED & changes.keys()):
            errors = [{"pointer": f"/{name}", "code": "not_allowed", "detail": "stays as it was"} for name in fixed]
            raise Problem(Code.INVALID_REQUEST, errors=errors)
        return continued(stored, id_, text.decode(), changes, service.bounds)

    return await _submitted(request, cells, who, stored, made)


def _stopped_short(record: Record) -> bool:
    """Whether it has ended before its text did. A text that was withdrawn nobody goes on from."""
    end = record.end or {}
    if record.state == "completed":
        return end.get("stop_reason") == "max_tokens" and not end.get("withdrawn")
    return record.ended and not end.get("withdrawn")


def _text_to_go_on_from(transcript: Transcript) -> Iterator[bytes]:
    """Nothing where there is none."""
    kept = transcript.goes_on()
    if kept is not None:
        yield kept.text.encode()


async def _submitted(request: Request, cells: Cells, who: Principal, stored: bytes, make: Make) -> Response:
    """Submits what is made of the changes in the request's body, which may be missing. Raises Problem."""
    form = negotiate(request.headers, (JSON, EVENT_STREAM))
    key = idempotency_key(request.headers)
    try:
        if has_body(request.headers):
            asked = await read_json(request, make, cells.aside)
        elif len(stored) > _LARGE:
            asked = await cells.aside.run(partial(make, {}))
        else:
            asked = make({})
    except UnreadableRequest:
        raise Problem(Code.INVALID_REQUEST, "The stored request is of a version that is not known here.") from None
    return await answered(request, cells, who, asked, key, form)
