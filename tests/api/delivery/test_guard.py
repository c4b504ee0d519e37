"""What comes through the guard, and what it answers itself: without a server."""

import asyncio
from typing import Any

from api.access.origin import PREFLIGHT, SENT_BY_SDKS, Header, Origins
from api.delivery.guard import Guard
from api.delivery.uvicorn_direct import CUT

PAGE = b"https://app.example"
OURS: Header = (b"host", b"api.example")
NOSNIFF, VARY = (b"x-content-type-options", b"nosniff"), (b"vary", b"Origin")
ALLOW: Header = (b"access-control-allow-origin", PAGE)
EXPOSE: Header = (
    b"access-control-expose-headers",
    b"Location, Retry-After, Generation-Id, Respool-Generation, RateLimit, RateLimit-Policy, "
    b"X-Should-Retry, Request-Id, X-Workflow-Run-Id, X-Workflow-Stream-Tail-Index, "
    b"Stream-Next-Offset, Stream-Up-To-Date, Stream-Closed, Stream-Cursor, ETag",
)


def answered(origins: Origins, *headers: Header, method: str = "GET", ours: bool = False) -> tuple[int, list[Header]]:
    """Status and headers of what comes through the guard; the application answers 200 with a header of its own."""
    sent: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert scope["method"] == method
        await send({"type": "http.response.start", "status": 200, "headers": [(b"own", b"1")]})
        await send({"type": "http.response.body", "body": b"ok"})

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": method, "path": "/", "headers": headers}
    asyncio.run(Guard(app, origins)(scope | ({"extensions": {CUT: {}}} if ours else {}), None, send))  # type: ignore[arg-type]
    assert all(message.keys() <= {"type", "body"} for message in sent[1:])
    return sent[0]["status"], list(sent[0]["headers"])


def test_every_answer_has_the_standing_headers_unless_the_server_adds_them() -> None:
    plain, shared = Origins(None), Origins(None, frozenset({PAGE.decode()}))
    assert answered(plain, OURS) == (200, [(b"own", b"1"), NOSNIFF])
    assert answered(shared, OURS) == (200, [(b"own", b"1"), NOSNIFF, VARY])
    assert answered(shared, OURS, (b"origin", PAGE)) == (200, [(b"own", b"1"), NOSNIFF, VARY, ALLOW, EXPOSE])
    assert answered(shared, OURS, (b"origin", PAGE), ours=True) == (200, [(b"own", b"1")])


def test_a_refusal_has_them_too_and_ends_the_connection() -> None:
    status, headers = answered(Origins(frozenset()), OURS)
    assert status == 421
    assert (b"connection", b"close") in headers
    assert headers[-1] == NOSNIFF


def test_a_preflight_is_answered_if_its_page_is_named() -> None:
    asks = (b"access-control-request-method", b"POST")
    named = Origins(None, frozenset({PAGE.decode()}))
    status, headers = answered(named, OURS, (b"origin", PAGE), asks, method="OPTIONS")
    assert (status, headers) == (204, [*PREFLIGHT, NOSNIFF, VARY, ALLOW, EXPOSE])
    assert (
        (b"access-control-allow-methods", b"GET, POST, DELETE"),
        (
            b"access-control-allow-headers",
            b"Content-Type, Accept, Last-Event-ID, Idempotency-Key, Authorization, X-Api-Key, "
            + ", ".join(SENT_BY_SDKS).encode(),
        ),
        (b"access-control-max-age", b"600"),
    ) == PREFLIGHT
    for origins, method, given in (
        (named, "GET", (OURS, (b"origin", PAGE), asks)),
        (named, "OPTIONS", (OURS, (b"origin", PAGE))),
        (named, "OPTIONS", (OURS, (b"origin", b"https://evil.example"), asks)),
        (named, "OPTIONS", (OURS, asks)),
        (Origins(None), "OPTIONS", (OURS, (b"origin", PAGE), asks)),
    ):
        assert answered(origins, *given, method=method)[0] == 200


def test_what_is_no_request_goes_on_as_it_is() -> None:
    gone: list[Any] = []

    async def app(*call: Any) -> None:
        gone.append(call)

    call = ({"type": "lifespan"}, 1, 2)
    asyncio.run(Guard(app, Origins(frozenset()))(*call))  # type: ignore[arg-type]
    assert gone == [call]
