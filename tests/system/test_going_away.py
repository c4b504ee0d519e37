"""An API process that is told to go, with a crowd of viewers: each is sent away, and the crowd is spread."""

import asyncio
import re
import signal
import time
from collections.abc import Iterator

import pytest

from tests.harness.stack import Stack
from tests.system.faults.sockets import stream_request

VIEWERS = 500
DRAIN = re.compile(rb'data: {"type":"drain"}\nretry: ([0-9]+)\n\n\r\n')


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """The first API writes directly, the second through plain ASGI, the third stays."""
    with Stack(apis=3, shutdown=8) as stack:
        yield stack


async def crowd(port: int, id_: str, all_there: asyncio.Event) -> list[bytes]:
    """What each of so many viewers was sent, to the end of its connection."""
    missing = VIEWERS

    async def viewer() -> bytes:
        nonlocal missing
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(stream_request(id_))
        received = await reader.readuntil(b'"type":"text"')
        missing -= 1
        if not missing:
            all_there.set()
        try:
            return received + await reader.read()
        except ConnectionResetError:
            return b"reset"
        finally:
            writer.close()

    async with asyncio.TaskGroup() as group:
        viewers = [group.create_task(viewer()) for _ in range(VIEWERS)]
    return [each.result() for each in viewers]


@pytest.mark.parametrize("api", [0, 1], ids=["direct", "plain"])
def test_a_crowd_is_sent_away_spread_out_and_in_time(stack: Stack, api: int) -> None:
    client = stack.client(2)
    generation = client.submit("sim-1?ttft_ms=20&tps=20&tokens=2000")
    going = stack.apis[api]

    async def run() -> tuple[list[bytes], float]:
        all_there = asyncio.Event()
        task = asyncio.create_task(crowd(int(stack.urls[api].rpartition(":")[2]), generation.id, all_there))
        async with asyncio.timeout(30):
            await all_there.wait()
        moment = time.monotonic()
        going.signal(signal.SIGTERM)
        async with asyncio.timeout(15):
            return await task, moment

    received, moment = asyncio.run(run())
    going.wait(10)
    assert time.monotonic() - moment < 10
    told = [DRAIN.search(each) for each in received]
    assert all(told), [each[-200:] for each, found in zip(received, told, strict=True) if not found][:3]
    # Nothing behind it: the chunk that would end the response least of all, as the generation goes on.
    assert all(each.endswith(found[0]) for each, found in zip(received, told, strict=True) if found)
    pauses = [int(found[1]) for found in told if found]
    assert min(pauses) >= 500
    assert max(pauses) <= 3000
    assert len(set(pauses)) > VIEWERS / 2  # of 2501 that there are
    thirds = [sum(low <= pause < low + 834 for pause in pauses) for low in (500, 1334, 2168)]
    assert min(thirds) > VIEWERS / 5
    assert client.cancel(generation.id).status_code == 202  # it has run on
