"""Bad input, one piece at a time: the body's bytes, the request in it, the headers, and what each refusal looks like."""

import asyncio
import json
import logging
from collections.abc import Iterator
from itertools import pairwise
from typing import Any
from uuid import UUID

import pytest
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.testclient import TestClient
from starlette.types import Message

from api import negotiate, problems
from api.body import MAX_BYTES, MAX_DEPTH, SMALL, parse, read_json
from api.problems import Code, Problem, pointer
from broker import errors
from broker.request import GenerationRequest, UnreadableRequest

CANARY = "canary-5d0c9a"
HELLO: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "Hello"}]}
JSON_HEADERS = {"content-type": "application/json"}

# Speed is not what is tested: a busy machine must not fail it.
examples = settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def problem_of(raw: bytes) -> Problem:
    with pytest.raises(Problem) as refused:
        parse(raw)
    return refused.value


def outcome_of(raw: bytes) -> object:
    """What a body of these bytes is read as, or the problem with it."""
    try:
        return read(raw)
    except Problem as problem:
        return problem


def read(*chunks: bytes | None, headers: dict[str, str] = JSON_HEADERS, timeout: float = 30) -> object:
    """What read_json makes of a body that comes in `chunks`; None is a client that goes away there."""
    messages: Iterator[Message] = iter(
        {"type": "http.disconnect"}
        if chunk is None
        else {"type": "http.request", "body": chunk, "more_body": number < len(chunks)}
        for number, chunk in enumerate(chunks, 1)
    )

    async def receive() -> Message:
        if timeout < 1:
            await asyncio.Event().wait()
        return next(messages)

    encoded = [(name.encode(), value.encode()) for name, value in headers.items()]
    request = Request({"type": "http", "method": "POST", "path": "/", "headers": encoded}, receive)
    return asyncio.run(read_json(request, asyncio.Lock(), timeout=timeout))


# ── the bytes ──


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"", "malformed_json"),
        (b"{", "malformed_json"),
        (b"{'a':1}", "malformed_json"),
        (b'{"a":1,}', "malformed_json"),
        (b"{} {}", "malformed_json"),
        (b'{"a":"\n"}', "malformed_json"),
        (b'{"a":NaN}', "malformed_json"),
        (b'{"a":[Infinity]}', "malformed_json"),
        (b'{"a":-Infinity}', "malformed_json"),
        (b'{"a":01}', "malformed_json"),
        (b'{"a":1,"a":1}', "duplicate_key"),
        (b'{"a":[{"b":{"c":1,"\\u0063":2}}]}', "duplicate_key"),
        (b'{"a":"\xff"}', "not_utf8"),
        (b'{"a":"\xed\xa0\x80"}', "not_utf8"),
        (b"\xef\xbb\xbf{}", "not_utf8"),
        ('{"a":1}'.encode("utf-16"), "not_utf8"),
        (b'{"a":"\\ud800"}', "unsupported_json"),
        (b'{"\\uDFFF":1}', "unsupported_json"),
        (b'{"a":"\\ude00\\ud83d"}', "unsupported_json"),
        (b'{"a":1e999}', "unsupported_json"),
        (b'{"a":18446744073709551616}', "unsupported_json"),
        (b'{"a":-9223372036854775809}', "unsupported_json"),
        (b'{"a":' + b"9" * 5000 + b"}", "unsupported_json"),
        (b"[" * 65 + b"]" * 65, "unsupported_json"),
        (b'{"a":' * 65 + b"1" + b"}" * 65, "unsupported_json"),
        (b"[" * 500_000 + b"]" * 500_000, "unsupported_json"),
        (b"[" * 500_000, "unsupported_json"),
    ],
)
def test_a_body_that_is_not_plain_json_is_refused_with_its_own_code(raw: bytes, code: str) -> None:
    problem = problem_of(raw)
    assert (problem.status, problem.code) == (400, code)


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        (b'\n {"a" : [1, 2.5, "\\u00e9", null, true]} ', {"a": [1, 2.5, "é", None, True]}),
        ('{"a":"é\\ud83d\\ude00\u2028😀"}'.encode(), {"a": "é😀\u2028😀"}),
        (b'{"a":18446744073709551615,"b":-9223372036854775808}', {"a": (1 << 64) - 1, "b": -(1 << 63)}),
        (b'{"a":{"a":1},"b":[{"a":1},{"a":1}]}', {"a": {"a": 1}, "b": [{"a": 1}, {"a": 1}]}),
        (b'{"a":"\\\\ud800"}', {"a": "\\ud800"}),
        (b'{"a":1e308,"b":1e-999}', {"a": 1e308, "b": 0.0}),
    ],
)
def test_what_any_json_reader_would_accept_is_accepted(raw: bytes, value: object) -> None:
    assert parse(raw) == value


