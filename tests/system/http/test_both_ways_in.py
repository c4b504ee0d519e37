"""A viewer of a watched generation is answered as the routes answer, whatever it sends, if the quick way lets it in or not."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from broker.local.embedded import free_port
from broker.processes.orphans import Orphans
from tests.harness.client import Client
from tests.harness.processes import Child, python
from tests.harness.stack import STARTS, Stack, until
from tests.system.http.conftest import PAGE
from tests.system.http.wire import Address, Connection, Head

SILENT = "sim-1?tps=0.02&tokens=50&ttft_ms=0&seed=6"
"""After its first entries nothing comes for 50 s: what a viewer gets first does not depend on when it comes."""


@dataclass(frozen=True)
class Ways:
    quick: Address
    routes: Address
    id: str
    cursors: tuple[str, ...]


@pytest.fixture(scope="module")
def ways(stack: Stack, client: Client) -> Iterator[Ways]:
    """A process with the quick way in and one without; both watch the generation."""
    generation = client.submit(SILENT, idle_timeout=600)
    path = f"/v1/generations/{generation.id}/events"
    orphans = Orphans()
    with ExitStack() as running:
        running.callback(orphans.close)
        addresses = []
        for module in ("api", "tests.system.http.routes_only"):
            environment = {**stack.environment(), "RESPOOL_PORT": str(port := free_port())}
            running.callback(Child(module, python(module, "--alone"), environment, stack.folder, orphans).start().kill)
            addresses.append(Address(port))
        for address in addresses:
            until(address.answers, "the API answers", STARTS)
            viewer = running.enter_context(address.connect())
            viewer.ask(path)
            viewer.head()
            chunks, seen = viewer.chunks(), b""
            while seen.count(b"\nid: ") < 4:
                seen += next(chunks)
        cursors = tuple(line[4:].decode() for line in seen.split(b"\n") if line.startswith(b"id: "))
        yield Ways(addresses[0], addresses[1], generation.id, cursors)
    client.cancel(generation.id)


def answer(address: Address, request: bytes) -> tuple[Head, bytes]:
    """Status and headers, and the body up to its first event."""
    with address.connect() as connection:
        connection.socket.sendall(request)
        head = connection.head()
        return Head(head.status, {name: value for name, value in head.headers.items() if name != "date"}), first(
            connection, head
        )


def first(connection: Connection, head: Head) -> bytes:
    if head.headers.get("transfer-encoding") != "chunked":
        return connection._take(int(head.headers.get("content-length", "0")))
    body = b""
    for chunk in connection.chunks():
        body += chunk
        if b"\n\n" in body:
            break
    return body.partition(b"\n\n")[0]


CURSOR = "<cursor>"
_CURSORS = st.sampled_from(
    [CURSOR + "0", CURSOR + "1", CURSOR + "2", "0-0", "", "1-1", "x", "0-00", CURSOR + "1 ", "5-1, 5-2", "\xe9"]
)
_HEADERS = st.one_of(
    st.tuples(st.sampled_from(["Last-Event-ID", "last-event-id", "LAST-EVENT-ID"]), _CURSORS),
    st.tuples(
        st.just("Accept"),
        st.sampled_from(
            ["text/event-stream", "*/*", "Text/Event-Stream", "text/*;q=0.1", "application/json", "", "*/*;q=0"]
        ),
    ),
    st.tuples(st.just("Host"), st.sampled_from(["localhost", "127.0.0.1:80", "evil.example", "", "LOCALHOST."])),
    st.tuples(st.just("Connection"), st.sampled_from(["close", "keep-alive", "upgrade"])),
    st.tuples(st.just("Upgrade"), st.sampled_from(["h2c", "websocket"])),
    st.tuples(st.just("Expect"), st.just("nothing")),
    st.tuples(st.just("Content-Length"), st.sampled_from(["0", "x"])),
    st.tuples(
        st.just("Origin"), st.sampled_from([PAGE, PAGE, "https://evil.example", "http://localhost", "null", "", "\xe9"])
    ),
    st.tuples(st.just("Access-Control-Request-Method"), st.just("POST")),
    st.tuples(st.just("Sec-Fetch-Site"), st.just("cross-site")),
    st.tuples(st.sampled_from(["X-A", "Cookie", "Idempotency-Key", "Range"]), st.text("ab \xe9;=", max_size=5)),
)
_TAILS = st.sampled_from(
    ["", "?", "?after=0-0", "?from=snapshot", "?from=x", "?other=1", "/", "#", "%2f", "?after=", "//", "x"]
)


@settings(max_examples=150, deadline=None, database=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    tail=_TAILS, headers=st.lists(_HEADERS, max_size=4), host=st.sampled_from([True, True, True, False]),
    method=st.sampled_from(["GET", "GET", "GET", "HEAD", "OPTIONS"]), version=st.sampled_from(["1.1", "1.1", "1.0"]),
)  # fmt: skip
@example("", [("Last-Event-ID", "0-0")], True, "GET", "1.1")
@example("", [("Last-Event-ID", CURSOR + "1"), ("Last-Event-ID", CURSOR + "2")], True, "GET", "1.1")
@example("", [("Last-Event-ID", "0-0"), ("Last-Event-ID", CURSOR + "2")], True, "GET", "1.1")
@example("", [("Last-Event-ID", ""), ("Last-Event-ID", CURSOR + "2")], True, "GET", "1.1")
@example("", [("Last-Event-ID", CURSOR + "1 ")], True, "GET", "1.1")
@example("", [("Origin", PAGE)], True, "GET", "1.1")
@example("", [("Origin", PAGE), ("Last-Event-ID", CURSOR + "1")], True, "GET", "1.1")
@example("", [("Origin", PAGE), ("Origin", PAGE)], True, "GET", "1.1")
@example("", [("Origin", "https://evil.example")], True, "GET", "1.1")
@example("", [("Origin", PAGE), ("Access-Control-Request-Method", "GET")], True, "OPTIONS", "1.1")
def test_both_ways_answer_alike(
    ways: Ways, tail: str, headers: list[tuple[str, str]], host: bool, method: str, version: str
) -> None:
    lines = [f"{method} /v1/generations/{ways.id}/events{tail} HTTP/{version}", *(["Host: localhost"] if host else [])]
    for name, value in headers:
        at = value.removeprefix(CURSOR).strip()
        given_ = value.replace(CURSOR + at, ways.cursors[int(at)]) if value.startswith(CURSOR) else value
        lines.append(f"{name}: {given_}")
    request = "\r\n".join([*lines, "", ""]).encode("latin-1")
    if method == "HEAD" or version == "1.0":
        with ways.quick.connect() as quick, ways.routes.connect() as routes:
            quick.socket.sendall(request)
            routes.socket.sendall(request)
            heads = [connection.head() for connection in (quick, routes)]
        assert heads[0].status == heads[1].status
        return
    assert answer(ways.quick, request) == answer(ways.routes, request)


@pytest.mark.parametrize(
    ("cursors", "reason"), [(["0-0"], "unknown_cursor"), (["<0>", "<0>"], "bad_cursor"), (["", ""], "bad_cursor")]
)
def test_what_names_no_one_entry_is_told_as_a_gap(ways: Ways, cursors: list[str], reason: str) -> None:
    given_ = "".join(f"Last-Event-ID: {cursor.replace('<0>', ways.cursors[0])}\r\n" for cursor in cursors)
    request = f"GET /v1/generations/{ways.id}/events HTTP/1.1\r\nHost: localhost\r\n{given_}\r\n".encode()
    for address in (ways.quick, ways.routes):
        assert f'{{"type":"gap","reason":"{reason}"}}'.encode() in answer(address, request)[1]
