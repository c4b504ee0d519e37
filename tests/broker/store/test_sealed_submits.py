"""A submit of a tenant that is sealed, against a real server: what its record has, and with which key."""

import base64

import pytest

from broker import keys
from broker.errors import PayloadUnreadable, SealingUnavailable
from broker.request import GenerationRequest
from broker.store.accepting import Submissions
from broker.store.coordination import Coordination
from broker.store.erasing import Erasing
from broker.store.key_proof import vault_with
from broker.store.logs import Logs
from broker.tenant_keys import KeyService, tenant_keys
from tests.broker.store.scripted import Server

ONE, TWO = (base64.b64encode(bytes([each]) * 32).decode() for each in (1, 2))
REQUEST = GenerationRequest.model_validate(
    {"model": "sim-1", "messages": [{"role": "user", "content": "canary-5d0c9a"}]}
)


def submissions(server: Server, service: KeyService | None) -> Submissions:
    """Of a process that has just begun."""
    logs = Logs(server.redis, vault=vault_with(service, server.redis))
    return Submissions(logs, Coordination(server.redis), 3000, 3600, None, str)


@pytest.mark.parametrize("key", [None, "key"])
def test_a_request_is_stored_sealed_and_read_as_it_was(server: Server, key: str | None) -> None:
    id_ = server.do(submissions(server, tenant_keys(f"*/a:{ONE}")).submit(REQUEST, key, "acme"))
    stored: dict[bytes, bytes] = server.do(server.logs.fields(id_))
    assert b"canary" not in stored[b"request"]
    assert stored[b"sealed"].startswith(b"1 */a ")
    other = submissions(server, tenant_keys(f"*/b:{TWO} */a:{ONE}"))
    assert server.do(other.logs.request(id_)) == REQUEST.to_bytes()
    with pytest.raises(PayloadUnreadable, match=r"\*/a"):
        server.do(submissions(server, tenant_keys(f"*/b:{TWO}")).logs.request(id_))


def test_a_tenant_without_a_key_is_stored_plain_beside_one_that_has_one(server: Server) -> None:
    accepting = submissions(server, tenant_keys(f"acme/a:{ONE}"))
    plain, sealed = (server.do(accepting.submit(REQUEST, None, tenant)) for tenant in ("other", "acme"))
    assert server.command("HGET", keys.record(plain), "request") == REQUEST.to_bytes()
    assert server.command("HEXISTS", keys.record(sealed), "sealed") == 1
    nobody = submissions(server, None)
    assert server.do(nobody.logs.request(plain)) == REQUEST.to_bytes()
    with pytest.raises(PayloadUnreadable):
        server.do(nobody.logs.request(sealed))


def test_a_repeated_submit_has_the_key_of_the_first(server: Server) -> None:
    service = tenant_keys(f"*/a:{ONE}")
    first, again = submissions(server, service), submissions(server, service)
    id_ = server.do(first.submit(REQUEST, "a key", ""))
    assert server.do(again.submit(REQUEST, "a key", "")) == id_
    assert server.do(again.logs.request(id_)) == server.do(first.logs.request(id_)) == REQUEST.to_bytes()


def test_nothing_is_accepted_with_another_key_under_the_same_name(server: Server) -> None:
    server.do(submissions(server, tenant_keys(f"*/a:{ONE}")).submit(REQUEST, None))
    wrong = submissions(server, tenant_keys(f"*/a:{TWO}"))
    for key in (None, "another key"):
        with pytest.raises(SealingUnavailable, match=r"\*/a"):
            server.do(wrong.submit(REQUEST, key))
    assert server.command("ZCARD", keys.index("all")) == 1


class Keeping:
    """A key service that keeps data keys itself."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}
        self.away = False

    async def wrap(self, tenant: str, generation: str, data_key: bytes) -> bytes | None:
        if self.away:
            raise ConnectionError("canary")
        self.kept[generation] = data_key
        return b"kept"

    async def unwrap(self, tenant: str, generation: str, wrapped: bytes) -> bytes:
        return self.kept[generation]

    async def destroy(self, tenant: str, generation: str, wrapped: bytes) -> None:
        if self.away:
            raise ConnectionError("canary")
        self.kept.pop(generation, None)


def test_what_a_key_service_has_destroyed_nobody_reads_any_more_whatever_is_left_of_it(server: Server) -> None:
    service = Keeping()
    accepting = submissions(server, service)
    id_ = server.do(accepting.submit(REQUEST, None))
    assert server.do(accepting.logs.request(id_)) == REQUEST.to_bytes()
    server.do(accepting.logs.destroy_key(id_))
    for each in (accepting, submissions(server, service)):
        with pytest.raises(PayloadUnreadable, match="KeyError"):
            server.do(each.logs.request(id_))


def test_an_erasure_has_the_key_service_destroy_the_data_key_and_waits_for_it(server: Server) -> None:
    service = Keeping()
    accepting = submissions(server, service)
    id_ = server.do(accepting.submit(REQUEST, None))
    erasing = Erasing(accepting.logs, accepting.coordination, None)
    service.away = True
    with pytest.raises(SealingUnavailable):
        server.do(erasing.erase(id_))
    assert server.command("EXISTS", keys.record(id_)) == 1
    service.away = False
    server.do(erasing.erase(id_))
    assert service.kept == {}
    assert server.command("EXISTS", keys.record(id_)) == 0


def test_while_the_key_service_is_away_nothing_is_accepted_and_its_words_are_not_told(server: Server) -> None:
    service = Keeping()
    service.away = True
    with pytest.raises(SealingUnavailable, match="ConnectionError") as failure:
        server.do(submissions(server, service).submit(REQUEST, None))
    assert "canary" not in str(failure.value)
    assert not server.command("EXISTS", keys.DUE)
