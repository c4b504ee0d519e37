"""What the model API answers, and what becomes of it: each answer is written to a socket as it stands here."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import anthropic
import httpx2
import pytest

from broker.events import TEXT, Content, event
from broker.ids import BEGINNING
from broker.transcript import Kept
from worker.upstreams import Answer, Call, UpstreamFailure
from worker.upstreams.anthropic.client import AnthropicUpstream, _of_sdk
from worker.upstreams.anthropic.continuation import resumed
from worker.upstreams.frames import FrameTooLarge
from worker.upstreams.reading import Failures
from worker.upstreams.retry_after import seconds

BODY: dict[str, object] = {
    "model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": "hi"}], "system": "be brief",
}  # fmt: skip
START: dict[str, object] = {"type": "message_start", "message": {"id": "msg_1"}}
DELTA: dict[str, object] = {
    "type": "message_delta",
    "delta": {"stop_reason": "end_turn"},
    "usage": {"output_tokens": 2},
}
STOP: dict[str, object] = {"type": "message_stop"}
PING: dict[str, object] = {"type": "ping"}
MESSAGE = event("message", message={"id": "msg_1"})
USAGE = event("usage", stop_reason="end_turn", usage={"output_tokens": 2})


LATER = "\0"


def sse(*events: dict[str, object]) -> str:
    return "".join(f"event: {each['type']}\ndata: {json.dumps(each)}\n\n" for each in events)


def stream(text: str, *, whole: bool = True) -> str:
    """An answer in one chunk, with or without its end."""
    chunk = f"{len(text.encode(errors='surrogateescape')):x}\r\n{text}\r\n" + ("0\r\n\r\n" if whole else "")
    return f"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n{chunk}"


def refusal(status: int, body: object, *headers: str) -> str:
    text = body if isinstance(body, str) else json.dumps(body)
    head = "\r\n".join([f"HTTP/1.1 {status} No", "content-type: application/json", *headers])
    return f"{head}\r\ncontent-length: {len(text)}\r\n\r\n{text}"


@dataclass
class Api:
    """Answers each request with what is next, in parts where it says LATER; the connection stays open while it is `kept`."""

    answers: list[str]
    kept: bool = True
    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    connections: int = 0
    served: set[asyncio.Task[None] | None] = field(default_factory=set)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.served.add(asyncio.current_task())
        try:
            while head := (await reader.readuntil(b"\r\n\r\n")).decode().lower():
                length = int(head.partition("content-length: ")[2].partition("\r")[0])
                self.asked.append((head.partition(" http/")[0], json.loads(await reader.readexactly(length))))
                for part in self.answers.pop(0).split(LATER):
                    writer.write(part.encode(errors="surrogateescape"))
                    await writer.drain()
                    for _ in range(20):  # the other end, which is on this loop, sees this part first
                        await asyncio.sleep(0)
                if not self.kept:
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


def ask(api: Api, how: Callable[[AnthropicUpstream], Awaitable[None]], connections: int = 5) -> None:
    async def run() -> None:
        server = await asyncio.start_server(api.serve, "127.0.0.1", 0)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("ANTHROPIC_BASE_URL", f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
            patch.setenv("ANTHROPIC_API_KEY", "key")
            upstream = AnthropicUpstream(connections)
        try:
            async with asyncio.timeout(10):
                await how(upstream)
        finally:
            await upstream.aclose()
            server.close()
            await asyncio.gather(*(task for task in api.served if task is not None))

    asyncio.run(run())


async def given(answer: Answer, pauses: bool = False) -> list[list[Content]]:
    """What an answer gives, read by read; with or without a pause after each."""
    found: list[list[Content]] = []

    def take(contents: list[Content]) -> bool:
        found.append(contents)
        return not pauses

    while not await answer.read(take):
        await asyncio.sleep(0)
    return found


Failed = tuple[str, str, bool, float | None]
Answered = tuple[list[Content], Failed | None]


def answered(*answers: str, kept: bool = True) -> list[Answered]:
    """The entries of one call for each answer, and how it failed: code, message, whether to call again, after how long."""
    api = Api(list(answers), kept)
    found: list[Answered] = []

    async def calls(upstream: AnthropicUpstream) -> None:
        for _ in answers:
            entries: list[Content] = []
            failed = None
            try:
                async with upstream.answer_to(Call(BODY)) as answer:

                    def take(contents: list[Content], entries: list[Content] = entries) -> bool:
                        entries += contents
                        return len(found) % 2 == 0  # every other answer is read with a pause after each entry

                    while not await answer.read(take):
                        pass
            except UpstreamFailure as failure:
                failed = failure.code, failure.message, failure.retryable, failure.retry_after
            found.append((entries, failed))

    ask(api, calls)
    assert api.asked == [("post /v1/messages", {**BODY, "stream": True})] * len(answers), "each is asked once"
    return found


def failed(*answers: str, kept: bool = True) -> list[Failed]:
    return [failure for _, failure in answered(*answers, kept=kept) if failure is not None]


def test_the_request_goes_out_as_it_was_made_and_what_is_answered_comes_back_in_order() -> None:
    answer = stream(f"data: \n\n{sse(START, PING)}: a comment\n\ndata: {{}}\n\n{sse(DELTA, STOP)}")
    assert answered(answer) == [([MESSAGE, USAGE], None)]


def test_what_an_answer_says_of_itself_is_known_with_the_entry_that_says_it() -> None:
    start: dict[str, object] = {"type": "message_start", "message": {"id": "msg_1", "usage": {"input_tokens": 3}}}
    later = [stream(sse(start, PING, DELTA, STOP)), stream(sse(start, DELTA))]
    api = Api([each.replace("event: message_delta", f"{LATER}event: message_delta") for each in later])

    async def calls(upstream: AnthropicUpstream) -> None:
        for whole in (True, False):
            async with upstream.answer_to(Call(BODY)) as answer:
                said: list[tuple[object, str | None, bool]] = [(answer.usage, answer.stop_reason, answer.whole)]

                def take(_: list[Content], answer: Answer = answer, said: list[Any] = said) -> bool:
                    said.append((answer.usage, answer.stop_reason, answer.whole))
                    return True

                assert await answer.read(take)
            assert said == [
                ({}, None, False),
                ({"input_tokens": 3}, None, False),
                ({"input_tokens": 3, "output_tokens": 2}, "end_turn", whole),
            ]
            assert len({id(usage) for usage, _, _ in said}) == 3, "another object whenever something is new"
            assert answer.whole is whole

    ask(api, calls)


def test_an_answer_goes_on_with_the_last_block_that_was_kept_and_repeats_no_white_space() -> None:
    block = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
    more = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": " on"}}
    body = {**BODY, "model": "claude-haiku-4-5"}
    api = Api([stream(sse(block, more))])

    async def calls(upstream: AnthropicUpstream) -> None:
        call = upstream.resumed(body, Kept("so ", BEGINNING, 2, 1))
        assert call == resumed(body, Kept("so ", BEGINNING, 2, 1))
        async with upstream.answer_to(call) as answer:
            assert await given(answer) == [
                [event("block_start", index=1, block={"type": "text", "text": ""}), Content(b"t", b"on")]
            ]

    ask(api, calls)
    assert api.asked[0][1]["messages"][-1] == {"role": "assistant", "content": "so"}


def test_a_connection_is_used_again_when_its_answer_was_read_to_the_end() -> None:
    answer = stream(sse(START, STOP, PING, {"type": "error", "error": {}}))
    api = Api([answer, answer.replace("0\r\n\r\n", f"{LATER}0\r\n\r\n"), answer])

    async def calls(upstream: AnthropicUpstream) -> None:
        for _ in range(3):
            async with upstream.answer_to(Call(BODY)) as answer:
                assert await given(answer) == [[MESSAGE]]
                assert answer.whole

    ask(api, calls)
    assert (len(api.asked), api.connections) == (3, 1)


@pytest.mark.parametrize(
    "behind", ["", sse(PING), "event: error\ndata: {}\n\n", "event: x\ndata: {no json\n\n", "data: \udcff\n\n"]
)
@pytest.mark.parametrize("kept", [True, False])
def test_whatever_comes_or_breaks_behind_the_end_changes_nothing(behind: str, kept: bool) -> None:
    """Nor does silence: where the connection stays open, nothing more comes."""
    assert answered(stream(sse(START, STOP) + behind, whole=False), kept=kept) == [([MESSAGE], None)]


def test_what_the_api_s_own_protocol_does_not_allow_is_malformed_and_not_to_be_repeated() -> None:
    api = Api([stream(sse({"type": "content_block_stop", "index": 9}))])

    async def calls(upstream: AnthropicUpstream) -> None:
        with pytest.raises(UpstreamFailure) as caught:
            async with upstream.answer_to(Call(BODY)) as answer:
                assert await given(answer) == []
        assert (caught.value.code, caught.value.retryable, caught.value.begun) == ("upstream_malformed", True, True)

    ask(api, calls)


def test_no_more_connections_are_made_than_a_worker_is_allowed() -> None:
    api = Api([stream(sse(START), whole=False), stream(sse(START, STOP))])

    async def calls(upstream: AnthropicUpstream) -> None:
        async def second() -> list[list[Content]]:
            async with upstream.answer_to(Call(BODY)) as answer:
                return await given(answer)

        async with upstream.answer_to(Call(BODY)) as answer:
            assert not await answer.read(lambda _: False)
            waiting = asyncio.create_task(second())
            for _ in range(20):
                await asyncio.sleep(0.001)
            assert len(api.asked) == 1
        assert await waiting == [[MESSAGE]]

    ask(api, calls, connections=1)


def test_silence_has_no_bound_here_and_everything_else_has() -> None:
    async def look(upstream: AnthropicUpstream) -> None:
        for client in (upstream._client, upstream._client._client):
            assert client.timeout == httpx2.Timeout(connect=10.0, read=None, write=30.0, pool=30.0)
        await upstream.aclose()
        assert upstream._client.is_closed()

    ask(Api([]), look)


STATUSES = {
    300: ("upstream_redirected", False), 302: ("upstream_redirected", False), 308: ("upstream_redirected", False),
    399: ("upstream_redirected", False), 400: ("upstream_invalid_request", False),
    401: ("upstream_authentication", False), 402: ("upstream_error", False), 403: ("upstream_permission", False),
    404: ("upstream_not_found", False), 405: ("upstream_error", False), 408: ("upstream_error", True),
    409: ("upstream_error", True), 410: ("upstream_error", False), 413: ("upstream_request_too_large", False),
    414: ("upstream_error", False), 422: ("upstream_invalid_request", False), 423: ("upstream_error", False),
    429: ("upstream_rate_limited", True), 430: ("upstream_error", False), 500: ("upstream_error", True),
    501: ("upstream_error", False), 502: ("upstream_error", True), 503: ("upstream_overloaded", True),
    504: ("upstream_error", True), 505: ("upstream_error", False), 529: ("upstream_overloaded", True),
    530: ("upstream_error", False),
}  # fmt: skip


def test_each_status_has_its_name_and_says_whether_to_call_again() -> None:
    body = {"error": {"type": "x", "message": "mend this"}}
    found = failed(*(refusal(status, body, "location: /elsewhere") for status in STATUSES))
    assert {status: (code, again) for status, (code, _, again, _) in zip(STATUSES, found, strict=True)} == STATUSES


def test_what_the_submitter_can_mend_is_passed_on_in_upstreams_words() -> None:
    bodies: list[object] = [{"error": {"message": "temperature is above 1"}}, {"error": "odd"}, ["odd"], {}, "<html>"]
    assert [message for _, message, _, _ in failed(*(refusal(400, body) for body in bodies))] == [
        "temperature is above 1", *["The upstream does not accept the request."] * 4,
    ]  # fmt: skip


def test_a_pause_that_upstream_asks_for_is_told() -> None:
    headers = ("retry-after: 7", "retry-after: 0.5", "retry-after: tomorrow", "x-other: 7")
    assert [pause for *_, pause in failed(*(refusal(429, {}, header) for header in headers))] == [7, 0.5, None, None]


TYPES: dict[str | None, tuple[str, bool, bool]] = {
    "overloaded_error": ("upstream_overloaded", True, False),
    "rate_limit_error": ("upstream_rate_limited", True, False),
    "invalid_request_error": ("upstream_invalid_request", False, True),
    "authentication_error": ("upstream_authentication", False, False),
    "permission_error": ("upstream_permission", False, False),
    "not_found_error": ("upstream_not_found", False, True),
    "request_too_large": ("upstream_request_too_large", False, True),
    "api_error": ("upstream_error", True, False),
    None: ("upstream_error", True, False),
}
"""Each with its code, whether to call again, and whether upstream's own words are passed on."""


