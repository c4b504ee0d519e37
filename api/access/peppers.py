"""The operator's secrets that API keys are hashed with: who has the store has no key, and cannot make one. Pure.

The setting is `<version>:<secret>`, several with spaces or commas between: new hashes are made with the first, those of the
others are still understood.
"""

import hmac
import re
from collections.abc import Mapping
from typing import Final

from api.access.api_keys import ApiKey
from api.access.link_secrets import derived

_ONE: Final = re.compile(r"([a-z0-9][a-z0-9.-]{0,15}):([!-~]{32,256})")


class Peppers:
    """By their versions, the one for new hashes first; there is one at least."""

    def __init__(self, secrets: Mapping[str, bytes]) -> None:
        self.newest = next(iter(secrets))
        self._secrets = dict(secrets)

    def __contains__(self, version: str) -> bool:
        return version in self._secrets

    def digest(self, key: ApiKey) -> str:
        """What is kept of the key, with the newest."""
        return self._digest(self._secrets[self.newest], key)

    def matches(self, key: ApiKey, version: str, digest: str) -> bool:
        """Whether this is the key that was hashed so. Takes as long for any key."""
        secret = self._secrets.get(version)
        return secret is not None and hmac.compare_digest(self._digest(secret, key), digest)

    def derived(self, purpose: bytes) -> dict[str, bytes]:
        """A secret for this purpose of each, by names of their own, in their order."""
        return {f"pepper-{version}": derived(secret, purpose) for version, secret in self._secrets.items()}

    @staticmethod
    def _digest(secret: bytes, key: ApiKey) -> str:
        return hmac.digest(secret, key.text, "sha256").hex()


def peppers_of(text: str) -> Peppers:
    """Raises ValueError, which names none of them."""
    found: dict[str, bytes] = {}
    for part in text.replace(",", " ").split():
        match = _ONE.fullmatch(part)
        if match is None:
            raise ValueError("each is <version>:<secret>, the secret of 32 to 256 visible characters")
        if match[1] in found:
            raise ValueError("two have the same version")
        found[match[1]] = match[2].encode()
    if not found:
        raise ValueError("it is empty")
    return Peppers(found)
