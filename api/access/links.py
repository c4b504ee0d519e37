"""View links: a signed token lets whoever has it read one generation, for some minutes. Pure.

A token is a JWT (RFC 7519) of one algorithm, whatever its head says. It names tenant, generation and link, so that nothing need
be kept of a link but that it was revoked. Its id begins with the time at which it was made: a generation's links may be revoked
up to a moment. Redis' clock gives that time, and the end; an end is held against the clock of whoever reads the token.
"""

import re
import secrets
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Final

import jwt

from broker.ids import cell_of, is_generation_id

USUAL_SECONDS: Final = 15 * 60
LONGEST_SECONDS: Final = 24 * 3600
_ALGORITHM: Final = "HS256"
_AUDIENCE: Final = "respool:view"
_CLAIMS: Final = ("aud", "exp", "jti", "gen", "own", "red")
_MOST_BYTES: Final = 1024
"""Of a token. Ours have less than half of it."""
_MOST_KNOWN: Final = 8192
_DIGITS: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_LINK_ID: Final = re.compile(r"lnk_[0-9A-HJKMNP-TV-Z]{10}[0-9A-HJKMNP-TV-Z]{16}", re.ASCII)


def new_link_id(made_ms: int) -> str:
    """`lnk_`, the time in ten characters of Crockford base32, and sixteen random ones."""
    bits = made_ms << 80 | secrets.randbits(80)
    return "lnk_" + "".join(_DIGITS[bits >> shift & 31] for shift in range(125, -1, -5))


def is_link_id(text: str) -> bool:
    """Whether `text` has the exact shape of a link's id (no such link need have been made)."""
    return _LINK_ID.fullmatch(text) is not None


def made_ms(link_id: str) -> int:
    """When the link of this id was made, by Redis' clock."""
    made = 0
    for digit in link_id[4:14]:
        made = made << 5 | _DIGITS.index(digit)
    return made


@dataclass(frozen=True, slots=True)
class Link:
    """What a token says. `owner` is the generation's tenant, `expires_ms` is on a whole second."""

    id: str
    owner: str
    generation: str
    redacted: bool
    expires_ms: int


class Links:
    """Makes and reads tokens. The first of `secrets` signs; all of them are good for reading: a secret is changed by putting
    the new one in front, and taking the old one out when its last link has ended. Where none is set each cell has one of its
    own, which is learnt from its Redis."""

    def __init__(self, secrets: Mapping[str, bytes]) -> None:
        self._secrets = dict(secrets)
        self.learns = not secrets
        self._known: OrderedDict[bytes, Link] = OrderedDict()

    def learn(self, cell: int, secret: bytes) -> None:
        """The secret for generations of this cell, unless secrets are set."""
        if self.learns:
            self._secrets[f"cell-{cell}"] = secret

    def token(self, link: Link) -> str:
        """The link's token, which ends with it. Raises LookupError while the secret is not known."""
        kid = f"cell-{cell_of(link.generation)}" if self.learns else next(iter(self._secrets))
        secret = self._secrets[kid]
        claims = {
            "aud": _AUDIENCE, "exp": link.expires_ms // 1000, "jti": link.id, "gen": link.generation, "own": link.owner,
            "red": link.redacted,
        }  # fmt: skip
        return jwt.encode(claims, secret, _ALGORITHM, {"kid": kid})

    def read(self, token: bytes) -> Link | None:
        """What the token says, None if we have not signed it. Whether it has ended, or was revoked, is not looked at. What was
        found to be ours is remembered, as a digest, so that a crowd that comes back costs no signatures."""
        if len(token) > _MOST_BYTES:
            return None
        digest = blake2b(token, digest_size=16).digest()
        if (known := self._known.get(digest)) is not None:
            self._known.move_to_end(digest)
            return known
        link = self._verified(token)
        if link is not None:
            self._known[digest] = link
            if len(self._known) > _MOST_KNOWN:
                self._known.popitem(last=False)
        return link

    def _verified(self, token: bytes) -> Link | None:
        try:
            secret = self._secrets.get(jwt.get_unverified_header(token).get("kid", ""))
            if secret is None:
                return None
            claims: dict[str, Any] = jwt.decode(
                token, secret, algorithms=[_ALGORITHM], audience=_AUDIENCE,
                options={"require": list(_CLAIMS), "verify_exp": False},
            )  # fmt: skip
        except (jwt.PyJWTError, ValueError, TypeError):
            return None
        return _link_of(claims)


def _link_of(claims: Mapping[str, object]) -> Link | None:
    match claims:
        case {"jti": str(id_), "own": str(owner), "gen": str(generation), "red": bool(red), "exp": int(exp)}:
            if is_link_id(id_) and is_generation_id(generation) and 0 < exp < 1 << 40:
                return Link(id_, owner, generation, red, exp * 1000)
    return None
