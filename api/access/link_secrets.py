"""The secrets that view links are signed with. Pure.

The setting is `<kid>:<secret>`, several with commas between: the first signs, links of the others are good as well.
"""

import hmac
import re
from hashlib import sha256
from typing import Final

_KID: Final = re.compile(r"[A-Za-z0-9_-]{1,32}", re.ASCII)
_LEAST_SECRET: Final = 32


def derived(secret: bytes, purpose: bytes) -> bytes:
    """A secret of 32 bytes for this purpose alone (HKDF with SHA-256 and no salt, RFC 5869)."""
    return hmac.digest(hmac.digest(bytes(32), secret, sha256), purpose + b"\x01", sha256)


def link_secrets_of(text: str) -> dict[str, bytes]:
    """The secrets of `<kid>:<secret>`, with commas between. Raises ValueError with a sentence that has nothing of them."""
    found: dict[str, bytes] = {}
    for part in filter(None, map(str.strip, text.split(","))):
        kid, _, secret = part.partition(":")
        if not _KID.fullmatch(kid):
            raise ValueError("each is written kid:secret, where kid is 1 to 32 letters, digits, `-` or `_`")
        if len(secret.encode()) < _LEAST_SECRET:
            raise ValueError(f"each secret has at least {_LEAST_SECRET} characters: `openssl rand -hex 32` makes one")
        if kid in found:
            raise ValueError("a kid is given twice: each secret needs its own")
        found[kid] = secret.encode()
    return found
