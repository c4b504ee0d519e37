"""What coordination has lost while the logs have kept it, put back from the records: the record is the truth.

Where the two roles have a server each, the one for coordination may come back without its last second, and a generation that
was accepted in it has no place in `due`. Whoever suspects that asks here: an API some seconds after each 202 and of what waits
without a place, a worker of all records after coordination has started anew.
"""

import logging
from collections.abc import Sequence

from broker.record import TERMINAL
from broker.store.coordination import Coordination
from broker.store.logs import Logs

log = logging.getLogger("respool.recovery")


async def put_back(logs: Logs, coordination: Coordination, ids: Sequence[str]) -> list[str]:
    """Lists those of these generations that have not ended and that `due` does not have, in the order of their submits, and has
    a sweeper look at them at once, which sees to their jobs. Returns which they are. Of what has ended, it has told what a
    webhook is to tell yet. May be repeated, and at any time: what has ended meanwhile the sweeper files as ended. Raises
    StorageUnavailable or StorageFull."""
    missing = await coordination.without_look(ids)
    looks = await logs.looks(missing) if missing else {}
    lost = {id_: look for id_, look in looks.items() if look is not None and look.state not in TERMINAL}
    if untold := [id_ for id_, look in looks.items() if look is not None and look.hooked]:
        await coordination.tell(untold)
    if lost:
        records = await logs.records(list(lost))
        tags = {record.id: record.tags for record in records if record is not None and record.tags}
        await coordination.list_again(lost, tags)
        log.warning("coordination had lost %d generations, which are put back: %s", len(lost), ", ".join([*lost][:5]))
    return list(lost)
