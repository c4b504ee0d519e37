"""Who asks, on both ways to the socket, over every route that the API's own document has: a new one cannot be forgotten here.

The generation that is asked about runs, is watched on both APIs by its owner, and its pages are in their caches: nothing that
is warm opens to anybody what is not theirs."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, cast

import httpx2
import pytest

from api.access.api_keys import new_key
from api.access.gate import OPEN, Scope
from api.keys.issuing import SCOPES, Issued
from broker import keys
from broker.ids import new_generation_id
from tests.api.keys.keyed import PEPPER, Desk
from tests.broker.store.scripted import Server
from tests.harness.client import frames
from tests.harness.stack import Stack, until

SLOW: Final = "sim-1?tps=2&tokens=2000&ttft_ms=0"
LINK: Final = "lnk_" + "0" * 26
SAID: Final = [{"role": "user", "content": "Hi"}]
Headers = dict[str, str]


@dataclass
class Keyed:
    """A stack that asks for keys: `mine` opens all of one tenant's, `yours` all of another's."""

    stack: Stack
    desk: Desk
    mine: Issued
    yours: Issued
    running: str
    ended: str
    document: dict[str, Any]
    https: list[httpx2.Client]
    streams: list[Iterator[Any]] = field(default_factory=list)

    def routes(self) -> Iterator[tuple[str, str, list[Scope]]]:
        """Each method of each path that is not open to all, and the scopes that it needs."""
        for path, methods in self.document["paths"].items():
            for method, said in methods.items():
                if path not in OPEN:
                    assert said["security"], path
                    yield method.upper(), path, cast(list[Scope], said["security"][0]["bearer"])

    def ask(
        self, http: httpx2.Client, method: str, path: str, id_: str, headers: Headers, query: str = ""
    ) -> httpx2.Response:
        own = f"resp_{id_.removeprefix('gen_')}" if path.startswith("/v1/responses/") else id_
        target = path.replace("{id}", own).replace("{key_id}", self.yours.record.id).replace("{link_id}", LINK)
        target = target.replace("{model}", "sim-1").replace("{thread}", "a-thread") + query
        assert "{" not in target, "this test does not know what stands there"
        said = self.document["paths"][path][method.lower()].get("requestBody", {}).get("content", {})
        body = said.get("application/json", {}).get("example", {"model": "sim-1", "messages": SAID})
        return http.request(method, target, json=body if method == "POST" else None, headers=headers)


def code_of(answer: httpx2.Response) -> str:
    """Of a problem, in the words of whichever vocabulary; of an answer to HEAD, that its status stands for."""
    if answer.request.method == "HEAD":
        return {401: "unauthenticated", 403: "forbidden"}[answer.status_code]
    told = answer.json()
    told = told.get("error", told)
    return str(told["code"] if "code" in told else told["details"]["error_code"])


def bearer(text: str) -> Headers:
    return {"authorization": f"Bearer {text}"}


@pytest.fixture(scope="module")
def keyed() -> Iterator[Keyed]:
    with Stack(apis=2, api_key_pepper=PEPPER, require_keys=1) as stack, Server(stack.server.url) as server:
        desk = Desk(server)
        mine, yours = desk.make("me"), desk.make("you")
        https = [httpx2.Client(base_url=url, timeout=5) for url in stack.urls]
        ids = [
            https[0]
            .post("/v1/generations", json={"model": model, "messages": SAID}, headers=bearer(mine.text))
            .json()["id"]
            for model in (SLOW, "sim-1?tps=0&tokens=20")
        ]
        document = https[0].get("/openapi.json").json()
        found = Keyed(stack, desk, mine, yours, ids[0], ids[1], document, https)
        opened = [
            http.stream("GET", f"/v1/generations/{found.running}/events", headers=bearer(mine.text)) for http in https
        ]
        try:
            for stream in opened:  # the feed of what runs
                seen = frames(stream.__enter__().iter_bytes())
                assert next(frame for frame in seen if frame.type == "text")
                found.streams.append(seen)
            for http in https:  # the pages, and what is made of whole logs
                read = http.get(f"/v1/generations/{found.ended}/events", headers=bearer(mine.text))
                assert "stream_end" in [frame.type for frame in frames(iter([read.content]))]
                assert http.get(f"/v1/generations/{found.ended}", headers=bearer(mine.text)).json()["text"]
            yield found
        finally:
            for stream in opened:
                stream.__exit__(None, None, None)
            for http in https:
                http.close()


def strangers(keyed: Keyed) -> dict[str, tuple[Headers, str]]:
    """Headers and query of those who are nobody."""
    mine, server = keyed.mine.text, keyed.desk.server
    expired, revoked = keyed.desk.make("me", lasts_ms=1), keyed.desk.make("me")
    server.do(keyed.desk.issuer.revoke(revoked.record.id))
    forged = mine.rpartition("_")[0][:22] + new_key().text.decode()[22:]
    wrong = {
        "no key": "", "mistyped": mine[:-1] + ("0" if mine[-1] != "0" else "1"), "unknown": new_key().text.decode(),
        "forged": forged, "expired": expired.text, "revoked": revoked.text,
    }  # fmt: skip
    return {
        **{name: (bearer(text) if text else {}, "") for name, text in wrong.items()},
        "both headers": ({**bearer(mine), "x-api-key": mine}, ""),
        "a header and the query": ({"x-api-key": mine}, "?token=a"),
        "another scheme": ({"authorization": f"Basic {mine}"}, ""),
    }


def test_nobody_who_is_not_known_is_answered_by_any_route(keyed: Keyed) -> None:
    for name, (headers, query) in strangers(keyed).items():
        for http in keyed.https:
            for method, path, _ in keyed.routes():
                for id_ in (keyed.running, keyed.ended) if "{id}" in path else ("",):
                    answer = keyed.ask(http, method, path, id_, headers, query)
                    assert (answer.status_code, code_of(answer)) == (401, "unauthenticated"), (name, method, path)
                    assert answer.headers["www-authenticate"] == "Bearer"
    assert_untouched(keyed)


def test_what_is_another_tenants_is_answered_as_what_was_never_made(keyed: Keyed) -> None:
    headers, never = bearer(keyed.yours.text), new_generation_id()

    def said(answer: httpx2.Response) -> tuple[int, bytes, list[tuple[str, str]]]:
        return (
            answer.status_code,
            answer.content,
            sorted(each for each in answer.headers.multi_items() if each[0] != "date"),
        )

    for http in keyed.https:
        for method, path, _ in keyed.routes():
            if "{id}" in path:
                unknown = said(keyed.ask(http, method, path, never, headers))
                assert unknown[0] == 404, (method, path)
                for id_ in (keyed.running, keyed.ended):
                    assert said(keyed.ask(http, method, path, id_, headers)) == unknown, (method, path)
        assert http.get("/v1/generations", headers=headers).json()["data"] == []
        after = {**headers, "last-event-id": f"{keyed.ended}"}
        assert http.get(f"/v1/generations/{keyed.running}/events", headers=after).status_code == 404
    assert_untouched(keyed)


def test_a_key_that_lacks_a_scope_is_refused_by_every_route_that_needs_it(keyed: Keyed) -> None:
    without = {scope: keyed.desk.make("me", [each for each in SCOPES if each != scope]) for scope in SCOPES}
    needed = set()
    for http in keyed.https:
        for method, path, scopes in keyed.routes():
            needed |= set(scopes)
            for scope in scopes:
                for id_ in (keyed.running, keyed.ended, new_generation_id()):
                    answer = keyed.ask(http, method, path, id_, bearer(without[scope].text))
                    assert (answer.status_code, code_of(answer)) == (403, "forbidden"), (method, path)
                    assert method == "HEAD" or scope in answer.text, (method, path)
    assert needed == set(SCOPES)
    assert_untouched(keyed)


def test_what_is_open_is_open_and_nothing_else_is(keyed: Keyed) -> None:
    for http in keyed.https:
        for path in OPEN:
            assert http.get(path).status_code == 200, path
        for path in ("/", "/v1", "/docs/", "/docs/nothing", "/healthz/", "/metrics"):
            assert http.get(path).status_code == 401, path


def test_a_revoked_key_is_refused_at_once_and_its_streams_end(keyed: Keyed) -> None:
    issued = keyed.desk.make("me")
    headers = bearer(issued.text)
    events = f"/v1/generations/{keyed.running}/events"
    with keyed.https[0].stream("GET", events, headers=headers) as stream:
        seen = stream.iter_bytes()
        next(seen)
        keyed.desk.server.do(keyed.desk.issuer.revoke(issued.record.id))
        for http in keyed.https:
            until(partial(refused, http, headers), "the key is refused", 3)
        with pytest.raises(httpx2.TransportError):  # cut: an end would be the generation's
            list(seen)


def test_a_revocation_of_which_nobody_tells_is_seen_all_the_same(keyed: Keyed) -> None:
    issued = keyed.desk.make("me")
    headers = bearer(issued.text)
    for http in keyed.https:
        assert not refused(http, headers)
    revoked = issued.record.changed(issued.record.changed_ms + 1, revoked_ms=issued.record.changed_ms)
    keyed.desk.server.command("SET", keys.api_key(issued.record.id), revoked.model_dump_json(), "PX", 60_000)
    for http in keyed.https:
        until(partial(refused, http, headers), "the key is refused", 7)


def refused(http: httpx2.Client, headers: Headers) -> bool:
    return http.get("/v1/generations?limit=1", headers=headers).status_code == 401


def assert_untouched(keyed: Keyed) -> None:
    """Nobody has cancelled anything, or made anything of the tenant's, and its own viewers go on."""
    listed = keyed.https[0].get("/v1/generations", headers=bearer(keyed.mine.text)).json()["data"]
    assert {each["id"]: each["state"] for each in listed} == {keyed.running: "running", keyed.ended: "completed"}
    for stream in keyed.streams:
        assert next(stream).type == "text"
    key = keyed.yours.record
    found = keyed.desk.server.do(keyed.desk.store.read((key.id,))).records[key.id]
    assert found is not None
    assert (found.revoked_ms, found.successor) == (None, None)
