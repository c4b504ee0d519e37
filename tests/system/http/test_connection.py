"""What one connection carries, byte by byte, however the API writes its streams."""

from collections.abc import Iterator

import pytest

from tests.harness.client import Client, check_log
from tests.harness.stack import until
from tests.system.http.conftest import Server
from tests.system.http.wire import Answer, Cut

EVENT_STREAM = "text/event-stream"
SHORT = "sim-1?tps=200&tokens=40&ttft_ms=20&seed=5"
LONG = "sim-1?tps=50&tokens=5000&ttft_ms=0&seed=6"
BODY = {"model": SHORT, "messages": [{"role": "user", "content": "Tell me something."}]}


def check_stream(answer: Answer) -> None:
    """Fails unless it is a whole event stream, in chunks that each end with a whole event."""
    assert answer.status == 200
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert "connection" not in answer.headers
    assert answer.chunks[0].startswith(b": ka\n")
    for chunk in answer.chunks:
        assert chunk.endswith((b"\n\n", b": ka\n"))
    check_log(answer.frames)


def await_token(chunks: Iterator[bytes]) -> None:
    until(lambda: b'"type":"text"' in next(chunks), "a token has come")


def test_one_connection_serves_everything_in_turn(server: Server, client: Client) -> None:
    generation = client.submit(SHORT)
    events = f"/v1/generations/{generation.id}/events"
    with server.address.connect() as connection:
        assert connection.get("/healthz").body == b'{"status":"ok"}'
        live = connection.get(events)
        check_stream(live)
        record = connection.get(f"/v1/generations/{generation.id}")
        assert record.json["state"] == "completed"
        assert connection.get(events, last_event_id=str(live.frames[20].id)).frames == live.frames[21:]
        over = connection.get(events, last_event_id=record.json["last_event_id"])
        assert (over.status, over.headers.keys() & {"content-length", "transfer-encoding"}) == (204, set())
        unknown = connection.get("/v1/generations/gen_00000000000000000000000000/events")
        assert (unknown.status, unknown.json["code"]) == (404, "not_found")
        again = connection.get(events)
        check_stream(again)
        assert again.frames == [frame for frame in live.frames if frame.id]
        server.await_connections(1)


@pytest.mark.parametrize("first", ["events", "record"])
def test_pipelined_requests_are_answered_in_their_order(server: Server, client: Client, first: str) -> None:
    generation = client.submit(SHORT)
    path = f"/v1/generations/{generation.id}"
    with server.address.connect() as connection:
        for asked in (first, "events", "record"):
            connection.ask(f"{path}/events" if asked == "events" else path)
        answers = [connection.answer() for _ in range(3)]
        assert connection.get("/healthz").status == 200
    check_stream(answers[1])
    if first == "events":
        check_stream(answers[0])
    else:
        assert answers[0].json["id"] == generation.id
    assert answers[2].json["state"] == "completed", "asked for behind the stream, it tells of the time behind it"


def test_a_head_that_comes_in_two_pieces_while_a_stream_begins_is_one_head(server: Server, client: Client) -> None:
    """The stream takes the connection over between the two."""
    generation = client.submit(SHORT)
    events = f"/v1/generations/{generation.id}/events"
    with server.address.connect() as connection:
        first = f"GET {events} HTTP/1.1\r\nHost: localhost\r\n\r\n"
        connection.socket.sendall(f"{first}GET {events} HTTP/1.1\r\nHost: local".encode())
        assert connection.head().status == 200
        chunks = connection.chunks()
        next(chunks)
        connection.socket.sendall(b"host\r\nAccept: text/event-stream\r\n\r\n")
        assert b"stream_end" in b"".join(chunks)
        check_stream(connection.answer())


def test_a_client_of_http_1_0_gets_the_events_and_nothing_between_them(server: Server, ended: str) -> None:
    path = f"/v1/generations/{ended}"
    whole = server.address.get(f"{path}/events")
    with server.address.connect() as connection:
        connection.ask(f"{path}/events", version="1.0")
        answer = connection.answer()
        assert connection.is_over()
    assert answer.headers.keys() & {"transfer-encoding", "content-length"} == set()
    assert answer.headers["connection"] == "close"
    assert answer.body == whole.body
    with server.address.connect() as connection:
        connection.ask(path, version="1.0", connection="keep-alive")
        assert connection.answer().body == server.address.get(path).body
        assert connection.is_over()
    with server.address.connect() as connection:
        connection.ask(f"{path}/events", version="1.0", last_event_id=str(whole.frames[-1].id))
        assert connection.answer().status == 204
        assert connection.is_over()


def test_a_live_stream_reaches_a_client_of_http_1_0_as_it_is_written(server: Server, client: Client) -> None:
    generation = client.submit(SHORT)
    with server.address.connect() as connection:
        connection.ask("/v1/chat/stream", "POST", BODY, version="1.0")
        assert connection.answer().body.endswith(b"\n\ndata: [DONE]\n\n")
    with server.address.connect() as connection:
        connection.ask(f"/v1/generations/{generation.id}/events", version="1.0")
        check_log(connection.answer().frames)


