"""The table of problems: each one's status and when to come again, and which of them an error of the broker or a field is."""

from typing import Any, cast, get_args

import pytest
from fastapi import FastAPI, Request
from pydantic_core import InitErrorDetails, PydanticCustomError, ValidationError
from starlette.exceptions import HTTPException

from api.intake.problems import (
    ABOUT_STORAGE,
    MAX_ERRORS,
    METHODS,
    SENTENCES,
    UNSAID,
    Code,
    Problem,
    from_broker_error,
    from_http_exception,
    from_validation_error,
    pointer,
)
from broker import errors
from broker.refusals import Away

FOR_GOOD = {
    400: "malformed_json duplicate_key not_utf8 unsupported_json incomplete_body malformed_head idempotency_key_invalid"
    " offset_invalid"
    " http_error",
    401: "unauthenticated",
    403: "forbidden model_not_allowed tool_not_allowed cross_site",
    404: "not_found",
    405: "method_not_allowed",
    406: "not_acceptable",
    409: "already_ended already_followed thread_busy thread_exists not_ended key_has_ended too_many_keys no_webhook"
    " cannot_continue",
    410: "expired erased offset_gone",
    413: "body_too_large",
    415: "unsupported_media_type",
    421: "host_not_allowed",
    422: "not_durable invalid_request idempotency_mismatch",
    426: "upgrade_required",
    431: "head_too_large",
    500: "internal_error",
    504: "not_ended_in_time",
}
FOR_SECONDS = {
    (408, 1): "head_timeout body_timeout",
    (429, 1): "too_many_pipelined rate_limited",
    (429, 2): "too_many_running too_many_queued",
    (429, 5): "too_many_streams",
    (429, 60): "token_budget_spent storage_budget_spent",
    (
        503,
        1,
    ): "redis_unavailable too_busy storage_loading storage_busy storage_read_only storage_cluster outcome_unknown"
    " too_many_connections draining",
    (503, 5): "storage_replicas archive_unavailable audit_unavailable",
    (502, 1): "upstream_away",
    (503, 10): "storage_full storage_disk",
    (503, 30): "queue_full storage_forbidden unsafe_storage storage_mismatch payload_unreadable encryption_unavailable"
    " no_upstream_key",
}
ROWS: dict[str, tuple[int, int | None]] = {
    **{name: (status, None) for status, names in FOR_GOOD.items() for name in names.split()},
    **{name: row for row, names in FOR_SECONDS.items() for name in names.split()},
}
AWAY = {
    "unreachable": "redis_unavailable",
    "silent": "redis_unavailable",
    "LOADING": "storage_loading",
    "BUSY": "storage_busy",
    "READONLY": "storage_read_only",
    "MASTERDOWN": "storage_read_only",
    "UNBLOCKED": "storage_read_only",
    "MISCONF": "storage_disk",
    "NOREPLICAS": "storage_replicas",
    "CLUSTERDOWN": "storage_cluster",
    "TRYAGAIN": "storage_cluster",
    "MOVED": "storage_cluster",
    "ASK": "storage_cluster",
    "crowded": "too_busy",
}
FIELDS = {
    "missing": "missing no_model",
    "unknown_field": "extra_forbidden",
    "wrong_type": "string_type int_type int_parsing bool_parsing float_type list_type dict_type model_type text_or_blocks"
    " text_or_object"
    " bool_type float_parsing",
    "not_allowed": "literal_error string_pattern_mismatch tool_twice named_twice forbidden_url",
    "unknown_tool": "unknown_tool",
    "unknown_model": "unknown_model",
    "not_configured": "not_configured",
    "invalid": "no_time",
    "out_of_range": "finite_number greater_than greater_than_equal less_than_equal string_too_short string_too_long"
    " too_short too_long too_many_fields too_late",
}


def test_every_problem_has_its_status_and_says_when_to_come_again() -> None:
    assert {code.name.lower(): (code.value.status, code.value.retry_after) for code in Code} == ROWS


@pytest.mark.parametrize("code", Code)
def test_a_problem_is_a_document_that_nobody_keeps(code: Code) -> None:
    name, (status, seconds) = code.name.lower(), ROWS[code.name.lower()]
    problem = Problem(code, headers={"X-More": "y"}, more=1)
    assert str(problem) == name
    assert problem.body() == {
        "type": f"urn:respool:problem:{name}", "title": code.value.title, "status": status, "code": name,
        "detail": code.value.meaning, "more": 1,
    }  # fmt: skip
    retry = {} if seconds is None else {"Retry-After": str(seconds)}
    challenge = {"WWW-Authenticate": "Bearer"} if status == 401 else {}
    assert problem.headers == {"Cache-Control": "no-store", **retry, **challenge, "X-More": "y"}
    answer = problem.response()
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert answer.headers["cache-control"] == "no-store"


def test_what_a_problem_says_of_itself_is_said_in_place_of_what_its_row_says() -> None:
    problem = Problem(Code.HTTP_ERROR, "Teapot.", status=418, headers={"Cache-Control": "private"})
    assert (problem.status, problem.detail, problem.headers) == (418, "Teapot.", {"Cache-Control": "private"})


