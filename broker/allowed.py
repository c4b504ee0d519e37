"""What a tenant asks for that its operator does not allow it. Pure."""

from collections.abc import Iterator

from broker.errors import NotAllowed
from broker.request import GenerationRequest
from broker.tenants import TenantSetting


def refuse_unless_allowed(request: GenerationRequest, setting: TenantSetting) -> None:
    """Raises NotAllowed, with every place of the request that names a model that the tenant may not ask for; if there is none,
    with those of such tools."""
    if models := [place for place, model in _models(request) if not setting.allows_model(model)]:
        raise NotAllowed("model", models)
    if tools := [place for place, name in _tools(request) if not setting.allows_tool(name)]:
        raise NotAllowed("tool", tools)


def _models(request: GenerationRequest) -> Iterator[tuple[str, str]]:
    """All that may come to be asked, each with the JSON pointer of its place."""
    yield "/model", request.model
    for at, model in enumerate(request.fallback or ()):
        yield f"/fallback/{at}", model


def _tools(request: GenerationRequest) -> Iterator[tuple[str, str]]:
    """Those that the submitter does not run: the upstream's own, by their types, and this server's. A type that is no string
    is no tool of anybody's, and is on no list."""
    for at, tool in enumerate(request.tools or ()):
        if (type_ := tool.get("type")) not in (None, "custom"):
            yield f"/tools/{at}", type_ if isinstance(type_, str) else ""
    for at, name in enumerate(request.server_tools or ()):
        yield f"/server_tools/{at}", name
