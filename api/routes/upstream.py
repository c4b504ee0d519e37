"""What this process asks an upstream for itself: how many tokens a prompt has, which models there are. Never for an answer.

Where the upstreams are, settings say that all processes share; their keys are looked up as a worker looks them up, under the
same names. A process that has none says so.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import Final, NamedTuple

import httpx2
import orjson

from api.intake.asked.messages import VERSIONS
from api.intake.problems import Code, Problem
from broker.credentials import found_key
from broker.tenants import Tenants
from broker.upstreams import DEFAULT_NAME, Kind, UpstreamSetting, serving

_SECONDS: Final = 10.0
_MOST_BYTES: Final = 1 << 20
_KEPT_SECONDS: Final = 60.0
_CONNECTIONS: Final = 20
_ANTHROPIC: Final = "https://api.anthropic.com"
_OPENAI: Final = "https://api.openai.com/v1"
_ANY: Final = UpstreamSetting(name=DEFAULT_NAME, kind="anthropic", models=["*"])
"""What there is where none is named: whatever the environment says."""


class Answered(NamedTuple):
    """What an upstream has answered: JSON, of this status."""

    status: int
    body: bytes


class Place(NamedTuple):
    """An upstream as it is called for a tenant."""

    kind: Kind
    base_url: str
    key: str | None


@dataclass(slots=True)
class Asking:
    """`upstreams` as in the settings. Close it with `aclose`."""

    upstreams: Sequence[UpstreamSetting] | None
    tenants: Tenants
    _lists: dict[Place, tuple[float, list[Mapping[str, object]]]] = field(default_factory=dict)
    _client: httpx2.AsyncClient | None = None

    async def aclose(self) -> None:
        if self._client is not None:
            await self._client.aclose()

    async def count_tokens(self, owner: str, model: str, body: Mapping[str, object], betas: Sequence[str]) -> Answered:
        """What the upstream of this model says of the prompt. Raises Problem: 404 for a model that none serves, 422 for one
        whose API counts no tokens, 502 if the upstream does not answer, 503 if there is no key."""
        setting = serving(self.upstreams or (_ANY,), model)
        if setting is None:
            raise Problem(Code.NOT_FOUND, "No upstream is configured for this model.")
        if setting.kind != "anthropic":
            wrong = {
                "pointer": "/model",
                "code": "unsupported_field",
                "detail": "is served by an API that counts no tokens",
            }
            raise Problem(Code.INVALID_REQUEST, errors=[wrong])
        more = {"anthropic-beta": ",".join(betas)} if betas else {}
        return await self._call(
            self._place(setting, owner), "POST", "/v1/messages/count_tokens", orjson.dumps(body), more
        )

    async def models(self, owner: str) -> list[Mapping[str, object]]:
        """The models that the upstreams are configured for, as the upstream tells of each, or by its name alone. Raises Problem
        as above, if nothing is known of any."""
        found: dict[str, Mapping[str, object]] = {}
        failed: Problem | None = None
        for setting in self.upstreams or (_ANY,):
            named = {name: {"id": name} for name in setting.models if "*" not in name}
            try:
                told = await self._list(self._place(setting, owner))
            except Problem as problem:
                failed, told = problem, []
            for each in (*told, *named.values()):
                id_ = str(each.get("id"))
                if id_ not in found and serving(self.upstreams or (_ANY,), id_) is setting:
                    found[id_] = each
        if not found and failed is not None:
            raise failed
        allowed = self.tenants.of(owner)
        return [each for id_, each in found.items() if allowed.allows_model(id_)]

    async def _list(self, place: Place) -> list[Mapping[str, object]]:
        """What this upstream lists; for a minute what it listed before."""
        at, listed = self._lists.get(place, (-_KEPT_SECONDS, []))
        if monotonic() - at < _KEPT_SECONDS:
            return listed
        path = "/v1/models?limit=1000" if place.kind == "anthropic" else "/models"
        answer = await self._call(place, "GET", path, None, {})
        try:
            data = orjson.loads(answer.body)["data"] if answer.status == 200 else None
            if not isinstance(data, list):
                raise TypeError
            listed = [each for each in data if isinstance(each, dict) and isinstance(each.get("id"), str)]
        except (orjson.JSONDecodeError, KeyError, TypeError):
            raise Problem(Code.UPSTREAM_AWAY) from None
        self._lists[place] = (monotonic(), listed)
        return listed

    def _place(self, setting: UpstreamSetting, owner: str) -> Place:
        """Raises Problem (503) if its key, or the tenant's, is not here."""
        own = self.tenants.of(owner).variables([setting.name]).get(setting.name)
        if setting.kind == "anthropic":
            base_url = setting.base_url or os.environ.get("ANTHROPIC_BASE_URL") or _ANTHROPIC
            names: Sequence[str] = [setting.key] if setting.key else ["ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"]
        else:
            base_url = setting.base_url or os.environ.get("OPENAI_BASE_URL") or _OPENAI
            names = [setting.key_variable] if setting.key_variable else []
        if own is not None:
            names = [own]
        key = next((found for name in names if (found := found_key(name))), None)
        if names and key is None:
            raise Problem(Code.NO_UPSTREAM_KEY)
        return Place(setting.kind, base_url.rstrip("/"), key)

    async def _call(
        self, place: Place, method: str, path: str, body: bytes | None, more: Mapping[str, str]
    ) -> Answered:
        """Raises Problem (502) if there is no answer in time, or one that is no JSON or too large."""
        if self._client is None:
            limits = httpx2.Limits(max_connections=_CONNECTIONS, max_keepalive_connections=_CONNECTIONS)
            self._client = httpx2.AsyncClient(timeout=_SECONDS, limits=limits, follow_redirects=False)
        headers = {"accept": "application/json", "content-type": "application/json", **more}
        if place.kind == "anthropic":
            headers["anthropic-version"] = VERSIONS[0]
        if place.key is not None:
            headers["authorization"] = f"Bearer {place.key}"
        try:
            async with self._client.stream(method, place.base_url + path, content=body, headers=headers) as response:
                read = bytearray()
                async for chunk in response.aiter_bytes():
                    read += chunk
                    if len(read) > _MOST_BYTES:
                        raise Problem(Code.UPSTREAM_AWAY)
                orjson.loads(read)
                return Answered(response.status_code, bytes(read))
        except (httpx2.HTTPError, httpx2.InvalidURL, orjson.JSONDecodeError):
            raise Problem(Code.UPSTREAM_AWAY) from None
