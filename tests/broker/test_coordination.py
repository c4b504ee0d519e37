"""When somebody looks at a generation again."""

from broker import keys
from broker.coordination import Coordination
from tests.broker.scripted import Generation, Server

SOON_MS = 10_000


def due_in(server: Server, generation: Generation, listed: str = keys.DUE) -> float:
    """ms until the next look."""
    return float(server.command("ZSCORE", listed, generation.id)) - server.now_ms()


def retire(server: Server, generation: Generation, *, rolled_back: bool = False, ended_ms: int = 0) -> None:
    """Ends it, and files it, as one that ended so long ago; its end may be lost in between."""
    attempt = generation.granted()
    before = generation.save()
    generation.finish(attempt, 1)
    if ended_ms:
        server.command("HINCRBY", keys.record(generation.id), "finished_ms", -ended_ms)
    look = server.do(server.logs.look(generation.id))
    assert look is not None
    if rolled_back:
        generation.roll_back(before)
    server.do(Coordination(server.redis).retire({generation.id: look}))


def test_an_end_that_redis_takes_back_while_it_is_filed_is_looked_at_again_soon(server: Server) -> None:
    generation = Generation(server)
    generation.create()
    retire(server, generation, rolled_back=True)
    assert generation.field("state") == "running"
    assert due_in(server, generation) <= SOON_MS


def test_an_end_that_has_stood_is_looked_at_when_it_has_expired(server: Server) -> None:
    generation = Generation(server)
    generation.create(retention_ms=100_000)
    retire(server, generation, ended_ms=SOON_MS)
    assert 100_000 < due_in(server, generation, keys.EXPIRING) + 5000 < 110_000
    assert server.command("ZSCORE", keys.DUE, generation.id) is None


def test_what_has_expired_is_due_then(server: Server) -> None:
    generation = Generation(server)
    generation.create(retention_ms=100_000)
    retire(server, generation, ended_ms=SOON_MS)
    assert server.do(Coordination(server.redis).overdue(10, 3000)) == (0, [])
    server.command("ZADD", keys.EXPIRING, server.now_ms() - 1, generation.id)
    assert server.do(Coordination(server.redis).overdue(10, 3000)) == (1, [generation.id])
