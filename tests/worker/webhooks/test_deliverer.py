"""What a deliverer does with what is due, on a real server, and whatever breaks in between."""

from typing import Any, cast

import pytest

from broker import keys
from broker.errors import StorageUnavailable
from broker.ids import EntryId
from broker.record import Ending, Record
from broker.replies import Finished, Look
from broker.store import one_server
from broker.store.agreement import Agreement
from broker.store.indexes import file_ended
from broker.store.queue import Job
from broker.store.recovery import put_back
from broker.store.webhooks import Webhooks, unlist
from broker.webhooks import Delivery, Hook
from tests.broker.store.scripted import DONE, Generation, Server
from worker.webhooks.deliverer import Deliverer, DelivererStatistics
from worker.webhooks.posting import Answer, Poster

HOOK = Hook("https://example.com/hook", ("completed", "failed", "cancelled"))
TAKEN = Answer(204, None)


class Agreed:
    apart = False


class Posts:
    """Instead of a POST: keeps what is told, and answers with the next of these."""

    def __init__(self, *answers: Answer) -> None:
        self._answers = list(answers)
        self.told: list[str] = []

    async def post(self, url: str, headers: dict[str, str], body: bytes) -> Answer:
        self.told.append(headers["webhook-id"])
        return self._answers.pop(0)


def deliverer(server: Server, posts: Posts) -> Deliverer:
    webhooks = Webhooks(server.logs, server.coordination)
    return Deliverer(server.logs, webhooks, cast(Agreement, Agreed()), cast(Poster, posts), (), 1.0)


def look(server: Server, made: Deliverer) -> int:
    async def go() -> int:
        found = await made.look()
        await made.settled()
        return found

    return server.do(go())


def hooked(server: Server, hook: Hook | None = HOOK, **made: Any) -> Generation:
    generation = Generation(server)
    generation.create(hook=hook, **made)
    return generation


def due(server: Server) -> dict[str, float]:
    found = server.command("ZRANGE", keys.WEBHOOKS, 0, -1, "WITHSCORES")
    return {id_.decode(): float(score) for id_, score in zip(found[::2], found[1::2], strict=True)}


def now_due(server: Server, generation: Generation) -> None:
    if server.command("EXISTS", keys.webhook(generation.id)):
        server.command("HSET", keys.webhook(generation.id), "next_at_ms", 0)
    assert server.command("ZADD", keys.WEBHOOKS, "XX", "CH", 0, generation.id) == 1


def record(server: Server, generation: Generation) -> Record:
    return server.do(server.logs.record(generation.id))


def conclude(server: Server, generation: Generation, ending: Ending = DONE) -> None:
    attempt = generation.granted()
    call = one_server.conclude(generation.id, attempt, 1, ending, Job(generation.id, 1).name)
    assert server.do(call.run(server.redis)).why == "ended"


# -- an end is put aside, and has a place


def by_cancel(server: Server, generation: Generation) -> None:
    generation.cancel()


def by_claim(server: Server, generation: Generation) -> None:
    generation.granted()
    generation.cancel()
    assert server.do(server.logs.release(generation.id, generation.last.attempt, counts=True))
    generation.claim()


def by_finish(server: Server, generation: Generation) -> None:
    assert generation.finish(generation.granted(), 1) == Finished("ended")


@pytest.mark.parametrize("end", [by_cancel, by_claim, by_finish, conclude])
def test_whatever_ends_a_generation_puts_aside_what_is_told(server: Server, end: Any) -> None:
    generation = hooked(server)
    end(server, generation)
    found = record(server, generation)
    assert found.ended
    untold = server.do(Webhooks(server.logs, server.coordination).untold(generation.id))
    assert untold is not None
    assert (untold.record.state, untold.end, untold.tries) == (found.state, found.terminal_id, 0)
    assert untold.record.request is None
    assert 0 < server.command("PTTL", keys.webhook(generation.id)) <= keys.DELIVERY_MS
    if end is not conclude:
        assert due(server) == {}
        server.do(file_ended(server.logs, server.coordination, [generation.id]))
    assert list(due(server)) == [generation.id]


@pytest.mark.parametrize("hook", [None, Hook("https://example.com/", ("failed",))])
def test_what_no_webhook_is_to_tell_is_not_put_aside(server: Server, hook: Hook | None) -> None:
    generation = hooked(server, hook)
    conclude(server, generation)
    server.do(file_ended(server.logs, server.coordination, [generation.id]))
    assert server.command("EXISTS", keys.webhook(generation.id)) == 0
    assert due(server) == {}
    assert record(server, generation).webhook == (None if hook is None else Delivery("skipped"))


