"""A tenant's generation through a real worker: its key and its user's name at the upstream, and nothing of either in Redis."""

import json
from collections.abc import Iterator

import pytest

from broker.keyed import Keyed
from broker.record import TERMINAL
from broker.request import GenerationRequest
from broker.store.accepting import Submissions
from tests.broker.store.scripted import Server
from tests.harness.stack import Stack, until

SECRET = "s" * 32
USER = "bob@example.com"
TENANTS = {"acme": {"upstream_key_env": "RESPOOL_TEST_ACME_KEY"}, "late": {"upstream_key_env": "RESPOOL_TEST_NO_KEY"}}


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RESPOOL_TEST_ACME_KEY", "sk-of-acme")
        with Stack(secret=SECRET, tenants=json.dumps(TENANTS)) as stack:
            yield stack


def called(owner: str) -> str:
    """What an upstream knows the user as."""
    return Keyed.parsed(SECRET).user(owner, USER) or ""


def made(server: Server, owner: str) -> dict[bytes, bytes]:
    """The record of a generation of this owner, when it has ended."""
    request = GenerationRequest.model_validate({
        "model": "sim-1?tokens=3", "messages": [{"role": "user", "content": "Hi"}],
        "metadata": {"user_id": USER},
    })  # fmt: skip
    submissions = Submissions(server.logs, server.coordination, 3000, 3600, None, lambda _: None)
    id_ = server.do(submissions.submit(request, None, owner))
    until(lambda: server.command("HGET", f"{{{id_}}}:record", "state").decode() in TERMINAL, "it ends", 20)
    return dict(server.command("HGETALL", f"{{{id_}}}:record"))


def test_an_upstream_knows_a_tenants_user_by_a_name_that_leads_nobody_back_and_redis_no_key(stack: Stack) -> None:
    with Server(stack.server.url) as server:
        for owner in ("acme", "globex"):
            assert made(server, owner)[b"state"] == b"completed"
            assert len(stack.asked(called(owner))) == 1
        for name in server.command("KEYS", "*"):
            if server.command("TYPE", name) == b"hash":
                assert b"sk-of-acme" not in b"".join(server.command("HVALS", name))


def test_a_worker_without_a_tenants_key_says_so_and_calls_nobody(stack: Stack) -> None:
    with Server(stack.server.url) as server:
        record = made(server, "late")
    assert record[b"state"] == b"failed"
    assert json.loads(record[b"end"])["code"] == "upstream_authentication"
    assert stack.asked(called("late")) == stack.asked(USER) == []
    assert stack.workers[0].said("tenant late: no upstream key: set RESPOOL_TEST_NO_KEY")
