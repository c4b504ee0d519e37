"""From RESPOOL_UPSTREAMS to upstreams that can be called: keys are looked up, SDKs imported, and what is missing is named
before a worker starts."""

import os
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from broker.budgets import NO_LIMITS, Limits
from broker.upstreams import UpstreamSetting
from worker.upstreams import NoCredentials, Upstream
from worker.upstreams.anthropic.credentials import check_credentials
from worker.upstreams.routed import Route, Routed

_SECRETS: Final = Path("/run/secrets")
"""Where containers have theirs."""


def check_upstreams(settings: Sequence[UpstreamSetting] | None) -> None:
    """Raises NoCredentials, which names the upstream, for one whose key or whose SDK is missing."""
    if settings is None:
        check_credentials()
        return
    for each in settings:
        if each.kind != "anthropic" and find_spec("openai") is None:
            raise NoCredentials(f"upstream {each.name}: its SDK is not installed: pip install 'respool[openai]'")
        if each.kind == "anthropic" and each.key is None:
            try:
                check_credentials()
            except NoCredentials as error:
                raise NoCredentials(f"upstream {each.name}: {error}") from None
        else:
            _key(each)


def open_upstreams(
    settings: Sequence[UpstreamSetting] | None, connections: int, limits: Limits = NO_LIMITS
) -> Upstream:
    """What a worker calls; `connections` is the most that each upstream may have, `limits` are those of what has none of
    its own. Raises NoCredentials."""
    if settings is None:
        from worker.upstreams.anthropic.client import AnthropicUpstream  # each SDK is large: only those that are called

        return AnthropicUpstream(connections, limits=limits)
    return Routed([Route(each, _opened(each, connections, limits)) for each in settings])


def _opened(setting: UpstreamSetting, connections: int, defaults: Limits) -> Upstream:
    key, limits = _key(setting), setting.limits.over(defaults)
    if setting.kind == "anthropic":
        from worker.upstreams.anthropic.client import AnthropicUpstream

        return AnthropicUpstream(connections, base_url=setting.base_url, key=key, name=setting.name, limits=limits)
    from worker.upstreams.openai.client import OpenAIUpstream, chat, responses

    api = responses() if setting.kind == "openai-responses" else chat(newest=setting.base_url is None)
    return OpenAIUpstream(
        api, connections, base_url=setting.base_url, key=key, continuation=setting.continuation or "restart",
        name=setting.name, limits=limits,
    )  # fmt: skip


def _key(setting: UpstreamSetting) -> str | None:
    """The key; None where the SDK finds its own, or none is sent. Raises NoCredentials if there is none by its name."""
    name = setting.key if setting.kind == "anthropic" else setting.key_variable
    if name is None:
        return None
    if found := os.environ.get(name) or _secret(name):
        return found
    raise NoCredentials(
        f"upstream {setting.name}: no key to call it with: set {name}, or give a secret file of that name"
    )


def _secret(name: str) -> str | None:
    """Of a secret file of this name, in any case, as all settings are read."""
    try:
        files = {path.name.lower(): path for path in _SECRETS.iterdir()}
        return files[name.lower()].read_text().strip()
    except (OSError, KeyError):
        return None
