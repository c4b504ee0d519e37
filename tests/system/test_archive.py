"""Logs that go to an archive, by real processes: readers see no difference, whatever dies or is away meanwhile."""

import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import redis

from broker import keys
from tests.harness.client import Client, Generation, check_log
from tests.harness.clusters import EmbeddedCluster
from tests.harness.objects import ObjectStore
from tests.harness.processes import Child, python
from tests.harness.stack import Stack, until

QUICK = "sim-1?ttft_ms=10&tps=5000&tokens=1200&thinking=1"
MONTHS = 90 * 24 * 3600
PATIENCE = 60.0
"""Seconds: on a busy machine. On an idle one each of these takes two or three."""


@pytest.fixture(scope="module")
def objects() -> Iterator[ObjectStore]:
    with ObjectStore() as store:
        yield store


@pytest.fixture(scope="module")
def stack(objects: ObjectStore) -> Iterator[Stack]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in objects.environment.items():
            patch.setenv(name, value)
        with Stack(apis=2, workers=2, archive_url=objects.url, archive_after=1) as stack:
            yield stack


@pytest.fixture
def client(stack: Stack) -> Client:
    return stack.client()


class Kept:
    """What Redis has of a generation."""

    def __init__(self, stack: Stack, id_: str) -> None:
        self._server = redis.Redis.from_url(stack.server.url)
        self._id = id_

    @property
    def mark(self) -> str | None:
        found: Any = self._server.hget(keys.record(self._id), "archived")
        return None if found is None else found.decode()

    @property
    def log(self) -> bool:
        return bool(self._server.exists(keys.log(self._id)))

    @property
    def seconds(self) -> int:
        return int(self._server.ttl(keys.record(self._id)))  # type: ignore[arg-type]

    def now_due(self, name: str) -> None:
        """The time has come to look at this object."""
        assert self._server.zscore(keys.ARCHIVE, name) is not None
        self._server.zadd(keys.ARCHIVE, {name: 0}, xx=True)

    def listed(self, name: str) -> bool:
        return self._server.zscore(keys.ARCHIVE, name) is not None


def finished(client: Client, **fields: Any) -> tuple[Generation, bytes]:
    """A generation that has just ended, and its event stream."""
    generation = client.submit(QUICK, **fields)
    check_log(client.events(generation.id))
    return generation, stream(client, generation.id)


def stream(client: Client, id_: str) -> bytes:
    answer = client.http.get(f"/v1/generations/{id_}/events")
    assert answer.status_code == 200, answer.text
    return bytes(answer.content)


