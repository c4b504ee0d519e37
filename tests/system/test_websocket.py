"""Many generations over one connection, with real processes and `websockets` as anybody has it, on both ways to the socket."""

import json
import random
import socket
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from tests.harness.client import Client, Frame, check_log, text_of
from tests.harness.dashboard import dashboard
from tests.harness.stack import Stack

QUICK = "sim-1?ttft_ms=0&tps=400&tokens=60"
SLOW = "sim-1?ttft_ms=0&tps=30&tokens=3000"
NOBODYS = "gen_" + "0" * 26
WAYS = {"direct": 0, "plain": 1}


@pytest.fixture(params=WAYS)
def client(request: pytest.FixtureRequest, shared: Stack) -> Client:
    """Of the API that writes this way."""
    return shared.client(WAYS[request.param])


def logged(events: list[Frame]) -> list[Frame]:
    return [each for each in events if each.id is not None]


def test_each_generation_is_told_on_one_connection_as_on_a_stream_of_its_own(client: Client) -> None:
    ids = [client.submit(QUICK).id for _ in range(12)]
    with dashboard(client.url) as ours, dashboard(client.url) as others:
        for id_ in ids:
            ours.follow(id_)
            others.follow(id_)
        ours.until_stopped(*ids)
        others.until_stopped(*ids)
    for id_ in ids:
        whole = client.events(id_)
        check_log(whole)
        assert logged(ours.seen[id_]) == logged(others.seen[id_]) == whole
        assert ours.stopped[id_] == {"reason": "ended", "after": whole[-1].id}


def test_cut_anywhere_and_resumed_it_is_the_whole(client: Client) -> None:
    rng = random.Random(14)
    ids = [client.submit("sim-1?ttft_ms=0&tps=150&tokens=120").id for _ in range(5)]
    seen: dict[str, list[Frame]] = {id_: [] for id_ in ids}
    ended: set[str] = set()
    rounds = 0
    while len(ended) < len(ids):
        rounds += 1
        with dashboard(client.url) as ours:
            for id_ in set(ids) - ended:
                ours.follow(id_, seen[id_][-1].id if seen[id_] else None)
            for _ in range(rng.randrange(1, 120)):
                if set(ids) - ended <= set(ours.stopped):
                    break
                ours.hear()
            if rng.random() < 0.7:  # without a word
                ours.socket.socket.shutdown(socket.SHUT_RDWR)
        for id_, found in ours.seen.items():
            seen[id_] += logged(found)
        ended |= set(ours.stopped)
    assert rounds > 3
    for id_ in ids:
        assert seen[id_] == client.events(id_)


def test_a_cancel_ends_it_for_all_and_of_what_has_ended_it_is_refused(client: Client) -> None:
    id_ = client.submit(SLOW).id
    with dashboard(client.url) as ours:
        ours.follow(id_)
        ours.until_seen(id_, 5)
        ours.ask("cancel", id_)
        ours.until_stopped(id_)
        while not ours.records:
            ours.hear()
        assert ours.records[0]["id"] == id_
        assert ours.seen[id_][-1].data["status"] == "cancelled"
        assert ours.stopped[id_]["reason"] == "ended"
        over = client.submit(QUICK).id
        ours.follow(over)
        ours.until_stopped(over)
        ours.ask("cancel", over)
        assert (ours.error()["code"], ours.errors[-1]["generation"]) == ("already_ended", over)


def test_who_unfollows_is_told_where_it_was_and_goes_on_there(client: Client) -> None:
    id_ = client.submit(SLOW).id
    with dashboard(client.url) as ours:
        ours.follow(id_)
        ours.until_seen(id_, 6)
        ours.follow(id_)
        assert ours.error()["code"] == "already_followed"
        ours.ask("unfollow", id_)
        ours.until_stopped(id_)
        had = ours.seen[id_]
        assert ours.stopped.pop(id_) == {"reason": "unfollowed", "after": had[-1].id}
        ours.follow(id_, had[-1].id)
        ours.until_seen(id_, len(had) + 5)
        ours.ask("cancel", id_)
        ours.until_stopped(id_)
        assert logged(ours.seen[id_]) == client.events(id_)
        ours.stopped.clear()
        ours.follow(id_, had[-1].id, chunk="sentence")
        ours.ask("unfollow", NOBODYS)
        ours.until_stopped(id_, NOBODYS)
        assert ours.stopped[NOBODYS] == {"reason": "unfollowed", "after": None}


