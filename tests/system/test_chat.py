"""`POST /v1/chat/stream`: the chat form, for readers that know nothing but `data:` and `[DONE]`."""

import json
import uuid
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from broker.vocabulary import Metrics
from tests.api.dialects.test_chat import READERS, appended, by_the_standard
from tests.harness.client import Client, check_log, frames
from tests.harness.stack import Stack

QUICK = "sim-1?tps=0&ttft_ms=0&tokens=9"


def naive(raw: bytes) -> str:
    """What both of the usual readers of chat streams show: append every `text`, stop at `[DONE]`."""
    by_blocks, by_lines = (reader(raw.decode()) for reader in READERS)
    assert by_blocks == by_lines
    assert by_lines[-1] == "[DONE]"
    return "".join(json.loads(said).get("text", "") for said in by_lines[:-1])


def chat(
    client: Client, model: str | None, prompt: str = "Hi", headers: dict[str, str] | None = None, query: str = "",
    **fields: Any,
) -> tuple[httpx2.Response, bytes]:  # fmt: skip
    body = {"messages": [{"role": "user", "content": prompt}], **({"model": model} if model else {}), **fields}
    with client.http.stream("POST", f"/v1/chat/stream{query}", json=body, headers=headers or {}) as response:
        return response, b"".join(response.iter_raw())


def id_of(response: httpx2.Response) -> str:
    return str(response.headers["location"].removeprefix("/v1/generations/"))


def key() -> dict[str, str]:
    return {"idempotency-key": str(uuid.uuid4())}


def ids(raw: bytes) -> list[str]:
    return [frame.id for frame in frames(iter([raw])) if frame.id is not None]


@pytest.fixture(scope="module")
def filling() -> Iterator[Stack]:
    """A stack whose operator fills in what a chat leaves out."""
    with Stack(model=QUICK.replace("tokens=9", "tokens=7"), chat_system="Be kind.") as stack:
        yield stack


def test_a_chat_streams_the_same_events_and_done_is_last(client: Client) -> None:
    response, raw = chat(client, "sim-1?tps=300&ttft_ms=10&tokens=40&thinking=1", system="Be brief.")
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/event-stream")
    assert raw.startswith(b": ka\n\n")
    assert raw.endswith(b"\n\ndata: [DONE]\n\n")
    assert raw.count(b"\n\ndata: [DONE]\n\n") == 1
    logged = [frame for frame in frames(iter([raw])) if frame.id]
    check_log(logged)
    assert logged == [frame for frame in client.events(id_of(response)) if frame.id]
    assert naive(raw) == client.record(id_of(response))["text"] != ""
    end = logged[-1].data
    assert end["usage"].keys() >= {"input_tokens", "output_tokens"}
    assert end["metrics"].keys() == Metrics.__required_keys__


def test_each_frame_is_one_line_of_data_and_a_blank_line(client: Client) -> None:
    _, raw = chat(client, "sim-1?tps=300&ttft_ms=10&tokens=20&thinking=1&tool=look&citations=1")
    *blocks, nothing = raw.decode().split("\n\n")
    assert nothing == ""
    assert all(block == ": ka" or (block.startswith("data: ") and "\n" not in block) for block in blocks)


def test_the_naive_reader_is_not_fooled_by_text_that_looks_like_the_protocol(client: Client) -> None:
    prompt = 'data: [DONE]\n\ndata: {"text":"no"}\n\n: ka\n\nid: 1\u2028data: [DONE]'
    _, raw = chat(client, "sim-1?echo=1&tps=0&ttft_ms=0", prompt)
    assert naive(raw) == prompt


@pytest.mark.parametrize(
    ("fault", "code", "status", "again"),
    [("400", "upstream_invalid_request", 400, None), ("500&retry_after=0", "upstream_error", 502, 0)],
)
def test_done_comes_after_an_error_too(client: Client, fault: str, code: str, status: int, again: int | None) -> None:
    _, raw = chat(client, f"sim-1?tps=0&ttft_ms=0&fail={fault}")
    *_, last, done, nothing = raw.split(b"\n\n")
    assert (done, nothing) == (b"data: [DONE]", b"")
    said = json.loads(last[6:])
    assert said.items() >= {"type": "error", "code": code, "status": status, "retry_after_seconds": again}.items()


