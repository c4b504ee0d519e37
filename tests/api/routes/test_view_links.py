"""View links on routes: who may make one, what it opens, how it is revoked, and that what is withheld is withheld."""

import asyncio
from collections.abc import Iterable
from typing import Any, cast

import pytest

from api.access.gate import Header, Principal, Refusal, Scope
from api.access.linked import Linked
from api.viewing.revoked_links import RevokedLinks
from broker import keys
from broker.errors import StorageFull
from broker.events import TEXT, THINKING, Content, event
from broker.ids import new_generation_id
from broker.store.links import LinkStore
from broker.tags import Tags
from tests.api.access.test_gate import ask, routes
from tests.api.in_process import Api
from tests.api.routes.test_generations import GENERATIONS
from tests.broker.store.scripted import DONE, Generation, Server

CANARY = "withhold-me"
SESSION = "/v1/view-links/session"


class ByName:
    """Who the header X-Name says may do what X-Scopes says; nobody else is let in."""

    expires_ms: int | None = None

    def authenticate(self, target: bytes, headers: Iterable[Header]) -> Principal | Refusal:
        given = {name: value.decode() for name, value in headers}
        scopes = frozenset(cast("list[Scope]", given.get(b"x-scopes", "submit view cancel admin").split()))
        return (
            Principal(name, name, scopes, expires_ms=self.expires_ms)
            if (name := given.get(b"x-name", ""))
            else Refusal()
        )

    def holds(self, who: Principal) -> bool:
        return True

    async def look_up(self, refusal: Refusal) -> None: ...


@pytest.fixture
def keyed(api: Api) -> Api:
    """The server asks for keys."""
    policy = api.app.state.policy
    assert isinstance(policy, Linked)
    api.police(Linked(ByName(), policy._links, policy._revoked))
    return api


def made(api: Api, id_: str, body: object = None, **headers: str) -> dict[str, Any]:
    length = {} if body is None else {"content_length": str(len(str(body)))}
    answer = api.post(f"{GENERATIONS}/{id_}/view-links", body, **headers, **length)
    assert answer.status == 201, answer.body
    assert answer.headers["cache-control"] == "no-store"
    return cast("dict[str, Any]", answer.json)


def mine(server: Server, *, ended: bool = False) -> Generation:
    """A generation of tenant `me`, that has thought and said a word."""
    generation = Generation(server)
    generation.create(owner="me", tags=Tags(labels={"user": CANARY}))
    attempt = generation.granted()
    generation.append(
        attempt, 1, event("message", message={"id": CANARY}),
        event("block_start", index=0, block={"type": "thinking", "thinking": ""}), Content(THINKING, CANARY.encode()),
        event("block_start", index=1, block={"type": "text", "text": ""}), Content(TEXT, b"a"),
    )  # fmt: skip
    if ended:
        generation.finish(attempt, 6, DONE)
    return generation


def void(api: Api, target: str, detail: str) -> None:
    answer = api.get(target)
    assert answer.code == (401, "unauthenticated")
    assert answer.json["detail"] == detail


def test_a_link_reads_its_generation_for_whoever_has_it(keyed: Api, server: Server) -> None:
    generation = mine(server)
    link = made(keyed, generation.id, x_name="me")
    assert 890_000 < link["expires_at_ms"] - server.now_ms() <= 900_000
    assert link["url"] == f"{GENERATIONS}/{generation.id}/events?token={link['token']}"
    assert keyed.get(link["url"], 4).types[:2] == ["stream_start", "message"]
    keyed.until_known(generation.id)
    assert keyed.get(link["url"], 4).types[:2] == ["stream_start", "message"], "the quick way in"
    assert keyed.get(f"{GENERATIONS}/{generation.id}?token={link['token']}").shown["text"] == "a"
    bearer = {"authorization": f"Bearer {link['token']}"}
    assert keyed.get(f"{GENERATIONS}/{generation.id}", **bearer).shown["text"] == "a"
    assert keyed.get(f"{GENERATIONS}/{generation.id}").code == (401, "unauthenticated")


def test_a_link_lives_as_long_as_was_asked_and_a_day_at_most(keyed: Api, server: Server) -> None:
    generation = mine(server)
    link = made(keyed, generation.id, {"expires_in": 60}, x_name="me")
    assert 59_000 <= link["expires_at_ms"] - server.now_ms() <= 60_000
    for wrong in ({"expires_in": 0}, {"expires_in": 86_401}, {"redact": "perhaps"}, {"more": 1}):
        answer = keyed.post(f"{GENERATIONS}/{generation.id}/view-links", wrong, x_name="me", content_length="9")
        assert answer.code == (422, "invalid_request")


