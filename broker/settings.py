"""Settings that every process of Respool shares. Each is read from the environment as RESPOOL_<NAME>, or, where it is not set
there, from a file of that name in /run/secrets, where containers have theirs."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from broker.bounds import LONGEST_ARCHIVED, LONGEST_IN_REDIS
from broker.cells import Cell, cells_of
from broker.keyed import Keyed
from broker.limits import Limits, LimitSettings
from broker.tenant_keys import KeyService, keys_in, service_of, tenant_keys
from broker.tenants import NO_TENANTS, Tenants, TenantSetting
from broker.upstreams import UpstreamSetting, parsed
from broker.waiting import Share, TenantShares
from broker.webhooks import Rules, allowances, secrets_of

_SECRETS = Path("/run/secrets")

Trust = Literal["checked", "trusted", "ephemeral"]
"""Whether Redis is asked if it persists, its operator's word is taken for it, or it need not."""


class BrokerSettings(LimitSettings, BaseSettings):
    """Where Redis is, the times that all processes must agree on, and the limits of tenants for whom nothing else is said."""

    model_config = SettingsConfigDict(
        env_prefix="RESPOOL_",
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
        secrets_dir=_SECRETS if _SECRETS.is_dir() else None,
    )

    redis_url: str = Field(default="redis://127.0.0.1:6379/0", repr=False)
    """Coordination: arq's queue, `due`, idempotency keys, indexes, wake-ups."""
    logs_url: str | None = Field(default=None, repr=False)
    """Records and logs of generations; the same server as coordination unless it is set."""
    cells: str | None = Field(default=None, repr=False)
    """Several pairs of the two, as JSON: see cells.py. It goes before the two."""
    ephemeral: bool = False
    """Allows a Redis that does not persist (`appendonly no`): its crash then loses everything (`gap`, then 404)."""
    storage: Literal["checked", "trusted"] = "checked"
    """`trusted`: by its operator's word Redis keeps what it is given, though it does not tell, or persists in its own way."""
    retention: int = Field(default=3600, ge=60, le=LONGEST_ARCHIVED)
    """Seconds that a generation stays readable after its last entry, where its submitter does not say. More than 7 days only
    where there is an archive."""
    archive_url: str | None = None
    """Where logs go when they have ended: `file:///folder`, `s3://bucket/prefix`, `gs://…`, `az://…`. Not set: nowhere."""
    archive_after: float = Field(default=300.0, ge=1, le=86_400)
    """Seconds after which they do."""
    webhook_secret: SecretStr | None = None
    """What webhooks are signed with, `whsec_…`; several, with spaces or commas between, while one is changed for another."""
    webhook_allow: str | None = None
    """What webhooks may do beside https to public addresses: words of `http`, `loopback`, `private`."""
    encryption_keys: SecretStr | None = None
    """Tenant keys, `tenant/id:base64` each: see tenant_keys.py. What tenants submit that have one is stored sealed."""
    encryption_keys_file: Path | None = None
    """A file that these are in."""
    encryption_service: str | None = Field(default=None, max_length=256)
    """`package.module:function`, which returns what wraps data keys instead: a KMS."""
    pickup_grace: float = Field(default=3.0, gt=0, le=60)
    """Seconds after which a generation that no worker has claimed is looked at by a sweeper."""
    upstreams: Annotated[tuple[UpstreamSetting, ...] | None, NoDecode] = None
    """The model APIs that workers call, a JSON list; a model goes to the first whose patterns its name is of. Not set:
    Anthropic, for all. An API that knows them refuses a model that goes to none."""
    secret: SecretStr | None = None
    """What digests of bodies and users are made with; several, with spaces or commas between, while it is changed."""
    tenants: Annotated[Tenants | None, NoDecode] = None
    """What holds for each tenant, a JSON object: see tenants.py. Not set: nothing is said of any."""
    tenants_file: Path | None = None
    """A file that says it instead."""
    log_level: str = "INFO"
    tools: str | None = None
    """Modules whose functions a generation may ask this server to run, with commas between. Read by the API for their names, by
    workers to run them."""

    @property
    def tool_modules(self) -> tuple[str, ...]:
        return tuple(name.strip() for name in (self.tools or "").split(",") if name.strip())

    @model_validator(mode="before")
    @classmethod
    def _of_its_file(cls, given: object) -> object:
        if not isinstance(given, dict) or (path := given.get("tenants_file")) is None:
            return given
        if "tenants" in given:
            raise ValueError("RESPOOL_TENANTS and RESPOOL_TENANTS_FILE: set one of them")
        try:
            return {**given, "tenants": Path(path).read_bytes()}
        except OSError as error:
            raise ValueError(f"RESPOOL_TENANTS_FILE: {error.strerror}") from None

    @field_validator("tenants", mode="before")
    @classmethod
    def _tenants_of_json(cls, value: object) -> object:
        return Tenants.parsed(value) if isinstance(value, str | bytes) else value

    @field_validator("upstreams", mode="before")
    @classmethod
    def _of_json(cls, value: object) -> object:
        return parsed(value) if isinstance(value, str | bytes) else value

    @field_validator("secret")
    @classmethod
    def _long_enough(cls, secret: SecretStr | None) -> SecretStr | None:
        Keyed.parsed("" if secret is None else secret.get_secret_value())
        return secret

    @property
    def keyed(self) -> Keyed:
        return Keyed.parsed("" if self.secret is None else self.secret.get_secret_value())

    @property
    def all_tenants(self) -> Tenants:
        return NO_TENANTS if self.tenants is None else self.tenants

    @property
    def tenant_shares(self) -> TenantShares:
        """What each tenant gets of the slots of workers, in each cell."""
        tenants = self.all_tenants

        def share(setting: TenantSetting) -> Share:
            return Share(setting.weight, Limits.of(setting, self).running)

        return TenantShares(share(tenants.usual), {name: share(own) for name, own in tenants.own.items()})

    @field_validator("webhook_secret")
    @classmethod
    def _secrets(cls, secret: SecretStr | None) -> SecretStr | None:
        secrets_of("" if secret is None else secret.get_secret_value())
        return secret

    @field_validator("webhook_allow")
    @classmethod
    def _allow(cls, text: str | None) -> str | None:
        allowances(text or "")
        return text

    @property
    def webhook_secrets(self) -> tuple[str, ...]:
        """None of them: no webhook is accepted, or delivered."""
        return secrets_of("" if self.webhook_secret is None else self.webhook_secret.get_secret_value())

    @property
    def webhook_rules(self) -> Rules:
        return Rules(bool(self.webhook_secrets), allowances(self.webhook_allow or ""))

    @property
    def all_cells(self) -> tuple[Cell, ...]:
        """Those that are listed; where none are, the one of `redis_url` and `logs_url`."""
        return (Cell(0, self.redis_url, self.logs_url),) if self.cells is None else cells_of(self.cells)

    def limits_of(self, owner: str) -> Limits:
        """What a tenant may ask for."""
        return Limits.of(self.all_tenants.of(owner), self)

    def of(self, cell: Cell) -> Self:
        """The settings of who works with this cell alone."""
        return self.model_copy(update={"redis_url": cell.redis_url, "logs_url": cell.logs_url, "cells": None})

    @property
    def trust(self) -> Trust:
        return "ephemeral" if self.ephemeral else self.storage

    @property
    def effective_logs_url(self) -> str:
        return self.logs_url or self.redis_url

    @property
    def archive_after_ms(self) -> int | None:
        """None where there is no archive."""
        return None if self.archive_url is None else round(self.archive_after * 1000)

    @property
    def longest_retention(self) -> int:
        """Seconds that a submitter may ask for."""
        return LONGEST_IN_REDIS if self.archive_url is None else LONGEST_ARCHIVED

    @field_validator("cells")
    @classmethod
    def _usable(cls, text: str | None) -> str | None:
        if text is not None:
            cells_of(text)
        return text

    @model_validator(mode="after")
    def _one_source_of_keys(self) -> Self:
        named = (self.encryption_keys, self.encryption_keys_file, self.encryption_service)
        if sum(each is not None for each in named) > 1:
            raise ValueError("RESPOOL_ENCRYPTION_KEYS, …_KEYS_FILE, …_SERVICE: set one of them")
        self.key_service()
        return self

    def key_service(self) -> KeyService | None:
        """What data keys are wrapped with; None where nothing is sealed. Raises BadKeys."""
        if self.encryption_service is not None:
            return service_of(self.encryption_service)
        if self.encryption_keys_file is not None:
            return keys_in(self.encryption_keys_file)
        return None if self.encryption_keys is None else tenant_keys(self.encryption_keys.get_secret_value())

    @model_validator(mode="after")
    def _long_only_in_an_archive(self) -> Self:
        if self.retention > self.longest_retention:
            raise ValueError("RESPOOL_RETENTION: more than 7 days need an archive, RESPOOL_ARCHIVE_URL")
        return self

    @property
    def two_servers(self) -> bool:
        """Coordination and logs may each be lost alone."""
        return self.effective_logs_url != self.redis_url


def why(error: ValidationError) -> str:
    """What is wrong with the settings, in one line, and without what was set: it may be a secret."""
    found = ([*map(_variable, fault["loc"]), fault["msg"].removeprefix("Value error, ")] for fault in error.errors())
    return "; ".join(": ".join(parts) for parts in found)


def _variable(field: int | str) -> str:
    return f"RESPOOL_{field}".upper()
