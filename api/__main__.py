"""`python -m api`: serves the API until SIGTERM or SIGINT. `--processes N`: in N processes on one port."""

import argparse
import logging
import socket
import sys
from contextlib import suppress

import uvicorn
import uvloop
from fastapi import FastAPI

from api.app import create_app
from api.direct import DirectProtocol
from api.service import Service
from api.settings import ApiSettings
from broker.connect import check_safe, connect
from broker.errors import StorageUnavailable, UnsafeStorage
from broker.processes import Processes


class Server(uvicorn.Server):
    """uvicorn waits for open responses before it shuts the application down: streams must be sent away before that."""

    def __init__(self, config: uvicorn.Config, app: FastAPI) -> None:
        super().__init__(config)
        self._app = app

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        service: Service = self._app.state.service
        service.hub.drain()
        await super().shutdown(sockets)


def listen(settings: ApiSettings, *, shared: bool) -> socket.socket:
    """The listening socket. Its send buffer is bounded, and so is that of every connection it accepts: what the kernel would
    hold for a viewer that does not read is megabytes. `shared`: other processes listen there too, and
    the kernel spreads connections over them. Raises OSError."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if shared:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, settings.send_buffer)
    listening.bind((settings.host, settings.port))
    return listening


async def _refuse_unsafe(settings: ApiSettings) -> None:
    """Raises UnsafeStorage. A Redis that is not there yet is no reason not to start: /readyz tells."""
    for url in {settings.redis_url, settings.effective_logs_url}:
        redis = connect(url, connections=1, retries=0)
        try:
            with suppress(StorageUnavailable):
                await check_safe(redis, ephemeral=settings.ephemeral)
        finally:
            await redis.aclose(close_connection_pool=True)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m api", description=__doc__)
    parser.add_argument("--processes", type=int, default=1, help="how many (default: 1)")
    parser.add_argument("--shared", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.processes < 1:
        parser.error("--processes must be at least 1")
    settings = ApiSettings()
    logging.basicConfig(level=settings.log_level, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    try:
        uvloop.run(_refuse_unsafe(settings))
        with listen(settings, shared=arguments.shared or arguments.processes > 1) as listening:
            if arguments.processes > 1:
                # Bound, so that a taken port is found out here, but not listening: all connections are the children's.
                uvloop.run(_several(settings, arguments.processes))
            else:
                serve(settings, listening)
    except UnsafeStorage as error:
        print(f"api: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"api: cannot listen on {settings.host}:{settings.port}: {error.strerror}", file=sys.stderr)
        return 1
    return 0


async def _several(settings: ApiSettings, processes: int) -> None:
    async def died(_: str) -> None:
        """Its viewers come back by themselves, to its siblings."""

    await Processes(processes, lambda _: ("-m", "api", "--shared"), settings.shutdown + 5, died).run()


def serve(settings: ApiSettings, listening: socket.socket) -> None:
    """Serves until a signal."""
    app = create_app(settings)
    config = uvicorn.Config(
        app,
        loop="uvloop",
        http=DirectProtocol if settings.http == "direct" else "httptools",
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        backlog=4096,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=round(settings.shutdown),
    )
    Server(config, app).run(sockets=[listening])


if __name__ == "__main__":
    sys.exit(main())
