"""Payloads at rest: what is stored of a generation that has a data key is sealed with it. Pure.

AES-256-GCM, under three keys that HKDF makes of the data key, so that no two purposes share a nonce:

| what | nonce, 96 bits | authenticated with it |
|---|---|---|
| an entry's value | attempt (48 bits), seq (48 bits) | generation, kind |
| the request | random | generation |
| words: an error's message, the reason of a withdrawal | random | generation |

An id names the same bytes for ever, so an entry's nonce is used for one plaintext. A worker seals each seq of its attempt once,
keeps what came of it, and writes that again where Redis has lost it; `AttemptSeal` refuses a seq that it has sealed before.

The kind stays readable, in capitals (`events.SEALED`), as scripts and hubs look at it. Entries with seq 0 are the scripts' own:
they are plain, and hold nothing of a prompt or an answer but words.
"""

import base64
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from broker.events import END, OPENED, SEALED, WITHDRAW, Content, Entry, Run
from broker.ids import EntryId
from broker.record import Ending

_new = tuple.__new__
"""A NamedTuple by its own constructor takes twice as long."""
KEY_BYTES: Final = 32
OVERHEAD_BYTES: Final = 16
"""What an entry takes more than its value."""
_NONCE_BYTES: Final = 12
_SEQ_BITS: Final = 48
_SEQS: Final = (1 << _SEQ_BITS) - 1
_MARK: Final = "sealed:1:"
_MARKED: Final = b'"' + _MARK.encode()
_WORDS: Final = {END: "message", WITHDRAW: "reason"}
"""Which member of a script's entry is words."""


class Damaged(Exception):
    """What is stored cannot be opened with its generation's key: it was changed, cut off, or is another's."""


class SealedBefore(Exception):
    """An entry of this seq was sealed before: other bytes under its nonce would betray both."""


def new_data_key() -> bytes:
    return secrets.token_bytes(KEY_BYTES)


def derived(key: bytes, info: bytes) -> bytes:
    """A key for one purpose. `key` must be random itself."""
    return HKDFExpand(SHA256(), KEY_BYTES, info).derive(key)


def is_sealed(kind: bytes, value: bytes) -> bool:
    """Whether this entry cannot be shown without its generation's key."""
    return kind in OPENED or (kind in _WORDS and _MARKED in value)


def has_sealed_words(end: dict[str, object] | None) -> bool:
    """Whether the end's message is sealed."""
    return end is not None and str(end.get("message", "")).startswith(_MARK)


class Box:
    """Seals values under random nonces, which are stored in front of them: a few for each key. Raises Damaged."""

    __slots__ = ("_about", "_cipher")

    def __init__(self, key: bytes, about: bytes) -> None:
        self._cipher = AESGCM(key)
        self._about = about

    def sealed(self, value: bytes) -> bytes:
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, value, self._about)

    def opened(self, stored: bytes) -> bytes:
        try:
            return self._cipher.decrypt(stored[:_NONCE_BYTES], stored[_NONCE_BYTES:], self._about)
        except (InvalidTag, ValueError):
            raise Damaged from None


