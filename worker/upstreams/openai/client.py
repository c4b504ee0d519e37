"""OpenAI, and what is compatible with it, through the OpenAI SDK: one call, its events as they come, its failures by name.

The SDK opens the connection, authenticates, keeps it; its retries are off, as ours are visible to viewers, and the bytes are
read past its decoder, as those of Anthropic are. It hides a clean end of the body without the answer's own end: whether that
has come, the translator knows.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Final, Protocol, cast

import httpx2
import openai
import orjson
from openai import AsyncOpenAI, AsyncStream, DefaultAioHttpClient, Omit
from openai._types import RequestOptions

from broker.budgets import NO_LIMITS, Budget, Ledger, Limits, Told
from broker.events import Content
from broker.transcript import Kept
from broker.upstreams import Continuation
from worker.upstreams import Call, Json, Take, UpstreamFailure
from worker.upstreams.body import Body, body_of
from worker.upstreams.frames import FrameTooLarge, Splitter
from worker.upstreams.going_on import prefilled, quoted
from worker.upstreams.openai import chat_ask, responses_ask
from worker.upstreams.openai.chat_answer import ChatTranslator
from worker.upstreams.openai.failures import mid_stream, refused
from worker.upstreams.openai.responses_answer import ResponsesTranslator
from worker.upstreams.reading import Failures, Progress, Translated, drain, in_one
from worker.upstreams.told import of_openai
from worker.upstreams.wording import message_for

_USAGE_SECONDS: Final = 2.0
"""How long the usage of a complete answer is waited for: some that are compatible send none, and keep the connection open."""
_DONE: Final = b"[DONE]"


class Translator(Progress, Protocol):
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
    where the SDK's own variable leads; without a `key` none is sent. `name` and `limits` are of its budgets. Close it with
    `aclose`."""

    def __init__(
        self, api: Api, connections: int, *, base_url: str | None, key: str | None, continuation: Continuation,
        name: str = "openai", limits: Limits = NO_LIMITS,
    ) -> None:  # fmt: skip
        # No read timeout: our own watchdog looks for progress instead.
        timeout = httpx2.Timeout(connect=10.0, read=None, write=30.0, pool=30.0)
        pool = httpx2.Limits(max_connections=connections, max_keepalive_connections=connections)
        # A prompt goes nowhere else than where the operator said.
        http = DefaultAioHttpClient(timeout=timeout, limits=pool, follow_redirects=False)
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
        self._ledger = Ledger(name, key, limits)

    def budget(self, call: Call) -> Budget:
        return self._ledger.of(str(call.body.get("model")))

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
        with Failures(_of_sdk):
            async with await self._client.post(
                self._api.path,
                content=body,
                options=self._options,
                cast_to=object,
                stream=True,
                stream_cls=AsyncStream[object],
            ) as stream:
                told = of_openai(stream.response.headers)
                yield (_Answer if call.stream else _Whole)(body_of(stream.response), translator, told)


class _Answer(Translated[Translator]):
    """What the translator makes of a response's events."""

    __slots__ = ("_splitter", "_take")

    def __init__(self, body: Body, translator: Translator, told: Told) -> None:
        super().__init__(body, translator, told)
        self._splitter = Splitter()
        self._take: Take

    async def read(self, take: Take) -> bool:
        self._take = take
        translator = self._translator
        ended = await self._body.read(self._digest)
        if ended:
            self._give(translator.end())
        elif translator.stopped:
            await drain(self._body)
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


class _Whole(Translated[Translator]):
    """What the translator makes of an answer that comes as one."""

    __slots__ = ()

    async def read(self, take: Take) -> bool:
        answer = await in_one(self._body)
        if isinstance(answer, dict) and answer.get("error"):
            raise mid_stream(answer["error"])
        if contents := self._translator.whole(cast(Json, answer)):
            take(contents)
        return True


def _of_sdk(error: BaseException) -> UpstreamFailure | None:
    match error:
        case openai.APIStatusError():
            return refused(error.status_code, error.body, error.response.headers)
        case openai.APIConnectionError():
            return UpstreamFailure("upstream_unreachable", "the upstream could not be reached")
        case openai.OpenAIError():
            return UpstreamFailure("upstream_error", message_for("upstream_error", None), retryable=False)
    return None