@pytest.mark.parametrize("leaf", ["1", "[]", '{"a":1}'])
def test_the_bound_on_nesting_counts_containers(leaf: str) -> None:
    outer = MAX_DEPTH - (leaf != "1")
    parse(("[" * outer + leaf + "]" * outer).encode())
    assert problem_of(("[" * (outer + 1) + leaf + "]" * (outer + 1)).encode()).code == "unsupported_json"


def test_the_bounds_on_brackets_and_commas_are_exact() -> None:
    brackets = b"[" + b"[]" * 24_999 + b"]"
    commas = b"[" + b"1," * 25_000 + b"1]"
    assert problem_of(brackets).code == "malformed_json", "as it is read"
    assert problem_of(brackets.replace(b"[[]", b"[[][]", 1)).code == "unsupported_json"
    assert len(parse(commas)) == 25_001  # type: ignore[arg-type]
    assert problem_of(commas.replace(b"1,", b"1,1,", 1)).code == "unsupported_json"
    assert len(parse(commas.replace(b"1]", b'",,"]'))) == 25_001  # type: ignore[arg-type]
    assert parse(b'"' + b"," * 25_001 + b'"') == "," * 25_001
    parse(b"[" * 63 + b"[]," * 10 + b"[]" + b"]" * 63)
    assert problem_of(b"[" * 64 + b"[]," * 10 + b"[]" + b"]" * 64).code == "unsupported_json"


@pytest.mark.parametrize("text", ["[" * 60_000, "{,}" * 60_000, '["\\' * 60_000, '\\"[,' * 60_000, "é[" * 60_000])
@pytest.mark.parametrize("ascii_only", [True, False])
def test_what_stands_in_strings_is_not_counted(text: str, ascii_only: bool) -> None:
    value = {text: 1, "b": [text, {"c": text + "\\"}]}
    assert parse(json.dumps(value, ensure_ascii=ascii_only).encode()) == value


@pytest.mark.parametrize("dear", [b"[" * 50_001, b"{}" * 25_001, b'{"a":1},' * 25_001, b"1," * 25_001, b'"",' * 25_001])
def test_what_is_dear_to_read_is_refused_unread(dear: bytes) -> None:
    assert problem_of(b"[!" + dear).code == "unsupported_json", "a reader would have stopped at the second byte"


def test_between_two_large_bodies_others_have_their_turn() -> None:
    events: list[str] = []
    body = b"[" + b" " * SMALL + b"]"

    async def submit(turn: asyncio.Lock) -> None:
        async def receive() -> Message:
            return {"type": "http.request", "body": body, "more_body": False}

        scope = {"type": "http", "headers": [(b"content-type", b"application/json")]}
        with pytest.raises(Problem):
            await read_json(Request(scope, receive), turn)
        events.append("body")

    async def serve_others() -> None:
        while True:
            events.append("others")
            await asyncio.sleep(0)

    async def at_once() -> None:
        turn = asyncio.Lock()
        others = asyncio.create_task(serve_others())
        await asyncio.gather(*(submit(turn) for _ in range(20)))
        others.cancel()

    asyncio.run(at_once())
    assert events.count("body") == 20
    assert ("body", "body") not in pairwise(events)


def test_a_parse_error_says_where_and_not_what() -> None:
    assert problem_of(b'{"a": 1,\n "b": x}').detail == "It does not parse at line 2, column 7."


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(1 << 63), (1 << 64) - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)
json_like = st.lists(
    st.sampled_from(
        [*'{}[]:," ', '"a"', '"b"', "1", "-", "0.5", "e9", "1e999", "NaN", "null", "\\", "\\ud800", "\ufeff", "é"]
    )
).map("".join)


@examples
@given(json_values, st.booleans())
def test_every_value_a_json_writer_writes_is_read_as_it_was(value: object, ascii_only: bool) -> None:
    assert parse(json.dumps(value, ensure_ascii=ascii_only).encode()) == value


