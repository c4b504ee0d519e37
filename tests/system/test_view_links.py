"""View links with real processes and readers as browsers are: followed to the end, closed when they end, on both ways to the
socket, and written to no log."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import httpx2
import pytest

from broker import keys
from tests.api.keys.keyed import PEPPER, Desk
from tests.broker.store.scripted import Server
from tests.harness.client import Frame, frames
from tests.harness.stack import Stack

SLOW: Final = "sim-1?tps=20&tokens=2000&ttft_ms=0"
SAID: Final = [{"role": "user", "content": "Hi"}]
SOON: Final = 1.0
SAFETY: Final = 6.0
_LATE: Final = 1.0
"""What a busy machine may add."""


@dataclass
class Shop:
    """A stack that asks for keys. `tokens` are all that were made."""

    stack: Stack
    server: Server
    headers: dict[str, str]
    https: list[httpx2.Client]
    tokens: list[str] = field(default_factory=list)

    def submit(self, model: str = SLOW) -> str:
        answer = self.https[0].post("/v1/generations", json={"model": model, "messages": SAID}, headers=self.headers)
        return str(answer.json()["id"])

    def link(self, id_: str, **asked: object) -> dict[str, Any]:
        answer = self.https[0].post(f"/v1/generations/{id_}/view-links", json=asked, headers=self.headers)
        assert answer.status_code == 201, answer.text
        made: dict[str, Any] = answer.json()
        self.tokens.append(made["token"])
        return made


@pytest.fixture(scope="module")
def shop() -> Iterator[Shop]:
    settings = {"api_key_pepper": PEPPER, "require_keys": 1, "log_level": "DEBUG"}
    with Stack(apis=2, **settings) as stack, Server(stack.server.url) as server:  # type: ignore[arg-type]
        key = Desk(server).make("me")
        https = [httpx2.Client(base_url=url, timeout=20) for url in stack.urls]
        yield Shop(stack, server, {"authorization": f"Bearer {key.text}"}, https)
        for http in https:
            http.close()


class EventSource:
    """As a browser's: it sends no header but the last id, comes back when it is cut, and stops at what is not 200."""

    def __init__(self, http: httpx2.Client, url: str) -> None:
        self.http, self.url = http, url
        self.seen: list[Frame] = []
        self.last_id: str | None = None
        self.cut_at = 0.0

    def follow(self, tries: int = 3, first: int | None = None) -> int:
        """The status at which it stopped; with `first`, behind so many events."""
        for _ in range(tries):
            headers = {"accept": "text/event-stream", **({"last-event-id": self.last_id} if self.last_id else {})}
            with self.http.stream("GET", self.url, headers=headers) as answer:
                if answer.status_code != 200:
                    return answer.status_code
                try:
                    for frame in frames(answer.iter_bytes()):
                        self.seen.append(frame)
                        self.last_id = frame.id or self.last_id
                        if len(self.seen) == first:
                            return 200
                except httpx2.TransportError:
                    self.cut_at = time.time()
        return 200


def types(source: EventSource) -> list[str]:
    return [frame.type for frame in source.seen]


def test_a_browser_follows_a_link_across_processes_to_the_end(shop: Shop) -> None:
    id_ = shop.submit("sim-1?tps=60&tokens=60&ttft_ms=0")
    url = shop.link(id_, redact=True)["url"]
    source, whole = EventSource(shop.https[0], url), EventSource(shop.https[1], url)
    assert source.follow(first=8) == 200
    for turn in range(4):  # to the other process and back
        source.http = shop.https[turn % 2]
        source.follow(first=len(source.seen) + 5)
    assert source.follow() == 204, "behind the end there is nothing"
    assert whole.follow() == 204
    entries = [(frame.id, frame.data) for frame in whole.seen if frame.id]
    assert [(frame.id, frame.data) for frame in source.seen if frame.id] == entries
    assert types(whole)[-1] == "stream_end"
    assert whole.seen[-1].data["usage"] is None


