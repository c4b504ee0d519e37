"""`python -m worker.simulator --port 9000`: the simulated upstream as a process of its own."""

import argparse
import asyncio
import signal
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import BinaryIO

from worker.simulator.server import Simulator, listen


def main() -> int:
    """Serves until SIGINT or SIGTERM. Exit code 1 where the address or the record file cannot be had."""
    parser = argparse.ArgumentParser(prog="python -m worker.simulator", description="A simulated Messages API.")
    parser.add_argument("--port", type=int, required=True, help="0: choose a free one and print it")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--record", type=Path, metavar="FILE.jsonl", help="append each finished request to this file")
    options = parser.parse_args()
    try:
        with options.record.open("ab") if options.record else nullcontext() as record_to:
            _run(options.host, options.port, record_to)
    except OSError as error:
        print(f"simulated upstream: {error}", file=sys.stderr)
        return 1
    return 0


async def serve(host: str, port: int, record_to: BinaryIO | None) -> None:
    """Listens, says where, and drops every connection when told to stop."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    simulator = Simulator(record_to)
    server, bound = await listen(simulator, host, port)
    shown = f"[{host}]" if ":" in host else host
    print(f"simulated upstream on http://{shown}:{bound}", flush=True)
    await stop.wait()
    server.close()
    for connection in tuple(simulator.connections):
        connection.abort()


def _run(host: str, port: int, record_to: BinaryIO | None) -> None:
    try:
        import uvloop
    except ImportError:  # slower, but the same
        asyncio.run(serve(host, port, record_to))
    else:
        uvloop.run(serve(host, port, record_to))


if __name__ == "__main__":
    sys.exit(main())
