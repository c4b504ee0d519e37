"""What reading an answer has in common, whatever the upstream and its SDK: how far it is, who knows that, an answer that comes
as one, the last bytes of its connection, what goes wrong on the way."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Final, Generic, Protocol, TypeVar

import httpx2
import orjson

from broker.budgets import NOTHING_TOLD, Told
from worker.upstreams import Json, UpstreamFailure
from worker.upstreams.body import Body
from worker.upstreams.frames import LARGEST, FrameTooLarge

_DRAIN_SECONDS: Final = 0.1


class Progress(Protocol):
    """A translator's account of its answer so far."""

    usage: Json
    stop_reason: str | None
    stopped: bool
    """The answer's own end has come."""


T = TypeVar("T", bound=Progress)


class Translated(Generic[T]):
    """An answer that a translator makes entries of; what an Answer tells of itself, the translator knows."""

    __slots__ = ("_body", "_told", "_translator")

    def __init__(self, body: Body, translator: T, told: Told = NOTHING_TOLD) -> None:
        self._body = body
        self._translator = translator
        self._told = told

    @property
    def told(self) -> Told:
        return self._told

    @property
    def usage(self) -> Json:
        return self._translator.usage

    @property
    def stop_reason(self) -> str | None:
        return self._translator.stop_reason

    @property
    def whole(self) -> bool:
        return self._translator.stopped


async def in_one(body: Body) -> object:
    """The JSON of an answer that comes as one. Raises FrameTooLarge, orjson's JSONDecodeError, httpx2's errors."""
    pieces: list[bytes] = []
    size = 0

    def keep(data: bytes) -> bool:
        nonlocal size
        size += len(data)
        if size > LARGEST:
            raise FrameTooLarge
        pieces.append(data)
        return True

    await body.read(keep)
    return orjson.loads(b"".join(pieces))


async def drain(body: Body) -> None:
    """Reads the few bytes behind an answer's end, so that the connection can be used again. The answer is whole by now: nothing
    that happens here matters."""
    with suppress(TimeoutError, httpx2.HTTPError, httpx2.StreamError):
        async with asyncio.timeout(_DRAIN_SECONDS):
            await body.read(lambda _: True)


class Failures:
    """Names what goes wrong in its block: `of_sdk` what the upstream's SDK raises. A class, as a generator's context manager
    would cost a frame on each event."""

    def __init__(self, of_sdk: Callable[[BaseException], UpstreamFailure | None]) -> None:
        self._of_sdk = of_sdk

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if error is not None and (failure := self._of_sdk(error) or _of_transport(error)) is not None:
            raise failure from None


def _of_transport(error: BaseException) -> UpstreamFailure | None:
    match error:
        case httpx2.HTTPError() | httpx2.StreamError():
            return UpstreamFailure("upstream_disconnected", "the upstream cut the connection")
        case orjson.JSONDecodeError():
            return UpstreamFailure("upstream_malformed", "the upstream sent what cannot be read")
        case FrameTooLarge():
            return UpstreamFailure("output_limit", "The upstream sent an event too large.", retryable=False)
    return None