@examples
@given(st.binary() | json_like.map(str.encode) | json_values.map(lambda value: json.dumps(value).encode()[:-1]))
def test_any_bytes_end_in_the_value_they_stand_for_or_in_a_problem(raw: bytes) -> None:
    outcome = outcome_of(raw)
    if not isinstance(outcome, Problem):
        assert outcome == json.loads(raw)
    elif outcome.code in ("malformed_json", "not_utf8"):
        with pytest.raises((json.JSONDecodeError, UnicodeDecodeError, ZeroDivisionError)):
            json.loads(raw.decode(), parse_constant=lambda _: 1 / 0)  # it agrees, but for NaN and Infinity
    else:
        assert outcome.code in ("duplicate_key", "unsupported_json", "invalid_request")


# ── its envelope ──


@pytest.mark.parametrize(
    "content_type",
    ["application/json", "Application/JSON ; charset=UTF-8", 'application/json;charset="utf-8"', "application/json;"],
)
def test_json_in_utf8_is_the_accepted_content_type(content_type: str) -> None:
    assert read(b"{}", headers={"content-type": content_type}) == {}


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"content-type": ""},
        {"content-type": "text/plain"},
        {"content-type": "application/x-www-form-urlencoded"},
        {"content-type": "application/problem+json"},
        {"content-type": "application/json; charset=latin-1"},
        {"content-type": "application/json; version=2"},
        {"content-type": "application/json, application/json"},
        {"content-type": "application/json", "content-encoding": "gzip"},
    ],
)
def test_any_other_content_type_is_415(headers: dict[str, str]) -> None:
    with pytest.raises(Problem) as refused:
        read(b"{}", headers=headers)
    assert (refused.value.status, refused.value.code) == (415, "unsupported_media_type")


def padded(size: int) -> bytes:
    return b"{" + b" " * (size - 2) + b"}"


def test_a_body_of_exactly_one_mebibyte_is_read() -> None:
    raw = padded(MAX_BYTES)
    assert read(raw[:1000], raw[1000:]) == {}


