"""The bytes of an answer on their way past the SDK: all of them, in order, at once; behind them the connection is aiohttp's."""

import asyncio
import gzip
import ssl
from collections.abc import Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
import uvloop
from anthropic import DefaultAioHttpClient

from tests.system.http.certificate import make_certificate
from worker.upstreams.body import Body, PlainBody, TappedBody, body_of

HEAD = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n"
LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
Say = Callable[[bytes], Awaitable[None]]


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


class Server:
    """Answers each request with the next script, which is called with a way to say something; the connection stays open."""

    def __init__(self, *scripts: Callable[[Say], Awaitable[None]], headers: str = "") -> None:
        self.scripts = list(scripts)
        self.head = (HEAD + headers + "\r\n").encode()
        self.connections = 0
        self.writers: list[asyncio.StreamWriter] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.writers.append(writer)

        async def say(data: bytes) -> None:
            writer.write(data)
            await writer.drain()
            await asyncio.sleep(0.005)

        try:
            while await reader.readuntil(b"\r\n\r\n"):
                await say(self.head)
                await self.scripts.pop(0)(say)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()


def run(
    server: Server, use: Callable[[httpx2.AsyncClient, str], Awaitable[None]], *, loop: str = "uvloop", **how: Any
) -> None:
    async def main() -> None:
        listening = await asyncio.start_server(server.serve, "127.0.0.1", 0, ssl=how.get("tls"))
        scheme = "https" if "tls" in how else "http"
        url = f"{scheme}://localhost:{listening.sockets[0].getsockname()[1]}/"
        limits = httpx2.Limits(max_connections=how.get("connections", 10))
        client = DefaultAioHttpClient(limits=limits, timeout=5, verify=how.get("trusted", True))
        try:
            async with asyncio.timeout(20):
                await use(client, url)
        finally:
            await client.aclose()
            listening.close()
            for writer in server.writers:
                writer.close()

    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        runner.run(main())


@asynccontextmanager
async def opened(client: httpx2.AsyncClient, url: str) -> Any:
    async with client.stream("GET", url) as response:
        yield body_of(response)


async def parts_of(body: Body, *, pauses: bool = False) -> list[bytes]:
    parts: list[bytes] = []

    def take(data: bytes) -> bool:
        parts.append(data)
        return not pauses

    while not await body.read(take):
        await asyncio.sleep(0)
    return parts


def says(*parts: bytes, end: bytes = b"0\r\n\r\n") -> Callable[[Say], Awaitable[None]]:
    async def script(say: Say) -> None:
        for part in parts:
            await say(chunk(part))
        await say(end)

    return script


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("pauses", [False, True])
def test_each_part_is_given_as_it_comes_and_the_connection_is_used_again(loop: str, pauses: bool) -> None:
    server = Server(says(b"a", b"b"), says(), says(b"c"))

    async def use(client: httpx2.AsyncClient, url: str) -> None:
        for expected in ([b"a", b"b"], [], [b"c"]):
            async with opened(client, url) as body:
                assert isinstance(body, TappedBody), "the SDK's transport is the one we know"
                assert await parts_of(body, pauses=pauses) == expected
        assert server.connections == 1

    run(server, use, loop=loop)


@pytest.mark.parametrize("loop", LOOPS)
def test_it_is_the_same_over_tls(loop: str, tmp_path: Path) -> None:
    certificate = make_certificate(tmp_path)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate.certificate, certificate.key)
    server = Server(says(b"a", b"b" * 100_000), says(b"c"))

    async def use(client: httpx2.AsyncClient, url: str) -> None:
        for expected in (b"a" + b"b" * 100_000, b"c"):
            async with opened(client, url) as body:
                assert isinstance(body, TappedBody)
                assert b"".join(await parts_of(body)) == expected
        assert server.connections == 1

    run(server, use, loop=loop, tls=tls, trusted=certificate.trusted)


@pytest.mark.parametrize("pauses", [False, True])
def test_an_answer_that_is_compressed_all_the_same_is_read_the_sdk_s_way(pauses: bool) -> None:
    whole = gzip.compress(b"one two")
    server = Server(says(whole[:10], whole[10:]), headers="content-encoding: gzip\r\n")

    async def use(client: httpx2.AsyncClient, url: str) -> None:
        async with opened(client, url) as body:
            assert isinstance(body, PlainBody)
            assert b"".join(await parts_of(body, pauses=pauses)) == b"one two"

    run(server, use)


