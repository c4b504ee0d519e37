"""`/v1/messages`: Anthropic's Messages API, as its SDKs speak it."""

from collections.abc import Mapping
from functools import partial
from typing import Final

from fastapi import Request, Response

from api.access.gate import Principal
from api.delivery.parts import Parts
from api.dialects.messages import MESSAGES as VOCABULARY
from api.dialects.messages_whole import message
from api.dialects.messages_words import Failed
from api.intake.asked.messages import MessagesRequest, betas_of, from_messages
from api.intake.body import read_json
from api.intake.negotiate import EVENT_STREAM, JSON, idempotency_key, negotiate
from api.intake.problems import Code
from api.routes.accepting import naming
from api.routes.asking import (
    ABOUT_SUBMITTING,
    MESSAGES,
    NO_STORE,
    PACED,
    CellsOf,
    WhoSubmits,
    WhoViews,
    as_json,
    guarded,
    paces,
)
from api.routes.following import follow_submitted, refuse_if_full
from api.routes.openapi import MESSAGE, described
from api.routes.repeats import Asker, accepted_or_joined, ended_for
from api.routes.service import Service
from broker.failures import CANCELLED_STATUS
from broker.store.accepting import Submitted

_NAMED: Final = ("Respool-Generation", "Request-Id", *PACED)
_FAILS: Final = (400, 401, 403, 404, 413, 422, 429, CANCELLED_STATUS, 500, 502, 503, 504, 507, 529)
"""Statuses of the failures that there are."""

router = guarded()


@router.post(
    "/messages",
    **described(
        {200: MESSAGE},
        (
            *ABOUT_SUBMITTING,
            Code.NOT_FOUND,
            Code.ARCHIVE_UNAVAILABLE,
            Code.PAYLOAD_UNREADABLE,
            Code.NOT_ENDED_IN_TIME,
        ),
        scopes=("submit", "view"), body=MessagesRequest, takes=("Idempotency-Key",), sends={200: _NAMED},
        example={"model": "sim-1", "max_tokens": 100, "messages": MESSAGES}, errors="AnthropicError",
        fails=_FAILS,
    ),
)  # fmt: skip
async def messages(who: WhoSubmits, _: WhoViews, request: Request, cells: CellsOf) -> Response:
    """Accepts a generation, and answers with its message, or with the events of that, as Anthropic's API does."""
    cells.refuse_if_crowded()
    negotiate(request.headers, (JSON, EVENT_STREAM))
    key = idempotency_key(request.headers)
    make = partial(from_messages, betas_of(request.headers), cells.bounds)
    asked, stream = await read_json(request, make, cells.aside)
    refuse_if_full(cells.admissions, who)
    accepted, asker = await accepted_or_joined(request, cells, who, asked, key)
    service = cells.of(accepted.id)
    if stream:
        told = _told(accepted.id)
        return await follow_submitted(
            request, service, who, accepted, dialect=VOCABULARY, told=told, detach=asker.detach
        )
    return await _whole(request, service, who, accepted, asker)


async def _whole(request: Request, service: Service, who: Principal, accepted: Submitted, asker: Asker) -> Response:
    """The message, or why there is none. The SDK is told not to repeat what the worker has repeated already."""
    headers = {**NO_STORE, **_told(accepted.id), **paces(service, who, accepted)}
    ended = await ended_for(asker, request, service, who, message)
    if ended is None:
        return Response(status_code=204, headers=NO_STORE)  # to nobody
    failed = Failed.of(ended.record.end or {})
    if failed is not None:
        return as_json(failed.body(accepted.id), failed.status, {**headers, "x-should-retry": "false"})
    return Parts(ended.pieces, headers=headers, media_type=JSON)


def _told(id_: str) -> Mapping[str, str]:
    """Anthropic's SDKs show the second one as an answer's `_request_id`."""
    return {**naming(id_), "request-id": id_}
