"""What is wrong with a request's head before anybody looks at what it asks for. Pure.

A proxy and the API behind it must read one request as one and the same: where two readers could differ (where a body ends,
which host is meant, which path a `%2f` makes) one of them can be made to let pass what it was told to refuse.
"""

import re
from collections.abc import Iterable

_ONCE = frozenset({b"host", b"content-length", b"transfer-encoding"})
_HOST = re.compile(rb"(?:[0-9a-z._-]+|\[[0-9a-f:.]+\])(?::[0-9]*)?", re.IGNORECASE)
_ABSOLUTE = re.compile(rb"https?://([^/?]*)(/.*)", re.IGNORECASE)
_SOCKET_KEY = re.compile(rb"[A-Za-z0-9+/]{22}==")
_AMBIGUOUS = re.compile(rb"[%\\#]|/\.\.?(?:/|$)")


def fault(target: bytes, version: str, headers: Iterable[tuple[bytes, bytes]]) -> str | None:
    """A sentence that says what is wrong, or None. `target` is that of the request line, header names are lower case. The
    sentence has nothing of the request in it."""
    once: dict[bytes, bytes] = {}
    for name, value in headers:
        if name in _ONCE:
            if name in once:
                return "Host, Content-Length and Transfer-Encoding are given at most once."
            once[name] = value
    host = once.get(b"host")
    if host is None:
        if version != "1.0":
            return "HTTP/1.1 needs a Host."
    elif not _HOST.fullmatch(host):
        return "Host is a name or an address, and a port where there is one."
    if b"transfer-encoding" in once and (wrong := _wrong_coding(once, version)):
        return wrong
    if version not in ("1.1", "1.0"):
        return "Only HTTP/1.1 and HTTP/1.0 are spoken here."
    return _wrong_target(target, host)


def _wrong_coding(once: dict[bytes, bytes], version: str) -> str | None:
    if once[b"transfer-encoding"].lower() != b"chunked":
        return "The only Transfer-Encoding is `chunked`."
    if b"content-length" in once:
        return "A body has a Content-Length or is chunked, not both."
    return None if version == "1.1" else "HTTP/1.0 has no chunks."


def _wrong_target(target: bytes, host: bytes | None) -> str | None:
    if not target.startswith(b"/"):
        absolute = _ABSOLUTE.fullmatch(target)
        if absolute is None:
            return "The request line names a path that begins with a slash."
        if host is None or absolute[1].lower() != host.lower():
            return "The request line names another host than Host."
        target = absolute[2]
    if _AMBIGUOUS.search(target.partition(b"?")[0]):
        return "No path here has `%`, a backslash, `#`, or a segment of dots alone."
    return None


def opens_socket(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Whether these are the headers of a GET that opens a WebSocket (RFC 6455, section 4.2.1)."""
    told: dict[bytes, bytes] = {}
    for name, value in headers:
        told[name] = told[name] + b"," + value if name in told else value
    connection = {token.strip().lower() for token in told.get(b"connection", b"").split(b",")}
    return (
        b"upgrade" in connection
        and told.get(b"upgrade", b"").strip().lower() == b"websocket"
        and told.get(b"sec-websocket-version", b"").strip() == b"13"
        and _SOCKET_KEY.fullmatch(told.get(b"sec-websocket-key", b"").strip()) is not None
    )
