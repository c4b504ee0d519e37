"""Hears of cancels as they are asked for. The record is the truth and every append tells of it; this makes it quick."""

import asyncio
import logging

from arq.connections import ArqRedis
from redis.exceptions import RedisError

from broker import keys
from broker.refusals import word
from broker.store.cluster import servers_of
from worker.log.appender import Appender

log = logging.getLogger("respool.cancels")

_PAUSE_SECONDS = 0.25
_LISTEN_SECONDS = 5.0


async def listen(redis: ArqRedis, appender: Appender) -> None:
    """Stops the attempts whose ids are published, until cancelled. While it is not connected, cancels come a little later."""
    while True:
        try:
            server, *_ = await servers_of(redis)  # any of a cluster's: it is published to all
            async with server.pubsub(ignore_subscribe_messages=True) as channel:
                await channel.subscribe(keys.CANCELS)
                while True:
                    message = await channel.get_message(timeout=_LISTEN_SECONDS)
                    if message is None:
                        await channel.ping()
                    elif message["type"] == "message":
                        writer = appender.writer(message["data"].decode())
                        if writer is not None:
                            writer.stop("cancelled")
        except (RedisError, OSError) as error:
            log.warning("not hearing of cancels: %s", word(error))
            await asyncio.sleep(_PAUSE_SECONDS)
