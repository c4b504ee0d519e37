"""The model API, through the Anthropic SDK: one call, its events as they come, its failures by name.

The SDK's own retries are off: ours are visible to viewers. Its streams are left aside for the bytes of the body, which
body.py reads, as nothing may be lost on the way and a model class per token costs more than all the rest. Facts about the
SDK's failures (2.x): a cut socket is a raw httpx2 error; a clean end of the body without `message_stop` is no error at all,
so the caller must look for `message_stop` itself.
"""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import anthropic
import httpx2
import orjson
from anthropic import AsyncAnthropic, AsyncStream, DefaultAioHttpClient
from anthropic._types import RequestOptions

from broker.budgets import NO_LIMITS, Budget, Ledger, Limits, Told
from broker.events import Content
from broker.failures import FAILURES, FailureCode
from broker.transcript import Kept
from worker.upstreams import Call, Json, Take, UpstreamFailure
from worker.upstreams.anthropic import continuation
from worker.upstreams.anthropic.caching import marked
from worker.upstreams.anthropic.translate import Translator
from worker.upstreams.anthropic.whole import events_of
from worker.upstreams.body import Body, body_of
from worker.upstreams.frames import Splitter
from worker.upstreams.reading import Failures, Translated, drain, in_one
from worker.upstreams.retry_after import seconds
from worker.upstreams.told import of_anthropic
from worker.upstreams.wording import message_for

_RETRYABLE = frozenset((408, 409, 429, 500, 502, 503, 504, 529))
_CODES: dict[int, FailureCode] = {
    400: "upstream_invalid_request",
    401: "upstream_authentication",
    403: "upstream_permission",
    404: "upstream_not_found",
    413: "upstream_request_too_large",
    422: "upstream_invalid_request",
    429: "upstream_rate_limited",
    503: "upstream_overloaded",
    529: "upstream_overloaded",
}
_ERROR_TYPES: dict[str, FailureCode] = {
    "overloaded_error": "upstream_overloaded",
    "rate_limit_error": "upstream_rate_limited",
    "invalid_request_error": "upstream_invalid_request",
    "authentication_error": "upstream_authentication",
    "permission_error": "upstream_permission",
    "not_found_error": "upstream_not_found",
    "request_too_large": "upstream_request_too_large",
}


class AnthropicUpstream:
    """One client for all generations of a process, over the SDK's aiohttp transport: its parser is C, which halves what a
    token costs the worker. Without a `base_url` or a `key` the SDK finds its own in the environment. `name` and `limits` are of
    its budgets. Close it with `aclose`."""

    def __init__(
        self,
        connections: int,
        *,
        base_url: str | None = None,
        key: str | None = None,
        name: str = "anthropic",
        limits: Limits = NO_LIMITS,
    ) -> None:
        # No read timeout: a ping would reset it, so our own watchdog looks for progress instead.
        timeout = httpx2.Timeout(connect=10.0, read=None, write=30.0, pool=30.0)
        pool = httpx2.Limits(max_connections=connections, max_keepalive_connections=connections)
        # A prompt goes nowhere else than where the operator said.
        http = DefaultAioHttpClient(timeout=timeout, limits=pool, follow_redirects=False)
        # Compressed events cost both sides more than they save, and are not read the quick way.
        headers = {"accept-encoding": "identity"}
        self._client = AsyncAnthropic(
            api_key=key, base_url=base_url, max_retries=0, timeout=timeout, http_client=http, default_headers=headers
        )

        self._ledger = Ledger(name, self._client.api_key or self._client.auth_token, limits)

    async def aclose(self) -> None:
        await self._client.close()

    def budget(self, call: Call) -> Budget:
        return self._ledger.of(str(call.body.get("model")))

    def resumed(self, body: Json, kept: Kept) -> Call:
        return continuation.resumed(body, kept)

    @asynccontextmanager
    async def answer_to(self, call: Call) -> AsyncIterator["_Answer | _Whole"]:
        translator = Translator(call.keep_blocks, call.unshown, new_turn=call.new_turn)
        asked = call.body if call.cache is None else marked(call.body, call.cache)
        # As `messages.create` does, but for the body: to walk through 10,000 messages and write them takes the SDK 20 ms.
        fields = {**asked, "stream": call.stream}
        betas = fields.pop("betas", None)
        options: RequestOptions = (
            {"headers": {"anthropic-beta": ",".join(map(str, betas))}} if isinstance(betas, list) else {}
        )
        body = orjson.dumps(fields)
        with Failures(_of_sdk):
            async with await self._client.post(
                "/v1/messages",
                content=body,
                options=options,
                cast_to=object,
                stream=True,
                stream_cls=AsyncStream[object],
            ) as stream:
                told = of_anthropic(stream.response.headers)
                yield (_Answer if call.stream else _Whole)(body_of(stream.response), translator, told)


