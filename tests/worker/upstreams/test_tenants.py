"""A tenant's calls are made with its own key, or not at all."""

import asyncio
import json
from functools import partial
from typing import Any

import pytest
from pydantic import ValidationError

from broker import credentials
from broker.budgets import NO_LIMITS
from broker.settings import why
from broker.tenants import Tenants
from broker.upstreams import parsed
from worker.settings import WorkerSettings
from worker.upstreams import Call, UpstreamFailure
from worker.upstreams.anthropic.client import AnthropicUpstream
from worker.upstreams.opening import open_upstreams
from worker.upstreams.tenants import Keyless, Upstreams

GPT: dict[str, Any] = {"name": "gpt", "kind": "openai-responses", "key": "GPT_KEY", "models": ["gpt-*"]}
CLAUDE: dict[str, Any] = {"name": "claude", "kind": "anthropic", "models": ["claude-*"]}
ACME = {"acme": {"upstream_key_env": "ACME_KEY"}}


def opened(tenants: object, *entries: dict[str, Any]) -> Upstreams:
    names = [each["name"] for each in entries] or ["anthropic"]
    settings = parsed(json.dumps(entries)) if entries else None
    return Upstreams(partial(open_upstreams, settings, 5, NO_LIMITS), Tenants.parsed(json.dumps(tenants)), names)


@pytest.fixture(autouse=True)
def _keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(credentials, "_SECRETS", credentials._SECRETS / "none")
    for name in ("ACME_KEY", "ACME_GPT_KEY", "ANTHROPIC_AUTH_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ANTHROPIC_API_KEY", "of all")
    monkeypatch.setenv("GPT_KEY", "of all")


def test_who_has_a_key_of_its_own_is_called_for_with_it_and_all_others_with_the_usual_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ACME_KEY", "of acme")

    async def look() -> None:
        upstreams = opened(ACME)
        own, usual = upstreams.of("acme"), upstreams.usual
        assert upstreams.of("acme") is own is not usual
        assert upstreams.of("globex") is upstreams.of("") is usual
        assert isinstance(own, AnthropicUpstream)
        assert isinstance(usual, AnthropicUpstream)
        assert [each._client.api_key for each in (own, usual)] == ["of acme", "of all"]
        call = Call({"model": "claude-haiku-5-5"})
        assert own.budget(call) != usual.budget(call), "their limits are counted apart"
        await upstreams.aclose()

    asyncio.run(look())


def test_a_key_that_is_missing_fails_the_call_and_no_other_key_is_taken() -> None:
    async def look() -> None:
        upstreams = opened(ACME)
        with pytest.raises(UpstreamFailure, match="no key for the tenant") as caught:
            upstreams.of("acme").answer_to(Call({"model": "claude-haiku-5-5"}))
        assert (caught.value.code, caught.value.retryable) == ("upstream_authentication", False)
        await upstreams.aclose()

    asyncio.run(look())


def test_of_several_upstreams_those_are_called_with_its_key_that_it_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACME_GPT_KEY", "of acme")

    async def look() -> None:
        upstreams = opened({"acme": {"upstream_key_env": {"gpt": "ACME_GPT_KEY"}}}, GPT, CLAUDE)
        own: Any = upstreams.of("acme")
        keys = [route.upstream._client.api_key for route in own._routes]
        assert keys == ["of acme", "of all"]
        await upstreams.aclose()

    asyncio.run(look())
    monkeypatch.delenv("ACME_GPT_KEY")

    async def missing() -> None:
        upstreams = opened({"acme": {"upstream_key_env": {"gpt": "ACME_GPT_KEY"}}}, GPT, CLAUDE)
        own: Any = upstreams.of("acme")
        assert [isinstance(route.upstream, Keyless) for route in own._routes] == [True, False]
        await upstreams.aclose()

    asyncio.run(missing())


@pytest.mark.parametrize(
    ("named", "told"),
    [("ACME_KEY", "acme: upstream_key_env: there are several"), ({"x": "ACME_KEY"}, "there is no upstream 'x'")],
)
def test_a_worker_that_cannot_tell_whose_key_it_is_refuses_to_start(named: object, told: str) -> None:
    tenants = json.dumps({"acme": {"upstream_key_env": named}})
    with pytest.raises(ValidationError) as caught:
        WorkerSettings.model_validate({"tenants": tenants, "upstreams": json.dumps([GPT, CLAUDE])})
    assert told in why(caught.value)
