"""Who comes with a link: it opens one generation and nothing else, until it ends or is revoked, wherever the token stands."""

from collections.abc import Iterable
from dataclasses import replace

import pytest

from api.access.gate import ANONYMOUS, Header, Open, Principal, Refusal
from api.access.linked import ENDED, NO_LINK, READS_ONE, REVOKED, TWICE, Linked, Revoked
from api.access.links import Link, Links, new_link_id
from api.intake.problems import Code

NOW = 1_796_000_000
ID, OTHER = "gen_" + "1" * 26, "gen_" + "2" * 26
LINK = Link(new_link_id(NOW * 1000), "acme", ID, True, (NOW + 60) * 1000)
LINKS = Links({"a": b"s" * 32})
TOKEN = LINKS.token(LINK)
EVENTS = f"/v1/generations/{ID}/events"
WHO = Principal(
    "acme", LINK.id, frozenset({"view"}), only=ID, redacted=True, expires_ms=LINK.expires_ms
)  # fmt: skip


class Refusing:
    """Knows nobody."""

    def authenticate(self, target: bytes, headers: Iterable[Header]) -> Principal | Refusal:
        return Refusal(unknown="somebody")

    def holds(self, who: Principal) -> bool:
        return who.key == "held"

    async def look_up(self, refusal: Refusal) -> None: ...


def linked(revoked: Revoked | None = None, now: float = NOW, *, open_: bool = False) -> Linked:
    return Linked(Open() if open_ else Refusing(), LINKS, revoked or Revoked(), lambda: now)


def asks(target: str, policy: Linked | None = None, **headers: str) -> Principal | Refusal:
    given = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return (policy or linked()).authenticate(target.encode(), [(b"host", b"here"), *given])


def cookie(id_: str = ID, token: str = TOKEN) -> str:
    return f"a=b; __Host-respool-{id_}={token}; c=d"


@pytest.mark.parametrize("open_", [False, True])
def test_a_token_says_who_asks_wherever_it_stands(open_: bool) -> None:
    policy = linked(open_=open_)
    for target in (EVENTS, f"/v1/generations/{ID}"):
        assert asks(f"{target}?token={TOKEN}", policy) == WHO
        assert asks(f"{target}?view=text&token={TOKEN}&chunk=word", policy) == WHO
        assert asks(target, policy, authorization=f"Bearer {TOKEN}") == WHO
        assert asks(target, policy, authorization=f"bearer {TOKEN}") == WHO
        assert asks(target, policy, cookie=cookie()) == WHO
    assert asks("/v1/view-links/session", policy, authorization=f"Bearer {TOKEN}") == WHO
    assert asks(f"/v1/generations/{OTHER}/events?token={TOKEN}", policy) == WHO, "to whom it is not there"


@pytest.mark.parametrize("open_", [False, True])
@pytest.mark.parametrize(
    "target",
    [
        "/v1/generations", "/v1/generations/", f"/v1/generations/{ID}/cancel", f"/v1/generations/{ID}/view-links",
        f"/v1/generations/{ID}/events/", f"/v1/generations/{ID}/", "/v1/chat/stream", "/v1/anything", "/",
        f"/v1/generations/{ID}/retry", f"/v2/generations/{ID}/events", f"/v1/generations/{ID}/../{ID}/cancel",
    ],
)  # fmt: skip
def test_a_link_opens_nothing_but_what_is_listed(target: str, open_: bool) -> None:
    policy = linked(open_=open_)
    assert asks(f"{target}?token={TOKEN}", policy) is READS_ONE
    assert asks(target, policy, authorization=f"Bearer {TOKEN}") is READS_ONE
    assert READS_ONE.code is Code.FORBIDDEN
    assert asks(target, policy, cookie=cookie()) == (ANONYMOUS if open_ else Refusal(unknown="somebody"))


