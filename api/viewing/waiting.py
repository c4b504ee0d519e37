"""Waiting for a generation's end without watching it: one future for each who waits, none of whom costs anything per token.

The end comes as it comes to viewers: through the hub's feed, and not before it is safe. Whoever waits reads the record then, as
it would have without waiting: an answer may be that of a generation that goes on, where the hub lets go of all who wait (it
drains, or the log has gone).
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from api.viewing.hub import Hub
from broker.replies import Visit

LONGEST_SECONDS: Final = 60


async def wait_for_end(hub: Hub, id_: str, visit: Visit, seconds: float, gone: Callable[[], Awaitable[object]]) -> bool:
    """Returns when the end of this generation, of which `visit` was found, may be shown, after so many seconds, or when `gone`
    returns, which tells that who asked has left; whether it is still there."""
    end = hub.await_end(id_, visit.owner, abandonable=visit.abandonable)
    leaving = asyncio.ensure_future(gone())
    try:
        await asyncio.wait((end, leaving), timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        return not leaving.done()
    finally:
        hub.await_no_more(id_, end)
        leaving.cancel()
        await asyncio.wait((leaving,))
