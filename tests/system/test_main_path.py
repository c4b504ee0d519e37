"""The main job, from end to end: submit, stream, resume, watch together, cancel."""

from pathlib import Path

import redis

from broker import keys
from broker.local.embedded import EmbeddedServer
from tests.harness.client import Client, check_log, text_of
from tests.harness.stack import Stack
from tests.system.main_path import main_path


def test_a_generation_streams_from_beginning_to_end(client: Client) -> None:
    generation = client.submit("sim-1?tps=200&tokens=40&ttft_ms=20")
    events = client.events(generation.id)
    check_log(events)
    assert events[-1].type == "stream_end"
    assert events[-1].data["status"] == "completed"
    record = client.record(generation.id)
    assert record["state"] == "completed"
    assert record["text"] == text_of(events) != ""


def test_every_cut_resumes_exactly(client: Client) -> None:
    generation = client.submit("sim-1?tps=0&tokens=60&ttft_ms=0")
    whole = [frame for frame in client.events(generation.id) if frame.id]
    for index, frame in enumerate(whole[:-1]):
        assert client.events(generation.id, frame.id) == whole[index + 1 :]


def test_the_main_path_of_one_server(shared: Stack) -> None:
    main_path(shared)


def test_two_apis_show_the_same_bytes(client: Client, other_client: Client) -> None:
    generation = client.submit("sim-1?tps=100&tokens=30&ttft_ms=20")
    ours = [frame for frame in client.events(generation.id) if frame.id]
    assert ours == [frame for frame in other_client.events(generation.id) if frame.id]


def test_a_cancel_closes_the_upstream_and_keeps_the_partial(client: Client, shared: Stack) -> None:
    generation = client.submit("sim-1?tps=20&tokens=2000&ttft_ms=20")
    with client.stream(generation.id) as events:
        for frame in events:
            if frame.type == "text":
                assert client.cancel(generation.id).status_code in (200, 202)
                break
        rest = list(events)
    assert rest[-1].data["status"] == "cancelled"
    (asked,) = shared.asked(generation.user_id)
    assert asked["closed_by"] == "client"
    assert client.record(generation.id)["text"]
    assert client.cancel(generation.id).status_code == 200


def test_the_two_roles_of_redis_may_be_two_servers(tmp_path: Path) -> None:
    with EmbeddedServer(tmp_path / "logs") as logs, Stack(logs_url=logs.url) as stack:
        client = stack.client()
        generation = client.submit("sim-1?tps=200&tokens=40&ttft_ms=20")
        events = client.events(generation.id)
        check_log(events)
        assert client.record(generation.id)["text"] == text_of(events) != ""
        cancelled = client.submit("sim-1?tps=20&tokens=2000&ttft_ms=20")
        with client.stream(cancelled.id) as stream:
            next(frame for frame in stream if frame.type == "text")
            client.cancel(cancelled.id)
            assert list(stream)[-1].data["status"] == "cancelled"
        here, there = (redis.Redis.from_url(server.url) for server in (stack.server, logs))
        with here, there:
            assert not here.keys("{gen_*")
            of_the_server = {keys.IDENTITY, keys.CELL, keys.PROBE, keys.SYNC, keys.RECOVERED, keys.RECOVERING}
            found = {key.decode() for key in there.scan_iter()} - of_the_server
            assert {key.startswith("{gen_") for key in found} == {True}
