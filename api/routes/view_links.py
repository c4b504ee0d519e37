"""View links: made for a generation, revoked, and exchanged for a cookie."""

from email.utils import formatdate
from typing import Annotated, Final

from fastapi import Depends, Path, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import TypedDict

from api.access.gate import Principal
from api.access.linked import COOKIE, bearer
from api.access.links import LONGEST_SECONDS, USUAL_SECONDS, Link, Links, is_link_id, new_link_id
from api.intake.body import has_body, read_json
from api.intake.negotiate import JSON, negotiate
from api.intake.problems import Code, Problem
from api.routes.asking import ABOUT_BODIES, ABOUT_ONE, NO_STORE, CellsOf, Id, ServiceOf, WhoViews, as_json, guarded
from api.routes.auditing import journal_of
from api.routes.openapi import Nothing, described
from api.routes.service import Service
from broker.errors import UnknownGeneration
from broker.store.links import LinkStore

_NOT_A_LINK: Final = "A view link's token is exchanged here, and nothing else."

_REVOKED: Final = Nothing("No link of that name opens anything any more.")

router = guarded()


class LinkRequest(BaseModel):
    """What may be said of a link."""

    model_config = ConfigDict(extra="forbid", strict=True)

    expires_in: int = Field(default=USUAL_SECONDS, ge=1, le=LONGEST_SECONDS)
    """Seconds after which it ends."""
    redact: bool = False
    """Who has it is shown text alone: no thinking, no tool's input or result, no usage, nothing of the submitter."""


class ViewLink(TypedDict):
    """A link that was made. Whoever has the `token` reads the generation until `expires_at_ms`; `url` has it in its query, for
    an EventSource. `id` revokes it."""

    id: str
    token: str
    url: str
    expires_at_ms: int
    redact: bool


def _links(request: Request) -> Links:
    links: Links = request.app.state.links
    return links


async def _link_id(link_id: Annotated[str, Path(json_schema_extra={"pattern": "^lnk_[0-9A-HJKMNP-TV-Z]{26}$"})]) -> str:
    if not is_link_id(link_id):
        raise UnknownGeneration
    return link_id


@router.post(
    "/generations/{id:generation}/view-links",
    **described(
        {201: ViewLink}, (*ABOUT_ONE, *ABOUT_BODIES, Code.NOT_ACCEPTABLE, Code.CROSS_SITE), scopes=("view",),
        body=LinkRequest, optional=True, example={"expires_in": 600, "redact": True},
    ),
)  # fmt: skip
async def make(who: WhoViews, request: Request, service: ServiceOf, cells: CellsOf, id_: Id) -> Response:
    """A link by which anybody may read this generation, and do nothing else, for some minutes. It ends with the key that made
    it, if that ends sooner."""
    negotiate(request.headers, (JSON,))
    owner = await _owner(service, who, id_)
    asked = (
        await read_json(request, LinkRequest.model_validate, cells.aside)
        if has_body(request.headers)
        else LinkRequest()
    )
    now_ms = await _store(service).now_ms()
    ends_ms = now_ms + asked.expires_in * 1000
    if who.expires_ms is not None:
        ends_ms = min(ends_ms, who.expires_ms)
    link = Link(new_link_id(now_ms), owner, id_, asked.redact, ends_ms // 1000 * 1000)
    try:
        token = _links(request).token(link)
    except LookupError:  # Redis has not told yet by which secret
        raise Problem(Code.REDIS_UNAVAILABLE) from None
    journal_of(request).note("link_create", who, link.id)
    url = f"/v1/generations/{id_}/events?token={token}"
    shown: ViewLink = {
        "id": link.id, "token": token, "url": url, "expires_at_ms": link.expires_ms, "redact": link.redacted,
    }  # fmt: skip
    return as_json(shown, 201)


@router.delete(
    "/generations/{id:generation}/view-links/{link_id}",
    **described({204: _REVOKED}, (*ABOUT_ONE, Code.STORAGE_FULL, Code.CROSS_SITE), scopes=("view",)),
)
async def revoke(
    who: WhoViews, request: Request, service: ServiceOf, id_: Id, link_id: Annotated[str, Depends(_link_id)]
) -> Response:
    """Ends a link, and the streams that were opened by it. 204 whether or not it was there: nothing is kept of a link."""
    await _owner(service, who, id_)
    await _store(service).revoke(id_, link_id)
    journal_of(request).note("link_revoke", who, link_id)
    return Response(status_code=204, headers=NO_STORE)


@router.delete(
    "/generations/{id:generation}/view-links",
    **described({204: _REVOKED}, (*ABOUT_ONE, Code.STORAGE_FULL, Code.CROSS_SITE), scopes=("view",)),
)
async def revoke_all(who: WhoViews, request: Request, service: ServiceOf, id_: Id) -> Response:
    """Ends all links of the generation that were made until now, and the streams that were opened by them."""
    await _owner(service, who, id_)
    await _store(service).revoke(id_)
    journal_of(request).note("link_revoke", who, id_)
    return Response(status_code=204, headers=NO_STORE)


@router.post(
    "/view-links/session",
    **described(
        {204: Nothing("The cookie is set.")}, (Code.CROSS_SITE,), scopes=("view",), links=True, sends={204: ("Set-Cookie",)}
    ),
)  # fmt: skip
async def session(who: WhoViews, request: Request) -> Response:
    """Exchanges a link's token, in `Authorization: Bearer`, for a cookie by which pages of this host read its generation."""
    token = bearer(request.headers.get("authorization", "").encode("latin-1"))
    link = _links(request).read(token)
    if who.only is None or link is None or link.id != who.key:
        raise Problem(Code.UNAUTHENTICATED, _NOT_A_LINK)
    answer = Response(status_code=204, headers=NO_STORE)
    answer.headers["set-cookie"] = (
        f"{COOKIE}{link.generation}={token.decode()}; Path=/; Secure; HttpOnly; SameSite=Strict; "
        f"Expires={formatdate(link.expires_ms // 1000, usegmt=True)}"
    )
    return answer


async def _owner(service: Service, who: Principal, id_: str) -> str:
    """Whose the generation is, if it is there for the one who asks. Raises as Service.refuse_unless_seen."""
    return (await service.visit(id_, who)).owner


def _store(service: Service) -> LinkStore:
    return LinkStore(service.coordination.redis)
