"""A long document as an ASGI response: in pieces, each sent when the client has taken what was before it. They are shared by
all who get the document, so one who takes nothing holds no copy of it."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from api.delivery.asgi import Stalled
from api.delivery.uvicorn_direct import CUT

_PIECE_SECONDS: Final = 90.0
"""A client that takes nothing for so long is dropped."""
_SHORT: Final = 64 * 1024


class Parts(Response):
    """Its length is told in its head. A short one is one piece."""

    def __init__(self, parts: Sequence[bytes], *, headers: Mapping[str, str], media_type: str) -> None:
        size = sum(map(len, parts))
        self._parts = [b"".join(parts)] if size <= _SHORT else parts
        super().__init__(headers={**headers, "content-length": str(size)}, media_type=media_type)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        *before, last = self._parts
        try:
            for part in before:
                async with asyncio.timeout(_PIECE_SECONDS):
                    await send({"type": "http.response.body", "body": part, "more_body": True})
            async with asyncio.timeout(_PIECE_SECONDS):
                await send({"type": "http.response.body", "body": last})
        except TimeoutError:
            if (extension := scope.get("extensions", {}).get(CUT)) is None:
                raise Stalled from None
            await extension["cut"](0)
