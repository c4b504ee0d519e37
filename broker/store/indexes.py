"""Filing what has ended, the one way: by whoever ended it, and by a sweeper where that did not come to it."""

from collections.abc import Sequence

from broker.record import TERMINAL
from broker.replies import Look
from broker.store.coordination import Coordination
from broker.store.logs import Logs


async def file_ended(logs: Logs, coordination: Coordination, ids: Sequence[str]) -> dict[str, Look | None]:
    """Looks at these records, and lists the generations that have ended under their final states and no other. Returns what it
    saw of the others, None where there is no record. May be repeated. Raises StorageUnavailable or StorageFull: what was not
    filed then a sweeper files, for indexes are hints and `due` has it still."""
    looks = await logs.looks(ids)
    ended = {id_: look for id_, look in looks.items() if look is not None and look.state in TERMINAL}
    if ended:
        await coordination.retire(ended)
    return {id_: look for id_, look in looks.items() if id_ not in ended}
