"""A submit that breaks off at any of its steps, before or after the step was done, and is repeated: one generation, in
somebody's care, and nothing that nobody knows of."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import pytest
from arq.connections import ArqRedis

from broker import keys
from broker.errors import NotDurable, OutcomeUnknown, StorageFull, StorageUnavailable
from broker.ids import cell_of
from broker.request import GenerationRequest
from broker.store.accepting import Submissions
from broker.store.coordination import Coordination
from broker.store.derived import Derivation
from broker.store.logs import Logs
from broker.store.vault import Vault
from tests.broker.store.scripted import Server

ASKED: dict[str, Any] = {"model": "sim-1", "messages": [{"role": "user", "content": "Hi"}]}
REQUEST = GenerationRequest.model_validate(ASKED)
STEPS = [
    (step, done) for step in ("coordination.submit", "logs.create", "coordination.enqueue") for done in (False, True)
]


class Dying:
    """Does as what it stands for, until it comes to `step`: then Redis is gone, before or after the step was `done`."""

    def __init__(self, of: Logs | Coordination, step: str, done: bool) -> None:
        self._of, self._step, self._done = of, step, done
        self.redis = of.redis
        self.vault = Vault()

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
    derivation = None if one_server else Derivation(coordination.redis)
    return Submissions(logs, coordination, pickup_ms=3000, retention=3600, derivation=derivation, watch=str)


def members(server: Server, key: str) -> set[str]:
    return {member.decode() for member in server.command("ZRANGE", key, 0, -1)}


def records(server: Server) -> set[str]:
    found: list[bytes] = server.command("KEYS", "{gen_*}:record")
    return {key.decode().removeprefix("{").removesuffix("}:record") for key in found}


@pytest.mark.parametrize("one_server", [True, False], ids=["one-server", "two-servers"])
@pytest.mark.parametrize(
    ("step", "done"), STEPS, ids=[f"{'after' if done else 'before'}-{step}" for step, done in STEPS]
)
def test_whatever_step_breaks_off_the_repeated_submit_makes_one_generation(
    server: Server, step: str, done: bool, one_server: bool
) -> None:
    logs, coordination = Logs(server.redis), Coordination(server.redis)
    of, name = step.split(".")
    dying = submissions(
        Dying(logs, name if of == "logs" else "", done),
        Dying(coordination, name if of == "coordination" else "", done),
        one_server=one_server,
    )
    with pytest.raises(OutcomeUnknown):
        server.do(dying.submit(REQUEST, "key"))
    assert records(server) <= members(server, keys.DUE), "a record that nobody will look at"

    id_ = server.do(submissions(logs, coordination, one_server=one_server).submit(REQUEST, "key"))
    assert id_ in members(server, keys.DUE)
    assert records(server) == {id_}
    assert id_ in members(server, keys.index("queued"))
    if (step, done) not in (
        ("logs.create", True),
        ("coordination.enqueue", False),
    ):  # there, it is the sweeper's to queue
        assert members(server, keys.QUEUE) == {f"{id_}:1"}


@pytest.mark.parametrize("one_server", [True, False])
def test_a_key_is_known_by_its_owner_s_once_it_was_used_and_ids_are_of_the_cell(
    server: Server, one_server: bool
) -> None:
    logs, coordination = Logs(server.redis), Coordination(server.redis)
    derivation = None if one_server else Derivation(server.redis, 5)
    whole = replace(submissions(logs, coordination), derivation=derivation, cell=5)
    assert not server.do(whole.knows(REQUEST, "key"))
    ids = [server.do(whole.submit(REQUEST, key, "me")) for key in ("key", None)]
    assert [cell_of(id_) for id_ in ids] == [5, 5]
    assert server.do(whole.knows(REQUEST, "key", "me"))
    assert not server.do(whole.knows(REQUEST, "key"))
    assert not server.do(whole.knows(REQUEST, "other", "me"))


def test_a_submit_repeated_again_and_again_leaves_one_record_and_one_job(server: Server) -> None:
    whole = submissions(Logs(server.redis), Coordination(server.redis))
    ids = {server.do(whole.submit(REQUEST, "key")) for _ in range(5)}
    assert len(ids) == 1
    assert records(server) == members(server, keys.index("all")) == ids
    assert len(members(server, keys.QUEUE)) == 1


@pytest.mark.parametrize("one_server", [True, False])
def test_a_submit_repeated_after_the_sweeper_gave_it_up_is_looked_after_again(server: Server, one_server: bool) -> None:
    """Even if the repeated one breaks off too, once the record is made."""
    logs, coordination = Logs(server.redis), Coordination(server.redis)
    with pytest.raises(OutcomeUnknown):
        server.do(submissions(Dying(logs, "create", False), coordination, one_server=one_server).submit(REQUEST, "key"))
    (id_,) = members(server, keys.DUE)
    server.do(coordination.unlist([id_]))
    with pytest.raises(OutcomeUnknown):
        server.do(
            submissions(logs, Dying(coordination, "enqueue", False), one_server=one_server).submit(REQUEST, "key")
        )
    assert records(server) == members(server, keys.DUE) == {id_}


def test_a_submit_repeated_after_the_sweeper_gave_it_up_is_listed_again(server: Server) -> None:
    """Its key names the id that the first one drew."""
    logs, coordination = Logs(server.redis), Coordination(server.redis)
    with pytest.raises(OutcomeUnknown):
        server.do(submissions(Dying(logs, "create", False), coordination, one_server=True).submit(REQUEST, "key"))
    (id_,) = members(server, keys.DUE)
    server.do(coordination.unlist([id_]))
    assert server.do(submissions(logs, coordination, one_server=True).submit(REQUEST, "key")) == id_
    assert members(server, keys.index("queued")) == members(server, keys.index("all")) == {id_}


def test_a_repeated_submit_queues_nothing_for_what_it_did_not_make(server: Server) -> None:
    whole = submissions(Logs(server.redis), Coordination(server.redis), one_server=True)
    id_ = server.do(whole.submit(REQUEST, "key"))
    server.command("ZREM", keys.QUEUE, f"{id_}:1")  # a worker has it
    assert server.do(whole.submit(REQUEST, "key")) == id_
    assert members(server, keys.QUEUE) == set()


@pytest.mark.parametrize("one_server", [True, False])
def test_a_record_is_made_for_one_body_where_its_id_is_a_keys(server: Server, one_server: bool) -> None:
    whole = submissions(Logs(server.redis), Coordination(server.redis), one_server=one_server)
    for key in ("key", None):
        id_ = server.do(whole.submit(REQUEST, key))
        _, made_for = server.command("GET", keys.tombstone(id_)).decode().split(" ")
        assert made_for == (REQUEST.fingerprint() if key and not one_server else "")


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


def test_the_record_of_a_submit_in_one_step_is_known_as_redis_has_it(server: Server) -> None:
    logs, coordination = Logs(server.redis), Coordination(server.redis)
    one = server.do(submissions(logs, coordination, one_server=True).accept(REQUEST, None, "me"))
    assert one.record is not None
    assert one.record == server.do(logs.record(one.id))
    assert server.do(submissions(logs, coordination).accept(REQUEST, None)).record is None


def test_a_submit_in_one_step_whose_reply_was_lost_is_repeated_without_a_trace(server: Server) -> None:
    """redis-py sends a command again on a new connection."""
    logs, coordination = Logs(server.redis), Coordination(server.redis)
    server.command("SCRIPT", "FLUSH")

    class Twice(ArqRedis):
        async def execute_command(self, *words: Any, **options: Any) -> Any:
            await server.redis.execute_command(*words, **options)  # type: ignore[no-untyped-call]
            return await server.redis.execute_command(*words, **options)  # type: ignore[no-untyped-call]

    again = Coordination(Twice(server.redis.connection_pool))
    id_ = server.do(submissions(logs, again, one_server=True).submit(REQUEST, None))
    assert records(server) == {id_}
    assert members(server, keys.QUEUE) == {f"{id_}:1"}
    assert server.command("LLEN", keys.WAKE) == 1
    assert stored(server, id_)[0] == stored(server, server.do(submissions(logs, coordination).submit(REQUEST, None)))[0]


class Refusing(Dying):
    """The same, but Redis says that it cannot, or is full, at that step."""

    def __init__(self, of: Logs | Coordination, step: str, error: Exception) -> None:
        super().__init__(of, step, False)
        self._error = error

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name != self._step:
            return super().__getattr__(name)

        async def refuse(*_: Any, **__: Any) -> Any:
            raise self._error

        return refuse


@pytest.mark.parametrize("error", [StorageFull(), StorageUnavailable("NOREPLICAS")], ids=["full", "refused"])
def test_what_redis_refuses_once_the_record_is_made_is_accepted_and_the_sweepers_to_do(
    server: Server, error: Exception
) -> None:
    logs, coordination = Logs(server.redis), Coordination(server.redis)
    id_ = server.do(submissions(logs, Refusing(coordination, "enqueue", error)).submit(REQUEST, "key"))
    assert records(server) == members(server, keys.DUE) == {id_}


@pytest.mark.parametrize("step", ["ready", "submit"])
def test_what_redis_refuses_before_has_not_happened_and_what_it_does_not_answer_may_have(
    server: Server, step: str
) -> None:
    logs, coordination = Logs(server.redis), Coordination(server.redis)
    for why in ("NOREPLICAS", "silent"):
        refusing = Refusing(coordination, step, StorageUnavailable(cast(Any, why)))
        unknown = (step, why) == ("submit", "silent")
        with pytest.raises(OutcomeUnknown if unknown else StorageUnavailable) as raised:
            server.do(submissions(logs, refusing).submit(REQUEST, "key"))
        assert isinstance(raised.value, OutcomeUnknown) is unknown
    assert records(server) == members(server, keys.DUE) == set()


def test_a_strict_submit_is_refused_where_nothing_can_be_confirmed_and_no_other_is(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    strict = GenerationRequest.model_validate({**ASKED, "durability": "strict"})
    for can in (False, True):

        async def can_confirm(_: Logs, can: bool = can) -> bool:
            return can

        monkeypatch.setattr(Logs, "can_confirm", can_confirm)
        whole = submissions(Logs(server.redis), Coordination(server.redis), one_server=can)
        assert server.do(whole.submit(REQUEST, None)) in records(server)
        if can:
            id_ = server.do(whole.submit(strict, None))
            assert server.command("HGET", keys.record(id_), "durability") == b"strict"
        else:
            with pytest.raises(NotDurable):
                server.do(whole.submit(strict, None))


def test_the_retention_is_the_requests_or_the_processs_in_milliseconds(server: Server) -> None:
    whole = submissions(Logs(server.redis), Coordination(server.redis))
    own = GenerationRequest.model_validate({**ASKED, "retention": 120})
    for request, retention in ((REQUEST, b"3600000"), (own, b"120000")):
        id_ = server.do(whole.submit(request, None))
        assert server.command("HGET", keys.record(id_), "retention_ms") == retention


@pytest.mark.parametrize(
    ("one_server", "key", "at_once"), [(True, None, True), (True, "k", False), (False, None, False)]
)
def test_it_is_one_step_where_one_server_does_all_and_no_key_has_an_owner(
    server: Server, monkeypatch: pytest.MonkeyPatch, one_server: bool, key: str | None, at_once: bool
) -> None:
    steps: list[str] = []
    submit = Coordination.submit

    async def submitted(self: Coordination, *args: Any) -> Any:
        steps.append("submit")
        return await submit(self, *args)

    monkeypatch.setattr(Coordination, "submit", submitted)
    whole = submissions(Logs(server.redis), Coordination(server.redis), one_server=one_server)
    server.do(whole.submit(REQUEST, key))
    assert steps == ([] if at_once else ["submit"])
