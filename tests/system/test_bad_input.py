"""Bad input over HTTP: every refusal is a problem document, names its code, and repeats nothing that was submitted."""

import json
import uuid
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from redis import Redis

from broker.ids import new_generation_id
from tests.harness.client import Client, Generation
from tests.harness.stack import Stack

CANARY = "canary-5d0c9a"
GOOD: dict[str, Any] = {"model": "sim-1?tps=0&ttft_ms=0&tokens=3", "messages": [{"role": "user", "content": "Hi"}]}
JSON = {"content-type": "application/json"}
SUBMITS = ("/v1/generations", "/v1/chat/stream")


def problem(response: httpx2.Response, status: int, code: str) -> dict[str, Any]:
    """Fails unless the response is that problem; its document."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["cache-control"] == "no-store"
    document: dict[str, Any] = response.json()
    assert document.keys() >= {"type", "title", "status", "code", "detail"}
    assert (document["status"], document["code"]) == (status, code)
    assert CANARY not in response.text
    assert "Traceback" not in response.text
    return document


# ── the body ──


@pytest.mark.parametrize("path", SUBMITS)
@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"", "malformed_json"),
        (b"{", "malformed_json"),
        (b'{"model": ' + CANARY.encode() + b"}", "malformed_json"),
        (b'{"max_tokens": NaN}', "malformed_json"),
        (b'{"max_tokens": -Infinity}', "malformed_json"),
        (b'{"model": "a", "model": "b"}', "duplicate_key"),
        (b'{"messages": [{"role": "user", "role": "user", "content": ""}]}', "duplicate_key"),
        (b'{"model": "\xff"}', "not_utf8"),
        (b'{"model": "\xed\xa0\x80"}', "not_utf8"),
        (b"\xef\xbb\xbf{}", "not_utf8"),
        (b'{"model": "\\ud800"}', "unsupported_json"),
        (b'{"a":' * 100 + b"1" + b"}" * 100, "unsupported_json"),
        (b'{"max_tokens": 1' + b"0" * 400 + b"}", "unsupported_json"),
        (b'{"tools": [' + b"{}," * 25_000 + b"{}]}", "unsupported_json"),
    ],
)
def test_a_body_that_is_not_plain_json_is_400(client: Client, path: str, raw: bytes, code: str) -> None:
    problem(client.http.post(path, content=raw, headers=JSON), 400, code)


@pytest.mark.parametrize(
    ("fields", "pointer", "code"),
    [
        ({"model": None}, "/model", "missing"),
        ({"model": ""}, "/model", "out_of_range"),
        ({"model": 7}, "/model", "wrong_type"),
        ({"model": "m" * 257}, "/model", "out_of_range"),
        ({"messages": []}, "/messages", "out_of_range"),
        ({"messages": CANARY}, "/messages", "wrong_type"),
        ({"messages": [{"role": "user", "content": "x"}] * 10_001}, "/messages", "out_of_range"),
        ({"messages": [{"role": CANARY, "content": "x"}]}, "/messages/0/role", "not_allowed"),
        ({"messages": [{"role": "user"}]}, "/messages/0/content", "missing"),
        ({"messages": [{"role": "user", "content": [{"text": CANARY}]}]}, "/messages/0/content/0/type", "missing"),
        ({"messages": [{"role": "user", "content": "x", "name": CANARY}]}, "/messages/0/name", "unknown_field"),
        ({"system": 5}, "/system", "wrong_type"),
        ({"max_tokens": 0}, "/max_tokens", "out_of_range"),
        ({"max_tokens": "5"}, "/max_tokens", "wrong_type"),
        ({"max_tokens": True}, "/max_tokens", "wrong_type"),
        ({"stop_sequences": [1]}, "/stop_sequences/0", "wrong_type"),
        ({"thinking": {"budget_tokens": 1}}, "/thinking/type", "missing"),
        ({"tools": {}}, "/tools", "wrong_type"),
        ({"tool_choice": CANARY}, "/tool_choice", "wrong_type"),
        ({"metadata": {"user_id": 1}}, "/metadata/user_id", "wrong_type"),
        ({"on_interrupt": CANARY}, "/on_interrupt", "not_allowed"),
        ({"first_token_timeout": 0}, "/first_token_timeout", "out_of_range"),
        ({"idle_timeout": 601}, "/idle_timeout", "out_of_range"),
        ({"total_timeout": 3601}, "/total_timeout", "out_of_range"),
        ({"retention": 59}, "/retention", "out_of_range"),
        ({"retention": 60.5}, "/retention", "wrong_type"),
        ({"frequency_penalty": 0.5}, "/frequency_penalty", "unknown_field"),
        ({"streaming": True}, "/streaming", "unknown_field"),
        ({"max_tokns": CANARY}, "/max_tokns", "unknown_field"),
    ],
)
def test_a_wrong_field_is_422_with_a_pointer_to_it(
    client: Client, fields: dict[str, Any], pointer: str, code: str
) -> None:
    document = problem(client.http.post("/v1/generations", json={**GOOD, **fields}), 422, "invalid_request")
    (error,) = document["errors"]
    assert (error["pointer"], error["code"]) == (pointer, code)
    assert error["detail"]


def test_an_array_is_no_body(client: Client) -> None:
    document = problem(client.http.post("/v1/generations", json=[GOOD]), 422, "invalid_request")
    assert document["errors"] == [{"pointer": "", "code": "wrong_type", "detail": "must be an object"}]


def test_our_own_fields_are_no_fields_of_a_chat(client: Client) -> None:
    for name, value in (("on_interrupt", "fail"), ("retention", 60), ("tools", [])):
        document = problem(client.http.post("/v1/chat/stream", json={**GOOD, name: value}), 422, "invalid_request")
        assert document["errors"][0]["pointer"] == f"/{name}"


# ── its size ──


def padded(size: int) -> bytes:
    """A good body of exactly so many bytes."""
    body = json.dumps({**GOOD, "max_tokens": 1, "system": ""}).encode()
    return body.replace(b'"system": ""', b'"system": "' + b"x" * (size - len(body)) + b'"')


@pytest.mark.parametrize("path", SUBMITS)
@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_over_1_mib_is_413_chunked_or_not(client: Client, path: str, chunked: bool) -> None:
    for size in ((1 << 20) + 1, 3 << 20):
        raw = padded(size)
        content = chunks(raw) if chunked else raw
        problem(client.http.post(path, content=content, headers=JSON), 413, "body_too_large")


def chunks(raw: bytes) -> Iterator[bytes]:
    for start in range(0, len(raw), 60_000):
        yield raw[start : start + 60_000]


def test_a_body_of_exactly_1_mib_is_taken(client: Client) -> None:
    for content in (padded(1 << 20), chunks(padded(1 << 20))):
        response = client.http.post("/v1/generations", content=content, headers=JSON)
        assert response.status_code == 202
        assert client.events(response.json()["id"])[-1].data["status"] == "completed"


# ── headers, methods, paths ──


@pytest.mark.parametrize("path", SUBMITS)
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"content-type": "text/plain"},
        {"content-type": "application/x-www-form-urlencoded"},
        {"content-type": "application/json; charset=latin-1"},
        {"content-type": "application/jsonx"},
        {**JSON, "content-encoding": "gzip"},
    ],
)
def test_anything_but_plain_json_is_415(client: Client, path: str, headers: dict[str, str]) -> None:
    problem(client.http.post(path, content=json.dumps(GOOD).encode(), headers=headers), 415, "unsupported_media_type")


@pytest.fixture(scope="module")
def ended(shared: Stack) -> Generation:
    client = shared.client()
    generation = client.submit(GOOD["model"])
    client.events(generation.id)
    return generation


@pytest.mark.parametrize(
    ("method", "path", "accept", "offers"),
    [
        ("POST", "/v1/generations", "text/html", ["application/json", "text/event-stream"]),
        ("POST", "/v1/generations", "application/json;q=0", ["application/json", "text/event-stream"]),
        ("POST", "/v1/chat/stream", "application/json", ["text/event-stream"]),
        ("GET", "/v1/generations", "text/event-stream", ["application/json"]),
        ("GET", "/v1/generations/{id}", "text/html", ["application/json"]),
        ("GET", "/v1/generations/{id}/events", "application/json", ["text/event-stream"]),
        ("POST", "/v1/generations/{id}/cancel", "text/html", ["application/json"]),
    ],
)
def test_what_cannot_be_sent_is_406_with_what_can(
    client: Client, ended: Generation, method: str, path: str, accept: str, offers: list[str]
) -> None:
    body = json.dumps(GOOD).encode() if "{id}" not in path and method == "POST" else b""
    response = client.http.request(method, path.format(id=ended.id), content=body, headers={**JSON, "accept": accept})
    assert problem(response, 406, "not_acceptable")["offers"] == offers


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/v1/generations", "GET, POST, DELETE"),
        ("/v1/generations/{id}", "GET, DELETE"),
        ("/v1/generations/{id}/events", "GET"),
        ("/v1/generations/{id}/cancel", "POST"),
        ("/v1/chat/stream", "POST"),
        ("/healthz", "GET"),
        ("/readyz", "GET"),
    ],
)
def test_a_wrong_method_is_405_and_allow_names_the_right_ones(
    client: Client, ended: Generation, path: str, allowed: str
) -> None:
    for method in {"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"} - set(allowed.split(", ")):
        response = client.http.request(method, path.format(id=ended.id))
        problem(response, 405, "method_not_allowed")
        assert response.headers["allow"] == allowed


GENERATION = ("", "/events", "/cancel")


def ask(client: Client, path: str, **request: Any) -> httpx2.Response:
    return client.http.request("POST" if path.endswith("/cancel") else "GET", path, **request)


@pytest.mark.parametrize(
    "id_",
    [
        *(
            "x",
            "gen_",
            "gen_" + "0" * 25,
            "gen_" + "0" * 27,
            "GEN_" + "0" * 26,
            "gen_" + "o" * 26,
            "gen_" + "8" + "0" * 25,
        ),
        *(
            "gen_" + "I" * 26,
            "gen_" + "L" * 26,
            "gen_" + "U" * 26,
            "%00",
            "gen_%0d%0aFLUSHALL",
            "%F0%9F%A7%B5",
            "*",
            "{x}",
        ),
        *("gen_" + "０" * 26, "%FF%FE", "gen_" + "0" * 26 + "%0a", CANARY),
    ],
)
def test_a_malformed_id_is_404_and_an_escaped_one_is_refused_before(client: Client, id_: str) -> None:
    for tail in GENERATION:
        refused = ask(client, f"/v1/generations/{id_}{tail}")
        escaped = b"%" in refused.request.url.raw_path  # by the test, or by the client
        problem(refused, *((400, "malformed_head") if escaped else (404, "not_found")))


def test_an_id_that_names_nothing_is_404(client: Client) -> None:
    id_ = new_generation_id()
    for tail in GENERATION:
        problem(ask(client, f"/v1/generations/{id_}{tail}"), 404, "not_found")
    problem(client.http.get(f"/v1/generations/{id_}/events", headers={"last-event-id": "1-1"}), 404, "not_found")


@pytest.mark.parametrize("path", ["/", "/v1", "/v1/", f"/{CANARY}", "/v1/generations/", "/v1/generations//events"])
def test_an_unknown_path_is_404(client: Client, path: str) -> None:
    for method in ("GET", "POST"):
        problem(client.http.request(method, path), 404, "not_found")


def test_an_expired_generation_is_410(client: Client, other_client: Client, shared: Stack) -> None:
    generation = client.submit(GOOD["model"])
    cursor = client.events(generation.id)[3].id
    other_client.events(generation.id)
    with Redis.from_url(shared.server.url) as redis:
        redis.delete(f"{{{generation.id}}}:record", f"{{{generation.id}}}:log")
    for each in (client, other_client):
        for tail in GENERATION:
            problem(ask(each, f"/v1/generations/{generation.id}{tail}"), 410, "expired")
        for query in ({"from": "snapshot"}, {"after": str(cursor)}):
            problem(ask(each, f"/v1/generations/{generation.id}/events", params=query), 410, "expired")
        ids = [record["id"] for record in each.http.get("/v1/generations").json()["data"]]
        assert generation.id not in ids


def test_the_key_of_an_expired_generation_is_410_and_starts_nothing(client: Client, shared: Stack) -> None:
    headers = {"idempotency-key": str(uuid.uuid4())}
    id_ = client.http.post("/v1/generations", json=GOOD, headers=headers).json()["id"]
    client.events(id_)
    with Redis.from_url(shared.server.url) as redis:
        redis.delete(f"{{{id_}}}:record", f"{{{id_}}}:log")
    problem(client.http.post("/v1/generations", json=GOOD, headers=headers), 410, "expired")


@pytest.mark.parametrize(
    ("path", "parameter"),
    [
        ("/v1/generations?limit=0", "limit"),
        ("/v1/generations?limit=101", "limit"),
        (f"/v1/generations?limit={CANARY}", "limit"),
        (f"/v1/generations?state={CANARY}", "state"),
        ("/v1/generations/{id}/events?from=end", "from"),
        ("/v1/generations/{id}/events?view=prose", "view"),
        ("/v1/generations/{id}/events?view=", "view"),
    ],
)
def test_a_wrong_query_parameter_is_422_by_its_name(
    client: Client, ended: Generation, path: str, parameter: str
) -> None:
    document = problem(client.http.get(path.format(id=ended.id)), 422, "invalid_request")
    assert document["errors"][0]["parameter"] == parameter


@pytest.mark.parametrize("cursor", [CANARY, "", "1", "1.gen_x", "-1.gen_" + "0" * 26, "9" * 400, "1-1", "%FF", "%00"])
def test_a_forged_list_cursor_is_422(client: Client, cursor: str) -> None:
    problem(client.http.get(f"/v1/generations?cursor={cursor}"), 422, "invalid_request")


@pytest.mark.parametrize("key", [b"", b"a b", b"a\tb", b"\xff", b"k" * 256])
def test_an_unusable_idempotency_key_is_400(client: Client, key: bytes) -> None:
    for path in SUBMITS:
        headers = [(b"idempotency-key", key), (b"content-type", b"application/json")]
        response = client.http.post(path, content=json.dumps(GOOD).encode(), headers=headers)
        problem(response, 400, "idempotency_key_invalid")


def test_nothing_refused_was_accepted(client: Client) -> None:
    before = client.http.get("/v1/generations", params={"limit": 1}).json()["data"]
    client.http.post("/v1/generations", json={**GOOD, "max_tokens": 0})
    client.http.post("/v1/generations", content=b"{", headers=JSON)
    client.http.post("/v1/generations", json=GOOD, headers={"accept": "text/html"})
    client.http.post("/v1/generations", json=GOOD, headers={"idempotency-key": "a b"})
    assert client.http.get("/v1/generations", params={"limit": 1}).json()["data"] == before
