"""The official SDKs repeat by themselves what got no answer, unmodified and without a name for it: they get what they had asked
for, and nobody else's."""

import signal
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any, Final, NamedTuple, Self

import httpx2
import pytest
from anthropic import Anthropic
from openai import OpenAI
from redis import Redis

from broker import keys
from tests.api.keys.keyed import PEPPER, Desk
from tests.broker.store.scripted import Server
from tests.harness.losing import LosingProxy
from tests.harness.stack import Stack, until

MODEL: Final = "sim-1?tps=0&ttft_ms=1500&tokens=8&seed=3"
SAID: Final[Any] = [{"role": "user", "content": "Tell me something."}]


class Answer(NamedTuple):
    """`tries` beside the first."""

    id: str
    tries: int
    text: str


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """Its own generations are counted; a repeat comes to the other API."""
    with Stack(apis=2) as stack:
        yield stack


class Made:
    """How many generations this test has made in this stack."""

    def __init__(self, stack: Stack) -> None:
        self._url = stack.url
        self._before = len(self._listed())

    def _listed(self) -> list[str]:
        rows = httpx2.get(f"{self._url}/v1/generations", params={"limit": 100}).json()
        assert rows["next_cursor"] is None or len(rows["data"]) == 100
        return [row["id"] for row in rows["data"]]

    @property
    def count(self) -> int:
        return len(self._listed()) - self._before

    def arrived(self, number: int) -> bool:
        return self.count >= number


