"""What one client may make the API hold, parse or wait for."""

import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from broker.local.embedded import free_port
from broker.processes.orphans import Orphans
from tests.harness.client import Client
from tests.harness.processes import Child, python
from tests.harness.stack import STARTS, Stack, until
from tests.system.http.conftest import PAGE, WAYS, Server
from tests.system.http.test_framing import HOST, JSON, SECOND, last_answer
from tests.system.http.wire import Address, Connection, Cut

GET = b"GET /healthz HTTP/1.1\r\n" + HOST
LIMIT = 32 * 1024
LONG = "sim-1?tps=50&tokens=5000&ttft_ms=0&seed=6"
CHUNKED = b"POST /v1/generations HTTP/1.1\r\n" + HOST + JSON + b"Transfer-Encoding: chunked\r\n\r\n1\r\n \r\n0\r\n"


def send(connection: Connection, data: bytes, step: int = 1 << 20) -> None:
    """In pieces, as far as the server takes them."""
    try:
        for at in range(0, len(data), step):
            connection.socket.sendall(data[at : at + step])
    except OSError:
        return


def resident(api: Child) -> int:
    """Bytes of memory."""
    status = Path(f"/proc/{api.pid}/status")
    if not status.exists():
        pytest.skip("only Linux tells a process's memory in /proc")
    return int(status.read_text().partition("VmRSS:")[2].split()[0]) * 1024


@pytest.mark.parametrize(
    "head",
    [
        b"GET /" + b"a" * LIMIT + b" HTTP/1.1\r\n" + HOST + b"\r\n",
        GET + b"A: " + b"a" * LIMIT + b"\r\n\r\n",
        GET + b"A" * LIMIT + b": a\r\n\r\n",
        GET + b"A: " + b" " * 2 * LIMIT + b"a\r\n\r\n",
        GET + (b"A: " + b"a" * 1000 + b"\r\n") * 33 + b"\r\n",
        GET + b"A: a\r\n" * 101 + b"\r\n",
        b"\r\n" * LIMIT + GET + b"\r\n",
        CHUNKED + b"A: " + b"a" * LIMIT + b"\r\n\r\n",
        CHUNKED + b"A: a\r\n" * 101 + b"\r\n",
    ],
    ids=["target", "value", "name", "spaces", "headers", "lines", "empty lines", "trailer", "trailers"],
)
def test_a_head_has_a_bound_however_it_comes(server: Server, head: bytes) -> None:
    for step in (1 << 20, 1000):
        with server.address.connect() as connection:
            send(connection, head + SECOND, step)
            answer = connection.answer()
            assert (answer.status, answer.json["code"]) == (431, "head_too_large")
            assert connection.is_over()


def test_a_head_just_below_the_bound_is_read(server: Server) -> None:
    with server.address.connect() as connection:
        for step in (1 << 20, 1000):
            send(connection, GET + b"A: " + b"a" * (LIMIT - 100) + b"\r\n\r\n", step)
            assert connection.answer().status == 200


@pytest.mark.parametrize("head", [b"GET /", GET + b"A: ", CHUNKED + b"A: "], ids=["target", "header", "trailer"])
def test_a_head_without_end_takes_no_memory(server: Server, head: bytes) -> None:
    server.address.get("/healthz")
    before = resident(server.api)
    with server.address.connect() as connection:
        send(connection, head + b"a" * (40 << 20), 1 << 18)
        assert resident(server.api) < before + (8 << 20)


def test_pipelined_requests_wait_in_a_bounded_number(server: Server, client: Client) -> None:
    generation = client.submit(LONG)
    with server.address.connect() as connection:
        connection.ask(f"/v1/generations/{generation.id}/events")
        connection.head()
        next(connection.chunks())
        connection.socket.sendall((GET + b"\r\n") * 5000)
        client.cancel(generation.id)
        b"".join(connection.chunks())
        assert [connection.answer().status for _ in range(8)] == [200] * 8
        assert last_answer(connection).json["code"] == "too_many_pipelined"


def test_whoever_sends_no_request_is_not_waited_for(
    http_servers: dict[str, Server], https_servers: dict[str, Server]
) -> None:
    """Ten seconds, on all four servers at once."""
    with ExitStack() as connections:
        opened = []
        for server in (*http_servers.values(), *https_servers.values()):
            silent, empty, half = (connections.enter_context(server.address.connect()) for _ in range(3))
            empty.socket.sendall(b"\r\n")
            half.socket.sendall(GET)
            opened.append((silent, empty, half))
        for silent, empty, half in opened:
            for connection in (silent, empty):
                assert connection.is_over()
            answer = last_answer(half)
            assert (answer.status, answer.json["code"]) == (408, "head_timeout")


@pytest.mark.parametrize("way", WAYS)
def test_where_descriptors_end_health_checks_are_answered_still(way: str, stack: Stack) -> None:
    orphans, port = Orphans(), free_port()
    environment = {
        **stack.environment(),
        "RESPOOL_HTTP": way,
        "RESPOOL_PORT": str(port),
        "RESPOOL_STALLED_VIEWER": "30",
    }
    api = Child(
        f"few-{way}", python("tests.system.http.few_descriptors", "--alone"), environment, stack.folder, orphans
    ).start()
    address = Address(port)
    with ExitStack() as running:
        running.callback(orphans.close)
        running.callback(api.kill)
        until(address.answers, "the API answers", STARTS)
        took = []
        for number in range(400):
            half = running.enter_context(address.connect())
            half.socket.sendall(GET)
            if number % 20 == 0:
                began = time.monotonic()
                assert address.get("/healthz").status == 200
                took.append(time.monotonic() - began)
        assert address.get("/v1/generations").status == 200
        assert api.log.count("connections are open") == 1
        assert "Traceback" not in api.log


def test_a_process_full_of_streams_answers_health_checks_alone(stack: Stack, client: Client, way: str) -> None:
    generation = client.submit(LONG)
    orphans, port = Orphans(), free_port()
    environment = {**stack.environment(), "RESPOOL_HTTP": way, "RESPOOL_PORT": str(port), "RESPOOL_CONNECTIONS": "5"}
    api = Child(f"full-{way}", python("api"), environment, stack.folder, orphans).start()
    address = Address(port)
    with ExitStack() as running:
        running.callback(orphans.close)
        running.callback(api.kill)
        until(address.answers, "the API answers", STARTS)
        viewers = [running.enter_context(address.connect()) for _ in range(5)]
        for viewer in viewers:
            viewer.ask(f"/v1/generations/{generation.id}/events")
            viewer.head()
        with address.connect() as refused:
            refused.ask("/v1/generations", Origin=PAGE)
            answer = last_answer(refused)
        assert (answer.status, answer.json["code"]) == (503, "too_many_connections")
        assert answer.headers["access-control-allow-origin"] == PAGE
        with address.connect() as check:
            check.ask("/healthz")
            answer = last_answer(check)
        assert answer.status == 200
        crowd = [running.enter_context(address.connect()) for _ in range(60)]
        assert address.get("/readyz").status == 200
        for viewer in viewers:
            next(viewer.chunks())
        for one in crowd[:10]:
            with pytest.raises(Cut):
                one.head()
        viewers[0].socket.close()
        until(lambda: address.get("/v1/generations").status == 200, "there is room again")
    client.cancel(generation.id)
