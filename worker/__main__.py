"""`python -m worker`: runs generations. `python -m worker --check`: exits with 0 if this host's worker is alive."""

import argparse
import asyncio
import logging
import socket
import sys

import uvloop

from broker.connect import connect
from broker.coordination import Coordination
from broker.errors import BrokerError
from worker.process import serve
from worker.settings import WorkerSettings


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m worker", description=__doc__)
    parser.add_argument("--check", action="store_true", help="only tell whether this host's worker is alive")
    arguments = parser.parse_args()
    settings = WorkerSettings()
    logging.basicConfig(level=settings.log_level, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    logging.getLogger("arq.worker").setLevel(logging.WARNING)
    logging.getLogger("httpx2").setLevel(logging.WARNING)
    try:
        if arguments.check:
            return 0 if uvloop.run(_check(settings)) else 1
        uvloop.run(serve(settings))
    except (BrokerError, TimeoutError) as error:
        print(f"worker: {error or 'Redis did not answer'}", file=sys.stderr)
        return 1
    return 0


async def _check(settings: WorkerSettings) -> bool:
    redis = connect(settings.redis_url, connections=1, retries=0)
    async with asyncio.timeout(5):
        return await Coordination(redis).alive(socket.gethostname())


if __name__ == "__main__":
    sys.exit(main())