def test_an_error_in_the_middle_of_an_answer_has_its_name_too() -> None:
    errors: list[dict[str, object]] = [{"type": "error", "error": {"type": type_, "message": "m"}} for type_ in TYPES]
    found = answered(*(stream(sse(START, error, STOP)) for error in errors))
    assert [entries for entries, _ in found] == [[MESSAGE]] * len(TYPES)
    failures = [failure for _, failure in found if failure is not None]
    assert [(code, again, message == "m") for code, message, again, _ in failures] == list(TYPES.values())


def test_an_error_of_no_shape_is_an_error_all_the_same() -> None:
    odd = ("[]", '"odd"', "{}", '{"error": "odd"}', '{"error": null}')
    assert failed(*(stream(f"event: error\ndata: {data}\n\n") for data in odd)) == [
        ("upstream_error", "The upstream failed.", True, None)
    ] * len(odd)


def test_what_breaks_on_the_way_has_its_name() -> None:
    assert answered(stream(sse(START), whole=False), kept=False) == [
        ([MESSAGE], ("upstream_disconnected", "the upstream cut the connection", True, None))
    ]
    assert failed(stream("event: x\ndata: {no json\n\n")) == [
        ("upstream_malformed", "the upstream sent what cannot be read", True, None)
    ]


BROKEN: list[tuple[Exception, str, bool]] = [
    (anthropic.APIConnectionError(request=httpx2.Request("POST", "http://x")), "upstream_unreachable", True),
    (httpx2.StreamClosed(), "upstream_disconnected", True),
    (httpx2.ReadError("cut"), "upstream_disconnected", True),
    (FrameTooLarge(), "output_limit", False),
    (anthropic.AnthropicError("no credentials, sk-ant-x"), "upstream_error", False),
]