def closes(shop: Shop, id_: str, link: dict[str, Any], what: Any, reason: str, within: float) -> None:
    """Streams on both APIs end, and come back to a refusal."""
    sources = [EventSource(http, link["url"]) for http in shop.https]
    opened = [http.stream("GET", link["url"]) for http in shop.https]
    seen = [frames(each.__enter__().iter_bytes()) for each in opened]
    for each in seen:
        assert next(frame for frame in each if frame.type == "text")
    begun = what()
    for each in seen:
        got: list[Frame] = []
        with pytest.raises(httpx2.TransportError):
            got.extend(each)
        assert time.time() - begun < within + _LATE
        assert got[-1].data == {"type": "closed", "reason": reason}
        assert got[-1].id is None
    for stream in opened:
        stream.__exit__(None, None, None)
    for source in sources:
        assert source.follow() == 401
    assert shop.https[0].get(f"/v1/generations/{id_}", headers=shop.headers).json()["state"] == "running"


def test_a_revoked_link_closes_its_streams_on_all_apis_within_a_second(shop: Shop) -> None:
    id_ = shop.submit()
    link, other = shop.link(id_), shop.link(id_)

    def revoke() -> float:
        target = f"/v1/generations/{id_}/view-links/{link['id']}"
        assert shop.https[0].delete(target, headers=shop.headers).status_code == 204
        return time.time()

    closes(shop, id_, link, revoke, "revoked", SOON)
    assert EventSource(shop.https[1], other["url"]).follow(first=3) == 200


def test_a_revocation_of_which_nobody_was_told_closes_them_within_six(shop: Shop) -> None:
    id_ = shop.submit()
    link = shop.link(id_)

    def lost() -> float:
        shop.server.command("ZADD", keys.LINKS_REVOKED, shop.server.now_ms(), id_)
        shop.server.command("PEXPIRE", keys.LINKS_REVOKED, keys.LINKS_REVOKED_MS)
        return time.time()

    closes(shop, id_, link, lost, "revoked", SAFETY)


def test_a_link_that_ends_closes_its_streams(shop: Shop) -> None:
    id_ = shop.submit()
    link = shop.link(id_, expires_in=3)
    closes(shop, id_, link, lambda: link["expires_at_ms"] / 1000, "expired", SOON)


def test_streams_are_counted_by_the_address_that_a_trusted_proxy_tells(shop: Shop) -> None:
    url = shop.stack.add_api(streams_per_address=1, trusted_proxies="127.0.0.1")
    link = shop.link(shop.submit())

    def status(http: httpx2.Client, address: str, **headers: str) -> int:
        with http.stream("GET", link["url"], headers={"x-forwarded-for": address, **headers}) as answer:
            return answer.status_code

    with (
        httpx2.Client(base_url=url, timeout=20) as http,
        http.stream("GET", link["url"], headers={"x-forwarded-for": "192.0.2.1"}) as first,
    ):
        seen = first.iter_bytes()
        assert next(seen)
        assert status(http, "192.0.2.1") == 429
        assert status(http, "198.51.100.1, 192.0.2.1") == 429, "what a client makes up counts for nothing"
        assert status(http, "192.0.2.1", **{"last-event-id": "1-1"}) == 200, "it is sent away for a moment"
        assert status(http, "192.0.2.2") == 200


def test_no_token_is_in_a_log_or_a_key_of_redis(shop: Shop) -> None:
    id_ = shop.submit()
    token = shop.link(id_)["token"]
    for query in (f"token={token}", f"token={token}x", f"token={token}&token={token}", f"view=no&token={token}"):
        for http in shop.https:
            for path in (f"/v1/generations/{id_}", f"/v1/generations/{id_}/cancel", "/v1/generations", f"/v1/{token}"):
                answer = http.get(f"{path}?{query}")
                assert answer.status_code in (200, 401, 403, 404, 405, 422)
                assert answer.status_code == 200 or token not in answer.text
    names = b" ".join(shop.server.command("KEYS", "*"))
    for each in shop.tokens:
        signature = each.rpartition(".")[2]
        assert signature.encode() not in names
        for process in (*shop.stack.apis, *shop.stack.workers):
            assert signature not in process.log
