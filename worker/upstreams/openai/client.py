"""OpenAI, and what is compatible with it, through the OpenAI SDK: one call, its events as they come, its failures by name.

The SDK opens the connection, authenticates, keeps it; its retries are off, as ours are visible to viewers, and the bytes are
read past its decoder, as those of Anthropic are. It hides a clean end of the body without the answer's own end: whether that
has come, the translator knows.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Final, Protocol

import httpx2
import openai
import orjson
from openai import AsyncOpenAI, AsyncStream, DefaultAioHttpClient, Omit
from openai._types import RequestOptions

from broker.events import Content
from broker.transcript import Kept
from broker.upstreams import Continuation
from worker.upstreams import Call, Json, Take, UpstreamFailure
from worker.upstreams.body import Body, body_of
from worker.upstreams.frames import LARGEST, FrameTooLarge, Splitter
from worker.upstreams.going_on import prefilled, quoted
from worker.upstreams.openai import chat_ask, responses_ask
from worker.upstreams.openai.chat_answer import ChatTranslator
from worker.upstreams.openai.failures import mid_stream, refused
from worker.upstreams.openai.responses_answer import ResponsesTranslator
from worker.upstreams.wording import message_for

_DRAIN_SECONDS: Final = 0.1
_USAGE_SECONDS: Final = 2.0
"""How long the usage of a complete answer is waited for: some that are compatible send none, and keep the connection open."""
_DONE: Final = b"[DONE]"


class Translator(Protocol):
    usage: Json
    stop_reason: str | None
    stopped: bool

    @property
    def finished(self) -> bool: ...

    def feed(self, data: Json) -> list[Content]: ...

    def end(self) -> list[Content]: ...

    def whole(self, answer: Json) -> list[Content]: ...


@dataclass(frozen=True, slots=True)
class Api:
    """One of the two: where it is asked, how a request is written, how an answer is read."""

    path: str
    ask: Callable[[Json], Json]
    translator: Callable[[int, str, bool], Translator]
    streaming: Json


def responses() -> Api:
    streaming: Json = {"stream": True, "stream_options": {"include_obfuscation": False}}
    return Api("/responses", responses_ask.ask, ResponsesTranslator, streaming)


def chat(*, newest: bool) -> Api:
    """`newest`: it is OpenAI's own."""
    options: Json = {"include_usage": True, "include_obfuscation": False} if newest else {"include_usage": True}
    streaming: Json = {"stream": True, "stream_options": options}
    return Api("/chat/completions", lambda body: chat_ask.ask(body, newest=newest), ChatTranslator, streaming)


class OpenAIUpstream:
    """One client for all generations of a process, over the SDK's aiohttp transport. Without a `base_url` it is OpenAI, or
    where the SDK's own variable leads; without a `key` none is sent. Close it with `aclose`."""

    def __init__(
        self, api: Api, connections: int, *, base_url: str | None, key: str | None, continuation: Continuation
    ) -> None:
        # No read timeout: our own watchdog looks for progress instead.
        timeout = httpx2.Timeout(connect=10.0, read=None, write=30.0, pool=30.0)
        limits = httpx2.Limits(max_connections=connections, max_keepalive_connections=connections)
        # A prompt goes nowhere else than where the operator said.
        http = DefaultAioHttpClient(timeout=timeout, limits=limits, follow_redirects=False)
        # Compressed events cost both sides more than they save, and are not read the quick way.
        headers: dict[str, str | Omit] = {"accept-encoding": "identity"}
        if base_url is not None:  # the SDK takes them from the environment, and they are for OpenAI
            headers |= {"OpenAI-Organization": Omit(), "OpenAI-Project": Omit()}
        self._client = AsyncOpenAI(
            api_key=key or "none",
            base_url=base_url,
            max_retries=0,
            timeout=timeout,
            http_client=http,
            default_headers=headers,  # type: ignore[arg-type]  # an Omit is what takes a header away
        )
        self._api = api
        self._options: RequestOptions = {"headers": {"Authorization": Omit()}} if key is None else {}
        self._continuation = continuation

    async def aclose(self) -> None:
        await self._client.close()

    def resumed(self, body: Json, kept: Kept) -> Call | None:
        match self._continuation:
            case "quote":
                return quoted(body, kept)
            case "prefill":
                return prefilled(body, kept)
        return None

    @asynccontextmanager
    async def answer_to(self, call: Call) -> AsyncIterator["_Answer | _Whole"]:
        translator = self._api.translator(call.keep_blocks, call.unshown, call.new_turn)
        body = orjson.dumps({**self._api.ask(call.body), **(self._api.streaming if call.stream else {})})
        with _failures():
            async with await self._client.post(
                self._api.path,
                content=body,
                options=self._options,
                cast_to=object,
                stream=True,
                stream_cls=AsyncStream[object],
            ) as stream:
                yield (_Answer if call.stream else _Whole)(body_of(stream.response), translator)


