"""What time it is, anywhere."""

from datetime import datetime
from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import Field

from broker.tools import ToolFailure


async def clock(
    timezone: Annotated[
        str, Field(description="An IANA time zone, such as Europe/Berlin.", max_length=64, examples=["Europe/Berlin"])
    ] = "UTC",
) -> dict[str, str]:
    """Tells the current date and time in a time zone, to the second, with its weekday and its offset from UTC."""
    try:
        now = datetime.now(ZoneInfo(timezone))
    except (LookupError, OSError, ValueError):  # unknown; a folder; not a name
        raise ToolFailure("There is no such time zone. Name one as the IANA database does: Europe/Berlin.") from None
    return {"time": now.isoformat(timespec="seconds"), "weekday": now.strftime("%A"), "timezone": timezone}
