"""Which model goes to which upstream, and what RESPOOL_UPSTREAMS may say."""

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from broker.bounds import UPSTREAMS
from broker.request import GenerationRequest
from broker.settings import BrokerSettings, why
from broker.upstreams import BadUpstreams, matches, parsed, serving

CLAUDE: dict[str, Any] = {"name": "claude", "kind": "anthropic", "models": ["claude-*"]}
GPT: dict[str, Any] = {"name": "gpt", "kind": "openai-responses", "models": ["gpt-*", "o3"]}
LOCAL: dict[str, Any] = {
    "name": "local", "kind": "openai-chat", "base_url": "http://127.0.0.1:11434/v1", "key": None, "models": ["*"],
}  # fmt: skip
NAMES = st.text("ab*", max_size=12)


@given(NAMES.filter(lambda pattern: pattern), NAMES)
def test_a_star_stands_for_anything_and_everything_else_for_itself(pattern: str, model: str) -> None:
    expected = re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), model) is not None
    assert matches(pattern, model) is expected


def test_a_pattern_of_many_stars_takes_no_longer_for_it() -> None:
    assert not matches("a*" * 100 + "b", "a" * 256)


def test_the_first_upstream_whose_patterns_fit_serves_a_model() -> None:
    upstreams = parsed(json.dumps([CLAUDE, GPT, LOCAL]))
    served = {model: serving(upstreams, model) for model in ("claude-haiku-5-5", "gpt-5.6", "o3", "o3-mini", "llama")}
    assert {model: each and each.name for model, each in served.items()} == {
        "claude-haiku-5-5": "claude", "gpt-5.6": "gpt", "o3": "gpt", "o3-mini": "local", "llama": "local",
    }  # fmt: skip
    assert serving(upstreams[:2], "llama") is None


def test_openais_own_key_is_looked_up_where_its_sdk_would_and_no_other_is() -> None:
    gpt, local, other = parsed(json.dumps([GPT, LOCAL, {**LOCAL, "name": "other", "key": "OTHER_KEY"}]))
    assert (gpt.key_variable, local.key_variable, other.key_variable) == ("OPENAI_API_KEY", None, "OTHER_KEY")


BAD: dict[str, tuple[object, str]] = {
    "no JSON": ("{", "Invalid JSON"),
    "no list": (CLAUDE, "valid array"),
    "nothing": ([], "empty list"),
    "an unknown kind": ([CLAUDE, {**GPT, "kind": "gemini"}], "entry 2: kind"),
    "a doubled name": ([CLAUDE, {**GPT, "name": "claude"}], "two upstreams have the name claude"),
    "no models": ([{**CLAUDE, "models": []}], "entry 1: models"),
    "an unknown field": ([{**CLAUDE, "api_key": "sk-secret"}], "entry 1: api_key"),
    "a key instead of its name": ([{**GPT, "key": "sk-secret"}], "entry 1: key"),
    "a key in an address": ([{**LOCAL, "base_url": "https://user:sk-secret@host/"}], "entry 1: base_url"),
    "another server without a key's name": ([{k: v for k, v in LOCAL.items() if k != "key"}], "name its `key` too"),
    "a prefill of Responses": ([{**GPT, "continuation": "prefill"}], "takes no prefill"),
    "how a Claude goes on": ([{**CLAUDE, "continuation": "quote"}], "is for OpenAI's kinds"),
    "two stars": ([{**CLAUDE, "models": ["a**b"]}], "two stars"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_used_is_named_and_no_secret_is_told(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    said, expected = BAD[name]
    text = said if isinstance(said, str) else json.dumps(said)
    with pytest.raises(BadUpstreams, match=re.escape(expected)) as caught:
        parsed(text)
    monkeypatch.setenv("RESPOOL_UPSTREAMS", text)
    with pytest.raises(ValidationError) as refused:
        BrokerSettings()
    assert why(refused.value) == f"RESPOOL_UPSTREAMS: {caught.value}"
    assert "sk-secret" not in why(refused.value)


def test_they_are_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    assert BrokerSettings().upstreams is None
    monkeypatch.setenv("RESPOOL_UPSTREAMS", json.dumps([CLAUDE, LOCAL]))
    upstreams = BrokerSettings().upstreams
    assert upstreams is not None
    assert [each.name for each in upstreams] == ["claude", "local"]


def test_a_model_that_none_serves_is_refused_where_they_are_known_and_nowhere_else() -> None:
    body = {"model": "gemini", "messages": [{"role": "user", "content": "Hi"}]}
    assert GenerationRequest.model_validate(body).model == "gemini"
    assert GenerationRequest.model_validate(body, context={UPSTREAMS: None}).model == "gemini"
    known = {UPSTREAMS: parsed(json.dumps([CLAUDE, GPT]))}
    assert GenerationRequest.model_validate({**body, "model": "o3"}, context=known).model == "o3"
    with pytest.raises(ValidationError) as caught:
        GenerationRequest.model_validate(body, context=known)
    assert [(error["loc"], error["type"]) for error in caught.value.errors()] == [(("model",), "unknown_model")]
