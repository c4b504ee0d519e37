"""Waiting for a generation's end without watching it: one future for each who waits, none of whom costs anything per token; and
for anything new (`wait_for_more`), as a viewer.

The end comes as it comes to viewers: through the hub's feed, and not before it is safe. Whoever waits reads the record then, as
it would have without waiting: an answer may be that of a generation that goes on, where the hub lets go of all who wait (it
drains, or the log has gone).
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from api.access.gate import Principal
from api.viewing.admissions import Closed
from api.viewing.hub import Hub
from api.viewing.rendition import View
from broker.ids import EntryId
from broker.replies import Visit

LONGEST_SECONDS: Final = 60


async def wait_for_end(
    hub: Hub, id_: str, visit: Visit, who: Principal, seconds: float, gone: Callable[[], Awaitable[object]]
) -> bool:
    """Returns when the end of this generation, of which `visit` was found, may be shown, after so many seconds, or when `gone`
    returns, which tells that who asked has left; whether it is still there. Raises Closed if what let it in has ended."""
    end = hub.await_end(id_, visit.owner, abandonable=visit.abandonable)
    closed = asyncio.Event()
    admission = hub.admissions.enter(who, id_, lambda _: closed.set())
    leaving, closing = asyncio.ensure_future(gone()), asyncio.ensure_future(closed.wait())
    try:
        await asyncio.wait((end, leaving, closing), timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if closed.is_set():
            raise Closed
        return not leaving.done()
    finally:
        hub.await_no_more(id_, end)
        hub.admissions.leave(admission)
        leaving.cancel()
        closing.cancel()
        await asyncio.wait((leaving, closing))


async def wait_for_more(
    hub: Hub, id_: str, cursor: EntryId, view: View, visit: Visit, who: Principal, seconds: float,
    gone: Callable[[], Awaitable[object]],
) -> bool:  # fmt: skip
    """Returns when something behind the cursor may be shown of a generation that goes on, after so many seconds, when what is
    there is shown to nobody here any more, or when `gone` returns, which tells that who asked has left; whether that one may go
    on. Meanwhile it is a viewer."""
    woken = asyncio.Event()
    viewer = hub.attach(id_, cursor, view, who=who, ended=False, owner=visit.owner, abandonable=visit.abandonable)
    viewer.wake = woken.set
    leaving = asyncio.ensure_future(gone())
    until = asyncio.get_running_loop().time() + seconds
    try:
        while not leaving.done():
            woken.clear()
            if viewer.take() or viewer.done is not None or (left := until - asyncio.get_running_loop().time()) <= 0:
                break
            waking = asyncio.ensure_future(woken.wait())
            await asyncio.wait((waking, leaving), timeout=left, return_when=asyncio.FIRST_COMPLETED)
            waking.cancel()
        return viewer.done != "cut" and not leaving.done()
    finally:
        viewer.release()
        hub.detach(viewer)
        leaving.cancel()
        await asyncio.wait((leaving,))
