"""How submits were shared out of late, as coordination remembers it."""

import asyncio
from typing import Any, cast

from arq.connections import ArqRedis

from broker import keys
from broker.placing import written
from broker.store.shares import Shares
from tests.broker.store.scripted import Server
from tests.harness.clockwork import at_once

OLD, NEW = {0: 1.0}, {0: 1.0, 1: 1.0}


def test_a_process_hears_how_others_share_out_and_did_for_as_long_as_a_key_is_remembered(server: Server) -> None:
    before, after = Shares(server.redis, OLD), Shares(server.redis, NEW)
    assert before.heard is None
    assert server.do(before.beat())
    assert before.heard == frozenset((written(OLD),))
    assert server.do(after.beat())
    assert after.heard == frozenset(map(written, (OLD, NEW)))
    assert server.do(before.beat())
    assert before.heard == after.heard
    assert keys.WEIGHTS_MS - 60_000 < server.command("PTTL", keys.WEIGHTS) <= keys.WEIGHTS_MS
    server.command("ZADD", keys.WEIGHTS, server.now_ms() - keys.WEIGHTS_MS - 1, written(OLD))
    assert server.do(after.beat())
    assert after.heard == frozenset((written(NEW),))


def test_no_more_than_16_are_remembered(server: Server) -> None:
    for weight in range(30):
        server.command("ZADD", keys.WEIGHTS, server.now_ms() - 100 + weight, f"{weight}")
    mine = Shares(server.redis, NEW)
    assert server.do(mine.beat())
    assert mine.heard is not None
    assert len(mine.heard) == 16
    assert written(NEW) in mine.heard


def test_while_coordination_is_away_all_is_as_it_was_and_it_is_asked_again_soon() -> None:
    answers: list[Any] = [ConnectionResetError(), [b"a"], ConnectionResetError(), [b"b"]]
    asked: list[float] = []

    class Away:
        async def execute_command(self, *_: object) -> Any:
            asked.append(asyncio.get_running_loop().time() - 1000.0)
            answer = answers.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer

    async def run() -> list[frozenset[str] | None]:
        mine, heard = Shares(cast(ArqRedis, Away()), NEW), []
        running = asyncio.create_task(mine.run())
        for seconds in (0.1, 0.5, 5.0, 0.5):
            await asyncio.sleep(seconds)
            heard.append(mine.heard)
        running.cancel()
        return heard

    assert at_once(run()) == [None, {"a"}, {"a"}, {"b"}]
    assert [round(at, 1) for at in asked] == [0.0, 0.5, 5.5, 6.0]
