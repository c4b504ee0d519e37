"""How a WebSocket ends, with real processes: who may open one, what closes when that has ended, a process that goes, a client
that reads slowly or not at all."""

import signal
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.api.keys.keyed import PEPPER, Desk
from tests.broker.store.scripted import Server
from tests.harness.client import Frame, check_log
from tests.harness.dashboard import Dashboard, dashboard
from tests.harness.stack import Stack, until

SLOW = "sim-1?ttft_ms=0&tps=50&tokens=3000"
LONG = "sim-1?ttft_ms=0&tps=0&tokens=12000"
STALLED = 2.0
WAYS = {"direct": 0, "plain": 1}
SAID = [{"role": "user", "content": "Hi"}]


@pytest.fixture(scope="module")
def keyed() -> Iterator[tuple[Stack, Server]]:
    settings = {"api_key_pepper": PEPPER, "require_keys": 1, "log_level": "DEBUG"}
    with Stack(apis=2, **settings) as stack, Server(stack.server.url) as server:  # type: ignore[arg-type]
        yield stack, server


def closed(ours: Dashboard) -> tuple[int, str]:
    """How the server closes it; what comes before that is heard."""
    with pytest.raises(ConnectionClosed) as closing:
        ours.hear_all()
    assert closing.value.rcvd is not None
    return closing.value.rcvd.code, closing.value.rcvd.reason


def refused(url: str, **options: Any) -> int:
    with pytest.raises(InvalidStatus) as refusal, dashboard(url, **options):
        pass
    return refusal.value.response.status_code


@pytest.mark.parametrize("way", WAYS)
def test_a_key_opens_one_in_a_header_or_a_subprotocol_and_its_end_closes_all_that_it_opened(
    keyed: tuple[Stack, Server], way: str
) -> None:
    stack, server = keyed
    url, desk = stack.urls[WAYS[way]], Desk(server)
    key = desk.make("me")
    header = {"authorization": f"Bearer {key.text}"}
    answer = httpx2.post(f"{url}/v1/generations", json={"model": SLOW, "messages": SAID}, headers=header)
    id_ = answer.json()["id"]
    assert refused(url) == 401
    assert refused(url, offers=["respool.bearer.rsp_wrong"]) == 401
    assert refused(url, offers=[f"respool.bearer.{key.text}"], additional_headers=header) == 401
    with (
        dashboard(url, additional_headers=header) as first,
        dashboard(url, offers=[f"respool.bearer.{key.text}"]) as second,
        dashboard(url, additional_headers={"x-api-key": desk.make("they").text}) as theirs,
    ):
        theirs.follow(id_)
        assert theirs.error()["code"] == "not_found"
        theirs.ask("cancel", id_)
        assert theirs.error()["code"] == "not_found"
        first.follow(id_)
        first.until_seen(id_, 3)
        server.do(desk.issuer.revoke(key.record.id))
        assert closed(first) == (1008, "revoked")
        assert first.seen[id_][-1].data == {"type": "closed", "reason": "revoked"}
        assert first.stopped[id_] == {"reason": "cut", "after": first.seen[id_][-2].id}
        assert closed(second) == (1008, "revoked"), "one that follows nothing, too"
    assert refused(url, additional_headers=header) == 401
    assert not any(key.text in api.log for api in stack.apis)


@pytest.mark.parametrize("way", WAYS)
def test_a_view_link_follows_its_one_generation_as_it_may_be_shown(keyed: tuple[Stack, Server], way: str) -> None:
    stack, server = keyed
    url, key = stack.urls[WAYS[way]], Desk(server).make("me")
    with httpx2.Client(base_url=url, headers={"authorization": f"Bearer {key.text}"}) as http:
        ids = [http.post("/v1/generations", json={"model": SLOW, "messages": SAID}).json()["id"] for _ in range(2)]
        made = http.post(f"/v1/generations/{ids[0]}/view-links", json={"redact": True}).json()
        with (
            dashboard(url, query=f"?token={made['token']}") as ours,
            dashboard(url, offers=[f"respool.bearer.{made['token']}"]) as page,
        ):
            for id_ in ids:
                ours.follow(id_)
            page.follow(ids[0])
            assert (ours.error()["code"], ours.errors[-1]["generation"]) == ("not_found", ids[1])
            ours.ask("cancel", ids[0])
            assert ours.error()["code"] == "forbidden"
            ours.until_seen(ids[0], 6)
            page.until_seen(ids[0], 6)
            assert "message" not in [each.type for each in ours.seen[ids[0]]], "it is withheld"
            assert http.delete(f"/v1/generations/{ids[0]}/view-links").status_code == 204
            assert closed(ours) == closed(page) == (1008, "revoked")
    assert refused(url, query=f"?token={made['token']}") == 401
    assert not any(made["token"] in api.log for api in stack.apis)


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with Stack(apis=2, stalled_viewer=STALLED, replay_cache_bytes=1 << 20) as stack:
        yield stack


def small_socket(url: str) -> socket.socket:
    """One whose kernel takes little for it."""
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
    host, port = url.removeprefix("http://").split(":")
    made.connect((host, int(port)))
    return made


@pytest.mark.parametrize("way", WAYS)
def test_who_reads_slowly_gets_all_from_the_log_and_who_reads_nothing_is_cut_off(stack: Stack, way: str) -> None:
    client = stack.client(WAYS[way])
    ids = [client.submit(LONG, max_tokens=50_000).id for _ in range(2)]
    with dashboard(client.url, sock=small_socket(client.url), max_queue=1) as stuck:
        stuck.follow(ids[0])
        stuck.hear()
        with dashboard(client.url, sock=small_socket(client.url), max_queue=2) as slow:
            for id_ in ids:
                slow.follow(id_)
            for _ in range(200):  # it takes a little all the time, much less than there is
                slow.hear()
                time.sleep(0.005)
            slow.until_stopped(*ids)
        for id_ in ids:
            whole = client.events(id_)
            check_log(whole)
            assert [each for each in slow.seen[id_] if each.id] == whole
        with pytest.raises(ConnectionClosed):
            until(lambda: stuck.socket.ping() and False, "it is cut off", 4 * STALLED + 10)


@pytest.mark.parametrize("way", WAYS)
def test_a_process_that_goes_says_where_to_go_on_and_never_that_all_is_over(
    start_stack: Callable[..., Stack], way: str
) -> None:
    stack = start_stack(apis=2)
    going, staying = WAYS[way], 1 - WAYS[way]
    client = stack.client(staying)
    ids = [client.submit("sim-1?ttft_ms=0&tps=40&tokens=120").id for _ in range(3)]
    seen: dict[str, list[Frame]] = {}
    with dashboard(stack.urls[going]) as ours:
        for id_ in ids:
            ours.follow(id_)
        for id_ in ids:
            ours.until_seen(id_, 5)
        stack.apis[going].signal(signal.SIGTERM)
        assert closed(ours) == (1012, "drain")
        for id_ in ids:
            *had, drain = ours.seen[id_]
            assert drain.data == {"type": "drain"}
            seen[id_] = [each for each in had if each.id]
            assert ours.stopped[id_] == {"reason": "cut", "after": seen[id_][-1].id}
    with dashboard(stack.urls[staying]) as other:
        for id_ in ids:
            other.follow(id_, seen[id_][-1].id)
        other.until_stopped(*ids)
    for id_ in ids:
        assert seen[id_] + other.seen[id_] == client.events(id_)