def test_whoever_files_an_end_has_it_told_first(server: Server) -> None:
    """It may die in between; what is filed nobody looks at again before it has expired."""
    generation = hooked(server)
    generation.cancel()
    filed: list[Look] = []
    found = server.do(server.logs.looks([generation.id]))

    async def file(ended: dict[str, Look]) -> None:
        await server.coordination.tell([id_ for id_, each in ended.items() if each.hooked])
        filed.extend(ended.values())

    server.do(file(cast("dict[str, Look]", found)))
    assert filed[0].hooked
    assert list(due(server)) == [generation.id]


def test_what_has_expired_before_anybody_filed_it_is_told_yet(server: Server) -> None:
    generation = hooked(server)
    generation.cancel()
    server.command("DEL", keys.record(generation.id), keys.log(generation.id))
    server.do(unlist(server.logs, server.coordination, [generation.id, "gen_other"]))
    posts = Posts(TAKEN)
    assert look(server, deliverer(server, posts)) == 1
    assert len(posts.told) == 1


def test_what_coordination_has_lost_is_found_among_the_records(server: Server) -> None:
    generation = hooked(server)
    conclude(server, generation)
    server.command("DEL", keys.WEBHOOKS)
    assert server.do(put_back(server.logs, server.coordination, [generation.id])) == []
    assert list(due(server)) == [generation.id]


# -- trying


def test_what_is_taken_is_told_and_noted_and_looked_at_once_more(server: Server) -> None:
    generation = hooked(server)
    conclude(server, generation)
    posts = Posts(TAKEN)
    made = deliverer(server, posts)
    assert look(server, made) == 1
    found = record(server, generation)
    assert posts.told == [f"{generation.id}_{found.terminal_id}"]
    assert found.delivery == Delivery("delivered", 1, 204)
    assert server.command("EXISTS", keys.webhook(generation.id)) == 0
    assert look(server, made) == 0
    now_due(server, generation)
    assert look(server, made) == 1
    assert due(server) == {}
    assert made.statistics() == DelivererStatistics(0, 1, 1, 0, 0)


def test_what_fails_is_tried_again_at_its_time_and_no_sooner(server: Server) -> None:
    generation = hooked(server)
    conclude(server, generation)
    posts = Posts(Answer(500, "refused"), TAKEN)
    made = deliverer(server, posts)
    look(server, made)
    found = record(server, generation).delivery
    assert found is not None
    assert (found.state, found.tries, found.last_status, found.last_error) == ("pending", 1, 500, "refused")
    assert found.next_at_ms is not None
    assert 4000 < found.next_at_ms - server.now_ms() < 5600
    assert abs(due(server)[generation.id] - found.next_at_ms) < 200
    server.command("ZADD", keys.WEBHOOKS, "XX", 0, generation.id)  # another worker had taken it, and died
    look(server, made)
    assert len(posts.told) == 1
    assert due(server)[generation.id] > server.now_ms() + 3000
    now_due(server, generation)
    look(server, made)
    assert record(server, generation).delivery == Delivery("delivered", 2, 204)


def test_nobody_else_gets_what_is_being_tried_until_its_time_is_over(server: Server) -> None:
    generation = hooked(server)
    conclude(server, generation)
    first, second = deliverer(server, Posts(TAKEN)), deliverer(server, Posts())

    async def both() -> int:
        await first.look()
        taken = await second.look()
        await first.settled()
        return taken

    assert server.do(both()) == 0


def test_the_last_try_is_the_end_of_it(server: Server) -> None:
    generation = hooked(server)
    conclude(server, generation)
    server.command("HSET", keys.webhook(generation.id), "tries", 9)
    made = deliverer(server, Posts(Answer(None, "timeout")))
    look(server, made)
    assert record(server, generation).delivery == Delivery("failed", 10, None, "timeout")
    assert server.command("EXISTS", keys.webhook(generation.id)) == 0
    assert made.statistics().failed == 1


def test_what_came_of_a_try_is_noted_once(server: Server) -> None:
    """Whoever had it before was so slow that another has tried since."""
    generation = hooked(server)
    conclude(server, generation)
    webhooks = Webhooks(server.logs, server.coordination)
    end = record(server, generation).terminal_id
    assert end is not None
    assert server.do(webhooks.tried(generation.id, end, Delivery("pending", 1, 500, "refused"), 5000))
    assert not server.do(webhooks.tried(generation.id, end, Delivery("failed", 1, None, "timeout"), None))
    assert not server.do(webhooks.tried(generation.id, EntryId(1, 0), Delivery("failed", 2, None, "timeout"), None))
    found = record(server, generation).delivery
    assert found is not None
    assert (found.state, found.last_status) == ("pending", 500)


