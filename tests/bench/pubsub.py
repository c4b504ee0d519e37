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
    """As our Subscription, as one writes it with the library: a loop over its messages. What comes in one read is not
    known here, so each message is told by itself."""

    def __init__(self, url: str, listener: Listener) -> None:
        self._redis = connect(url)
        self._listener = listener
        self._commands: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue(10_000)
        self._channels: set[bytes] = set()
        self._up = False

    @property
    def up(self) -> bool:
        return self._up

    def subscribe(self, channel: bytes) -> None:
        self._channels.add(channel)
        self._commands.put_nowait(("SSUBSCRIBE", channel))

    def unsubscribe(self, channel: bytes) -> None:
        self._channels.discard(channel)
        self._commands.put_nowait(("SUNSUBSCRIBE", channel))

    async def run(self) -> None:
        while True:
            pubsub: PubSub = self._redis.pubsub()
            try:
                await pubsub.connect()  # type: ignore[no-untyped-call]
                self._up = True
                self._listener.live_up()
                for channel in self._channels:
                    self._commands.put_nowait(("SSUBSCRIBE", channel))
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._obey(pubsub))
                    group.create_task(self._listen(pubsub))
            except* (RedisError, OSError):
                self._up = False
                self._listener.lost(self._channels)
                await asyncio.sleep(_PAUSE_SECONDS)
            finally:
                await pubsub.aclose()  # type: ignore[no-untyped-call]

    async def _obey(self, pubsub: PubSub) -> None:
        while True:
            await pubsub.execute_command(*await self._commands.get())

    async def _listen(self, pubsub: PubSub) -> None:
        while True:
            message = await pubsub.parse_response(block=False, timeout=1.0)
            if message is None:
                continue
            if message[0] == b"smessage":
                self._listener.published(message[1], message[2])
                self._listener.read()
            elif message[0] == b"ssubscribe":
                self._listener.subscribed(message[1])


if __name__ == "__main__":
    hub.subscription_to = Subscriber  # type: ignore[assignment, attr-defined]
    sys.exit(main())
