"""Each fault, as the real SDK meets it."""

import anthropic
import httpx2
import pytest

from tests.simulator.sdk import Said, Upstream, say

FAST = "sim-1?ttft_ms=0&tps=0&tokens=30"


def failed(upstream: Upstream, user_id: str, kind: str, timeout: float = 5.0) -> Said:
    """An answer that fails at its fifth token; checks that the five came, and that no end did."""
    said = say(upstream, f"{FAST}&fail={kind}&at=5", user_id, timeout=timeout)
    assert said.types == ["message_start", "content_block_start", *["content_block_delta"] * 5]
    assert upstream.closed_record(user_id)["fault"] == kind
    return said


def test_a_cut_is_a_raw_read_error(upstream: Upstream, user_id: str) -> None:
    assert type(failed(upstream, user_id, "cut").error) is httpx2.ReadError
    assert upstream.closed_record(user_id)["closed_by"] == "fault"


def test_a_fin_inside_a_chunk_is_a_raw_remote_protocol_error(upstream: Upstream, user_id: str) -> None:
    assert type(failed(upstream, user_id, "fin").error) is httpx2.RemoteProtocolError


def test_a_stall_is_a_raw_read_timeout(upstream: Upstream, user_id: str) -> None:
    assert type(failed(upstream, user_id, "stall", timeout=0.3).error) is httpx2.ReadTimeout
    assert upstream.closed_record(user_id)["closed_by"] == "client"


def test_pings_keep_the_sdk_from_noticing_a_stall(upstream: Upstream, user_id: str) -> None:
    said = say(upstream, f"{FAST}&fail=stall_pings&at=5", user_id, timeout=0.5, patience=1.5)
    assert isinstance(said.error, TimeoutError)
    assert not isinstance(said.error, anthropic.APIError)
    assert upstream.closed_record(user_id)["tokens"] == 5


def test_a_clean_eof_without_message_stop_is_no_exception_at_all(upstream: Upstream, user_id: str) -> None:
    said = failed(upstream, user_id, "eof")
    assert said.error is None
    assert said.stop_reason is None


def test_malformed_json_is_a_value_error(upstream: Upstream, user_id: str) -> None:
    error = failed(upstream, user_id, "json").error
    assert isinstance(error, ValueError)
    assert not isinstance(error, anthropic.APIError)


def test_invalid_utf8_is_a_unicode_error(upstream: Upstream, user_id: str) -> None:
    assert isinstance(failed(upstream, user_id, "utf8").error, UnicodeDecodeError)


def test_an_error_event_is_a_status_error_with_status_200(upstream: Upstream, user_id: str) -> None:
    error = failed(upstream, user_id, "error").error
    assert isinstance(error, anthropic.APIStatusError)
    assert error.status_code == 200
    assert error.type == "overloaded_error"


def test_headers_that_never_come_are_a_connect_or_read_timeout(upstream: Upstream, user_id: str) -> None:
    said = say(upstream, f"{FAST}&fail=slow_headers", user_id, timeout=0.3)
    assert isinstance(said.error, anthropic.APITimeoutError)
    assert upstream.closed_record(user_id)["status"] is None


@pytest.mark.parametrize(
    ("status", "kind"),
    [(400, "invalid_request_error"), (401, "authentication_error"), (403, "permission_error"),
     (404, "not_found_error"), (413, "request_too_large"), (429, "rate_limit_error"), (500, "api_error"),
     (529, "overloaded_error")],
)  # fmt: skip
def test_a_status_comes_in_anthropics_shape_with_retry_after(
    upstream: Upstream, user_id: str, status: int, kind: str
) -> None:
    error = say(upstream, f"{FAST}&fail={status}&retry_after=2.5", user_id).error
    assert isinstance(error, anthropic.APIStatusError)
    assert (error.status_code, error.type) == (status, kind)
    assert error.response.headers["retry-after"] == "2.5"
    assert error.request_id == upstream.closed_record(user_id)["id"]


def test_a_status_fails_only_the_first_times_requests_of_one_user(upstream: Upstream, user_id: str) -> None:
    model = f"{FAST}&fail=529&times=2"
    assert [say(upstream, model, user_id).error is None for _ in range(3)] == [False, False, True]
    assert say(upstream, model, f"{user_id}-another").error is not None


@pytest.mark.parametrize("prefill", [0, 1])
def test_what_a_cut_left_and_its_continuation_are_the_whole_text(
    upstream: Upstream, user_id: str, prefill: int
) -> None:
    whole = say(upstream, FAST, user_id).text
    model = f"{FAST}&fail=cut&at=7&times=1&prefill={prefill}"
    hello = {"role": "user", "content": "Hello"}
    partial = say(upstream, model, user_id, [hello]).text.rstrip()
    turn = (
        {"role": "assistant", "content": partial}
        if prefill
        else {"role": "user", "content": f"Continue: <partial_answer>{partial}</partial_answer>"}
    )
    rest = say(upstream, model, user_id, [hello, turn])
    assert partial
    assert partial + rest.text == whole
    assert (rest.error, rest.stop_reason) == (None, "end_turn")
    assert upstream.closed_record(user_id)["continued"] == len(partial)
