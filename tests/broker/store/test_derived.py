"""Which id an idempotency key gives to its generation, where coordination may have forgotten the key."""

from typing import Any, Self, cast

import pytest
from arq.connections import ArqRedis

from broker import keys
from broker.errors import IdempotencyMismatch, StorageUnavailable
from broker.ids import cell_of, derived_generation_id, is_generation_id
from broker.store import derived
from broker.store.derived import Derivation, Derived, choose
from tests.broker.store.scripted import Server
from tests.harness.clockwork import at_once

IDS = YESTERDAY, TODAY, TOMORROW = "gen_Y", "gen_T", "gen_M"
NOW = 1_800_000_000_000
OLD, FRESH = NOW - keys.IDEMPOTENCY_MS, NOW - keys.IDEMPOTENCY_MS + 1


def made(ms: int, body: str = "same") -> bytes:
    return f"{ms} {body}".encode()


@pytest.mark.parametrize(
    ("tombstones", "id_", "known"),
    [
        ((None, None, None), TODAY, False),
        ((made(FRESH), None, None), YESTERDAY, True),
        ((made(OLD), None, None), TODAY, False),
        ((made(OLD), made(FRESH), None), TODAY, True),
        ((None, None, made(NOW)), TOMORROW, True),  # by an API whose clock is ahead
        ((None, made(OLD), None), TOMORROW, False),  # our clock is behind
        ((None, made(NOW + 5000), None), TODAY, True),  # the clock of Redis has jumped back
        ((made(OLD), made(OLD), made(OLD)), TOMORROW, False),
    ],
)
def test_a_key_names_what_it_made_in_the_last_24_hours_else_an_id_that_was_never_used(
    tombstones: tuple[bytes | None, ...], id_: str, known: bool
) -> None:
    assert choose(IDS, tombstones, NOW, "same") == Derived(id_, known)


def test_what_a_key_made_belongs_to_its_body_until_its_24_hours_are_over() -> None:
    with pytest.raises(IdempotencyMismatch):
        choose(IDS, (made(FRESH, "other"), None, None), NOW, "same")
    assert choose(IDS, (made(OLD, "other"), None, None), NOW, "same") == Derived(TODAY, False)


def test_an_id_is_its_texts_and_its_secrets_own() -> None:
    ids = {derived_generation_id(secret, text) for secret in (b"a", b"b") for text in ("1 key", "2 key", "1 other")}
    assert len(ids) == 6
    assert all(is_generation_id(id_) for id_ in ids)
    assert derived_generation_id(b"a", "1 key") in ids


def test_every_process_derives_the_same_and_so_does_one_that_starts_later(server: Server) -> None:
    first, second = Derivation(server.redis), Derivation(server.redis)
    found = server.do(first.of("key", "body"))
    assert server.do(second.of("key", "body")) == server.do(Derivation(server.redis).of("key", "body")) == found
    assert server.do(first.of("other", "body")) != found


def test_a_derived_id_names_its_cell(server: Server) -> None:
    found = [server.do(Derivation(server.redis, cell).of("key", "body")).id for cell in (0, 3)]
    assert [cell_of(id_) for id_ in found] == [0, 3]


def test_a_secret_that_was_lost_is_restored_and_one_that_another_has_restored_is_taken(server: Server) -> None:
    first, second = Derivation(server.redis), Derivation(server.redis)
    found = server.do(first.of("key", "body"))
    server.command("DEL", keys.PEPPER)
    assert server.do(first.of("key", "body")) == found
    server.command("DEL", keys.PEPPER)
    anew = server.do(second.of("key", "body"))
    assert anew != found
    assert server.do(first.of("key", "body")) == anew


def test_the_secret_is_kept_as_long_as_it_is_used(server: Server) -> None:
    derivation = Derivation(server.redis)
    server.do(derivation.of("key", "body"))
    server.command("PEXPIRE", keys.PEPPER, 1000)
    server.do(derivation.of("key", "body"))
    assert server.command("PTTL", keys.PEPPER) > keys.INDEX_MS - 60_000


def test_nobody_guesses_a_secret_of_32_bytes(server: Server) -> None:
    server.do(Derivation(server.redis).of("key", "body"))
    assert len(bytes.fromhex(server.command("GET", keys.PEPPER).decode())) == 32


@pytest.mark.parametrize("clock", [20_000 * 86_400, 20_000 * 86_400 + 86_399])
@pytest.mark.parametrize(("later", "known"), [(-2, False), (-1, True), (0, True), (1, True), (2, False)])
def test_what_was_made_on_the_day_before_or_after_ours_is_known(
    server: Server, monkeypatch: pytest.MonkeyPatch, clock: int, later: int, known: bool
) -> None:
    monkeypatch.setattr(derived, "time", lambda: float(clock))
    server.command("SET", keys.PEPPER, "secret", "PX", 60_000)
    then, ours = (derived_generation_id(b"secret", f"{day} key") for day in (20_000 + later, 20_000))
    server.command("SET", keys.tombstone(then), made(server.now_ms(), "body"), "PX", 60_000)
    assert server.do(Derivation(server.redis).of("key", "body")) == Derived(then if known else ours, known)


class Scripted:
    """Redis, with a secret for each time that it is asked. Its clock stands at NOW and 999 ms; yesterday's id was made a day
    before that, or is `younger` by so many ms."""

    def __init__(self, *secrets: bytes, younger: int = 0) -> None:
        self.secrets = list(secrets)
        self.yesterday = made(NOW + 999 - keys.IDEMPOTENCY_MS + younger)

    def pipeline(self, *, transaction: bool) -> Self:
        return self

    def __getattr__(self, name: str) -> Any:
        return lambda *_, **__: None

    async def execute(self) -> list[Any]:
        return [None, self.secrets.pop(0), (NOW // 1000, 999_000), self.yesterday, None, None]


def of(redis: Scripted) -> Derived:
    return at_once(Derivation(cast(ArqRedis, redis)).of("key", "same"))


def test_a_secret_that_never_stays_is_asked_for_three_times() -> None:
    redis = Scripted(b"1", b"2", b"3", b"4")
    with pytest.raises(StorageUnavailable):
        of(redis)
    assert redis.secrets == [b"4"]


@pytest.mark.parametrize(("younger", "known"), [(-500, False), (0, False), (2, True)])
def test_the_24_hours_are_over_by_the_clock_of_redis_to_the_millisecond(younger: int, known: bool) -> None:
    assert of(Scripted(b"same", b"same", younger=younger)).known == known
