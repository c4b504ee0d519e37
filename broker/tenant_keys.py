"""Tenant keys: what the data keys of a tenant's generations are wrapped with. They come from the settings, or from a service of
the operator's own (a KMS). Pure, but for that service.

    */2026-11:<base64 of 32 bytes> */2026-05:<…> acme/k1:<…>

`*` is whoever has no key of its own. The first key of a tenant is what new data keys are wrapped with; the others still open
what they were used for. A tenant that has none, where there is no `*` either, is not sealed.
"""

import base64
import binascii
import hmac
import re
import secrets
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Final, Protocol, runtime_checkable

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from broker.errors import BrokerError
from broker.sealing import KEY_BYTES, derived

ANY_TENANT: Final = "*"
_KEY: Final = re.compile(
    r"(?P<tenant>\*|[a-z0-9][a-z0-9_-]{0,31})/(?P<id>[A-Za-z0-9][A-Za-z0-9._-]{0,63}):(?P<key>[A-Za-z0-9+/=_-]+)"
)
_VERSION: Final = b"1"
_NONCE_BYTES: Final = 12
_CHECK_CHARACTERS: Final = 16
_MOST_CHARACTERS: Final = 1 << 20


class BadKeys(BrokerError, ValueError):
    """The keys cannot be used as they are; the text says why, and nothing of a key."""


class UnknownKey(Exception):
    """What is to be opened was wrapped with a key that is not here. `id` is the key's."""

    def __init__(self, id_: str) -> None:
        super().__init__(f"there is no key {id_}")
        self.id = id_


class WrongKey(Exception):
    """The key of this `id` is not the one that it was wrapped with, or what was wrapped is damaged or another generation's."""

    def __init__(self, id_: str) -> None:
        super().__init__(f"the key {id_} does not open it")
        self.id = id_


@runtime_checkable
class KeyService(Protocol):
    """Wraps data keys for tenants. Each call is given up after some seconds, and whatever it raises is logged by its class
    alone. `generation` is whose data key it is: what was wrapped for one must not be opened for another."""

    async def wrap(self, tenant: str, generation: str, data_key: bytes) -> bytes | None:
        """At most 1,000 bytes, which are kept with the generation; None if this tenant is not sealed."""

    async def unwrap(self, tenant: str, generation: str, wrapped: bytes) -> bytes:
        """The data key. Raises UnknownKey or WrongKey; anything else counts as "not now"."""

    async def destroy(self, tenant: str, generation: str, wrapped: bytes) -> None:
        """The generation is erased: a service that keeps data keys itself forgets this one. May be called again."""


class TenantKeys:
    """The keys of the settings, by tenant and id. Nothing of it is printed."""

    def __init__(self, keys: Mapping[str, Mapping[str, bytes]]) -> None:
        self._keys = keys

    def current(self, tenant: str) -> str | None:
        """`<tenant or *>/<id>` of the key that new data keys of this tenant are wrapped with; None if it is not sealed."""
        name = tenant if tenant in self._keys else ANY_TENANT
        return f"{name}/{next(iter(self._keys[name]))}" if name in self._keys else None

    def check(self, reference: str) -> str:
        """By which two processes see whether they have the same key under this reference: 64 bits, from which no key can be
        found."""
        return derived(self._key(reference), b"respool 1 check").hex()[:_CHECK_CHARACTERS]

    async def wrap(self, tenant: str, generation: str, data_key: bytes) -> bytes | None:
        reference = self.current(tenant)
        if reference is None:
            return None
        nonce = secrets.token_bytes(_NONCE_BYTES)
        head = _VERSION + b" " + reference.encode() + b" "
        return head + nonce + self._cipher(reference, tenant, generation).encrypt(nonce, data_key, head)

    async def unwrap(self, tenant: str, generation: str, wrapped: bytes) -> bytes:
        version, _, rest = wrapped.partition(b" ")
        name, _, sealed = rest.partition(b" ")
        reference = name.decode(errors="replace")
        if version != _VERSION:
            raise UnknownKey("of another version or service")
        cipher = self._cipher(reference, tenant, generation)
        try:
            return cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], b"%b %b " % (version, name))
        except (InvalidTag, ValueError):
            raise WrongKey(reference) from None

    async def destroy(self, tenant: str, generation: str, wrapped: bytes) -> None:
        """Nothing is kept here of a data key."""

    def _key(self, reference: str) -> bytes:
        name, _, id_ = reference.partition("/")
        try:
            return self._keys[name][id_]
        except KeyError:
            raise UnknownKey(reference if _known_shape(reference) else "of another form") from None

    def _cipher(self, reference: str, tenant: str, generation: str) -> AESGCM:
        """Each generation has a wrapping key of its own, so that however many there are, none is used twice."""
        return AESGCM(derived(self._key(reference), f"respool 1 wrap {tenant} {generation}".encode()))


def _known_shape(reference: str) -> bool:
    return _KEY.fullmatch(f"{reference}:A") is not None


def tenant_keys(text: str) -> TenantKeys:
    """Keys with spaces, line ends or commas between. Raises BadKeys."""
    keys: dict[str, dict[str, bytes]] = {}
    for number, word in enumerate(re.split(r"[\s,]+", text.strip()), 1):
        found = _KEY.fullmatch(word)
        if found is None:
            raise BadKeys(f"key {number} is not of the form tenant/id:base64, as in */2026-11:…")
        key = _bytes_of(found["key"])
        if key is None or len(key) != KEY_BYTES:
            raise BadKeys(f"the key {found['tenant']}/{found['id']} is not {KEY_BYTES} bytes in base64")
        of_tenant = keys.setdefault(found["tenant"], {})
        if not hmac.compare_digest(of_tenant.setdefault(found["id"], key), key):
            raise BadKeys(f"there are two keys {found['tenant']}/{found['id']}")
    return TenantKeys(keys)


def keys_in(file: Path) -> TenantKeys:
    """Raises BadKeys."""
    try:
        with file.open() as opened:
            return tenant_keys(opened.read(_MOST_CHARACTERS))
    except (OSError, UnicodeDecodeError) as error:
        raise BadKeys(f"{file} cannot be read: {type(error).__name__}") from None


def _bytes_of(text: str) -> bytes | None:
    try:
        return base64.b64decode(text.translate(str.maketrans("-_", "+/")), validate=True)
    except binascii.Error:
        return None


def service_of(path: str) -> KeyService:
    """What the function `package.module:function` returns, called without arguments. Raises BadKeys."""
    module, _, name = path.partition(":")
    try:
        made: object = getattr(import_module(module), name)()
    except (ImportError, AttributeError, ValueError) as error:
        raise BadKeys(f"{path}: {error}") from None
    except Exception as error:  # the module's own code has raised
        raise BadKeys(f"{path}: it raises {type(error).__name__}") from error
    if not isinstance(made, KeyService):
        raise BadKeys(f"{path}: what it returns lacks one of wrap, unwrap and destroy")
    return made
