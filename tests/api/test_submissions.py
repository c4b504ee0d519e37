"""A submit that breaks off at any of its steps, before or after the step was done, and is repeated: one generation, in
somebody's care, and nothing that nobody knows of."""

from collections.abc import Callable
from typing import Any

import pytest
from arq.connections import ArqRedis

from api.submissions import Submissions
from broker import keys
from broker.coordination import Coordination
from broker.errors import OutcomeUnknown, StorageUnavailable
from broker.logs import Logs
from broker.request import GenerationRequest
from tests.broker.scripted import Server

REQUEST = GenerationRequest.model_validate({"model": "sim-1", "messages": [{"role": "user", "content": "Hi"}]})
STEPS = [
    (step, done) for step in ("coordination.submit", "logs.create", "coordination.enqueue") for done in (False, True)
]


class Dying:
    """Does as what it stands for, until it comes to `step`: then Redis is gone, before or after the step was `done`."""

    def __init__(self, of: object, step: str, done: bool) -> None:
        self._of, self._step, self._done = of, step, done

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method: Callable[..., Any] = getattr(self._of, name)

        async def call(*args: Any, **kwargs: Any) -> Any:
            if name == self._step and not self._done:
                raise StorageUnavailable
            answer = await method(*args, **kwargs)
            if name == self._step:
                raise StorageUnavailable
            return answer

        return call


def submissions(logs: Any, coordination: Any, *, one_server: bool = False) -> Submissions:
    return Submissions(logs, coordination, pickup_ms=3000, retention=3600, one_server=one_server)


def members(server: Server, key: str) -> set[str]:
    return {member.decode() for member in server.command("ZRANGE", key, 0, -1)}


def records(server: Server) -> set[str]:
    found: list[bytes] = server.command("KEYS", "{gen_*}:record")
    return {key.decode().removeprefix("{").removesuffix("}:record") for key in found}


@pytest.mark.parametrize(
    ("step", "done"), STEPS, ids=[f"{'after' if done else 'before'}-{step}" for step, done in STEPS]
)
def test_whatever_step_breaks_off_the_repeated_submit_makes_one_generation(
    server: Server, step: str, done: bool
) -> None:
    logs, coordination = Logs(server.redis), Coordination(server.redis)
    of, name = step.split(".")
    dying = submissions(
        Dying(logs, name if of == "logs" else "", done), Dying(coordination, name if of == "coordination" else "", done)
    )
    with pytest.raises(OutcomeUnknown):
        server.do(dying.submit(REQUEST, "key"))
    assert records(server) <= members(server, keys.DUE), "a record that nobody will look at"

    id_ = server.do(submissions(logs, coordination).submit(REQUEST, "key"))
    assert id_ in members(server, keys.DUE)
    assert records(server) == {id_}
    assert id_ in members(server, keys.index("queued"))
    if (step, done) not in (
        ("logs.create", True),
        ("coordination.enqueue", False),
    ):  # there, it is the sweeper's to queue
        assert members(server, keys.QUEUE) == {f"{id_}:1"}


def test_a_submit_repeated_again_and_again_leaves_one_record_and_one_job(server: Server) -> None:
    whole = submissions(Logs(server.redis), Coordination(server.redis))
    ids = {server.do(whole.submit(REQUEST, "key")) for _ in range(5)}
    assert len(ids) == 1
    assert records(server) == members(server, keys.index("all")) == ids
    assert len(members(server, keys.QUEUE)) == 1


def test_a_submit_repeated_after_the_sweeper_gave_it_up_is_looked_after_again(server: Server) -> None:
    """Even if the repeated one breaks off too, once the record is made."""
    logs, coordination = Logs(server.redis), Coordination(server.redis)
    with pytest.raises(OutcomeUnknown):
        server.do(submissions(Dying(logs, "create", False), coordination).submit(REQUEST, "key"))
    (id_,) = members(server, keys.DUE)
    server.do(coordination.unlist([id_]))
    with pytest.raises(OutcomeUnknown):
        server.do(submissions(logs, Dying(coordination, "enqueue", False)).submit(REQUEST, "key"))
    assert records(server) == members(server, keys.DUE) == {id_}


def test_an_api_that_slept_until_the_sweeper_gave_up_is_looked_after_all_the_same(server: Server) -> None:
    logs, coordination = Logs(server.redis), Coordination(server.redis)

    class Sleeping(Logs):
        async def create(self, id_: str, *args: Any, **kwargs: Any) -> bool:
            await coordination.unlist([id_])
            return await logs.create(id_, *args, **kwargs)

    id_ = server.do(submissions(Sleeping(server.redis), coordination).submit(REQUEST, None))
    assert records(server) == members(server, keys.DUE) == {id_}


def stored(server: Server, id_: str) -> tuple[dict[bytes, bytes], list[bool]]:
    """The record but for its time, and in which lists and queues the generation is."""
    fields: dict[bytes, bytes] = dict(server.command("HGETALL", keys.record(id_)))
    del fields[b"created_ms"]
    lists = (keys.DUE, keys.index("all"), keys.index("queued"))
    return fields, [id_ in members(server, key) for key in lists] + [f"{id_}:1" in members(server, keys.QUEUE)]


def test_a_submit_in_one_step_leaves_what_one_in_three_steps_leaves(server: Server) -> None:
    logs, coordination = Logs(server.redis), Coordination(server.redis)
    three = server.do(submissions(logs, coordination).submit(REQUEST, None))
    one = server.do(submissions(logs, coordination, one_server=True).submit(REQUEST, None))
    assert stored(server, one) == stored(server, three)
    assert all(stored(server, one)[1])
    for key in server.command("KEYS", "*"):
        assert server.command("PTTL", key) > 0, f"{key} lives for ever"


def test_a_submit_in_one_step_whose_reply_was_lost_is_repeated_without_a_trace(server: Server) -> None:
    """redis-py sends a transaction again on a new connection."""
    logs, coordination = Logs(server.redis), Coordination(server.redis)
    server.command("SCRIPT", "FLUSH")

    class Twice(ArqRedis):
        def pipeline(self, *args: Any, **kwargs: Any) -> Any:
            pipe: Any = server.redis.pipeline(*args, **kwargs)
            execute = pipe.execute

            async def twice() -> None:
                commands = list(pipe.command_stack)
                await execute()
                pipe.command_stack = commands
                await execute()

            pipe.execute = twice
            return pipe

    again = Coordination(Twice(server.redis.connection_pool))
    id_ = server.do(submissions(logs, again, one_server=True).submit(REQUEST, None))
    assert records(server) == {id_}
    assert members(server, keys.QUEUE) == {f"{id_}:1"}
    assert stored(server, id_)[0] == stored(server, server.do(submissions(logs, coordination).submit(REQUEST, None)))[0]
