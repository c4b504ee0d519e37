"""How many streams may be open: who comes anew is refused, who comes back is sent away for a moment, and what was accepted is
never answered as if it was not. Streams close when what let them in has ended."""

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any

import pytest

from api.access.gate import Header, Principal, Refusal
from api.dialects.native import NATIVE
from api.viewing.admissions import Admissions
from api.viewing.framing import plain
from api.viewing.rendition import View
from api.viewing.stream_limits import StreamLimits
from broker.ids import BEGINNING, EntryId
from tests.api.in_process import Answer, Api
from tests.api.routes.test_generations import GENERATIONS, running
from tests.api.routes.test_wait import waits
from tests.broker.store.scripted import Generation, Server

ASKED: dict[str, Any] = {"model": "sim-1", "messages": [{"role": "user", "content": "Hi"}]}
STREAM = {"accept": "text/event-stream"}


class ByName:
    """Everybody is who X-Name says, with a key of that name; `ended` are keys that let nobody in any more."""

    def __init__(self) -> None:
        self.ended: set[str] = set()

    def authenticate(self, target: bytes, headers: Iterable[Header]) -> Principal | Refusal:
        name = dict(headers).get(b"x-name", b"me").decode()
        return Refusal() if name in self.ended else Principal("", name)

    def holds(self, who: Principal) -> bool:
        return who.key not in self.ended

    async def look_up(self, refusal: Refusal) -> None: ...


@pytest.fixture
def policy(api: Api) -> ByName:
    by_name = ByName()
    api.police(by_name)
    return by_name


def limited(api: Api, **limits: int) -> Admissions:
    hub = api.service.hub
    hub.admissions = Admissions(StreamLimits(**limits))
    return hub.admissions


def seated(api: Api, generation: Generation, key: str = "me") -> None:
    """Somebody with this key watches."""

    async def attach() -> None:
        api.service.hub.attach(generation.id, BEGINNING, View(NATIVE, plain), who=Principal("", key), ended=False)

    api._server.do(attach())


@pytest.mark.parametrize("limit", ["key", "generation"])
def test_one_stream_too_many_is_refused_and_one_that_comes_back_is_sent_away(
    api: Api, server: Server, policy: ByName, limit: str
) -> None:
    generation, _ = running(server, "a")
    events = f"{GENERATIONS}/{generation.id}/events"
    limited(api, **{f"per_{limit}": 1})
    assert api.get(events, 1).types[0] == "stream_start"
    api.until_known(generation.id)
    seated(api, generation)
    refused = api.get(events)
    assert refused.code == (429, "too_many_streams")
    assert refused.json["limit"] == limit
    assert refused.headers["retry-after"] == "5"
    assert api.get(f"{events}?after=1-1").code == (429, "too_many_streams")
    assert api.get(f"{GENERATIONS}/{generation.id}?wait=5").code == (429, "too_many_streams")
    back = api.get(events, last_event_id="1-1")
    assert (back.status, back.types, back.cut) == (200, ["drain"], True)
    assert api.get(f"{GENERATIONS}/{generation.id}").status == 200
    other = api.get(events, 1, x_name="you")
    assert other.status == (200 if limit == "key" else 429)


def test_what_is_submitted_to_be_followed_is_refused_before_it_is_accepted(
    api: Api, server: Server, policy: ByName
) -> None:
    generation, _ = running(server, "a")
    limited(api, per_key=1)
    seated(api, generation)
    before = api.service.hub.statistics().viewers
    for target in (GENERATIONS, "/v1/chat/stream"):
        assert api.post(target, ASKED, **STREAM).code == (429, "too_many_streams")
    assert api.service.hub.statistics().viewers == before
    assert len(api.get(GENERATIONS).shown["data"]) <= 1, "nothing was accepted"
    assert api.post(GENERATIONS, ASKED).status == 202


def test_what_was_accepted_is_never_answered_as_if_it_was_not(api: Api, server: Server, policy: ByName) -> None:
    """Another stream has taken the last place while it was accepted."""
    limited(api, per_key=1)
    submissions = api.service.submissions
    accept = submissions.accept
    generation, _ = running(server, "a")

    async def slow(*args: Any) -> Any:
        api.service.hub.attach(
            generation.id, BEGINNING, View(NATIVE, plain), who=Principal("", "me"), ended=False
        )  # fmt: skip
        return await accept(*args)

    class Slow:
        def __getattr__(self, name: str) -> Any:
            return slow if name == "accept" else getattr(submissions, name)

    api.change(submissions=Slow())
    answer = api.post(GENERATIONS, ASKED, **STREAM)
    assert (answer.status, answer.types, answer.cut) == (200, ["drain"], True)
    assert answer.headers["location"].startswith(GENERATIONS)


def test_who_leaves_makes_room(api: Api, server: Server, policy: ByName) -> None:
    generation, _ = running(server, "a")
    admissions = limited(api, per_key=1)
    for _ in range(3):
        assert api.get(f"{GENERATIONS}/{generation.id}/events", 1).types[0] == "stream_start"
    assert not admissions._standing


def closing(api: Api, policy: ByName, key: str) -> Coroutine[Any, Any, None]:
    async def close() -> None:
        policy.ended.add(key)
        api.service.hub.admissions.review(policy.holds, 0)

    return close()


def stream_until(api: Api, target: str, then: Coroutine[Any, Any, None], **headers: str) -> Answer:
    """What a stream says of which this happens when it has begun."""

    async def ask() -> Answer:
        before = api.service.hub.statistics().viewers
        asking = asyncio.ensure_future(
            api._ask("GET", target, {name.replace("_", "-"): value for name, value in headers.items()}, b"", 99)
        )
        async with asyncio.timeout(5):
            while api.service.hub.statistics().viewers == before:
                await asyncio.sleep(0)
            for _ in range(20):
                await asyncio.sleep(0)
        await then
        return await asking

    return api._server.do(ask())


def test_an_open_stream_is_closed_when_its_key_has_ended_and_the_key_opens_no_other(
    api: Api, server: Server, policy: ByName
) -> None:
    generation, _ = running(server, "a")
    events = f"{GENERATIONS}/{generation.id}/events"
    answer = stream_until(api, events, closing(api, policy, "me"))
    assert answer.cut, "it is no end"
    assert answer.events[-1] == {"type": "closed", "reason": "revoked"}
    assert api.get(events, last_event_id=str(EntryId(1, 1))).code == (401, "unauthenticated")
    assert api.get(events, 1, x_name="you").types[0] == "stream_start"


def test_who_waits_is_told_when_its_key_has_ended(api: Api, server: Server, policy: ByName) -> None:
    generation, _ = running(server, "a")
    (answer,) = waits(api, generation.id, 60, lambda: closing(api, policy, "me"))
    assert answer.code == (401, "unauthenticated")
    assert not api.service.hub.admissions._standing