def test_why_redis_is_away_says_which_problem_it_is() -> None:
    assert AWAY.keys() == set(get_args(Away))
    for why in get_args(Away):
        assert from_broker_error(errors.StorageUnavailable(why)).code == AWAY[why]
    assert [code.name.lower() for code in ABOUT_STORAGE] == [*dict.fromkeys(AWAY.values()), "storage_forbidden"]


@pytest.mark.parametrize(
    ("error", "code", "more"),
    [
        (errors.UnknownGeneration(), "not_found", {}),
        (errors.ExpiredGeneration(), "expired", {}),
        (errors.IdempotencyMismatch(), "idempotency_mismatch", {}),
        (errors.AlreadyEnded("failed"), "already_ended", {"state": "failed"}),
        (errors.ArchiveUnavailable("test"), "archive_unavailable", {}),
        (errors.PayloadUnreadable("test"), "payload_unreadable", {}),
        (errors.SealingUnavailable("test"), "encryption_unavailable", {}),
        (errors.StorageForbidden(), "storage_forbidden", {}),
        (errors.StorageFull(), "storage_full", {}),
        (errors.QueueFull(7), "queue_full", {}),
        (errors.NotDurable(), "not_durable", {}),
        (errors.UnsafeStorage(), "unsafe_storage", {}),
        (errors.OutcomeUnknown("gen_1"), "outcome_unknown", {"generation": "gen_1"}),
    ],
)
def test_an_error_of_the_broker_is_a_problem_of_its_own(
    error: errors.BrokerError, code: str, more: dict[str, Any]
) -> None:
    problem = from_broker_error(error)
    assert (problem.code, problem.extensions) == (code, more)


def test_any_other_error_of_the_broker_is_a_500_with_a_number() -> None:
    problem = from_broker_error(errors.StorageRefused("WRONGTYPE"))
    assert (problem.code, list(problem.extensions)) == ("internal_error", ["instance"])
    assert str(problem.extensions["instance"]).startswith("urn:uuid:")


def test_every_type_of_field_error_has_its_code() -> None:
    said = {type_: code for code, types in FIELDS.items() for type_ in types.split()}
    assert {type_: code for type_, (code, _) in SENTENCES.items()} == said
    assert UNSAID[0] == "invalid"


def refused(*places: tuple[str, tuple[int | str, ...]]) -> Problem:
    found: list[InitErrorDetails] = [
        {"type": PydanticCustomError(type_, "quotes the input"), "loc": place, "input": "x"} for type_, place in places
    ]
    return from_validation_error(ValidationError.from_exception_data("Request", found))


def test_each_wrong_place_of_a_body_is_told_up_to_twenty_of_them() -> None:
    assert MAX_ERRORS == 20
    problem = refused(
        ("missing", ("a", 0)), ("never_heard_of", ("b",)), *[("missing", ("c",))] * 18, ("missing", ("d",))
    )
    assert problem.code == "invalid_request"
    first, second, *others = cast("list[dict[str, str]]", problem.extensions["errors"])
    assert first == {"pointer": "/a/0", "code": "missing", "detail": "is required"}
    assert second == {"pointer": "/b", "code": "invalid", "detail": "is not valid"}
    assert [each["pointer"] for each in others] == ["/c"] * 18


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ((), ""),
        (("a", 0, "b"), "/a/0/b"),
        (("a/b~c", "d"), "/a~1b~0c/d"),
        (("a", "no name", "b"), "/a"),
        (("a" * 40, "a" * 41), "/" + "a" * 40),
        (("", "a"), ""),
    ],
)
def test_a_pointer_ends_before_what_does_not_look_like_a_name(place: tuple[int | str, ...], said: str) -> None:
    assert pointer(place) == said


def test_the_methods_that_allow_may_name_are_those_of_http() -> None:
    assert METHODS == ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


def refusal(status: int, *, path: str = "/", headers: dict[str, str] | None = None) -> Problem:
    """Of Starlette's own, by an application with a GET and a POST of one path."""
    app = FastAPI()
    app.add_api_route("/both", lambda: None, methods=["GET"])
    app.add_api_route("/both", lambda: None, methods=["POST"])
    scope = {"type": "http", "method": "PUT", "path": path, "headers": [], "app": app}
    return from_http_exception(Request(scope), HTTPException(status, headers=headers))


def test_a_wrong_method_names_those_of_all_routes_of_the_path_or_what_starlette_names() -> None:
    assert refusal(405, path="/both", headers={"Allow": "GET"}).headers["Allow"] == "GET, POST"
    problem = refusal(405, path="/none", headers={"Allow": "GET", "X-Other": "1"})
    assert (problem.code, problem.headers["Allow"], problem.headers["X-Other"]) == ("method_not_allowed", "GET", "1")


def test_what_else_starlette_refuses_has_its_status_and_headers_and_not_its_words() -> None:
    problem = refusal(418, headers={"Retry-After": "9"})
    assert (problem.code, problem.status, problem.detail) == ("http_error", 418, "I'm a Teapot")
    assert problem.headers["Retry-After"] == "9"
    assert refusal(404).code == "not_found"
