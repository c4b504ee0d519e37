"""What was read of a generation, opened. What is plain passes as it is, and costs a look at the last entry of each run."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Final, NamedTuple

from broker.errors import PayloadUnreadable
from broker.events import END, OPENED, WITHDRAW, Entry, Run
from broker.ids import EntryId
from broker.record import Record
from broker.sealing import Damaged, Seal, has_sealed_words, is_sealed
from broker.store.vault import Vault

_AT_ONCE: Final = 1000
_SEALED: Final = "It is sealed with a key that this server does not have."


MAY_BE_SEALED: Final = frozenset((*OPENED, END, WITHDRAW))
"""Kinds of entries at which `opened` must look."""


class Wrapped(NamedTuple):
    """A data key as its record has it, and whose generation it is."""

    wrapped: bytes
    tenant: str


async def runs(
    vault: Vault, id_: str, found: Sequence[Run], key_of: Callable[[str], Awaitable[Wrapped | None]]
) -> list[Run]:
    """Of an attempt either all that a worker has written is sealed, or nothing is. Raises PayloadUnreadable."""
    if not any(is_sealed(*run.contents[-1]) for run in found):
        return list(found)
    seal = vault.known(id_)
    if seal is None:
        key = await key_of(id_)
        if key is None:
            if not any(kind in OPENED for run in found for kind, _ in run.contents):
                return list(found)  # words that only look so
            raise PayloadUnreadable("its data key is gone")
        seal = await vault.of(id_, key.tenant, key.wrapped)
    try:
        return [await _opened(seal, run) if is_sealed(*run.contents[-1]) else run for run in found]
    except Damaged:
        raise _damaged(vault, id_) from None


async def _opened(seal: Seal, run: Run) -> Run:
    """In slices: a thousand take more than a millisecond."""
    if len(run.contents) <= _AT_ONCE:
        return seal.opened_run(run)
    (attempt, seq), contents = run
    found = list[tuple[bytes, bytes]]()
    for at in range(0, len(contents), _AT_ONCE):
        some = Run(EntryId(attempt, seq + at), contents[at : at + _AT_ONCE])
        found += seal.opened_run(some).contents
        await asyncio.sleep(0)
    return Run(run.first, found)


def opened(vault: Vault, id_: str, entries: list[Entry]) -> list[Entry]:
    """What was published in one message, opened once for all who see it; nothing where the log must be read instead: its key is
    not in hand, or does not open it."""
    first = entries[0]
    if first.kind not in OPENED and not is_sealed(first.kind, first.value):
        return entries
    seal = vault.known(id_)
    try:
        return [] if seal is None else seal.opened(entries)
    except Damaged:
        vault.forget(id_)
        return []


async def record(vault: Vault, found: Record) -> Record:
    """With its request and its end opened. An end that cannot be opened is told without its message. Raises PayloadUnreadable
    if there is a request that cannot."""
    if not found.sealed:
        return found
    if found.request is not None:
        found = replace(found, request=await request(vault, found, found.request))
    if found.end is None or not has_sealed_words(found.end):
        return found
    try:
        seal = await vault.of(found.id, found.owner, found.sealed)
        return replace(found, end=seal.opened_end(found.end))
    except (PayloadUnreadable, Damaged):
        return replace(found, end={**found.end, "message": _SEALED})


async def request(vault: Vault, found: Record, stored: bytes) -> bytes:
    """The request of this record, as it was asked. Raises PayloadUnreadable."""
    if not found.sealed:
        return stored
    seal: Seal = await vault.of(found.id, found.owner, found.sealed)
    try:
        return seal.opened_request(stored)
    except Damaged:
        raise _damaged(vault, found.id) from None


def _damaged(vault: Vault, id_: str) -> PayloadUnreadable:
    """The key in hand may be of a record that is gone since."""
    vault.forget(id_)
    return PayloadUnreadable("it is damaged, or sealed with another key")