class Silence:
    """While it lasts the model says nothing, as no worker runs: so whatever is lost was shown nothing, however slow all is."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._kept_before = self._kept()
        self._known = False

    def __enter__(self) -> Self:
        self._signal(signal.SIGSTOP)
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def end(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: int) -> None:
        for worker in self._stack.workers:
            worker.signal(number)

    def _kept(self) -> int:
        with Redis.from_url(self._stack.server.url) as redis:
            return sum(redis.llen(key) for key in redis.scan_iter(keys.unshown("*")))

    def one_is_noted(self) -> bool:
        """That nobody was given yet."""
        return self._kept() > self._kept_before

    def ends_when_noted(self, number: int) -> bool:
        """Whether so many losses were noted, once. Nobody repeats before."""
        if not self._known and self._kept() >= self._kept_before + number:
            self._known = True
            self.end()
        return self._known


def alone() -> None:
    """Waits for no other."""


def messages(url: str, *, stream: bool, together: Callable[[], object] = alone, **options: Any) -> Answer:
    with Anthropic(base_url=url, api_key="sk-sim", **options) as client:
        together()
        raw = client.messages.with_raw_response.create(model=MODEL, max_tokens=100, messages=SAID, stream=stream)
        parsed: Any = raw.parse()
        if stream:
            text = "".join(each.delta.text for each in parsed if each.type == "content_block_delta")
        else:
            text = parsed.content[0].text
        return Answer(raw.headers["respool-generation"], raw.retries_taken, text)


def completions(url: str, *, stream: bool, together: Callable[[], object] = alone, **options: Any) -> Answer:
    with OpenAI(base_url=f"{url}/v1", api_key="sk-sim", **options) as client:
        together()
        raw = client.chat.completions.with_raw_response.create(model=MODEL, messages=SAID, stream=stream)
        parsed: Any = raw.parse()
        texts = (
            [each.choices[0].delta.content or "" for each in parsed] if stream else [parsed.choices[0].message.content]
        )
        return Answer(raw.headers["respool-generation"], raw.retries_taken, "".join(texts))


def responses(url: str, *, stream: bool, together: Callable[[], object] = alone, **options: Any) -> Answer:
    with OpenAI(base_url=f"{url}/v1", api_key="sk-sim", **options) as client:
        together()
        raw = client.responses.with_raw_response.create(model=MODEL, input=SAID, stream=stream)
        parsed: Any = raw.parse()
        if stream:
            text = "".join(each.delta for each in parsed if each.type == "response.output_text.delta")
        else:
            text = parsed.output_text
        return Answer(raw.headers["respool-generation"], raw.retries_taken, text)


ALL: Final[list[Callable[..., Answer]]] = [messages, completions, responses]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("ask", ALL)
def test_a_request_whose_answer_was_lost_is_one_generation_however_often_the_sdk_repeats_it(
    stack: Stack, ask: Callable[..., Answer], *, stream: bool
) -> None:
    made = Made(stack)

    def noted() -> bool:
        known = silence.one_is_noted()
        if known and proxy.lost == 2:
            silence.end()
        return known

    with (
        Silence(stack) as silence,
        LosingProxy(stack.urls, losses=2, arrived=lambda _: made.arrived(1), noted=noted) as proxy,
    ):
        answer = ask(proxy.url, stream=stream)
        assert (proxy.lost, answer.tries) == (2, 2)
    assert made.count == 1
    assert answer.text == stack.client().record(answer.id)["text"] != ""


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("ask", ALL)
def test_equal_requests_at_one_time_get_an_answer_each_and_no_two_the_same(
    stack: Stack, ask: Callable[..., Answer], *, stream: bool
) -> None:
    """Eight are made, and the answers of the first five to come are lost, before a model has said anything."""
    made, together = Made(stack), Barrier(8, timeout=60)
    with (
        Silence(stack) as silence,
        LosingProxy(
            stack.urls, losses=5, arrived=lambda _: made.arrived(8), noted=lambda: silence.ends_when_noted(5)
        ) as proxy,
        ThreadPoolExecutor(8) as pool,
    ):
        answers = list(pool.map(lambda _: ask(proxy.url, stream=stream, together=together.wait), range(8)))
        assert proxy.lost == 5
    assert sorted(answer.tries for answer in answers) == [0] * 3 + [1] * 5
    assert len({answer.id for answer in answers}) == made.count == 8


def test_what_was_not_asked_for_again_is_not_given_to_who_asks_the_same_for_the_first_time(stack: Stack) -> None:
    made = Made(stack)
    with LosingProxy(stack.urls, losses=1, arrived=made.arrived) as proxy, pytest.raises(Exception, match="Connection"):
        messages(proxy.url, stream=False, max_retries=0)
    assert messages(stack.url, stream=False).tries == 0
    assert made.count == 2


def lost(stack: Stack, made: Made) -> str:
    """The id of a generation whose answer was lost, when that is noted."""
    with (
        LosingProxy(stack.urls[:1], losses=1, arrived=made.arrived) as proxy,
        pytest.raises(Exception, match="Connection"),
    ):
        messages(proxy.url, stream=False, max_retries=0)
    (id_, *_) = [row["id"] for row in httpx2.get(f"{stack.url}/v1/generations").json()["data"]]
    return str(id_)


def repeated(url: str, said: Any = SAID, **headers: str) -> httpx2.Response:
    """As the SDK repeats it."""
    body = {"model": MODEL, "max_tokens": 100, "messages": said, "stream": False}
    headers = {"x-stainless-retry-count": "1", **headers}
    return httpx2.post(f"{url}/v1/messages", json=body, headers=headers, timeout=30)


def test_a_repeat_of_something_else_or_with_a_name_of_its_own_is_its_own_generation(stack: Stack) -> None:
    made = Made(stack)
    id_ = lost(stack, made)
    other = repeated(stack.url, said=[{"role": "user", "content": "Something else."}])
    named = repeated(stack.url, **{"idempotency-key": f"{uuid.uuid4()}"})
    asked_otherwise = completions(stack.url, stream=False)
    assert id_ not in {other.headers["respool-generation"], named.headers["respool-generation"], asked_otherwise.id}
    assert repeated(stack.urls[1]).headers["respool-generation"] == id_
    assert repeated(stack.urls[1]).headers["respool-generation"] != id_, "each is given once"


def test_what_was_cancelled_or_erased_meanwhile_is_given_to_nobody(stack: Stack) -> None:
    made = Made(stack)
    client = stack.client()
    cancelled = lost(stack, made)
    assert client.cancel(cancelled).status_code in (200, 202)
    until(lambda: client.record(cancelled)["state"] == "cancelled", "it ends")
    assert repeated(stack.url).headers["respool-generation"] != cancelled
    erased = lost(stack, made)
    assert client.http.delete(f"/v1/generations/{erased}").status_code == 200
    again = repeated(stack.url)
    assert again.status_code == 200
    assert again.headers["respool-generation"] != erased


def test_a_stream_that_was_shown_a_word_is_given_to_no_repeat(stack: Stack) -> None:
    body = {"model": MODEL.replace("tps=0", "tps=5"), "max_tokens": 100, "messages": SAID, "stream": True}
    first = {"x-stainless-retry-count": "0"}
    with httpx2.stream("POST", f"{stack.url}/v1/messages", json=body, headers=first, timeout=30) as answer:
        id_ = answer.headers["respool-generation"]
        next(line for line in answer.iter_lines() if "text_delta" in line)
    headers = {"x-stainless-retry-count": "1"}
    answer = httpx2.post(f"{stack.url}/v1/messages", json={**body, "stream": False}, headers=headers, timeout=30)
    assert answer.headers["respool-generation"] != id_


def test_nobody_else_gets_what_another_lost() -> None:
    with Stack(apis=1, api_key_pepper=PEPPER, require_keys=1) as stack, Server(stack.server.url) as server:
        desk = Desk(server)
        mine, same_tenant, yours = (f"Bearer {desk.make(each).text}" for each in ("me", "me", "you"))

        def arrived(_: int) -> bool:
            rows = httpx2.get(f"{stack.url}/v1/generations", headers={"authorization": mine}).json()
            return bool(rows["data"])

        with LosingProxy(stack.urls, losses=1, arrived=arrived) as proxy, pytest.raises(Exception, match="Connection"):
            messages(proxy.url, stream=False, max_retries=0, default_headers={"authorization": mine})
        (row,) = httpx2.get(f"{stack.url}/v1/generations", headers={"authorization": mine}).json()["data"]
        for other in (yours, same_tenant):
            assert repeated(stack.url, authorization=other).headers["respool-generation"] != row["id"]
        assert repeated(stack.url, authorization=mine).headers["respool-generation"] == row["id"]