class _Answer:
    """What the translator makes of a response's events."""

    __slots__ = ("_body", "_splitter", "_take", "_translator")

    def __init__(self, body: Body, translator: Translator) -> None:
        self._body = body
        self._translator = translator
        self._splitter = Splitter()
        self._take: Take

    @property
    def usage(self) -> Json:
        return self._translator.usage

    @property
    def stop_reason(self) -> str | None:
        return self._translator.stop_reason

    @property
    def whole(self) -> bool:
        return self._translator.stopped

    async def read(self, take: Take) -> bool:
        self._take = take
        translator = self._translator
        ended = await self._body.read(self._digest)
        if ended:
            self._give(translator.end())
        elif translator.stopped:
            await _drain(self._body)
        elif translator.finished:
            await self._usage()
        return ended or translator.stopped

    async def _usage(self) -> None:
        """Reads on until the usage is there, for a few seconds: the answer is complete by now, whatever happens here."""
        with suppress(TimeoutError, httpx2.HTTPError, httpx2.StreamError, UpstreamFailure, FrameTooLarge, ValueError):
            async with asyncio.timeout(_USAGE_SECONDS):
                while not self._translator.stopped and not await self._body.read(self._digest):
                    pass
        self._give(self._translator.end())

    def _give(self, contents: list[Content]) -> None:
        if contents:
            self._take(contents)

    def _digest(self, data: bytes) -> bool:
        """Gives on the entries of what was read, those before a failure too."""
        translator = self._translator
        contents: list[Content] = []
        more = True
        try:
            for name, text in self._splitter.feed(data):
                if text == _DONE:
                    contents += translator.end()
                elif text:
                    event = orjson.loads(text)
                    if name == b"error" and isinstance(event, dict) and "type" not in event:
                        raise mid_stream(event.get("error") or event)
                    contents += translator.feed(event)
                if translator.stopped:
                    break
        finally:
            if contents:
                more = self._take(contents)
        return more and not translator.finished


class _Whole:
    """What the translator makes of an answer that comes as one."""

    __slots__ = ("_body", "_pieces", "_size", "_translator")

    def __init__(self, body: Body, translator: Translator) -> None:
        self._body = body
        self._translator = translator
        self._pieces: list[bytes] = []
        self._size = 0

    @property
    def usage(self) -> Json:
        return self._translator.usage

    @property
    def stop_reason(self) -> str | None:
        return self._translator.stop_reason

    @property
    def whole(self) -> bool:
        return self._translator.stopped

    async def read(self, take: Take) -> bool:
        await self._body.read(self._keep)
        answer = orjson.loads(b"".join(self._pieces))
        if isinstance(answer, dict) and answer.get("error"):
            raise mid_stream(answer["error"])
        if contents := self._translator.whole(answer):
            take(contents)
        return True

    def _keep(self, data: bytes) -> bool:
        self._size += len(data)
        if self._size > LARGEST:
            raise FrameTooLarge
        self._pieces.append(data)
        return True


async def _drain(body: Body) -> None:
    """Reads the few bytes behind the end, so that the connection can be used again. Nothing that happens here matters."""
    with suppress(TimeoutError, httpx2.HTTPError, httpx2.StreamError):
        async with asyncio.timeout(_DRAIN_SECONDS):
            await body.read(lambda _: True)


class _failures:  # noqa: N801 - used like a function, as contextlib's own are
    """Names what went wrong."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        match error:
            case openai.APIStatusError():
                raise refused(error.status_code, error.body, error.response.headers.get("retry-after")) from None
            case openai.APIConnectionError():
                raise UpstreamFailure("upstream_unreachable", "the upstream could not be reached") from None
            case httpx2.HTTPError() | httpx2.StreamError():
                raise UpstreamFailure("upstream_disconnected", "the upstream cut the connection") from None
            case orjson.JSONDecodeError():
                raise UpstreamFailure("upstream_malformed", "the upstream sent what cannot be read") from None
            case FrameTooLarge():
                raise UpstreamFailure(
                    "output_limit", "The upstream sent an event too large.", retryable=False
                ) from None
            case openai.OpenAIError():
                raise UpstreamFailure("upstream_error", message_for("upstream_error", None), retryable=False) from None
