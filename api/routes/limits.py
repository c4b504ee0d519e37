"""`/v1/limits`: what a tenant may use, and what it does."""

import asyncio
from collections.abc import Iterable, Sequence

from fastapi import Request, Response
from typing_extensions import TypedDict

from api.access.gate import Principal
from api.intake.negotiate import JSON, negotiate
from api.intake.problems import ABOUT_STORAGE, Code
from api.routes.asking import CellsOf, WhoViews, as_json, guarded
from api.routes.openapi import described
from broker.store.limiting import Use

router = guarded()


class Requests(TypedDict):
    """Of the API key that asks. `remaining` may come at once, and all of `burst` in `full_in_ms`."""

    per_minute: float | None
    burst: int | None
    remaining: int | None
    full_in_ms: int


class Used(TypedDict):
    """What there is now of what there may be; no `limit`: any number."""

    limit: int | None
    used: int


class UsedToday(Used):
    """Of what was submitted since the day began. `resets_at_ms`: when it ends, at midnight by UTC."""

    resets_at_ms: int


class LimitsInUse(TypedDict):
    """The limits of a tenant, and what it uses of them. Tokens and bytes are counted where one of the two is limited."""

    tenant: str
    requests: Requests
    running: Used
    queued: Used
    tokens_today: UsedToday
    stored_bytes: Used


@router.get(
    "/limits",
    **described({200: LimitsInUse}, (*ABOUT_STORAGE, Code.NOT_ACCEPTABLE), scopes=("view",)),
)
async def limits(who: WhoViews, request: Request, cells: CellsOf) -> Response:
    """What may be used by the tenant that asks, and what it uses now. It costs no request."""
    negotiate(request.headers, (JSON,))
    uses = await asyncio.gather(*(each.limiter.use(who.owner, who.key) for each in cells.services.values()))
    return as_json(in_use(who, uses))


def in_use(who: Principal, uses: Sequence[Use]) -> LimitsInUse:
    """Of all cells: their shares are the whole. Pure."""
    paces = [use.limits.rate for use in uses if use.limits.rate is not None]
    counted = bool(paces)
    return {
        "tenant": who.owner,
        "requests": {
            "per_minute": round(sum(60_000_000 / pace.interval for pace in paces), 3) if counted else None,
            "burst": sum(pace.burst for pace in paces) if counted else None,
            "remaining": sum(use.left or 0 for use in uses) if counted else None,
            "full_in_ms": max(use.full_ms for use in uses),
        },
        "running": {"limit": _whole(use.limits.running for use in uses), "used": sum(use.running for use in uses)},
        "queued": {"limit": _waiting(uses), "used": sum(use.queued for use in uses)},
        "tokens_today": {
            "limit": _whole(use.limits.tokens for use in uses),
            "used": sum(use.tokens for use in uses),
            "resets_at_ms": max(use.day_ends_ms for use in uses),
        },
        "stored_bytes": {"limit": _whole(use.limits.stored for use in uses), "used": sum(use.stored for use in uses)},
    }


def _whole(shares: Iterable[int | None]) -> int | None:
    """None where there is no limit: then there is none in any cell."""
    each = list(shares)
    return None if None in each else sum(share or 0 for share in each)


def _waiting(uses: Sequence[Use]) -> int | None:
    """None is to wait where so many may run and wait together."""
    return 0 if uses[0].limits.unfinished is not None else _whole(use.limits.queued for use in uses)
