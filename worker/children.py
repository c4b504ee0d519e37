"""Several worker processes under a small parent. A child that dies is known to be dead at once, so its generations need not
wait for their leases: the parent gives these back, and the next attempts begin. The lease remains for the death of a host,
of the parent, or for a process that is frozen."""

import logging
import socket

from broker.errors import BrokerError
from broker.processes.children import Processes
from broker.store.client import connect
from broker.store.cluster import connect_logs
from broker.store.coordination import Coordination
from broker.store.logs import Logs
from broker.store.safety import reach
from worker.settings import WorkerSettings

log = logging.getLogger("respool.supervisor")

_GRACE_SECONDS = 10.0
_MOST_RUNNING = 100_000


async def supervise(settings: WorkerSettings, processes: int) -> None:
    """Keeps so many workers running until SIGTERM or SIGINT, then lets them drain. Raises as `serve` does: children that
    refuse their Redis would be started again for ever."""
    redis = connect(settings.redis_url, connections=4)
    logs_redis = connect_logs(settings.effective_logs_url, connections=4)
    logs, coordination = Logs(logs_redis), Coordination(redis)
    host = socket.gethostname()

    async def died(name: str) -> None:
        await _hand_over(logs, coordination, f"{host}:{name}")

    try:
        for client in (redis, logs_redis):
            await reach(client, settings.trust, settings.cell or 0)
        await Processes(
            processes,
            lambda name: ("-m", "worker", "--name", f"{host}:{name}"),
            settings.drain + _GRACE_SECONDS,
            died,
        ).run()
    finally:
        for client in (redis, logs_redis):
            await client.aclose(close_connection_pool=True)


async def _hand_over(logs: Logs, coordination: Coordination, name: str) -> None:
    """Takes the leases of a dead child, of which viewers are told, and queues the next attempts."""
    try:
        for held in await logs.held_by(name, await coordination.running(_MOST_RUNNING)):
            if await logs.revoke(held.id, held.attempt):
                await coordination.enqueue(
                    held.id, held.ordinal + 1,
                    created_ms=held.created_ms, place_ms=held.place_ms, owner=held.owner,
                )  # fmt: skip
    except BrokerError as error:
        log.warning("no hand-over of %s, its leases will run out: %s", name, error)
