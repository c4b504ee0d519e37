"""The atomic steps of webhooks as typed functions, as in log_steps.py and coordination_steps.py. Pure."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Final, cast

import orjson

from broker import keys
from broker.ids import EntryId
from broker.replies import Due, Redelivery
from broker.store.lua import Argument, Call, Script
from broker.webhooks import Delivery

_TRIED: Final = Script("tried")
_LAPSED: Final = Script("lapsed")
_REDELIVER: Final = Script("redeliver")
_DUE: Final = Script("webhooks_due")
_NEXT: Final = Script("webhooks_next")
_ADD: Final = Script("webhooks_add")

# -- logs


def tried(id_: str, end: EntryId, delivery: Delivery, again_ms: int | None) -> Call[bool]:
    """Notes what the latest try to tell this end came to: `delivery`, whose `tries` has that try in it. The next one is in
    `again_ms`; None: there is none. False if that end is not to be told any more, or somebody else has noted this try."""
    args: list[Argument] = [str(end), delivery.tries - 1, _said(delivery), "" if again_ms is None else again_ms]
    return Call(_TRIED, _both(id_), args, _is_one)


def lapsed(id_: str, end: EntryId, delivery: Delivery) -> Call[bool]:
    """Notes that this end was not told in time, if what it told has gone."""
    return Call(_LAPSED, _both(id_), [str(end), orjson.dumps(asdict(delivery))], _is_one)


def redeliver(id_: str) -> Call[Redelivery]:
    """Has the end told again, with tries that begin anew; coordination must hear of it next."""
    return Call(_REDELIVER, _both(id_), [_said(Delivery())], _redelivery)


def _redelivery(reply: bytes) -> Redelivery:
    return cast(Redelivery, reply.decode())


def _both(id_: str) -> list[str]:
    return [keys.record(id_), keys.webhook(id_)]


def _said(delivery: Delivery) -> bytes:
    """JSON without the time of the next try, which Redis's clock tells, and without the closing brace."""
    fields = asdict(delivery)
    del fields["next_at_ms"]
    return orjson.dumps(fields)[:-1]


# -- coordination


def due(limit: int, lease_ms: int) -> Call[Due]:
    """Takes up to `limit` generations whose webhooks are to be tried; nobody else gets them for `lease_ms`."""
    return Call(_DUE, [keys.WEBHOOKS], [limit, lease_ms, keys.INDEX_MS], _due)


def _due(reply: Sequence[Any]) -> Due:
    until_ms, *ids = reply
    return Due(int(until_ms), [raw.decode() for raw in ids])


def next_in(id_: str, until_ms: int, in_ms: int | None) -> Call[None]:
    """Sets when one that was taken until `until_ms` is looked at next; None: never. Nothing if somebody else has, meanwhile."""
    return Call(_NEXT, [keys.WEBHOOKS], [id_, until_ms, "" if in_ms is None else in_ms], _nothing)


def add(ids: Sequence[str], *, anew: bool) -> Call[None]:
    """Has webhooks tried now; `anew`: those too that have a place already."""
    return Call(_ADD, [keys.WEBHOOKS], [keys.INDEX_MS, int(anew), *ids], _nothing)


def _is_one(reply: int) -> bool:
    return reply == 1


def _nothing(_: object) -> None:
    return None