class Seal:
    """What opens all that is sealed of one generation, and seals it. What opens raises Damaged."""

    __slots__ = ("_cipher", "_decrypt", "_kinds", "_opening", "_request", "_words")

    def __init__(self, id_: str, data_key: bytes) -> None:
        id_bytes = id_.encode()
        self._cipher = AESGCM(derived(data_key, b"respool 1 entries"))
        self._decrypt = self._cipher.decrypt
        self._request = Box(derived(data_key, b"respool 1 request"), id_bytes)
        self._words = Box(derived(data_key, b"respool 1 words"), id_bytes)
        abouts = {plain: b"%b %b" % (id_bytes, plain) for plain in SEALED}
        self._kinds = {plain: (sealed, abouts[plain]) for plain, sealed in SEALED.items()}
        self._opening = {sealed: (plain, abouts[plain]) for plain, sealed in SEALED.items()}

    # -- entries

    def of_attempt(self, attempt: int) -> "AttemptSeal":
        return AttemptSeal(self._cipher, self._kinds, attempt)

    def opened(self, entries: Sequence[Entry]) -> list[Entry]:
        """Entries whose ids count on."""
        decrypt, opening, found = self._decrypt, self._opening, []
        try:
            for id_, kind, value in entries:  # as `_contents`: once for each token
                plain, about = opening[kind]
                nonce = (id_[0] << _SEQ_BITS | id_[1]).to_bytes(_NONCE_BYTES, "big")
                found.append(_new(Entry, (id_, plain, decrypt(nonce, value, about))))
        except KeyError:
            (attempt, seq), _, _ = entries[0]
            contents = self._contents(entries[0].id, [(kind, value) for _, kind, value in entries])
            return [Entry(EntryId(attempt, at), kind, value) for at, (kind, value) in enumerate(contents, seq)]
        except (InvalidTag, ValueError, OverflowError):
            raise Damaged from None
        return found

    def opened_run(self, run: Run) -> Run:
        return Run(run.first, self._contents(run.first, run.contents))

    def _contents(self, first: EntryId, contents: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        nonce = first.attempt << _SEQ_BITS | first.seq
        decrypt, opening, found = self._decrypt, self._opening, []
        try:
            for kind, value in contents:
                if (known := opening.get(kind)) is not None:
                    plain, about = known
                    found.append((plain, decrypt(nonce.to_bytes(_NONCE_BYTES, "big"), value, about)))
                else:
                    if nonce & _SEQS:
                        raise Damaged  # a worker's entry is sealed: this one somebody else has put there
                    found.append((kind, self._of_a_script(kind, value)))
                nonce += 1
        except (InvalidTag, ValueError, OverflowError):
            raise Damaged from None
        return found

    def _of_a_script(self, kind: bytes, value: bytes) -> bytes:
        name = _WORDS.get(kind)
        if name is None or _MARKED not in value:
            return value
        told = orjson.loads(value)
        told[name] = self.opened_words(told[name])
        return orjson.dumps(told)

    # -- the request, and words

    def sealed_request(self, request: bytes) -> bytes:
        return self._request.sealed(request)

    def opened_request(self, stored: bytes) -> bytes:
        return self._request.opened(stored)

    def sealed_words(self, words: str) -> str:
        return _MARK + base64.urlsafe_b64encode(self._words.sealed(words.encode())).decode()

    def opened_words(self, stored: str) -> str:
        """What is not sealed is a script's: nobody's words."""
        if not stored.startswith(_MARK):
            return stored
        try:
            return self._words.opened(base64.urlsafe_b64decode(stored.removeprefix(_MARK))).decode()
        except ValueError:
            raise Damaged from None

    def sealed_ending(self, ending: Ending) -> Ending:
        """The end as a script is told it."""
        message = self.sealed_words(ending.message) if ending.message else ""
        if not ending.withdraw:
            return replace(ending, message=message)
        told = orjson.loads(ending.withdraw)
        told[_WORDS[WITHDRAW]] = self.sealed_words(told[_WORDS[WITHDRAW]])
        return replace(ending, message=message, withdraw=orjson.dumps(told))

    def opened_end(self, end: dict[str, object]) -> dict[str, object]:
        """The end as the record has it, opened."""
        name = _WORDS[END]
        return {**end, name: self.opened_words(str(end[name]))} if name in end else end


class AttemptSeal:
    """Seals the entries of one attempt, each seq once, in their order."""

    __slots__ = ("_attempt", "_encrypt", "_kinds", "_through")

    def __init__(self, cipher: AESGCM, kinds: dict[bytes, tuple[bytes, bytes]], attempt: int) -> None:
        self._encrypt = cipher.encrypt
        self._kinds = kinds
        self._attempt = attempt << _SEQ_BITS
        self._through = 0

    def sealed(self, first: int, contents: Sequence[Content]) -> list[Content]:
        """Raises SealedBefore."""
        if first <= self._through:
            raise SealedBefore
        self._through = first + len(contents) - 1
        nonce = self._attempt | first
        encrypt, kinds, found = self._encrypt, self._kinds, []
        for kind, value in contents:
            sealed, about = kinds[kind]
            found.append(_new(Content, (sealed, encrypt(nonce.to_bytes(_NONCE_BYTES, "big"), value, about))))
            nonce += 1
        return found