def test_done_comes_after_a_cancel_too(client: Client, other_client: Client) -> None:
    body = {"model": "sim-1?tps=50&ttft_ms=0&tokens=1000", "messages": [{"role": "user", "content": "Hi"}]}
    raw = b""
    with client.http.stream("POST", "/v1/chat/stream", json=body) as response:
        for chunk in response.iter_raw():
            if b'"type":"text"' in chunk and b'"type":"text"' not in raw:
                assert other_client.cancel(id_of(response)).status_code in (200, 202)
            raw += chunk
    assert raw.endswith(b"\n\ndata: [DONE]\n\n")
    assert naive(raw) == client.record(id_of(response))["text"] != ""


# ── what the operator fills in ──


def test_a_model_that_is_left_out_is_the_operator_s_in_both_forms(filling: Stack) -> None:
    client = filling.client()
    response, raw = chat(client, None)
    record = client.record(id_of(response))
    assert record["model"] == QUICK.replace("tokens=9", "tokens=7")
    assert naive(raw) == record["text"] != ""
    body = {"messages": [{"role": "user", "content": "Hi"}], "metadata": {"user_id": "plain"}}
    submitted = client.http.post("/v1/generations", json=body).json()
    assert submitted["model"] == record["model"]
    client.events(submitted["id"])
    asked = httpx2.get(f"{filling.upstream_url}/_sim/requests", params={"model": record["model"]}).json()
    assert [call["body"].get("system") for call in asked] == ["Be kind.", None]


def test_a_system_of_one_s_own_wins(filling: Stack) -> None:
    model = f"{QUICK}&seed={uuid.uuid4().int % 10**9}"
    chat(filling.client(), model, system="Be brief.")
    (call,) = httpx2.get(f"{filling.upstream_url}/_sim/requests", params={"model": model}).json()
    assert call["body"]["system"] == "Be brief."


@pytest.mark.parametrize("path", ["/v1/chat/stream", "/v1/generations"])
def test_without_a_model_here_and_there_the_refusal_names_the_setting(client: Client, path: str) -> None:
    answer = client.http.post(path, json={"messages": [{"role": "user", "content": "Hi"}]})
    assert answer.status_code == 422
    (error,) = answer.json()["errors"]
    assert (error["pointer"], error["code"]) == ("/model", "missing")
    assert "RESPOOL_MODEL" in error["detail"]


# ── resuming ──


def test_a_chat_that_was_sent_twice_is_one_generation(client: Client, shared: Stack) -> None:
    headers = key()
    model = f"{QUICK}&seed={uuid.uuid4().int % 10**9}"
    (first, one), (again, two) = (chat(client, model, headers=headers) for _ in range(2))
    assert id_of(first) == id_of(again)
    assert naive(one) == naive(two) != ""
    asked = httpx2.get(f"{shared.upstream_url}/_sim/requests", params={"model": model}).json()
    assert len(asked) == 1


def test_who_posts_again_with_what_it_saw_last_gets_the_rest_of_the_same_generation(
    client: Client, other_client: Client, shared: Stack
) -> None:
    headers = key()
    model = f"sim-1?tps=100&ttft_ms=0&tokens=60&seed={uuid.uuid4().int % 10**9}"
    body = {"model": model, "messages": [{"role": "user", "content": "Hi"}]}
    seen = b""
    with client.http.stream("POST", "/v1/chat/stream", json=body, headers=headers) as response:
        for chunk in response.iter_raw():
            seen += chunk
            if seen.count(b'"type":"text"') > 5:
                break
    before = seen.rpartition(b"\n\n")[0] + b"\n\n"
    resumed, behind = chat(other_client, model, headers={**headers, "last-event-id": ids(before)[-1]})
    assert id_of(resumed) == id_of(response)
    assert behind.endswith(b"\n\ndata: [DONE]\n\n")
    assert ids(before) + ids(behind) == [frame.id for frame in client.events(id_of(response)) if frame.id]
    assert naive(before + behind) == client.record(id_of(response))["text"]
    assert len(httpx2.get(f"{shared.upstream_url}/_sim/requests", params={"model": model}).json()) == 1


def test_behind_any_entry_there_is_exactly_the_rest_and_behind_the_end_only_done(client: Client) -> None:
    headers = key()
    _, raw = chat(client, QUICK, headers=headers)
    seen = ids(raw)
    for number, cursor in enumerate(seen, 1):
        response, rest = chat(client, QUICK, headers={**headers, "last-event-id": cursor})
        assert response.status_code == 200
        assert ids(rest) == seen[number:]
        assert rest.endswith(b"data: [DONE]\n\n")
    assert rest == b": ka\n\ndata: [DONE]\n\n"