def test_a_log_leaves_redis_and_every_reader_sees_what_it_saw(
    stack: Stack, client: Client, objects: ObjectStore
) -> None:
    generation, before = finished(client, retention=MONTHS)
    record, kept = client.record(generation.id), Kept(stack, generation.id)
    until(lambda: kept.mark, "it is archived", PATIENCE)
    assert not kept.log
    assert kept.seconds > MONTHS - 60
    assert f"{objects.prefix}/{generation.id}.{kept.mark}" in objects.objects
    for reader in (client, stack.client(1)):  # the other API has never read it
        assert stream(reader, generation.id) == before
        assert reader.record(generation.id) == record
        events = reader.events(generation.id)
        half = str(events[len(events) // 2].id)
        assert reader.events(generation.id, half) == events[len(events) // 2 + 1 :]


def test_a_worker_that_is_killed_before_redis_dropped_the_log_loses_nothing_and_leaves_no_orphan(
    stack: Stack, client: Client, objects: ObjectStore
) -> None:
    """It has written the object, and is about to read it back. The other worker sleeps until it is dead."""
    killed, other = stack.workers
    other.signal(signal.SIGSTOP)
    with objects.held("GET") as asked:
        generation, before = finished(client)
        assert asked.wait(PATIENCE)
        killed.kill()
    kept = Kept(stack, generation.id)
    assert kept.log
    assert kept.mark is None
    assert stream(client, generation.id) == before
    (orphan,) = [name for name in objects.logs if generation.id in name]
    other.signal(signal.SIGCONT)
    until(lambda: kept.mark, "another worker has archived it", PATIENCE)
    assert stream(stack.client(1), generation.id) == before
    name = orphan.removeprefix(f"{objects.prefix}/")
    assert not name.endswith(str(kept.mark))
    kept.now_due(name)
    until(lambda: orphan not in objects.objects, "the orphan is erased", PATIENCE)
    until(lambda: not kept.listed(name), "nobody looks at it any more", PATIENCE)


def test_while_the_store_is_away_logs_stay_and_what_is_there_is_said_to_be_away(
    stack: Stack, client: Client, objects: ObjectStore
) -> None:
    there, before = finished(client)
    until(lambda: Kept(stack, there.id).mark, "it is archived", PATIENCE)
    objects.away = True
    try:
        for path in (f"/v1/generations/{there.id}", f"/v1/generations/{there.id}/events"):
            answer = client.http.get(path)
            assert (answer.status_code, answer.json()["code"]) == (503, "archive_unavailable")
            assert answer.headers["retry-after"] == "5"
        assert there.id in [each["id"] for each in client.http.get("/v1/generations").json()["data"]]
        fresh, fresh_before = finished(client)
        until(lambda: objects.was_asked("PUT", fresh.id), "a worker has tried", PATIENCE)
        assert Kept(stack, fresh.id).log
    finally:
        objects.away = False
    assert stream(client, fresh.id) == fresh_before
    until(lambda: client.http.get(f"/v1/generations/{there.id}").status_code == 200, "it can be read again", PATIENCE)
    assert stream(client, there.id) == before
    until(lambda: Kept(stack, fresh.id).mark, "it is archived when the store is back", PATIENCE)
    assert stream(stack.client(1), fresh.id) == fresh_before


def test_what_the_store_has_not_kept_stays_in_redis(stack: Stack, client: Client, objects: ObjectStore) -> None:
    """It says that it has it."""
    objects.forgets = True
    try:
        generation, before = finished(client)
        until(lambda: objects.was_asked("GET", generation.id), "a worker has read it back", PATIENCE)
    finally:
        objects.forgets = False
    kept = Kept(stack, generation.id)
    assert kept.log
    assert kept.mark is None
    until(lambda: kept.mark, "it is archived in the end", PATIENCE)
    assert stream(client, generation.id) == before


def test_a_url_that_names_no_archive_ends_a_process_at_its_start(tmp_path: Path) -> None:
    environment = {"RESPOOL_ARCHIVE_URL": "ftp://secret/logs", "RESPOOL_PORT": "0", "ANTHROPIC_API_KEY": "simulated"}
    processes = [
        Child("api", python("api", "--alone"), environment, tmp_path).start(),
        Child("worker", python("worker", "--name", "worker"), environment, tmp_path).start(),
    ]
    for process in processes:
        assert process.wait(PATIENCE) == 1
        assert process.said("RESPOOL_ARCHIVE_URL cannot be used: its scheme is none of")
        assert not process.said("secret|Traceback")


def test_logs_of_a_cluster_go_to_a_folder_and_are_read_from_there(stack: Stack, tmp_path: Path) -> None:
    folder = tmp_path / "archive"
    with (
        EmbeddedCluster(tmp_path / "cluster", replicas=False) as cluster,
        Stack(
            upstream=stack.upstream_url, logs_url=cluster.url, archive_url=f"file://{folder}", archive_after=1
        ) as other,
    ):
        client = other.client()
        seen = [finished(client) for _ in range(3)]
        for generation, before in seen:
            record, log = keys.record(generation.id), keys.log(generation.id)
            server = cluster.primary_of(record)
            until(partial(server.command, "HGET", record, "archived"), "it is archived", PATIENCE)
            assert server.command("EXISTS", log) == 0
            assert stream(client, generation.id) == before
        assert len(list(folder.glob("gen_*"))) == 3