def test_a_snapshot_stands_for_all_so_far_and_a_cursor_that_names_nothing_is_told(client: Client) -> None:
    id_ = client.submit(QUICK).id
    whole = client.events(id_)
    with dashboard(client.url) as ours:
        ours.follow(id_, **{"from": "snapshot"})
        ours.until_stopped(id_)
        snapshot, end = ours.seen.pop(id_)
        assert (snapshot.type, end) == ("snapshot", whole[-1])
        assert (snapshot.id, snapshot.data["text"]) == (whole[-2].id, text_of(whole))
        ours.stopped.clear()
        ours.follow(id_, "7-7", chunk="sentence")
        ours.until_stopped(id_)
        assert ours.seen[id_][0].data == {"type": "gap", "reason": "unknown_cursor"}
        assert text_of(ours.seen.pop(id_)) == text_of(whole)
        ours.stopped.clear()
        ours.follow(id_, str(whole[-1].id))
        ours.until_stopped(id_)
        assert id_ not in ours.seen


def test_what_is_wrong_is_answered_and_disturbs_nothing_else(client: Client) -> None:
    id_ = client.submit(SLOW).id
    with dashboard(client.url) as ours:
        ours.follow(id_)
        wrong: dict[str, str] = {
            "nonsense": "malformed_json", "[]": "invalid_request", '{"type":"follow"}': "invalid_request",
            '{"type":"sing","generation":"x"}': "invalid_request",
            '{"type":"follow","type":"cancel","generation":"x"}': "duplicate_key",
            json.dumps({"type": "follow", "generation": id_ + "x"}): "invalid_request",
            json.dumps({"type": "follow", "generation": NOBODYS, "after": 7}): "invalid_request",
            json.dumps({"type": "follow", "generation": NOBODYS}): "not_found",
            json.dumps({"type": "cancel", "generation": NOBODYS}): "not_found",
        }  # fmt: skip
        for text, code in wrong.items():
            ours.socket.send(text)
            assert ours.error()["code"] == code, text
        had = len(ours.seen[id_])
        ours.until_seen(id_, had + 3)
        ours.ask("cancel", id_)
        ours.until_stopped(id_)
    assert logged(ours.seen[id_]) == client.events(id_)


@pytest.mark.parametrize(("said", "code"), [(b"{}", 1003), ("x" * 9000, 1009), (["{"] * 70, 1009)])
def test_what_is_no_message_ends_the_connection_with_a_code(client: Client, said: Any, code: int) -> None:
    with dashboard(client.url) as ours:
        ours.socket.send(said)
        with pytest.raises(ConnectionClosed) as closed:
            ours.hear()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == code


def refused(url: str, *, offers: Any = ("respool.v1",), **options: Any) -> tuple[int, str]:
    with pytest.raises(InvalidStatus) as refusal, connect(url, subprotocols=offers, **options):
        pass
    return refusal.value.response.status_code, str(json.loads(refusal.value.response.body)["code"])


def test_pages_of_other_origins_open_none_and_own_ones_do(client: Client) -> None:
    url = client.url.replace("http", "ws", 1) + "/v1/ws"
    assert refused(url, origin="https://evil.example") == (403, "cross_site")
    assert refused(url, origin="null") == (403, "cross_site")
    assert refused(url, additional_headers={"Sec-Fetch-Site": "cross-site"}) == (403, "cross_site")
    with dashboard(client.url, origin=client.url) as ours:
        ours.follow(NOBODYS)
        assert ours.error()["code"] == "not_found"


def test_what_opens_no_websocket_of_ours_is_told_so(client: Client) -> None:
    url = client.url.replace("http", "ws", 1) + "/v1/ws"
    assert refused(url, offers=None) == (426, "upgrade_required")
    assert refused(url, offers=["respool.v2"]) == (426, "upgrade_required")
    assert refused(url + "s") == (404, "not_found")
    answer = client.http.get("/v1/ws")
    assert (answer.status_code, answer.json()["code"]) == (426, "upgrade_required")
    assert (answer.headers["upgrade"], answer.headers["sec-websocket-version"]) == ("websocket", "13")
    old = {
        "connection": "upgrade",
        "upgrade": "websocket",
        "sec-websocket-version": "8",
        "sec-websocket-key": "A" * 22 + "==",
    }
    assert client.http.get("/v1/ws", headers=old).status_code == 426
