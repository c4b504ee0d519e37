"""`python -m api.keys`: makes, lists, rotates and revokes API keys, in the Redis that the settings name.

A key is printed once, to standard output, with nothing else there; whoever loses it makes another.
"""

import argparse
import asyncio
import os
import re
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple

from pydantic import ValidationError

from api.access.api_keys import ApiKey, read_key
from api.access.gate import Scope
from api.access.peppers import Peppers
from api.audit.journal import Journal, open_journal
from api.audit.lines import Action
from api.audit.trail import BadAudit
from api.keys.everywhere import Everywhere
from api.keys.issuing import GRACE_MS, SCOPES, Issued, Issuer, KeyRefused
from api.keys.settings import KeySettings
from broker.api_keys import KEY_ID, LONGEST_NAME, KeyRecord, is_tenant
from broker.errors import BrokerError
from broker.settings import why
from broker.store.client import connect

_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


class _Operator(NamedTuple):
    """Who, for the audit log."""

    owner: str
    key: str = ""
    address: str = ""


class Wrong(Exception):
    """What was asked for cannot be; the text says why."""


def lasting(text: str) -> int:
    """ms of `90d`, `12h`, `30m`, `45s`, `0`. Raises ArgumentTypeError."""
    match = re.fullmatch(r"([0-9]{1,6})([smhd])|0", text)
    if match is None:
        raise argparse.ArgumentTypeError("a number and s, m, h or d, as in 90d")
    return 0 if text == "0" else int(match[1]) * _UNITS[match[2]] * 1000


def scopes_of(text: str) -> tuple[Scope, ...]:
    """Raises ArgumentTypeError."""
    words = frozenset(filter(None, re.split(r"[,\s]+", text)))
    if not words or not words <= frozenset(SCOPES):
        raise argparse.ArgumentTypeError(f"words of {', '.join(SCOPES)}, with commas between")
    return tuple(each for each in SCOPES if each in words)


def _tenant(text: str) -> str:
    if not is_tenant(text):
        raise argparse.ArgumentTypeError("up to 32 of a to z, 0 to 9, - and _, the first a letter or a digit")
    return text


def _name(text: str) -> str:
    if len(text) > LONGEST_NAME or not text.isprintable():
        raise argparse.ArgumentTypeError(f"up to {LONGEST_NAME} printable characters")
    return text


def _key_id(text: str) -> str:
    """Of an id, or of a whole key, of which no more is taken."""
    key = read_key(text.encode(errors="replace"))
    if key is not None:
        return key.id
    if not re.fullmatch(KEY_ID, text):
        raise argparse.ArgumentTypeError("the id of a key: what stands between its first two underscores")
    return text


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="python -m api.keys", description=__doc__)
    made.add_argument("--env-file", help="NAME=VALUE lines for what the environment does not set")
    ways = made.add_subparsers(dest="way", required=True)
    create = ways.add_parser("create", help="make a key, and print it: it is shown once")
    create.add_argument("--tenant", type=_tenant, required=True, help="whose generations it makes and sees")
    create.add_argument("--scopes", type=scopes_of, required=True, help=f"with commas between: {', '.join(SCOPES)}")
    create.add_argument(
        "--expires", type=lasting, metavar="90d", help="how long it is valid (not given: until revoked)"
    )
    create.add_argument("--name", type=_name, default="", help="what it is for, for people")
    create.add_argument(
        "--keep", type=Path, metavar="FILE", help="write it there too; one that is there and valid stays"
    )
    every = ways.add_parser("list", help="all keys, without what makes them keys")
    every.add_argument("--tenant", type=_tenant)
    rotate = ways.add_parser("rotate", help="make a key in the place of another, which is valid a while longer")
    rotate.add_argument("id", type=_key_id)
    rotate.add_argument(
        "--grace", type=lasting, default=GRACE_MS, metavar="24h", help="how much longer (0: not at all)"
    )
    revoke = ways.add_parser("revoke", help="let nobody in by a key any more")
    revoke.add_argument("id", type=_key_id)
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    asked = parser().parse_args(arguments)
    try:
        settings = KeySettings(_env_file=asked.env_file)
        if (peppers := settings.peppers) is None:
            raise Wrong("RESPOOL_API_KEY_PEPPER is not set: keys are hashed with it (docs/operations.md, API keys)")
        asyncio.run(_do(asked, settings, peppers))
    except ValidationError as error:
        return _fail(why(error))
    except KeyRefused as error:
        return _fail(str(error))
    except (Wrong, BadAudit, BrokerError, OSError) as error:
        return _fail(str(error) or type(error).__name__)
    return 0


