"""Somebody asks for a generation's end."""

from api.access.gate import Principal
from api.audit.journal import Journal
from api.routes.service import Service
from broker.errors import AlreadyEnded
from broker.record import Record


async def cancel_for(service: Service, journal: Journal, who: Principal, id_: str) -> tuple[Record, bool]:
    """The record, and whether it has ended by this, or by an earlier cancel: if not, its worker has been told. Raises
    UnknownGeneration (of what is not there for the one who asks, too), ExpiredGeneration; AlreadyEnded of what has ended
    otherwise."""
    await service.refuse_unless_seen(id_, who)
    try:
        outcome = await service.logs.cancel(id_)
    except AlreadyEnded:
        await service.safe_record(id_, who)
        outcome = await service.logs.cancel(id_)  # Redis may have lost that end meanwhile
    if outcome == "cancelled":
        await service.file_ended(id_)
    journal.note("cancel", who, id_, outcome)
    record = await service.safe_record(id_, who)
    return record, outcome == "cancelled" and record.state == "cancelled"
