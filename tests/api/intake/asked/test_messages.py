"""A request of Anthropic's Messages API, and its headers, as one for a generation."""

from typing import Any

import anthropic
import pytest
from pydantic import ValidationError
from starlette.datastructures import Headers

from api.intake.asked.messages import VERSIONS, betas_of, from_messages
from api.intake.problems import Problem

BODY: dict[str, Any] = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]}


def test_the_version_that_is_spoken_is_the_installed_sdks() -> None:
    with anthropic.Anthropic(api_key="k") as client:
        assert client.default_headers["anthropic-version"] == VERSIONS[0]


def test_stream_is_how_it_is_answered_and_no_part_of_what_is_compared() -> None:
    (one, streamed), (two, whole) = (from_messages([], {}, {**BODY, "stream": stream}) for stream in (True, False))
    assert (streamed, whole, one.stream) == (True, False, True)
    assert one == two
    assert one.fingerprint() == two.fingerprint()
    assert one.upstream_body() == BODY


def test_betas_are_a_part_of_the_request() -> None:
    headers = Headers({"anthropic-beta": "one-1, two-2,one-1", "anthropic-version": VERSIONS[1]})
    asked, _ = from_messages(betas_of(headers), {}, BODY)
    assert asked.upstream_body() == {**BODY, "betas": ["one-1", "two-2"]}
    assert asked.fingerprint() != from_messages([], {}, BODY)[0].fingerprint()


@pytest.mark.parametrize(
    "headers",
    [
        {"anthropic-version": "2022-01-01"},
        {"anthropic-beta": "a b"},
        {"anthropic-beta": ",".join(f"b{number}" for number in range(21))},
        {"anthropic-workspace-id": "w"},
        {"anthropic-user-profile-id": "p"},
    ],
)
def test_a_header_that_would_have_to_be_passed_on_and_is_not_is_refused_by_name(headers: dict[str, str]) -> None:
    with pytest.raises(Problem) as refused:
        betas_of(Headers(headers))
    assert refused.value.extensions["errors"][0]["parameter"] == next(iter(headers))  # type: ignore[index]


def test_what_has_no_words_is_refused_and_max_tokens_is_required() -> None:
    with pytest.raises(Problem):
        from_messages([], {}, {**BODY, "server_tools": ["clock"]})
    with pytest.raises(ValidationError):
        from_messages([], {}, {name: BODY[name] for name in BODY if name != "max_tokens"})
    with pytest.raises(ValidationError):
        from_messages([], {}, {**BODY, "mcp_servers": []})
