"""API and worker as users of Redis of their own, over TLS: the whole main path, and nothing else."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import pytest
import redis

from broker import acl
from broker.local.embedded import EmbeddedServer
from tests.harness.receiver import SECRET, Receiver
from tests.harness.sentinels import Front
from tests.harness.stack import Stack, until
from tests.harness.tls import tls_port_in_a_thread
from tests.system.http.certificate import make_certificate
from tests.system.main_path import MODEL, SLOW, main_path

PASSWORD: Final = "of-the-{role}-and-of-nobody-else"
REFUSED: Final[dict[acl.Role, list[tuple[str, ...]]]] = {
    "api": [
        ("ZPOPMIN", "respool:queue"), ("SCAN", "0"), ("KEYS", "*"), ("FLUSHALL",), ("CONFIG", "SET", "appendonly", "no"),
        ("GET", "respool:worker:a"), ("GET", "anybody's"), ("ACL", "LIST"), ("SHUTDOWN", "NOSAVE"), ("MONITOR",),
        ("SUBSCRIBE", "anything"),
    ],
    "worker": [
        ("GET", "respool:idem:a"), ("GET", "respool:pepper"), ("KEYS", "*"), ("FLUSHDB",), ("RANDOMKEY",),
        ("CONFIG", "SET", "appendonly", "no"), ("GET", "anybody's"), ("SSUBSCRIBE", "anything"), ("ACL", "LIST"),
        ("REPLICAOF", "NO", "ONE"),
    ],
}  # fmt: skip
"""What each needs least of all."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[EmbeddedServer]:
    with EmbeddedServer(tmp_path / "redis") as server:
        with redis.Redis.from_url(server.url) as admin:
            for role in acl.ROLES:
                password = f">{PASSWORD.format(role=role)}"
                admin.execute_command("ACL", "SETUSER", acl.user(role), "on", password, *acl.rules(role))
        yield server


def denied(server: EmbeddedServer) -> list[str]:
    """What was refused to our users, as the server has logged it."""
    with redis.Redis.from_url(server.url, decode_responses=True) as admin:
        rows = admin.execute_command("ACL", "LOG")
        return [f"{row['username']}: {row['reason']} {row['object']} ({row['context']})" for row in rows]


def test_each_does_its_work_as_a_user_of_its_own_and_is_refused_what_it_does_not_need(
    server: EmbeddedServer, tmp_path: Path
) -> None:
    made = make_certificate(tmp_path)
    with ExitStack() as held:
        port = held.enter_context(tls_port_in_a_thread(server.socket_path, made.certificate, made.key))

        def url(role: acl.Role) -> str:
            password = PASSWORD.format(role=role)
            return f"rediss://{acl.user(role)}:{password}@localhost:{port}/0?ssl_ca_certs={made.certificate}"

        receiver = held.enter_context(Receiver())
        stack = held.enter_context(
            Stack(
                apis=0, workers=0, server=Front(tmp_path / "front", url("api")),
                webhook_secret=SECRET, webhook_allow="http loopback",
            )
        )  # fmt: skip
        for _ in range(2):
            stack.add_worker(redis_url=url("worker"))
            stack.add_api(redis_url=url("api"))
        main_path(stack)
        client = stack.client()
        labelled = client.submit(
            MODEL, durability="strict", labels={"user": "u"}, webhook={"url": receiver.url("/end")}
        )
        until(lambda: client.record(labelled.id)["state"] == "completed", "a strict end is safe")
        until(lambda: receiver.received, "its webhook is told")
        assert [row["id"] for row in client.http.get("/v1/generations?label.user=u").json()["data"]] == [labelled.id]
        crashed = client.submit(SLOW)
        with client.stream(crashed.id) as stream:
            next(frame for frame in stream if frame.type == "text")
            for worker in stack.workers:
                worker.kill()
            stack.add_worker(redis_url=url("worker"))
            assert next(frame for frame in stream if frame.type == "stream_start").data["attempt"] == 2
            client.cancel(crashed.id)
            assert list(stream)[-1].data["status"] == "cancelled"
        assert denied(server) == []
        for role, commands in REFUSED.items():
            with redis.Redis.from_url(url(role)) as user:
                assert user.ping()
                for command in commands:
                    with pytest.raises(redis.exceptions.NoPermissionError):
                        user.execute_command(*command)
