"""What a request says of who asks: an API key, in one of two headers, or a view link's token in the query. Pure.

It says so once. Two that name somebody could be read differently by a proxy and by us, so they name nobody.
"""

from collections.abc import Iterable
from typing import Final, Literal, NamedTuple
from urllib.parse import unquote_to_bytes

from api.access.gate import Header, Refusal

TOKEN: Final = b"token"
"""The parameter of the query that has a view link's token."""
SUBPROTOCOL: Final = b"respool.bearer."
"""How an entry of `Sec-WebSocket-Protocol` begins that stands for `Authorization: Bearer`: a page can send no other header."""
_NAMES: Final = (b"authorization", b"x-api-key")
NOBODY: Final = Refusal()
SAID_TWICE: Final = Refusal(detail="Who asks is named more than once: in headers, or in a header and the query.")
NO_BEARER: Final = Refusal(detail="`Authorization` is `Bearer` and an API key.")


class Credential(NamedTuple):
    """`key`: from a header; `token`: from the query."""

    kind: Literal["key", "token"]
    text: bytes


def credential(target: bytes, headers: Iterable[Header]) -> Credential | Refusal:
    """The one that there is."""
    named = [header for header in headers if header[0] in _NAMES]
    in_query = _in_query(target) if b"?" in target else []
    if len(named) + len(in_query) == 1:
        return in_query[0] if in_query else _in_header(*named[0])
    return SAID_TWICE if named or in_query else NOBODY


def with_subprotocols(headers: Iterable[Header]) -> list[Header]:
    """The headers of what opens a WebSocket, with what its subprotocols say of who asks."""
    found = list(headers)
    offered = (
        entry.strip() for name, value in found if name == b"sec-websocket-protocol" for entry in value.split(b",")
    )
    said = [entry.removeprefix(SUBPROTOCOL) for entry in offered if entry.startswith(SUBPROTOCOL)]
    return [*found, *((b"authorization", b"Bearer " + text) for text in said)]


def _in_header(name: bytes, value: bytes) -> Credential | Refusal:
    if name == b"x-api-key":
        return Credential("key", value)
    scheme, _, text = value.partition(b" ")
    return Credential("key", text) if scheme.lower() == b"bearer" else NO_BEARER


def _in_query(target: bytes) -> list[Credential]:
    parts = (part.partition(b"=") for part in target.partition(b"?")[2].split(b"&"))
    return [Credential("token", value) for name, _, value in parts if unquote_to_bytes(name) == TOKEN]
