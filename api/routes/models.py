"""`/v1/models`, in the shape of the vendor whose client asks; and how many tokens a prompt has, as the upstream counts them."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Final

from fastapi import Request, Response

from api.intake.asked.messages import betas_of
from api.intake.body import read_json
from api.intake.negotiate import JSON, negotiate
from api.intake.problems import ABOUT_STORAGE, Code, Problem
from api.intake.shapes import asks_as_anthropic
from api.routes.asking import ABOUT_BODIES, MESSAGES, NO_STORE, Counted, WhoSubmits, WhoViews, as_json, guarded
from api.routes.openapi import COUNTED, MODEL, MODELS, described
from api.routes.upstream import Asking

_UPSTREAM: Final = (Code.UPSTREAM_AWAY, Code.NO_UPSTREAM_KEY)
_LONG_AGO: Final = "1970-01-01T00:00:00Z"
_FAILS: Final = (400, 401, 403, 404, 413, 422, 429, 500, 502, 503, 504, 529)

router = guarded()


def _asking(request: Request) -> Asking:
    asking: Asking = request.app.state.asking
    return asking


@router.post(
    "/messages/count_tokens",
    **described(
        {200: COUNTED},
        (
            *ABOUT_BODIES, *ABOUT_STORAGE, *_UPSTREAM, Code.NOT_FOUND, Code.NOT_ACCEPTABLE, Code.MODEL_NOT_ALLOWED,
            Code.RATE_LIMITED, Code.CROSS_SITE,
        ),
        scopes=("submit",), taken="AnthropicPrompt", example={"model": "sim-1", "messages": MESSAGES},
        errors="AnthropicError", fails=_FAILS,
    ),
)  # fmt: skip
async def count_tokens(who: WhoSubmits, _: Counted, request: Request) -> Response:
    """How many tokens the prompt has: asked of the upstream, whose answer, or refusal, is passed on. Nothing is kept of it."""
    negotiate(request.headers, (JSON,))
    betas, asking = betas_of(request.headers), _asking(request)
    body = await read_json(request, dict, request.app.state.cells.aside)
    model = body.get("model")
    if not isinstance(model, str) or not model:
        raise Problem(Code.INVALID_REQUEST, errors=[{"pointer": "/model", "code": "missing", "detail": "is required"}])
    if not asking.tenants.of(who.owner).allows_model(model):
        wrong = {"pointer": "/model", "code": "not_allowed", "detail": "is no model that this tenant may use"}
        raise Problem(Code.MODEL_NOT_ALLOWED, errors=[wrong])
    answer = await asking.count_tokens(who.owner, model, body, betas)
    return Response(answer.body, answer.status, NO_STORE, JSON)


@router.get(
    "/models",
    **described(
        {200: MODELS},
        (*ABOUT_STORAGE, *_UPSTREAM, Code.NOT_ACCEPTABLE, Code.RATE_LIMITED),
        scopes=("view",), errors="VendorsError",
    ),
)  # fmt: skip
async def models(who: WhoViews, _: Counted, request: Request) -> Response:
    """The models that whoever asks may ask for: one page, in Anthropic's shape where `anthropic-version` is sent, else in
    OpenAI's."""
    negotiate(request.headers, (JSON,))
    return as_json(_page(await _asking(request).models(who.owner), anthropic=_by_anthropic(request)))


@router.get(
    "/models/{model:path}",
    **described(
        {200: MODEL},
        (*ABOUT_STORAGE, *_UPSTREAM, Code.NOT_ACCEPTABLE, Code.NOT_FOUND, Code.RATE_LIMITED),
        scopes=("view",), errors="VendorsError",
    ),
)  # fmt: skip
async def one_model(who: WhoViews, _: Counted, request: Request, model: str) -> Response:
    """One of them."""
    negotiate(request.headers, (JSON,))
    for each in await _asking(request).models(who.owner):
        if each["id"] == model:
            return as_json(_shown(each, anthropic=_by_anthropic(request)))
    raise Problem(Code.NOT_FOUND, "There is no such model for who asks.")


def _by_anthropic(request: Request) -> bool:
    return asks_as_anthropic(request.scope["headers"])


def _page(listed: Iterable[Mapping[str, object]], *, anthropic: bool) -> Mapping[str, object]:
    data = [_shown(each, anthropic=anthropic) for each in listed]
    if not anthropic:
        return {"object": "list", "data": data}
    ids = [each["id"] for each in data]
    return {"data": data, "has_more": False, "first_id": ids[0] if ids else None, "last_id": ids[-1] if ids else None}


def _shown(model: Mapping[str, object], *, anthropic: bool) -> Mapping[str, object]:
    """As its own vendor told of it where that one's client asks; else what the other's must have. When it was made, is the
    beginning of 1970 where nobody knows."""
    id_, made, created = model["id"], model.get("created"), model.get("created_at")
    if anthropic:
        if not isinstance(created, str):
            created = datetime.fromtimestamp(made, UTC).isoformat() if isinstance(made, int) else _LONG_AGO
        told = model if model.get("type") == "model" else {}
        return {"display_name": id_, "lifecycle": "active", **told, "type": "model", "id": id_, "created_at": created}
    if not isinstance(made, int):
        made = _seconds(created if isinstance(created, str) else _LONG_AGO)
    return {"id": id_, "object": "model", "created": made, "owned_by": str(model.get("owned_by", "respool"))}


def _seconds(text: str) -> int:
    """Since 1970, of a time as RFC 3339 has it."""
    try:
        return int(datetime.fromisoformat(text).timestamp())
    except (ValueError, OverflowError):
        return 0