@pytest.mark.parametrize(("error", "code", "again"), BROKEN)
def test_whatever_the_sdk_raises_has_its_name_and_says_no_more_than_that(
    error: Exception, code: str, again: bool
) -> None:
    with pytest.raises(UpstreamFailure) as caught, Failures(_of_sdk):
        raise error
    assert (caught.value.code, caught.value.retryable, caught.value.retry_after) == (code, again, None)
    assert caught.value.__suppress_context__
    assert "the upstream " in caught.value.message.lower()
    assert str(caught.value) == f"{code}: {caught.value.message}"
    assert "sk-" not in str(caught.value)


def test_a_mistake_of_ours_stays_what_it_is() -> None:
    with pytest.raises(ZeroDivisionError), Failures(_of_sdk):
        raise ZeroDivisionError


@pytest.mark.parametrize(
    ("header", "asked"),
    [("7", 7.0), ("0.5", 0.5), ("0", 0.0), (None, None), ("", None), ("tomorrow", None), ("-1", None), ("inf", None),
     ("nan", None), ("1e9", None)],
)  # fmt: skip
def test_a_pause_is_asked_for_in_seconds_that_could_be_meant(header: str | None, asked: float | None) -> None:
    assert seconds(header) == asked


# ── an answer that is not streamed ──

