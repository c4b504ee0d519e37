"""The server tool of a run: it takes a while, tells of it, and finds what it never found before. So a call that is made
again has another result, and whoever shows both is found out."""

import asyncio
import secrets
from collections.abc import AsyncIterator


async def find(seconds: float) -> AsyncIterator[str]:
    """Finds something."""
    yield "looking"
    await asyncio.sleep(seconds)
    yield secrets.token_hex(8)