def test_the_record_may_expire_while_tries_go_on(server: Server) -> None:
    generation = hooked(server)
    conclude(server, generation)
    server.command("DEL", keys.record(generation.id), keys.log(generation.id))
    posts = Posts(Answer(500, "refused"), TAKEN)
    made = deliverer(server, posts)
    look(server, made)
    now_due(server, generation)
    look(server, made)
    assert len(posts.told) == 2
    assert server.command("EXISTS", keys.record(generation.id)) == 0, "no part of it comes back"


def test_what_nobody_has_tried_in_time_says_so(server: Server) -> None:
    generation = hooked(server)
    conclude(server, generation)
    server.command("DEL", keys.webhook(generation.id))
    look(server, deliverer(server, Posts()))
    assert record(server, generation).delivery == Delivery("failed", 0, None, "lapsed")
    assert due(server) == {}


def test_an_end_that_redis_has_lost_is_told_no_more_and_the_next_one_is(server: Server) -> None:
    generation = hooked(server)
    conclude(server, generation)
    first = record(server, generation).terminal_id
    server.command("DEL", keys.webhook(generation.id))
    server.command("HDEL", keys.record(generation.id), "terminal_id", "end", "finished_ms")
    server.command("HSET", keys.record(generation.id), "state", "running")
    server.command("XDEL", keys.log(generation.id), str(first))
    posts = Posts(TAKEN)
    made = deliverer(server, posts)
    look(server, made)
    assert (posts.told, due(server)) == ([], {})
    generation.cancel()
    server.do(file_ended(server.logs, server.coordination, [generation.id]))
    look(server, made)
    assert posts.told == [f"{generation.id}_{record(server, generation).terminal_id}"]


def test_a_strictly_durable_end_that_is_not_safe_waits(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    generation = hooked(server, durability="strict")
    conclude(server, generation)
    posts = Posts(TAKEN)
    made = deliverer(server, posts)
    safe: list[bool] = []

    async def is_safe(id_: str, end: EntryId) -> None:
        if safe:
            await server.logs.confirm(id_, end)

    monkeypatch.setattr(made._strict_ends, "safe", is_safe)
    look(server, made)
    assert posts.told == []
    assert record(server, generation).webhook == Delivery()
    assert 0 < due(server)[generation.id] - server.now_ms() <= 1000
    safe.append(True)
    now_due(server, generation)
    look(server, made)
    assert len(posts.told) == 1


def test_a_redis_that_goes_away_in_between_costs_one_try_more(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    generation = hooked(server)
    conclude(server, generation)
    posts = Posts(TAKEN, TAKEN)
    made = deliverer(server, posts)

    async def away(*_: object) -> bool:
        raise StorageUnavailable

    with monkeypatch.context() as patch:
        patch.setattr(Webhooks, "tried", away)
        look(server, made)
    assert record(server, generation).webhook == Delivery()
    now_due(server, generation)
    look(server, made)
    assert len(set(posts.told)) == 1
    assert len(posts.told) == 2
    assert record(server, generation).delivery == Delivery("delivered", 1, 204)
    assert made.statistics().unavailable == 1


def test_no_more_are_under_way_than_there_is_room_for(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("worker.webhooks.deliverer.AT_ONCE", 2)
    for _ in range(3):
        conclude(server, hooked(server))
    made = deliverer(server, Posts(TAKEN, TAKEN, TAKEN))
    assert [look(server, made) for _ in range(2)] == [2, 1]


def test_redeliver_begins_anew_whatever_is_under_way(server: Server) -> None:
    generation = hooked(server)
    conclude(server, generation)
    webhooks = Webhooks(server.logs, server.coordination)
    posts = Posts(Answer(500, "refused"), TAKEN)
    made = deliverer(server, posts)
    look(server, made)
    assert server.do(webhooks.tell_again(generation.id)) == "pending"
    found = record(server, generation).delivery
    assert found is not None
    assert (found.state, found.tries) == ("pending", 0)
    look(server, made)
    assert record(server, generation).delivery == Delivery("delivered", 1, 204)


def test_of_what_cannot_be_told_again_it_is_said_why(server: Server) -> None:
    webhooks = Webhooks(server.logs, server.coordination)
    assert server.do(webhooks.tell_again(Generation(server).id)) == "unknown"
    assert server.do(webhooks.tell_again(hooked(server, None).id)) == "no webhook"
    assert server.do(webhooks.tell_again(hooked(server).id)) == "not ended"
    assert due(server) == {}