@pytest.mark.parametrize("declared", [True, False], ids=["declared", "chunked"])
@pytest.mark.parametrize("pieces", [1, 2, 1000])
def test_one_byte_more_is_413_and_the_connection_closes(declared: bool, pieces: int) -> None:
    raw = padded(MAX_BYTES + 1)
    step = -(-len(raw) // pieces)
    headers = JSON_HEADERS | ({"content-length": str(len(raw))} if declared else {})
    with pytest.raises(Problem) as refused:
        read(*(raw[at : at + step] for at in range(0, len(raw), step)), headers=headers)
    assert (refused.value.status, refused.value.code) == (413, "body_too_large")
    assert refused.value.headers["Connection"] == "close"


@pytest.mark.parametrize("length", ["9" * 30, "9" * 5000])
def test_a_declared_length_of_any_size_is_only_too_large(length: str) -> None:
    with pytest.raises(Problem) as refused:
        read(b"{}", headers=JSON_HEADERS | {"content-length": length})
    assert refused.value.status == 413


def test_an_endless_body_is_not_read_to_its_end() -> None:
    taken = 0

    async def receive() -> Message:
        nonlocal taken
        taken += 1 << 16
        return {"type": "http.request", "body": b" " * (1 << 16), "more_body": True}

    scope = {"type": "http", "method": "POST", "path": "/", "headers": [(b"content-type", b"application/json")]}
    with pytest.raises(Problem) as refused:
        asyncio.run(read_json(Request(scope, receive), asyncio.Lock()))
    assert refused.value.status == 413
    assert taken < 16 << 20


def test_a_client_that_asks_before_sending_is_refused_before_it_sends() -> None:
    headers = JSON_HEADERS | {"content-length": str(MAX_BYTES + 1), "expect": "100-continue"}

    async def receive() -> Message:
        raise AssertionError("reading the body would have permitted it")

    scope = {"type": "http", "headers": [(name.encode(), value.encode()) for name, value in headers.items()]}
    with pytest.raises(Problem) as refused:
        asyncio.run(read_json(Request(scope, receive), asyncio.Lock()))
    assert refused.value.status == 413


def test_a_body_that_never_comes_is_408() -> None:
    with pytest.raises(Problem) as refused:
        read(b"{", timeout=0.01)
    assert (refused.value.status, refused.value.code) == (408, "body_timeout")
    assert refused.value.headers["Connection"] == "close"


def test_a_client_that_leaves_while_sending_is_no_failure_of_ours() -> None:
    with pytest.raises(Problem) as refused:
        read(b'{"a":', None)
    assert (refused.value.status, refused.value.code) == (400, "incomplete_body")


@pytest.mark.parametrize("raw", [b"[]", b'"x"', b"1", b"null", b"true"])
def test_json_that_is_no_object_is_422_at_the_root(raw: bytes) -> None:
    with pytest.raises(Problem) as refused:
        read(raw)
    assert refused.value.status == 422
    assert refused.value.body()["errors"] == [{"pointer": "", "code": "wrong_type", "detail": "must be an object"}]


# ── the headers ──

BOTH = (negotiate.JSON, negotiate.EVENT_STREAM)


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        (None, "application/json"),
        ("", "application/json"),
        ("*/*", "application/json"),
        ("application/*", "application/json"),
        ("text/*", "text/event-stream"),
        ("text/event-stream", "text/event-stream"),
        ("Text/Event-Stream ; charset=utf-8", "text/event-stream"),
        ("text/event-stream, application/json", "application/json"),
        ("text/event-stream, */*", "text/event-stream"),
        ("text/event-stream, */*;q=0.1", "text/event-stream"),
        ("application/json, text/plain, */*", "application/json"),
        ("application/json;q=0.5, text/event-stream;q=0.9", "text/event-stream"),
        ("application/json;q=0, */*", "text/event-stream"),
        ("application/json;q=0.2, application/*;q=0.9, text/*;q=0.3", "text/event-stream"),
        ("*/*;q=0", None),
        ("text/html", None),
        ("application/json;q=0", None),
        ("text/event-stream;q=2", None),
        (";;,,=;q=", None),
        ("application/json;q=nan", None),
        ("application/json;q=1=0", None),
        ("application/json;q=1, text/event-stream", "application/json"),
        ("application/*, text/event-stream", "text/event-stream"),
        ("*/*, text/*", "text/event-stream"),
        ("text/html, application/json;q=0.001", "application/json"),
    ],
)
def test_accept_is_weighed_as_http_says(accept: str | None, chosen: str | None) -> None:
    assert negotiate.wants(accept, BOTH) == chosen


@examples
@given(st.text(alphabet='aejnoptx/*;,=q01. "-'))
def test_any_accept_header_ends_in_an_offer_or_none(accept: str) -> None:
    assert negotiate.wants(accept, BOTH) in (*BOTH, None)


def test_two_accept_headers_are_one_list_and_none_acceptable_is_406() -> None:
    headers = Headers(raw=[(b"accept", b"text/html"), (b"accept", b"text/event-stream")])
    assert negotiate.negotiate(headers, BOTH) == "text/event-stream"
    with pytest.raises(Problem) as refused:
        negotiate.negotiate(headers, (negotiate.JSON,))
    assert (refused.value.status, refused.value.body()["offers"]) == (406, ["application/json"])


@pytest.mark.parametrize("key", ["a", "8e03978e-40d5-43dd-bc93-6894a57f9324", "!~" * 127, '"quoted"'])
def test_an_idempotency_key_is_visible_ascii(key: str) -> None:
    assert negotiate.idempotency_key(Headers({"idempotency-key": key})) == key


@pytest.mark.parametrize("key", [b"", b" ", b"a b", b"a\t", b"a\n", b"\xc3\xa9", b"\x7f", b"a" * 256])
def test_any_other_idempotency_key_is_400(key: bytes) -> None:
    with pytest.raises(Problem) as refused:
        negotiate.idempotency_key(Headers(raw=[(b"idempotency-key", key)]))
    assert (refused.value.status, refused.value.code) == (400, "idempotency_key_invalid")


def test_no_idempotency_key_is_none_and_two_are_400() -> None:
    assert negotiate.idempotency_key(Headers({})) is None
    with pytest.raises(Problem):
        negotiate.idempotency_key(Headers(raw=[(b"idempotency-key", b"a"), (b"idempotency-key", b"a")]))


