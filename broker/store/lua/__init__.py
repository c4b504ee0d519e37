"""The atomic steps, one file each, and how they are sent. In front of a script that begins with `-- uses a, b` the loader puts
a.lua and b.lua.

What the scripts are told and answer is typed in log_steps.py, appends.py and coordination_steps.py beside this folder.
"""

import hashlib
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from functools import wraps
from importlib.resources import files
from typing import Any, Concatenate, Generic, ParamSpec, Protocol, TypeVar

from arq.connections import ArqRedis
from redis.asyncio.client import Pipeline
from redis.exceptions import NoScriptError

from broker.errors import StorageRefused
from broker.store.client import storage_error, storage_errors

Argument = bytes | str | int
T = TypeVar("T", covariant=True)
P = ParamSpec("P")


class Script:
    """One script, run by its SHA; sent in full where the server does not know it yet (or no longer, after a restart)."""

    def __init__(self, name: str) -> None:
        self.text = _assemble(name)
        self.sha = hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest()

    async def __call__(self, redis: ArqRedis, keys: Sequence[str], args: Sequence[Argument]) -> object:
        try:
            return await redis.execute_command("EVALSHA", self.sha, len(keys), *keys, *args)  # type: ignore[no-untyped-call]
        except NoScriptError:
            return await redis.execute_command("EVAL", self.text, len(keys), *keys, *args)  # type: ignore[no-untyped-call]


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """One call of a script, not made yet: the keys that it touches, which are in one slot of a cluster, its arguments, and how
    its reply reads."""

    script: Script
    keys: Sequence[str]
    args: Sequence[Argument]
    read: Callable[[Any], T]

    async def run(self, redis: ArqRedis) -> T:
        """Raises StorageUnavailable, StorageFull, StorageForbidden or StorageRefused."""
        with storage_errors():
            reply = await self.script(redis, self.keys, self.args)
        return self.read(reply)

    def queue(self, pipe: Pipeline) -> None:
        """Adds the call to a transaction, in full: the other commands of one that says NoScriptError would run beside it."""
        pipe.execute_command("EVAL", self.script.text, len(self.keys), *self.keys, *self.args)


async def run_all(redis: ArqRedis, calls: Sequence[Call[T]]) -> list[T | StorageRefused]:
    """The replies to many calls, in one trip; those that the server did not know the script for are made again. A call that is
    refused for a reason of its own, such as a key of another type, is answered with the error; any other error is raised."""
    pipe = redis.pipeline(transaction=False)
    for call in calls:
        pipe.execute_command("EVALSHA", call.script.sha, len(call.keys), *call.keys, *call.args)
    with storage_errors():
        replies = await pipe.execute(raise_on_error=False)
    return [await _read(redis, call, reply) for call, reply in zip(calls, replies, strict=True)]


async def _read(redis: ArqRedis, call: Call[T], reply: object) -> T | StorageRefused:
    if isinstance(reply, NoScriptError):
        return await call.run(redis)
    if not isinstance(reply, Exception):
        return call.read(reply)
    if isinstance(error := storage_error(reply), StorageRefused):
        return error
    raise error


class Role(Protocol):
    """A role of Redis: who runs its steps."""

    redis: ArqRedis


def step(make: Callable[P, Call[T]]) -> Callable[Concatenate[Role, P], Coroutine[Any, Any, T]]:
    """The method of a role that makes this call at once: same parameters, same reply. Raises as `Call.run`."""

    @wraps(make)
    async def run(role: Role, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await make(*args, **kwargs).run(role.redis)

    return run


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
