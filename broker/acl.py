"""The two users of Redis, API and worker, each with the keys, channels and commands that it needs and no others. Pure.

What an intruder in one process cannot do then: the API takes no jobs, reads no whole keyspace, and rewrites nothing of the
server's settings; a worker reads neither who has which key nor who submitted what under which. Both may do everything to a
generation that scripts do: that is their work.

    python -m broker.acl --api-password-file A --worker-password-file W  >> users.acl

prints two lines of an ACL file (`aclfile` in the server's configuration), with the passwords' SHA-256 alone.
"""

import argparse
import hashlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, Literal, get_args

Role = Literal["api", "worker"]
ROLES: Final[Sequence[Role]] = get_args(Role)
BOTH: Final = frozenset(ROLES)
API: Final = frozenset[Role]({"api"})
WORKER: Final = frozenset[Role]({"worker"})

KEYS: Final[Mapping[str, frozenset[Role]]] = {
    "{gen_*}:record": BOTH,
    "{gen_*}:log": BOTH,
    "{gen_*}:was": BOTH,
    "{gen_*}:webhook": BOTH,
    "{gen_*}:sync": BOTH,
    "respool:due": BOTH,
    "respool:expiring": BOTH,
    "respool:starting": BOTH,
    "respool:running": BOTH,
    "respool:tenants": BOTH,
    "respool:index:*": BOTH,
    "respool:*:index:*": BOTH,
    "respool:tag:*": BOTH,
    "respool:*:tag:*": BOTH,
    "respool:tags:*": BOTH,
    "respool:name:*": API,
    "respool:*:name:*": API,
    "respool:unshown:*": API,
    "respool:*:unshown:*": API,
    "respool:rate:*": API,
    "respool:*:rate:*": API,
    "respool:used": BOTH,
    "respool:*:used": BOTH,
    "respool:charges": BOTH,
    "respool:*:charges": BOTH,
    "respool:queue": BOTH,
    "respool:*:queue": BOTH,
    "respool:turns": BOTH,
    "respool:turns:*": BOTH,
    "respool:coming": BOTH,
    "respool:pace": BOTH,
    "respool:slots": BOTH,
    "respool:queue:health-check": WORKER,
    "respool:wake": BOTH,
    "respool:webhooks": BOTH,
    "respool:archive": BOTH,
    "respool:erasing": BOTH,
    "respool:erased": BOTH,
    "respool:erased:newest": BOTH,
    "respool:rewritten:*": WORKER,
    "respool:archive:swept": WORKER,
    "respool:idem:*": API,
    "respool:sync": BOTH,
    "respool:worker:*": WORKER,
    "respool:identity": BOTH,
    "respool:pepper": API,
    "respool:sealing:*": API,
    "respool:recovered": WORKER,
    "respool:recovering": WORKER,
    "respool:logs:*": BOTH,
    "respool:upstream:*": WORKER,
    "respool:upstreams": WORKER,
    "respool:held": BOTH,
    "respool:weights": API,
    "respool:key:*": API,
    "respool:keys": API,
    "respool:links:revoked": API,
    "respool:links:secret": API,
    "respool:cell": BOTH,
    "respool:probe": BOTH,
    "arq:job:*": BOTH,
    "arq:in-progress:*": BOTH,
}
"""Patterns of keys, and who needs what they match."""
CHANNELS: Final[Mapping[str, frozenset[Role]]] = {"{gen_*}:live": BOTH, "respool:cancel": BOTH, "respool:revoked": API}

_CONNECTING: Final = "auth hello ping echo select client|setname client|setinfo reset quit"
_ASKING: Final = "info time role config|get cluster|slots wait waitaof dbsize"
"""About the server: whether it persists, what it is, whether a write is safe. None of it changes anything."""
_TRANSACTIONS: Final = "multi exec discard watch unwatch eval evalsha script|load"
_READING: Final = (
    "exists get getex pttl hget hgetall hkeys hmget hstrlen hvals memory|usage xlen xrange xrevrange zcard zcount zmscore "
    "zrange zrangebyscore zrank "
    "zrevrangebyscore zscore"
)
_WRITING: Final = (
    "copy del hdel hincrby hset hsetnx lpush ltrim pexpire psetex set unlink xadd xtrim zadd zrem zremrangebyrank "
    "zremrangebyscore publish spublish"
)
COMMANDS: Final[Mapping[Role, str]] = {
    "api": f"{_CONNECTING} {_ASKING} {_TRANSACTIONS} {_READING} {_WRITING} lpop mget zrangebylex "
    "ssubscribe sunsubscribe subscribe unsubscribe",
    "worker": f"{_CONNECTING} {_ASKING} {_TRANSACTIONS} {_READING} {_WRITING} blmpop zpopmin scan subscribe unsubscribe "
    "bgrewriteaof",
}
"""What each calls, by itself or in a script. Jobs are taken (`zpopmin`, `blmpop`) and the keyspace is read (`scan`) by workers
alone, generations are followed (`ssubscribe`), and API keys read, by the API alone."""


def rules(role: Role) -> Iterator[str]:
    """The rules of the user of this role, for `ACL SETUSER` behind `on` and a password."""
    yield "resetkeys"
    yield from (f"~{pattern}" for pattern, roles in KEYS.items() if role in roles)
    yield "resetchannels"
    yield from (f"&{pattern}" for pattern, roles in CHANNELS.items() if role in roles)
    yield "-@all"
    yield from (f"+{command}" for command in COMMANDS[role].split())


def user(role: Role) -> str:
    """Its name."""
    return f"respool-{role}"


def line(role: Role, password: str) -> str:
    """A line of an ACL file. The password is not in it."""
    digest = hashlib.sha256(password.encode()).hexdigest()
    return " ".join(("user", user(role), "on", "resetpass", f"#{digest}", *rules(role)))


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints the lines. A password that is empty or too short to keep anybody out ends it with a word."""
    parser = argparse.ArgumentParser(prog="python -m broker.acl", description="Lines of an ACL file for Redis.")
    for role in ROLES:
        parser.add_argument(f"--{role}-password-file", type=Path, required=True)
    given = vars(parser.parse_args(arguments))
    for role in ROLES:
        try:
            password = given[f"{role}_password_file"].read_text().strip()
        except OSError as error:
            sys.exit(f"--{role}-password-file: {error.strerror}")
        if len(password) < MIN_LENGTH:
            sys.exit(f"--{role}-password-file: a password must have at least {MIN_LENGTH} characters")
        print(line(role, password))


MIN_LENGTH: Final = 16

if __name__ == "__main__":
    main()