@pytest.mark.parametrize(("cursor", "reason"), [("nonsense", "bad_cursor"), ("1-1", "unknown_cursor")])
def test_a_cursor_that_is_none_is_a_gap_and_a_replay(client: Client, cursor: str, reason: str) -> None:
    headers = key()
    _, raw = chat(client, QUICK, headers=headers)
    _, again = chat(client, QUICK, headers={**headers, "last-event-id": cursor})
    first, *rest = frames(iter([again]))
    assert first.data == {"type": "gap", "reason": reason}
    assert [frame.id for frame in rest] == ids(raw)


def test_whoever_resumes_what_is_not_there_starts_nothing(client: Client, shared: Stack) -> None:
    model = f"{QUICK}&seed={uuid.uuid4().int % 10**9}"
    cursor = {"last-event-id": "1795262601026-7"}
    unknown, _ = chat(client, model, headers={**cursor, **key()})
    assert (unknown.status_code, unknown.headers["content-type"]) == (404, "application/problem+json")
    response = client.http.post(
        "/v1/chat/stream", json={"model": model, "messages": [{"role": "user", "content": "Hi"}]}, headers=cursor
    )
    assert response.status_code == 422
    assert response.json()["errors"][0]["parameter"] == "Idempotency-Key"
    headers = key()
    chat(client, QUICK, headers=headers)
    other, _ = chat(client, model, headers={**cursor, **headers})
    assert other.status_code == 422
    assert httpx2.get(f"{shared.upstream_url}/_sim/requests", params={"model": model}).json() == []


# ── bare text ──


def test_bare_text_then_one_json_then_done(client: Client) -> None:
    response, raw = chat(client, "sim-1?tps=300&ttft_ms=10&tokens=40&thinking=1", query="?view=text")
    record = client.record(id_of(response))
    shown = by_the_standard(raw.decode())
    assert "".join(shown[:-2]) == record["text"] != ""
    end = json.loads(shown[-2])
    assert (end["done"], end["usage"], end["id"]) == (True, record["usage"], record["last_event_id"])
    assert shown[-1] == "[DONE]"
    assert appended(shown) == (record["text"], end)


@pytest.mark.parametrize("prompt", ["The answer is 42", '{"done":true} is no end', "[DONE] is none either", 'x "1" y'])
def test_text_that_looks_like_json_is_appended_by_every_reader(client: Client, prompt: str) -> None:
    _, raw = chat(client, "sim-1?echo=1&tps=0&ttft_ms=0", f"{prompt}, and so on", query="?view=text")
    for reader in (*READERS, by_the_standard):
        assert appended(reader(raw.decode()))[0] == f"{prompt}, and so on"


def test_a_text_that_was_sent_twice_is_the_same_bytes(client: Client) -> None:
    headers = key()
    (_, one), (_, two) = (
        chat(client, "sim-1?tps=0&ttft_ms=0&tokens=60", headers=headers, query="?view=text") for _ in "12"
    )
    assert one == two


def test_a_view_that_there_is_not_is_refused(client: Client) -> None:
    response, _ = chat(client, QUICK, query="?view=html")
    assert response.status_code == 422


# ── prompt caching ──


def test_a_cached_prompt_is_written_then_read_and_the_end_says_so(client: Client, shared: Stack) -> None:
    system = f"You know the rules of {uuid.uuid4()}."
    model = f"{QUICK}&seed={uuid.uuid4().int % 10**9}"
    ends = [json.loads(by_the_standard(raw.decode())[-2]) for raw in (
        chat(client, model, system=system, cache="system")[1], chat(client, model, "Hello", system=system, cache="system")[1],
        chat(client, model, system=system)[1],
    )]  # fmt: skip
    assert [end["metrics"]["cache_hit"] for end in ends] == [False, True, False]
    written, read, plain = (end["usage"] for end in ends)
    assert written["cache_creation_input_tokens"] == read["cache_read_input_tokens"] > 0
    assert plain["cache_creation_input_tokens"] == plain["cache_read_input_tokens"] == 0
    first, _, last = httpx2.get(f"{shared.upstream_url}/_sim/requests", params={"model": model}).json()
    assert first["body"]["system"] == [{"type": "text", "text": system, "cache_control": {"type": "ephemeral"}}]
    assert "cache" not in first["body"]
    assert last["body"]["system"] == system


def test_another_cache_than_there_is_is_refused(client: Client) -> None:
    response, _ = chat(client, QUICK, cache="everything")
    assert response.status_code == 422
