"""Hears at once of API keys and view links that were revoked, on one channel. What is kept is the
truth; this makes it quick."""

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from arq.connections import ArqRedis
from redis.exceptions import RedisError

from broker import keys
from broker.refusals import word

log = logging.getLogger("respool.revocations")

_PAUSE_SECONDS: Final = 0.5
_LISTEN_SECONDS: Final = 5.0


async def listen(redis: ArqRedis, told: Callable[[str | None], object]) -> None:
    """Tells each message that this cell publishes, until cancelled; None when something may have been missed."""
    while True:
        try:
            async with redis.pubsub(ignore_subscribe_messages=True) as channel:
                await channel.subscribe(keys.REVOKED)
                told(None)
                while True:
                    message = await channel.get_message(timeout=_LISTEN_SECONDS)
                    if message is None:
                        await channel.ping()
                    elif message["type"] == "message":
                        told(message["data"].decode())
        except (RedisError, OSError) as error:
            log.warning("not hearing of what is revoked: %s", word(error))
            await asyncio.sleep(_PAUSE_SECONDS)