def test_another_transport_is_read_the_sdk_s_way() -> None:
    async def use() -> None:
        transport = httpx2.MockTransport(lambda _: httpx2.Response(200, content=b"abc"))
        async with httpx2.AsyncClient(transport=transport) as client, opened(client, "http://x/") as body:
            assert isinstance(body, PlainBody)
            assert await parts_of(body) == [b"abc"]

    asyncio.run(use())


def test_what_comes_at_once_is_given_in_slices_so_that_it_can_be_too_much_in_time() -> None:
    server = Server(says(b"x" * 1_000_000))

    async def use(client: httpx2.AsyncClient, url: str) -> None:
        async with opened(client, url) as body:
            parts = await parts_of(body)
        assert len(b"".join(parts)) == 1_000_000
        assert max(map(len, parts)) <= 16 * 1024

    run(server, use)


def test_who_wants_no_more_gets_no_more_and_the_upstream_is_not_read_either() -> None:
    written = 0

    async def floods(say: Say) -> None:
        nonlocal written
        for _ in range(2000):
            await say(chunk(b"x" * 16_384))
            written += 16_384

    server = Server(floods)

    async def use(client: httpx2.AsyncClient, url: str) -> None:
        async with opened(client, url) as body:
            taken: list[bytes] = []

            def take(data: bytes) -> bool:
                taken.append(data)
                return len(taken) < 3

            assert not await body.read(take)
            before = -1
            while before != written:
                before = written
                await asyncio.sleep(0.2)
            assert len(taken) == 3
            assert written < 16 << 20, "of 32 MB: the rest waits behind full buffers"

    run(server, use)


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("rude", [False, True])
def test_a_cut_is_told_behind_what_came_before_it(loop: str, rude: bool) -> None:
    async def cuts(say: Say) -> None:
        await say(chunk(b"a"))
        (server.writers[-1].transport.abort if rude else server.writers[-1].close)()

    server = Server(cuts)

    async def use(client: httpx2.AsyncClient, url: str) -> None:
        async with opened(client, url) as body:
            taken: list[bytes] = []

            def take(data: bytes) -> bool:
                taken.append(data)
                return True

            with pytest.raises(httpx2.ReadError):
                await body.read(take)
            assert taken == [b"a"]
            with pytest.raises(httpx2.ReadError):
                await body.read(lambda _: True)

    run(server, use, loop=loop)


def test_chunks_that_are_none_cut_the_answer_off() -> None:
    server = Server(says(b"a", end=b"no chunk\r\n"))

    async def use(client: httpx2.AsyncClient, url: str) -> None:
        async with opened(client, url) as body:
            with pytest.raises(httpx2.ReadError):
                await parts_of(body)

    run(server, use)


def test_what_the_taker_raises_comes_out_and_its_connection_is_not_used_again() -> None:
    server = Server(says(b"a", end=b""), says(b"b"))

    def fails(_: bytes) -> bool:
        raise ZeroDivisionError

    async def use(client: httpx2.AsyncClient, url: str) -> None:
        with pytest.raises(ZeroDivisionError):
            async with opened(client, url) as body:
                await body.read(fails)
        async with opened(client, url) as body:
            assert await parts_of(body) == [b"b"]
        assert server.connections == 2

    run(server, use)


def test_who_is_cancelled_closes_the_connection() -> None:
    closed = asyncio.Event()

    async def waits(say: Say) -> None:
        try:
            while True:
                await say(chunk(b"x"))
        finally:
            closed.set()

    async def use(client: httpx2.AsyncClient, url: str) -> None:
        async def reads() -> None:
            async with opened(client, url) as body:
                await body.read(take)

        reading, begun = asyncio.create_task(reads()), asyncio.Event()

        def take(_: bytes) -> bool:
            begun.set()
            return True

        await begun.wait()
        reading.cancel()
        await asyncio.wait([reading])
        assert reading.cancelled()
        await closed.wait()

    run(Server(waits), use)


def test_a_connection_that_the_next_answer_has_at_once_is_its_own() -> None:
    """With one connection, the second request has it before the task of the first has woken."""
    server = Server(*(says(b"%d" % number, b".") for number in range(10)))

    async def use(client: httpx2.AsyncClient, url: str) -> None:
        async def reads() -> bytes:
            async with opened(client, url) as body:
                return b"".join(await parts_of(body))

        found = await asyncio.gather(*(reads() for _ in range(10)))
        assert sorted(found) == sorted(b"%d." % number for number in range(10))
        assert server.connections == 1

    run(server, use, connections=1)


@pytest.fixture(autouse=True)
def no_complaints(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Neither loop nor aiohttp has anything to say."""
    yield
    assert [record.getMessage() for record in caplog.records if record.name in ("asyncio", "aiohttp.client")] == []
