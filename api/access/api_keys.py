"""An API key as text: `rsp_<id>_<secret>_<checksum>`. Pure.

The id says which key it is and is told to operators; the secret, 32 random bytes, is what only its holder has; the checksum
tells a key that was cut short or mistyped from one that is not known, before anything is asked or computed.
"""

import re
import secrets
import zlib
from base64 import b32encode
from typing import Final, NamedTuple

from broker.api_keys import KEY_ID

_SHAPE: Final = re.compile(rf"(rsp_({KEY_ID})_[a-z2-7]{{52}})_([0-9a-f]{{8}})".encode())


class ApiKey(NamedTuple):
    """`text`: the whole of it, which nothing may keep or show."""

    id: str
    text: bytes


def new_key() -> ApiKey:
    """One that there was never before."""
    id_ = _base32(secrets.token_bytes(10))
    text = f"rsp_{id_}_{_base32(secrets.token_bytes(32))}".encode()
    return ApiKey(id_, b"%b_%08x" % (text, zlib.crc32(text)))


def read_key(text: bytes) -> ApiKey | None:
    """None for what is no key."""
    if len(text) > 128 or (match := _SHAPE.fullmatch(text)) is None:
        return None
    return ApiKey(match[2].decode(), text) if b"%08x" % zlib.crc32(match[1]) == match[3] else None


def _base32(raw: bytes) -> str:
    return b32encode(raw).decode().rstrip("=").lower()
