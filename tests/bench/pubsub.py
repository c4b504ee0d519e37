"""`python -m tests.bench.pubsub`: the API with redis-py's own subscriber in the place of ours, to see what ours buys."""

import asyncio
import sys

from redis.asyncio.client import PubSub
from redis.exceptions import RedisError

from api.__main__ import main
from api.viewing import hub
from api.viewing.subscription import Listener
from broker.store.client import connect

_PAUSE_SECONDS = 0.2


class Subscriber:
    """As our Subscription, as one writes it with the library: a loop over `get_message`. What comes in one read is not
    known here, so each message is told by itself."""

    def __init__(self, url: str, listener: Listener) -> None:
        self._redis = connect(url)
        self._listener = listener
        self._commands: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue(10_000)

    def subscribe(self, channel: bytes) -> None:
        self._commands.put_nowait(("subscribe", channel))

    def unsubscribe(self, channel: bytes) -> None:
        self._commands.put_nowait(("unsubscribe", channel))

    async def run(self) -> None:
        while True:
            pubsub: PubSub = self._redis.pubsub()
            try:
                await pubsub.connect()  # type: ignore[no-untyped-call]
                self._listener.live_up()
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._obey(pubsub))
                    group.create_task(self._listen(pubsub))
            except* (RedisError, OSError):
                self._listener.live_down()
                await asyncio.sleep(_PAUSE_SECONDS)
            finally:
                await pubsub.aclose()  # type: ignore[no-untyped-call]

    async def _obey(self, pubsub: PubSub) -> None:
        while True:
            command, channel = await self._commands.get()
            await getattr(pubsub, command)(channel)

    async def _listen(self, pubsub: PubSub) -> None:
        while True:
            if not pubsub.subscribed:
                await asyncio.sleep(0.01)
                continue
            message = await pubsub.get_message(timeout=1.0)
            if message is None:
                continue
            if message["type"] == "message":
                self._listener.published(message["channel"], message["data"])
                self._listener.read()
            elif message["type"] == "subscribe":
                self._listener.subscribed(message["channel"])


if __name__ == "__main__":
    hub.Subscription = Subscriber  # type: ignore[assignment, attr-defined]
    sys.exit(main())
