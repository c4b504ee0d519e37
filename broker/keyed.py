"""Digests under the secret of this installation, RESPOOL_SECRET: what is kept of a body, and told of a user, can be compared,
and not guessed by those who see it. Pure.

Several secrets are one after the other: the first makes digests, those that the others made are known again.
"""

import hashlib
import hmac
import re
from dataclasses import dataclass, field
from typing import Final

LEAST_CHARACTERS: Final = 32
_MOST: Final = 4


class BadSecret(ValueError):
    """What RESPOOL_SECRET says cannot be used; the text says why, without the secret."""


@dataclass(frozen=True, slots=True)
class Keyed:
    """Without a secret bodies have plain digests, and users no name of ours."""

    secrets: tuple[bytes, ...] = field(default=(), repr=False)

    @classmethod
    def parsed(cls, text: str) -> "Keyed":
        """From secrets with spaces or commas between. Raises BadSecret."""
        secrets = tuple(each.encode() for each in re.split(r"[\s,]+", text) if each)
        if any(len(each) < LEAST_CHARACTERS for each in secrets):
            raise BadSecret(f"a secret has at least {LEAST_CHARACTERS} characters")
        if len(secrets) > _MOST:
            raise BadSecret(f"there may be {_MOST} secrets at most")
        return cls(secrets)

    def fingerprint(self, owner: str, digest: str) -> str:
        """Of a tenant's body, by its digest: the one to keep, and behind it, with commas between, those that an earlier secret
        made, or none."""
        made = [self._digest(secret, "body", owner, digest) for secret in self.secrets]
        return ",".join([*made, digest])

    def user(self, owner: str, user: str) -> str | None:
        """What a tenant's user is called elsewhere, always the same; None without a secret."""
        return self._digest(self.secrets[0], "user", owner, user) if self.secrets else None

    @staticmethod
    def _digest(secret: bytes, *parts: str) -> str:
        text = "\0".join(("respool", *parts)).encode(errors="surrogatepass")
        return hmac.new(secret, text, hashlib.sha256).hexdigest()


NO_SECRET: Final = Keyed()


def kept(fingerprint: str) -> str:
    """Of what `fingerprint` made, the one to keep."""
    return fingerprint.partition(",")[0]


def same(made_for: str, fingerprint: str) -> bool:
    """Whether what was kept is one of those that `fingerprint` made."""
    return made_for in fingerprint.split(",")
