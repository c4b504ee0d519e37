"""The worker process: what it consists of, how it starts, how it ends."""

import asyncio
import contextlib
import logging
import signal
import socket
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

from redis.exceptions import RedisError
from standardwebhooks import Webhook

from broker.collecting import Collector
from broker.credentials import found_key
from broker.errors import BrokerError
from broker.refusals import word
from broker.store.agreement import Agreement
from broker.store.archive import open_archive
from broker.store.archiving import Archiving
from broker.store.client import connect
from broker.store.cluster import connect_logs
from broker.store.coordination import Coordination
from broker.store.erasing import Erasing
from broker.store.indexes import InBatches, Together
from broker.store.key_proof import vault_with
from broker.store.lanes import lanes_to
from broker.store.logs import Logs
from broker.store.safety import reach
from broker.store.webhooks import Webhooks
from broker.tools.loading import load
from worker import cancels
from worker.archive_sweep import ArchiveSweep
from worker.archiver import Archiver
from worker.budgets.fleet import Budgets
from worker.dispatch import Dispatcher
from worker.eraser import Eraser
from worker.generating.producer import Producer
from worker.generating.toolbox import Toolbox
from worker.guardrails.loading import load_checks
from worker.log.appender import Appender
from worker.prices import Prices
from worker.rescan import Rescan
from worker.rewriting import Rewriting, servers_behind
from worker.settings import WorkerSettings
from worker.sweeper import Sweeper
from worker.upstreams.opening import open_upstreams
from worker.upstreams.tenants import Upstreams
from worker.webhooks.deliverer import Deliverer
from worker.webhooks.posting import Poster

log = logging.getLogger("respool.worker")

_HAND_OVER_SECONDS = 5.0
_CANCEL_AGAIN_SECONDS = 0.5
_BEAT_SECONDS = 5.0
_TURN_SECONDS = 15.0
"""Of waiting for a free connection: 5,000 generations may end at once, and each end has its turn."""
_CALLS_OF_A_JOB = 3
_CALLS_OF_OTHERS = 100
"""The most that wait for Redis at a time."""
_LEASE_SLACK_MS = 250
"""Between taking a job and its claim, from which the lease counts."""


async def serve(settings: WorkerSettings, name: str) -> None:
    """Runs a worker until SIGTERM or SIGINT: then it takes nothing more, drains, and hands over what still runs.

    Raises BadArchive; BadTools; BadGuardrail; UnsafeStorage if Redis would lose logs; StorageUnavailable if it is not there
    within a minute."""
    waiting = _CALLS_OF_A_JOB * settings.max_jobs + _CALLS_OF_OTHERS
    coordination_redis = connect(settings.redis_url, turn_seconds=_TURN_SECONDS, most_waiting=waiting)
    logs_redis = connect_logs(settings.effective_logs_url, turn_seconds=_TURN_SECONDS, most_waiting=waiting)
    wakes = connect(settings.redis_url, connections=2, retries=0, answer_seconds=4.0)
    watch = connect_logs(settings.effective_logs_url, connections=2, retries=0, answer_seconds=8.0)
    upstreams = _upstreams(settings)
    logs = Logs(logs_redis, vault=vault_with(settings.key_service(), coordination_redis))
    coordination = Coordination(coordination_redis, settings.archive_after_ms)
    lanes = lanes_to(settings.effective_logs_url)
    appender = Appender(lanes, round(settings.lease * 1000), settings.append_pace_ms)
    ends = (InBatches if settings.two_servers else Together)(logs, coordination)
    prices = None if settings.prices is None else Prices.read(settings.prices)
    toolbox = Toolbox(load(settings.tool_modules), settings)
    budgets = Budgets(
        coordination_redis, settings.breaker_rules, round(settings.lease * 1000), settings.retry_after_cap
    )
    producer = Producer(
        name, logs, coordination, ends, appender, upstreams.usual, settings, toolbox, load_checks(settings), prices, budgets,
        upstreams.of,
    )  # fmt: skip
    again_ms = round(settings.pickup_grace * 1000)
    taken_ms = min(again_ms, round(settings.lease * 1000) + _LEASE_SLACK_MS)
    agreement = Agreement("worker", logs_redis, coordination_redis)
    sweeper = Sweeper(logs, coordination, agreement, settings.sweep_every, again_ms)

    servers = servers_behind(coordination_redis, logs_redis)
    rewriting = Rewriting(coordination_redis, servers, settings.effective_rewrite_every)
    rescan = Rescan(logs, coordination, agreement)
    archivers = _archivers(settings, logs, coordination, agreement)
    deliverers = _deliverers(settings, logs, coordination, agreement)

    async def generate(ctx: dict[Any, Any], job: str) -> bool:
        # What is cancelled at the process's end is another's, as `due` says.
        with contextlib.suppress(asyncio.CancelledError):
            return await producer.produce(job, partial(dispatcher.started, job))
        return False

    try:
        for redis in (coordination_redis, logs_redis):
            await reach(redis, settings.trust, settings.cell or 0)
        await agreement.beat()
        dispatcher = Dispatcher(
            generate, coordination, agreement, wakes, settings.max_jobs, taken_ms, settings.tenant_shares
        )
        async with asyncio.TaskGroup() as group:
            running = [
                group.create_task(appender.run()),
                group.create_task(producer.abandonment.run()),
                group.create_task(sweeper.run()),
                group.create_task(_eraser(settings, logs, coordination, agreement).run()),
                group.create_task(rewriting.run()),
                group.create_task(ends.run()),
                group.create_task(budgets.run()),
                group.create_task(cancels.listen(watch, appender)),
                group.create_task(_beat(coordination, name, producer, settings.max_jobs)),
                group.create_task(agreement.run()),
                *([group.create_task(rescan.run())] if settings.two_servers else []),
                *(group.create_task(each.run()) for each in (*archivers, *deliverers)),
                group.create_task(_arq(dispatcher)),
                listening := group.create_task(dispatcher.listen()),
                group.create_task(Collector().run()),
            ]
            log.info("worker ready: %d slots, lease %g s", settings.max_jobs, settings.lease)
            await _signalled()
            producer.draining = True
            dispatcher.stop()
            await _shut_down(listening, dispatcher, appender, settings.drain)
            await _end(running)
            await ends.close()
            await budgets.close()
    finally:
        await upstreams.aclose()
        lanes.close()
        for redis in (coordination_redis, logs_redis, wakes, watch):
            await redis.aclose(close_connection_pool=True)


