"""What a webhook tells, in the form of Standard Webhooks. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import orjson
from standardwebhooks import Webhook

from broker.record import Record
from broker.summary import summary
from broker.webhooks import webhook_id

MOST_BYTES: Final = 20_000
_LEAST: Final = ("id", "object", "state", "model", "created_at_ms", "finished_at_ms", "url")
"""Of the record, where all of it is too large."""


@dataclass(frozen=True, slots=True)
class Message:
    """The same for every try, but for the time at which it is signed."""

    id: str
    body: bytes

    def headers(self, signers: Sequence[Webhook], now: datetime) -> Mapping[str, str]:
        """With a signature for each secret. `now` is in UTC."""
        said = self.body.decode()
        return {
            "webhook-id": self.id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": " ".join(signer.sign(self.id, now, said) for signer in signers),
            "content-type": "application/json",
        }


def message(record: Record) -> Message:
    """Tells how a generation has ended: its record without its text, and where that is."""
    assert record.terminal_id is not None
    told: dict[str, object] = {**summary(record), "url": f"/v1/generations/{record.id}"}
    body = _body(record, told)
    if len(body) > MOST_BYTES:
        body = _body(record, {name: told[name] for name in _LEAST if name in told})
    return Message(webhook_id(record.id, record.terminal_id), body)


def _body(record: Record, told: Mapping[str, object]) -> bytes:
    ended = datetime.fromtimestamp((record.finished_ms or 0) / 1000, UTC)
    at = ended.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return orjson.dumps({"type": f"generation.{record.state}", "timestamp": at, "data": told})
