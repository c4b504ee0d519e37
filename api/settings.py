"""Settings of the API process, beside those that all processes share."""

from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator

from api.access.link_secrets import link_secrets_of
from api.access.origin import is_loopback, name_of, origins_of
from api.access.peers import networks_of
from api.keys.settings import KeySettings
from api.viewing.stream_limits import StreamLimits


class ApiSettings(KeySettings):
    """Times are seconds, sizes bytes."""

    model: str | None = Field(default=None, max_length=256)
    """The model of requests that name none; without one they are refused."""
    chat_system: str | None = None
    """The `system` of chats that have none."""
    host: str = "127.0.0.1"
    allowed_hosts: str | None = None
    """Hosts to answer for, with commas between, `*` for any, beside those of loopback. Not set: none where the API listens on
    loopback, any elsewhere."""
    cors_origins: str | None = None
    """Origins whose pages may read and do everything, with commas between; the word `loopback`: any of loopback."""
    connections: int = Field(default=0, ge=0)
    """The most connections of a process, viewers among them. 0, and whatever is more: as many as its descriptors allow."""
    port: int = Field(default=8000, ge=0, le=65535)
    keep_alive: float = Field(default=15.0, ge=1, le=120)
    """The longest silence on an event stream."""
    stalled_viewer: float = Field(default=90.0, ge=1)
    """A viewer that takes nothing for so long is dropped. A kernel whose buffer of 128 KiB is full takes nothing until half of
    that is read: at 2 KB/s for a minute."""
    ring_bytes: int = Field(default=256 * 1024, ge=4096)
    """Recent frames kept per watched generation, for viewers that fall a little behind."""
    replay_cache_bytes: int = Field(default=32 * 1024 * 1024, ge=0)
    """Encoded pages of logs kept per process, so that a herd of late joiners costs one read; and as much again of what whole
    logs amount to."""
    http: Literal["direct", "plain"] = "direct"
    """How bytes reach a viewer: written to the transport by the hub, or through ASGI, as on any other server."""
    tls_certfile: Path | None = None
    """PEM, the server's certificate first; with it and its key the API speaks HTTPS, and no HTTP."""
    tls_keyfile: Path | None = None
    """PEM, without a passphrase."""
    send_buffer: int = Field(default=64 * 1024, ge=4096)
    """SO_SNDBUF of a connection: half of what Linux then holds for a viewer that does not read."""
    link_secrets: SecretStr | None = None
    """What view links are signed with, `<kid>:<secret>`, several with commas between: the first signs, all are good. Not set:
    secrets that are derived from the peppers of API keys, or else such as the cells keep."""
    trusted_proxies: str | None = None
    """Addresses and networks of proxies, with commas between, whose X-Forwarded-For is believed."""
    streams_per_key: int = Field(default=0, ge=0)
    """How many event streams, requests that wait for an end among them, one API key, or one view link, may have open in one
    process. 0: any number."""
    streams_per_generation: int = Field(default=0, ge=0)
    """How many there may be of one generation, in one process."""
    streams_per_address: int = Field(default=0, ge=0)
    """How many there may be from one address, in one process; of IPv6, from one network of 64 bits."""
    fanout_pace_ms: int = Field(default=0, ge=0, le=1000)
    """Milliseconds that entries may wait for later ones to share a write with, where many viewers make writes dear."""
    background_delay: float = Field(default=60.0, ge=0, le=3600)
    """By how many seconds what has `priority: background` is placed later in the queue than its submit."""
    audit_required: bool = False
    """Where the audit log cannot be written, requests are refused."""
    queue_limit: int = Field(default=100_000, ge=1, le=10_000_000)
    """Beyond so many generations that wait for a worker, in a cell, nothing is accepted."""
    shutdown: float = Field(default=8.0, ge=0)
    """How long SIGTERM waits for requests other than event streams."""
    require_keys: bool = False
    """Nobody is answered without an API key. So it is, too, where there is a pepper for keys and `allow_anonymous` is not
    set."""
    allow_anonymous: bool = False
    """Allows to answer anybody, though more than this machine can reach the API."""

    @property
    def effective_hosts(self) -> frozenset[str] | None:
        """Those to answer for beside the loopback ones; None: any."""
        if self.allowed_hosts is None:
            return frozenset() if is_loopback(self.host) else None
        names = frozenset(map(name_of, self.allowed_hosts.split(",")))
        return None if "*" in names else names

    @property
    def link_keys(self) -> dict[str, bytes]:
        """By their kids, the one that signs first. Of the peppers, where none are set; where there are none either, empty: then
        they are learnt from the cells."""
        if self.link_secrets is None and (peppers := self.peppers) is not None:
            return peppers.derived(b"respool view links")
        return link_secrets_of("" if self.link_secrets is None else self.link_secrets.get_secret_value())

    @property
    def proxies(self) -> Sequence[IPv4Network | IPv6Network]:
        return networks_of(self.trusted_proxies or "")

    @field_validator("link_secrets")
    @classmethod
    def _link_secrets(cls, secrets: SecretStr | None) -> SecretStr | None:
        link_secrets_of("" if secrets is None else secrets.get_secret_value())
        return secrets

    @field_validator("trusted_proxies")
    @classmethod
    def _proxies(cls, text: str | None) -> str | None:
        networks_of(text or "")
        return text

    @property
    def stream_limits(self) -> StreamLimits:
        return StreamLimits(self.streams_per_key, self.streams_per_generation, self.streams_per_address)

    @property
    def asks_for_keys(self) -> bool:
        """Whether who asks must have an API key."""
        return self.require_keys or (self.peppers is not None and not self.allow_anonymous)

    @property
    def other_origins(self) -> frozenset[str]:
        return origins_of(self.cors_origins or "")

    @field_validator("cors_origins")
    @classmethod
    def _origins(cls, text: str | None) -> str | None:
        origins_of(text or "")
        return text

    @model_validator(mode="after")
    def _both_or_neither(self) -> Self:
        if (self.tls_certfile is None) != (self.tls_keyfile is None):
            raise ValueError("RESPOOL_TLS_CERTFILE and RESPOOL_TLS_KEYFILE: set both or neither")
        return self

    @model_validator(mode="after")
    def _nobody_is_let_in_by_mistake(self) -> Self:
        if self.require_keys and self.peppers is None:
            raise ValueError("RESPOOL_REQUIRE_KEYS: keys are hashed with RESPOOL_API_KEY_PEPPER, which is not set")
        if not (self.asks_for_keys or self.allow_anonymous or is_loopback(self.host)):
            raise ValueError(
                "RESPOOL_HOST: others than this machine could reach the API, and it asks for no keys. Set "
                "RESPOOL_API_KEY_PEPPER, so that it does, or RESPOOL_ALLOW_ANONYMOUS=1"
            )
        return self