def _upstreams(settings: WorkerSettings) -> Upstreams:
    """What is called. A tenant's key that is missing is told once here, and to each of its generations."""
    for name, setting in settings.all_tenants.entries():
        for variable in dict.fromkeys(setting.variables(settings.upstream_names).values()):
            if found_key(variable) is None:
                log.warning("tenant %s: no upstream key: set %s, or give a secret file of that name", name, variable)
    if settings.tenants is not None and settings.secret is None:
        log.warning("RESPOOL_SECRET is not set: upstreams are told nothing of tenants' users")
    connections, limits = settings.max_jobs + 50, settings.upstream_limits
    open_ = partial(open_upstreams, settings.upstreams, connections, limits)
    return Upstreams(open_, settings.all_tenants, settings.upstream_names)


def _archivers(
    settings: WorkerSettings, logs: Logs, coordination: Coordination, agreement: Agreement
) -> Sequence[Archiver | ArchiveSweep]:
    """What takes ended logs to the archive, and what keeps that clean; nothing where there is none. Raises BadArchive."""
    if settings.archive_url is None:
        return ()
    archive, archiving = open_archive(settings.archive_url), Archiving(coordination.redis)
    return (
        Archiver(logs, archiving, archive, agreement, settings.archive_after),
        ArchiveSweep(logs, archiving, archive, agreement, settings.cell or 0),
    )


def _eraser(settings: WorkerSettings, logs: Logs, coordination: Coordination, agreement: Agreement) -> Eraser:
    """What completes erasures. Raises BadArchive."""
    archive = None if settings.archive_url is None else open_archive(settings.archive_url)
    return Eraser(Erasing(logs, coordination, archive), agreement)


def _deliverers(
    settings: WorkerSettings, logs: Logs, coordination: Coordination, agreement: Agreement
) -> Sequence[Deliverer]:
    """What delivers webhooks; nothing where there is no secret to sign them with."""
    if not (secrets := settings.webhook_secrets):
        return ()
    seconds = settings.webhook_timeout
    poster, signers = Poster(settings.webhook_rules.allowed, seconds), [Webhook(secret) for secret in secrets]
    return (Deliverer(logs, Webhooks(logs, coordination), agreement, poster, signers, seconds),)


async def _arq(dispatcher: Dispatcher) -> None:
    """arq's own loop; Redis being away or full while it starts only delays it."""
    while True:
        try:
            return await dispatcher.async_run()
        except (RedisError, OSError) as error:
            log.warning("arq could not start: %s", word(error))
            await asyncio.sleep(0.25)


async def _beat(coordination: Coordination, name: str, producer: Producer, slots: int) -> None:
    while True:
        with contextlib.suppress(BrokerError):
            await coordination.beat(socket.gethostname(), name, 0 if producer.draining else slots)
        await asyncio.sleep(_BEAT_SECONDS)


async def _signalled() -> None:
    loop, event = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, event.set)
    await event.wait()


async def _shut_down(listening: asyncio.Task[None], dispatcher: Dispatcher, appender: Appender, drain: float) -> None:
    """Lets running generations end by themselves for `drain` seconds, then hands over the rest."""
    jobs = [task for task in dispatcher.tasks.values() if not task.done()]
    if jobs:
        log.info("draining %d generations for %g s", len(jobs), drain)
    _, pending = await asyncio.wait((listening, *jobs), timeout=drain)
    for writer in appender.writers:
        writer.stop("drain")
    if pending:
        log.info("handing over %d generations", len(pending - {listening}))
        _, pending = await asyncio.wait(pending, timeout=_HAND_OVER_SECONDS)
    await _end(pending)


async def _end(tasks: Iterable[asyncio.Task[None]]) -> None:
    """Cancels until it has worked: redis-py sends within `wait_for`, which in Python 3.11 forgets a cancel that comes just when
    it is done."""
    while pending := [task for task in tasks if not task.done()]:
        for task in pending:
            task.cancel()
        await asyncio.wait(pending, timeout=_CANCEL_AGAIN_SECONDS)
