"""`python -m worker`: runs generations, in as many processes as there are cores, under a small parent. `--name NAME`: in this
process alone, for a supervisor that is not ours. `--check`: exits with 0 if this host's worker is alive."""

import argparse
import asyncio
import os
import socket
import sys

import uvloop
from pydantic import ValidationError

from broker import journal
from broker.collecting import seldom
from broker.errors import BrokerError
from broker.settings import why
from broker.store.client import connect
from broker.store.coordination import Coordination
from broker.tools.loading import load
from worker.children import supervise
from worker.guardrails.loading import BadGuardrail, load_checks
from worker.prices import BadPrices, Prices
from worker.settings import WorkerSettings
from worker.upstreams import NoCredentials
from worker.upstreams.opening import check_upstreams


def main() -> int:
    seldom()
    parser = argparse.ArgumentParser(prog="python -m worker", description=__doc__)
    parser.add_argument("--check", action="store_true", help="only tell whether this host's worker is alive")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1, help="how many (default: one per core)")
    parser.add_argument("--name", help="one process without a parent, and what its claims are known by")
    arguments = parser.parse_args()
    if arguments.processes < 1:
        parser.error("--processes must be at least 1")
    try:
        settings = WorkerSettings()
    except ValidationError as error:
        print(f"worker: {why(error)}", file=sys.stderr)
        return 1
    journal.begin(settings.log_level)
    try:
        settings = settings.of_its_cell()
        if settings.upstreams is not None or not arguments.check:
            check_upstreams(settings.upstreams)
        if arguments.check:
            return 0 if uvloop.run(_check(settings)) else 1
        if settings.prices is not None:
            Prices.read(settings.prices)
        load(settings.tool_modules)  # here, so that a parent refuses, whose children would be started again for ever
        load_checks(settings)  # here too: a parent whose children cannot start would try for ever
        if arguments.name is None:
            uvloop.run(supervise(settings, arguments.processes))
        else:
            _serve(settings, arguments.name)
    except (BadPrices, BrokerError, NoCredentials, BadGuardrail, TimeoutError) as error:
        print(f"worker: {error or 'Redis did not answer'}", file=sys.stderr)
        return 1
    return 0


def _serve(settings: WorkerSettings, name: str) -> None:
    from worker.process import serve  # the SDK is large, and a parent has no use for it

    uvloop.run(serve(settings, name))


async def _check(settings: WorkerSettings) -> bool:
    redis = connect(settings.redis_url, connections=1, retries=0)
    async with asyncio.timeout(5):
        return await Coordination(redis).alive(socket.gethostname())


if __name__ == "__main__":
    sys.exit(main())