# ── what a refusal looks like ──


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient]:
    app = FastAPI()
    problems.install(app)

    @app.post("/generations")
    async def submit(request: Request) -> Response:
        negotiate.negotiate(request.headers, BOTH)
        return JSONResponse(GenerationRequest.model_validate(await read_json(request, asyncio.Lock())).upstream_body())

    @app.get("/generations")
    async def index(limit: int = 5) -> int:
        return limit

    @app.get("/fail")
    async def fail() -> None:
        raise RuntimeError(CANARY)

    @app.get("/broker/{name}")
    async def broker(name: str) -> None:
        raise BROKER_ERRORS[name][0]

    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


BROKER_ERRORS: dict[str, tuple[errors.BrokerError, int, str, dict[str, str]]] = {
    "unknown": (errors.UnknownGeneration(CANARY), 404, "not_found", {}),
    "expired": (errors.ExpiredGeneration(CANARY), 410, "expired", {}),
    "mismatch": (errors.IdempotencyMismatch(CANARY), 422, "idempotency_mismatch", {}),
    "ended": (errors.AlreadyEnded("completed"), 409, "already_ended", {"state": "completed"}),
    "away": (errors.StorageUnavailable("silent"), 503, "redis_unavailable", {}),
    "loading": (errors.StorageUnavailable("LOADING"), 503, "storage_loading", {}),
    "busy": (errors.StorageUnavailable("BUSY"), 503, "storage_busy", {}),
    "read_only": (errors.StorageUnavailable("READONLY"), 503, "storage_read_only", {}),
    "disk": (errors.StorageUnavailable("MISCONF"), 503, "storage_disk", {}),
    "replicas": (errors.StorageUnavailable("NOREPLICAS"), 503, "storage_replicas", {}),
    "cluster": (errors.StorageUnavailable("CLUSTERDOWN"), 503, "storage_cluster", {}),
    "forbidden": (errors.StorageForbidden(CANARY), 503, "storage_forbidden", {}),
    "refused": (errors.StorageRefused("WRONGTYPE"), 500, "internal_error", {}),
    "full": (errors.StorageFull(CANARY), 503, "storage_full", {}),
    "unsafe": (errors.UnsafeStorage(CANARY), 503, "unsafe_storage", {}),
    "unclear": (errors.OutcomeUnknown("gen_1"), 503, "outcome_unknown", {"generation": "gen_1"}),
    "not_durable": (errors.NotDurable(CANARY), 422, "not_durable", {}),
    "unreadable": (UnreadableRequest(CANARY), 500, "internal_error", {}),
}


@pytest.mark.parametrize("name", BROKER_ERRORS)
def test_a_broker_error_is_the_problem_it_is_to_a_client(client: TestClient, name: str) -> None:
    _, status, code, members = BROKER_ERRORS[name]
    response = client.get(f"/broker/{name}")
    assert response.status_code == response.json()["status"] == status
    assert response.json()["type"] == f"urn:respool:problem:{code}"
    assert response.json().items() >= ({"code": code} | members).items()
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["cache-control"] == "no-store"
    assert ("retry-after" in response.headers) == (status == 503)
    assert CANARY not in response.text


def test_every_broker_error_is_mapped() -> None:
    ours = {type(error) for error, *_ in BROKER_ERRORS.values()}
    there = {kind for kind in errors.BrokerError.__subclasses__() if kind.__module__ == errors.__name__}
    assert there <= ours, "a new broker error needs a problem of its own"


def test_an_unknown_path_is_404(client: TestClient) -> None:
    response = client.get(f"/{CANARY}")
    assert (response.status_code, response.json()["code"]) == (404, "not_found")
    assert CANARY not in response.text


def test_a_wrong_method_is_405_and_allow_names_all_that_the_path_has(client: TestClient) -> None:
    response = client.delete("/generations")
    assert (response.status_code, response.json()["code"]) == (405, "method_not_allowed")
    assert response.headers["allow"] == "GET, POST"


def test_a_wrong_query_parameter_is_422_by_its_name(client: TestClient) -> None:
    response = client.get("/generations", params={"limit": CANARY})
    assert response.status_code == 422
    assert response.json()["errors"] == [{"parameter": "limit", "code": "wrong_type", "detail": "must be an integer"}]


