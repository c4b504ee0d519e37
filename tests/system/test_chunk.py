"""`?chunk=` through HTTP: text in words and sentences, of which nothing is lost and nothing comes twice."""

import pytest

from tests.api.dialects.test_chunks import ids, joined
from tests.harness.client import Client, frames, text_of

MODEL = "sim-1?tps=400&tokens=150&ttft_ms=0&seed=5&thinking=1&tool=lookup"
QUICK = MODEL.replace("tps=400", "tps=0")
SIZES = ("token", "word", "sentence")


def body(client: Client, id_: str, cursor: str = "", **query: str) -> bytes:
    headers = {"accept": "text/event-stream"} | ({"last-event-id": cursor} if cursor else {})
    answer = client.http.get(f"/v1/generations/{id_}/events", headers=headers, params=query)
    assert answer.status_code == 200, answer.text
    return answer.content.replace(b": ka\n", b"")


def logged(got: bytes) -> bytes:
    """Without what is about the connection."""
    return b"".join(block + b"\n\n" for block in got.split(b"\n\n") if b"\nid: " in block)


@pytest.mark.parametrize("size", SIZES[1:])
def test_text_comes_in_chunks_live_and_afterwards(client: Client, other_client: Client, size: str) -> None:
    generation = client.submit(MODEL)
    live = logged(body(client, generation.id, chunk=size))
    whole = logged(body(client, generation.id))
    assert joined(live) == joined(whole)
    later = logged(body(other_client, generation.id, chunk=size))
    assert joined(later) == joined(whole)
    assert len(ids(later)) < len(ids(whole))
    assert ids(live) == sorted(set(ids(live)))
    assert text_of(list(frames(iter([later])))) == client.record(generation.id)["text"]


def test_who_leaves_anywhere_comes_back_in_any_size(client: Client) -> None:
    generation = client.submit(QUICK)
    client.events(generation.id)
    whole = logged(body(client, generation.id))
    at = 0
    for turn, cursor in enumerate(ids(whole)[:-1:9]):
        size = SIZES[turn % 3]
        rest = logged(body(client, generation.id, f"{cursor.attempt}-{cursor.seq}", chunk=size))
        token = logged(body(client, generation.id, f"{cursor.attempt}-{cursor.seq}"))
        assert joined(rest) == joined(token)
        at += 1
    assert at > 10


def test_a_running_one_is_left_again_and_again_and_nothing_is_missed(client: Client, other_client: Client) -> None:
    generation = client.submit(MODEL.replace("tps=400", "tps=100"))
    got, cursor, turn = b"", None, 0
    while True:
        turn += 1
        reader = (client, other_client)[turn % 2]
        headers = {"accept": "text/event-stream"} | ({"last-event-id": cursor} if cursor else {})
        url = f"/v1/generations/{generation.id}/events"
        seen = b""
        with reader.http.stream("GET", url, headers=headers, params={"chunk": SIZES[turn % 3]}) as response:
            for piece in response.iter_bytes():
                seen += piece
                if seen.count(b"\nid: ") > 7:
                    break
        got += logged(seen[: seen.rfind(b"\n\n") + 2].replace(b": ka\n", b""))
        last = ids(got.replace(b"retry: 500\n", b""))[-1]
        cursor = f"{last.attempt}-{last.seq}"
        if b'"type":"stream_end"' in got:
            break
    assert turn > 3
    assert joined(got) == joined(logged(body(client, generation.id)))


def test_the_text_view_and_the_chat_form_have_it_too(client: Client) -> None:
    generation = client.submit(QUICK)
    client.events(generation.id)
    text = body(client, generation.id, view="text", chunk="sentence")
    assert text.count(b"\nid: ") < body(client, generation.id, view="text").count(b"\nid: ")
    answer = client.http.post(
        "/v1/chat/stream?chunk=sentence", json={"model": QUICK, "messages": [{"role": "user", "content": "Hi"}]}
    )
    assert answer.content.endswith(b"data: [DONE]\n\n")
    record = client.record(answer.headers["generation-id"])
    assert answer.content.count(b'"type":"text"') < record["chunks"]


def test_an_unknown_size_is_refused(client: Client) -> None:
    generation = client.submit(QUICK)
    answer = client.http.get(f"/v1/generations/{generation.id}/events?chunk=line")
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["parameter"] == "chunk"