def _fail(text: str) -> int:
    print(f"keys: {text}", file=sys.stderr)
    return 1


async def _do(asked: argparse.Namespace, settings: KeySettings, peppers: Peppers) -> None:
    journal = open_journal(settings.audit_log, "keys")  # what cannot be noted is not begun
    clients = [connect(cell.redis_url, connections=2, retries=1) for cell in settings.all_cells]
    store = Everywhere(clients)
    issuer = Issuer(store, peppers)
    try:
        match asked.way:
            case "create":
                if (made := await _create(asked, issuer, store, peppers)) is not None:
                    _note(journal, "key_create", made)
            case "rotate":
                issued = await issuer.rotate(asked.id, asked.grace)
                _note(journal, "key_rotate", issued.record)
                _show(issued)
            case "revoke":
                record = await issuer.revoke(asked.id)
                _note(journal, "key_revoke", record)
                _say(f"{record.id} of {record.tenant} is revoked: APIs refuse it within a second, or six")
            case _:
                records, now_ms = await issuer.all(asked.tenant)
                for line in table(records, now_ms):
                    print(line)
    finally:
        await asyncio.to_thread(journal.close)
        for client in clients:
            await client.aclose(close_connection_pool=True)


def _note(journal: Journal, action: Action, record: KeyRecord) -> None:
    """Done by whoever may run commands here: the tenant is the key's."""
    journal.note(action, _Operator(record.tenant), record.id, "command")


async def _create(asked: argparse.Namespace, issuer: Issuer, store: Everywhere, peppers: Peppers) -> KeyRecord | None:
    """The record of a key that was made; None where there was one."""
    file: Path | None = asked.keep
    if file is not None and (key := _in(file)) is not None:
        found = await store.read((key.id,))
        record = found.records[key.id]
        valid = record is not None and record.state(found.now_ms) == "live"
        if record is not None and valid and peppers.matches(key, record.pepper, record.digest):
            _say(f"{file} has a key that is valid: {record.id} of {record.tenant}")
            print(key.text.decode())
            return None
    issued = await issuer.create(asked.tenant, asked.scopes, asked.name, asked.expires)
    if file is not None:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as out:
            out.write(issued.text + "\n")
    _show(issued)
    return issued.record


def _in(file: Path) -> ApiKey | None:
    """The key that a file has."""
    try:
        return read_key(file.read_bytes().strip())
    except FileNotFoundError:
        return None


def _show(issued: Issued) -> None:
    record = issued.record
    until = "until it is revoked" if record.expires_ms is None else f"until {_time(record.expires_ms)}"
    _say(f"{record.id} of {record.tenant}: {', '.join(record.scopes)}; valid {until}. It is shown this once.")
    print(issued.text)


def _say(text: str) -> None:
    """Beside what is read by programs."""
    print(text, file=sys.stderr)


def table(records: Sequence[KeyRecord], now_ms: int) -> list[str]:
    """A line for each, under a line that says what stands where."""
    rows = [("ID", "TENANT", "STATE", "SCOPES", "CREATED", "ENDS", "PEPPER", "SUCCESSOR", "NAME")]
    for each in records:
        ends = each.revoked_ms if each.revoked_ms is not None else each.expires_ms
        rows.append(
            (
                each.id, each.tenant, each.state(now_ms), ",".join(each.scopes), _time(each.created_ms),
                "-" if ends is None else _time(ends), each.pepper, each.successor or "-", each.name,
            )
        )  # fmt: skip
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _time(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
