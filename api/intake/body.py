"""A request's body, from its bytes to what is made of the one JSON object in them, or to the problem that says why not."""

import asyncio
import json
import math
import re
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import aclosing, suppress
from itertools import accumulate
from typing import Never, TypeVar

import orjson
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, Request

from api.intake.negotiate import JSON
from api.intake.problems import Code, Problem
from broker.aside import Aside

T = TypeVar("T")

MAX_BYTES = 1 << 20
MAX_DEPTH = 64
# Denial-of-service guards: to parse 1 MiB of brackets takes 0.35 s, of numbers or keys 0.1 s. What a body says in strings, a
# prompt full of code for instance, is not counted.
MAX_BRACKETS = 50_000
MAX_COMMAS = 25_000
SMALL = 16 * 1024
"""Bodies up to this size are read as they come, larger ones beside the loop: of 1 MiB and 10,000 messages that takes 35 ms."""
TIMEOUT = 30.0  # seconds for the whole body, so that a body sent drop by drop does not hold a connection
MAX_DISCARDED = 8 << 20
LINGER = 1.0  # seconds

CLOSE = {"Connection": "close"}  # what is left of the body is not read
NOT_STRUCTURE = bytes(set(range(256)) - set(b"[]{},"))
STEPS = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}
HALF_A_PAIR = re.compile(r"\\u[dD][89a-fA-F]")


async def read_json(
    request: Request, make: Callable[[dict[str, object]], T], aside: Aside, media_types: Collection[str] = (JSON,)
) -> T:
    """What `make`, which is pure, makes of the JSON object that the request carries, whichever of these it calls it. Raises
    Problem for anything that is not one, and what `make` raises."""
    check_content_type(request.headers, media_types)
    try:
        async with asyncio.timeout(TIMEOUT):
            return await made_of(await _read(request), make, aside)
    except TimeoutError:
        raise Problem(Code.BODY_TIMEOUT, headers=CLOSE) from None
    except ClientDisconnect:
        raise Problem(Code.INCOMPLETE_BODY) from None  # not sent, but not logged as a failure of ours either


async def made_of(raw: bytes, make: Callable[[dict[str, object]], T], aside: Aside) -> T:
    """What `make` makes of the one JSON object in these bytes, beside the loop if that takes long. Raises as `parse_object`
    and `make`."""
    if len(raw) > SMALL:
        return await aside.run(lambda: make(parse_object(raw)))
    return make(parse_object(raw))


def has_body(headers: Headers) -> bool:
    """Whether the request says that it has one."""
    return headers.get("content-length", "0") != "0" or "transfer-encoding" in headers


def check_content_type(headers: Headers, media_types: Collection[str] = (JSON,)) -> None:
    """Raises Problem (415) unless the body is declared as one of these and plain, in UTF-8 if it says."""
    declared = headers.getlist("content-type")
    if len(declared) != 1 or headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise Problem(Code.UNSUPPORTED_MEDIA_TYPE)
    media_type, *parameters = declared[0].split(";")
    charsets = {"".join(parameter.split()).lower().replace('"', "") for parameter in parameters}
    if media_type.strip().lower() not in media_types or not charsets <= {"", "charset=utf-8", "charset=utf8"}:
        raise Problem(Code.UNSUPPORTED_MEDIA_TYPE)


async def _read(request: Request) -> bytes:
    declared = request.headers.get("content-length", "")
    # Python refuses to convert very long numbers: a length of more than 20 digits is too large however it reads.
    too_large = declared.isascii() and declared.isdigit() and (len(declared) > 20 or int(declared) > MAX_BYTES)
    raw = bytearray()
    async with aclosing(request.stream()) as stream:
        # Who asks before sending (`Expect: 100-continue`) gets the answer instead of the permission.
        if too_large and "expect" in request.headers:
            raise Problem(Code.BODY_TOO_LARGE, headers=CLOSE)
        while not too_large and (chunk := await anext(stream, None)) is not None:
            raw += chunk
            too_large = len(raw) > MAX_BYTES
        if too_large:
            await _discard(stream)
            raise Problem(Code.BODY_TOO_LARGE, headers=CLOSE)
    return bytes(raw)


async def _discard(stream: AsyncIterator[bytes]) -> None:
    """Let a refused body of moderate size run out, so that a client that writes before it reads sees the answer.

    Closed with bytes unread, a connection is reset: Python's http.client lost half of its answers to 2 MiB that way.
    """
    left = MAX_DISCARDED
    with suppress(TimeoutError, ClientDisconnect):
        async with asyncio.timeout(LINGER):
            async for chunk in stream:
                left -= len(chunk)
                if left < 0:
                    return


def parse_object(raw: bytes) -> dict[str, object]:
    """The one JSON object in `raw`, that any JSON writer can carry on unchanged. Raises Problem (400 or 422)."""
    value = parse(raw)
    if not isinstance(value, dict):
        wrong = {"pointer": "", "code": "wrong_type", "detail": "must be an object"}
        raise Problem(Code.INVALID_REQUEST, errors=[wrong])
    return value


def parse(raw: bytes) -> object:
    """The JSON value in `raw`. Raises Problem (400)."""
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        raise Problem(Code.NOT_UTF8) from None
    if text.startswith("\ufeff"):
        raise Problem(Code.NOT_UTF8)
    _check_structure(raw)
    try:
        value: object = DECODER.decode(text)
        if HALF_A_PAIR.search(text):  # only an escape can smuggle in half of a pair
            orjson.dumps(value)
    except orjson.JSONEncodeError:
        raise Problem(Code.UNSUPPORTED_JSON) from None
    except json.JSONDecodeError as error:
        where = f"It does not parse at line {error.lineno}, column {error.colno}."
        raise Problem(Code.MALFORMED_JSON, where) from None
    return value


def _check_structure(raw: bytes) -> None:
    """Raises Problem (400) if the JSON has too many brackets or commas outside of its strings, or is nested too deep. Up to
    where `raw` stops being JSON it counts exactly, and no parser goes further."""
    if raw.count(b"[") + raw.count(b"{") <= MAX_DEPTH and raw.count(b",") <= MAX_COMMAS:
        return
    unescaped = raw.replace(rb"\\", b"").replace(rb"\"", b"")
    structure = b"".join(unescaped.split(b'"')[::2]).translate(None, NOT_STRUCTURE)
    brackets = structure.translate(None, b",")
    if len(brackets) > MAX_BRACKETS or len(structure) - len(brackets) > MAX_COMMAS:
        raise Problem(Code.UNSUPPORTED_JSON)
    if max(accumulate(STEPS[bracket] for bracket in brackets), default=0) > MAX_DEPTH:
        raise Problem(Code.UNSUPPORTED_JSON)


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    unique = dict(pairs)
    if len(unique) != len(pairs):
        raise Problem(Code.DUPLICATE_KEY)
    return unique


def _integer(digits: str) -> int:
    """Refuses what does not fit 64 bits: other JSON readers, ours for stored requests among them, would round it."""
    if len(digits) > 20 or not -(1 << 63) <= (number := int(digits)) < 1 << 64:
        raise Problem(Code.UNSUPPORTED_JSON)
    return number


def _float(digits: str) -> float:
    if math.isinf(number := float(digits)):
        raise Problem(Code.UNSUPPORTED_JSON)
    return number


def _constant(_name: str) -> Never:
    raise Problem(Code.MALFORMED_JSON)


DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_int=_integer, parse_float=_float, parse_constant=_constant)