AS_ONE: dict[str, Any] = {
    "id": "msg_1", "type": "message", "role": "assistant", "model": "m", "stop_reason": "end_turn", "stop_sequence": None,
    "content": [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}], "usage": {"output_tokens": 2},
}  # fmt: skip


def as_one(body: object) -> str:
    text = body if isinstance(body, str) else json.dumps(body)
    return f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(text)}\r\n\r\n{text}"


def asked_for_as_one(*answers: str, kept: bool = True) -> tuple[list[list[Content]], list[UpstreamFailure]]:
    """What each call gave, read by read, and how those failed that did."""
    api, found, failures = Api(list(answers), kept), list[list[Content]](), list[UpstreamFailure]()

    async def calls(upstream: AnthropicUpstream) -> None:
        for number, _ in enumerate(answers):
            try:
                async with upstream.answer_to(Call(BODY, stream=False)) as answer:
                    found.extend(await given(answer, pauses=number % 2 == 1))
                    assert (answer.whole, answer.stop_reason) == (True, "end_turn")
            except UpstreamFailure as failure:
                failures.append(failure)

    ask(api, calls)
    assert [body["stream"] for _, body in api.asked] == [False] * len(answers)
    return found, failures


def test_an_answer_as_one_is_given_block_by_block_however_it_comes() -> None:
    text = json.dumps(AS_ONE)
    late = as_one(text[:40] + text[40:]).replace(text[:40], text[:40] + LATER)
    found, failures = asked_for_as_one(as_one(text), late)
    assert not failures
    assert len(found) == 8, "beginning, two blocks, end, twice"
    assert [value for contents in found for kind, value in contents if kind == TEXT] == [b"one", b"two"] * 2


def test_an_answer_as_one_that_breaks_has_its_name() -> None:
    _, (cut,) = asked_for_as_one(as_one(AS_ONE)[:-1], kept=False)
    assert (cut.code, cut.retryable) == ("upstream_disconnected", True)
    broken = (
        as_one('{"id":'),
        as_one(AS_ONE | {"content": None}),
        as_one({"type": "error", "error": {"type": "overloaded_error"}}),
        refusal(429, {}),
    )
    _, failures = asked_for_as_one(*broken)
    assert [(failure.code, failure.retryable) for failure in failures] == [
        ("upstream_malformed", True),
        ("upstream_malformed", True),
        ("upstream_overloaded", True),
        ("upstream_rate_limited", True),
    ]


def test_an_answer_as_one_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("worker.upstreams.reading.LARGEST", 50)
    _, failures = asked_for_as_one(as_one(AS_ONE))
    assert [(failure.code, failure.retryable) for failure in failures] == [("output_limit", False)]