class _Answer(Translated[Translator]):
    """What the translator makes of a response's events. Pings give no entry."""

    __slots__ = ("_splitter", "_take")

    def __init__(self, body: Body, translator: Translator, told: Told) -> None:
        super().__init__(body, translator, told)
        self._splitter = Splitter()
        self._take: Take

    async def read(self, take: Take) -> bool:
        self._take = take
        ended = await self._body.read(self._digest)
        if not ended and self._translator.stopped:
            await drain(self._body)
            return True
        return ended

    def _digest(self, data: bytes) -> bool:
        """Gives on the entries of what was read, those before a failure too."""
        translator = self._translator
        contents: list[Content] = []
        more = True
        try:
            for name, text in self._splitter.feed(data):
                if not name:
                    continue
                event = orjson.loads(text)
                if name == b"error":
                    raise _mid_stream(event)
                contents += translator.feed(event)
                if translator.stopped:
                    break
        finally:
            if contents:
                more = self._take(contents)
        return more and not translator.stopped


class _Whole(Translated[Translator]):
    """What the translator makes of an answer that comes as one. It is given on block by block."""

    __slots__ = ("_left",)

    def __init__(self, body: Body, translator: Translator, told: Told) -> None:
        super().__init__(body, translator, told)
        self._left: Iterator[list[Json]] | None = None

    async def read(self, take: Take) -> bool:
        if self._left is None:
            message = await in_one(self._body)
            if isinstance(message, dict) and message.get("type") == "error":
                raise _mid_stream(message)
            self._left = events_of(message)
        for events in self._left:
            contents = [content for event in events for content in self._translator.feed(event)]
            if contents and not take(contents):
                return False
        return True


def _mid_stream(data: object) -> UpstreamFailure:
    error = data.get("error") if isinstance(data, dict) else None
    type_ = str(error.get("type")) if isinstance(error, dict) else ""
    code = _ERROR_TYPES.get(type_, "upstream_error")
    return UpstreamFailure(code, message_for(code, error), retryable=FAILURES[code].retryable is not False)


def _of_sdk(error: BaseException) -> UpstreamFailure | None:
    match error:
        case anthropic.APIStatusError():
            return _refusal(error)
        case anthropic.APIConnectionError():
            return UpstreamFailure("upstream_unreachable", "the upstream could not be reached")
        case anthropic.AnthropicError():
            return UpstreamFailure("upstream_error", message_for("upstream_error", None), retryable=False)
    return None


def _refusal(error: anthropic.APIStatusError) -> UpstreamFailure:
    status = error.status_code
    code: FailureCode = "upstream_redirected" if 300 <= status < 400 else _CODES.get(status, "upstream_error")
    body = error.body
    inner = body.get("error") if isinstance(body, dict) else None
    headers = error.response.headers
    return UpstreamFailure(
        code,
        message_for(code, inner),
        retryable=status in _RETRYABLE,
        retry_after=seconds(headers.get("retry-after")),
        told=of_anthropic(headers),
        answered=status < 500,
    )