def test_a_failure_of_ours_is_500_with_a_number_that_the_log_has_and_nothing_else(
    client: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        response = client.get("/fail")
    assert (response.status_code, response.json()["code"]) == (500, "internal_error")
    assert CANARY not in response.text
    assert "Traceback" not in response.text
    instance = response.json()["instance"]
    assert UUID(instance.removeprefix("urn:uuid:")).version == 4
    assert instance in caplog.text
    assert CANARY in caplog.text


def test_a_good_body_passes(client: TestClient) -> None:
    assert client.post("/generations", json=HELLO).json() == HELLO | {"max_tokens": 4096}


def test_each_wrong_field_has_a_pointer_a_code_and_a_sentence(client: TestClient) -> None:
    wrong = {
        "messages": [{"role": "user", "content": [{"type": "text"}, {"text": CANARY}]}],
        "max_tokens": 0,
        "on_interrupt": CANARY,
        "retention": 1_000_000,
        "max_tokns": CANARY,
    }
    response = client.post("/generations", json=wrong)
    assert response.status_code == 422
    assert response.json()["errors"] == [
        {"pointer": "/model", "code": "missing", "detail": "is required"},
        {"pointer": "/messages/0/content/1/type", "code": "missing", "detail": "is required"},
        {"pointer": "/max_tokens", "code": "out_of_range", "detail": "must be at least 1"},
        {"pointer": "/on_interrupt", "code": "not_allowed", "detail": "must be 'continue', 'restart' or 'fail'"},
        {"pointer": "/retention", "code": "out_of_range", "detail": "must be at most 604800"},
        {"pointer": "/max_tokns", "code": "unknown_field", "detail": "is not a field known here"},
    ]


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("max_tokns", "/max_tokns"),
        ("a/b~c", "/a~1b~0c"),
        ("x" * 40, "/" + "x" * 40),
        ("x" * 41, ""),
        ("two words", ""),
        ("naïve", ""),
        ("line\nbreak", ""),
        ("", ""),
    ],
)
def test_an_unknown_field_is_named_back_only_if_it_looks_like_a_name(client: TestClient, name: str, shown: str) -> None:
    found = client.post("/generations", json={**HELLO, name: 1}).json()["errors"]
    assert found == [{"pointer": shown, "code": "unknown_field", "detail": "is not a field known here"}]
    assert pointer(("messages", 0, name)) == "/messages/0" + shown


def test_an_answer_stays_small_however_much_is_wrong(client: TestClient) -> None:
    found = client.post("/generations", json={**HELLO, **{f"f{n}": 0 for n in range(60)}}).json()["errors"]
    assert len(found) == 20


def test_the_table_for_the_docs_has_every_code_once() -> None:
    rows = [line for line in problems.table().splitlines() if line.startswith("| `")]
    assert len(rows) == len(Code)
    assert "| `storage_full` | 503 |" in problems.table()


# ── nothing submitted comes back ──


def canaries(raw: Any) -> Any:
    """The same shape with every string value, and every name that is not one of ours, replaced."""
    if isinstance(raw, dict):
        known = {*GenerationRequest.model_fields, "role", "content", "type", "user_id"}
        return {k if k in known else f"{CANARY} {k}": canaries(value) for k, value in raw.items()}
    if isinstance(raw, list):
        return [canaries(item) for item in raw]
    return CANARY if isinstance(raw, str) else raw


names = st.sampled_from([*GenerationRequest.model_fields, "role", "content", "type", "user_id", "other"])
wrong_bodies = st.dictionaries(
    names,
    st.recursive(
        json_values,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
        max_leaves=6,
    ),
    max_size=6,
).map(lambda body: HELLO | body)


@examples
@given(wrong_bodies, st.integers(0, 60), st.sampled_from([b"", b"x", b"\xff", b'"', b'{"a":1,"a":2}', b"NaN", b"]"]))
def test_no_submitted_value_is_ever_echoed(body: dict[str, Any], cut: int, noise: bytes) -> None:
    raw = json.dumps(canaries(body)).encode()
    if noise:
        raw = raw[: len(raw) - cut] + noise
    outcome = outcome_of(raw)
    if not isinstance(outcome, Problem):
        try:
            GenerationRequest.model_validate(outcome)
            return
        except ValidationError as error:
            outcome = problems.from_validation_error(error)
    answer = outcome.response()
    assert CANARY.encode() not in bytes(answer.body)
    assert CANARY not in str(answer.headers.items())