def test_who_is_named_twice_is_nobody() -> None:
    for named in ({"authorization": f"Bearer {TOKEN}"}, {"authorization": "Bearer rsp_1"}, {"x_api_key": "rsp_1"}):
        assert asks(f"{EVENTS}?token={TOKEN}", linked(open_=True), **named) is TWICE
    assert asks(f"{EVENTS}?token={TOKEN}&token={TOKEN}", linked(open_=True)) is TWICE
    twice = [(b"authorization", f"Bearer {TOKEN}".encode())] * 2
    assert linked().authenticate(EVENTS.encode(), twice) == Refusal(unknown="somebody")


def test_a_token_that_is_not_ours_is_refused_in_the_query_and_another_systems_in_a_header() -> None:
    wrong = TOKEN[:-4] + "AAAA"
    assert asks(f"{EVENTS}?token={wrong}", linked(open_=True)) is NO_LINK
    assert asks(f"{EVENTS}?token=", linked(open_=True)) is NO_LINK
    for named in (wrong, "rsp_1", "", "eyJ"):
        assert asks(EVENTS, linked(open_=True), authorization=f"Bearer {named}") is ANONYMOUS
        assert asks(EVENTS, authorization=f"Bearer {named}") == Refusal(unknown="somebody")
    assert asks(EVENTS, linked(open_=True), authorization=f"Basic {TOKEN}") is ANONYMOUS


def test_a_cookie_counts_for_its_generation_and_where_nothing_else_says_who_asks() -> None:
    nobody = Refusal(unknown="somebody")
    assert asks(EVENTS, authorization="Bearer rsp_1", cookie=cookie()) == nobody
    assert asks(EVENTS, x_api_key="rsp_1", cookie=cookie()) == nobody
    assert asks(EVENTS, cookie=cookie(OTHER)) == nobody
    assert asks(f"/v1/generations/{OTHER}/events", cookie=cookie(OTHER)) == nobody, "the token is another's"
    assert asks(f"/v1/generations/{OTHER}/events", cookie=cookie()) == nobody
    assert asks(EVENTS, cookie=cookie(token="eyJ.a.b")) == nobody
    assert asks(EVENTS, cookie=cookie().replace("__Host-", "")) == nobody
    other = LINKS.token(replace(LINK, redacted=False))
    assert asks(f"{EVENTS}?token={other}", cookie=cookie()) == replace(WHO, redacted=False)


def test_a_link_ends_to_the_second() -> None:
    assert asks(f"{EVENTS}?token={TOKEN}", linked(now=NOW + 59.999)) == WHO
    assert asks(f"{EVENTS}?token={TOKEN}", linked(now=NOW + 60)) is ENDED
    assert asks(EVENTS, linked(now=NOW + 60), cookie=cookie()) is ENDED
    assert linked(now=NOW + 59.999).holds(WHO)
    assert not linked(now=NOW + 60).holds(WHO)


def test_what_was_revoked_opens_nothing_and_what_is_open_does_not_hold() -> None:
    for name, at_ms, void in (
        (f"{ID}/{LINK.id}", 0, True), (ID, NOW * 1000, True), (ID, NOW * 1000 - 1, False),
        (f"{OTHER}/{LINK.id}", NOW * 1000, False), (OTHER, NOW * 1000, False), (LINK.id, NOW * 1000, False),
    ):  # fmt: skip
        revoked = Revoked()
        revoked.note(name, at_ms)
        assert asks(f"{EVENTS}?token={TOKEN}", linked(revoked)) == (REVOKED if void else WHO)
        assert linked(revoked).holds(WHO) is not void
        revoked.note(name, at_ms - 5)
        assert revoked.has(ID, LINK.id) is void, "what is heard twice, or late, takes nothing back"
    revoked.forget_before(NOW * 1000 + 1)
    assert not revoked._names


def test_whoever_else_asks_is_the_other_policys() -> None:
    assert asks(EVENTS, linked(open_=True)) is ANONYMOUS
    assert asks(EVENTS) == Refusal(unknown="somebody")
    assert linked().holds(Principal("", "held"))
    assert not linked().holds(Principal("", "other"))