def test_a_link_ends_with_the_key_that_made_it(keyed: Api, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    generation, ends = mine(server), server.now_ms() + 30_000
    monkeypatch.setattr(ByName, "expires_ms", ends)
    assert made(keyed, generation.id, x_name="me")["expires_at_ms"] == ends // 1000 * 1000


def test_who_may_not_see_a_generation_makes_no_link_to_it_and_revokes_none(keyed: Api, server: Server) -> None:
    generation = mine(server)
    link = made(keyed, generation.id, x_name="me")
    views = f"{GENERATIONS}/{generation.id}/view-links"
    for method, target in (("POST", views), ("DELETE", views), ("DELETE", f"{views}/{link['id']}")):
        for headers, code in (
            ({"x-name": "you"}, (404, "not_found")), ({}, (401, "unauthenticated")),
            ({"x-name": "me", "x-scopes": "submit cancel admin"}, (403, "forbidden")),
            ({"authorization": f"Bearer {link['token']}"}, (403, "forbidden")),
        ):  # fmt: skip
            assert keyed.ask(method, target, headers).code == code
    assert keyed.get(f"{GENERATIONS}/{generation.id}?token={link['token']}").status == 200


@pytest.mark.parametrize("redact", [False, True])
def test_a_link_opens_no_route_but_two(keyed: Api, server: Server, redact: bool) -> None:
    """Whatever routes there are."""
    generation, other = mine(server), mine(server)
    token = made(keyed, generation.id, {"redact": redact}, x_name="me")["token"]
    reads = {"/v1/generations/{id}", "/v1/generations/{id}/events"}
    for method, path in routes(keyed):
        if not path.startswith("/v1/"):
            continue
        told = path.replace("{link_id}", "lnk_" + "0" * 26).replace("{key_id}", "key")
        for headers, query in (({"authorization": f"Bearer {token}"}, ""), ({}, f"?token={token}")):
            answer = ask(keyed, method, told + query, generation.id, 1, **headers)
            if method == "GET" and path in reads:
                assert answer.status == 200
                theirs = ask(keyed, method, told + query, other.id, 1, **headers)
                never = ask(keyed, method, told + query, new_generation_id(), 1, **headers)
                assert theirs.code == never.code == (404, "not_found"), "its own tenant's, too"
                assert theirs.body == never.body
            elif path == "/v1/ws":  # where it follows its one
                assert answer.code == (426, "upgrade_required")
            elif path == SESSION:
                assert answer.status in (204, 401)
            else:
                assert answer.status == 403, (method, path)
                assert b'"forbidden"' in answer.body, "in the words of the path"
    assert generation.field("cancel") is None


def test_what_is_withheld_is_in_no_answer(keyed: Api, server: Server) -> None:
    for generation in (mine(server), mine(server, ended=True)):
        token = made(keyed, generation.id, {"redact": True}, x_name="me")["token"]
        at = f"{GENERATIONS}/{generation.id}"
        bodies = [keyed.get(f"{at}?token={token}").body]
        running = generation.field("state") == "running"
        texts = () if running else ("&view=text", "&view=text&from=snapshot&chunk=sentence")
        for query in ("&from=snapshot", "&chunk=word", *texts):
            bodies.append(keyed.get(f"{at}/events?token={token}{query}", 1).body)
        keyed.get(f"{at}/events?token={token}", 3)
        if running:
            keyed.until_known(generation.id)
        bodies.append(keyed.get(f"{at}/events?token={token}", 3).body)
        for body in bodies:
            assert CANARY.encode() not in body
        assert CANARY.encode() in keyed.get(at, x_name="me").body, "who may see it does"


def test_a_link_that_was_revoked_opens_nothing_and_others_do(keyed: Api, server: Server) -> None:
    generation = mine(server)
    one, two = (made(keyed, generation.id, x_name="me") for _ in range(2))
    views = f"{GENERATIONS}/{generation.id}/view-links"
    for _ in range(2):
        assert keyed.ask("DELETE", f"{views}/{one['id']}", {"x-name": "me"}).status == 204
    server.do(_heard(keyed, one["id"]))
    void(keyed, one["url"], "The view link was revoked.")
    assert keyed.get(two["url"], 1).status == 200
    assert keyed.ask("DELETE", views, {"x-name": "me"}).status == 204
    server.do(_heard(keyed, two["id"]))
    void(keyed, two["url"], "The view link was revoked.")
    server.command("SET", "later", "", "PX", "1")
    assert keyed.ask("DELETE", f"{views}/lnk_1", {"x-name": "me"}).code == (404, "not_found")


async def _heard(api: Api, link: str) -> None:
    """Waits until the process knows that the link was revoked."""
    policy: Linked = api.app.state.policy
    async with asyncio.timeout(5):
        while not any(policy._revoked.has(name.partition("/")[0], link) for name in policy._revoked._names):
            await asyncio.sleep(0.001)


def test_a_revocation_that_nobody_heard_of_is_read(keyed: Api, server: Server) -> None:
    generation = mine(server)
    link = made(keyed, generation.id, x_name="me")
    server.command("ZADD", keys.LINKS_REVOKED, server.now_ms(), f"{generation.id}/{link['id']}")
    server.command("PEXPIRE", keys.LINKS_REVOKED, 60_000)
    assert keyed.get(link["url"], 1).status == 200
    policy: Linked = keyed.app.state.policy
    server.do(RevokedLinks(0, LinkStore(server.redis), policy._links, policy._revoked).read())
    void(keyed, link["url"], "The view link was revoked.")


def test_what_was_revoked_is_remembered_for_longer_than_a_link_lives_and_is_bounded(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("broker.store.links._PAGE", 5)
    monkeypatch.setattr("broker.store.links.MOST_REVOKED", 12)
    store, id_ = LinkStore(server.redis), new_generation_id()
    server.command("ZADD", keys.LINKS_REVOKED, server.now_ms() - keys.LINKS_REVOKED_MS - 1, "old")
    for at in range(12):
        server.do(store.revoke(id_, f"lnk_{at}"))
    with pytest.raises(StorageFull):
        server.do(store.revoke(id_))
    found = server.do(store.revoked(0))
    assert {name for name, _ in found} == {f"{id_}/lnk_{at}" for at in range(12)}
    assert server.do(store.revoked(found[-1].at_ms + 1)) == []
    assert 0 < server.command("PTTL", keys.LINKS_REVOKED) <= keys.LINKS_REVOKED_MS


def test_a_token_is_exchanged_for_a_cookie_that_reads_one_generation(keyed: Api, server: Server) -> None:
    generation, other = mine(server), mine(server)
    link = made(keyed, generation.id, x_name="me")
    answer = keyed.post(SESSION, None, authorization=f"Bearer {link['token']}")
    assert (answer.status, answer.body) == (204, b"")
    cookie, *attributes = answer.headers["set-cookie"].split("; ")
    assert cookie == f"__Host-respool-{generation.id}={link['token']}"
    assert {each.partition("=")[0] for each in attributes} == {"Path", "Secure", "HttpOnly", "SameSite", "Expires"}
    assert {"Path=/", "SameSite=Strict"} <= set(attributes)
    at = f"{GENERATIONS}/{generation.id}"
    assert keyed.get(f"{at}/events", 1, cookie=cookie).status == 200
    assert keyed.get(at, cookie=cookie).shown["text"] == "a"
    assert keyed.get(f"{GENERATIONS}/{other.id}", cookie=cookie).code == (401, "unauthenticated")
    assert keyed.post(f"{at}/cancel", None, cookie=cookie).code == (401, "unauthenticated")
    assert keyed.post(SESSION, None, cookie=cookie).code == (401, "unauthenticated")
    assert keyed.post(SESSION, None, x_name="me").code == (401, "unauthenticated"), "a key is no link"


def test_on_an_open_server_links_are_what_they_are_anywhere(api: Api, server: Server) -> None:
    generation = mine(server)
    link = made(api, generation.id, {"redact": True})
    shown = api.get(f"{GENERATIONS}/{generation.id}?token={link['token']}")
    assert CANARY.encode() not in shown.body
    assert api.post(f"{GENERATIONS}/{generation.id}/cancel?token={link['token']}").code == (403, "forbidden")
    assert CANARY.encode() in api.get(f"{GENERATIONS}/{generation.id}").body


def test_what_signs_links_is_kept_by_redis_where_no_secret_is_set(api: Api, server: Server) -> None:
    generation = mine(server)
    url = made(api, generation.id)["url"]
    assert server.command("STRLEN", keys.LINK_SECRET) == 64
    with Api(server) as another:
        assert another.get(url, 1).status == 200
