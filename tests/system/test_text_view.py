"""The text view through HTTP: what its reader has appended is the record's text, however often it was away."""

import pytest

from broker.local.embedded import EmbeddedServer
from tests.api.dialects.test_text import Reader, lines
from tests.harness.client import Client, Generation

MODEL = "sim-1?tps=0&tokens=120&ttft_ms=0&seed=5&thinking=1"


def body(client: Client, id_: str, cursor: str = "", **query: str) -> bytes:
    headers = {"accept": "text/event-stream"} | ({"last-event-id": cursor} if cursor else {})
    answer = client.http.get(f"/v1/generations/{id_}/events", headers=headers, params={"view": "text", **query})
    assert answer.status_code == 200, answer.text
    return answer.content


def read(client: Client, id_: str, cursor: str = "", **query: str) -> Reader:
    reader = Reader()
    reader.read(body(client, id_, cursor, **query))
    return reader


@pytest.fixture
def ended(client: Client) -> Generation:
    generation = client.submit(MODEL)
    client.events(generation.id)
    return generation


def test_what_is_appended_is_the_text_live_and_afterwards(client: Client) -> None:
    generation = client.submit(MODEL.replace("tps=0", "tps=400"))
    live = read(client, generation.id)
    record = client.record(generation.id)
    assert live.text == lines(record["text"]) != ""
    assert live.named[-1][0] == "end"
    end = live.named[-1][1]
    assert (end["done"], end["status"], end["usage"]) == (True, "completed", record["usage"])
    assert read(client, generation.id).text == live.text
    assert live.cursor == record["last_event_id"]


def test_who_resumes_behind_any_entry_gets_the_rest_to_the_byte(client: Client, ended: Generation) -> None:
    whole = body(client, ended.id)
    ids = [str(frame.id) for frame in client.events(ended.id) if frame.id is not None]
    shown = [line.removeprefix(b"id: ").decode() for line in whole.split(b"\n") if line.startswith(b"id: ")]
    assert len(shown) < len(ids)
    for at, cursor in [*enumerate(ids)][:-1:7]:
        behind = [id_ for id_ in ids[at + 1 :] if id_ in shown]
        events = whole.replace(b"retry: 500\n", b"").removeprefix(b": ka\n").split(b"\n\n")[:-1]
        rest = b"\n\n".join(events[len(shown) - len(behind) :]) + b"\n\n"
        assert body(client, ended.id, cursor).replace(b"retry: 500\n", b"") == b": ka\n" + rest


def test_what_an_attempt_takes_back_is_taken_back(client: Client) -> None:
    generation = client.submit(MODEL.replace("thinking=1", "fail=cut&at=60&times=1"), on_interrupt="restart")
    reader = read(client, generation.id)
    assert [name for name, _ in reader.named if name != "queued"] == ["discard", "end"]
    assert reader.text == lines(client.record(generation.id)["text"])


def test_a_snapshot_is_one_event_and_goes_on(client: Client, ended: Generation) -> None:
    reader = read(client, ended.id, **{"from": "snapshot"})
    assert reader.text == lines(client.record(ended.id)["text"])
    assert body(client, ended.id, **{"from": "snapshot"}).count(b"\n\n") == 2


def test_a_cursor_that_the_log_does_not_have_is_a_gap_and_a_replay(client: Client, ended: Generation) -> None:
    reader = read(client, ended.id, "1-1")
    assert reader.named[0] == ("gap", {"type": "gap", "reason": "unknown_cursor"})
    assert reader.text == lines(client.record(ended.id)["text"])


def test_behind_the_end_there_is_nothing_and_one_view_resumes_the_other(client: Client, ended: Generation) -> None:
    last = client.record(ended.id)["last_event_id"]
    path = f"/v1/generations/{ended.id}/events?view=text"
    assert client.http.get(path, headers={"last-event-id": last}).status_code == 204
    half = client.events(ended.id)[40]
    native = client.events(ended.id, half.id, view="native")
    text = "".join(frame.data["text"] for frame in native if frame.type == "text")
    assert read(client, ended.id, str(half.id)).text == lines(text)


def test_viewers_of_both_views_follow_one_generation(client: Client, embedded: EmbeddedServer) -> None:
    generation = client.submit(MODEL.replace("tps=0", "tps=400"))
    with client.stream(generation.id) as native:
        text = read(client, generation.id).text
        shown = [frame.data["text"] for frame in native if frame.type == "text"]
    assert lines("".join(shown)) == text
