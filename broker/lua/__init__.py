"""The atomic steps, one file each. In front of one that begins with `-- uses a, b` the loader puts a.lua and b.lua."""

import hashlib
from collections.abc import Sequence
from importlib.resources import files

from arq.connections import ArqRedis
from redis.asyncio.client import Pipeline
from redis.exceptions import NoScriptError

from broker.connect import storage_error
from broker.errors import StorageRefused

Argument = bytes | str | int


class Script:
    """One script, run by its SHA; sent in full where the server does not know it yet (or no longer, after a restart)."""

    def __init__(self, name: str) -> None:
        self.text = _assemble(name)
        self.sha = hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest()

    async def __call__(self, redis: ArqRedis, keys: list[str], args: list[Argument]) -> object:
        try:
            return await redis.execute_command("EVALSHA", self.sha, len(keys), *keys, *args)  # type: ignore[no-untyped-call]
        except NoScriptError:
            return await redis.execute_command("EVAL", self.text, len(keys), *keys, *args)  # type: ignore[no-untyped-call]

    async def each(self, redis: ArqRedis, calls: Sequence[tuple[list[str], list[Argument]]]) -> list[object]:
        """The replies to many calls, in one trip; those that the server did not know the script for are made again. A call that
        is refused for a reason of its own, such as a key of another type, is answered with the error."""
        pipe = redis.pipeline(transaction=False)
        for call in calls:
            self.queue(pipe, *call)
        replies: list[object] = await pipe.execute(raise_on_error=False)
        for at, reply in enumerate(replies):
            if isinstance(reply, NoScriptError):
                replies[at] = await self(redis, *calls[at])
            elif isinstance(reply, Exception) and not isinstance(storage_error(reply), StorageRefused):
                raise reply
        return replies

    def queue(self, pipe: Pipeline, keys: list[str], args: list[Argument]) -> None:
        """Adds the call to a pipeline; its reply may be NoScriptError, upon which the caller loads and repeats."""
        pipe.execute_command("EVALSHA", self.sha, len(keys), *keys, *args)

    def queue_in_full(self, pipe: Pipeline, keys: list[str], args: list[Argument]) -> None:
        """Adds the call to a transaction, whose other commands would run beside one that says NoScriptError."""
        pipe.execute_command("EVAL", self.text, len(keys), *keys, *args)

    async def load(self, redis: ArqRedis) -> None:
        await redis.execute_command("SCRIPT LOAD", self.text)  # type: ignore[no-untyped-call]


def _assemble(name: str) -> str:
    """The script's text; a `#!lua` line must stay the first."""
    here = files(__package__)
    text = (here / f"{name}.lua").read_text()
    shebang = ""
    if text.startswith("#!"):
        shebang, _, text = text.partition("\n")
        shebang += "\n"
    used = text.removeprefix("-- uses ").partition("\n")[0].split(", ") if text.startswith("-- uses ") else []
    return shebang + "".join((here / f"{each}.lua").read_text() for each in used) + text
