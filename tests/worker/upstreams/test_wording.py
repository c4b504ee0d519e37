"""What is passed on of an upstream's words."""

import pytest

from broker.failures import FailureCode
from worker.upstreams.wording import LONGEST, masked, message_for

SECRETS = [
    "sk-ant-api03-AAAAbbbbCCCCddddEEEE", "Bearer abcdef123456", "x-api-key: abc123def456", "http://10.2.3.4:8080/v1?key=1",
    "10.2.3.4", "[fd00::1:2:3]:8443", "gateway.internal", "llm-7.prod.svc.cluster.local", "proxy-3:8443",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln", "0123456789abcdef0123456789abcdef", "password=hunter2hunter2",
    "AKIAIOSFODNN7EXAMPLE", "redis://user:pass@host/0", "rsp_k1_abcdefghijklmnopqrstuvwxyz",
]  # fmt: skip
MENDABLE: tuple[FailureCode, ...] = ("upstream_invalid_request", "upstream_not_found", "upstream_request_too_large")
NOT_FOR_VIEWERS: tuple[FailureCode, ...] = (
    "upstream_authentication", "upstream_permission", "upstream_rate_limited", "upstream_overloaded", "upstream_redirected",
    "upstream_error",
)  # fmt: skip


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("around", ["{}", "no: {} is wrong", '{{"key": "{}"}}', "({}).", "a {}, b"])
def test_what_looks_like_a_key_or_an_address_is_masked(secret: str, around: str) -> None:
    said = masked(around.format(secret))
    for piece in (secret, *secret.split()[1:]):
        assert piece not in said
    assert "[…]" in said


@pytest.mark.parametrize(
    "text",
    [
        "max_tokens: 100000 > 8192, which is the maximum allowed number of output tokens for claude-haiku-5-5",
        "messages.3.content.0.type: Input should be 'text', 'image' or 'tool_use'",
        "model: claude-sonnet-5-5-20261001 was not found",
        "prompt is too long: 208310 tokens > 200000 maximum",
    ],
)
def test_what_a_submitter_can_mend_by_is_left_as_it_is(text: str) -> None:
    assert masked(text) == text
    assert message_for("upstream_invalid_request", {"message": text}) == text


@pytest.mark.parametrize("code", NOT_FOR_VIEWERS)
def test_what_only_an_operator_can_mend_is_said_in_our_own_words(code: FailureCode) -> None:
    said = message_for(code, {"message": "no such key: abc"})
    assert "abc" not in said
    assert said.endswith(".")


@pytest.mark.parametrize("code", MENDABLE)
@pytest.mark.parametrize("error", [None, "text", {}, {"message": None}, {"message": " "}, {"message": 3}])
def test_without_words_of_the_upstream_s_there_are_ours(code: FailureCode, error: object) -> None:
    assert message_for(code, error).startswith("The ")


def test_a_long_message_is_cut() -> None:
    assert len(masked("word " * 10_000)) == LONGEST


OURS: dict[FailureCode, str] = {
    "upstream_authentication": "The upstream does not accept the credentials of this service.",
    "upstream_permission": "The upstream does not permit this to the credentials of this service.",
    "upstream_rate_limited": "The upstream's rate limit is reached.",
    "upstream_overloaded": "The upstream is overloaded.",
    "upstream_redirected": "The upstream's address has moved; no request is sent after it.",
    "upstream_error": "The upstream failed.",
    "upstream_malformed": "The upstream failed.",
    "upstream_invalid_request": "The upstream does not accept the request.",
    "upstream_not_found": "The upstream does not know what was asked for.",
    "upstream_request_too_large": "The request is too large for the upstream.",
}


def test_each_code_has_words_of_our_own() -> None:
    assert {code: message_for(code, None) for code in OURS} == OURS


def test_a_mask_says_no_more_than_that_something_was_there() -> None:
    assert masked("ask 10.2.3.4, please") == "ask […], please"


def test_what_is_passed_on_has_its_bound_and_so_has_what_is_looked_at() -> None:
    assert LONGEST == 500
    long = "word " * 201
    assert masked(f"{long}end") == long[:500]
    assert masked("http://a.b " * 200) == "[…] " * 90 + "[…]", "of the first thousand letters"