def test_a_client_that_asks_for_it_is_left_behind_the_stream(server: Server, ended: str) -> None:
    path = f"/v1/generations/{ended}/events"
    with server.address.connect() as connection:
        connection.ask(path, connection="close")
        answer = connection.answer()
        assert connection.is_over()
    assert answer.headers["connection"] == "close"
    assert answer.body == server.address.get(path).body
    server.await_connections(0)


def test_who_joins_a_watched_generation_is_answered_like_its_first_viewer(server: Server, client: Client) -> None:
    generation = client.submit(SHORT)
    path = f"/v1/generations/{generation.id}"
    with server.address.connect() as first, server.address.connect() as second, server.address.connect() as third:
        first.ask(f"{path}/events")
        head, chunks = first.head(), first.chunks()
        await_token(chunks)
        second.ask(f"{path}/events")
        second.ask(path)
        third.ask(f"{path}/events", connection="close")
        joined, record, alone = second.answer(), second.answer(), third.answer()
        assert second.get("/healthz").status == 200
        assert third.is_over()
        b"".join(chunks)
        assert first.get("/healthz").status == 200
    names = head.headers.keys() - {"date"}
    assert {name: joined.headers[name] for name in names} == {name: head.headers[name] for name in names}
    assert joined.headers.keys() == head.headers.keys()
    assert alone.headers["connection"] == "close"
    for answer in (joined, alone):
        assert answer.chunks[0] == b": ka\n"
        check_log(answer.frames)
    assert joined.frames == alone.frames == server.address.get(f"{path}/events").frames
    assert record.json["state"] == "completed", "asked for behind the stream, it tells of the time behind it"


def test_a_viewer_of_a_watched_generation_leaves_nothing_behind(server: Server, client: Client) -> None:
    server.await_connections(0)
    generation = client.submit(LONG)
    with server.address.connect() as first:
        first.ask(f"/v1/generations/{generation.id}/events")
        first.head()
        chunks = first.chunks()
        await_token(chunks)
        for waiting in (0, 2):
            with server.address.connect() as viewer:
                viewer.ask(f"/v1/generations/{generation.id}/events")
                viewer.head()
                for _ in range(waiting):
                    viewer.ask("/healthz")
                next(viewer.chunks())
            server.await_connections(1)
    server.await_connections(0)
    client.cancel(generation.id)


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "DELETE"])
def test_a_refused_method_does_not_disturb_what_follows(server: Server, ended: str, method: str) -> None:
    path = f"/v1/generations/{ended}/events"
    with server.address.connect() as connection:
        connection.ask(path, method)
        refused = connection.answer(bodyless=method == "HEAD")
        assert (refused.status, refused.headers["allow"]) == (405, "GET")
        check_stream(connection.get(path))


def test_a_submit_and_its_stream_share_a_connection_with_what_follows(server: Server) -> None:
    with server.address.connect() as connection:
        connection.ask("/v1/generations", "POST", BODY, accept=EVENT_STREAM)
        submitted = connection.answer()
        check_stream(submitted)
        id_ = submitted.headers["generation-id"]
        assert submitted.headers["location"] == f"/v1/generations/{id_}"
        connection.ask("/v1/chat/stream", "POST", BODY, expect="100-continue")
        assert connection.head().status == 100
        chat = connection.answer()
        check_stream(chat)
        assert chat.chunks[-1].endswith(b"data: [DONE]\n\n")
        assert chat.headers["generation-id"] != id_
        connection.ask("/v1/generations", "POST", BODY)
        assert connection.answer().status == 202
        assert connection.get(f"/v1/generations/{id_}").json["state"] == "completed"


def test_a_viewer_that_leaves_in_the_middle_leaves_nothing_behind(server: Server, client: Client) -> None:
    server.await_connections(0)
    generation = client.submit(LONG)
    viewers = [server.address.connect() for _ in range(20)]
    for viewer in viewers:
        viewer.ask(f"/v1/generations/{generation.id}/events")
    for viewer in viewers:
        viewer.head()
        chunks = viewer.chunks()
        await_token(chunks)
    server.await_connections(20)
    for viewer in viewers:
        viewer.socket.close()
    server.await_connections(0)
    client.cancel(generation.id)


def test_a_viewer_that_leaves_with_requests_waiting_leaves_nothing_behind(server: Server, client: Client) -> None:
    server.await_connections(0)
    generation = client.submit(LONG)
    with server.address.connect() as viewer:
        viewer.ask(f"/v1/generations/{generation.id}/events")
        viewer.head()
        viewer.ask("/healthz")
        viewer.ask("/healthz")
        next(viewer.chunks())
    server.await_connections(0)
    client.cancel(generation.id)
    assert "completing response" not in server.api.log, "it is the client's doing, no fault of the application's"


def test_a_viewer_that_never_reads_is_dropped(server: Server, large: str) -> None:
    server.await_connections(0)
    with server.address.connect(receive_buffer=4096) as viewer:
        viewer.ask(f"/v1/generations/{large}/events")
        server.await_connections(1)
        server.await_connections(0)
        viewer.head()
        with pytest.raises(Cut):
            list(viewer.chunks())
    assert "Traceback" not in server.api.log
