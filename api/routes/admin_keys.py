"""`/v1/admin/keys`: API keys are made, listed, changed for others and revoked, by whom has one that may.

On a server that asks nobody who they are nobody may: whoever found it open could keep a key for later. The first key is made by
`python -m api.keys`, as is any."""

import re
from collections.abc import Awaitable, Callable
from typing import Annotated, Final, TypeVar

from fastapi import Depends, Path, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import TypedDict

from api.access.gate import Principal, Scope
from api.audit.lines import Action
from api.intake.body import read_json
from api.intake.negotiate import JSON, negotiate
from api.intake.problems import ABOUT_STORAGE, Code, Problem
from api.keys.issuing import GRACE_MS, Issued, Issuer, KeyRefused, Why
from api.routes.asking import ABOUT_BODIES, CellsOf, WhoAdmins, as_json, guarded
from api.routes.auditing import journal_of
from api.routes.openapi import described
from broker.api_keys import KEY_ID, LONGEST_NAME, KeyRecord, KeyState
from broker.tenants import TENANT

T = TypeVar("T")
_LONGEST_SECONDS: Final = 10 * 365 * 86_400


class KeyRequest(BaseModel):
    """What a key is to be."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    tenant: str = Field(pattern=f"^{TENANT}$", description="Whose generations it makes and sees.")
    scopes: list[Scope] = Field(min_length=1, max_length=4, description="What it may do.")
    name: str = Field(default="", max_length=LONGEST_NAME, description="What it is for, for people.")
    expires_in_seconds: int | None = Field(
        default=None, ge=1, le=_LONGEST_SECONDS, description="How long it is valid; null: until it is revoked."
    )


class RotationRequest(BaseModel):
    """How a key is changed for another."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    grace_seconds: int = Field(
        default=GRACE_MS // 1000, ge=0, le=90 * 86_400, description="How much longer the key is valid; 0: not at all."
    )


class Key(TypedDict):
    """What is known of a key. `pepper` is the version of the operator's secret that it is hashed with, `successor` the id of
    the key that was made in its place."""

    id: str
    tenant: str
    name: str
    scopes: list[str]
    state: KeyState
    pepper: str
    created_at_ms: int
    expires_at_ms: int | None
    revoked_at_ms: int | None
    successor: str | None


class NewKey(Key):
    """A key that was made just now. `key` is shown this once."""

    key: str


class KeyListing(TypedDict):
    """All keys that are remembered, tenant by tenant, the oldest first."""

    data: list[Key]


_ABOUT: Final = (Code.NOT_ACCEPTABLE, *ABOUT_STORAGE, Code.CROSS_SITE)
_ABOUT_ONE: Final = (*_ABOUT, Code.NOT_FOUND, Code.INVALID_REQUEST)
router = guarded()


async def _issuer(request: Request, who: WhoAdmins) -> Issuer:
    issuer: Issuer | None = request.app.state.issuer
    if issuer is None or not who.key:
        raise Problem(Code.FORBIDDEN, "This server asks nobody for a key: it lets nobody make one.", scope="admin")
    return issuer


IssuerOf = Annotated[Issuer, Depends(_issuer)]
KeyId = Annotated[str, Path(alias="key_id", json_schema_extra={"pattern": f"^{KEY_ID}$"})]


@router.post(
    "/admin/keys",
    **described(
        {201: NewKey}, (*ABOUT_BODIES, *_ABOUT, Code.TOO_MANY_KEYS), scopes=("admin",), body=KeyRequest,
        example={"tenant": "acme", "scopes": ["submit", "view", "cancel"]},
    ),
)  # fmt: skip
async def create(who: WhoAdmins, issuer: IssuerOf, request: Request, cells: CellsOf) -> Response:
    """Makes a key. It is in the answer, and nowhere else."""
    negotiate(request.headers, (JSON,))
    asked = await read_json(request, KeyRequest.model_validate, cells.aside)
    lasts = asked.expires_in_seconds
    issued = await _done(
        lambda: issuer.create(asked.tenant, asked.scopes, asked.name, None if lasts is None else lasts * 1000)
    )
    _note(request, who, "key_create", issued.record.id)
    return _new(issued)


@router.get("/admin/keys", **described({200: KeyListing}, (*_ABOUT, Code.INVALID_REQUEST), scopes=("admin",)))
async def listing(
    _: WhoAdmins,
    issuer: IssuerOf,
    request: Request,
    tenant: Annotated[str | None, Query(pattern=f"^{TENANT}$", description="Only this tenant's.")] = None,
) -> Response:
    """All keys, those that have ended a month ago or less among them; without what makes them keys."""
    negotiate(request.headers, (JSON,))
    records, now_ms = await issuer.all(tenant)
    return as_json({"data": [_shown(record, now_ms) for record in records]})


@router.post(
    "/admin/keys/{key_id}/rotate",
    **described(
        {201: NewKey}, (*ABOUT_BODIES, *_ABOUT_ONE, Code.KEY_HAS_ENDED, Code.TOO_MANY_KEYS), scopes=("admin",),
        body=RotationRequest, example={"grace_seconds": 3600},
    ),
)  # fmt: skip
async def rotate(who: WhoAdmins, issuer: IssuerOf, key_id: KeyId, request: Request, cells: CellsOf) -> Response:
    """Makes a key that may do what this one may, and lasts as long; this one is valid for a while more."""
    negotiate(request.headers, (JSON,))
    id_ = _known_shape(key_id)
    asked = await read_json(request, RotationRequest.model_validate, cells.aside)
    issued = await _done(lambda: issuer.rotate(id_, asked.grace_seconds * 1000))
    _note(request, who, "key_rotate", id_)
    return _new(issued)


@router.post("/admin/keys/{key_id}/revoke", **described({200: Key}, _ABOUT_ONE, scopes=("admin",)))
async def revoke(who: WhoAdmins, issuer: IssuerOf, key_id: KeyId, request: Request) -> Response:
    """Lets nobody in by this key any more: within a second, or six."""
    negotiate(request.headers, (JSON,))
    id_ = _known_shape(key_id)
    record = await _done(lambda: issuer.revoke(id_))
    _note(request, who, "key_revoke", id_)
    return as_json(_shown(record, record.revoked_ms or 0))


def _known_shape(key_id: str) -> str:
    if not re.fullmatch(KEY_ID, key_id):
        raise Problem(Code.NOT_FOUND)
    return key_id


def _note(request: Request, who: Principal, action: Action, id_: str) -> None:
    journal_of(request).note(action, who, id_)


_CODES: Final[dict[Why, Code]] = {
    "unknown": Code.NOT_FOUND, "not_live": Code.KEY_HAS_ENDED, "has_successor": Code.KEY_HAS_ENDED,
    "too_many": Code.TOO_MANY_KEYS,
}  # fmt: skip


async def _done(do: Callable[[], Awaitable[T]]) -> T:
    """Raises Problem in the place of KeyRefused."""
    try:
        return await do()
    except KeyRefused as refused:
        raise Problem(_CODES[refused.why]) from None


def _new(issued: Issued) -> Response:
    record = issued.record
    return as_json({**_shown(record, record.created_ms), "key": issued.text}, 201)


def _shown(record: KeyRecord, now_ms: int) -> Key:
    return {
        "id": record.id, "tenant": record.tenant, "name": record.name, "scopes": list(record.scopes),
        "state": record.state(now_ms), "pepper": record.pepper, "created_at_ms": record.created_ms,
        "expires_at_ms": record.expires_ms, "revoked_at_ms": record.revoked_ms, "successor": record.successor,
    }  # fmt: skip
