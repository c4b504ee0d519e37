"""Refusals in the words of the vocabulary whose path was asked for."""

import json

import pytest

from api.intake.problems import Code, Problem
from api.intake.shapes import AI_SDK, ANTHROPIC, OPENAI, PROBLEM, Shape, shape_of, worded

VERSION = [(b"host", b"a"), (b"anthropic-version", b"2023-06-01")]
WRONG = [{"pointer": "/messages", "code": "missing", "detail": "is required"}]


@pytest.mark.parametrize(
    ("path", "shape"),
    [
        ("/v1/messages", ANTHROPIC),
        ("/v1/messages/count_tokens", ANTHROPIC),
        ("/v1/messages2", PROBLEM),
        ("/v1/responses/resp_1", OPENAI),
        ("/v1/chat/completions", OPENAI),
        ("/v1/chat/stream", PROBLEM),
        ("/api/chat/c-1/stop", AI_SDK),
        ("/v1/generations", PROBLEM),
        ("", PROBLEM),
    ],
)
def test_a_path_says_whose_errors_are_read_there(path: str, shape: Shape) -> None:
    assert shape_of(path, []) is shape


def test_two_vendors_share_the_models_and_one_sends_its_version() -> None:
    assert shape_of("/v1/models", VERSION) is ANTHROPIC
    assert shape_of("/v1/models/claude", []) is OPENAI


def test_anthropics_clients_find_type_message_and_our_code() -> None:
    answer = worded(Problem(Code.INVALID_REQUEST, errors=WRONG), "/v1/messages", [])
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/json"
    assert json.loads(bytes(answer.body)) == {
        "type": "error",
        "error": {
            "type": "invalid_request_error",
            "message": "/messages: is required",
            "details": {"error_code": "invalid_request", "errors": WRONG},
        },
    }
    assert "x-should-retry" not in answer.headers


def test_openais_clients_find_the_first_place_as_its_param() -> None:
    answer = worded(Problem(Code.INVALID_REQUEST, errors=WRONG), "/v1/responses", [])
    told = json.loads(bytes(answer.body))["error"]
    assert told == {
        "message": "/messages: is required",
        "type": "invalid_request_error",
        "param": "messages",
        "code": "invalid_request",
    }


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/responses"])
def test_an_sdk_repeats_what_may_fare_better_and_nothing_else(path: str) -> None:
    busy, ended = worded(Problem(Code.QUEUE_FULL), path, []), worded(Problem(Code.ALREADY_ENDED), path, [])
    assert (busy.headers["x-should-retry"], busy.headers["retry-after"]) == ("true", "30")
    assert ended.headers["x-should-retry"] == "false"


def test_the_ai_sdks_client_finds_what_an_error_chunk_has_and_what_else_there_is() -> None:
    answer = worded(Problem(Code.INVALID_REQUEST, errors=WRONG), "/api/chat", [])
    assert json.loads(bytes(answer.body)) == {
        "type": "error", "errorText": "/messages: is required", "code": "invalid_request", "errors": WRONG,
    }  # fmt: skip
