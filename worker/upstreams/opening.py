"""From RESPOOL_UPSTREAMS to upstreams that can be called: keys are looked up, SDKs imported, and what is missing is named
before a worker starts."""

from collections.abc import Sequence
from importlib.util import find_spec

from broker.budgets import NO_LIMITS, Limits
from broker.credentials import found_key
from broker.upstreams import DEFAULT_NAME, UpstreamSetting
from worker.upstreams import NoCredentials, Upstream
from worker.upstreams.anthropic.credentials import check_credentials
from worker.upstreams.routed import Route, Routed
from worker.upstreams.tenants import NO_VARIABLES, Keyless, Variables


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
    settings: Sequence[UpstreamSetting] | None, connections: int, limits: Limits = NO_LIMITS,
    own: Variables = NO_VARIABLES,
) -> Upstream:  # fmt: skip
    """What a worker calls; `connections` is the most that each upstream may have, `limits` are those of what has none of
    its own. `own`: which are called with a tenant's key; whose key is missing fails when it is called. Raises NoCredentials for
    the others."""
    if settings is None:
        key = found_key(own[DEFAULT_NAME]) if DEFAULT_NAME in own else None
        if own and key is None:
            return Keyless()
        from worker.upstreams.anthropic.client import AnthropicUpstream  # each SDK is large: only those that are called

        return AnthropicUpstream(connections, key=key, limits=limits)
    return Routed([Route(each, _with_key(each, connections, limits, own.get(each.name))) for each in settings])


def _with_key(setting: UpstreamSetting, connections: int, defaults: Limits, variable: str | None) -> Upstream:
    """With the key of all, or a tenant's."""
    if variable is None:
        return _opened(setting, connections, defaults, _key(setting))
    key = found_key(variable)
    return Keyless() if key is None else _opened(setting, connections, defaults, key)


def _opened(setting: UpstreamSetting, connections: int, defaults: Limits, key: str | None) -> Upstream:
    limits = setting.limits.over(defaults)
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
    if found := found_key(name):
        return found
    raise NoCredentials(
        f"upstream {setting.name}: no key to call it with: set {name}, or give a secret file of that name"
    )
