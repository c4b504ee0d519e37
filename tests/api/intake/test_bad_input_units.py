"""Bad input, one piece at a time: the headers, the request in a body, and what each refusal looks like."""

import json
import logging
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.testclient import TestClient

from api.intake import negotiate, problems
from api.intake.body import read_json
from api.intake.problems import Code, Problem, from_broker_error, pointer
from broker import errors
from broker.aside import Aside
from broker.request import GenerationRequest, UnreadableRequest
from tests.api.intake.test_body import examples, json_values, outcome_of

CANARY = "canary-5d0c9a"
HELLO: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "Hello"}]}


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
        return JSONResponse((await read_json(request, GenerationRequest.model_validate, Aside())).upstream_body())

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
    "queue_full": (errors.QueueFull(7), 503, "queue_full", {}),
    "crowded": (errors.TooBusy(), 503, "too_busy", {}),
    "loading": (errors.StorageUnavailable("LOADING"), 503, "storage_loading", {}),
    "busy": (errors.StorageUnavailable("BUSY"), 503, "storage_busy", {}),
    "read_only": (errors.StorageUnavailable("READONLY"), 503, "storage_read_only", {}),
    "disk": (errors.StorageUnavailable("MISCONF"), 503, "storage_disk", {}),
    "replicas": (errors.StorageUnavailable("NOREPLICAS"), 503, "storage_replicas", {}),
    "cluster": (errors.StorageUnavailable("CLUSTERDOWN"), 503, "storage_cluster", {}),
    "forbidden": (errors.StorageForbidden(CANARY), 503, "storage_forbidden", {}),
    "refused": (errors.StorageRefused("WRONGTYPE"), 500, "internal_error", {}),
    "full": (errors.StorageFull(CANARY), 503, "storage_full", {}),
    "sealed": (errors.PayloadUnreadable(CANARY), 503, "payload_unreadable", {}),
    "no_seal": (errors.SealingUnavailable(CANARY), 503, "encryption_unavailable", {}),
    "unsafe": (errors.UnsafeStorage(CANARY), 503, "unsafe_storage", {}),
    "unclear": (errors.OutcomeUnknown("gen_1"), 503, "outcome_unknown", {"generation": "gen_1"}),
    "too_quick": (errors.LimitReached("rate_limited", 1), 429, "rate_limited", {}),
    "many_run": (errors.LimitReached("too_many_running"), 429, "too_many_running", {}),
    "many_wait": (errors.LimitReached("too_many_queued"), 429, "too_many_queued", {}),
    "spent": (errors.LimitReached("token_budget_spent", 1000), 429, "token_budget_spent", {}),
    "no_room": (errors.LimitReached("storage_budget_spent"), 429, "storage_budget_spent", {}),
    "no_model": (errors.NotAllowed("model", ["/model"]), 403, "model_not_allowed", {}),
    "no_tool": (errors.NotAllowed("tool", ["/tools/0"]), 403, "tool_not_allowed", {}),
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
    assert ("retry-after" in response.headers) == (status in (429, 503))
    assert CANARY not in response.text


def test_every_broker_error_is_mapped() -> None:
    ours = {type(error) for error, *_ in BROKER_ERRORS.values()}
    there = {kind for kind in errors.BrokerError.__subclasses__() if kind.__module__ == errors.__name__}
    assert there <= ours, "a new broker error needs a problem of its own"


@pytest.mark.parametrize(("wait_ms", "seconds"), [(0, "60"), (1, "1"), (1000, "1"), (1001, "2"), (86_400_000, "86400")])
def test_who_comes_again_when_a_limit_says_so_does_not_come_too_early(wait_ms: int, seconds: str) -> None:
    problem = from_broker_error(errors.LimitReached("token_budget_spent", wait_ms))
    assert problem.headers["Retry-After"] == seconds


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
        "retention": 31_536_001,
        "max_tokns": CANARY,
    }
    response = client.post("/generations", json=wrong)
    assert response.status_code == 422
    assert response.json()["errors"] == [
        {"pointer": "/model", "code": "missing", "detail": "is required, as the operator has not set RESPOOL_MODEL"},
        {"pointer": "/messages/0/content/1/type", "code": "missing", "detail": "is required"},
        {"pointer": "/max_tokens", "code": "out_of_range", "detail": "must be at least 1"},
        {"pointer": "/on_interrupt", "code": "not_allowed", "detail": "must be 'continue', 'restart' or 'fail'"},
        {"pointer": "/retention", "code": "out_of_range", "detail": "must be at most 31536000"},
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
